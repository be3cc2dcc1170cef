//! One request and its answer, as one JSON document or as a stream of events.
//!
//! An answer is what carries the id of the request; status and media type only decide how to look for it.

use std::time::Duration;

use callgate_model::json::Object;
use http::header::CONTENT_ENCODING;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::asking::Asking;
use super::connection::{Connection, next};
use super::outgoing::{Outgoing, cancelled};
use super::question::Patience;
use super::{CallError, CallErrorKind, OnTold, Told};
use crate::headers::{self, MediaType};
use crate::message::{Message, RequestId, Response, RpcError};
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
            let mut headers = outgoing.headers.clone();
            if let Some(assertion) = &outgoing.assertion {
                headers.insert(headers::ASSERTION, assertion.clone());
            }
            let response = self.post(headers, outgoing.body.clone()).await?;
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

    pub(crate) async fn read_whole(&self, mut body: Incoming) -> Result<Vec<u8>, CallErrorKind> {
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

    pub(super) fn message(&self, bytes: &[u8]) -> Result<Message, CallErrorKind> {
        Message::read_from_server(bytes, &self.limits.json())
            .map_err(|malformed| CallErrorKind::NotMcp(malformed.detail))
    }

    async fn read_events(
        &self,
        body: Incoming,
        outgoing: &Outgoing,
        patience: &Patience,
        on_told: OnTold<'_>,
    ) -> Result<(usize, Outcome), CallErrorKind> {
        let mut asking = Asking::new(self, &outgoing.headers, &outgoing.capabilities);
        let read = self.read_to_answer(body, outgoing, &mut asking, patience, on_told).await;
        asking.finish().await;
        read
    }

    async fn read_to_answer(
        &self,
        mut body: Incoming,
        outgoing: &Outgoing,
        asking: &mut Asking<'_>,
        patience: &Patience,
        on_told: OnTold<'_>,
    ) -> Result<(usize, Outcome), CallErrorKind> {
        let mut parser = SseParser::new(SseLimits {
            event_bytes_max: self.limits.event_bytes_max,
            total_bytes_max: self.limits.response_bytes_max,
        });
        let mut events = Vec::new();
        loop {
            let broken = loop {
                let data = match asking.until(next(&mut body)).await {
                    Ok(Some(data)) => data,
                    Ok(None) => break not_mcp("the stream ended without an answer"),
                    Err(broken) => break broken,
                };
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
                            if let Some(question) = asking.take(request, patience)? {
                                on_told(&outgoing.id, Told::Question(question));
                            }
                        }
                        Message::Request(_) => return Err(not_mcp("a request from the server")),
                    }
                }
                pushed.map_err(unreadable)?;
            };
            let resumed = asking.until(self.resume(outgoing, &mut parser)).await?;
            body = resumed.ok_or(broken)?;
        }
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

/// An event without data says only where a stream can be resumed.
pub(super) fn carries_message(event: &SseEvent) -> bool {
    event.kind == "message" && !event.data.is_empty()
}

pub(super) fn unreadable(error: SseError) -> CallErrorKind {
    match error {
        SseError::EventTooLong { .. } | SseError::StreamTooLong { .. } => CallErrorKind::TooLarge,
        SseError::NotUtf8 => CallErrorKind::NotMcp(error.to_string()),
    }
}

pub(super) fn not_mcp(what: &str) -> CallErrorKind {
    CallErrorKind::NotMcp(what.to_owned())
}
