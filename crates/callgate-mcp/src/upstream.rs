//! The client half: asking an upstream server, in whichever era it speaks, for its tools and for one call.
//!
//! Nothing of a client's request reaches the server but what is passed here by name: ids, tokens and headers are our
//! own. A call is sent once. It must not know who calls, or why that is allowed.

mod answer;
mod asking;
mod connection;
mod detect;
mod entries;
mod exchange;
mod failure;
mod follow;
mod outgoing;
mod question;
mod relay;
mod resume;
mod session;
mod standing;
mod stdio;

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use callgate_model::json::{Json, Object};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use tokio::time::{Instant, timeout_at};

use crate::log_level::LogLevel;
use crate::message::{Notification, RequestId, Round};
use crate::mirror;
use crate::tool::{ToolsPage, read_tools_page};
use crate::trace::TraceContext;

use answer::read_answer;
pub(crate) use connection::Connection;
use detect::{Detected, Speaks};
use exchange::Reply;
use outgoing::{Ask, Outgoing, Route};
use question::Patience;
use session::Sessions;
use stdio::Stdio;

pub use crate::limits::UpstreamLimits;
pub use answer::Answer;
pub use entries::List;
pub use failure::{CallError, CallErrorKind, UnusableUpstream, UpstreamError};
pub use follow::{Heard, Silence, Uris};
pub use question::{Answered, Question};
pub use relay::Relay;
pub use stdio::{Program, SoleClient};

/// One upstream server.
#[derive(Debug)]
pub struct Upstream {
    transport: Transport,
    limits: UpstreamLimits,
    detected: Detected,
    sessions: Sessions,
    last_id: AtomicI64,
}

/// What carries messages to a server.
#[derive(Debug)]
enum Transport {
    Http(Box<Connection>),
    Stdio(Box<Stdio>),
}

/// Where a server is and how it is spoken to.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// Its MCP endpoint, `https` or `http`.
    pub url: Uri,
    /// What it may send and how long it may take.
    pub limits: UpstreamLimits,
    /// How it speaks.
    pub era: EraSetting,
}

/// How a server speaks, as configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EraSetting {
    /// It is asked, and the answer believed for a while.
    #[default]
    Auto,
    /// 2026-07-28.
    Modern,
    /// With `initialize`.
    Legacy,
}

/// Whose session with a legacy server is used. Two callers must never have the same key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionKey(String);

/// One call to send.
#[derive(Clone, Debug)]
pub struct OutgoingCall<'a> {
    /// The session to use, if the server has sessions.
    pub key: &'a SessionKey,
    /// The value of `Authorization`; must be marked sensitive.
    pub credential: Option<&'a HeaderValue>,
    /// What the gateway says of the call over its signature, for a server that asks for that.
    pub assertion: Option<&'a HeaderValue>,
    /// `tools/call`, or another method that asks for one thing.
    pub method: &'static str,
    /// Its parameters, sent as they are.
    pub params: Object,
    /// What `Mcp-Name` mirrors, if the method has it.
    pub name: Option<&'a str>,
    /// The trace to go on with.
    pub trace: &'a TraceContext,
    /// Whether to ask for progress.
    pub progress: bool,
    /// From which level on to ask for log messages.
    pub log_level: Option<LogLevel>,
    /// The schema of a tool, for the headers that mirror arguments.
    pub input_schema: Option<&'a Json>,
    /// What the server may ask the client for.
    pub capabilities: Object,
    /// Whether a server of the legacy era is told of these capabilities, since the client can be asked while it waits. They
    /// are the same for all calls with one key.
    pub is_interactive: bool,
    /// What answers a server that asked before.
    pub round: Round,
}

/// What a server tells while it works on a call.
#[derive(Debug)]
pub enum Meanwhile {
    /// Parameters of a log message.
    Log(Object),
    /// Parameters of progress, without the token.
    Progress(Object),
    /// It asks the client for something.
    Question(Question),
}

impl Upstream {
    /// A client for one server. Connects only when asked.
    ///
    /// # Errors
    /// [`UnusableUpstream`].
    pub fn new(config: UpstreamConfig) -> Result<Self, UnusableUpstream> {
        let UpstreamConfig { url, limits, era } = config;
        Ok(Self::over(Transport::Http(Box::new(Connection::new(url, limits)?)), limits, era))
    }

    /// A client for a server that is a child process, started only when asked.
    #[must_use]
    pub fn of_program(program: Program, limits: UpstreamLimits, era: EraSetting) -> Self {
        Self::over(Transport::Stdio(Box::new(Stdio::new(program, limits, era))), limits, era)
    }

    fn over(transport: Transport, limits: UpstreamLimits, era: EraSetting) -> Self {
        Self {
            transport,
            limits,
            detected: Detected::new(era, limits.era_expiry),
            sessions: Sessions::new(limits.sessions_max, limits.session_idle),
            last_id: AtomicI64::new(0),
        }
    }

    /// Lets `client` be asked, and hear, what a server that is a child process says by itself, from its next start on: there
    /// is no other client.
    pub fn serve_only(&self, client: SoleClient) {
        match &self.transport {
            Transport::Http(_) => {}
            Transport::Stdio(stdio) => stdio.serve_only(client),
        }
    }

    /// The host and the port under which it is called, if it is not a child process.
    #[must_use]
    pub fn address(&self) -> Option<(String, u16)> {
        match &self.transport {
            Transport::Http(connection) => connection.address(),
            Transport::Stdio(_) => None,
        }
    }

    /// The address under which it is called, if it is not a child process.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        match &self.transport {
            Transport::Http(connection) => Some(connection.url()),
            Transport::Stdio(_) => None,
        }
    }

    /// Whether it is known to speak as the modern era does. Of a child process it is known only while it is asked.
    #[must_use]
    pub fn is_modern(&self) -> bool {
        match &self.transport {
            Transport::Http(_) => self.detected.known() == Some(Speaks::Modern),
            Transport::Stdio(_) => false,
        }
    }

    /// Ends what was started for this server.
    pub async fn stop(&self) {
        match &self.transport {
            Transport::Http(_) => {}
            Transport::Stdio(stdio) => stdio.stop().await,
        }
    }

    /// All tools of the server, as `key` and `credential` see them.
    ///
    /// # Errors
    /// [`UpstreamError`], also if there are more pages or tools than the limits allow: half a list is no list.
    pub async fn list_tools(
        &self,
        key: &SessionKey,
        credential: Option<&HeaderValue>,
    ) -> Result<ToolsPage, UpstreamError> {
        let mut all = ToolsPage::default();
        let take = |is_modern, result: Object| {
            let mut page = read_tools_page(&result)?;
            if is_modern {
                page.refuse(|tool| mirror::invalid_param_headers(&tool.input_schema));
            }
            let next = page.next_cursor.take();
            all.append(page);
            Ok((next, all.tools.len() + all.refused.len()))
        };
        self.pages("tools/list", key, credential, take).await?;
        Ok(all)
    }

    /// Sends one call and waits for its answer. What the server tells meanwhile is reported as it was asked for. Dropping
    /// the future closes the connection, which a modern server takes for a cancellation.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(
        &self,
        call: OutgoingCall<'_>,
        mut on_told: impl FnMut(Meanwhile) + Send,
    ) -> Result<Answer, CallError> {
        let deadline = Instant::now() + self.limits.total;
        let mut ask = Ask::new(call.method, call.credential);
        ask.assertion = call.assertion;
        ask.params = call.params;
        ask.name = call.name;
        ask.trace = Some(call.trace);
        ask.progress = call.progress;
        ask.log_level = call.log_level.filter(|_| self.may_log());
        ask.capabilities = call.capabilities;
        ask.is_interactive = call.is_interactive;
        ask.round = call.round;
        let arguments = ask.params.get("arguments").and_then(Json::as_object);
        if let Some((schema, arguments)) = call.input_schema.zip(arguments) {
            ask.mirrored = mirror::param_headers(schema, arguments);
        }
        let log_level = ask.log_level;
        let mut on_told = |id: &RequestId, told: Told| {
            let mut notification = match told {
                Told::Notification(notification) => notification,
                Told::Question(question) => return on_told(Meanwhile::Question(question)),
            };
            let ours = notification.method == "notifications/progress"
                && notification.params.remove("progressToken") == Some(id.to_json());
            if ours && call.progress {
                on_told(Meanwhile::Progress(notification.params));
            } else if let Some(log) = log_level.and_then(|level| level.passes(notification)) {
                on_told(Meanwhile::Log(log));
            }
        };
        let (route, reply) = self.ask(call.key, &ask, deadline, &mut on_told).await?;
        let declared = matches!(route, Route::Modern).then_some(&ask.capabilities);
        read_answer(reply, call.method, declared).map_err(CallError::after_sending)
    }

    /// Finds the way to the server, then asks. Only the second part may have sent the request.
    async fn ask(
        &self,
        key: &SessionKey,
        ask: &Ask<'_>,
        deadline: Instant,
        on_told: OnTold<'_>,
    ) -> Result<(Route, Reply), CallError> {
        let route = timeout_at(deadline, self.route(key, ask))
            .await
            .unwrap_or(Err(CallErrorKind::Timeout))
            .map_err(CallError::before_sending)?;
        let patience = self.patience();
        let asking = Box::pin(self.ask_renewing(key, ask, route, &patience, on_told));
        let asked = patience.within(deadline, asking).await;
        asked.unwrap_or(Err(CallError::after_sending(CallErrorKind::Timeout)))
    }

    /// What a child of several callers logs is not known to be of one's call (I6): it is not asked for.
    fn may_log(&self) -> bool {
        match &self.transport {
            Transport::Http(_) => true,
            Transport::Stdio(stdio) => stdio.has_sole_client(),
        }
    }

    /// With a child the questions of all its calls are one server's: it does not say of which call one is.
    fn patience(&self) -> Patience {
        match &self.transport {
            Transport::Http(_) => Patience::default(),
            Transport::Stdio(stdio) => stdio.patience(),
        }
    }

    async fn route(&self, key: &SessionKey, ask: &Ask<'_>) -> Result<Route, CallErrorKind> {
        if let Transport::Stdio(stdio) = &self.transport {
            return stdio.route().await;
        }
        let speaks = match self.detected.known() {
            Some(speaks) => speaks,
            None => self.detect(ask.credential).await?,
        };
        match speaks {
            Speaks::Modern => Ok(Route::Modern),
            Speaks::Legacy => self.session(key, ask).await.map(Route::Legacy),
        }
    }

    /// Asks, and once more if the server says that it has not looked at the request because the session is gone.
    async fn ask_renewing(
        &self,
        key: &SessionKey,
        ask: &Ask<'_>,
        route: Route,
        patience: &Patience,
        on_told: OnTold<'_>,
    ) -> Result<(Route, Reply), CallError> {
        let first = self.ask_once(ask, &route, patience, on_told).await;
        let Some(refused) = refused_with(&first) else { return first.map(|reply| (route, reply)) };
        let Route::Legacy(session) = &route else {
            self.detected.forget();
            return first.map(|reply| (route, reply));
        };
        self.sessions.forget(key, session).await;
        if !session.has_id() || refused != StatusCode::NOT_FOUND {
            return first.map(|reply| (route, reply));
        }
        let renewed = self.session(key, ask).await.map_err(CallError::after_sending)?;
        let route = Route::Legacy(renewed);
        self.ask_once(ask, &route, patience, on_told).await.map(|reply| (route, reply))
    }

    async fn ask_once(
        &self,
        ask: &Ask<'_>,
        route: &Route,
        patience: &Patience,
        on_told: OnTold<'_>,
    ) -> Result<Reply, CallError> {
        if let (Route::Legacy(session), Some(level)) = (route, ask.log_level) {
            self.set_log_level(session, level, ask.credential).await;
        }
        let outgoing = ask.outgoing(self.next_id(), route);
        match (route, &self.transport) {
            (Route::Legacy(session), Transport::Http(connection))
                // Without a session its stream would be everybody's (I6).
                if session.has_id() && !outgoing.capabilities.is_empty() =>
            {
                let calls = &session.calls;
                connection.exchange_asking(outgoing, calls, patience, on_told).await
            }
            (Route::Legacy(_) | Route::Modern, _) => {
                self.exchange(outgoing, patience, on_told).await
            }
        }
    }

    async fn exchange(
        &self,
        outgoing: Outgoing,
        patience: &Patience,
        on_told: OnTold<'_>,
    ) -> Result<Reply, CallError> {
        match &self.transport {
            Transport::Http(connection) => connection.exchange(outgoing, patience, on_told).await,
            Transport::Stdio(stdio) => stdio.exchange(outgoing, on_told).await,
        }
    }

    /// Tells a server over HTTP that its session is wanted.
    async fn confirm(&self, headers: HeaderMap, told: Notification) -> Result<(), CallErrorKind> {
        let Transport::Http(connection) = &self.transport else { return Ok(()) };
        let response = connection.post(headers, told.into_bytes()).await;
        match response.map_err(|error| error.kind)?.status().as_u16() {
            200..300 => Ok(()),
            401 | 403 => Err(CallErrorKind::Unauthorized),
            status => Err(CallErrorKind::Status(status)),
        }
    }

    /// Our own: what a client calls its request is nobody else's concern.
    fn next_id(&self) -> RequestId {
        RequestId::Number(self.last_id.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
    }
}

/// What comes before an answer.
enum Told {
    Notification(Notification),
    Question(Question),
}

type OnTold<'a> = &'a mut (dyn FnMut(&RequestId, Told) + Send);

/// The status, if the server refused the request itself: what we believe about its era or session may be wrong.
fn refused_with(reply: &Result<Reply, CallError>) -> Option<StatusCode> {
    let status = match reply {
        Ok(reply) => reply.status,
        Err(CallError { kind: CallErrorKind::Status(status), .. }) => {
            StatusCode::from_u16(*status).ok()?
        }
        Err(_) => return None,
    };
    let believed = !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    (status.is_client_error() && believed).then_some(status)
}

impl SessionKey {
    /// A key made by whoever knows the caller: a digest of caller and credential.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

#[cfg(test)]
mod tests;
