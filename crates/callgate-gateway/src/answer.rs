//! What a client is told. Refusals are tool results (`isError`) in an HTTP 200: clients and models understand these, and
//! other forms were measured to break clients. The machine form stands in `_meta`, never in `structuredContent`, which a
//! tool's output schema may bind. Prompts and resources have no result that says no: of these a refusal is a JSON-RPC
//! error, also in an HTTP 200, and the machine form stands in its `data`.

use bytes::Bytes;
use callgate_mcp::code;
use callgate_mcp::era::Era;
use callgate_mcp::message::{RequestId, Subject};
use callgate_mcp::reply;
use callgate_model::call::Method;
use callgate_model::decision::{Decision, Verdict};
use callgate_model::evidence::{Decided, Outcome};
use callgate_model::json::{Json, Object};
use callgate_model::reason::Reason;

/// The `_meta` key of a decision (the prefix is ours, by reverse domain name).
pub const DECISION_KEY: &str = "dev.callgate/decision";

/// The JSON-RPC code for a request without a valid credential; outside the ranges that the protocol reserves.
pub const UNAUTHENTICATED: i64 = 40_100;

/// The JSON-RPC code for a request for a prompt or resource that was not let through, or failed on its way.
pub const REFUSED: i64 = 40_300;

/// A refused call, as a tool result; of a prompt or resource, as an error. Beside the decision, what exactly was wrong, and where
/// somebody can approve it.
#[must_use]
pub fn refused(
    era: Era,
    id: &RequestId,
    subject: Option<&Subject>,
    decided: &Decided,
    (detail, page): (Option<&str>, Option<String>),
) -> Bytes {
    let machine = machine_form(decided, detail, page.as_deref());
    let text = explained(decided, detail, page.as_deref());
    if subject.is_some() {
        return refusal(id, &text, machine);
    }
    let text = format!("{text}\n{}", Json::Object(machine.clone()).to_text());
    finish(era, id, error_result(&text, machine))
}

/// A decision for the model and the people behind it.
fn explained(decided: &Decided, detail: Option<&str>, page: Option<&str>) -> String {
    let decision = &decided.decision;
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
    if let (Verdict::ApprovalRequired(_), Some(waiting)) =
        (&decision.verdict, decided.under.approval)
    {
        lines.push(format!("It waits as the approval {}.", waiting.id));
        lines.extend(page.map(|page| format!("Who may approve it does so at {page}")));
    }
    if decision.verdict == Verdict::Deny && !decision.reasons.iter().all(|one| one.may_pass()) {
        lines.push("Do not retry the same call unchanged.".to_owned());
    }
    lines.join("\n")
}

fn refusal(id: &RequestId, text: &str, machine: Object) -> Bytes {
    let data = Object::default().with(DECISION_KEY, machine);
    reply::error(Some(id), REFUSED, text, Some(data.into()))
}

fn headline(decision: &Decision) -> String {
    let codes = decision.codes().collect::<Vec<_>>().join(", ");
    match decision.verdict {
        Verdict::Allow => "Allowed.".to_owned(),
        Verdict::ApprovalRequired(_) => format!("Approval required ({codes})."),
        Verdict::Deny => format!("Denied ({codes})."),
    }
}

fn machine_form(decided: &Decided, detail: Option<&str>, page: Option<&str>) -> Object {
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
    if let Some(waiting) = decided.under.approval {
        machine.set("approval", waiting.id.to_string());
    }
    if let Some(page) = page {
        machine.set("approval_page", page);
    }
    machine
}

/// A tool that does not exist, or that this caller could never use: the same bytes for both. The same of a prompt or
/// resource, as far as it is known what exists.
#[must_use]
pub fn unknown(era: Era, id: &RequestId, subject: Option<&Subject>, name: &str) -> Bytes {
    let shown: String = name.chars().take(128).collect();
    let text = match subject {
        None => format!("Unknown tool: {shown}"),
        Some(Subject::Prompt(_)) => format!("Unknown prompt: {shown}"),
        Some(Subject::Resource(_)) => "Resource not found".to_owned(),
    };
    reply::error(Some(id), unknown_code(era, subject), &text, None)
}

/// The code of [`unknown`].
pub(crate) const fn unknown_code(era: Era, subject: Option<&Subject>) -> i64 {
    match (subject, era) {
        (Some(Subject::Resource(_)), Era::Legacy(_)) => code::RESOURCE_NOT_FOUND,
        (None | Some(Subject::Prompt(_) | Subject::Resource(_)), _) => code::INVALID_PARAMS,
    }
}

/// A call that was let through, and failed on its way or at the server.
#[must_use]
pub fn failed(
    era: Era,
    id: &RequestId,
    subject: Option<&Subject>,
    call: &str,
    outcome: Outcome,
    what: &str,
) -> Bytes {
    let effect = match outcome {
        Outcome::NotDispatched => "Nothing was sent to the server.",
        Outcome::Cancelled | Outcome::Indeterminate | Outcome::TimedOut => {
            "It is not known whether the call took effect: look before you repeat it."
        }
        Outcome::InProgress
        | Outcome::InputRequired
        | Outcome::Succeeded
        | Outcome::ToolError
        | Outcome::UpstreamError => "The server did not answer the call.",
    };
    let machine = Object::default()
        .with("decision", "allow")
        .with("call", call)
        .with("outcome", outcome.as_str());
    let text = format!("The call failed: {what}. {effect}");
    match subject {
        None => finish(era, id, error_result(&text, machine)),
        Some(_) => refusal(id, &text, machine),
    }
}

/// A call that was made, and whose answer policy does not let be shown. It must not look as if it could be repeated.
#[must_use]
pub fn withheld(
    era: Era,
    id: &RequestId,
    subject: Option<&Subject>,
    call: &str,
    outcome: Outcome,
    why: &str,
) -> Bytes {
    let machine = Object::default()
        .with("decision", "allow")
        .with("call", call)
        .with("outcome", outcome.as_str())
        .with("withheld", why);
    let text = format!(
        "The call was made, and the server has answered it ({}). The answer is not shown: {why}. Do not repeat the call for that.",
        outcome.as_str()
    );
    match subject {
        None => finish(era, id, error_result(&text, machine)),
        Some(_) => refusal(id, &text, machine),
    }
}

/// The server's result, exact but for what the client's era requires or does not know. How long it may be kept is not
/// for the server to say: what is read again is decided again, and recorded.
#[must_use]
pub fn relayed(era: Era, id: &RequestId, method: Method, mut result: Object) -> Bytes {
    if method == Method::ResourcesRead {
        result.set("ttlMs", 0);
        result.set("cacheScope", "private");
    }
    finish(era, id, result)
}

/// The server's error. A resource that it does not have has another code in each era.
#[must_use]
pub fn relayed_error(
    era: Era,
    id: &RequestId,
    code: i64,
    message: &str,
    data: Option<Json>,
) -> Bytes {
    let code = match (code, era) {
        (code::RESOURCE_NOT_FOUND, Era::Modern) => code::INVALID_PARAMS,
        (code, Era::Modern | Era::Legacy(_)) => code,
    };
    reply::error(Some(id), code, message, data)
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
