//! What is known of callers, for the pages about them. It takes a while to read, so it is read by one at a time and kept for a
//! moment, as long as nothing that is in force has changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_gateway::pipeline::ErrandError;
use callgate_model::digest::Digest;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Console, unreadable};
use crate::privilege::{Known, Span};

/// How long it is kept.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// For the store to tell it.
const TOLD_WITHIN: Duration = Duration::from_secs(20);
/// What is looked at: the newest records of so many days, and so many places.
pub(super) const DAYS: u32 = 30;
pub(super) const RECORDS_MAX: u64 = 20_000;
pub(super) const PLACES_MAX: usize = 100;

/// What was read last.
pub(super) type Kept = Arc<Mutex<Option<Reading>>>;

#[derive(Clone)]
pub(super) struct Reading {
    at: Instant,
    /// The version of the authority and the policies by which it was read.
    of: (u64, Digest),
    known: Arc<Known>,
}

impl Console {
    /// What is known of callers.
    pub(super) async fn known(&self) -> Result<Arc<Known>, ErrandError> {
        let gateway = &self.front.gateway;
        let authority = gateway.authority().ok_or(ErrandError::Unavailable)?;
        let evidence = gateway.recorded().ok_or(ErrandError::Unavailable)?;
        let mut kept = self.kept.lock().await;
        let bundle = gateway.bundle();
        let of = (authority.version().await.map_err(unreadable)?, bundle.digest());
        let is_good = |kept: &&Reading| kept.of == of && kept.at.elapsed() < KEPT_FOR;
        if let Some(kept) = kept.as_ref().filter(is_good) {
            return Ok(Arc::clone(&kept.known));
        }
        let now = self.ambient.now();
        let span =
            Span { now, days: DAYS, records_max: Some(RECORDS_MAX), places_max: Some(PLACES_MAX) };
        let rules = (bundle, Arc::clone(&self.premises.vocabulary));
        let gathered =
            Known::gather((&*evidence, authority), &self.premises.configured, rules, span);
        let gathered = timeout(TOLD_WITHIN, gathered).await;
        let gathered = gathered.map_err(|_elapsed| ErrandError::Unavailable)?;
        let known = Arc::new(gathered.map_err(unreadable)?);
        *kept = Some(Reading { at: Instant::now(), of, known: Arc::clone(&known) });
        Ok(known)
    }

    /// Asks what is known something that takes a processor's time, one at a time.
    pub(super) async fn reckon<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Known) -> T + Send + 'static,
    ) -> Result<T, ErrandError> {
        let known = self.known().await?;
        let turn = Arc::clone(&self.reckoning).acquire_owned().await;
        let turn = turn.map_err(|_closed| ErrandError::Unavailable)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&known);
            drop(turn);
            done
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "what callers may do cannot be reckoned");
            ErrandError::Unavailable
        })
    }
}
