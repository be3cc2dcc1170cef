//! Who listens: how many streams may be open, and the end of all of them. No call ever waits for what is held here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use callgate_model::digest::Digest;
use tokio::sync::watch;

use crate::limits::Limit;

/// How many event streams may be open for those who listen for changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Streams of one caller.
    pub per_caller_max: usize,
    /// Streams in all.
    pub streams_max: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { per_caller_max: 100, streams_max: 2_000 }
    }
}

/// The open streams.
#[derive(Debug)]
pub struct Listeners {
    limits: StreamLimits,
    open: Mutex<Open>,
    ending: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_caller: HashMap<Digest, usize>,
}

/// Room for one stream, for as long as this is kept.
#[derive(Debug)]
pub struct Place {
    listeners: Arc<Listeners>,
    caller: Digest,
}

impl Listeners {
    /// Nobody listens yet.
    #[must_use]
    pub fn new(limits: StreamLimits) -> Self {
        Self { limits, open: Mutex::default(), ending: watch::Sender::new(false) }
    }

    /// Room for a stream of `caller`.
    ///
    /// # Errors
    /// The limit that leaves none; once all streams are ended, there is room for none at all.
    pub fn enter(self: &Arc<Self>, caller: Digest) -> Result<Place, Limit> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.by_caller.get(&caller).copied().unwrap_or_default();
        if own >= self.limits.per_caller_max {
            return Err(Limit::StreamsPerCaller);
        }
        if open.all >= self.limits.streams_max || *self.ending.borrow() {
            return Err(Limit::Streams);
        }
        open.all += 1;
        open.by_caller.insert(caller, own + 1);
        Ok(Place { listeners: Arc::clone(self), caller })
    }

    /// Ends all streams; no other is opened.
    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Whether all streams are to end.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    /// Ready when all streams are to end.
    pub async fn ended(&self) {
        // It cannot fail: the sender is ours.
        self.ending.subscribe().wait_for(|ending| *ending).await.ok();
    }

    /// How many streams are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.listeners.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        if let Some(own) = open.by_caller.get_mut(&self.caller) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                open.by_caller.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i13_streams_are_bounded_for_each_caller_and_in_all() {
        let listeners =
            Arc::new(Listeners::new(StreamLimits { per_caller_max: 2, streams_max: 3 }));
        let [alice, bob, carol] = [b"a", b"b", b"c"].map(|name| Digest::of(name));
        let first = listeners.enter(alice).unwrap();
        let _second = listeners.enter(alice).unwrap();
        assert_eq!(listeners.enter(alice).unwrap_err(), Limit::StreamsPerCaller);
        let _third = listeners.enter(bob).unwrap();
        assert_eq!(listeners.enter(carol).unwrap_err(), Limit::Streams);
        drop(first);
        assert!(listeners.enter(carol).is_ok());
        assert_eq!(listeners.count(), 2);
        assert_eq!(listeners.open.lock().unwrap().by_caller.len(), 2, "who left is forgotten");
        listeners.end();
        assert!(listeners.enter(carol).is_err(), "the end is the end");
    }
}
