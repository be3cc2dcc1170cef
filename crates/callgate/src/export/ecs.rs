//! Elastic Common Schema 9.4. What it has no field for is under `callgate`.

use callgate_model::json::{Json, Object};

use callgate_model::evidence::Kind;

use super::facts::{Changed, Does, Facts, Severity, Verdict, Went, first};
use super::said;

const VERSION: &str = "9.4.0";

/// The document of a record.
pub(super) fn document(facts: &Facts<'_>) -> Object {
    let client = facts.asked("caller.client.name");
    said([
        ("@timestamp", facts.own("at").into()),
        ("ecs", said([("version", VERSION.into())]).into()),
        ("message", facts.sentence().into()),
        ("event", event(facts).into()),
        ("user", user(facts).into()),
        ("related", said([("user", related(facts).into())]).into()),
        (
            "user_agent",
            said([("name", client.into()), ("original", facts.asked("client_says").into())]).into(),
        ),
        ("gen_ai", gen_ai(facts).into()),
        ("service", said([("target", said([("name", facts.server().into())]).into())]).into()),
        ("rule", rule(facts).into()),
        ("error", said([("message", facts.told("detail").into())]).into()),
        ("trace", said([("id", facts.asked("trace").into())]).into()),
        (
            "observer",
            said([
                ("vendor", "Callgate".into()),
                ("product", "Callgate".into()),
                ("type", "gateway".into()),
                ("version", env!("CARGO_PKG_VERSION").into()),
            ])
            .into(),
        ),
        ("callgate", own(facts).into()),
    ])
}

/// What kind of thing a record tells of, in the words of the schema.
#[derive(Debug)]
pub(crate) struct Classes {
    /// `event.category`.
    pub(crate) category: &'static str,
    /// `event.type`.
    pub(crate) types: Vec<&'static str>,
    /// `event.outcome`.
    pub(crate) outcome: &'static str,
}

/// Those of a record.
pub(crate) fn classes(facts: &Facts<'_>) -> Classes {
    let outcome = match facts.went() {
        Went::Well => "success",
        Went::Badly => "failure",
        Went::Unknown => "unknown",
    };
    Classes { category: category(facts), types: types(facts), outcome }
}

fn event(facts: &Facts<'_>) -> Object {
    let Classes { category, types, outcome } = classes(facts);
    let action = [facts.change(), facts.understood("operation"), facts.tool()];
    let severity = match facts.severity() {
        Severity::Informational => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    };
    said([
        ("kind", "event".into()),
        ("category", vec![category].into()),
        ("type", types.into()),
        ("outcome", outcome.into()),
        (
            "action",
            first(&[&action[..], &[facts.asked("method"), facts.own("kind")]].concat()).into(),
        ),
        ("reason", reason(facts).into()),
        ("code", facts.own("kind").into()),
        ("id", facts.own("hash").into()),
        ("hash", facts.own("hash").into()),
        ("sequence", facts.record.get("index").cloned().unwrap_or(Json::Null)),
        ("severity", severity.into()),
        ("duration", facts.upstream_us().map(|us| us.saturating_mul(1000)).into()),
        ("module", "callgate".into()),
        ("dataset", "callgate.evidence".into()),
        ("provider", "callgate".into()),
    ])
}

/// The reason codes of a decision; of a change, what whoever made it says.
fn reason(facts: &Facts<'_>) -> String {
    if facts.kind == Kind::Change { facts.why().to_owned() } else { facts.reasons().join(", ") }
}

fn category(facts: &Facts<'_>) -> &'static str {
    match (facts.kind, facts.change()) {
        (Kind::Intent | Kind::Refusal | Kind::Outcome | Kind::Settled, _) => "api",
        (Kind::Opened, _) => "process",
        (Kind::Change, "signed_in" | "sign_in_refused" | "signed_out") => "authentication",
        (Kind::Change, "configured" | "policies_activated" | "tool_pinned" | "tool_unpinned") => {
            "configuration"
        }
        (Kind::Change, "payloads_erased" | "restored") => "database",
        (Kind::Change, _) => "iam",
    }
}

/// Only such types as go with the category.
fn types(facts: &Facts<'_>) -> Vec<&'static str> {
    let effect = match facts.understood("effect") {
        "read" => Some("access"),
        "write" | "share" => Some("change"),
        "delete" => Some("deletion"),
        "admin" => Some("admin"),
        _ => None,
    };
    let steps: &[&'static str] = match (facts.kind, facts.verdict()) {
        (Kind::Opened, _) => &["start"],
        (Kind::Change, _) => return vec![change_type(facts)],
        (Kind::Intent, _) => &["allowed", "start"],
        (
            Kind::Refusal,
            Some(Verdict::Allow | Verdict::Deny | Verdict::ApprovalRequired) | None,
        ) => &["denied"],
        (Kind::Outcome, _) => &["end"],
        (Kind::Settled, _) => &["info"],
    };
    effect.into_iter().chain(steps.iter().copied()).collect()
}

fn change_type(facts: &Facts<'_>) -> &'static str {
    match (facts.change(), Changed::of(facts.change()).does) {
        ("signed_in" | "sign_in_refused", _) => "start",
        // What is stored has no type for what is deleted from it.
        ("payloads_erased", _) => "change",
        ("signed_out", _) => "end",
        (_, Some(Does::Create)) => "creation",
        (_, Some(Does::Read) | None) => "info",
        (_, Some(Does::Update)) => "change",
        (_, Some(Does::Delete)) => "deletion",
    }
}

fn user(facts: &Facts<'_>) -> Object {
    let whose = facts.whose();
    said([
        ("id", facts.who().into()),
        ("name", facts.who().into()),
        ("target", said([("id", whose.into()), ("name", whose.into())]).into()),
    ])
}

/// Everybody who has to do with it, so that one search finds what somebody did and what was done to them.
fn related<'a>(facts: &Facts<'a>) -> Vec<&'a str> {
    let everybody = [facts.who(), facts.whose(), facts.told("session.who"), facts.settled_by()];
    let mut related: Vec<&str> = everybody.into_iter().filter(|one| !one.is_empty()).collect();
    related.sort_unstable();
    related.dedup();
    related
}

fn gen_ai(facts: &Facts<'_>) -> Object {
    let is_tool = facts.asked("method") == "tools/call";
    let tool = said([
        ("name", facts.asked("tool").into()),
        ("call", said([("id", facts.call().into())]).into()),
    ]);
    said([
        ("agent", said([("id", facts.agent().into()), ("name", facts.agent().into())]).into()),
        (
            "operation",
            said([("name", if is_tool { "execute_tool".into() } else { Json::Null })]).into(),
        ),
        ("tool", if is_tool { tool.into() } else { Json::Null }),
    ])
}

/// The policy that comes first; all of them are in `callgate.policies`.
fn rule(facts: &Facts<'_>) -> Object {
    let Some((id, owner)) = facts.policies().first().copied() else { return Object::default() };
    said([
        ("id", id.into()),
        ("name", id.into()),
        ("author", Some(owner).filter(|owner| !owner.is_empty()).map(|owner| vec![owner]).into()),
        ("version", facts.asked("decision.bundle").into()),
    ])
}

fn own(facts: &Facts<'_>) -> Object {
    let decided = |path: &str| facts.decided(path).clone();
    let entity = facts.entity();
    said([
        ("kind", facts.own("kind").into()),
        ("erased", if facts.is_erased() { true.into() } else { Json::Null }),
        ("call", facts.call().into()),
        ("writer", facts.own("writer").into()),
        ("sequence", facts.record.get("sequence").cloned().unwrap_or(Json::Null)),
        ("method", decided("method")),
        ("tool", facts.tool().into()),
        ("understood", decided("understood")),
        ("arguments_digest", decided("arguments_digest")),
        ("verdict", facts.verdict().map(Verdict::as_str).into()),
        ("reasons", facts.reasons().into()),
        ("policies", decided("decision.policies")),
        ("gates", decided("decision.gates")),
        ("obligations", decided("decision.obligations")),
        ("accountable", decided("caller.accountable")),
        ("delegation", facts.delegation().into()),
        ("approval", facts.approval().into()),
        ("grant", decided("granted_by.id")),
        ("by_glass", decided("approved_by.by_glass")),
        ("continues", decided("continues")),
        ("resolves", decided("resolves")),
        ("outcome", facts.outcome().into()),
        ("result", facts.event("result").clone()),
        ("settled_by", facts.settled_by().into()),
        ("change", facts.change().into()),
        (
            "entity",
            match facts.kind {
                Kind::Change => said([
                    ("type", Changed::of(facts.change()).thing.into()),
                    ("id", (*entity.id).into()),
                    ("name", (*entity.name).into()),
                    ("content", facts.content()),
                ])
                .into(),
                Kind::Opened | Kind::Intent | Kind::Refusal | Kind::Outcome | Kind::Settled => {
                    Json::Null
                }
            },
        ),
        ("why", facts.why().into()),
        ("ticket", facts.ticket().into()),
    ])
}
