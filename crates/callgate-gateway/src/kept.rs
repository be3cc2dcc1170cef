//! What was fetched from a server: used while it is fresh, fetched once for all who wait, and for a while better than
//! nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use callgate_mcp::upstream::UpstreamError;
use tokio::sync::Mutex;

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
    /// Held while fetching: callers that wait for it find what the first one fetched.
    fetching: Mutex<Option<Instant>>,
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
        fetch: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<Arc<T>, UpstreamError> {
        if let Some(current) = self.current.load_full().filter(|kept| self.serves(kept, &has)) {
            return Ok(Arc::clone(&current.list));
        }
        let mut last_tried = self.fetching.lock().await;
        let current = self.current.load_full();
        if let Some(current) = &current {
            let recently = last_tried.is_some_and(|at| at.elapsed() < self.limits.refetch_min)
                && self.is_current(current);
            if self.serves(current, &has)
                || (recently && current.at.elapsed() < self.limits.stale_max)
            {
                return Ok(Arc::clone(&current.list));
            }
        }
        *last_tried = Some(Instant::now());
        // Before the server is asked: what it says meanwhile may not be in its answer.
        let changes = self.changes.load(Ordering::Acquire);
        let (list, at) = match fetch.await {
            Ok(list) => (Arc::new(list), Instant::now()),
            Err(error) => {
                let current = current.filter(|kept| kept.at.elapsed() < self.limits.stale_max);
                let current = current.ok_or(error)?;
                // As old as it is: a server that cannot be asked now is not asked by everybody.
                (Arc::clone(&current.list), current.at)
            }
        };
        self.current.store(Some(Arc::new(Fetched { list: Arc::clone(&list), at, changes })));
        Ok(list)
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
