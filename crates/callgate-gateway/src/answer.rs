//! What a client is told. Refusals are tool results (`isError`) in an HTTP 200: clients and models understand these, and
//! other forms were measured to break clients. The machine form stands in `_meta`, never in `structuredContent`, which a
//! tool's output schema may bind.

use bytes::Bytes;
use callgate_mcp::code;
use callgate_mcp::era::Era;
use callgate_mcp::message::RequestId;
use callgate_mcp::reply;
use callgate_model::decision::{Decision, Verdict};
use callgate_model::evidence::{Decided, Outcome};
use callgate_model::json::{Json, Object};
use callgate_model::reason::Reason;

/// The `_meta` key of a decision (the prefix is ours, by reverse domain name).
pub const DECISION_KEY: &str = "dev.callgate/decision";

/// The JSON-RPC code for a request without a valid credential; outside the ranges that the protocol reserves.
pub const UNAUTHENTICATED: i64 = 40_100;

/// A refused call, as a tool result.
#[must_use]
pub fn refused(era: Era, id: &RequestId, decided: &Decided, detail: Option<&str>) -> Bytes {
    let decision = &decided.decision;
    let machine = machine_form(decided, detail);
    let mut lines = vec![headline(decision)];
    for policy in &decision.policies {
        lines.push(format!("Policy {}: {} (owner: {})", policy.id, policy.reason, policy.owner));
    }
    if let Verdict::ApprovalRequired(gates) = &decision.verdict {
        lines.extend(gates.iter().map(|gate| {
            format!(
                "Approval by {} of {} is required ({}).",
                gate.quorum, gate.approvers, gate.policy
            )
        }));
    }
    for reason in &decision.reasons {
        lines.push(format!("{} {}", reason.message(), reason.remedy()));
    }
    lines.extend(detail.map(|detail| format!("In particular: {detail}")));
    if decision.verdict == Verdict::Deny {
        lines.push("Do not retry the same call unchanged.".to_owned());
    }
    lines.push(Json::Object(machine.clone()).to_text());
    finish(era, id, error_result(&lines.join("\n"), machine))
}

fn headline(decision: &Decision) -> String {
    let codes = decision.codes().collect::<Vec<_>>().join(", ");
    match decision.verdict {
        Verdict::Allow => "Allowed.".to_owned(),
        Verdict::ApprovalRequired(_) => format!("Approval required ({codes})."),
        Verdict::Deny => format!("Denied ({codes})."),
    }
}

fn machine_form(decided: &Decided, detail: Option<&str>) -> Object {
    let reasons: Vec<Json> = decided
        .decision
        .reasons
        .iter()
        .map(|reason| {
            Object::default()
                .with("code", reason.code())
                .with("message", reason.message())
                .with("remedy", reason.remedy())
                .into()
        })
        .collect();
    let policies: Vec<Json> =
        decided.decision.policies.iter().map(|policy| policy.id.as_str().into()).collect();
    let mut machine = Object::default()
        .with("decision", decided.decision.verdict.as_str())
        .with("call", decided.call.to_string())
        .with("reasons", reasons)
        .with("policies", policies);
    if let Some(detail) = detail {
        machine.set("detail", detail);
    }
    machine
}

/// A tool that does not exist, or that this caller could never use: the same bytes for both.
#[must_use]
pub fn unknown_tool(id: &RequestId, tool: &str) -> Bytes {
    let shown: String = tool.chars().take(128).collect();
    reply::error(Some(id), code::INVALID_PARAMS, &format!("Unknown tool: {shown}"), None)
}

/// A call that was let through, and failed on its way or at the server.
#[must_use]
pub fn failed(era: Era, id: &RequestId, call: &str, outcome: Outcome, what: &str) -> Bytes {
    let effect = match outcome {
        Outcome::NotDispatched => "Nothing was sent to the server.",
        Outcome::Cancelled | Outcome::Indeterminate | Outcome::TimedOut => {
            "It is not known whether the call took effect: look before you repeat it."
        }
        Outcome::Succeeded | Outcome::ToolError | Outcome::UpstreamError => {
            "The server did not answer the call."
        }
    };
    let machine = Object::default()
        .with("decision", "allow")
        .with("call", call)
        .with("outcome", outcome.as_str());
    finish(era, id, error_result(&format!("The call failed: {what}. {effect}"), machine))
}

/// The server's result, exact but for what the client's era requires or does not know.
#[must_use]
pub fn relayed(era: Era, id: &RequestId, result: Object) -> Bytes {
    finish(era, id, result)
}

/// A call whose outcome could not be recorded must not look like a success.
#[must_use]
pub fn unrecorded(id: &RequestId, call: &str) -> Bytes {
    let data =
        Object::default().with("call", call).with("reason", Reason::EvidenceUnavailable.code());
    let text =
        "The call was made, but its outcome could not be recorded. Look before you repeat it.";
    reply::error(Some(id), code::INTERNAL_ERROR, text, Some(data.into()))
}

fn error_result(text: &str, machine: Object) -> Object {
    let content: Json = Object::default().with("type", "text").with("text", text).into();
    Object::default()
        .with("content", vec![content])
        .with("isError", true)
        .with("_meta", Object::default().with(DECISION_KEY, machine))
}

/// What the gateway calls itself.
pub(crate) fn server_info() -> Object {
    Object::default().with("name", "callgate").with("version", env!("CARGO_PKG_VERSION"))
}

/// Puts a result into the form of the client's era.
pub(crate) fn finish(era: Era, id: &RequestId, result: Object) -> Bytes {
    reply::result(id, reply::complete(result, era, &server_info()))
}
