//! What was fetched from a server: used while it is fresh, fetched once for all who wait, and for a while better than
//! nothing.

use std::sync::Arc;
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
    /// A list is not fetched again sooner, whatever is asked for.
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
    /// Held while fetching: callers that wait for it find what the first one fetched.
    fetching: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Fetched<T> {
    list: Arc<T>,
    at: Instant,
}

impl<T> Kept<T> {
    /// Nothing fetched yet.
    #[must_use]
    pub fn new(limits: ListLimits) -> Self {
        Self { limits, current: ArcSwapOption::empty(), fetching: Mutex::new(None) }
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
            let recently = last_tried.is_some_and(|at| at.elapsed() < self.limits.refetch_min);
            if self.serves(current, &has)
                || (recently && current.at.elapsed() < self.limits.stale_max)
            {
                return Ok(Arc::clone(&current.list));
            }
        }
        *last_tried = Some(Instant::now());
        match fetch.await {
            Ok(list) => {
                let list = Arc::new(list);
                let fetched = Fetched { list: Arc::clone(&list), at: Instant::now() };
                self.current.store(Some(Arc::new(fetched)));
                Ok(list)
            }
            Err(error) => {
                let current = current.filter(|kept| kept.at.elapsed() < self.limits.stale_max);
                current.map(|kept| Arc::clone(&kept.list)).ok_or(error)
            }
        }
    }

    fn serves(&self, kept: &Fetched<T>, has: impl Fn(&T) -> bool) -> bool {
        let age = kept.at.elapsed();
        age < self.limits.fresh && (has(&kept.list) || age < self.limits.refetch_min)
    }
}
