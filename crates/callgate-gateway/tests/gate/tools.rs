//! Lists of tools that change, lie or cannot be had.

use std::time::Duration;

use callgate_gateway::kept::ListLimits;
use callgate_model::json::Json;
use callgate_sim::Fault;

use crate::client::{Said, issue};
use crate::store::{event, reasons};
use crate::support::{Setup, World};

/// Every question fetches the list anew.
const ALWAYS: ListLimits = ListLimits {
    fresh: Duration::ZERO,
    stale_max: Duration::from_secs(3600),
    refetch_min: Duration::ZERO,
};

fn description(said: &Said, tool: &str) -> Option<String> {
    let answer = said.answer();
    let tools = answer.get("result")?.get("tools")?.as_array()?.to_vec();
    let tool = tools.iter().find(|t| t.get("name").and_then(Json::as_str) == Some(tool))?;
    tool.get("description").and_then(Json::as_str).map(str::to_owned)
}

#[tokio::test]
async fn t03_of_two_tools_with_one_name_neither_is_offered_or_called() {
    let world = World::start(Setup { tools: ALWAYS, ..Setup::default() }).await;
    let before = world.list("alice-release").await.tools();
    world.sim.fault(Fault::DuplicateToolName("editJiraIssue".to_owned()));
    let after = world.list("alice-release").await.tools();
    let without: Vec<_> = before.into_iter().filter(|name| name != "editJiraIssue").collect();
    assert_eq!(after, without);
    let arguments = crate::client::edit("ENG-42", "x");
    let said = world.call("alice-release", "editJiraIssue", &arguments).await;
    assert_eq!(said.brief(), "error -32602");
    assert_eq!(world.calls_sent(), 0);
    let rows = world.record().await;
    assert_eq!(reasons(rows.last().unwrap()), ["tool_unknown"]);
}

/// T02 without pins: a changed definition is at least seen, in the list and in the record of every call.
#[tokio::test]
async fn t02_the_record_says_which_definition_was_called() {
    let world = World::start(Setup { tools: ALWAYS, ..Setup::default() }).await;
    let before = description(&world.list("alice").await, "getJiraIssue").unwrap();
    assert_eq!(world.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    world.sim.fault(Fault::ChangedDefinition("getJiraIssue".to_owned()));
    let after = description(&world.list("alice").await, "getJiraIssue").unwrap();
    assert_ne!(before, after);
    assert_eq!(world.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    let rows = world.record().await;
    let intents = rows.iter().filter(|row| row.kind == "intent");
    let definitions: Vec<_> = intents
        .map(|row| event(row).get("understood").and_then(|u| u.get("definition")).cloned().unwrap())
        .collect();
    assert_eq!(definitions.len(), 2);
    assert_ne!(definitions[0], definitions[1]);
}

/// R07: the server says `public` and for how long; the client hears only our own word.
#[tokio::test]
async fn r07_a_list_is_private_and_never_stored() {
    let world = World::start(Setup::default()).await;
    let said = world.list("alice").await;
    let answer = said.answer();
    let result = answer.get("result").unwrap();
    assert_eq!(result.get("cacheScope").and_then(Json::as_str), Some("private"));
    assert_ne!(result.get("ttlMs").unwrap().to_text(), "60000");
    assert_eq!(said.headers.get("cache-control").unwrap(), "no-store");
}

#[tokio::test]
async fn a_list_that_cannot_be_had_denies_unless_a_younger_one_is_known() {
    for (stale_max, call, list) in [
        (Duration::from_secs(3600), "allow not_dispatched", Some("getJiraIssue")),
        (Duration::ZERO, "deny upstream_unavailable", None),
    ] {
        let tools = ListLimits { stale_max, ..ALWAYS };
        let world = World::start(Setup { tools, ..Setup::default() }).await;
        assert_eq!(world.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
        let world = world.without_site().await;
        let said = world.call("alice", "getJiraIssue", &issue("ENG-42")).await;
        assert_eq!(said.brief(), call, "{stale_max:?}");
        let said = world.list("alice").await;
        match list {
            Some(tool) => assert!(said.tools().iter().any(|name| name == tool)),
            None => assert_eq!(said.brief(), "error -32603"),
        }
    }
}

/// A tool the server has only just got is found at once, not when the list has grown old.
#[tokio::test]
async fn a_new_tool_is_found_when_it_is_called() {
    let limits = ListLimits { fresh: Duration::from_secs(3600), ..ALWAYS };
    let world = World::start(Setup { tools: limits, ..Setup::default() }).await;
    world.sim.fault(Fault::DuplicateToolName("getJiraIssue".to_owned()));
    assert_eq!(world.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief(), "error -32602");
    world.sim.clear_faults();
    assert_eq!(world.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
}
