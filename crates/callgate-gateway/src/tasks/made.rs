//! Calls that waited for an approval as a task, from the moment at which they could go on: what came of them, to be asked
//! for more than once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callgate_model::json::Object;
use tokio::sync::watch;

/// Of how many tasks it is kept; the oldest makes room.
const MADE_MAX: usize = 1_000;
/// How much is kept of them all, in bytes of JSON; the oldest makes room.
const MADE_BYTES_MAX: usize = 64 << 20;

/// What came of tasks, by their ids. It is gone after a restart; the evidence is not.
#[derive(Debug, Default)]
pub struct Made(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    by_id: HashMap<String, watch::Receiver<Told>>,
    /// Those that have ended, the oldest first, and how large what is told of each is.
    ended: VecDeque<(String, usize)>,
    bytes: usize,
}

/// What describes a task that has ended; `None` while it goes on.
pub type Told = Option<Arc<Object>>;

/// A task that goes on. Dropped without being told how it ended, it is forgotten.
#[derive(Debug)]
pub struct Going {
    made: Arc<Made>,
    id: String,
    tell: watch::Sender<Told>,
}

impl Made {
    /// What came of the task `id`, if it goes on or has ended; else it goes on from now, and once.
    ///
    /// # Errors
    /// Where it is told what comes of it, if it was begun before.
    pub fn begin(self: &Arc<Self>, id: &str) -> Result<Going, watch::Receiver<Told>> {
        let mut all = self.lock();
        if let Some(told) = all.by_id.get(id) {
            return Err(told.clone());
        }
        let (tell, told) = watch::channel(None);
        all.by_id.insert(id.to_owned(), told);
        Ok(Going { made: Arc::clone(self), id: id.to_owned(), tell })
    }

    /// Where it is told what comes of the task `id`, if it goes on or has ended.
    pub fn find(&self, id: &str) -> Option<watch::Receiver<Told>> {
        self.lock().by_id.get(id).cloned()
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
        all.ended.push_back((self.id.clone(), bytes));
        all.bytes += bytes;
        while all.ended.len() > MADE_MAX || (all.bytes > MADE_BYTES_MAX && all.ended.len() > 1) {
            let Some((oldest, bytes)) = all.ended.pop_front() else { break };
            all.bytes -= bytes;
            all.by_id.remove(&oldest);
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if self.tell.borrow().is_none() {
            self.made.lock().by_id.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(made: &Arc<Made>, id: usize, bytes: usize) {
        made.begin(&id.to_string())
            .unwrap()
            .end(Object::default().with("id", id.to_string()), bytes);
    }

    #[test]
    fn i2_a_task_is_begun_once_and_told_as_often_as_it_is_asked_for() {
        let made = Arc::new(Made::default());
        let going = made.begin("t").unwrap();
        let told = made.begin("t").unwrap_err();
        assert!(told.borrow().is_none() && made.find("u").is_none());
        going.end(Object::default().with("status", "completed"), 1);
        for told in [told, made.find("t").unwrap(), made.begin("t").unwrap_err()] {
            assert_eq!(told.borrow().as_ref().unwrap().to_text(), r#"{"status":"completed"}"#);
        }
        // One that was given up can be begun again: nothing came of it.
        drop(made.begin("v").unwrap());
        assert!(made.begin("v").is_ok());
    }

    #[test]
    fn i13_what_is_kept_of_tasks_is_bounded() {
        let made = Arc::new(Made::default());
        (0..MADE_MAX + 10).for_each(|id| end(&made, id, 1));
        assert!(made.find("9").is_none() && made.find("10").is_some());
        let half = MADE_BYTES_MAX / 2;
        (5_000..5_003).for_each(|id| end(&made, id, half));
        let known = |id: usize| made.find(&id.to_string()).is_some();
        assert!(!known(MADE_MAX) && !known(5_000) && known(5_001) && known(5_002));
        // One that is too large alone is kept until the next one.
        end(&made, 6_000, 2 * MADE_BYTES_MAX);
        assert!(known(6_000) && !known(5_002));
    }
}
