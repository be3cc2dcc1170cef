//! A client at the other end of a pipe: it started the gateway, so it is the caller that was named then, of one server,
//! and in the legacy era in one session for as long as the pipe is open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use callgate_mcp::era::{Era, LegacyVersion};
use callgate_mcp::http::StatusCode;
use callgate_mcp::inbound::{self, Inbound, Refused};
use callgate_mcp::lists::PerList;
use callgate_mcp::log_level::LogLevel;
use callgate_mcp::message::{self, Message, RequestId};
use callgate_mcp::reply;
use callgate_mcp::upstream::{Meanwhile, SoleClient};
use callgate_mcp::{code, extension};
use callgate_model::caller::Caller;
use callgate_model::json::Object;
use callgate_model::reason::Reason;
use tokio::sync::{mpsc, watch};

use super::admit::Entrance;
use super::listen::Wanted;
use super::log_level::level_in;
use super::question::Party;
use super::rounds::extensions_of;
use super::{Gateway, Reply, ReplyBody, Request};
use crate::answer;
use crate::follow::Interests;
use crate::identity::Identified;
use crate::method::{Treatment, treatment};
use crate::server::Server;
use crate::session::{Agreed, InSession};

/// Messages that may wait for a slow client. What a server asks then is declined, what it logs is lost.
const MESSAGES_WAITING_MAX: usize = 64;

/// The client of one pipe.
#[derive(Debug)]
pub struct Pipe {
    server: Arc<Server>,
    caller: Arc<Identified>,
    /// Tells its upstream sessions from those of other pipes.
    session: String,
    agreed: Arc<Mutex<Option<Agreed>>>,
    /// Whether a client of the legacy era is told of changes already.
    listens: AtomicBool,
    /// What the server says by itself, for there is no other client.
    told: mpsc::Sender<Meanwhile>,
    interests: watch::Sender<Interests>,
    hears: Mutex<Option<mpsc::Receiver<Meanwhile>>>,
}

/// What a line is.
#[derive(Debug)]
pub enum Incoming {
    /// Something that is answered at once.
    Answer(Bytes),
    /// A request that is not to be answered any more.
    Cancel(RequestId),
    /// A request to be given to [`Gateway::answer`], which answers for as long as the client listens.
    Listen(RequestId, Piped),
    /// Nothing that needs an answer. From now on the client is told of changes, and asked: by these messages.
    Listens(Vec<mpsc::Receiver<Bytes>>),
    /// Nothing that needs an answer.
    Nothing,
    /// A request, to be given to [`Gateway::answer`].
    Request(RequestId, Piped),
}

/// A request that came through a pipe.
pub struct Piped(Box<Request>);

impl std::fmt::Debug for Piped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Piped").field(&self.0.method).finish()
    }
}

impl Gateway {
    /// The pipe of a client that makes calls for `caller` to the server `server`, if there is one of that name.
    #[must_use]
    pub fn pipe(&self, server: &str, caller: Caller) -> Option<Pipe> {
        let (told, hears) = mpsc::channel(MESSAGES_WAITING_MAX);
        Some(Pipe {
            server: self.servers.get(server).cloned()?,
            caller: Arc::new(Identified::new(caller)),
            session: self.ambient.id().to_string(),
            agreed: Arc::default(),
            listens: AtomicBool::default(),
            told,
            interests: watch::Sender::default(),
            hears: Mutex::new(Some(hears)),
        })
    }

    /// Reads one line. What is wrong with it is answered, and recorded.
    pub fn read_line(self: &Arc<Self>, pipe: &Pipe, line: &[u8]) -> Incoming {
        let message = match Message::read(line, &self.settings.json) {
            Ok(message) => message,
            Err(unread) => {
                let malformed = refused(unread.code, unread.detail);
                return self.refuse_line(pipe, unread.id.as_ref(), &malformed);
            }
        };
        // A request is looked at again when it is answered.
        let registry = self.identities.registry();
        if registry.is_some_and(|registry| registry.admits(&pipe.caller.caller).is_err())
            && !matches!(message, Message::Request(_))
        {
            return Incoming::Nothing;
        }
        let agreed = pipe.agreed();
        let inbound = inbound::classify_line(&message, agreed.as_ref().map(|a| a.version));
        match (message, inbound) {
            (Message::Request(request), Ok(inbound)) => self.take(pipe, request, inbound, agreed),
            (Message::Request(request), Err(refused)) => {
                self.refuse_line(pipe, Some(&request.id), &refused)
            }
            (Message::Notification(told), Ok(inbound)) => {
                if let Some(id) = told.cancels() {
                    return Incoming::Cancel(id);
                }
                if treatment(&told.method, matches!(inbound.era, Era::Modern)) != Treatment::Accept
                {
                    let reason = Reason::MethodUnsupported;
                    let unknown = refused(code::METHOD_NOT_FOUND, reason.message().to_owned());
                    self.turn_away(Some(&pipe.caller), &pipe.server.name, &unknown, reason);
                }
                match (inbound.era, told.method.as_str()) {
                    (Era::Legacy(version), "notifications/initialized") => {
                        self.listen_through(pipe, version)
                    }
                    _ => Incoming::Nothing,
                }
            }
            (Message::Notification(_), Err(refused)) => {
                let reason = Reason::RequestMalformed;
                self.turn_away(Some(&pipe.caller), &pipe.server.name, &refused, reason);
                Incoming::Nothing
            }
            (Message::Response(response), _) => {
                if let Some(id) = response.id.clone() {
                    self.take_answer(&pipe.in_session(id), response);
                }
                Incoming::Nothing
            }
        }
    }

    /// A line that was not even read, because it is too long.
    pub fn refuse_long_line(&self, pipe: &Pipe) -> Incoming {
        let text = "a message longer than the limit".to_owned();
        self.refuse_line(pipe, None, &refused(code::INVALID_REQUEST, text))
    }

    /// Answers a request of a pipe.
    pub async fn answer(self: &Arc<Self>, Piped(mut request): Piped) -> Reply {
        if let Err(reply) = self.enter_workflow(None, &mut request) {
            return *reply;
        }
        let now = self.ambient.now();
        if let Err(wrong) = self.identities.admits(&request.caller.caller, now).await {
            let record = self.blank_record(&request, "", self.bundle.load().digest());
            let message = wrong.for_client().to_owned();
            let refused = refused(answer::UNAUTHENTICATED, message);
            return self.refuse_wire(&request, record, &refused, Reason::Unauthenticated);
        }
        self.serve(*request, None).await
    }

    fn take(
        &self,
        pipe: &Pipe,
        request: message::Request,
        inbound: Inbound,
        agreed: Option<Agreed>,
    ) -> Incoming {
        let message::Request { id, method, params } = request;
        if let (Treatment::Initialize, Era::Legacy(version)) =
            (treatment(&method, false), inbound.era)
        {
            let (client_says, capabilities) = (inbound.client_info, inbound.capabilities);
            let agreed = Agreed { version, client_says, capabilities, log_level: None };
            pipe.agree(agreed);
            let request = Request { id, ..pipe.unasked(version) };
            return Incoming::of(Self::agree(&request, version));
        }
        if let Some(level) = level_in(&params)
            && treatment(&method, matches!(inbound.era, Era::Modern)) == Treatment::SetLogLevel
        {
            pipe.set_log_level(level);
        }
        let (says, log_level, declared) = agreed.map_or((None, None, Object::default()), |a| {
            (a.client_says, a.log_level, a.capabilities)
        });
        let mut request = Request {
            server: Arc::clone(&pipe.server),
            caller: Arc::clone(&pipe.caller),
            era: inbound.era,
            session: Some(pipe.session.clone()),
            subject: None,
            id: id.clone(),
            method,
            params,
            client_says: inbound.client_info.or(says),
            why: None,
            progress_token: inbound.progress_token,
            progressed: None,
            registered: None,
            can_be_held: true,
            log_level: match inbound.era {
                Era::Modern => inbound.log_level,
                Era::Legacy(_) => log_level,
            },
            trace: inbound.trace,
            capabilities: match inbound.era {
                Era::Modern => inbound.capabilities,
                Era::Legacy(_) => declared,
            },
            cancels_by_leaving: true,
            task: None,
            entrance: Entrance::Server,
            interests: Some(pipe.interests.clone()),
            span: None,
        };
        self.begin_span(&mut request, Instant::now(), true);
        let listens = treatment(&request.method, request.is_modern()) == Treatment::Listen;
        let piped = Piped(Box::new(request));
        if listens { Incoming::Listen(id, piped) } else { Incoming::Request(id, piped) }
    }

    /// A client of the legacy era at the other end of a pipe need not ask to be told of changes.
    fn listen_through(self: &Arc<Self>, pipe: &Pipe, version: LegacyVersion) -> Incoming {
        if pipe.listens.swap(true, Ordering::Relaxed) {
            return Incoming::Nothing;
        }
        let mut all = Vec::new();
        if let Some(hears) = pipe.hears.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Not before there is somebody to hear it.
            if let Some(agreed) = pipe.agreed() {
                self.serve_only(pipe, &agreed);
            }
            let (say, said) = mpsc::channel(MESSAGES_WAITING_MAX);
            let party = Party::of(&pipe.unasked(version), None);
            tokio::spawn(Arc::clone(self).hear(
                Arc::new(party),
                Arc::clone(&pipe.agreed),
                hears,
                say,
            ));
            all.push(said);
        }
        let request = pipe.unasked(version);
        let wanted = Wanted { lists: PerList::all(true), interests: pipe.interests.subscribe() };
        let stream =
            self.enter_stream(&request).map(|place| self.open_stream(request, wanted, place, None));
        if let Ok(Reply { body: ReplyBody::Listening(messages), .. }) = stream {
            all.push(messages);
        }
        Incoming::Listens(all)
    }

    /// Lets a server that is a child process ask this client what it may be asked, for there is no other.
    fn serve_only(&self, pipe: &Pipe, agreed: &Agreed) {
        let mut request = pipe.unasked(agreed.version);
        request.capabilities = agreed.capabilities.clone();
        let mut capabilities = self.may_be_asked(&request, &self.bundle.load());
        capabilities.set(extension::MEMBER, extensions_of(&request));
        pipe.server.upstream.serve_only(SoleClient { capabilities, told: pipe.told.clone() });
    }

    /// Passes on what a server says by itself, for as long as there is a client.
    async fn hear(
        self: Arc<Self>,
        party: Arc<Party>,
        agreed: Arc<Mutex<Option<Agreed>>>,
        mut hears: mpsc::Receiver<Meanwhile>,
        say: mpsc::Sender<Bytes>,
    ) {
        while let Some(told) = hears.recv().await {
            match told {
                Meanwhile::Question(question) => {
                    let asking = Arc::clone(&self).put(Arc::clone(&party), question, say.clone());
                    tokio::spawn(asking);
                }
                Meanwhile::Log(params) => {
                    let agreed = agreed.lock().unwrap_or_else(PoisonError::into_inner);
                    let level = agreed.as_ref().and_then(|agreed| agreed.log_level);
                    if level.is_some_and(|level| level.includes(&params)) {
                        // Log messages may be lost.
                        say.try_send(reply::log(params)).ok();
                    }
                }
                Meanwhile::Progress(_) => {}
            }
        }
    }

    fn refuse_line(&self, pipe: &Pipe, id: Option<&RequestId>, refused: &Refused) -> Incoming {
        let reason = Reason::RequestMalformed;
        self.turn_away(Some(&pipe.caller), &pipe.server.name, refused, reason);
        Incoming::Answer(reply::error(id, refused.code, &refused.message, refused.data.clone()))
    }
}

impl Gateway {
    /// The client of `pipe` says nothing more: it has answered nothing.
    pub fn hung_up(&self, pipe: &Pipe) {
        self.questions.forget(pipe.caller.key, &pipe.session);
    }
}

impl Pipe {
    fn unasked(&self, version: LegacyVersion) -> Request {
        let (server, caller) = (Arc::clone(&self.server), Arc::clone(&self.caller));
        let session = Some(self.session.clone());
        Request { session, ..Request::unasked(server, caller, Era::Legacy(version)) }
    }

    fn in_session(&self, id: RequestId) -> InSession {
        InSession { caller: self.caller.key, session: self.session.clone(), id }
    }

    fn agreed(&self) -> Option<Agreed> {
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn agree(&self, agreed: Agreed) {
        *self.agreed.lock().unwrap_or_else(PoisonError::into_inner) = Some(agreed);
    }

    fn set_log_level(&self, level: LogLevel) {
        let mut agreed = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agreed) = agreed.as_mut() {
            agreed.log_level = Some(level);
        }
    }
}

impl Incoming {
    fn of(reply: Reply) -> Self {
        match reply.body {
            ReplyBody::Whole(answer) => Self::Answer(answer),
            ReplyBody::Empty | ReplyBody::Listening(_) | ReplyBody::Stream(_) => Self::Nothing,
        }
    }
}

fn refused(code: i64, message: String) -> Refused {
    Refused { status: StatusCode::BAD_REQUEST, code, message, data: None }
}
