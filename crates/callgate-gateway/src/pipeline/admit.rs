//! Before the decision: transport checks, the strict read, the caller, the era.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use callgate_mcp::code;
use callgate_mcp::era::Era;
use callgate_mcp::http::request::Parts;
use callgate_mcp::http::{HeaderMap, HeaderValue, Method, StatusCode};
use callgate_mcp::inbound::{self, Refused, TraceContext};
use callgate_mcp::log_level::LogLevel;
use callgate_mcp::message::{Malformed, Message, Notification, RequestId, Subject};
use callgate_mcp::reply;
use callgate_model::json::{Json, Object};
use callgate_model::reason::Reason;
use callgate_store::fail_point::{Point, pass};
use tokio::sync::watch;

use super::refuse::refusal_body;
use super::{Gateway, Reply, roof};
use crate::answer;
use crate::cancel::Registered;
use crate::follow::Interests;
use crate::identity::{Identified, Peer, Visit};
use crate::method::{Treatment, treatment};
use crate::resource::Resource;
use crate::server::Server;
use crate::session::InSession;
use crate::spans::ServerSpan;

/// The session header of the legacy era.
pub(super) const SESSION: &str = "mcp-session-id";

/// A request whose caller and era are known.
pub(crate) struct Request {
    pub(crate) server: Arc<Server>,
    pub(crate) caller: Arc<Identified>,
    pub(crate) era: Era,
    pub(crate) session: Option<String>,
    /// A notification has none; then nothing is answered but the HTTP status.
    pub(crate) id: RequestId,
    pub(crate) method: String,
    pub(crate) params: Object,
    /// The prompt or resource it is about, once its parameters are read. A call of a tool is about none.
    pub(crate) subject: Option<Subject>,
    pub(crate) client_says: Option<String>,
    /// Why the agent says that it calls: asserted.
    pub(crate) why: Option<String>,
    pub(crate) progress_token: Option<Json>,
    /// How much progress the client was told of already.
    pub(crate) progressed: Option<f64>,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) trace: TraceContext,
    /// What the client declared that it can be asked for: with this request, or for its session.
    pub(crate) capabilities: Object,
    /// Whether a client that goes away before the answer has cancelled the request.
    pub(crate) cancels_by_leaving: bool,
    /// Whether it may be held for somebody to approve it.
    pub(crate) can_be_held: bool,
    /// By which it is cancelled by name, if that began before it was decided.
    pub(crate) registered: Option<Registered>,
    /// What the client calls the task that it asks about.
    pub(crate) task: Option<String>,
    /// What the client came to.
    pub(crate) entrance: Entrance,
    /// The resources whose changes are told in its session.
    pub(crate) interests: Option<watch::Sender<Interests>>,
    /// What is told of it to a tracing system, and counted, when it ends.
    pub(crate) span: Option<Arc<ServerSpan>>,
}

/// What a client came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// One server.
    Server,
    /// All servers at once, for what is of none of them.
    Roof,
    /// All servers at once, for something of this one.
    UnderRoof,
}

/// Who came to which server.
pub(super) struct Entered {
    pub(super) server: Arc<Server>,
    pub(super) caller: Arc<Identified>,
    /// As a request has it.
    pub(super) entrance: Entrance,
    /// When they came.
    pub(super) begun: Instant,
}

impl Entered {
    pub(super) fn place(&self) -> &str {
        place(&self.server, self.entrance)
    }
}

impl Request {
    /// Nothing that was asked, and nothing is answered: who listens without a request.
    pub(super) fn unasked(server: Arc<Server>, caller: Arc<Identified>, era: Era) -> Self {
        Self {
            server,
            caller,
            era,
            session: None,
            id: RequestId::Number(0),
            method: String::new(),
            params: Object::default(),
            subject: None,
            client_says: None,
            why: None,
            progress_token: None,
            progressed: None,
            log_level: None,
            trace: TraceContext::default(),
            capabilities: Object::default(),
            cancels_by_leaving: true,
            registered: None,
            can_be_held: true,
            task: None,
            entrance: Entrance::Server,
            interests: None,
            span: None,
        }
    }

    /// Nothing that was asked, of the same client in the same session.
    pub(super) fn aside(&self) -> Self {
        let (server, caller) = (Arc::clone(&self.server), Arc::clone(&self.caller));
        Self {
            session: self.session.clone(),
            client_says: self.client_says.clone(),
            why: self.why.clone(),
            trace: self.trace.clone(),
            entrance: self.entrance,
            ..Self::unasked(server, caller, self.era)
        }
    }

    /// The name of the server that is asked, if it is one.
    pub(crate) fn place(&self) -> &str {
        place(&self.server, self.entrance)
    }

    /// The tool or prompt `name` as the client calls it.
    pub(crate) fn as_called(&self, name: &str) -> String {
        match self.entrance {
            Entrance::Server | Entrance::Roof => name.to_owned(),
            Entrance::UnderRoof => roof::called(&self.server.name, name),
        }
    }

    pub(crate) fn is_modern(&self) -> bool {
        matches!(self.era, Era::Modern)
    }
}

impl Gateway {
    /// Reads and identifies. Whatever fails is answered here, and recorded.
    pub(super) async fn admit(
        self: &Arc<Self>,
        http: &Parts,
        server: &str,
        body: &Bytes,
    ) -> Result<Request, Box<Reply>> {
        let entered = self.enter(http, server).await?;
        pass(Point::Identified, 1);
        let message = Message::read(body, &self.settings.json);
        let request = self.receive(&entered, &http.headers, message)?;
        pass(Point::Read, 1);
        Ok(request)
    }

    /// Who comes, to `server`; to all of them, if that is nothing.
    pub(super) async fn who(
        &self,
        http: &Parts,
        server: &str,
    ) -> Result<Arc<Identified>, Box<Reply>> {
        self.who_asks(http, server, self.settings.resources.of(server)).await
    }

    /// Who comes, to what is known as `resource`.
    pub(super) async fn who_asks(
        &self,
        http: &Parts,
        server: &str,
        resource: Resource,
    ) -> Result<Arc<Identified>, Box<Reply>> {
        let headers = &http.headers;
        inbound::check_origin_host(headers, http.uri.authority(), &self.settings.hosts)
            .map_err(|refused| self.turn_away(None, server, &refused, Reason::RequestMalformed))?;
        let now = self.ambient.now();
        let visit = visit(http, &resource, server);
        let identified = match self.identities.identify(headers, now, &visit).await {
            Ok(caller) => {
                let entered = self.identities.in_transaction(headers, &caller, now).await;
                entered.map(|entered| entered.map_or(caller, Arc::new))
            }
            Err(wrong) => Err(wrong),
        };
        identified.map_err(|wrong| {
            let status = if wrong.is_ours() {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::UNAUTHORIZED
            };
            let code = answer::UNAUTHENTICATED;
            let said = |message: String| Refused { status, code, message, data: None };
            // What exactly was wrong is for the operator.
            let mut reply =
                self.turn_away(None, server, &said(wrong.to_string()), Reason::Unauthenticated);
            let told = said(wrong.for_client().to_owned());
            reply.body = super::ReplyBody::Whole(refusal_body(None, &told));
            // A client that may have a good token is not to throw it away.
            let (name, value) = if wrong.is_ours() {
                ("retry-after", Some(HeaderValue::from_static("5")))
            } else {
                ("www-authenticate", self.challenge(&resource, &wrong))
            };
            reply.headers.extend(value.map(|value| (name, value)));
            reply
        })
    }

    /// Who comes to which server, before the body is looked at.
    pub(super) async fn enter(
        self: &Arc<Self>,
        http: &Parts,
        server: &str,
    ) -> Result<Entered, Box<Reply>> {
        let (headers, begun) = (&http.headers, Instant::now());
        let caller = self.who(http, server).await?;
        let Some(found) = self.servers.get(server).cloned() else {
            let refused = invalid(StatusCode::NOT_FOUND, Reason::ServerUnknown.message());
            return Err(self.turn_away(Some(&caller), server, &refused, Reason::ServerUnknown));
        };
        if http.method == Method::GET && headers.contains_key(SESSION) {
            let entered = Entered { server: found, caller, entrance: Entrance::Server, begun };
            return Err(Box::new(self.listen_in_session(headers, entered)?));
        }
        self.check_post(http, &caller, server)?;
        Ok(Entered { server: found, caller, entrance: Entrance::Server, begun })
    }

    /// Whether it is a POST of JSON. Nothing else is read.
    pub(super) fn check_post(
        &self,
        http: &Parts,
        caller: &Arc<Identified>,
        server: &str,
    ) -> Result<(), Box<Reply>> {
        let headers = &http.headers;
        if http.method != Method::POST {
            return Err(self.close_session(&http.method, headers, caller, server));
        }
        inbound::check_content_type(headers).and_then(|()| inbound::check_accept(headers)).map_err(
            |refused| self.turn_away(Some(caller), server, &refused, Reason::RequestMalformed),
        )
    }

    /// One message of whoever entered: a request, or what is answered at once.
    pub(super) fn receive(
        &self,
        entered: &Entered,
        headers: &HeaderMap,
        message: Result<Message, Malformed>,
    ) -> Result<Request, Box<Reply>> {
        let Entered { server, caller, entrance, begun } = entered;
        let message = message.map_err(|unread| self.refuse_malformed(entered, unread))?;
        let inbound = inbound::classify(headers, &message).map_err(|refused| {
            let reason = Reason::RequestMalformed;
            let mut reply = self.turn_away(Some(caller), entered.place(), &refused, reason);
            reply.body = super::ReplyBody::Whole(refusal_body(message_id(&message), &refused));
            reply
        })?;
        let (id, method, params) = match message {
            Message::Request(request) => (request.id, request.method, request.params),
            Message::Notification(notification) => {
                return Err(self.take_note(entered, headers, &notification, inbound.era));
            }
            Message::Response(response) => {
                let (caller_key, session) = (caller.key, session_in(headers));
                let unknown = |id: &str| self.session(id, caller_key).is_none();
                if session.is_some_and(unknown) {
                    let reason = Reason::SessionUnknown;
                    let refused = invalid(StatusCode::NOT_FOUND, reason.message());
                    return Err(self.turn_away(Some(caller), entered.place(), &refused, reason));
                }
                if let (Some(session), Some(id)) = (session, response.id.clone()) {
                    let (caller, session) = (caller_key, session.to_owned());
                    self.take_answer(&InSession { caller, session, id }, response);
                }
                return Err(Box::new(Reply::empty(StatusCode::ACCEPTED)));
            }
        };
        let mut request = Request {
            server: Arc::clone(server),
            caller: Arc::clone(caller),
            era: inbound.era,
            session: None,
            id,
            method,
            params,
            subject: None,
            client_says: inbound.client_info,
            why: None,
            progress_token: inbound.progress_token,
            progressed: None,
            registered: None,
            can_be_held: true,
            log_level: inbound.log_level,
            trace: inbound.trace,
            capabilities: inbound.capabilities,
            cancels_by_leaving: matches!(inbound.era, Era::Modern),
            task: None,
            entrance: *entrance,
            interests: None,
            span: None,
        };
        self.begin_span(&mut request, *begun, false);
        self.resume_session(headers, &mut request)?;
        self.enter_workflow(Some(headers), &mut request)?;
        Ok(request)
    }

    /// Refuses and records what is no message.
    pub(super) fn refuse_malformed(&self, entered: &Entered, unread: Malformed) -> Box<Reply> {
        let body = reply::error(unread.id.as_ref(), unread.code, &unread.detail, None);
        if let Some(beyond) = unread.beyond {
            self.metrics.limited(beyond.into());
        }
        let refused = Refused {
            status: StatusCode::BAD_REQUEST,
            code: unread.code,
            message: unread.detail,
            data: None,
        };
        let (caller, reason) = (Some(&entered.caller), Reason::RequestMalformed);
        let mut reply = self.turn_away(caller, entered.place(), &refused, reason);
        reply.body = super::ReplyBody::Whole(body);
        reply
    }

    /// A request of the legacy era may belong to a session that its caller opened, or stand for itself: some clients never
    /// send the id back. What is said of a session that does not exist is the same as of another caller's (S01).
    pub(super) fn resume_session(
        &self,
        headers: &HeaderMap,
        request: &mut Request,
    ) -> Result<(), Box<Reply>> {
        if request.is_modern() || request.method == "initialize" {
            return Ok(());
        }
        let Some(id) = headers.get(SESSION) else { return Ok(()) };
        let found = id.to_str().ok().and_then(|id| {
            let found = self.session(id, request.caller.key)?;
            Some((id.to_owned(), found))
        });
        let Some((id, found)) = found else {
            let refused = invalid(StatusCode::NOT_FOUND, Reason::SessionUnknown.message());
            let record = self.blank_record(request, "", self.bundle.load().digest());
            let reason = Reason::SessionUnknown;
            return Err(Box::new(self.refuse_wire(request, record, &refused, reason)));
        };
        request.era = Era::Legacy(found.version);
        if let Some(span) = &request.span {
            span.speaks(request.era.version());
        }
        request.log_level = found.log_level;
        request.capabilities = found.capabilities;
        request.interests = self.sessions.interests(&id, request.caller.key);
        request.session = Some(id);
        request.client_says = request.client_says.take().or(found.client_says);
        Ok(())
    }

    fn close_session(
        &self,
        http: &Method,
        headers: &HeaderMap,
        caller: &Arc<Identified>,
        server: &str,
    ) -> Box<Reply> {
        let allow = ("allow", HeaderValue::from_static("GET, POST, DELETE"));
        let id = session_in(headers);
        match (http, id) {
            (&Method::DELETE, Some(id))
                if self.session(id, caller.key).is_some()
                    && self.sessions.close(id, caller.key, self.ambient.now()) =>
            {
                Box::new(Reply::empty(StatusCode::NO_CONTENT))
            }
            (&Method::DELETE, Some(_)) => {
                let reason = Reason::SessionUnknown;
                let refused = invalid(StatusCode::NOT_FOUND, reason.message());
                self.turn_away(Some(caller), server, &refused, reason)
            }
            // Only a session has a stream to listen to. Nothing was attempted.
            (&Method::GET, _) => {
                let headers = vec![allow];
                Box::new(Reply { headers, ..Reply::empty(StatusCode::METHOD_NOT_ALLOWED) })
            }
            _ => {
                let text = "only POST, and GET and DELETE of a session, are served here";
                let refused = invalid(StatusCode::METHOD_NOT_ALLOWED, text);
                let reason = Reason::MethodUnsupported;
                let mut reply = self.turn_away(Some(caller), server, &refused, reason);
                reply.headers.push(allow);
                reply
            }
        }
    }

    /// Refuses and records a request whose body was not read: too long, too slow, or broken off.
    pub async fn refuse_unread(&self, http: &Parts, server: &str, status: StatusCode) -> Reply {
        let (now, resource) = (self.ambient.now(), self.settings.resources.of(server));
        let visit = visit(http, &resource, server);
        let identified = self.identities.identify(&http.headers, now, &visit).await;
        let caller = identified.ok();
        let text = status.canonical_reason().unwrap_or_default();
        let refused = invalid(status, text);
        *self.turn_away(caller.as_ref(), server, &refused, Reason::RequestMalformed)
    }

    fn take_note(
        &self,
        entered: &Entered,
        headers: &HeaderMap,
        told: &Notification,
        era: Era,
    ) -> Box<Reply> {
        let caller = &entered.caller;
        let session = session_in(headers);
        if let (Some(session), Some(id)) = (session, told.cancels()) {
            let session = session.to_owned();
            self.cancels.cancel(&InSession { caller: caller.key, session, id });
        }
        if treatment(&told.method, matches!(era, Era::Modern)) == Treatment::Accept {
            return Box::new(Reply::empty(StatusCode::ACCEPTED));
        }
        let refused = Refused {
            status: StatusCode::BAD_REQUEST,
            code: code::METHOD_NOT_FOUND,
            message: "this gateway does not take that notification".to_owned(),
            data: None,
        };
        self.turn_away(Some(caller), entered.place(), &refused, Reason::MethodUnsupported)
    }
}

/// What a request comes to, and from where.
fn visit<'a>(http: &Parts, resource: &'a Resource, server: &'a str) -> Visit<'a> {
    let peer = http.extensions.get::<Peer>().map(|Peer(address)| *address);
    Visit { resource: &resource.address, server, peer }
}

/// The name of the server that is asked, if it is one.
fn place(server: &Server, entrance: Entrance) -> &str {
    if entrance == Entrance::Roof { "" } else { &server.name }
}

pub(super) fn invalid(status: StatusCode, message: &str) -> Refused {
    Refused { status, code: code::INVALID_REQUEST, message: message.to_owned(), data: None }
}

/// The session that is named, if one is.
pub(super) fn session_in(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION)?.to_str().ok()
}

fn message_id(message: &Message) -> Option<&RequestId> {
    match message {
        Message::Request(request) => Some(&request.id),
        Message::Notification(_) | Message::Response(_) => None,
    }
}
