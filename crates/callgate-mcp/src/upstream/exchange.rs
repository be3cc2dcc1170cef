//! One request and its answer, as one JSON document or as a stream of events.
//!
//! An answer is what carries the id of the request; status and media type only decide how to look for it.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use callgate_model::json::Object;
use futures_util::future::{AbortHandle, BoxFuture, abortable};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use http::header::CONTENT_ENCODING;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::connection::{Connection, next};
use super::outgoing::{Outgoing, cancelled};
use super::question::{Answered, Answering, Patience, Question, declined};
use super::{CallError, CallErrorKind, OnTold, Told};
use crate::headers::{self, MediaType};
use crate::message::{Message, Request, RequestId, Response, RpcError, may_ask};
use crate::sse::{SseError, SseEvent, SseLimits, SseParser};

/// For a cancellation to be sent.
const CANCEL_WITHIN: Duration = Duration::from_secs(5);

/// The answer to one request.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// What the server calls a session it opened.
    pub(super) session_id: Option<HeaderValue>,
    /// The size of the answer.
    pub(super) bytes: usize,
    pub(super) outcome: Result<Object, RpcError>,
}

impl Connection {
    /// Sends a request and reads its answer.
    pub(super) async fn exchange(
        &self,
        outgoing: Outgoing,
        patience: &Patience,
        on_told: OnTold<'_>,
    ) -> Result<Reply, CallError> {
        let abandoned = outgoing.cancel.then(|| Abandoned::new(self, &outgoing));
        let exchanged = async {
            let response = self.post(outgoing.headers.clone(), outgoing.body.clone()).await?;
            let (parts, body) = response.into_parts();
            let read = self.read(&parts, body, &outgoing, patience, on_told).await;
            let (bytes, outcome) = read.map_err(CallError::after_sending)?;
            let session_id = parts.headers.get(headers::SESSION_ID).cloned();
            Ok(Reply { status: parts.status, session_id, bytes, outcome })
        };
        let exchanged = exchanged.await;
        if let Some(abandoned) = abandoned {
            abandoned.answered();
        }
        exchanged
    }

    async fn read(
        &self,
        parts: &Parts,
        body: Incoming,
        outgoing: &Outgoing,
        patience: &Patience,
        on_told: OnTold<'_>,
    ) -> Result<(usize, Outcome), CallErrorKind> {
        let media_type = headers::media_type(&parts.headers);
        match parts.status.as_u16() {
            401 | 403 => Err(CallErrorKind::Unauthorized),
            200 if parts.headers.contains_key(CONTENT_ENCODING) => Err(not_mcp("compressed")),
            200 => match media_type {
                Some(MediaType::Json) => {
                    let bytes = self.read_whole(body).await?;
                    Ok((bytes.len(), self.answer_in(&bytes, outgoing)?))
                }
                Some(MediaType::EventStream) => {
                    self.read_events(body, outgoing, patience, on_told).await
                }
                None => Err(not_mcp("neither application/json nor text/event-stream")),
            },
            status @ 400..500 => {
                let refused = CallErrorKind::Status(status);
                if media_type != Some(MediaType::Json) {
                    return Err(refused);
                }
                let bytes = self.read_whole(body).await?;
                self.refusal_in(&bytes, outgoing)
                    .map(|error| (bytes.len(), Err(error)))
                    .ok_or(refused)
            }
            status @ (300..400 | 500..) => Err(CallErrorKind::Status(status)),
            status => Err(not_mcp(&format!("status {status}"))),
        }
    }

    pub(super) async fn read_whole(&self, mut body: Incoming) -> Result<Vec<u8>, CallErrorKind> {
        let max = self.limits.response_bytes_max;
        if body.size_hint().lower() > max as u64 {
            return Err(CallErrorKind::TooLarge);
        }
        let mut whole = Vec::new();
        while let Some(data) = next(&mut body).await? {
            if whole.len() + data.len() > max {
                return Err(CallErrorKind::TooLarge);
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole)
    }

    fn answer_in(&self, bytes: &[u8], outgoing: &Outgoing) -> Result<Outcome, CallErrorKind> {
        match self.message(bytes)? {
            Message::Response(response) => answer(response, outgoing),
            Message::Request(_) | Message::Notification(_) => Err(not_mcp("not a response")),
        }
    }

    /// The error in a refused request, which may say that the id could not be read.
    fn refusal_in(&self, bytes: &[u8], outgoing: &Outgoing) -> Option<RpcError> {
        match self.message(bytes).ok()? {
            Message::Response(Response { id, outcome: Err(error) })
                if id.as_ref().is_none_or(|id| *id == outgoing.id) =>
            {
                Some(error)
            }
            Message::Response(_) | Message::Request(_) | Message::Notification(_) => None,
        }
    }

    fn message(&self, bytes: &[u8]) -> Result<Message, CallErrorKind> {
        Message::read_from_server(bytes, &self.limits.json())
            .map_err(|malformed| CallErrorKind::NotMcp(malformed.detail))
    }

    async fn read_events(
        &self,
        mut body: Incoming,
        outgoing: &Outgoing,
        patience: &Patience,
        on_told: OnTold<'_>,
    ) -> Result<(usize, Outcome), CallErrorKind> {
        let mut parser = SseParser::new(SseLimits {
            event_bytes_max: self.limits.event_bytes_max,
            total_bytes_max: self.limits.response_bytes_max,
        });
        let mut events = Vec::new();
        let mut asking = Asking::new(self, outgoing, patience);
        while let Some(data) = asking.until(next(&mut body)).await? {
            let pushed = parser.push(&data, &mut events);
            for event in events.drain(..).filter(carries_message) {
                match self.message(event.data.as_bytes())? {
                    Message::Response(response) => {
                        return Ok((event.data.len(), answer(response, outgoing)?));
                    }
                    Message::Notification(told) => match told.cancels() {
                        Some(question) => asking.withdraw(&question),
                        None => on_told(&outgoing.id, Told::Notification(told)),
                    },
                    Message::Request(request) if outgoing.legacy => {
                        if let Some(question) = asking.take(request).await? {
                            on_told(&outgoing.id, Told::Question(question));
                        }
                    }
                    Message::Request(_) => return Err(not_mcp("a request from the server")),
                }
            }
            pushed.map_err(|error| match error {
                SseError::EventTooLong { .. } | SseError::StreamTooLong { .. } => {
                    CallErrorKind::TooLarge
                }
                SseError::NotUtf8 => CallErrorKind::NotMcp(error.to_string()),
            })?;
        }
        Err(not_mcp("the stream ended without an answer"))
    }
}

/// What a server asks while it works on one request, and the answers on their way to it.
struct Asking<'a> {
    connection: &'a Connection,
    outgoing: &'a Outgoing,
    patience: &'a Patience,
    asked: usize,
    answers: FuturesUnordered<BoxFuture<'a, ()>>,
    open: HashMap<RequestId, AbortHandle>,
}

impl<'a> Asking<'a> {
    fn new(connection: &'a Connection, outgoing: &'a Outgoing, patience: &'a Patience) -> Self {
        let (answers, open) = (FuturesUnordered::new(), HashMap::new());
        Self { connection, outgoing, patience, asked: 0, answers, open }
    }

    /// Waits for `data`, and sends answers meanwhile.
    async fn until<T>(&mut self, data: impl Future<Output = T>) -> T {
        tokio::pin!(data);
        loop {
            tokio::select! {
                data = &mut data => return data,
                Some(()) = self.answers.next() => {}
            }
        }
    }

    /// Takes a request of the server: as a question, if the client may be asked; or it is answered at once.
    async fn take(&mut self, request: Request) -> Result<Option<Question>, CallErrorKind> {
        self.asked += 1;
        if self.asked > self.connection.limits.server_requests_max {
            return Err(CallErrorKind::TooLarge);
        }
        let id = request.id.clone();
        let (question, saying) = put(request, &self.outgoing.capabilities, self.patience);
        let (connection, headers) = (self.connection, &self.outgoing.headers);
        let own = id.clone();
        let answer = async move {
            let body = saying.body(own).await;
            // An answer that gets lost costs nothing but the server's patience.
            drop(connection.post(headers.clone(), body).await);
        };
        if question.is_none() {
            answer.await;
            return Ok(None);
        }
        let (answer, handle) = abortable(answer);
        self.answers.push(answer.map(drop).boxed());
        self.open.insert(id, handle);
        Ok(question)
    }

    /// The server does not want to know any more.
    fn withdraw(&mut self, question: &RequestId) {
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

/// A request that a legacy server is told is cancelled if this is dropped before there is an answer.
struct Abandoned {
    connection: Connection,
    headers: HeaderMap,
    id: RequestId,
    is_answered: bool,
}

impl Abandoned {
    fn new(connection: &Connection, outgoing: &Outgoing) -> Self {
        let (headers, id) = (outgoing.headers.clone(), outgoing.id.clone());
        Self { connection: connection.clone(), headers, id, is_answered: false }
    }

    fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.is_answered {
            return;
        }
        let (connection, headers) = (self.connection.clone(), std::mem::take(&mut self.headers));
        let body = cancelled(&self.id).into_bytes();
        runtime.spawn(async move {
            let told = timeout(CANCEL_WITHIN, connection.post(headers, body)).await;
            if !matches!(told, Ok(Ok(_))) {
                tracing::debug!("a cancellation did not reach the server");
            }
        });
    }
}

type Outcome = Result<Object, RpcError>;

/// R03: what answers another request is never passed on.
fn answer(response: Response, outgoing: &Outgoing) -> Result<Outcome, CallErrorKind> {
    if response.id.as_ref() == Some(&outgoing.id) {
        Ok(response.outcome)
    } else {
        Err(not_mcp("a response to another request"))
    }
}

/// An event without data primes a stream for resuming, which is not done.
fn carries_message(event: &SseEvent) -> bool {
    event.kind == "message" && !event.data.is_empty()
}

fn not_mcp(what: &str) -> CallErrorKind {
    CallErrorKind::NotMcp(what.to_owned())
}
