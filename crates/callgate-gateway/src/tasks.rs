//! The tasks that servers have made of calls. A server cannot tell whose a task is, for every caller's calls come with the
//! same credential; so a client knows its tasks by ids of the gateway, which are good for nobody else (I6).
//!
//! They are kept in memory: after a restart nobody can ask for a task any more.

pub mod made;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::authority::Under;
use callgate_model::digest::Digest;

use crate::name::NamedCall;
use crate::server::Server;
use made::Made;

/// Tasks in all, and of one caller; the oldest makes room.
const TASKS_MAX: usize = 10_000;
const TASKS_PER_CALLER_MAX: usize = 200;
/// How long a task is known, in milliseconds, whatever its server says.
const TASK_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// How long it is known after its server may have forgotten it.
const GRACE_MS: u64 = 60_000;

/// The tasks.
#[derive(Debug, Default)]
pub struct Tasks {
    of_servers: Mutex<HashMap<String, Arc<TaskOf>>>,
    /// Of those of the gateway itself, what came of them.
    pub made: Arc<Made>,
}

/// A call that goes on as a task.
#[derive(Debug)]
pub struct TaskOf {
    /// Whose it is.
    pub caller: Digest,
    /// The server that works on it.
    pub server: Arc<Server>,
    /// What was allowed, to be decided again whenever somebody asks. Without the arguments.
    pub named: NamedCall,
    /// What the server calls it.
    pub upstream_id: String,
    /// The call that it was made of.
    pub call: Id,
    /// Why the agent said that it called.
    pub why: Option<String>,
    /// What the call was made under.
    pub under: Under,
    /// When it was made.
    pub made: Timestamp,
    /// How long it is known, in milliseconds, as far as the server says.
    pub ttl_ms: Option<u64>,
}

impl TaskOf {
    fn is_over(&self, now: Timestamp) -> bool {
        let ttl = self.ttl_ms.unwrap_or(TASK_MS_MAX).min(TASK_MS_MAX);
        now.ms_since(self.made) > ttl.saturating_add(GRACE_MS)
    }
}

impl Tasks {
    /// Keeps a task, which its client knows by `id`.
    pub fn add(&self, id: String, task: TaskOf, now: Timestamp) {
        let mut all = self.lock();
        if all.len() >= TASKS_MAX {
            all.retain(|_, task| !task.is_over(now));
        }
        let of_caller = |other: &TaskOf| other.caller == task.caller;
        if all.values().filter(|other| of_caller(other)).count() >= TASKS_PER_CALLER_MAX {
            forget_oldest(&mut all, of_caller);
        }
        if all.len() >= TASKS_MAX && !forget_oldest(&mut all, of_caller) {
            forget_oldest(&mut all, |_| true);
        }
        all.insert(id, Arc::new(task));
    }

    /// The task `id` of this caller. `None` if there is none: also for another caller's.
    pub fn find(&self, id: &str, caller: Digest, now: Timestamp) -> Option<Arc<TaskOf>> {
        let mut all = self.lock();
        let task = all.get(id).filter(|task| task.caller == caller).cloned()?;
        if task.is_over(now) {
            all.remove(id);
            return None;
        }
        Some(task)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<TaskOf>>> {
        self.of_servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there was one.
fn forget_oldest(all: &mut HashMap<String, Arc<TaskOf>>, is_one: impl Fn(&TaskOf) -> bool) -> bool {
    let of_these = all.iter().filter(|(_, task)| is_one(task));
    let oldest = of_these.min_by_key(|(_, task)| task.made).map(|(id, _)| id.clone());
    oldest.and_then(|id| all.remove(&id)).is_some()
}
