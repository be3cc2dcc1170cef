//! What is on its way to the writer, and the news that comes back.

use std::sync::Arc;

use callgate_model::ambient::{Ambient, Id, Timestamp};
use callgate_model::authority::Change;
use callgate_model::evidence::{Chain, Concluded, Event, Outcome, Payload};
use tokio::sync::{mpsc, oneshot};

use super::{EvidenceError, is_intent};
use crate::evidence::Row;

/// What is said of an intent whose call was refused or given up meanwhile.
const ABANDONED: &str = "nobody waited for the intent any more";

pub(super) enum Item {
    Record(Entry),
    Close(oneshot::Sender<Result<(), EvidenceError>>),
}

/// An event to be recorded.
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) event: Event,
    /// What its record says. Written by whoever records it, not by the one task that writes for all.
    pub(super) payload: Payload,
    pub(super) waiter: Waiter,
    /// Whether it says of a call of somebody else that nobody knows what became of it.
    pub(super) is_closing: bool,
}

/// Who waits for an entry.
pub(super) enum Waiter {
    Nobody,
    Waiting(oneshot::Sender<Answer>),
    /// It was told that the entry failed.
    Refused,
}

pub(super) type Answer = Result<Receipt, EvidenceError>;

impl Entry {
    pub(super) fn new(ambient: &dyn Ambient, event: Event, waiter: Waiter) -> Self {
        let payload = Payload::new(&event, ambient.random());
        Self { at: ambient.now(), payload, event, waiter, is_closing: false }
    }

    /// Its record, as the next of `chain`.
    pub(super) fn seal(&self, chain: &mut Chain) -> Row {
        let row = Row::seal(chain, self.at, &self.event, self.payload.clone());
        if self.is_closing { row.closing() } else { row }
    }

    pub(super) const fn is_awaited(&self) -> bool {
        matches!(self.waiter, Waiter::Waiting(_))
    }

    pub(super) fn is_intent(&self) -> bool {
        is_intent(&self.event)
    }

    /// Whether it is about a call that was let through already: what came of it, or its intent if that was not waited for.
    pub(super) fn is_owed(&self) -> bool {
        matches!(self.event, Event::Concluded(_)) && !self.is_closing
            || self.is_intent() && matches!(self.waiter, Waiter::Nobody)
    }

    /// Tells who waits that it failed.
    pub(super) fn refuse(&mut self, error: &EvidenceError) {
        if self.is_awaited()
            && let Waiter::Waiting(waiter) = std::mem::replace(&mut self.waiter, Waiter::Refused)
        {
            // Who went away needs no answer.
            waiter.send(Err(error.clone())).ok();
        }
    }

    /// The call, if this is an intent that was refused: the call is not dispatched.
    pub(super) fn refused_intent(&self) -> Option<Id> {
        match (&self.waiter, &self.event) {
            (Waiter::Refused, Event::Decided(decided)) if decided.is_intent() => Some(decided.call),
            (Waiter::Nobody | Waiter::Waiting(_) | Waiter::Refused, _) => None,
        }
    }

    /// Whether nothing has come of it and nothing will, after whoever waited was told that it failed: a call that is not
    /// made, or payloads that stay (a store that is slow would be held up by them again and again; who erases comes again), or what
    /// somebody else may say as well.
    pub(super) fn is_forgotten(&self) -> bool {
        let is_erasure = match &self.event {
            Event::Administered(done) => matches!(done.change, Change::PayloadsErased { .. }),
            Event::Concluded(_) | Event::Decided(_) | Event::Opened { .. } | Event::Settled(_) => {
                false
            }
        };
        let is_tried_again = is_erasure || self.is_closing;
        self.refused_intent().is_some() || is_tried_again && matches!(self.waiter, Waiter::Refused)
    }

    /// Tells who waits that it is durable.
    pub(super) fn confirm(self, queue: &mpsc::WeakSender<Item>, ambient: &Arc<dyn Ambient>) {
        let Waiter::Waiting(waiter) = self.waiter else { return };
        let intent = match &self.event {
            Event::Decided(decided) if decided.is_intent() => Some(decided.call),
            Event::Administered(_)
            | Event::Concluded(_)
            | Event::Decided(_)
            | Event::Opened { .. }
            | Event::Settled(_) => None,
        };
        let unclaimed = intent.map(|call| Unclaimed {
            call,
            queue: queue.clone(),
            ambient: Arc::clone(ambient),
        });
        // A receipt that cannot be delivered is dropped here, which is what it is for.
        waiter.send(Ok(Receipt(unclaimed))).ok();
    }
}

/// The outcome of a call whose intent was stored for nobody.
pub(super) fn not_dispatched(call: Id, ambient: &dyn Ambient) -> Entry {
    Entry::new(ambient, concluded(call, Outcome::NotDispatched, ABANDONED), Waiter::Nobody)
}

/// The conclusion of a call without an answer from its server.
pub(super) fn concluded(call: Id, outcome: Outcome, detail: &str) -> Event {
    let detail = Some(detail.to_owned());
    Event::Concluded(Concluded { call, outcome, upstream_us: None, result: None, detail })
}

/// The news that an entry is durable. If it is an intent and nobody takes the news, however late they went away, the
/// call is never dispatched, and the record has to say so.
pub(super) struct Receipt(Option<Unclaimed>);

struct Unclaimed {
    call: Id,
    queue: mpsc::WeakSender<Item>,
    ambient: Arc<dyn Ambient>,
}

impl Receipt {
    pub(super) fn claim(mut self) {
        self.0 = None;
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        let Some(unclaimed) = self.0.take() else { return };
        let entry = not_dispatched(unclaimed.call, &*unclaimed.ambient);
        let queue = unclaimed.queue.upgrade();
        if queue.is_none_or(|queue| queue.try_send(Item::Record(entry)).is_err()) {
            tracing::warn!(call = %unclaimed.call, "an abandoned intent has no outcome until the next start");
        }
    }
}
