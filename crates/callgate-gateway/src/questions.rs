//! What clients of the legacy era were asked and have not answered yet. Nobody answers what somebody else was asked (I6).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use callgate_mcp::upstream::Answered;
use callgate_model::digest::Digest;
use tokio::sync::oneshot;

use crate::session::InSession;

/// Open questions in all, and to one caller.
const QUESTIONS_MAX: usize = 1_000;
const QUESTIONS_PER_CALLER_MAX: usize = 32;

/// The open questions.
#[derive(Debug, Default)]
pub struct Questions(Mutex<HashMap<InSession, oneshot::Sender<Answered>>>);

/// A question that can be answered for as long as this is kept.
#[derive(Debug)]
pub struct Asked {
    questions: Arc<Questions>,
    at: InSession,
    answer: oneshot::Receiver<Answered>,
}

impl Questions {
    /// A question that `at` names. `None` if too many are open, or one of that name.
    pub fn ask(self: &Arc<Self>, at: InSession) -> Option<Asked> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.keys().filter(|other| other.caller == at.caller).count();
        let full = open.len() >= QUESTIONS_MAX || own >= QUESTIONS_PER_CALLER_MAX;
        if full || open.contains_key(&at) {
            return None;
        }
        let (tell, answer) = oneshot::channel();
        open.insert(at.clone(), tell);
        Some(Asked { questions: Arc::clone(self), at, answer })
    }

    /// Answers the question that `at` names; whether there is one.
    pub fn answer(&self, at: &InSession, answered: Answered) -> bool {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(at);
        asked.is_some_and(|asked| asked.send(answered).is_ok())
    }
}

impl Questions {
    /// Nobody will answer what was asked in that session.
    pub fn forget(&self, caller: Digest, session: &str) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|at, _| at.caller != caller || at.session != session);
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Asked {
    /// The answer, when it is there.
    pub async fn answered(&mut self) -> Option<Answered> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.questions.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.at);
    }
}

#[cfg(test)]
mod tests {
    use callgate_mcp::message::RequestId;
    use callgate_model::json::Object;

    use super::*;

    fn at(caller: &str, session: &str, id: i64) -> InSession {
        let (caller, session) = (Digest::of(caller.as_bytes()), session.to_owned());
        InSession { caller, session, id: RequestId::Number(id) }
    }

    #[tokio::test]
    async fn i6_only_who_was_asked_answers_and_once() {
        let questions = Arc::new(Questions::default());
        let mut asked = questions.ask(at("alice", "s", 1)).unwrap();
        let answer = || Ok(Object::default());
        for other in [at("bob", "s", 1), at("alice", "t", 1), at("alice", "s", 2)] {
            assert!(!questions.answer(&other, answer()), "{other:?}");
        }
        assert!(questions.answer(&at("alice", "s", 1), answer()));
        assert!(!questions.answer(&at("alice", "s", 1), answer()));
        assert_eq!(asked.answered().await, Some(answer()));
        drop(questions.ask(at("alice", "s", 2)));
        assert!(!questions.answer(&at("alice", "s", 2), answer()), "nobody waits for it");
    }

    #[test]
    fn i13_questions_are_bounded() {
        let questions = Arc::new(Questions::default());
        let ask = |caller: String, id| questions.ask(at(&caller, "s", id));
        let own: Vec<_> = (0..40).filter_map(|id| ask("alice".to_owned(), id)).collect();
        assert_eq!(own.len(), QUESTIONS_PER_CALLER_MAX);
        let all: Vec<_> = (0..2000).filter_map(|id| ask(format!("caller {id}"), id)).collect();
        assert_eq!(own.len() + all.len(), QUESTIONS_MAX);
    }
}
