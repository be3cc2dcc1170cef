//! Calls that their client may cancel by naming them: in the legacy era over HTTP going away cancels nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::session::InSession;

/// The calls on their way that can be cancelled by name.
#[derive(Debug, Default)]
pub struct Cancels(Mutex<HashMap<InSession, Arc<Notify>>>);

/// A call that can be cancelled for as long as this is kept.
#[derive(Debug)]
pub struct Registered {
    cancels: Arc<Cancels>,
    call: InSession,
    cancelled: Arc<Notify>,
}

impl Cancels {
    /// Registers `call`. `None` if one of that name is on its way already.
    pub fn register(self: &Arc<Self>, call: InSession) -> Option<Registered> {
        let cancelled = Arc::new(Notify::new());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.contains_key(&call) {
            return None;
        }
        all.insert(call.clone(), Arc::clone(&cancelled));
        Some(Registered { cancels: Arc::clone(self), call, cancelled })
    }

    /// Cancels `call`, if it is on its way.
    pub fn cancel(&self, call: &InSession) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cancelled) = all.get(call) {
            cancelled.notify_one();
        }
    }
}

impl Registered {
    /// Ready when it is cancelled.
    pub async fn cancelled(&self) {
        self.cancelled.notified().await;
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.cancels.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.call);
    }
}
