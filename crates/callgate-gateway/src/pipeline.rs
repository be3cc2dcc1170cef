//! The way of a call: read, identify, name, locate, decide, record, forward, conclude.
//!
//! It must not know sockets: the binary hands it headers and a body and gets an answer.

mod admit;
mod approve;
mod ask;
mod authority;
mod batch;
mod budgets;
mod carry;
mod challenge;
mod decide;
mod deliver;
mod discover;
mod errand;
mod glass;
mod grants;
mod life;
mod list;
mod listen;
mod log_level;
mod look;
mod notices;
mod overload;
mod owners;
mod pin;
mod pipe;
mod present;
mod question;
mod record;
mod refuse;
mod reply;
mod resolve;
mod roof;
mod rounds;
mod settle;
mod span;
mod subscribe;
mod task;
mod visit;
mod vote;
mod waiting_task;
mod watch;
mod welcome;
mod why;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use callgate_mcp::http::request::Parts;
use callgate_mcp::http::{HeaderMap, StatusCode};
use callgate_mcp::inbound::{self, HostRules, Refused};
use callgate_mcp::message::{Round, SubjectParams, ToolsCallParams};
use callgate_model::ambient::{Ambient, Id};
use callgate_model::budget::Budget;
use callgate_model::call::Method;
use callgate_model::decision::Decision;
use callgate_model::evidence::{Decided, Understood};
use callgate_model::json::{JsonLimits, Object};
use callgate_model::reason::Reason;
use callgate_policy::Bundle;
use callgate_store::EvidenceLog;
use callgate_store::fail_point::{Point, pass};

use crate::assertion::Signer;
use crate::budgets::Budgets;
use crate::bulkhead::{Bulkhead, CallLimits};
use crate::cancel::Cancels;
use crate::identity::Identities;
use crate::listeners::{Listeners, StreamLimits};
use crate::method::{Treatment, treatment};
use crate::name::{NamedCall, Unnameable, name};
use crate::questions::Questions;
use crate::recording::Recording;
use crate::resource::Resources;
use crate::round::{Opened, Sealer};
use crate::sealing::Keyring;
use crate::server::Server;
use crate::session::Sessions;
use crate::spans::{Spans, Telemetry};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::tools::Tool;
use admit::Request;
use approve::waits_for;
pub use authority::EventError;
use deliver::{Called, Waiting};
pub use errand::ErrandError;
pub use glass::Breaking;
pub use notices::ChannelRule;
pub use owners::Owners;
pub use pipe::{Incoming, Pipe, Piped};
pub(crate) use record::shorten;
pub use reply::{Reply, ReplyBody};
pub use vote::{Ballot, SamePerson, by_themselves};
use why::take_why;

/// Requests that are held for an approval at one time, in all and of one caller; more are answered at once.
const HOLDS: StreamLimits = StreamLimits { per_caller_max: 20, streams_max: 200 };

/// What a gateway is told once.
#[derive(Debug)]
pub struct Settings {
    /// Limits of one request body.
    pub json: JsonLimits,
    /// The addresses under which clients know what they ask for.
    pub resources: Resources,
    /// The names under which it may be addressed, and the web origins that may call it.
    pub hosts: HostRules,
    /// Calls in progress at one time.
    pub calls: CallLimits,
    /// How much may happen within a while.
    pub budgets: Vec<Budget>,
    /// How much of what happens is remembered for that.
    pub budget_marks_max: usize,
    /// Whether a caller may learn that a tool exists which it could never use.
    pub reveal_denied_tools: bool,
    /// Open streams of those who listen for changes.
    pub streams: StreamLimits,
    /// The keys by which secrets are sealed; without them, one of the process, so that nothing sealed outlives it.
    pub sealing: Option<Arc<Keyring>>,
    /// People with several accounts.
    pub same_person: SamePerson,
    /// How long a request is held for somebody to approve it.
    pub hold: Duration,
    /// How long a client that shows the page of the approval is held, each time it comes back.
    pub page_hold: Duration,
    /// Where the console is, if there is one.
    pub console: Option<String>,
    /// By which channels people are told of approvals.
    pub channels: Vec<ChannelRule>,
    /// Who owns what, for gates that name nobody else.
    pub owners: Owners,
    /// The channels that are told when somebody breaks the glass; without any, nobody can.
    pub break_glass: Vec<String>,
    /// What of arguments comes into the record.
    pub recording: Recording,
    /// By whom servers know that calls went through the gate.
    pub signer: Option<Arc<Signer>>,
    /// What is to be known of requests, beside what is recorded and counted of them anyway.
    pub telemetry: Telemetry,
}

/// The gateway.
pub struct Gateway {
    pub(crate) settings: Settings,
    pub(crate) servers: BTreeMap<String, Arc<Server>>,
    pub(crate) identities: Identities,
    pub(crate) bundle: ArcSwap<Bundle>,
    pub(crate) evidence: Arc<EvidenceLog>,
    pub(crate) sessions: Sessions,
    pub(crate) cancels: Arc<Cancels>,
    pub(crate) questions: Arc<Questions>,
    pub(crate) tasks: Tasks,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) sealer: Sealer,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) ambient: Arc<dyn Ambient>,
    pub(crate) metrics: Arc<Metrics>,
    /// What makes spans, if anybody wants them.
    pub(crate) spans: Option<Arc<Spans>>,
    pub(crate) bulkhead: Bulkhead,
    pub(crate) budgets: Budgets,
    pub(crate) leaving: AtomicBool,
    pub(crate) holds: Arc<Listeners>,
}

/// Why a request that was read and identified goes no further.
pub(crate) enum Stop {
    /// The decision in the record is not to allow. `detail` is for the caller; `hidden` if even the tool is.
    Refused { detail: Option<String>, hidden: bool },
    /// Somebody has to approve it first. The arguments are given back: once somebody has, the call goes on.
    Waits { arguments: Object, approval: Id },
    /// The request contradicts itself on the wire.
    Wire(Refused),
}

/// A call to be decided, and what is known of it before.
struct Attempt {
    request: Request,
    params: ToolsCallParams,
    /// What its server is to be given, and how far it has got.
    round: (Round, Opened),
    bundle: Arc<Bundle>,
    record: Decided,
}

impl From<Unnameable> for Stop {
    fn from(unnameable: Unnameable) -> Self {
        Self::Refused { detail: unnameable.detail, hidden: false }
    }
}

impl Gateway {
    /// A gateway in front of `servers`.
    #[must_use]
    pub fn new(
        mut settings: Settings,
        servers: Vec<Server>,
        identities: Identities,
        bundle: impl Into<Arc<Bundle>>,
        evidence: EvidenceLog,
        ambient: Arc<dyn Ambient>,
    ) -> Self {
        let keys = settings.sealing.clone();
        let keys = keys.unwrap_or_else(|| Arc::new(Keyring::of_process(&*ambient)));
        let telemetry = std::mem::take(&mut settings.telemetry);
        let names = servers.iter().map(|server| server.name.to_string());
        let metrics = Arc::new(Metrics::new(names, telemetry.durations));
        Self {
            holds: Arc::new(Listeners::new(HOLDS)),
            bulkhead: Bulkhead::new(settings.calls),
            budgets: Budgets::new(std::mem::take(&mut settings.budgets), settings.budget_marks_max),
            leaving: AtomicBool::new(false),
            listeners: Arc::new(Listeners::new(settings.streams)),
            settings,
            servers: servers.into_iter().map(|s| (s.name.to_string(), Arc::new(s))).collect(),
            identities,
            bundle: ArcSwap::new(bundle.into()),
            evidence: Arc::new(evidence),
            sessions: Sessions::default(),
            cancels: Arc::default(),
            questions: Arc::default(),
            tasks: Tasks::default(),
            sealer: Sealer::new(Arc::clone(&keys)),
            keys,
            spans: Spans::new(telemetry, &metrics, &ambient),
            ambient,
            metrics,
        }
    }

    /// Answers one HTTP request to `/mcp/{server}`.
    pub async fn handle(self: &Arc<Self>, http: &Parts, server: &str, body: Bytes) -> Reply {
        if batch::is_batch(&body) {
            return self.batch(http, server, body).await;
        }
        let request = match self.admit(http, server, &body).await {
            Ok(request) => request,
            Err(reply) => return *reply,
        };
        self.serve(request, Some(&http.headers)).await
    }

    /// Answers one request, by the method table. What came through a pipe has no headers.
    async fn serve(self: &Arc<Self>, request: Request, headers: Option<&HeaderMap>) -> Reply {
        let span = request.span.clone();
        let reply = match treatment(&request.method, request.is_modern()) {
            Treatment::Accept => Reply::empty(StatusCode::ACCEPTED),
            Treatment::Decide(method) => self.by_method(request, method, headers).await,
            Treatment::Discover => self.discover(&request),
            Treatment::FilterEntries(list) => self.list_entries(&request, list).await,
            Treatment::FilterTools => self.list_tools(&request).await,
            Treatment::Initialize => self.initialize(&request),
            Treatment::Listen => self.listen(request).await,
            Treatment::Pong => self.pong(&request),
            Treatment::Refuse => self.refuse_method(&request),
            Treatment::SetLogLevel => self.set_log_level(&request),
            Treatment::Subscribe => self.subscribe(request).await,
            Treatment::Unsubscribe => self.unsubscribe(&request),
        };
        if let Some(span) = span {
            span.answered();
        }
        reply
    }

    async fn by_method(
        self: &Arc<Self>,
        request: Request,
        method: Method,
        headers: Option<&HeaderMap>,
    ) -> Reply {
        match method {
            Method::CompletionComplete => {
                self.ask(request, method, SubjectParams::of_completion).await
            }
            Method::PromptsGet => self.ask(request, method, SubjectParams::of_prompt).await,
            Method::ResourcesRead => self.ask(request, method, SubjectParams::of_resource).await,
            Method::ToolsCall => self.call(request, headers).await,
            Method::ResourcesSubscribe => self.subscribe(request).await,
            Method::TasksCancel | Method::TasksGet | Method::TasksUpdate => {
                self.task(request, method).await
            }
            // These go the other way.
            Method::Api
            | Method::ElicitationCreate
            | Method::RootsList
            | Method::SamplingCreateMessage => self.refuse_method(&request),
        }
    }

    /// One `tools/call`, from its parameters to its answer.
    async fn call(self: &Arc<Self>, mut request: Request, headers: Option<&HeaderMap>) -> Reply {
        let mut params = match ToolsCallParams::read(std::mem::take(&mut request.params)) {
            Ok(params) => params,
            Err(refused) => return self.refuse_params(&request, refused.to_string()),
        };
        match take_why(&mut params.arguments) {
            Ok(why) => request.why = why,
            Err(text) => return self.refuse_params(&request, text),
        }
        // From here on it can be cancelled by name.
        request.registered = self.register(&request);
        let (round, bundle) = (std::mem::take(&mut params.round), self.bundle.load_full());
        let mut record =
            self.begin_record(&request, &params.name, &params.arguments, bundle.digest());
        let round = match self.open_round(&request, &mut record, round) {
            Ok(round) => round,
            Err(text) => return self.refuse_invalid(&request, record, text.to_owned()),
        };
        let attempt = Attempt { request, params, round, bundle, record };
        // Boxed: it is large.
        match Box::pin(self.attempt(attempt, headers)).await {
            Ok(reply) => reply,
            Err(waiting) => self.deliver(*waiting).await,
        }
    }

    /// Decides a call and, if it is allowed, makes it.
    ///
    /// # Errors
    /// The call, if somebody has to approve it first: it is recorded that it was refused for that.
    async fn attempt(
        self: &Arc<Self>,
        attempt: Attempt,
        headers: Option<&HeaderMap>,
    ) -> Result<Reply, Box<Waiting>> {
        let Attempt { request, params, round, bundle, mut record } = attempt;
        let slot = match self.enter_call(&request, &mut record) {
            Ok(slot) => slot,
            Err(limit) => return Ok(self.refuse(&request, record, Some(limit.told()), false)),
        };
        let (name, begun) = (params.name.clone(), Instant::now());
        let considered = self.consider(&request, headers, params, &bundle, &mut record).await;
        record.decided_in_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        match considered {
            Ok((named, tool)) => {
                pass(Point::Decided, 1);
                let asked = self.asked(&request, &bundle, round, &mut record);
                // Boxed: it is large.
                let way = (asked, slot);
                Ok(Box::pin(self.carry_out(request, named, Some(tool), way, record)).await)
            }
            Err(Stop::Refused { detail, hidden }) => {
                Ok(self.refuse(&request, record, detail.as_deref(), hidden))
            }
            Err(Stop::Wire(refused)) => {
                let reason = Reason::RequestMalformed;
                Ok(self.refuse_wire(&request, record, &refused, reason))
            }
            Err(Stop::Waits { arguments, approval }) => {
                let refused = self.refuse(&request, record.clone(), None, false);
                let call = Called { name, arguments, round };
                Err(Box::new(Waiting { request, call, approval, record, refused }))
            }
        }
    }

    /// Name, locate, decide. The record says as much as was understood; its decision is a denial until it is not.
    async fn consider(
        &self,
        request: &Request,
        headers: Option<&HeaderMap>,
        params: ToolsCallParams,
        bundle: &Bundle,
        record: &mut Decided,
    ) -> Result<(NamedCall, Arc<Tool>), Stop> {
        let refused = |hidden| Stop::Refused { detail: None, hidden };
        let set = request.server.tools(Some(&params.name)).await.map_err(|error| {
            tracing::warn!(server = request.place(), %error, "what the server offers is not known");
            record.decision = Decision::deny(error.reason(), bundle.digest());
            refused(false)
        })?;
        let Some(tool) = set.get(&params.name) else {
            let unclassified = set.is_unclassified(&params.name);
            let reason = if unclassified { Reason::ToolUnclassified } else { Reason::ToolUnknown };
            record.decision = Decision::deny(reason, bundle.digest());
            return Err(refused(true));
        };
        if let Some(span) = &request.span {
            span.calls(&params.name);
        }
        let unapproved = self.unapproved(&request.server, (&set, tool), &params.arguments);
        if let Some(reason) = unapproved.await {
            record.decision = Decision::deny(reason, bundle.digest());
            return Err(refused(!self.visible(request, tool, bundle)));
        }
        // Only a refusal needs to know: what is allowed is visible.
        let hidden = || !self.settings.reveal_denied_tools && !self.visible(request, tool, bundle);
        if let Some(headers) = headers.filter(|_| request.is_modern()) {
            let schema = &tool.definition.input_schema;
            inbound::check_param_headers(headers, schema, &params.arguments)
                .map_err(|wrong| if hidden() { refused(true) } else { Stop::Wire(wrong) })?;
        }
        let named = name(&request.server, &set, tool, params.arguments);
        let mut named = named.map_err(|unnameable| {
            record.decision = Decision::deny(unnameable.reason, bundle.digest());
            Stop::Refused { detail: unnameable.detail, hidden: hidden() }
        })?;
        self.resolve(request, &set, &mut named, bundle, record.call).await;
        self.decide_and_record(request, &named, bundle, record).await;
        self.settings.recording.name(record, &named);
        if !record.decision.is_allow() {
            // Only who may know that there is such a tool is told what to write.
            let hidden = hidden();
            if let Some(approval) = waits_for(record).filter(|_| !hidden) {
                return Err(Stop::Waits { arguments: named.call.arguments, approval });
            }
            let detail = named.unknown(&record.decision).filter(|_| !hidden);
            return Err(Stop::Refused { detail, hidden });
        }
        Ok((named, Arc::clone(tool)))
    }

    /// The server of that name.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<&Arc<Server>> {
        self.servers.get(name)
    }

    /// All of them, by name.
    pub fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.servers.values()
    }

    /// The policy bundle in force.
    #[must_use]
    pub fn bundle(&self) -> Arc<Bundle> {
        self.bundle.load_full()
    }

    /// Puts another bundle in force, for every call that starts after this returns (I8). Those who listen are told if
    /// their lists are others now.
    pub fn activate(&self, bundle: Bundle) {
        self.bundle.store(Arc::new(bundle));
        self.tasks.made.forget_ended();
        self.servers.values().for_each(|server| server.changes.look());
    }

    /// Whether calls can be recorded.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.evidence.is_healthy()
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("servers", &self.servers.keys()).finish_non_exhaustive()
    }
}

pub(crate) fn understood(named: &NamedCall) -> Understood {
    let call = &named.call;
    Understood {
        operation: call.operation.name.clone(),
        effect: call.operation.effect,
        risk: call.risk,
        reversibility: call.operation.reversibility,
        definition: call.definition,
        targets: named.targets.clone(),
        input: Object::default(),
    }
}
