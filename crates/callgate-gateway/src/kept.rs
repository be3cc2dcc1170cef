//! What was fetched from a server: used while it is fresh, fetched once for all who wait, and for a while better than
//! nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use callgate_mcp::upstream::{CallErrorKind, UpstreamError};
use callgate_model::reason::Reason;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::credential::Unavailable;

/// Why what a server offers is not known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ListError {
    /// There is nothing to ask it with.
    #[error(transparent)]
    Credential(#[from] Unavailable),
    /// It does not tell.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl ListError {
    /// Why a call is refused that needs to know it.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Credential(_) => Reason::CredentialUnavailable,
            Self::Upstream(_) => Reason::UpstreamUnavailable,
        }
    }
}

impl From<CallErrorKind> for ListError {
    fn from(kind: CallErrorKind) -> Self {
        Self::Upstream(kind.into())
    }
}

/// How long a fetched list is good.
#[derive(Clone, Copy, Debug)]
pub struct ListLimits {
    /// Younger lists are used as they are.
    pub fresh: Duration,
    /// Older lists are not used, even if the server cannot be asked.
    pub stale_max: Duration,
    /// A list is not fetched again sooner, whatever is asked for; only if its server says that it has changed.
    pub refetch_min: Duration,
}

impl Default for ListLimits {
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(60),
            stale_max: Duration::from_secs(3600),
            refetch_min: Duration::from_secs(2),
        }
    }
}

/// One list of one server, as last fetched.
#[derive(Debug)]
pub struct Kept<T> {
    limits: ListLimits,
    current: ArcSwapOption<Fetched<T>>,
    /// How often the server said that it is another one by now.
    changes: AtomicU64,
    /// Held while fetching: callers that wait for it find what the first one fetched, or how it failed.
    fetching: Mutex<Option<Tried>>,
}

/// How the last attempt ended.
#[derive(Debug)]
struct Tried {
    at: Instant,
    failed: Option<ListError>,
}

#[derive(Debug)]
struct Fetched<T> {
    list: Arc<T>,
    at: Instant,
    /// What the server had said when it was asked.
    changes: u64,
}

impl<T> Kept<T> {
    /// Nothing fetched yet.
    #[must_use]
    pub fn new(limits: ListLimits) -> Self {
        Self {
            limits,
            current: ArcSwapOption::empty(),
            changes: AtomicU64::new(0),
            fetching: Mutex::new(None),
        }
    }

    /// From now on nobody is given the list as it was, however young it is, if another can be had.
    pub fn expire(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// A list young enough to be used; if need be, the one that `fetch` gives. A list that does not satisfy `has` is
    /// fetched again before it is used nevertheless.
    ///
    /// # Errors
    /// The server's fault, if it cannot be asked and no list is young enough.
    pub async fn get(
        &self,
        has: impl Fn(&T) -> bool,
        fetch: impl Future<Output = Result<T, ListError>>,
    ) -> Result<Arc<T>, ListError> {
        if let Some(current) = self.current.load_full().filter(|kept| self.serves(kept, &has)) {
            return Ok(Arc::clone(&current.list));
        }
        let mut tried = self.fetching.lock().await;
        let current = self.current.load_full();
        if let Some(current) = current.as_ref().filter(|kept| self.serves(kept, &has)) {
            return Ok(Arc::clone(&current.list));
        }
        let stale = current.filter(|kept| kept.at.elapsed() < self.limits.stale_max);
        let recent = tried.as_ref().filter(|tried| tried.at.elapsed() < self.limits.refetch_min);
        match (recent, &stale) {
            // Whoever waited does not ask once more what has just failed.
            (Some(Tried { failed: Some(error), .. }), stale) => {
                return stale.as_ref().map(|kept| Arc::clone(&kept.list)).ok_or(error.clone());
            }
            (Some(Tried { failed: None, .. }), Some(kept)) if self.is_current(kept) => {
                return Ok(Arc::clone(&kept.list));
            }
            (Some(_) | None, _) => {}
        }
        // Before the server is asked: what it says meanwhile may not be in its answer.
        let changes = self.changes.load(Ordering::Acquire);
        let fetched = fetch.await;
        let (at, failed) = (Instant::now(), fetched.as_ref().err().cloned());
        *tried = Some(Tried { at, failed });
        match fetched {
            Ok(list) => {
                let list = Arc::new(list);
                let kept = Fetched { list: Arc::clone(&list), at, changes };
                self.current.store(Some(Arc::new(kept)));
                Ok(list)
            }
            // As old as it is; and asked for again soon, by one.
            Err(error) => stale.map(|kept| Arc::clone(&kept.list)).ok_or(error),
        }
    }

    /// Whether the server has not said since that it is another one.
    fn is_current(&self, kept: &Fetched<T>) -> bool {
        kept.changes == self.changes.load(Ordering::Acquire)
    }

    fn serves(&self, kept: &Fetched<T>, has: impl Fn(&T) -> bool) -> bool {
        let age = kept.at.elapsed();
        self.is_current(kept)
            && age < self.limits.fresh
            && (has(&kept.list) || age < self.limits.refetch_min)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    async fn failing(asked: &AtomicUsize) -> Result<u32, ListError> {
        asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(100)).await;
        Err(CallErrorKind::Timeout.into())
    }

    #[tokio::test]
    async fn i13_who_waits_for_a_server_that_fails_does_not_ask_it_again() {
        let (kept, asked) = (Kept::<u32>::new(ListLimits::default()), AtomicUsize::new(0));
        let waiting = (0..20).map(|_| kept.get(|_| true, failing(&asked)));
        let told = futures_util::future::join_all(waiting).await;
        assert!(told.iter().all(Result::is_err));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_list_that_changed_is_not_taken_for_current_because_the_server_failed_since() {
        let limits = ListLimits { refetch_min: Duration::from_millis(50), ..ListLimits::default() };
        let (kept, asked) = (Kept::<u32>::new(limits), AtomicUsize::new(0));
        assert_eq!(*kept.get(|_| true, async { Ok(1) }).await.unwrap(), 1);
        kept.expire();
        assert_eq!(*kept.get(|_| true, failing(&asked)).await.unwrap(), 1, "better than nothing");
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(*kept.get(|_| true, async { Ok(2) }).await.unwrap(), 2);
    }
}
