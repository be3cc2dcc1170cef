//! What a server over HTTP asks on one stream, and the answers on their way to it.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use callgate_model::json::Object;
use futures_util::future::{AbortHandle, BoxFuture, abortable};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use http::HeaderMap;
use tokio::time::timeout;

use super::CallErrorKind;
use super::connection::Connection;
use super::question::{Answered, Answering, Patience, Question, declined};
use crate::message::{Request, RequestId, Response, may_ask};

/// Requests of a server on one stream that have no answer yet.
const UNANSWERED_MAX: usize = 64;
/// For a server to take an answer.
const TAKES_WITHIN: Duration = Duration::from_secs(10);

/// The requests of a server on one stream.
pub(super) struct Asking<'a> {
    connection: &'a Connection,
    headers: &'a HeaderMap,
    /// What the client can be asked.
    capabilities: &'a Object,
    /// Questions that were put.
    count: usize,
    /// What the client has to answer.
    questions: FuturesUnordered<BoxFuture<'a, RequestId>>,
    open: HashMap<RequestId, AbortHandle>,
    /// What is answered without it.
    others: FuturesUnordered<BoxFuture<'a, ()>>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        headers: &'a HeaderMap,
        capabilities: &'a Object,
    ) -> Self {
        let (questions, others) = (FuturesUnordered::new(), FuturesUnordered::new());
        let open = HashMap::new();
        Self { connection, headers, capabilities, count: 0, questions, open, others }
    }

    /// Waits for `data`, and sends answers meanwhile.
    pub(super) async fn until<T>(&mut self, data: impl Future<Output = T>) -> T {
        tokio::pin!(data);
        loop {
            tokio::select! {
                data = &mut data => return data,
                Some(answered) = self.questions.next() => drop(self.open.remove(&answered)),
                Some(()) = self.others.next() => {}
            }
        }
    }

    /// Sends the answers that wait for nobody. The stream has ended.
    pub(super) async fn finish(mut self) {
        while self.others.next().await.is_some() {}
    }

    /// From now on only what is open counts: a stream that stays may ask as often as it likes.
    pub(super) fn forget_answered(&mut self) {
        self.count = self.open.len();
    }

    /// Takes a request of the server: as a question, if the client may be asked; or it is answered.
    pub(super) fn take(
        &mut self,
        request: Request,
        patience: &Patience,
    ) -> Result<Option<Question>, CallErrorKind> {
        let id = request.id.clone();
        let (question, saying) = put(request, self.capabilities, patience);
        if self.others.len() >= UNANSWERED_MAX || self.open.contains_key(&id) {
            return Err(CallErrorKind::TooLarge);
        }
        let (connection, headers, own) = (self.connection, self.headers, id.clone());
        let answer = async move {
            let body = saying.body(own).await;
            // An answer that gets lost costs nothing but the server's patience.
            drop(timeout(TAKES_WITHIN, connection.post(headers.clone(), body)).await);
        };
        if question.is_none() {
            self.others.push(answer.boxed());
            return Ok(None);
        }
        self.count += 1;
        if self.count > self.connection.limits.server_requests_max {
            return Err(CallErrorKind::TooLarge);
        }
        let (answer, handle) = abortable(answer);
        let own = id.clone();
        self.questions.push(answer.map(|_answered| own).boxed());
        self.open.insert(id, handle);
        Ok(question)
    }

    /// The server does not want to know any more.
    pub(super) fn withdraw(&mut self, question: &RequestId) {
        if let Some(handle) = self.open.remove(question) {
            handle.abort();
        }
    }
}

/// What is to be said to a request of a server.
pub(super) enum Saying {
    Now(Answered),
    Later(Answering),
}

/// A request of a legacy server: a question, if it is within `capabilities`. Beside these it can only ask whether we are
/// there.
pub(super) fn put(
    request: Request,
    capabilities: &Object,
    patience: &Patience,
) -> (Option<Question>, Saying) {
    let Request { method, params, .. } = &request;
    if method == "ping" {
        return (None, Saying::Now(Ok(Object::default())));
    }
    if !may_ask(method, Some(&params.clone().into()), capabilities) {
        return (None, Saying::Now(Err(declined())));
    }
    let (question, answering) = Question::new(request, patience);
    (Some(question), Saying::Later(answering))
}

impl Saying {
    /// The answer to the request `id`.
    pub(super) async fn body(self, id: RequestId) -> Bytes {
        let outcome = match self {
            Self::Now(answered) => answered,
            Self::Later(answering) => answering.await.unwrap_or_else(|_dropped| Err(declined())),
        };
        Response { id: Some(id), outcome }.into_bytes()
    }
}
