//! Answers: one document, or messages of which the last is the answer.

use bytes::Bytes;
use callgate_mcp::code;
use callgate_mcp::http::{HeaderValue, StatusCode};
use callgate_mcp::message::RequestId;
use callgate_mcp::reply;
use tokio::sync::{mpsc, oneshot};

/// Messages that may wait for a slow client; more progress than that is dropped.
pub(super) const MESSAGES_WAITING_MAX: usize = 64;

/// An HTTP answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers beyond the content type.
    pub headers: Vec<(&'static str, HeaderValue)>,
    /// Its body.
    pub body: ReplyBody,
}

/// The body of an answer.
#[derive(Debug)]
pub enum ReplyBody {
    /// None.
    Empty,
    /// Messages for as long as the client listens and the gateway serves. In the modern era the last one is the answer.
    Listening(mpsc::Receiver<Bytes>),
    /// Messages, the last of which is the answer.
    Stream(mpsc::Receiver<Bytes>),
    /// One message.
    Whole(Bytes),
}

impl Reply {
    pub(super) const fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: ReplyBody::Empty }
    }

    pub(super) const fn json(status: StatusCode, body: Bytes) -> Self {
        Self { status, headers: Vec::new(), body: ReplyBody::Whole(body) }
    }
}

/// One document if the answer comes first; a stream if anything else does.
pub(super) async fn answer_with(
    mut said: mpsc::Receiver<Bytes>,
    mut last: oneshot::Receiver<Reply>,
    id: &RequestId,
) -> Reply {
    let abandoned = || {
        let text = "the call was abandoned; see the evidence";
        Reply::json(StatusCode::OK, reply::error(Some(id), code::INTERNAL_ERROR, text, None))
    };
    tokio::select! {
        biased;
        Some(first) = said.recv() => {
            let (events, body) = mpsc::channel(MESSAGES_WAITING_MAX);
            tokio::spawn(stream(first, said, last, events));
            Reply { status: StatusCode::OK, headers: Vec::new(), body: ReplyBody::Stream(body) }
        }
        last = &mut last => last.unwrap_or_else(|_abandoned| abandoned()),
    }
}

async fn stream(
    first: Bytes,
    mut said: mpsc::Receiver<Bytes>,
    mut last: oneshot::Receiver<Reply>,
    events: mpsc::Sender<Bytes>,
) {
    let mut next = Some(first);
    while let Some(message) = next {
        if events.send(message).await.is_err() {
            return;
        }
        // The client may go away between two messages: the running call has to learn of it.
        next = tokio::select! {
            biased;
            () = events.closed() => return,
            Some(message) = said.recv() => Some(message),
            last = &mut last => {
                // Nobody is left to hear that it did not arrive.
                if let Ok(reply) = last {
                    go_on(reply.body, &events).await;
                }
                None
            }
        };
    }
}

/// What is still to be said of an answer, in a stream that has begun.
async fn go_on(body: ReplyBody, events: &mpsc::Sender<Bytes>) {
    match body {
        ReplyBody::Empty => {}
        ReplyBody::Whole(answer) => drop(events.send(answer).await),
        ReplyBody::Listening(mut messages) | ReplyBody::Stream(mut messages) => loop {
            tokio::select! {
                biased;
                () = events.closed() => return,
                message = messages.recv() => match message {
                    Some(message) => drop(events.send(message).await),
                    None => return,
                }
            }
        },
    }
}
