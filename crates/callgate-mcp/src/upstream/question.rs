//! What a server of the legacy era asks its client for, in the middle of its work.

use std::time::Duration;

use callgate_model::json::Object;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::code;
use crate::message::{Request, RpcError};

/// How long the time of one call can stand still in all, however often its server asks.
const STANDS_STILL_MAX: Duration = Duration::from_secs(15 * 60);

/// What a client answers.
pub type Answered = Result<Object, RpcError>;

/// Something that a server asks the client for. Dropped, it is declined.
#[derive(Debug)]
pub struct Question {
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: String,
    /// Its parameters, as the server wrote them.
    pub params: Object,
    /// Whether it is of the call that it comes with, and not of another one of the same session.
    pub is_certain: bool,
    answer: oneshot::Sender<Answered>,
    /// The server's time stands still until there is an answer.
    held: Vec<Held>,
}

/// The answer to a [`Question`], to come.
pub(super) type Answering = oneshot::Receiver<Answered>;

impl Question {
    pub(super) fn new(request: Request, patience: &Patience) -> (Self, Answering) {
        let (answer, answering) = oneshot::channel();
        let Request { method, params, .. } = request;
        let held = vec![patience.hold()];
        (Self { method, params, is_certain: true, answer, held }, answering)
    }

    /// It may be of any of these calls: the time of each stands still.
    pub(super) fn of_any<'a>(&mut self, calls: impl Iterator<Item = &'a Patience>) {
        self.held = calls.map(Patience::hold).collect();
        self.is_certain = self.held.len() == 1;
    }

    /// Gives the server the client's answer.
    pub fn answer(self, answered: Answered) {
        // A server that does not wait any more has its reasons.
        self.answer.send(answered).ok();
    }

    /// Ready when the server does not wait for an answer any more.
    pub async fn withdrawn(&mut self) {
        self.answer.closed().await;
    }
}

/// What is said to a server whose question nobody takes.
pub(super) fn declined() -> RpcError {
    let message = "the client serves no such request".to_owned();
    RpcError { code: code::METHOD_NOT_FOUND, message, data: None }
}

/// How many questions of a server are open. For as long as there is one it is the client that is waited for, and the
/// server's time does not pass. Clones are of one.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience(watch::Sender<usize>);

#[derive(Debug)]
struct Held(Patience);

impl Patience {
    fn hold(&self) -> Held {
        self.0.send_modify(|open| *open += 1);
        Held(self.clone())
    }

    /// Waits for `future` until `deadline`, which moves by as long as questions are open. `None` if it was too long.
    pub(super) async fn within<T>(
        &self,
        deadline: Instant,
        mut future: impl Future<Output = T> + Unpin,
    ) -> Option<T> {
        let mut open = self.0.subscribe();
        let mut left = deadline.saturating_duration_since(Instant::now());
        let mut still = STANDS_STILL_MAX;
        loop {
            let (held, since) = (*open.borrow_and_update() > 0, Instant::now());
            let left = if held { &mut still } else { &mut left };
            tokio::select! {
                biased;
                out = &mut future => return Some(out),
                // It cannot fail: the sender is ours.
                _ = open.changed() => *left = left.saturating_sub(since.elapsed()),
                () = sleep(*left) => return None,
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::RequestId;
    use std::future::pending;

    fn asked(patience: &Patience) -> (Question, Answering) {
        let id = RequestId::Number(1);
        let request = Request { id, method: "roots/list".to_owned(), params: Object::default() };
        Question::new(request, patience)
    }

    #[tokio::test]
    async fn a_servers_time_stands_still_while_the_client_is_asked() {
        let (patience, begun) = (Patience::default(), Instant::now());
        let asking = async {
            sleep(Duration::from_millis(100)).await;
            let (question, answering) = asked(&patience);
            sleep(Duration::from_millis(900)).await;
            question.answer(Ok(Object::default()));
            assert_eq!(answering.await, Ok(Ok(Object::default())));
            pending::<()>().await;
        };
        let deadline = begun + Duration::from_millis(300);
        assert_eq!(patience.within(deadline, Box::pin(asking)).await, None);
        assert!(begun.elapsed() >= Duration::from_millis(1200), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_question_that_is_dropped_is_declined_and_one_that_nobody_waits_for_is_withdrawn() {
        let patience = Patience::default();
        let (question, answering) = asked(&patience);
        drop(question);
        assert!(answering.await.is_err());
        let (mut question, answering) = asked(&patience);
        drop(answering);
        question.withdrawn().await;
        drop(question);
        assert_eq!(*patience.0.borrow(), 0);
    }
}
