//! A server that is a child process: started when first needed and again after it ended, one for all callers of its
//! credential. Ids are our own, so what answers one call never reaches another.

mod child;
mod handshake;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, OwnedMutexGuard, broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::exchange::Reply;
use super::follow::{Heard, Listening, Silence, silence};
use super::outgoing::{Outgoing, Route};
use super::question::Patience;
use super::{CallError, CallErrorKind, EraSetting, Meanwhile, OnTold, Told, UpstreamLimits};
use crate::extension;
use crate::message::RequestId;
use callgate_model::json::Object;
use child::{Child, Waiting};

/// How soon a server that ended is started again: doubled with each time it does not stay.
const RESTART_FIRST: Duration = Duration::from_millis(500);
const RESTART_MAX: Duration = Duration::from_secs(60);
/// A server that ran for this long has stayed.
const STAYED: Duration = Duration::from_secs(30);
/// Progress that may wait for a slow reader; more is dropped.
const PROGRESS_WAITING_MAX: usize = 64;

/// Changes that may wait for who listens.
const HEARD_WAITING_MAX: usize = 256;

/// A command that starts a server. It comes from the operator's configuration, never from the network.
#[derive(Clone)]
pub struct Program {
    /// What the server is called in logs.
    pub name: String,
    /// The program, found by `PATH` of `environment`.
    pub command: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment, with `secrets`: nothing else is inherited.
    pub environment: BTreeMap<String, String>,
    /// The part of its environment that is taken out of what it prints.
    pub secrets: BTreeMap<String, SecretString>,
    /// The folder it runs in, if not ours.
    pub folder: Option<PathBuf>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("command", &self.command).finish_non_exhaustive()
    }
}

/// A server behind pipes. Clones are of one.
#[derive(Clone, Debug)]
pub(super) struct Stdio {
    program: Program,
    limits: UpstreamLimits,
    era: EraSetting,
    /// Held while a child is started: who comes meanwhile finds it running.
    state: Arc<Mutex<State>>,
    ears: Ears,
    /// Whether all is to end: nothing is started any more.
    stopping: watch::Sender<bool>,
}

/// The only client of a child: whatever the child says by itself is for it.
#[derive(Clone, Debug)]
pub struct SoleClient {
    /// What it can be asked for.
    pub capabilities: Object,
    /// Where it hears what the child asks and logs. What finds no room is lost.
    pub told: mpsc::Sender<Meanwhile>,
}

/// Who hears what a child says by itself.
#[derive(Clone, Debug)]
struct Ears {
    /// What it tells of changes.
    heard: broadcast::Sender<Heard>,
    sole: Arc<std::sync::Mutex<Option<SoleClient>>>,
    /// For what it asks.
    patience: Patience,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Running>,
    /// How often in a row it did not stay, and until when it is left alone.
    failures: u32,
    not_before: Option<Instant>,
}

/// A child that has shaken hands.
#[derive(Clone, Debug)]
struct Running {
    child: Arc<Child>,
    route: Route,
    since: Instant,
}

impl Stdio {
    pub(super) fn new(program: Program, limits: UpstreamLimits, era: EraSetting) -> Self {
        let (ears, stopping) = (Ears::default(), watch::Sender::default());
        Self { program, limits, era, state: Arc::default(), ears, stopping }
    }

    /// From the next start on, `client` is the only one.
    pub(super) fn serve_only(&self, client: SoleClient) {
        *self.ears.sole.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
    }

    pub(super) fn has_sole_client(&self) -> bool {
        self.ears.sole().is_some()
    }

    pub(super) fn patience(&self) -> Patience {
        self.ears.patience.clone()
    }

    /// The way to a running child, started if there is none.
    pub(super) async fn route(&self) -> Result<Route, CallErrorKind> {
        Ok(self.running().await?.route)
    }

    async fn running(&self) -> Result<Running, CallErrorKind> {
        let state = Arc::clone(&self.state).lock_owned().await;
        if let Some(running) = state.running.as_ref().filter(|running| running.child.is_alive()) {
            return Ok(running.clone());
        }
        // A task of its own: whoever asked first may go away, and the server starts for who comes next.
        let starting = tokio::spawn(self.clone().start_again(state));
        starting.await.unwrap_or_else(|_gone| Err(CallErrorKind::Connect("not started".to_owned())))
    }

    async fn start_again(
        self,
        mut state: OwnedMutexGuard<State>,
    ) -> Result<Running, CallErrorKind> {
        if *self.stopping.borrow() {
            return Err(ending());
        }
        if let Some(running) = state.running.take() {
            // It may have ended long before anybody asked.
            let ended = running.child.ended_at().unwrap_or_else(Instant::now);
            let stayed = ended.saturating_duration_since(running.since) >= STAYED;
            state.failures = if stayed { 0 } else { state.failures };
            state.put_off(ended);
        }
        let now = Instant::now();
        if let Some(wait) = state.not_before.and_then(|at| at.checked_duration_since(now)) {
            let text = format!("the server ended; it is started again in {} ms", wait.as_millis());
            return Err(CallErrorKind::Connect(text));
        }
        match timeout(self.limits.start, self.start()).await {
            Ok(Ok(running)) => Ok(state.running.insert(running).clone()),
            Ok(Err(error)) => {
                state.put_off(Instant::now());
                Err(error)
            }
            Err(_elapsed) => {
                state.put_off(Instant::now());
                Err(CallErrorKind::Timeout)
            }
        }
    }

    async fn start(&self) -> Result<Running, CallErrorKind> {
        let child = Child::start(&self.program, self.limits, self.ears.clone())?;
        let (child, route) = match self.shake(&child, self.era).await {
            // Some legacy servers end when the first message is not `initialize`.
            Err(_)
                if self.era == EraSetting::Auto
                    && !child.is_alive()
                    && !*self.stopping.borrow() =>
            {
                let again = Child::start(&self.program, self.limits, self.ears.clone())?;
                let route = self.shake(&again, EraSetting::Legacy).await?;
                (again, route)
            }
            shaken => (child, shaken?),
        };
        Ok(Running { child: Arc::new(child), route, since: Instant::now() })
    }

    /// Shakes hands with `child`. If all is to end meanwhile, so does it.
    async fn shake(&self, child: &Child, era: EraSetting) -> Result<Route, CallErrorKind> {
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            shaken = handshake::shake(child, era, self.ears.capabilities()) => return shaken,
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        child.stop().await;
        Err(ending())
    }

    /// Sends a request to the running child and waits for its answer. Dropping the future tells the server that the
    /// request is cancelled.
    pub(super) async fn exchange(
        &self,
        outgoing: Outgoing,
        on_told: OnTold<'_>,
    ) -> Result<Reply, CallError> {
        let running = self.running().await.map_err(CallError::before_sending)?;
        ask(&running.child, outgoing, false, on_told).await
    }

    /// Hears what the running child tells of changes, until it ends. `lost` is called when it told more than can be kept.
    pub(super) async fn follow(
        &self,
        hear: impl Fn(Heard),
        lost: impl Fn(),
    ) -> Result<Silence, CallErrorKind> {
        let running = self.running().await?;
        let mut heard = self.ears.heard.subscribe();
        if matches!(running.route, Route::Legacy(_)) {
            // It tells of changes unasked.
            hear(Heard::Attentive);
        }
        loop {
            tokio::select! {
                () = running.child.ended() => return Ok(Silence::Ended),
                said = heard.recv() => match said {
                    Ok(one) => hear(one),
                    Err(RecvError::Lagged(_)) => lost(),
                    // It cannot be: the sender is ours.
                    Err(RecvError::Closed) => return Ok(Silence::Ended),
                },
            }
        }
    }

    /// Asks the running child to tell of changes. `acknowledged` becomes true when it does.
    pub(super) fn listen(
        &self,
        listen: Outgoing,
        acknowledged: watch::Sender<bool>,
    ) -> Listening<'_> {
        let mut heard = self.ears.heard.subscribe();
        Box::pin(async move {
            let running = self.running().await?;
            let mut on_told = |_: &RequestId, _| {};
            let asking = ask(&running.child, listen, true, &mut on_told);
            tokio::pin!(asking);
            loop {
                tokio::select! {
                    reply = &mut asking => {
                        return reply.map(|r| silence(&r.outcome)).map_err(|error| error.kind);
                    }
                    heard = heard.recv() => {
                        // Among what was lost it may have been.
                        if matches!(heard, Ok(Heard::Attentive) | Err(RecvError::Lagged(_))) {
                            acknowledged.send_replace(true);
                        }
                    }
                }
            }
        })
    }

    /// Ends the child, if there is one, and waits for it. No other is started.
    pub(super) async fn stop(&self) {
        self.stopping.send_replace(true);
        if let Some(running) = self.state.lock().await.running.take() {
            running.child.stop().await;
        }
    }
}

impl Default for Ears {
    fn default() -> Self {
        let heard = broadcast::Sender::new(HEARD_WAITING_MAX);
        Self { heard, sole: Arc::default(), patience: Patience::default() }
    }
}

impl Ears {
    fn sole(&self) -> Option<SoleClient> {
        self.sole.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a server of the legacy era is told that it can ask for.
    fn capabilities(&self) -> Object {
        self.sole().map_or_else(extension::of_lists, |client| client.capabilities)
    }
}

impl State {
    /// Leaves the server, which ended at `ended`, alone for a while.
    fn put_off(&mut self, ended: Instant) {
        let wait = RESTART_FIRST.saturating_mul(1 << self.failures.min(10)).min(RESTART_MAX);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(ended + wait);
    }
}

fn ending() -> CallErrorKind {
    CallErrorKind::Connect("the gateway ends".to_owned())
}

/// One request to a child and its answer, which need not come if it `listens`.
async fn ask(
    child: &Child,
    outgoing: Outgoing,
    listens: bool,
    on_told: OnTold<'_>,
) -> Result<Reply, CallError> {
    let (tell, mut told) = mpsc::channel(PROGRESS_WAITING_MAX);
    let (answer, mut answered) = oneshot::channel();
    let id = outgoing.id.clone();
    let asked = child.ask(outgoing, Waiting { answer, progress: tell, listens })?;
    loop {
        tokio::select! {
            biased;
            Some(notification) = told.recv() => on_told(&id, Told::Notification(notification)),
            answer = &mut answered => {
                asked.settled();
                let gone = CallErrorKind::Connect("the server ended".to_owned());
                return answer.unwrap_or(Err(gone)).map_err(CallError::after_sending);
            }
        }
    }
}
