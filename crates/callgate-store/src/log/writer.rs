//! The task that writes: it gathers a batch, seals it, appends it, and tells who waits.
//!
//! INVARIANT: the chain goes on only from what is known to be stored. After an append that failed or did not answer
//! nobody knows, so the store is asked before the next one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use callgate_model::ambient::Ambient;
use callgate_model::digest::Digest;
use callgate_model::evidence::Chain;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::entry::{Entry, Item, not_dispatched};
use super::{EvidenceError, EvidenceLimits, Shared};
use crate::evidence::{EvidenceStore, Row, StoreError, StoreFuture};

/// Changes of what is in force that share one commit.
const APPLIED_TOGETHER_MAX: usize = 64;

pub(super) struct Writer {
    pub(super) store: Arc<dyn EvidenceStore>,
    pub(super) ambient: Arc<dyn Ambient>,
    pub(super) limits: EvidenceLimits,
    pub(super) shared: Arc<Shared>,
    /// The end of what is known to be stored.
    pub(super) chain: Chain,
    pub(super) items: mpsc::Receiver<Item>,
    /// Its own way into the queue; weak, so that the queue closes when the log is gone.
    pub(super) queue: mpsc::WeakSender<Item>,
    /// What is not known to be stored, in order.
    pub(super) backlog: Vec<Entry>,
    pub(super) doubt: Option<Doubt>,
    pub(super) closing: Option<oneshot::Sender<Result<(), EvidenceError>>>,
}

/// An append whose result is not known: of the first `count` entries of the backlog.
pub(super) struct Doubt {
    count: usize,
    /// The last row, if they are stored.
    head: (u64, Digest),
    /// The chain, if they are stored.
    chain: Chain,
}

impl Writer {
    /// Writes until the log is closed or gone and everything is stored or given up.
    pub(super) async fn run(mut self) {
        let mut result = Ok(());
        loop {
            self.gather().await;
            let ending = self.items.is_closed() && self.items.is_empty();
            if self.backlog.is_empty() && (ending || self.is_healthy()) {
                if ending {
                    break;
                }
                continue;
            }
            result = self.attempt().await;
            match &result {
                Ok(()) => self.shared.set_healthy(true),
                Err(error) => self.failed(error),
            }
            if ending && result.is_err() {
                self.give_up_beyond(0);
                break;
            }
        }
        // The store is let go before the answer, so that it can be opened again after it.
        let Self { store, closing, .. } = self;
        drop(store);
        if let Some(closing) = closing {
            closing.send(result).ok();
        }
    }

    fn is_healthy(&self) -> bool {
        *self.shared.healthy.borrow()
    }

    /// Waits for entries, up to the probe interval, and a little longer for more of them if nobody waits.
    async fn gather(&mut self) {
        let mut items = Vec::new();
        let owes = self.backlog.iter().any(|entry| entry.is_owed() && entry.is_awaited());
        if self.backlog.is_empty() || !self.is_healthy() && !owes {
            let first = self.items.recv_many(&mut items, self.limits.batch_max);
            // Elapsed is no error: it is time to look after the store's health.
            timeout(self.limits.probe_interval, first).await.ok();
        }
        items.into_iter().for_each(|item| self.take(item));
        // Lingering with a good batch at hand would bound how much can be recorded.
        let enough = self.backlog.len() + self.items.len() >= self.limits.batch_max / 2;
        let hurried =
            enough || self.items.is_closed() || self.backlog.iter().any(Entry::is_awaited);
        if !hurried && !self.backlog.is_empty() && self.is_healthy() {
            tokio::select! {
                () = sleep(self.limits.linger) => {}
                () = self.shared.urgent.notified() => {}
            }
        }
        while self.backlog.len() < self.limits.batch_max
            && let Ok(item) = self.items.try_recv()
        {
            self.take(item);
        }
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Record(entry) => self.backlog.push(entry),
            Item::Close(closing) => {
                self.items.close();
                self.closing = Some(closing);
            }
        }
    }

    /// Stores the next batch, or proves that the store would. When there is no room, what was kept free is there for what has
    /// already happened: that is stored at once.
    async fn attempt(&mut self) -> Result<(), EvidenceError> {
        match self.attempt_once().await {
            Err(error) if error.is_full() && self.is_healthy() => {
                self.begin_to_fail(&error);
                self.refuse_intents(&error);
                self.attempt_once().await
            }
            done => done,
        }
    }

    /// While the store fails, only what is owed is tried, and then whether the rest can be.
    async fn attempt_once(&mut self) -> Result<(), EvidenceError> {
        self.settle().await?;
        if self.is_healthy() {
            return self.store_next(self.backlog.len()).await;
        }
        self.backlog.sort_by_key(|entry| !entry.is_owed());
        let owed = self.backlog.iter().take_while(|entry| entry.is_owed()).count();
        if owed > 0 {
            self.store_next(owed).await?;
        }
        self.within_deadline(self.store.prove()).await
    }

    /// Stores the next batch, of the first `ready` entries. Whoever is turned away is told so when what stands in their way is
    /// stored, and can be seen.
    async fn store_next(&mut self, ready: usize) -> Result<(), EvidenceError> {
        let mut turned_away = Vec::new();
        let stored = self.store_batch(ready.min(self.limits.batch_max), &mut turned_away).await;
        let told = stored.as_ref().err().unwrap_or(&EvidenceError::Refused);
        turned_away.iter_mut().for_each(|entry| entry.refuse(told));
        stored
    }

    async fn store_batch(
        &mut self,
        mut count: usize,
        turned_away: &mut Vec<Entry>,
    ) -> Result<(), EvidenceError> {
        loop {
            let mut chain = self.chain.clone();
            let batch = self.backlog.iter().take(count);
            let rows = sealed(batch, &mut chain);
            self.doubt = rows.last().map(|last| Doubt {
                count: rows.len(),
                head: (last.sequence, last.hash),
                chain,
            });
            match self.within_deadline(self.store.append(&rows)).await {
                Ok(()) => break,
                Err(EvidenceError::Store(error)) => match &*error {
                    // Each time there is at least one less.
                    StoreError::Refused { rows } if !rows.is_empty() => {
                        let refused = self.turn_away(rows);
                        count = count.saturating_sub(refused.len());
                        turned_away.extend(refused);
                    }
                    StoreError::Refused { .. }
                    | StoreError::Database(_)
                    | StoreError::Full { .. }
                    | StoreError::Writers(_)
                    | StoreError::Malformed { .. }
                    | StoreError::Overtaken => return Err(EvidenceError::Store(error)),
                },
                Err(error) => return Err(error),
            }
        }
        self.stored();
        Ok(())
    }

    /// Takes out the entries at these places: nothing of the batch was stored, and they cannot be.
    fn turn_away(&mut self, places: &[usize]) -> Vec<Entry> {
        self.doubt = None;
        let mut turned_away = Vec::new();
        for place in places.iter().rev() {
            if *place < self.backlog.len() {
                turned_away.push(self.backlog.remove(*place));
            }
        }
        turned_away
    }

    /// Finds out what became of an append whose result is not known.
    async fn settle(&mut self) -> Result<(), EvidenceError> {
        let Some(doubt) = &self.doubt else { return Ok(()) };
        let head = self.within_deadline(self.store.head(self.chain.writer())).await?;
        if head == Some(doubt.head) {
            self.stored();
        } else {
            self.doubt = None;
            self.backlog.retain(|entry| !entry.is_forgotten());
        }
        Ok(())
    }

    async fn within_deadline<T>(&self, answer: StoreFuture<'_, T>) -> Result<T, EvidenceError> {
        match timeout(self.limits.append_timeout, answer).await {
            Ok(answer) => Ok(answer?),
            Err(_elapsed) => Err(EvidenceError::Timeout),
        }
    }

    /// Goes on after the batch in doubt, which is stored.
    fn stored(&mut self) {
        let Some(Doubt { count, chain, .. }) = self.doubt.take() else { return };
        self.chain = chain;
        self.shared.batches.fetch_add(1, Ordering::Relaxed);
        self.shared.appended.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        let later = self.backlog.split_off(count);
        for entry in std::mem::replace(&mut self.backlog, later) {
            match entry.refused_intent() {
                Some(call) => self.backlog.push(not_dispatched(call, &*self.ambient)),
                None => entry.confirm(&self.queue, &self.ambient),
            }
        }
    }

    fn begin_to_fail(&self, error: &EvidenceError) {
        if self.is_healthy() {
            let reason = error as &dyn std::error::Error;
            tracing::error!(reason, "evidence cannot be stored");
        }
        self.shared.set_healthy(false);
    }

    /// Tells those who wait to make a call.
    fn refuse_intents(&mut self, error: &EvidenceError) {
        let intents = self.backlog.iter_mut().filter(|entry| entry.is_intent());
        intents.for_each(|entry| entry.refuse(error));
    }

    /// Tells everybody who waits. An intent that was refused will not be dispatched and is forgotten, unless it may be
    /// stored; everything else happened, and is kept for the next attempt. If that is too much, what is owed to calls that
    /// were let through is given up last.
    fn failed(&mut self, error: &EvidenceError) {
        self.begin_to_fail(error);
        self.backlog.iter_mut().for_each(|entry| entry.refuse(error));
        let in_doubt = self.doubt.as_ref().map_or(0, |doubt| doubt.count);
        // What came meanwhile was not tried. No call is let through by it.
        while let Ok(item) = self.items.try_recv() {
            self.take(item);
        }
        self.refuse_intents(error);
        let mut later = self.backlog.split_off(in_doubt.min(self.backlog.len()));
        later.retain(|entry| !entry.is_forgotten());
        later.sort_by_key(|entry| !entry.is_owed());
        self.backlog.extend(later);
        self.give_up_beyond(self.limits.queue_max.max(in_doubt));
    }

    /// Gives up the last entries beyond `kept`.
    fn give_up_beyond(&mut self, kept: usize) {
        let lost = self.backlog.len().saturating_sub(kept);
        if lost > 0 {
            let mut given_up = self.backlog.split_off(kept);
            given_up.iter_mut().for_each(|entry| entry.refuse(&EvidenceError::Full));
            self.shared.dropped.fetch_add(u64::try_from(lost).unwrap_or(0), Ordering::Relaxed);
            tracing::error!(lost, "evidence was given up");
        }
    }
}

/// The records of these entries, or of the first of them: what changes what is in force is asked of the database one after the other, and
/// with PostgreSQL all replicas wait meanwhile.
fn sealed<'e>(batch: impl Iterator<Item = &'e Entry>, chain: &mut Chain) -> Vec<Row> {
    let (mut rows, mut applied) = (Vec::new(), 0);
    for entry in batch {
        let row = entry.seal(chain);
        applied += row.applies.len();
        rows.push(row);
        if applied >= APPLIED_TOGETHER_MAX {
            break;
        }
    }
    rows
}
