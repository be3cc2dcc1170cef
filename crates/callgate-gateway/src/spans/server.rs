//! The span of one request: it ends when the request does, however that is answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use callgate_mcp::inbound::SpanContext;
use callgate_mcp::message::RequestId;
use callgate_model::evidence::Decided;

use super::durations::Labels;
use super::{Clock, Failure, OTHER, Span, SpanKind, Spans, Value};
use crate::method::known;

/// How a tool is called in the words of the conventions.
pub(super) const EXECUTE_TOOL: &str = "execute_tool";
/// The one method that calls a tool.
pub(super) const TOOLS_CALL: &str = "tools/call";

/// What is known of a request when it comes.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Of the table, or else [`OTHER`].
    method: &'static str,
    id: RequestId,
    version: &'static str,
    /// The server, as it is configured; empty if it is none.
    server: String,
    /// The agent that acts, if that is more than what a client says.
    agent: Option<String>,
    transport: &'static str,
}

impl Asked {
    pub(crate) fn new(
        (method, id): (&str, &RequestId),
        version: &'static str,
        (server, agent): (&str, Option<String>),
        is_piped: bool,
    ) -> Self {
        Self {
            method: known(method).unwrap_or(OTHER),
            version,
            id: id.clone(),
            server: server.to_owned(),
            agent,
            transport: transport(is_piped),
        }
    }
}

pub(super) const fn transport(is_piped: bool) -> &'static str {
    if is_piped { "pipe" } else { "tcp" }
}

/// What spans within the span of a request need to know of it.
#[derive(Clone)]
pub(crate) struct Parent {
    pub(super) spans: Arc<Spans>,
    /// `None` if only durations are counted.
    pub(super) context: Option<SpanContext>,
    pub(super) state: Option<String>,
    pub(super) clock: Clock,
}

impl Parent {
    /// The context, if the span is kept.
    pub(super) fn kept(&self) -> Option<SpanContext> {
        self.context.filter(|context| context.is_sampled)
    }
}

impl std::fmt::Debug for Parent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parent").field("context", &self.context).finish_non_exhaustive()
    }
}

/// The span of a request. It ends when this is dropped; if nobody has said by then how, it was given up.
#[derive(Debug)]
pub(crate) struct ServerSpan {
    part: Parent,
    parent: Option<[u8; 8]>,
    link: Option<SpanContext>,
    asked: Asked,
    told: Mutex<Told>,
}

/// What was found out meanwhile.
#[derive(Debug, Default)]
struct Told {
    version: &'static str,
    tool: Option<String>,
    decision: Vec<(&'static str, Value)>,
    end: End,
}

/// How a request ends, as far as that is known.
#[derive(Clone, Copy, Debug, Default)]
enum End {
    Answered,
    Failed(Failure),
    #[default]
    Open,
}

impl Told {
    const fn failure(&self) -> Option<Failure> {
        match self.end {
            End::Answered => None,
            End::Failed(failure) => Some(failure),
            End::Open => Some(Failure::Cancelled),
        }
    }
}

impl ServerSpan {
    pub(super) fn new(
        part: Parent,
        parent: Option<[u8; 8]>,
        link: Option<SpanContext>,
        asked: Asked,
    ) -> Self {
        let told = Told { version: asked.version, ..Told::default() };
        Self { part, parent, link, asked, told: Mutex::new(told) }
    }

    pub(crate) fn part(&self) -> Parent {
        self.part.clone()
    }

    /// Its client turns out to speak another version.
    pub(crate) fn speaks(&self, version: &'static str) {
        self.tell(|told| told.version = version);
    }

    /// The tool that is called is one of the server's.
    pub(crate) fn calls(&self, tool: &str) {
        self.tell(|told| told.tool = Some(tool.to_owned()));
    }

    /// It was decided, for the last time as far as is known. How it ends is open again.
    pub(crate) fn decided(&self, record: &Decided) {
        let attributes = self.part.kept().map(|_| decision(record)).unwrap_or_default();
        self.tell(|told| (told.decision, told.end) = (attributes, End::Open));
    }

    /// It ends so, unless more is told.
    pub(crate) fn ends(&self, failure: Option<Failure>) {
        self.tell(|told| told.end = failure.map_or(End::Answered, End::Failed));
    }

    /// It is answered: unless something else was said, with what was asked for.
    pub(crate) fn answered(&self) {
        self.tell(|told| {
            if matches!(told.end, End::Open) {
                told.end = End::Answered;
            }
        });
    }

    fn tell(&self, tell: impl FnOnce(&mut Told)) {
        tell(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn labels(&self, told: &Told) -> Labels {
        Labels {
            callgate_server: self.asked.server.clone(),
            error_type: told
                .failure()
                .map(|failure| failure.label().into_owned())
                .unwrap_or_default(),
            gen_ai_operation_name: operation(self.asked.method),
            gen_ai_tool_name: told.tool.clone().unwrap_or_default(),
            mcp_method_name: self.asked.method,
            mcp_protocol_version: told.version,
            network_transport: self.asked.transport,
        }
    }

    fn span(&self, context: SpanContext, told: Told, ended: Instant) -> Span {
        let Asked { method, id, server, agent, transport, .. } = &self.asked;
        let failure = told.failure();
        let id = match id {
            RequestId::Number(number) => number.to_string(),
            RequestId::Text(text) => text.clone(),
        };
        let mut attributes = vec![
            ("mcp.method.name", Value::from(*method)),
            ("mcp.protocol.version", Value::from(told.version)),
            ("jsonrpc.request.id", Value::Text(id)),
            ("network.transport", Value::from(*transport)),
        ];
        if !server.is_empty() {
            attributes.push(("callgate.server", Value::from(server.as_str())));
        }
        attributes.extend(agent.iter().map(|agent| ("gen_ai.agent.name", Value::from(&**agent))));
        attributes.extend(of_tool(method, told.tool.as_deref()));
        attributes.extend(told.decision);
        attributes.extend(failure.into_iter().flat_map(of_failure));
        Span {
            context,
            parent: self.parent,
            state: self.part.state.clone(),
            link: self.link,
            kind: SpanKind::Server,
            name: name(method, told.tool.as_deref()),
            began_ns: self.part.clock.unix_ns,
            ended_ns: self.part.clock.unix_ns_of(ended),
            attributes,
            is_error: failure.is_some(),
        }
    }
}

impl Drop for ServerSpan {
    fn drop(&mut self) {
        let ended = Instant::now();
        let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(durations) = self.part.spans.metrics.durations() {
            let taken = ended.duration_since(self.part.clock.begun);
            durations.served(&self.labels(&told), taken.as_secs_f64());
        }
        if let Some(context) = self.part.kept() {
            self.part.spans.end(self.span(context, told, ended));
        }
    }
}

/// `tools/call createJiraIssue`.
pub(super) fn name(method: &str, tool: Option<&str>) -> String {
    match tool {
        Some(tool) => format!("{method} {tool}"),
        None => method.to_owned(),
    }
}

/// What is done, if it is the call of a tool.
pub(super) fn operation(method: &str) -> &'static str {
    if method == TOOLS_CALL { EXECUTE_TOOL } else { "" }
}

pub(super) fn of_tool(
    method: &str,
    tool: Option<&str>,
) -> impl Iterator<Item = (&'static str, Value)> {
    let operation = Some(operation(method)).filter(|operation| !operation.is_empty());
    let operation = operation.map(|operation| ("gen_ai.operation.name", Value::from(operation)));
    operation.into_iter().chain(tool.map(|tool| ("gen_ai.tool.name", Value::from(tool))))
}

pub(super) fn of_failure(failure: Failure) -> impl Iterator<Item = (&'static str, Value)> {
    let code = failure.code();
    // A number in JSON-RPC, a text in the conventions.
    let code = code.map(|code| ("rpc.response.status_code", Value::Text(code.to_string())));
    let kind = ("error.type", Value::Text(failure.kind().into_owned()));
    std::iter::once(kind).chain(code)
}

/// What a decision says of itself, without a word of anybody's.
fn decision(record: &Decided) -> Vec<(&'static str, Value)> {
    let decision = &record.decision;
    let mut attributes = vec![
        ("callgate.call", Value::Text(record.call.to_string())),
        ("callgate.decision", Value::from(decision.verdict.as_str())),
        ("callgate.policy.version", Value::Text(decision.bundle.to_string())),
    ];
    attributes.extend(decision.codes().next().map(|code| ("callgate.reason_code", code.into())));
    if let Some(understood) = &record.understood {
        attributes.push(("callgate.operation", Value::from(understood.operation.as_str())));
        attributes.push(("callgate.effect", Value::from(understood.effect.as_str())));
        attributes.push(("callgate.risk", Value::from(understood.risk.as_str())));
    }
    let approval = record.under.approval;
    attributes.extend(approval.map(|of| ("callgate.approval.id", Value::Text(of.id.to_string()))));
    attributes
}
