//! Room for calls: in all, of one caller, and at one server. Each is a limit of its own, so that whoever waits for a slow server
//! takes no place of those who want another one, and no caller takes the places of all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use callgate_model::digest::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::breaker::Probe;
use crate::limits::Limit;
use crate::server::Server;

/// How many calls may be in progress at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// In all.
    pub in_flight_max: usize,
    /// Of one caller.
    pub per_caller_max: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { in_flight_max: 1_024, per_caller_max: 128 }
    }
}

/// Calls in progress at one server, if nothing else is said.
pub const SERVER_CALLS_MAX: usize = 256;

/// The room for calls.
#[derive(Debug)]
pub struct Bulkhead {
    limits: CallLimits,
    all: Arc<Semaphore>,
    callers: Arc<Callers>,
}

/// How many calls each caller has in progress.
#[derive(Debug, Default)]
struct Callers(Mutex<HashMap<Digest, usize>>);

/// Room for one call, for as long as this is kept. Boxed, for the futures that hold it.
#[derive(Debug)]
pub struct Slot {
    _room: Box<Room>,
}

#[derive(Debug)]
struct Room {
    _all: OwnedSemaphorePermit,
    _server: OwnedSemaphorePermit,
    _caller: OfCaller,
    /// If this is the call by which it is found out whether the server answers again.
    _probe: Option<Probe>,
}

#[derive(Debug)]
struct OfCaller {
    callers: Arc<Callers>,
    caller: Digest,
}

impl Bulkhead {
    /// No call is in progress yet.
    #[must_use]
    pub fn new(limits: CallLimits) -> Self {
        let all = Arc::new(Semaphore::new(limits.in_flight_max));
        Self { limits, all, callers: Arc::default() }
    }

    /// Room for a call of `caller` at `server`, which is found out about if it has not answered for a while.
    ///
    /// # Errors
    /// The limit that leaves no room. Nobody waits for any.
    pub fn enter(&self, caller: Digest, server: &Server) -> Result<Slot, Limit> {
        // Own places first: who has none takes none of the others, not even for a moment.
        let of_caller = OfCaller::enter(&self.callers, caller, self.limits.per_caller_max)
            .ok_or(Limit::CallsPerCaller)?;
        let at_server = Arc::clone(&server.calls).try_acquire_owned();
        let at_server = at_server.map_err(|_full| Limit::ServerCallsInFlight)?;
        let in_all = Arc::clone(&self.all).try_acquire_owned();
        let in_all = in_all.map_err(|_full| Limit::CallsInFlight)?;
        let probe = server.breaker.admit().map_err(|_open| Limit::ServerFailures)?;
        let room = Room { _all: in_all, _server: at_server, _caller: of_caller, _probe: probe };
        Ok(Slot { _room: Box::new(room) })
    }

    /// How many calls are in progress.
    #[must_use]
    pub fn count(&self) -> usize {
        self.limits.in_flight_max.saturating_sub(self.all.available_permits())
    }

    /// Ready when none is.
    pub async fn emptied(&self) {
        let every_one = u32::try_from(self.limits.in_flight_max).unwrap_or(u32::MAX);
        // It is never closed.
        self.all.acquire_many(every_one).await.ok();
    }
}

impl OfCaller {
    fn enter(callers: &Arc<Callers>, caller: Digest, most: usize) -> Option<Self> {
        let mut all = callers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.get(&caller).copied().unwrap_or_default();
        if own >= most {
            return None;
        }
        all.insert(caller, own + 1);
        Some(Self { callers: Arc::clone(callers), caller })
    }
}

impl Drop for OfCaller {
    fn drop(&mut self) {
        let mut all = self.callers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get_mut(&self.caller) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                // Who has none in progress is forgotten.
                all.remove(&self.caller);
            }
        }
    }
}
