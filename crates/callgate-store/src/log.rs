//! The log: events in, sealed and committed in groups.
//!
//! One task writes. While the disk works on one group the next one gathers, so that any number of waiters share a
//! commit. A store that fails or hangs is an error for everyone who waits, and shows in [`EvidenceLog::is_healthy`].
//! What must not be: an `Ok` for a record that a crash could still lose, or a chain that names a record the store
//! does not have.

mod entry;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use callgate_model::ambient::{Ambient, Id};
use callgate_model::evidence::{Chain, Event, Outcome, Payload};
use thiserror::Error;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;

use entry::{Answer, Entry, Item, Receipt, Waiter, concluded};
use writer::Writer;

use crate::evidence::{EvidenceStore, Row, StoreError};

/// What recovery says of an intent without an outcome.
const STOPPED: &str = "the gateway stopped before the outcome was recorded";

/// The limits of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceLimits {
    /// How many records may wait to be taken by the writer, and how many more it keeps while the store fails.
    pub queue_max: usize,
    /// How many records share one commit.
    pub batch_max: usize,
    /// How long a caller waits for a record to be durable, and the writer for the store.
    pub append_timeout: Duration,
    /// How often a failing store is tried when nothing new comes.
    pub probe_interval: Duration,
    /// How long records that nobody waits for gather before they are committed.
    pub linger: Duration,
}

impl Default for EvidenceLimits {
    fn default() -> Self {
        Self {
            queue_max: 8_192,
            batch_max: 1_024,
            append_timeout: Duration::from_secs(2),
            probe_interval: Duration::from_secs(1),
            linger: Duration::from_millis(5),
        }
    }
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// That the record survives a crash.
    Durable,
    /// That the record will be written soon; a crash before that loses it. For reads only.
    Queued,
}

/// Why an event may not be recorded. After `Timeout` and `Store` it may be recorded nevertheless, now or later.
#[derive(Clone, Debug, Error)]
pub enum EvidenceError {
    /// The log is shut down.
    #[error("the evidence log is closed")]
    Closed,
    /// The store fails. What little it may still take is for what has happened already.
    #[error("the evidence store is failing")]
    Failing,
    /// Too many records wait already.
    #[error("too many evidence records are waiting")]
    Full,
    /// What it takes or changes is not there any more. It is not recorded.
    #[error("what the record takes or changes is not there any more")]
    Refused,
    /// The store failed.
    #[error("the evidence was not stored")]
    Store(#[source] Arc<StoreError>),
    /// The store did not answer in time.
    #[error("the evidence was not stored in time")]
    Timeout,
}

impl EvidenceError {
    fn is_full(&self) -> bool {
        matches!(self, Self::Store(error) if matches!(**error, StoreError::Full { .. }))
    }
}

impl From<StoreError> for EvidenceError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// What was found when a log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The calls that had an intent and no outcome. Each has the outcome `indeterminate` now.
    pub indeterminate: Vec<Id>,
}

/// What a log has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records stored.
    pub appended: u64,
    /// Commits they took.
    pub batches: u64,
    /// Records given up: the queue was full, or the store failed for too long.
    pub dropped: u64,
}

/// Where events are recorded. Clones are of one log; when the last is dropped the writer ends after what is queued, and
/// [`Self::shutdown`] waits for that.
#[derive(Clone)]
pub struct EvidenceLog {
    queue: mpsc::Sender<Item>,
    ambient: Arc<dyn Ambient>,
    limits: EvidenceLimits,
    shared: Arc<Shared>,
    /// It is let go of with the writer.
    store: Weak<dyn EvidenceStore>,
}

impl EvidenceLog {
    /// Begins a new writer's chain. Calls that a crash left without an outcome get `indeterminate`. All of that is
    /// durable when it answers.
    ///
    /// # Errors
    /// [`EvidenceError::Store`].
    pub async fn open(
        store: Arc<dyn EvidenceStore>,
        ambient: Arc<dyn Ambient>,
        limits: EvidenceLimits,
    ) -> Result<(Self, Recovery), EvidenceError> {
        let writer = ambient.id();
        store.join(writer).await?;
        let (chain, indeterminate) = Box::pin(begin(&*store, &*ambient, writer)).await?;

        let (queue, items) = mpsc::channel(limits.queue_max);
        let shared = Arc::new(Shared::default());
        let kept = Arc::downgrade(&store);
        let writer = Writer {
            store,
            ambient: Arc::clone(&ambient),
            limits,
            shared: Arc::clone(&shared),
            chain,
            items,
            queue: queue.downgrade(),
            backlog: Vec::new(),
            doubt: None,
            closing: None,
        };
        tokio::spawn(writer.run());
        Ok((Self { queue, ambient, limits, shared, store: kept }, Recovery { indeterminate }))
    }

    /// Records `event`. Once polled, it is recorded whether or not the answer is waited for: the intent of a call
    /// that went away gets the outcome `not_dispatched`.
    ///
    /// # Errors
    /// [`EvidenceError`]; a call whose intent this was must not be dispatched.
    pub async fn record(&self, event: Event, durability: Durability) -> Result<(), EvidenceError> {
        match self.begin(event, durability)? {
            Some(answer) => self.wait(answer).await,
            None => Ok(()),
        }
    }

    /// Says of a call whose writer lives no more ([`EvidenceStore::orphans`]) that nobody knows what became of it. Nothing, if
    /// somebody has said so meanwhile.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub async fn close(&self, call: Id) -> Result<(), EvidenceError> {
        let (waiter, answer) = oneshot::channel();
        let event = concluded(call, Outcome::Indeterminate, STOPPED);
        let entry = Entry::new(&*self.ambient, event, Waiter::Waiting(waiter));
        self.enqueue(Entry { is_closing: true, ..entry })?;
        self.shared.urgent.notify_one();
        match self.wait(answer).await {
            Err(EvidenceError::Refused) => Ok(()),
            done => done,
        }
    }

    /// Puts `event` into the queue; what comes of it, if that is to be waited for. Not a part of the future, which would have to
    /// hold the event.
    fn begin(
        &self,
        event: Event,
        durability: Durability,
    ) -> Result<Option<oneshot::Receiver<Answer>>, EvidenceError> {
        if is_intent(&event) && !self.is_healthy() {
            return Err(EvidenceError::Failing);
        }
        let ambient = &*self.ambient;
        match durability {
            Durability::Queued => {
                self.enqueue(Entry::new(ambient, event, Waiter::Nobody))?;
                Ok(None)
            }
            Durability::Durable => {
                let (waiter, answer) = oneshot::channel();
                self.enqueue(Entry::new(ambient, event, Waiter::Waiting(waiter)))?;
                self.shared.urgent.notify_one();
                Ok(Some(answer))
            }
        }
    }

    async fn wait(&self, answer: oneshot::Receiver<Answer>) -> Result<(), EvidenceError> {
        match timeout(self.limits.append_timeout, answer).await {
            Ok(Ok(answer)) => answer.map(Receipt::claim),
            Ok(Err(_the_writer_is_gone)) => Err(EvidenceError::Closed),
            Err(_elapsed) => {
                self.shared.set_healthy(false);
                Err(EvidenceError::Timeout)
            }
        }
    }

    fn enqueue(&self, entry: Entry) -> Result<(), EvidenceError> {
        self.queue.try_send(Item::Record(entry)).map_err(|refused| match refused {
            TrySendError::Closed(_) => EvidenceError::Closed,
            TrySendError::Full(_) => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                EvidenceError::Full
            }
        })
    }

    /// Where it is kept, to be read; nothing after the end.
    #[must_use]
    pub fn store(&self) -> Option<Arc<dyn EvidenceStore>> {
        self.store.upgrade()
    }

    /// Whether the last append to the store succeeded.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        *self.shared.healthy.borrow()
    }

    /// Whether the last append to the store succeeded, to be watched.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<bool> {
        self.shared.healthy.subscribe()
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            appended: self.shared.appended.load(Ordering::Relaxed),
            batches: self.shared.batches.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
        }
    }

    /// Takes no more records and answers when all that were taken are stored.
    ///
    /// # Errors
    /// [`EvidenceError`], if the store fails: the records that were not stored are given up, and counted as dropped.
    pub async fn shutdown(&self) -> Result<(), EvidenceError> {
        let (done, answer) = oneshot::channel();
        let closing = self.queue.send(Item::Close(done)).await;
        closing.map_err(|_already| EvidenceError::Closed)?;
        self.shared.urgent.notify_one();
        answer.await.unwrap_or(Err(EvidenceError::Closed))
    }
}

/// Stores the beginning of the chain of `writer`, and that nobody knows what became of the calls that others left open: the chain, and
/// these calls. Others may do the same at the same time, and what they have said is not said again.
async fn begin(
    store: &dyn EvidenceStore,
    ambient: &dyn Ambient,
    writer: Id,
) -> Result<(Chain, Vec<Id>), StoreError> {
    loop {
        let mut chain = Chain::new(writer);
        let left = store.orphans().await?;
        let after = store.last_chain().await?;
        let mut seal = |event: &Event| {
            Row::seal(&mut chain, ambient.now(), event, Payload::new(event, ambient.random()))
        };
        let opened = Event::Opened { version: env!("CARGO_PKG_VERSION").to_owned(), after };
        let mut rows = vec![seal(&opened)];
        let closed =
            left.iter().map(|call| seal(&concluded(*call, Outcome::Indeterminate, STOPPED)));
        rows.extend(closed.map(Row::closing));
        match store.append(&rows).await {
            Ok(()) => return Ok((chain, left)),
            // Each time it is because somebody else has closed some.
            Err(StoreError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

impl fmt::Debug for EvidenceLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvidenceLog").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// What the log and its writer both see.
struct Shared {
    /// Somebody waits: do not linger.
    urgent: Notify,
    healthy: watch::Sender<bool>,
    appended: AtomicU64,
    batches: AtomicU64,
    dropped: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            urgent: Notify::new(),
            healthy: watch::Sender::new(true),
            appended: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }
}

impl Shared {
    fn set_healthy(&self, healthy: bool) {
        self.healthy.send_if_modified(|was| std::mem::replace(was, healthy) != healthy);
    }
}

fn is_intent(event: &Event) -> bool {
    matches!(event, Event::Decided(decided) if decided.is_intent())
}
