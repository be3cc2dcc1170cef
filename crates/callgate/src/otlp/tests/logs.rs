//! Records as logs, read by a foreign receiver.

use std::time::Duration;

use callgate_mcp::document::Document;
use callgate_mcp::upstream::UpstreamLimits;
use callgate_model::json::{Json, JsonLimits, read};
use callgate_tests::{announced, install};
use serde_json::{Value, json};
use tokio::process::Command;

use super::super::logs::request;
use super::super::*;
use crate::export::Exported;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALL: &str = "01a21219-a40a-7000-8000-000000000006";

fn json_of(value: &Value) -> Json {
    read(value.to_string().as_bytes(), &JsonLimits::default()).unwrap()
}

/// A record of `kind` at the place `index`.
fn record(index: u64, kind: &str, event: &Value) -> Value {
    json!({
        "at": "2026-11-27T10:00:00.250Z",
        "call": CALL,
        "event": event,
        "format": 2,
        "hash": "ab".repeat(32),
        "index": index,
        "kind": kind,
        "payload": "cd".repeat(32),
        "previous": "00".repeat(32),
        "salt": "ef".repeat(16),
        "sequence": index,
        "writer": CALL,
    })
}

fn decided(verdict: &str, reasons: &[&str]) -> Value {
    json!({
        "approved_by": { "id": "01a21219-a40a-7000-8000-000000000007", "spends": true },
        "caller": {
            "accountable": { "id": "corp/alice", "kind": "human" },
            "agent": { "id": "release-bot" },
        },
        "decision": {
            "bundle": "12".repeat(32),
            "policies": [{ "id": "engineers-work", "owner": "engineering" }],
            "reasons": reasons,
            "verdict": verdict,
        },
        "method": "tools/call",
        "server": "atlassian",
        "tool": "editJiraIssue",
        "trace": TRACE,
        "understood": { "effect": "write", "operation": "jira.issue.edit", "risk": "medium" },
    })
}

/// What a foreign receiver reads of `records`.
async fn received(records: &[Exported<'_>]) -> Vec<Value> {
    let (interpreter, script) = install::otlp(&install::default_directory()).unwrap();
    let (port, _child) = announced(Command::new(interpreter).arg(script)).await.unwrap();
    let at = |path: &str| {
        let url = format!("http://127.0.0.1:{port}/{path}").parse().unwrap();
        let limits = UpstreamLimits { total: Duration::from_secs(10), ..UpstreamLimits::default() };
        Document::new(url, limits).unwrap()
    };
    let resource = Resource {
        attributes: vec![text("service.name", "gate".to_owned())],
        ..Resource::default()
    };
    let sent = headers(&HeaderMap::new());
    at("taken/v1/logs")
        .send(sent, request(&resource, records.iter().copied()).encode_to_vec())
        .await
        .unwrap();
    let all = at("received").fetch().await.unwrap();
    let all: Value = serde_json::from_str(&all.to_text()).unwrap();
    let all = all[0]["all"].as_array().unwrap().clone();
    assert!(all.iter().all(|one| one["resource"]["service.name"] == "gate"));
    all
}

#[tokio::test]
async fn a_collector_gets_records_and_what_one_looks_for() {
    let intent = json_of(&record(7, "intent", &decided("allow", &["permitted"])));
    let outcome = json!({ "call": CALL, "outcome": "tool_error", "upstream_us": 9 });
    let outcome = json_of(&record(8, "outcome", &outcome));
    let sent = [
        Exported { record: &intent, intent: None },
        Exported { record: &outcome, intent: Some(&intent) },
    ];
    let all = received(&sent).await;
    let [first, second] = &all[..] else { panic!("{all:#?}") };
    assert_eq!(first["body"], String::from_utf8(intent.canonical()).unwrap(), "to the letter");
    assert_eq!(
        (&first["at"], &first["trace"]),
        (&json!(1_795_773_600_250_000_000_u64), &json!(TRACE))
    );
    assert_eq!(
        (&first["event"], &first["severity_text"]),
        (&json!("callgate.intent"), &json!("INFO2"))
    );
    assert_eq!(
        first["attributes"],
        json!({
            "callgate.approval.id": "01a21219-a40a-7000-8000-000000000007",
            "callgate.call": CALL,
            "callgate.decision": "allow",
            "callgate.effect": "write",
            "callgate.operation": "jira.issue.edit",
            "callgate.policy.version": "12".repeat(32),
            "callgate.reason_code": ["permitted"],
            "callgate.risk": "medium",
            "callgate.server": "atlassian",
            "event.category": ["api"],
            "event.id": "ab".repeat(32),
            "event.kind": "event",
            "event.outcome": "unknown",
            "event.sequence": 7,
            "event.type": ["change", "allowed", "start"],
            "gen_ai.agent.name": "release-bot",
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "editJiraIssue",
            "mcp.method.name": "tools/call",
            "rule.id": ["engineers-work"],
            "user.id": "corp/alice",
        })
    );
    // An outcome says only what is its own; the rest is of the call.
    assert_eq!(
        (&second["trace"], &second["severity"]),
        (&json!(TRACE), &json!("SEVERITY_NUMBER_INFO2"))
    );
    let said = &second["attributes"];
    assert_eq!(
        (&said["event.outcome"], &said["callgate.outcome"]),
        (&json!("failure"), &json!("tool_error"))
    );
    assert_eq!((&said["user.id"], &said["event.sequence"]), (&json!("corp/alice"), &json!(8)));
    assert_eq!(said["event.type"], json!(["change", "end"]));
}

#[tokio::test]
async fn what_was_erased_is_not_there_and_severity_is_by_what_happened() {
    let erased = json_of(&record(1, "refusal", &Value::Null));
    let of = |kind: &str, event: Value| json_of(&record(2, kind, &event));
    let told = [
        (of("refusal", decided("deny", &["guardrail", "agent_not_permitted"])), "WARN", "failure"),
        (of("refusal", decided("approval_required", &["approval_required"])), "INFO2", "failure"),
        (of("outcome", json!({ "outcome": "succeeded" })), "WARN", "success"),
        (of("outcome", json!({ "outcome": "indeterminate" })), "WARN", "unknown"),
        (of("outcome", json!({ "outcome": "timed_out" })), "WARN", "unknown"),
        (of("outcome", json!({ "outcome": "not_dispatched" })), "WARN", "failure"),
        (of("change", json!({ "change": "glass_broken" })), "ERROR", "success"),
        (of("change", json!({ "change": "token_issued" })), "INFO2", "success"),
        (of("change", json!({ "change": "sign_in_refused" })), "WARN", "failure"),
        (of("opened", json!({ "version": "1" })), "INFO", "success"),
        (of("settled", json!({ "finding": "took_effect" })), "WARN", "success"),
        (erased, "WARN", "failure"),
    ];
    let sent: Vec<_> = told.iter().map(|(record, ..)| Exported { record, intent: None }).collect();
    let all = received(&sent).await;
    for (one, (record, severity, outcome)) in all.iter().zip(&told) {
        assert_eq!(
            (one["severity_text"].as_str(), one["attributes"]["event.outcome"].as_str()),
            (Some(*severity), Some(*outcome)),
            "{record:?}"
        );
    }
    assert_eq!(
        all[0]["attributes"]["callgate.reason_code"],
        json!(["guardrail", "agent_not_permitted"])
    );
    let erased = all.last().unwrap();
    assert_eq!(erased["trace"], "");
    let mut names: Vec<_> = erased["attributes"].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(
        names,
        [
            "callgate.call",
            "event.category",
            "event.id",
            "event.kind",
            "event.outcome",
            "event.sequence",
            "event.type"
        ]
    );
}

/// What is not of the form that records have is sent all the same, and nothing fails.
#[test]
fn i13_any_json_is_a_record() {
    for odd in [
        json!(null),
        json!([1]),
        json!({ "at": 7, "kind": {}, "index": 1.5, "event": { "trace": "ü", "decision": [] } }),
    ] {
        let record = json_of(&odd);
        let sent = request(
            &Resource::default(),
            [Exported { record: &record, intent: Some(&record) }].into_iter(),
        );
        let log = &sent.resource_logs[0].scope_logs[0].log_records[0];
        assert!(log.trace_id.is_empty() && log.time_unix_nano == 0 && log.body.is_some());
    }
}
