//! What only old clients do: no session, no version header, batches.

use bytes::Bytes;
use callgate_model::json::Json;

use crate::client::{Ask, Said, delete, edit, issue};
use crate::store::{decided, reasons};
use crate::support::{Setup, World, json};

/// Sends `body` with the headers of a client that has none of its version, and these.
pub(crate) async fn post(
    world: &World,
    token: &str,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Said {
    // In a session, so that no header of the modern era is put there.
    let mut head = Ask::new(token, "tools/list", "{}").in_session("none").head();
    head.headers.remove("mcp-session-id");
    for (name, value) in headers {
        head.headers.insert(*name, value.parse().unwrap());
    }
    Said::of(world.gateway.handle(&head, "atlassian", Bytes::from(body.to_owned())).await).await
}

pub(crate) fn call(id: u32, tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    )
}

#[tokio::test]
async fn a_client_without_a_session_is_served_and_decided() {
    let world = World::start(Setup::default()).await;
    for headers in [&[][..], &[("mcp-protocol-version", "2025-06-18")]] {
        let read = post(&world, "alice", headers, &call(1, "getJiraIssue", &issue("ENG-42"))).await;
        assert_eq!((read.status.as_u16(), read.brief().as_str()), (200, "ok"));
        let hr =
            post(&world, "alice", headers, &call(2, "editJiraIssue", &edit("HR-3", "x"))).await;
        assert!(hr.brief().starts_with("deny"), "{hr:?}");
    }
    assert_eq!(world.executed(), 2);
    let guessed = [("mcp-session-id", "guessed")];
    let said = post(&world, "alice", &guessed, &call(3, "getJiraIssue", &issue("ENG-42"))).await;
    assert_eq!(said.status.as_u16(), 404);
}

#[tokio::test]
async fn p03_i5_each_message_of_a_batch_is_decided_and_recorded() {
    let world = World::start(Setup::default()).await;
    let batch = [
        call(1, "getJiraIssue", &issue("ENG-42")),
        call(2, "editJiraIssue", &edit("HR-3", "x")),
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
        call(3, "executeDestructive", &delete("ENG-45")),
        r#"{"jsonrpc":"2.0","id":4,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{}}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":5,"method":"tools/execute"}"#.to_owned(),
        "[]".to_owned(),
        r#"{"jsonrpc":"2.0","id":6,"method":"ping"}"#.to_owned(),
    ];
    let said = post(&world, "alice", &[], &format!(" [{}]", batch.join(","))).await;
    assert_eq!(said.status.as_u16(), 200);
    let Json::Array(answers) = json(said.text()) else { panic!("{said:?}") };
    let ids: Vec<String> =
        answers.iter().map(|answer| answer.get("id").unwrap().to_text()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5", "null", "6"]);
    let results: Vec<bool> = answers.iter().map(|answer| answer.get("result").is_some()).collect();
    assert_eq!(results, [true, true, true, false, false, false, true]);
    // Of what is to be approved the gateway has looked at the issue.
    assert_eq!((world.executed(), world.sim.ledger().count("getJiraIssue")), (2, 2));
    let rows = world.record().await;
    let given: Vec<String> = decided(&rows).map(|row| reasons(row).join("+")).collect();
    assert_eq!(given.len(), 6, "{given:?}");
    assert_eq!(given[0], "permitted");
    assert_eq!(given[2], "approval_required");
    assert_eq!(given[3..], ["request_malformed", "method_unsupported", "request_malformed"]);

    let notes = r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#;
    assert_eq!(post(&world, "alice", &[], notes).await.status.as_u16(), 202);
}

#[tokio::test]
async fn p03_no_other_version_has_batches() {
    let world = World::start(Setup::default()).await;
    let batch = format!("[{}]", call(1, "getJiraIssue", &issue("ENG-42")));
    let session = world.session("alice").await;
    for header in [
        ("mcp-protocol-version", "2025-06-18"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-session-id", session.as_str()),
    ] {
        let said = post(&world, "alice", &[header], &batch).await;
        assert_eq!(said.status.as_u16(), 400, "{header:?}");
    }
    let many = format!("[{}]", vec![call(1, "getJiraIssue", &issue("ENG-42")); 51].join(","));
    assert_eq!(post(&world, "alice", &[], &many).await.status.as_u16(), 400);
    assert_eq!(world.executed(), 0);
}
