//! Open Cybersecurity Schema Framework, release 1.8.0, with the profile `security_control`.
//!
//! OCSF has no class for tool calls and no object for a chain of delegation: a call is an API Activity, and what of its chain is neither
//! the user nor the client is under `unmapped.delegation`, as is whatever else has no attribute.

use callgate_model::ambient::Timestamp;
use callgate_model::json::{Json, Object};

use callgate_model::evidence::Kind;

use super::facts::{Changed, Does, Facts, Severity, UNKNOWN, Verdict, Went, first, text_at, texts};
use super::said;

const VERSION: &str = "1.8.0";

/// A class of events, with its category.
#[derive(Clone, Copy)]
struct Class {
    uid: i64,
    name: &'static str,
    category: (i64, &'static str),
}

const IAM: (i64, &str) = (3, "Identity & Access Management");
const APPLICATION: (i64, &str) = (6, "Application Activity");
const AUTHENTICATION: Class = Class { uid: 3002, name: "Authentication", category: IAM };
const ENTITY: Class = Class { uid: 3004, name: "Entity Management", category: IAM };
const LIFECYCLE: Class = Class { uid: 6002, name: "Application Lifecycle", category: APPLICATION };
const API: Class = Class { uid: 6003, name: "API Activity", category: APPLICATION };

/// An activity of a class: its id there, and its caption.
type Activity<'a> = (i64, &'a str);

const OTHER: i64 = 99;

/// The event of a record.
pub(super) fn event(facts: &Facts<'_>) -> Object {
    match (facts.kind, facts.change()) {
        // What a person says of a call is about the call, as its outcome is: whoever looks for the call finds both.
        (Kind::Intent | Kind::Refusal | Kind::Outcome | Kind::Settled, _) => api_activity(facts),
        (Kind::Opened, _) => {
            let app = product(first(&[facts.told("version"), UNKNOWN]));
            joined(base(facts, LIFECYCLE, (3, "Start")), &said([("app", app)]))
        }
        (Kind::Change, "signed_in" | "sign_in_refused") => authentication(facts, (1, "Logon")),
        (Kind::Change, "signed_out") => authentication(facts, (2, "Logoff")),
        // Approvals too: they are things that are made, voted on and withdrawn. An API Activity would count a vote twice, which
        // is a call of the gateway's own API with an intent and an outcome of its own.
        (Kind::Change, _) => entity_management(facts),
    }
}

/// What every class has.
fn base(facts: &Facts<'_>, class: Class, activity: Activity<'_>) -> Object {
    let (status_id, status) = status(facts);
    let (severity_id, severity) = severity(facts.severity());
    let caption = if activity.0 == OTHER { "Other" } else { activity.1 };
    said([
        ("activity_id", activity.0.into()),
        ("activity_name", activity.1.into()),
        ("category_uid", class.category.0.into()),
        ("category_name", class.category.1.into()),
        ("class_uid", class.uid.into()),
        ("class_name", class.name.into()),
        ("type_uid", (class.uid * 100 + activity.0).into()),
        ("type_name", format!("{}: {caption}", class.name).into()),
        ("time", facts.at_ms().into()),
        ("severity_id", severity_id.into()),
        ("severity", severity.into()),
        ("status_id", status_id.into()),
        ("status", status.into()),
        ("message", facts.sentence().into()),
        ("metadata", metadata(facts).into()),
        ("unmapped", unmapped(facts).into()),
    ])
}

fn metadata(facts: &Facts<'_>) -> Object {
    said([
        ("version", VERSION.into()),
        ("product", product(env!("CARGO_PKG_VERSION"))),
        ("profiles", vec!["security_control"].into()),
        ("uid", facts.own("hash").into()),
        ("correlation_uid", facts.call().into()),
        ("event_code", first(&[facts.change(), facts.own("kind")]).into()),
        ("log_provider", "callgate".into()),
        ("log_name", "evidence".into()),
        ("original_time", facts.own("at").into()),
        ("sequence", facts.record.get("index").cloned().unwrap_or(Json::Null)),
    ])
}

fn product(version: &str) -> Json {
    said([
        ("name", "Callgate".into()),
        ("vendor_name", "Callgate".into()),
        ("version", version.into()),
    ])
    .into()
}

fn unmapped(facts: &Facts<'_>) -> Object {
    let decided = |path: &str| facts.decided(path).clone();
    said([
        ("kind", facts.own("kind").into()),
        ("writer", facts.own("writer").into()),
        ("writer_sequence", facts.record.get("sequence").cloned().unwrap_or(Json::Null)),
        ("erased", if facts.is_erased() { true.into() } else { Json::Null }),
        ("delegation", facts.delegation().into()),
        ("method", decided("method")),
        ("operation", decided("understood.operation")),
        ("effect", decided("understood.effect")),
        ("reversibility", decided("understood.reversibility")),
        ("reasons", facts.reasons().into()),
        ("gates", decided("decision.gates")),
        ("obligations", decided("decision.obligations")),
        ("approval", facts.approval().into()),
        ("grant", decided("granted_by.id")),
        ("by_glass", decided("approved_by.by_glass")),
        ("why", facts.why().into()),
        ("ticket", facts.ticket().into()),
        ("arguments_digest", decided("arguments_digest")),
        ("continues", decided("continues")),
        ("resolves", decided("resolves")),
        ("trace", decided("trace")),
        ("settled_by", facts.settled_by().into()),
    ])
}

fn api_activity(facts: &Facts<'_>) -> Object {
    let server = facts.asked("server");
    let client = facts.asked("caller.client.name");
    let verdict = facts.verdict();
    let (action_id, action) = match verdict {
        Some(Verdict::Allow) => (1, "Allowed"),
        // Of a refusal that was erased that much is known.
        Some(Verdict::Deny | Verdict::ApprovalRequired) | None => (2, "Denied"),
    };
    let (disposition_id, disposition) = disposition(facts, verdict);
    let (risk_level_id, risk_level) = match facts.understood("risk") {
        "low" => (Some(1), "Low"),
        "medium" => (Some(2), "Medium"),
        "high" => (Some(3), "High"),
        "critical" => (Some(4), "Critical"),
        _ => (None, ""),
    };
    let policy = facts.policies().first().map(|policy| policy_object(facts, policy));
    let resources: Vec<Json> = facts.targets().iter().map(resource).collect();
    let code = first(&[facts.outcome(), facts.reasons().first().copied().unwrap_or_default()]);
    let more = said([
        ("status_code", code.into()),
        ("status_detail", first(&[facts.told("detail"), facts.told("note")]).into()),
        ("actor", actor(facts, verdict).into()),
        ("api", api(facts).into()),
        ("src_endpoint", said([("name", first(&[client, UNKNOWN]).into())]).into()),
        ("dst_endpoint", said([("svc_name", server.into())]).into()),
        ("resources", resources.into()),
        ("action_id", action_id.into()),
        ("action", action.into()),
        ("disposition_id", disposition_id.into()),
        ("disposition", disposition.into()),
        ("policy", policy.into()),
        ("risk_level_id", risk_level_id.into()),
        ("risk_level", risk_level.into()),
        ("duration", facts.upstream_us().map(|us| us / 1000).into()),
    ]);
    joined(base(facts, API, activity(facts)), &more)
}

/// By the effect. What shares changes who sees a thing, and OCSF has no word for administration.
fn activity<'a>(facts: &Facts<'a>) -> Activity<'a> {
    match facts.asked("understood.effect") {
        "read" => (2, "Read"),
        "write" | "share" => (3, "Update"),
        "delete" => (4, "Delete"),
        "" => (0, "Unknown"),
        other => (OTHER, other),
    }
}

fn disposition(facts: &Facts<'_>, verdict: Option<Verdict>) -> (i64, &'static str) {
    let has = |code: &str| facts.reasons().contains(&code);
    let is_approved = !facts.asked("approved_by.id").is_empty()
        && facts.decided("approved_by.by_glass").as_bool() == Some(false);
    let Some(verdict) = verdict else { return (0, "Unknown") };
    match verdict {
        Verdict::ApprovalRequired => (14, "Delayed"),
        Verdict::Deny if has("approval_denied") => (25, "Rejected"),
        Verdict::Deny if has("evidence_unavailable") => (27, "Error"),
        Verdict::Deny => (2, "Blocked"),
        Verdict::Allow if facts.went() == Went::Badly => (27, "Error"),
        Verdict::Allow if is_approved => (8, "Approved"),
        Verdict::Allow => (1, "Allowed"),
    }
}

fn actor(facts: &Facts<'_>, verdict: Option<Verdict>) -> Object {
    let groups = texts(facts.decided("caller.accountable.groups"));
    let groups: Vec<Json> =
        groups.into_iter().map(|name| said([("name", name.into())]).into()).collect();
    let (type_id, kind) = match facts.asked("caller.accountable.kind") {
        "human" => (1, "User"),
        "service_account" => (4, "Service"),
        _ => (0, "Unknown"),
    };
    let who = first(&[facts.who(), UNKNOWN]);
    let user = said([
        ("name", who.into()),
        ("uid", who.into()),
        ("type_id", type_id.into()),
        ("type", kind.into()),
        ("groups", groups.into()),
    ]);
    let authorizations: Vec<Json> = facts
        .policies()
        .iter()
        .map(|policy| {
            said([
                ("decision", verdict.map(Verdict::as_str).into()),
                ("policy", policy_object(facts, policy)),
            ])
            .into()
        })
        .collect();
    let client = facts.asked("caller.client.name");
    said([
        ("user", user.into()),
        ("app_name", client.into()),
        ("app_uid", client.into()),
        ("authorizations", authorizations.into()),
    ])
}

fn policy_object(facts: &Facts<'_>, (id, owner): &(&str, &str)) -> Json {
    said([
        ("uid", (*id).into()),
        ("name", (*id).into()),
        ("version", facts.asked("decision.bundle").into()),
        ("is_applied", true.into()),
        ("data", said([("owner", (*owner).into())]).into()),
    ])
    .into()
}

fn api(facts: &Facts<'_>) -> Object {
    let operation = first(&[facts.asked("tool"), facts.asked("method"), UNKNOWN]);
    let response = match facts.kind {
        Kind::Outcome => said([
            ("message", facts.outcome().into()),
            (
                "error",
                match facts.went() {
                    Went::Badly => facts.outcome().into(),
                    Went::Well | Went::Unknown => Json::Null,
                },
            ),
            ("error_message", facts.told("detail").into()),
            ("data", facts.event("result").clone()),
        ]),
        Kind::Settled => said([("message", facts.outcome().into())]),
        Kind::Opened | Kind::Intent | Kind::Refusal | Kind::Change => Object::default(),
    };
    said([
        ("operation", operation.into()),
        ("service", said([("name", facts.asked("server").into())]).into()),
        ("request", said([("uid", first(&[facts.call(), UNKNOWN]).into())]).into()),
        ("response", response.into()),
    ])
}

fn resource(target: &Json) -> Json {
    let text = |name: &str| text_at(target, name);
    let containers = texts(target.get("in").unwrap_or(&Json::Null));
    let name = first(&[text("id"), text("spelled"), text("kind"), UNKNOWN]);
    said([
        ("uid", text("id").into()),
        ("name", name.into()),
        ("type", text("kind").into()),
        ("namespace", containers.first().copied().into()),
        ("labels", containers.into()),
        ("role_id", 1.into()),
        (
            "data",
            said([("unresolved", text("unresolved").into()), ("site", text("site").into())]).into(),
        ),
    ])
    .into()
}

fn entity_management(facts: &Facts<'_>) -> Object {
    let changed = Changed::of(facts.change());
    let activity = match changed.does {
        Some(_) if facts.change() == "policies_activated" => (10, "Activate"),
        Some(Does::Create) => (1, "Create"),
        Some(Does::Read) => (2, "Read"),
        Some(Does::Update) => (3, "Update"),
        Some(Does::Delete) => (4, "Delete"),
        None => (OTHER, first(&[facts.change(), UNKNOWN])),
    };
    let named = facts.entity();
    let name = first(&[&named.name, if named.id.is_empty() { UNKNOWN } else { "" }]);
    let (type_id, kind) =
        if changed.thing == "policies" { (5, "Policy") } else { (OTHER, changed.thing) };
    let whose = facts.whose();
    let owner = said([("name", whose.into()), ("uid", whose.into())]);
    let entity = said([
        ("uid", (*named.id).into()),
        ("name", name.into()),
        ("type", kind.into()),
        ("type_id", type_id.into()),
        ("user", owner.into()),
        ("data", facts.content()),
    ]);
    let more = said([
        ("actor", maker(facts).into()),
        ("entity", entity.into()),
        ("comment", facts.why().into()),
        ("status_code", facts.outcome().into()),
    ]);
    joined(base(facts, ENTITY, activity), &more)
}

/// Who made a change.
fn maker(facts: &Facts<'_>) -> Object {
    let who = facts.who();
    let user = said([("name", who.into()), ("uid", who.into())]);
    said([("user", user.into())])
}

fn authentication(facts: &Facts<'_>, activity: Activity<'_>) -> Object {
    // Of a session that ends it is known who ends it, and not whose it was.
    let who = first(&[facts.told("session.who"), facts.who(), UNKNOWN]);
    let (protocol_id, protocol) = match facts.told("session.way") {
        "issuer" => (4, "OpenID"),
        "" => (0, "Unknown"),
        way => (OTHER, way),
    };
    let ms = |path: &str| Timestamp::parse(facts.told(path)).map(Timestamp::unix_ms);
    let session = said([
        ("uid", (*facts.entity().id).into()),
        ("created_time", ms("session.begun").into()),
        ("expiration_time", ms("session.ends").into()),
    ]);
    let more = said([
        ("actor", maker(facts).into()),
        ("user", said([("name", who.into()), ("uid", who.into())]).into()),
        ("service", said([("name", "Callgate console".into())]).into()),
        ("session", session.into()),
        ("auth_protocol_id", protocol_id.into()),
        ("auth_protocol", protocol.into()),
        ("status_code", facts.outcome().into()),
        ("status_detail", facts.why().into()),
    ]);
    joined(base(facts, AUTHENTICATION, activity), &more)
}

/// What a call was asked for is not done yet when it is allowed: that is not known, and its outcome says so later.
fn status<'a>(facts: &Facts<'a>) -> (i64, &'a str) {
    match facts.went() {
        Went::Well => (1, "Success"),
        Went::Badly => (2, "Failure"),
        Went::Unknown if matches!(facts.outcome(), "input_required" | "in_progress") => {
            (OTHER, facts.outcome())
        }
        Went::Unknown if facts.kind == Kind::Settled && !facts.is_erased() => {
            (OTHER, first(&[facts.outcome(), UNKNOWN]))
        }
        Went::Unknown => (0, "Unknown"),
    }
}

const fn severity(severity: Severity) -> (i64, &'static str) {
    match severity {
        Severity::Informational => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

fn joined(mut base: Object, more: &Object) -> Object {
    for (name, value) in more.iter() {
        base.set(name, value.clone());
    }
    base
}
