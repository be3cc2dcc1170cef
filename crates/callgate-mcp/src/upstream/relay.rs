//! Messages of a client that only knows pipes, passed to a server over HTTP as they are, with the headers that HTTP wants.
//!
//! Unlike the rest of the client half this asks nothing of its own, but to open a lost session again as the client had
//! opened it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use callgate_model::json::{Json, Object};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::connection::{Connection, next};
use super::follow::Silence;
use super::outgoing::base_headers;
use super::question::Patience;
use super::session::initialized;
use super::{CallErrorKind, Told, UnusableUpstream, UpstreamLimits};
use crate::code;
use crate::headers::{self, MediaType};
use crate::inbound::{META_VERSION, mirrored_member};
use crate::message::{Message, Notification, Request, Response};
use crate::mirror::param_headers;
use crate::reply;
use crate::sse::{SseLimits, SseParser};

/// Before a stream that ended is opened again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A server over HTTP, as one client sees it.
#[derive(Debug)]
pub struct Relay {
    connection: Connection,
    credential: Option<HeaderValue>,
    session: Mutex<Session>,
    /// Held while a lost session is opened again: who loses it meanwhile finds the new one.
    reopening: tokio::sync::Mutex<()>,
    /// The input schemas of the tools that were listed: headers mirror arguments by them.
    schemas: Mutex<HashMap<String, Json>>,
}

/// What `initialize` agreed on.
#[derive(Clone, Debug, Default)]
struct Session {
    /// As the client sent it, to be sent again if the session is lost.
    opening: Option<Request>,
    id: Option<HeaderValue>,
    version: Option<HeaderValue>,
}

impl Relay {
    /// A relay to `url` with the value of `Authorization`.
    ///
    /// # Errors
    /// [`UnusableUpstream`].
    pub fn new(
        url: Uri,
        credential: Option<HeaderValue>,
        limits: UpstreamLimits,
    ) -> Result<Self, UnusableUpstream> {
        Ok(Self {
            connection: Connection::new(url, limits)?,
            credential,
            session: Mutex::default(),
            reopening: tokio::sync::Mutex::default(),
            schemas: Mutex::default(),
        })
    }

    /// Whether the client opened a session: a call in it is cancelled by name.
    #[must_use]
    pub fn has_session(&self) -> bool {
        self.session().id.is_some()
    }

    /// Passes a request on, and what comes back before the answer to `out`. There is always an answer, if only that there
    /// is none.
    pub async fn request(&self, request: Request, out: &mpsc::Sender<Bytes>) -> Bytes {
        let id = request.id.clone();
        if request.method == "initialize" {
            self.session().opening = Some(request.clone());
        }
        self.ask(&request, out).await.unwrap_or_else(|error| {
            reply::error(Some(&id), code::INTERNAL_ERROR, &error.to_string(), None)
        })
    }

    /// Passes a notification on.
    pub async fn notification(&self, notification: Notification) {
        let headers = self.headers(&notification.method, &notification.params);
        if let Err(error) = self.connection.post(headers, notification.into_bytes()).await {
            tracing::debug!(%error, "a notification was not passed on");
        }
    }

    /// Passes on what the client answers to a request of the server.
    pub async fn response(&self, response: Response) {
        let headers = self.headers("", &Object::default());
        if let Err(error) = self.connection.post(headers, response.into_bytes()).await {
            tracing::debug!(%error, "an answer was not passed on");
        }
    }

    /// Passes on what the server says in the client's session by itself, for as long as there is a session and a client.
    pub async fn listen(&self, out: &mpsc::Sender<Bytes>) {
        while self.has_session() {
            match self.hear(out).await {
                Ok(Silence::Never) => return,
                // The next request opens a lost session again.
                Ok(Silence::Ended | Silence::Lost) => {}
                Err(error) => tracing::debug!(%error, "the server is not heard"),
            }
            tokio::select! {
                () = sleep(AGAIN_AFTER) => {}
                () = out.closed() => return,
            }
        }
    }

    async fn hear(&self, out: &mpsc::Sender<Bytes>) -> Result<Silence, CallErrorKind> {
        let (headers, none) = (self.headers("", &Object::default()), Object::default());
        let on_told = |told| {
            let message = match told {
                Told::Notification(notification) => notification.into_bytes(),
                // Over HTTP it asks on the stream of the call.
                Told::Question(_) => return,
            };
            // What a slow client does not take is lost: it is told again when something changes again.
            out.try_send(message).ok();
        };
        self.connection.stand(headers, &none, Patience::default, || {}, on_told).await
    }

    async fn ask(
        &self,
        request: &Request,
        out: &mpsc::Sender<Bytes>,
    ) -> Result<Bytes, CallErrorKind> {
        let session = self.session().id.clone().filter(|_| request.method != "initialize");
        let (mut parts, mut body) = self.post(request).await?;
        if parts.status == StatusCode::NOT_FOUND && self.reopen(session).await? {
            (parts, body) = self.post(request).await?;
        }
        match headers::media_type(&parts.headers) {
            Some(MediaType::Json) => {
                let bytes = self.connection.read_whole(body).await?;
                match self.learn(request, &parts, &bytes)? {
                    Message::Response(response) => Ok(response.into_bytes()),
                    Message::Notification(_) | Message::Request(_) => {
                        Err(CallErrorKind::NotMcp("not a response".to_owned()))
                    }
                }
            }
            Some(MediaType::EventStream) => self.stream(request, &parts, body, out).await,
            None => Err(CallErrorKind::Status(parts.status.as_u16())),
        }
    }

    async fn post(&self, request: &Request) -> Result<(Parts, Incoming), CallErrorKind> {
        let headers = self.headers(&request.method, &request.params);
        let sent = self.connection.post(headers, request.clone().into_bytes()).await;
        Ok(sent.map_err(|error| error.kind)?.into_parts())
    }

    /// Opens the session again if it was lost: the server answers 404 to one that it does not know. Until there is another
    /// one it stays, so that whoever comes tries again.
    async fn reopen(&self, lost: Option<HeaderValue>) -> Result<bool, CallErrorKind> {
        let _one_at_a_time = self.reopening.lock().await;
        let Session { opening, id, .. } = self.session().clone();
        let Some(opening) = opening.filter(|_| lost.is_some()) else { return Ok(false) };
        if id != lost {
            return Ok(true);
        }
        let (parts, body) = self.post(&opening).await?;
        let bytes = self.connection.read_whole(body).await?;
        let Message::Response(Response { outcome: Ok(_), .. }) =
            self.learn(&opening, &parts, &bytes)?
        else {
            return Err(CallErrorKind::NotMcp("the session was lost".to_owned()));
        };
        self.notification(initialized()).await;
        Ok(true)
    }

    async fn stream(
        &self,
        request: &Request,
        parts: &Parts,
        mut body: Incoming,
        out: &mpsc::Sender<Bytes>,
    ) -> Result<Bytes, CallErrorKind> {
        let mut parser = SseParser::new(SseLimits {
            event_bytes_max: self.connection.limits.event_bytes_max,
            total_bytes_max: usize::MAX,
        });
        let mut events = Vec::new();
        while let Some(data) = next(&mut body).await? {
            let pushed = parser.push(&data, &mut events);
            for event in events.drain(..).filter(|event| !event.data.is_empty()) {
                let before = match self.learn(request, parts, event.data.as_bytes())? {
                    Message::Response(response) => return Ok(response.into_bytes()),
                    Message::Notification(notification) => notification.into_bytes(),
                    Message::Request(request) => request.into_bytes(),
                };
                let gone = |_closed| CallErrorKind::Connect("the client ended".to_owned());
                out.send(before).await.map_err(gone)?;
            }
            pushed.map_err(|error| CallErrorKind::NotMcp(error.to_string()))?;
        }
        Err(CallErrorKind::NotMcp("the stream ended without an answer".to_owned()))
    }

    /// One message that came back, and what it says of the session and the tools.
    fn learn(
        &self,
        request: &Request,
        parts: &Parts,
        bytes: &[u8],
    ) -> Result<Message, CallErrorKind> {
        let read = Message::read_from_server(bytes, &self.connection.limits.json());
        let mut message = read.map_err(|malformed| CallErrorKind::NotMcp(malformed.detail))?;
        if let Message::Response(response) = &mut message {
            // R03: without an id it says that ours could not be read; another id is somebody else's.
            if response.id.get_or_insert_with(|| request.id.clone()) != &request.id {
                let what = "a response to another request".to_owned();
                return Err(CallErrorKind::NotMcp(what));
            }
        }
        match (request.method.as_str(), &message) {
            ("initialize", Message::Response(response)) => {
                self.agree(parts, response.outcome.as_ref().ok());
            }
            ("tools/list", Message::Response(response)) => {
                self.know(response.outcome.as_ref().ok());
            }
            _ => {}
        }
        Ok(message)
    }

    fn agree(&self, parts: &Parts, result: Option<&Object>) {
        let Some(result) = result else { return };
        let version = result.get("protocolVersion").and_then(Json::as_str);
        let mut session = self.session();
        session.id = parts.headers.get(headers::SESSION_ID).cloned();
        session.version = version.and_then(|version| HeaderValue::from_str(version).ok());
    }

    fn know(&self, result: Option<&Object>) {
        let tools = result.and_then(|result| result.get("tools")?.as_array()).unwrap_or_default();
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        for tool in tools {
            let name = tool.get("name").and_then(Json::as_str);
            if let Some((name, schema)) = name.zip(tool.get("inputSchema"))
                && schemas.len() < self.connection.limits.tools_max
            {
                schemas.insert(name.to_owned(), schema.clone());
            }
        }
    }

    fn headers(&self, method: &str, params: &Object) -> HeaderMap {
        let mut headers = base_headers(self.credential.as_ref());
        let meta = params.get("_meta").and_then(|meta| meta.get(META_VERSION));
        match meta.and_then(Json::as_str) {
            Some(version) => self.modern_headers(&mut headers, version, method, params),
            // A session is opened outside any other.
            None if method == "initialize" => {}
            None => {
                let Session { id, version, .. } = self.session().clone();
                headers.extend(version.map(|version| (headers::PROTOCOL_VERSION, version)));
                headers.extend(id.map(|id| (headers::SESSION_ID, id)));
            }
        }
        headers
    }

    fn modern_headers(&self, into: &mut HeaderMap, version: &str, method: &str, params: &Object) {
        let text = |text: &str| HeaderValue::from_str(text).ok();
        into.extend(text(version).map(|version| (headers::PROTOCOL_VERSION, version)));
        into.extend(text(method).map(|method| (headers::METHOD, method)));
        let named = mirrored_member(method).and_then(|member| params.get(member)?.as_str());
        let Some(name) = named else { return };
        into.extend(headers::encode(name).map(|name| (headers::NAME, name)));
        let schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        let arguments = params.get("arguments").and_then(Json::as_object);
        if let Some((schema, arguments)) = schemas.get(name).zip(arguments) {
            into.extend(param_headers(schema, arguments));
        }
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
