//! What a permit redacts is not seen in anything that comes of a call, whichever way it comes.

use callgate_mcp::upstream::EraSetting;
use callgate_policy::Tier;
use callgate_sim::SimOptions;

use crate::client::{Ask, edit, issue};
use crate::roof::under_the_roof;
use crate::support::{POLICIES, Rule, Setup, UPSTREAM_SECRET, World};
use crate::{rounds, tasks};

/// Beside the permits that are there.
const REDACTS: &[Rule] = &[
    (
        Tier::Permit,
        "redacts-issues",
        r#"@redact("summary, description") permit(principal == User::"alice", action in [Action::"jira.issue.read", Action::"jira.issue.edit"], resource);"#,
    ),
    (
        Tier::Permit,
        "redacts-offers",
        r#"@redact("summary") permit(principal == User::"alice", action in [Action::"mcp.resource.read", Action::"mcp.prompt.get"], resource);"#,
    ),
];

async fn world(sim: SimOptions) -> World {
    let sim = SimOptions { token: Some(UPSTREAM_SECRET.to_owned()), ..sim };
    let policies = [POLICIES, REDACTS].concat();
    World::start(Setup { policies, sim, era: EraSetting::Modern, ..Setup::default() }).await
}

/// Why nothing of an answer is shown.
const NOT_SHOWN: &str = "policy redacts fields of it";

#[tokio::test]
async fn what_a_call_logs_is_not_told() {
    let read = Ask::call("alice", "getJiraIssue", &issue("ENG-42")).wanting_logs("debug");
    let world = world(SimOptions { sse: true, ..SimOptions::default() }).await;
    let said = world.ask(&read).await;
    assert_eq!((said.brief().as_str(), said.messages.len()), ("ok", 1), "{said:?}");
    assert!(said.text().contains("[redacted]"));
    let others = Ask::call("ci", "getJiraIssue", &issue("ENG-45")).wanting_logs("debug");
    assert_eq!(world.ask(&others).await.messages.len(), 2, "to others it is");
}

#[tokio::test]
async fn under_the_roof_as_at_the_server() {
    let world = world(SimOptions::default()).await;
    let read = Ask::call("alice", "atlassian__getJiraIssue", &issue("ENG-42"));
    let said = under_the_roof(&world, &read).await;
    assert!(
        said.brief() == "ok" && said.text().contains(r#"\"summary\":\"[redacted]\""#),
        "{said:?}"
    );
}

#[tokio::test]
async fn i5_prose_of_resources_and_prompts_is_not_shown() {
    let world = world(SimOptions::default()).await;
    for ask in [
        Ask::read("alice", "acme://handbook/engineering"),
        Ask::get("alice", "triage_issue", r#"{"key":"ENG-42"}"#),
    ] {
        let said = world.ask(&ask).await;
        assert!(said.text().contains(NOT_SHOWN), "{said:?}");
    }
    assert_eq!(world.outcomes().await, ["succeeded", "succeeded"]);
}

#[tokio::test]
async fn i5_a_server_can_neither_ask_on_the_way_nor_make_a_task_of_it() {
    let (world, calls) = rounds::world_of(&[POLICIES, rounds::MORE, REDACTS].concat()).await;
    let ask = Ask::call("alice", "editJiraIssue", &edit("ENG-42", "x")).at("asking");
    let said = world.ask(&ask.declaring(r#"{"elicitation":{"form":{}}}"#)).await;
    assert_eq!(said.brief(), "allow indeterminate");
    assert!(!said.text().contains("Who?"), "{said:?}");
    let sent = calls.lock().unwrap()[0].to_text();
    assert!(!sent.contains("elicitation"), "it was not offered: {sent}");

    let (world, seen) = tasks::world_of(&[POLICIES, REDACTS].concat()).await;
    let said = world.ask(&tasks::call("alice")).await;
    assert_eq!(said.brief(), "allow indeterminate");
    assert!(!said.text().contains("taskId"), "{said:?}");
    let sent = seen.lock().unwrap()[0].1.to_text();
    assert!(!sent.contains("io.modelcontextprotocol/tasks"), "it was not offered: {sent}");
}
