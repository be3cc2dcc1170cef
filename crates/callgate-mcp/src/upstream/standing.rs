//! The stream on which a server of the legacy era over HTTP says what belongs to no request: changes of its lists, and,
//! with some SDKs, what it asks its client while it works on a call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use callgate_model::json::Object;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::asking::Asking;
use super::connection::{Connection, next};
use super::exchange::{Reply, carries_message, not_mcp, unreadable};
use super::follow::Silence;
use super::outgoing::Outgoing;
use super::question::Patience;
use super::{CallError, CallErrorKind, OnTold, Question, Told};
use crate::headers::{self, MediaType};
use crate::message::{Message, RequestId};
use crate::sse::{SseLimits, SseParser};

/// For the stream to be there before a call is made whose server may ask on it.
const READY_WITHIN: Duration = Duration::from_secs(2);
/// How long the stream is kept when no call is on its way.
const LINGER: Duration = Duration::from_secs(30);
/// Before a stream that ended is opened again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Questions on the stream of the session while one call is on its way.
const QUESTIONS_MAX: usize = 16;
/// Questions that wait for the client of one call.
const QUESTIONS_WAITING_MAX: usize = 16;

impl Connection {
    /// Hears what the server says on the stream of the session that is in `headers`, until it ends. `opened` is called
    /// when the server has agreed to it.
    pub(super) async fn stand(
        &self,
        mut headers: HeaderMap,
        capabilities: &Object,
        patience: impl Fn() -> Patience + Send,
        opened: impl FnOnce() + Send,
        mut on_told: impl FnMut(Told) + Send,
    ) -> Result<Silence, CallErrorKind> {
        let of_answers = headers.clone();
        headers.remove(CONTENT_TYPE);
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let (parts, mut body) = self.get(headers).await.map_err(|e| e.kind)?.into_parts();
        let is_stream = headers::media_type(&parts.headers) == Some(MediaType::EventStream);
        match parts.status.as_u16() {
            200 if is_stream && !parts.headers.contains_key(CONTENT_ENCODING) => opened(),
            401 | 403 => return Err(CallErrorKind::Unauthorized),
            404 => return Ok(Silence::Lost),
            200 | 400..500 => return Ok(Silence::Never),
            status => return Err(CallErrorKind::Status(status)),
        }
        let mut parser = SseParser::new(SseLimits {
            event_bytes_max: self.limits.event_bytes_max,
            total_bytes_max: usize::MAX,
        });
        let (mut events, mut asking) = (Vec::new(), Asking::new(self, &of_answers, capabilities));
        while let Some(data) = asking.until(next(&mut body)).await? {
            let pushed = parser.push(&data, &mut events);
            for event in events.drain(..).filter(carries_message) {
                match self.message(event.data.as_bytes())? {
                    Message::Notification(told) => match told.cancels() {
                        Some(question) => asking.withdraw(&question),
                        None => on_told(Told::Notification(told)),
                    },
                    Message::Request(request) => {
                        asking.forget_answered();
                        if let Some(question) = asking.take(request, &patience())? {
                            on_told(Told::Question(question));
                        }
                    }
                    // R03: nothing was asked on this stream.
                    Message::Response(_) => return Err(not_mcp("an answer to no request")),
                }
            }
            pushed.map_err(unreadable)?;
        }
        Ok(Silence::Ended)
    }
}

impl Connection {
    /// Sends a request in a session whose client can be asked, and reads its answer. The server may ask on the stream of the
    /// answer or on that of the session.
    pub(super) async fn exchange_asking(
        &self,
        outgoing: Outgoing,
        calls: &Calls,
        patience: &Patience,
        on_told: OnTold<'_>,
    ) -> Result<Reply, CallError> {
        let (headers, capabilities) = (outgoing.headers.clone(), &outgoing.capabilities);
        let mut attending = calls.attend(self, headers, capabilities, patience).await;
        let (id, on_told) = (outgoing.id.clone(), Mutex::new(on_told));
        let tell = |id: &RequestId, told| {
            (on_told.lock().unwrap_or_else(PoisonError::into_inner))(id, told);
        };
        let mut on_answer = tell;
        let mut exchange = Box::pin(self.exchange(outgoing, patience, &mut on_answer));
        loop {
            tokio::select! {
                reply = &mut exchange => return reply,
                Some(question) = attending.questions.recv() => tell(&id, Told::Question(question)),
            }
        }
    }
}

/// The calls on their way in one session whose client can be asked, and the stream on which it may be.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    calls: Mutex<Vec<Call>>,
    count: watch::Sender<usize>,
    stream: watch::Sender<Stream>,
    /// Those of the latest call: the credential of an earlier one may have ended.
    headers: Mutex<HeaderMap>,
}

#[derive(Debug)]
struct Call {
    number: u64,
    patience: Patience,
    questions: mpsc::Sender<Question>,
    /// How often it was asked by this way.
    asked: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stream {
    #[default]
    Closed,
    Opening,
    Open,
    /// The server has none.
    Never,
}

/// One call, for as long as this is kept.
#[derive(Debug)]
pub(super) struct Attending {
    calls: Calls,
    number: u64,
    pub(super) questions: mpsc::Receiver<Question>,
}

impl Calls {
    /// Lets the client of a call be asked, which is about to be made.
    pub(super) async fn attend(
        &self,
        connection: &Connection,
        headers: HeaderMap,
        capabilities: &Object,
        patience: &Patience,
    ) -> Attending {
        let attending = self.enter(patience.clone());
        *self.headers() = headers;
        let opens = self.0.stream.send_if_modified(|stream| {
            let closed = *stream == Stream::Closed;
            if closed {
                *stream = Stream::Opening;
            }
            closed
        });
        if opens {
            let (connection, capabilities) = (connection.clone(), capabilities.clone());
            tokio::spawn(self.clone().stay(connection, capabilities));
        }
        let mut stream = self.0.stream.subscribe();
        let ready = timeout(READY_WITHIN, stream.wait_for(|stream| *stream != Stream::Opening));
        if ready.await.is_err() {
            // A server that does not say in time whether it has one is waited for once.
            self.is(Stream::Open);
        }
        attending
    }

    fn enter(&self, patience: Patience) -> Attending {
        let (tell, questions) = mpsc::channel(QUESTIONS_WAITING_MAX);
        let mut calls = self.lock();
        let number = calls.last().map_or(0, |call| call.number + 1);
        calls.push(Call { number, patience, questions: tell, asked: 0 });
        self.0.count.send_replace(calls.len());
        Attending { calls: self.clone(), number, questions }
    }

    /// Keeps the stream open until there have been no calls for a while.
    async fn stay(self, connection: Connection, capabilities: Object) {
        let Ok(_place) = connection.streams.try_acquire() else {
            tracing::warn!("too many sessions are listened to: what is asked there is not heard");
            return self.is(Stream::Never);
        };
        loop {
            let hearing = self.hear(&connection, &capabilities);
            let end = tokio::select! {
                end = hearing => end,
                () = self.idle() => Stream::Closed,
            };
            let calls = self.lock();
            // Who came just now counts on the stream.
            if end != Stream::Closed || calls.is_empty() {
                return self.is(end);
            }
        }
    }

    /// Hears the stream until the server has none for this session.
    async fn hear(&self, connection: &Connection, capabilities: &Object) -> Stream {
        loop {
            let headers = self.headers().clone();
            let patience = Patience::default;
            let (opened, on_told) = (|| self.is(Stream::Open), |told| self.ask(told));
            let heard = connection.stand(headers, capabilities, patience, opened, on_told);
            match heard.await {
                // The next call finds out that the session is gone.
                Ok(Silence::Never | Silence::Lost) => return Stream::Never,
                Ok(Silence::Ended) => {}
                Err(error) => tracing::debug!(%error, "questions are not heard"),
            }
            self.is(Stream::Open);
            sleep(AGAIN_AFTER).await;
        }
    }

    fn headers(&self) -> MutexGuard<'_, HeaderMap> {
        self.0.headers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when there have been no calls for a while.
    async fn idle(&self) {
        let mut count = self.0.count.subscribe();
        loop {
            // It cannot fail: the sender is ours.
            count.wait_for(|count| *count == 0).await.ok();
            if timeout(LINGER, count.wait_for(|count| *count > 0)).await.is_err() {
                return;
            }
        }
    }

    /// Passes on a question. It is not said of which call it is: they are all of one client, so the latest will do.
    fn ask(&self, told: Told) {
        let Told::Question(mut question) = told else { return };
        let mut calls = self.lock();
        question.of_any(calls.iter().map(|call| &call.patience));
        // Dropped, it is declined.
        if let Some(latest) = calls.last_mut().filter(|call| call.asked < QUESTIONS_MAX) {
            latest.asked += 1;
            latest.questions.try_send(question).ok();
        }
    }

    fn is(&self, stream: Stream) {
        self.0.stream.send_replace(stream);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        let mut calls = self.calls.lock();
        calls.retain(|call| call.number != self.number);
        self.calls.0.count.send_replace(calls.len());
    }
}
