//! Records as they are exported: one of each kind, and such as somebody made who wants to break out of a line.

use callgate_model::evidence::Outcome;
use callgate_model::json::Json;
use serde_json::{Value, json};

use super::{Sample, changes};

pub(super) const CALL: &str = "019acb5e-8b1c-7d5e-a1c4-3f0d2b6e9a77";
const APPROVAL: &str = "019acb5e-8b1c-7d5e-a1c4-3f0d2b6e9a88";

/// What breaks out of lines, fields, strings, terminals and spreadsheets.
pub(super) const EVIL: [&str; 7] = [
    "a\r\nCEF:0|Callgate|callgate|1|permitted|x|1|act=allow",
    "a\u{2028}b\u{85}c\u{b}d\u{c}e",
    "\u{1b}[2J\u{9b}31m\u{7}",
    "\",\"outcome\":\"succeeded\"} ] [x@1 a=\"",
    "=HYPERLINK(\"http://x\",\"y\")",
    "\u{202e}gpj.exe\u{200b}\u{feff}",
    "\\\\|=\\",
];

fn record(kind: &str, event: &Value) -> Value {
    let mut record = json!({
        "at": "2026-11-27T08:00:00.000Z", "format": 2, "kind": kind, "payload": "ab".repeat(32), "previous": "0".repeat(64),
        "sequence": 3, "writer": "019acb5e-0000-7d5e-a1c4-3f0d2b6e9a77", "event": event,
        "salt": "00112233445566778899aabbccddeeff", "hash": "cd".repeat(32), "index": 7,
    });
    if matches!(kind, "intent" | "refusal" | "outcome" | "settled") {
        record["call"] = CALL.into();
    }
    record
}

fn decided(verdict: &str, reason: &str) -> Value {
    json!({
        "call": CALL, "method": "tools/call", "server": "atlassian", "tool": "editJiraIssue", "why": "the release needs it",
        "caller": {
            "accountable": { "kind": "human", "id": "alice", "groups": ["engineering"], "assurance": "verified" },
            "agent": { "id": "release-bot", "class": "ci", "assurance": "verified" },
            "actors": [{ "id": "planner", "class": null, "assurance": "asserted" }],
            "client": { "name": "ide", "assurance": "configured" },
            "credential": { "kind": "jwt", "id": "idp/1", "digest": "ef".repeat(32), "issued": null, "expires": null },
            "workflow": { "run": "run-7", "purpose": "release", "ticket": "OPS-1", "assurance": "verified" },
        },
        "client_says": "ide/1.0",
        "understood": {
            "operation": "jira.issue.edit", "effect": "write", "risk": "medium", "reversibility": "recoverable",
            "definition": "aa".repeat(32),
            "targets": [
                { "kind": "Jira::Issue", "id": "acme/ENG-42", "in": ["Jira::Project::acme/ENG", "Atlassian::Site::acme"] },
                { "kind": "Jira::Issue", "unresolved": "not_found", "spelled": "10042", "site": "acme" },
            ],
        },
        "arguments_digest": "bb".repeat(32), "arguments": { "issueIdOrKey": "ENG-42" },
        "decision": {
            "verdict": verdict, "reasons": [reason], "bundle": "cc".repeat(32), "gates": [],
            "policies": [{ "id": "engineers-work", "owner": "engineering" }, { "id": "bot", "owner": "platform" }],
        },
        "decided_in_us": 120, "trace": "4bf92f3577b34da6a3ce929d0e0e4736",
    })
}

fn sample(record: Value, intent: Option<Value>) -> Sample {
    Sample { record: record.into(), intent: intent.map(Json::from) }
}

pub(super) fn intent() -> Sample {
    sample(record("intent", &decided("allow", "permitted")), None)
}

/// An intent that goes by an approval.
pub(super) fn approved(by_glass: bool) -> Sample {
    let mut event = decided("allow", "permitted");
    event["approved_by"] = json!({ "by_glass": by_glass, "id": APPROVAL, "spends": true });
    sample(record("intent", &event), None)
}

pub(super) fn refusal(verdict: &str, reason: &str) -> Sample {
    sample(record("refusal", &decided(verdict, reason)), None)
}

pub(super) fn refused_for(reason: &str) -> Sample {
    refusal("deny", reason)
}

/// A request that could not be read, of nobody.
pub(super) fn unread() -> Sample {
    let event = json!({
        "call": CALL, "caller": null, "method": "", "server": "atlassian", "tool": "", "understood": null, "arguments": "bad",
        "decision": { "verdict": "deny", "reasons": ["request_malformed"], "policies": [], "gates": [], "bundle": "cc" },
        "decided_in_us": 1,
    });
    sample(record("refusal", &event), None)
}

pub(super) fn outcome(outcome: &str) -> Sample {
    let mut of = record(
        "outcome",
        &json!({
            "call": CALL, "outcome": outcome, "detail": "HTTP status 502", "upstream_us": 81_500,
            "result": { "digest": "dd".repeat(32), "bytes": 512 },
        }),
    );
    of["outcome"] = outcome.into();
    sample(of, Some(record("intent", &decided("allow", "permitted"))))
}

pub(super) fn settled() -> Sample {
    let event =
        json!({ "call": CALL, "finding": "took_effect", "note": "seen in Jira", "by": "carol" });
    sample(record("settled", &event), Some(record("intent", &decided("allow", "permitted"))))
}

pub(super) fn opened() -> Sample {
    sample(record("opened", &json!({ "version": "0.1.0" })), None)
}

/// A change with the members that changes of this name have; the model reads it.
pub(super) fn change(name: &str) -> Sample {
    let (id, at, digest) = (CALL, "2026-11-27T08:00:00.000Z", "aa".repeat(32));
    let secret_for =
        json!({ "server": "atlassian", "holder": { "kind": "human", "name": "alice" } });
    let proof = json!({ "passkey": "AbC", "counter": 1 });
    let of = json!({ "server": "atlassian", "tool": "editJiraIssue" });
    let scope = json!({ "actions": ["jira.issue.edit"], "within": [] });
    let token = json!({
    "id": id, "name": "nightly", "digest": digest, "owner": "alice", "service_account": null, "groups": [], "agent": "release-bot",
        "class": null, "scope": scope, "networks": [], "issued": at, "ends": at, "idle_s": null, "replaces": null, "first": id,
    });
    let more = match name {
        "token_issued" => json!({ "token": token }),
        "token_rotated" => json!({ "old_ends": at, "token": token }),
        "grant_issued" => json!({ "grant": {
            "id": id, "holder": { "human": null, "service_account": null, "agent": "release-bot", "client": null, "workflow": null },
            "scope": scope, "begins": at, "ends": at, "uses": 3, "reason": "release", "ticket": "OPS-1", "by": "carol", "issued": at,
        } }),
        "revoked" => json!({ "revocation": {
            "id": id, "subject": { "kind": "agent", "name": "release-bot" }, "issued_before": null, "reason": "lost", "at": at,
        } }),
        "secret_set" => json!({ "secret": { "for": secret_for, "scheme": "bearer", "set": at } }),
        "secret_removed" => json!({ "for": secret_for }),
        "tool_pinned" => json!({ "pin": {
            "of": of, "digest": digest, "definition": "{}", "replaces": null, "at": at,
        } }),
        "tool_unpinned" => json!({ "of": of }),
        "signed_in" => json!({ "link": null, "session": {
            "id": id, "digest": digest, "way": "issuer", "who": "alice", "groups": [], "client": "console", "issued": at,
            "authenticated": null, "begun": at, "ends": at,
        } }),
        "sign_in_link_made" => json!({ "link": {
            "id": id, "digest": digest, "who": "alice", "made": at, "ends": at,
        } }),
        "passkey_added" => json!({ "proof": null, "passkey": {
            "id": "AbC", "who": "alice", "name": "key", "added": at, "key_digest": digest, "counter": 0,
        } }),
        "passkey_removed" => json!({ "id": "AbC", "who": "alice", "proof": proof }),
        "configured" => json!({ "setup": {
            "version": "0.1.0", "configuration": digest, "public_url": null, "issuers": [], "channels": [], "keys": [], "dangers": [],
            "servers": [{ "name": "atlassian", "catalog": "atlassian-rovo" }],
            "evidence": {
                "arguments": "digest", "fields": [], "retention_days": { "intent": 400 }, "sinks": [{ "name": "siem", "kind": "syslog" }],
                "anchors": [], "witnesses": [],
            },
        } }),
        "policies_activated" => json!({ "bundle": digest, "policies": [{
            "id": "p", "tier": "permits", "owner": "platform", "reason": "r", "text": null, "digest": digest,
        }] }),
        "payloads_erased" => json!({ "indexes": [1, 2], "reason": "kept for 400 days" }),
        "restored" => json!({ "records": 7, "until": at, "kept": ["tokens"] }),
        "sign_in_refused" => json!({ "who": "carol", "reason": "the link was used up" }),
        "notice_given_up" => {
            json!({ "id": id, "channel": "hook", "attempts": 9, "reason": "HTTP status 500" })
        }
        _ => about_an_approval(name).unwrap_or_else(|| json!({ "id": id })),
    };
    let mut event = more;
    event["change"] = name.into();
    let asks = name == "approval_requested";
    event["by"] = if asks { "alice via release-bot" } else { "carol" }.into();
    let mut record = record("change", &event);
    record["change"] = name.into();
    sample(record, None)
}

/// The members of a change that is about an approval.
fn about_an_approval(name: &str) -> Option<Value> {
    let (id, at, digest) = (CALL, "2026-11-27T08:00:00.000Z", "aa".repeat(32));
    let proof = json!({ "passkey": "AbC", "counter": 1 });
    let known = json!({ "credential": "session", "id": id, "assurance": "verified" });
    let asker = json!({
        "accountable": "alice", "is_human": true, "agent": "release-bot", "actors": [], "client": "ide", "credential": "jwt",
        "workflow": null, "people": ["alice"],
    });
    let about = json!({
        "server": "atlassian", "tool": "editJiraIssue", "definition": null, "operation": "jira.issue.edit", "title": "Edit an issue",
        "effect": "write", "risk": "medium", "reversibility": "recoverable", "arguments_digest": digest, "arguments": {},
        "targets": [{ "kind": "Jira::Issue", "id": "acme/ENG-42", "in": ["Jira::Project::acme/ENG"] }],
    });
    Some(match name {
        "approval_requested" => json!({ "approval": {
            "id": id, "binding": digest, "asker": asker, "about": about, "bundle": digest, "at": at, "decide_until": at, "use_within_s": 60,
            "gates": [{ "policy": "p", "approvers": "team:leads", "quorum": 1, "decide_within_s": 60, "use_within_s": 60 }],
        } }),
        "approval_viewed" => json!({ "id": id, "shown": digest }),
        "approval_voted" => json!({ "vote": {
            "approval": id, "by": "carol", "approves": true, "gates": ["p"], "reason": "fine", "seen": digest, "at": at, "known": known,
        } }),
        "glass_broken" => json!({ "notices": [], "glass": {
            "approval": id, "by": "carol", "reason": "down", "ticket": "INC-1", "proof": proof, "seen": digest, "at": at,
            "known": known,
        } }),
        "glass_reviewed" => json!({ "review": {
            "approval": id, "by": "dave", "verdict": "justified", "note": "it was down", "at": at,
        } }),
        "approval_withdrawn" => json!({ "id": id, "reason": "no more" }),
        _ => return None,
    })
}

/// One of each kind.
pub(super) fn all() -> Vec<Sample> {
    let mut all = vec![
        opened(),
        intent(),
        approved(false),
        approved(true),
        refusal("deny", "guardrail"),
        refusal("deny", "approval_denied"),
        refusal("deny", "evidence_unavailable"),
        refusal("approval_required", "approval_required"),
        unread(),
        settled(),
    ];
    all.extend(Outcome::ALL.map(|one| outcome(one.as_str())));
    all.extend(changes().into_iter().chain(["not_known_yet"]).map(change));
    let mut unknown = intent();
    unknown.record = changed(&unknown.record, |record| record["kind"] = "not_known_yet".into());
    all.push(unknown);
    all
}

/// The same without its content: nor is there that of its intent.
pub(super) fn erased(of: &Sample) -> Sample {
    let erase = |record: &Json| {
        changed(record, |record| {
            record["event"] = Value::Null;
            record["salt"] = Value::Null;
        })
    };
    Sample { record: erase(&of.record), intent: of.intent.as_ref().map(erase) }
}

/// An intent with another text at a member of its event.
pub(super) fn with(member: &str, text: &str) -> Sample {
    let mut sample = intent();
    sample.record = changed(&sample.record, |record| record["event"][member] = text.into());
    sample
}

pub(super) fn of_risk(sample: Sample, risk: &str) -> Sample {
    let set = |record: Json| {
        changed(&record, |record| {
            if let Some(understood) = record["event"].get_mut("understood") {
                understood["risk"] = risk.into();
            }
        })
    };
    Sample { record: set(sample.record), intent: sample.intent.map(set) }
}

/// Each kind with `evil` in the place of every text of its event.
pub(super) fn everywhere(evil: &str) -> Vec<Sample> {
    let spoil = |record: &Json| changed(record, |record| replace(&mut record["event"], evil));
    let spoil = |sample: Sample| Sample {
        record: spoil(&sample.record),
        intent: sample.intent.as_ref().map(spoil),
    };
    all().into_iter().map(spoil).collect()
}

fn replace(value: &mut Value, evil: &str) {
    match value {
        Value::String(text) => *text = evil.to_owned(),
        Value::Array(elements) => elements.iter_mut().for_each(|element| replace(element, evil)),
        Value::Object(members) => members.values_mut().for_each(|member| replace(member, evil)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn changed(record: &Json, change: impl FnOnce(&mut Value)) -> Json {
    let mut value: Value = serde_json::from_str(&record.to_text()).unwrap();
    change(&mut value);
    value.into()
}
