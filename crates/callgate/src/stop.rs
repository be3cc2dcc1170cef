//! How a gateway is told to end: once, to end in good order; twice, to end at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::Failure;

/// How often it was told.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<u8>);

impl Stop {
    /// By signals to the process.
    pub(crate) fn of_signals() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::Other(error.to_string()));
        let (mut terminate, mut interrupt) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        let (told, stop) = watch::channel(0_u8);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    () = told.closed() => return,
                }
                told.send_modify(|times| *times = times.saturating_add(1));
            }
        });
        Ok(Self(stop))
    }

    /// When `asked` is ready, and no more than once.
    pub(crate) fn after(asked: impl Future<Output = ()> + Send + 'static) -> Self {
        let (told, stop) = watch::channel(0);
        tokio::spawn(async move {
            asked.await;
            told.send_replace(1);
            told.closed().await;
        });
        Self(stop)
    }

    /// Ready when it was told once.
    pub(crate) async fn asked(&self) {
        self.told(1).await;
    }

    /// Ready when it was told twice.
    pub(crate) async fn insisted(&self) {
        self.told(2).await;
    }

    async fn told(&self, times: u8) {
        let mut told = self.0.clone();
        if told.wait_for(|told| *told >= times).await.is_err() {
            // Nobody can tell any more.
            std::future::pending::<()>().await;
        }
    }
}
