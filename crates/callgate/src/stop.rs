//! How a gateway is told to end: once, to end in good order; twice, to end at once. Or that another one has taken its place.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::Failure;

/// What it was told.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    times: u8,
    is_replaced: bool,
}

/// To be told.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<Told>);

/// To tell.
#[derive(Debug)]
pub(crate) struct Teller(watch::Sender<Told>);

impl Teller {
    /// Tells it to end; the second time, at once.
    pub(crate) fn stop(&self) {
        self.0.send_modify(|told| told.times = told.times.saturating_add(1));
    }

    /// Tells it that another one answers in its place from now on.
    pub(crate) fn replaced(&self) {
        self.0.send_modify(|told| {
            told.is_replaced = true;
            told.times = told.times.max(1);
        });
    }
}

impl Stop {
    /// What tells it, and it.
    pub(crate) fn new() -> (Teller, Self) {
        let (told, stop) = watch::channel(Told::default());
        (Teller(told), Self(stop))
    }

    /// By signals to the process: SIGTERM and SIGINT.
    pub(crate) fn of_signals() -> Result<Self, Failure> {
        let (teller, stop) = Self::new();
        let listen = |kind| signal(kind).map_err(|error| Failure::Other(error.to_string()));
        let (mut terminate, mut interrupt) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => teller.stop(),
                    _ = interrupt.recv() => teller.stop(),
                    () = teller.0.closed() => return,
                }
            }
        });
        Ok(stop)
    }

    /// The same of a process that another one takes the place of: SIGUSR2 says that it has.
    pub(crate) fn of_signals_and_successor() -> Result<Self, Failure> {
        let (teller, stop) = Self::new();
        let by_signals = Self::of_signals()?;
        let mut replaced =
            signal(SignalKind::user_defined2()).map_err(|error| error.to_string())?;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = by_signals.insisted() => {
                        teller.stop();
                        teller.stop();
                        return teller.0.closed().await;
                    }
                    () = by_signals.asked(), if teller.0.borrow().times == 0 => teller.stop(),
                    _ = replaced.recv() => teller.replaced(),
                    () = teller.0.closed() => return,
                }
            }
        });
        Ok(stop)
    }

    /// When `asked` is ready, and no more than once.
    pub(crate) fn after(asked: impl Future<Output = ()> + Send + 'static) -> Self {
        let (teller, stop) = Self::new();
        tokio::spawn(async move {
            asked.await;
            teller.stop();
            teller.0.closed().await;
        });
        stop
    }

    /// Ready when it was told once.
    pub(crate) async fn asked(&self) {
        self.told(1).await;
    }

    /// Ready when it was told twice.
    pub(crate) async fn insisted(&self) {
        self.told(2).await;
    }

    /// Whether another one answers in its place.
    pub(crate) fn is_replaced(&self) -> bool {
        self.0.borrow().is_replaced
    }

    async fn told(&self, times: u8) {
        let mut told = self.0.clone();
        if told.wait_for(|told| told.times >= times).await.is_err() {
            // Nobody can tell any more.
            std::future::pending::<()>().await;
        }
    }
}
