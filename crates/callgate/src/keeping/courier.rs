//! Evidence on its way elsewhere: a task for each place, none of which waits for another, and for none of which anything waits.
//!
//! How far a place has come is in the store, and only moves when it has taken something. So a crash sends some of it twice and
//! leaves nothing out, and any number of gateways on one store can have the same places: one of them sends.

use std::sync::Arc;
use std::time::Duration;

use callgate_gateway::pipeline::Gateway;
use callgate_model::ambient::{Ambient, Id, Timestamp};
use callgate_store::{Holder, Store, StoreError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::anchors::Anchor;
use super::sinks::Sink;
use super::witnesses::Asked;
use crate::pause::Pause;

/// How often it is looked for something to send.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// For a place to take what it is sent at one time.
const SEND_WITHIN: Duration = Duration::from_millis(SEND_WITHIN_MS);
const SEND_WITHIN_MS: u64 = 12_000;
/// For how long whoever sends has the place for themselves, in milliseconds. A crash costs so much.
const HELD_MS: u64 = 20_000;
/// How long after a first failure it is tried again; then twice as long after each.
const AGAIN: Pause = Pause { first_ms: 1_000, factor: 2, ms_max: 300_000 };
/// For what is left, when the gateway ends.
const LAST_WITHIN: Duration = Duration::from_secs(5);
/// The longest reason for a failure, in characters: it may be in the words of the other side.
const WHY_CHARS_MAX: usize = 300;

// Nobody else may have the place while something is sent to it.
const _: () = assert!(SEND_WITHIN_MS < HELD_MS);

/// What is sent, and where.
pub(super) enum Errand {
    /// Records, for others to look at.
    Sink(Box<Sink>),
    /// Checkpoints, where the operator of the gateway cannot change them.
    Anchor(Box<Anchor>),
    /// Checkpoints, for somebody to cosign.
    Witness(Box<Asked>),
}

impl Errand {
    const fn told(&self) -> Told {
        match self {
            Self::Sink(_) => Told::Records,
            Self::Anchor(_) | Self::Witness(_) => Told::Checkpoints,
        }
    }

    /// How many of them a place that is new is not told of.
    fn begin(&self, end: u64) -> u64 {
        match self {
            Self::Sink(sink) if !sink.from_start => end,
            Self::Sink(_) | Self::Anchor(_) | Self::Witness(_) => 0,
        }
    }

    /// Sends what comes after the first `next` records; how many records the place knows of then.
    async fn send(
        &mut self,
        store: &dyn Store,
        next: u64,
        ambient: &dyn Ambient,
    ) -> Result<u64, String> {
        match self {
            Self::Sink(sink) => sink.send(store, next, ambient).await,
            Self::Anchor(anchor) => anchor.send(store, ambient).await,
            Self::Witness(witness) => witness.send(store, next).await,
        }
    }
}

/// What a place is told of.
#[derive(Clone, Copy)]
enum Told {
    /// Every record.
    Records,
    /// Those that a checkpoint was signed of.
    Checkpoints,
}

impl Told {
    /// How many records that are.
    async fn end(self, store: &dyn Store) -> Result<u64, StoreError> {
        match self {
            Self::Records => store.size().await,
            Self::Checkpoints => Ok(store.last_checkpoint().await?.map_or(0, |last| last.size)),
        }
    }
}

/// Everything that is sent, until it is told to end.
pub(super) struct Couriers {
    stop: watch::Sender<bool>,
    tasks: Vec<(String, JoinHandle<()>)>,
    watching: JoinHandle<()>,
}

impl Couriers {
    /// Sends from now on what is in `store`; places by their names in it.
    pub(super) async fn start(
        errands: Vec<(String, Errand)>,
        gateway: &Arc<Gateway>,
        store: &Arc<dyn Store>,
        ambient: &Arc<dyn Ambient>,
    ) -> Self {
        let stop = watch::Sender::new(false);
        let all = errands.iter().map(|(name, errand)| (name.clone(), errand.told())).collect();
        let mut tasks = Vec::new();
        for (name, errand) in errands {
            let courier = Courier {
                name: name.clone(),
                errand,
                store: Arc::clone(store),
                gateway: Arc::clone(gateway),
                ambient: Arc::clone(ambient),
                holder: ambient.id(),
                failures: 0,
                again_at: Instant::now(),
                held_until: Timestamp::default(),
            };
            // Now is before the first call.
            if let Err(error) = courier.begin().await {
                tracing::error!(to = name, %error, "it is not known from where on evidence is sent: that is found out later");
            }
            tasks.push((name, tokio::spawn(courier.work(stop.subscribe()))));
        }
        let watching = tokio::spawn(watch_lags(all, Arc::clone(store), Arc::clone(gateway)));
        Self { stop, tasks, watching }
    }

    /// Sends what is left, if that can be done soon.
    pub(super) async fn finish(self) {
        self.watching.abort();
        self.stop.send_replace(true);
        let deadline = Instant::now() + LAST_WITHIN;
        for (name, mut task) in self.tasks {
            tokio::select! {
                _ = &mut task => {}
                () = sleep_until(deadline) => {
                    task.abort();
                    tracing::warn!(to = name, "the last of the evidence was not taken in time: it is sent after the next start");
                }
            }
        }
    }
}

/// Counts how many records each place does not have yet: also while it is sent some, and does not take them.
async fn watch_lags(all: Vec<(String, Told)>, store: Arc<dyn Store>, gateway: Arc<Gateway>) {
    if all.is_empty() {
        return;
    }
    loop {
        let lags = async {
            let cursors = store.cursors().await?;
            let size = Told::Records.end(&*store).await?;
            let signed = Told::Checkpoints.end(&*store).await?;
            for (name, told) in &all {
                let end = match told {
                    Told::Records => size,
                    Told::Checkpoints => signed,
                };
                let cursor = cursors.iter().find(|cursor| cursor.name == *name);
                let lag = cursor.map_or(0, |cursor| end.saturating_sub(cursor.next));
                gateway.counts().sink_lags(name, lag);
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = lags.await {
            tracing::debug!(%error, "it is not known how far evidence is behind elsewhere");
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Who sends to one place.
struct Courier {
    name: String,
    errand: Errand,
    store: Arc<dyn Store>,
    gateway: Arc<Gateway>,
    ambient: Arc<dyn Ambient>,
    holder: Id,
    /// Attempts that failed since the last that did not.
    failures: u32,
    /// Until then the place is left alone.
    again_at: Instant,
    /// Until then nobody else has it.
    held_until: Timestamp,
}

impl Courier {
    async fn work(mut self, mut stop: watch::Receiver<bool>) {
        let mut ends = false;
        while !ends {
            ends = tokio::select! {
                biased;
                // If nobody can say it any more, it is the end as well.
                _ = stop.wait_for(|stops| *stops) => true,
                () = sleep(LOOK_EVERY) => false,
            };
            if ends {
                self.again_at = Instant::now();
            }
            loop {
                match self.turn().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        self.failed(&format!("the evidence cannot be read: {error}"));
                        break;
                    }
                }
            }
        }
        if let Errand::Sink(sink) = &mut self.errand {
            sink.close().await;
        }
        if let Err(error) = self.store.leave_cursor(&self.name, self.holder).await {
            tracing::debug!(to = self.name, %error, "others have to wait for the end of it");
        }
    }

    /// A place that is new begins here.
    async fn begin(&self) -> Result<(), StoreError> {
        if self.store.cursor(&self.name).await?.is_none() {
            let begin = self.errand.begin(self.errand.told().end(&*self.store).await?);
            self.store.take_cursor(&self.name, self.hold(), begin).await?;
        }
        Ok(())
    }

    fn hold(&self) -> Holder {
        let now = self.ambient.now();
        Holder { id: self.holder, since: now, until: now.after_ms(HELD_MS) }
    }

    /// Sends something, if there is anything; whether there may be more.
    async fn turn(&mut self) -> Result<bool, StoreError> {
        let end = self.errand.told().end(&*self.store).await?;
        let cursor = self.store.cursor(&self.name).await?;
        let is_there = cursor.as_ref().is_some_and(|cursor| cursor.next >= end);
        if is_there || Instant::now() < self.again_at {
            return Ok(false);
        }
        let is_held = self.ambient.now().after_ms(SEND_WITHIN_MS) < self.held_until;
        let taken = match cursor.filter(|_| is_held) {
            Some(cursor) => Some(cursor),
            None => {
                let hold = self.hold();
                self.held_until = hold.until;
                let begin = self.errand.begin(end);
                self.store.take_cursor(&self.name, hold, begin).await?
            }
        };
        let Some(cursor) = taken.filter(|cursor| cursor.next < end) else {
            // Somebody else sends.
            self.held_until = Timestamp::default();
            return Ok(false);
        };
        let sending = self.errand.send(&*self.store, cursor.next, &*self.ambient);
        let sent = timeout(SEND_WITHIN, sending).await;
        let now = self.ambient.now();
        match sent.unwrap_or_else(|_| Err("it was not taken in time".to_owned())) {
            Ok(next) => {
                if self.failures > 0 {
                    tracing::info!(to = self.name, "evidence is taken again");
                }
                self.failures = 0;
                let is_ours = self.store.move_cursor(&self.name, self.holder, next, now).await?;
                if !is_ours {
                    self.held_until = Timestamp::default();
                }
                Ok(is_ours && next < end)
            }
            Err(why) => {
                let why: String = why.chars().take(WHY_CHARS_MAX).collect();
                self.failed(&why);
                self.store.fail_cursor(&self.name, self.holder, &why, now).await?;
                Ok(false)
            }
        }
    }

    fn failed(&mut self, why: &str) {
        self.gateway.counts().sink_failed(&self.name);
        if self.failures == 0 {
            tracing::warn!(to = self.name, why, "evidence is not taken: it is tried again");
        }
        self.failures = self.failures.saturating_add(1);
        let pause = AGAIN.ms(self.failures, &self.ambient.random());
        self.again_at = Instant::now() + Duration::from_millis(pause);
    }
}

#[cfg(test)]
mod tests;
