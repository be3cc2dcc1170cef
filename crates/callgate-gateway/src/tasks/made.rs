//! Calls that waited for an approval as a task, from the moment at which they could go on: what came of them, to be asked
//! for more than once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callgate_model::ambient::Id;
use callgate_model::json::Object;
use tokio::sync::watch;

/// Of how many tasks it is kept; the oldest makes room.
const MADE_MAX: usize = 1_000;
/// How much is kept of them all, in bytes of JSON; the oldest makes room.
const MADE_BYTES_MAX: usize = 64 << 20;

/// What came of tasks, by their approvals. It is gone after a restart; the evidence is not.
#[derive(Debug, Default)]
pub struct Made(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    by_approval: HashMap<Id, watch::Receiver<Told>>,
    /// Those that have ended, the oldest first, and how large what is told of each is.
    ended: VecDeque<(Id, usize)>,
    bytes: usize,
}

/// What describes a task that has ended; `None` while it goes on.
pub type Told = Option<Arc<Object>>;

/// A task that goes on. Dropped without being told how it ended, it is forgotten.
#[derive(Debug)]
pub struct Going {
    made: Arc<Made>,
    approval: Id,
    tell: watch::Sender<Told>,
}

impl Made {
    /// What came of the task of `approval`, if it goes on or has ended; else it goes on from now, and once.
    ///
    /// # Errors
    /// Where it is told what comes of it, if it was begun before.
    pub fn begin(self: &Arc<Self>, approval: Id) -> Result<Going, watch::Receiver<Told>> {
        let mut all = self.lock();
        if let Some(told) = all.by_approval.get(&approval) {
            return Err(told.clone());
        }
        let (tell, told) = watch::channel(None);
        all.by_approval.insert(approval, told);
        Ok(Going { made: Arc::clone(self), approval, tell })
    }

    /// Where it is told what comes of the task of `approval`, if it goes on or has ended.
    pub fn find(&self, approval: Id) -> Option<watch::Receiver<Told>> {
        self.lock().by_approval.get(&approval).cloned()
    }

    /// Forgets what has ended: what may be shown of it was decided by policies that are in force no more (I8).
    pub fn forget_ended(&self) {
        let mut all = self.lock();
        let ended = std::mem::take(&mut all.ended);
        ended.iter().for_each(|(approval, _)| drop(all.by_approval.remove(approval)));
        all.bytes = 0;
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Going {
    /// Where it is told what comes of it.
    pub fn told(&self) -> watch::Receiver<Told> {
        self.tell.subscribe()
    }

    /// Tells how it ended, in about so many bytes.
    pub fn end(self, ended: Object, bytes: usize) {
        self.tell.send_replace(Some(Arc::new(ended)));
        let mut all = self.made.lock();
        all.ended.push_back((self.approval, bytes));
        all.bytes += bytes;
        while all.ended.len() > MADE_MAX || (all.bytes > MADE_BYTES_MAX && all.ended.len() > 1) {
            let Some((oldest, bytes)) = all.ended.pop_front() else { break };
            all.bytes -= bytes;
            all.by_approval.remove(&oldest);
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if self.tell.borrow().is_none() {
            self.made.lock().by_approval.remove(&self.approval);
        }
    }
}

#[cfg(test)]
mod tests {
    use callgate_model::ambient::Timestamp;

    use super::*;

    fn id(number: usize) -> Id {
        Id::new(Timestamp::from_unix_ms(i64::try_from(number).unwrap()), [0; 16])
    }

    fn end(made: &Arc<Made>, number: usize, bytes: usize) {
        let ended = Object::default().with("number", number.to_string());
        made.begin(id(number)).unwrap().end(ended, bytes);
    }

    #[test]
    fn i2_a_task_is_begun_once_and_told_as_often_as_it_is_asked_for() {
        let made = Arc::new(Made::default());
        let going = made.begin(id(1)).unwrap();
        let told = made.begin(id(1)).unwrap_err();
        assert!(told.borrow().is_none() && made.find(id(2)).is_none());
        going.end(Object::default().with("status", "completed"), 1);
        for told in [told, made.find(id(1)).unwrap(), made.begin(id(1)).unwrap_err()] {
            assert_eq!(told.borrow().as_ref().unwrap().to_text(), r#"{"status":"completed"}"#);
        }
        // One that was given up can be begun again: nothing came of it.
        drop(made.begin(id(3)).unwrap());
        assert!(made.begin(id(3)).is_ok());
    }

    #[test]
    fn i8_what_has_ended_is_forgotten_and_what_goes_on_is_not() {
        let made = Arc::new(Made::default());
        end(&made, 1, 5);
        let going = made.begin(id(2)).unwrap();
        made.forget_ended();
        assert!(made.find(id(1)).is_none() && made.find(id(2)).is_some());
        going.end(Object::default(), 5);
        assert!(made.find(id(2)).unwrap().borrow().is_some());
    }

    #[test]
    fn i13_what_is_kept_of_tasks_is_bounded() {
        let made = Arc::new(Made::default());
        (0..MADE_MAX + 10).for_each(|number| end(&made, number, 1));
        assert!(made.find(id(9)).is_none() && made.find(id(10)).is_some());
        let half = MADE_BYTES_MAX / 2;
        (5_000..5_003).for_each(|number| end(&made, number, half));
        let known = |number: usize| made.find(id(number)).is_some();
        assert!(!known(MADE_MAX) && !known(5_000) && known(5_001) && known(5_002));
        // One that is too large alone is kept until the next one.
        end(&made, 6_000, 2 * MADE_BYTES_MAX);
        assert!(known(6_000) && !known(5_002));
    }
}
