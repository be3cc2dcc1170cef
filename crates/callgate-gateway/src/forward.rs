//! Sending a permitted call, and what came of it. Consumes the permit; there is no other way to a server's tools,
//! resources and prompts.

use std::sync::Arc;

use callgate_mcp::inbound::TraceContext;
use callgate_mcp::log_level::LogLevel;
use callgate_mcp::message::{Round, Task, TaskStatus};
use callgate_mcp::upstream::{
    Answer, CallError, CallErrorKind, Meanwhile, OutgoingCall, SessionKey,
};
use callgate_model::call::{Method, ToolCall};
use callgate_model::digest::Digest;
use callgate_model::evidence::Outcome;
use callgate_model::json::{Json, Object};
use callgate_model::vocabulary::Effect;
use callgate_store::fail_point::{Point, pass};

use crate::assertion::Voucher;
use crate::credential::Presented;
use crate::evidence::{OpenEvidence, Permit};
use crate::server::Server;
use crate::spans::{ClientSpan, Parent};
use crate::tools::Tool;

/// What accompanies a call on its way.
#[derive(Debug)]
pub struct Way {
    /// What the server is called with.
    pub presented: Presented,
    /// The caller's own upstream session.
    pub key: SessionKey,
    /// The trace of the request.
    pub trace: TraceContext,
    /// The request's span, if it has one.
    pub(crate) span: Option<Parent>,
    /// Whether the client wants to hear of progress.
    pub progress: bool,
    /// From which level on the client wants to hear what the server logs.
    pub log_level: Option<LogLevel>,
    /// The tool, if it is one: its schema says which headers mirror arguments.
    pub tool: Option<Arc<Tool>>,
    /// What the server may ask the client for.
    pub capabilities: Object,
    /// Whether it may do so in the middle of the call.
    pub is_interactive: bool,
    /// What answers it, if it asked before.
    pub round: Round,
}

/// Sends the call, with what the gateway says of it if the server asks for that.
///
/// # Errors
/// [`CallError`]; it tells whether the call may have reached the server.
pub async fn forward(
    permit: Permit,
    evidence: &mut OpenEvidence,
    server: &Server,
    way: &Way,
    voucher: Option<Voucher<'_>>,
    on_told: impl FnMut(Meanwhile) + Send,
) -> Result<Answer, CallError> {
    let (id, call) = permit.spend();
    let assertion = voucher.and_then(|voucher| voucher.header(id, &call));
    let ToolCall { method, tool: name, arguments, .. } = call;
    let span = way.span.as_ref().map(|part| ClientSpan::begin(part, server, method, &name));
    let params = match method {
        Method::ToolsCall => {
            Object::default().with("name", name.as_str()).with("arguments", arguments)
        }
        Method::Api
        | Method::CompletionComplete
        | Method::ElicitationCreate
        | Method::PromptsGet
        | Method::ResourcesRead
        | Method::ResourcesSubscribe
        | Method::RootsList
        | Method::SamplingCreateMessage
        | Method::TasksCancel
        | Method::TasksGet
        | Method::TasksUpdate => arguments,
    };
    let name = if method.is_about_task() {
        params.get("taskId").and_then(Json::as_str).map(str::to_owned)
    } else {
        (method != Method::CompletionComplete).then_some(name)
    };
    let trace = span.as_ref().map(|span| span.trace(&way.trace));
    let call = OutgoingCall {
        key: &way.key,
        credential: way.presented.header(),
        assertion: assertion.as_ref(),
        method: method.as_str(),
        params,
        name: name.as_deref(),
        trace: trace.as_ref().unwrap_or(&way.trace),
        progress: way.progress,
        log_level: way.log_level,
        input_schema: way.tool.as_deref().map(|tool| &tool.definition.input_schema),
        capabilities: way.capabilities.clone(),
        is_interactive: way.is_interactive,
        round: way.round.clone(),
    };
    pass(Point::Permitted, 1);
    evidence.dispatched();
    let answered = server.upstream.call(call, on_told).await;
    server.breaker.heard(&answered);
    pass(Point::Answered, 1);
    if let Some(span) = span {
        span.ended(&answered, server);
    }
    answered.inspect_err(|error| way.presented.took(&error.kind))
}

fn outcome_of_task(task: &Task) -> Outcome {
    match task.status {
        TaskStatus::Cancelled => Outcome::Cancelled,
        TaskStatus::Completed => {
            let failed = task.outcome().and_then(|result| result.get("isError"));
            let failed = failed == Some(&Json::Bool(true));
            if failed { Outcome::ToolError } else { Outcome::Succeeded }
        }
        TaskStatus::Failed => Outcome::UpstreamError,
        TaskStatus::InputRequired | TaskStatus::Working => Outcome::InProgress,
    }
}

/// What the answer says of the effect.
#[must_use]
pub fn outcome_of(answer: &Result<Answer, CallError>, effect: Effect) -> Outcome {
    match answer {
        Ok(Answer::Result { is_error: false, .. }) => Outcome::Succeeded,
        Ok(Answer::Result { is_error: true, .. }) => Outcome::ToolError,
        Ok(Answer::InputRequired(_)) => Outcome::InputRequired,
        Ok(Answer::Task(task)) => outcome_of_task(task),
        Ok(Answer::RpcError { .. }) => Outcome::UpstreamError,
        Err(error) if !error.sent => Outcome::NotDispatched,
        Err(error) => match error.kind {
            CallErrorKind::Timeout => Outcome::TimedOut,
            // The server refused before it did anything.
            CallErrorKind::Unauthorized => Outcome::UpstreamError,
            CallErrorKind::Connect(_)
            | CallErrorKind::NotMcp(_)
            | CallErrorKind::Status(_)
            | CallErrorKind::TooLarge
                if effect == Effect::Read =>
            {
                Outcome::UpstreamError
            }
            CallErrorKind::Connect(_)
            | CallErrorKind::NotMcp(_)
            | CallErrorKind::Status(_)
            | CallErrorKind::TooLarge => Outcome::Indeterminate,
        },
    }
}

/// The digest and the length of a result.
pub(crate) fn result_of(answered: &Result<Answer, CallError>) -> Option<(Digest, u64)> {
    match answered {
        Ok(Answer::Result { result, .. } | Answer::Task(Task { result, .. })) => {
            let text = result.to_text();
            Some((Digest::of(text.as_bytes()), u64::try_from(text.len()).unwrap_or(u64::MAX)))
        }
        Ok(Answer::InputRequired(_) | Answer::RpcError { .. }) | Err(_) => None,
    }
}
