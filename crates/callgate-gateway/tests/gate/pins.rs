//! Tools are what an operator approved. One that is not, or not any more, is in no list and cannot be called (T02).

use std::time::Duration;

use callgate_gateway::kept::ListLimits;
use callgate_gateway::pin::{ApprovedBy, difference};
use callgate_model::authority::{Change, ToolOf};
use callgate_model::json::Json;
use callgate_sim::Fault;
use callgate_store::AuthorityStore as _;

use crate::client::{edit, issue};
use crate::store::reasons;
use crate::support::{CLOUD, Setup, World, json};

const ALWAYS: ListLimits = ListLimits {
    fresh: Duration::ZERO,
    stale_max: Duration::from_secs(3600),
    refetch_min: Duration::ZERO,
};

async fn world(approved_by: ApprovedBy) -> World {
    World::start(Setup { approved_by, tools: ALWAYS, ..Setup::default() }).await
}

impl World {
    async fn approve(&self, tool: &str) {
        let set = self.gateway.server("atlassian").unwrap().tools(None).await.unwrap();
        let tool = set.get(tool).unwrap();
        let pins = self.in_force.inner.pins().await.unwrap();
        let before = pins.iter().find(|pin| pin.of.tool == tool.definition.name);
        let pin = tool.pin("atlassian", before.map(|pin| pin.digest), Default::default());
        let change = Change::ToolPinned { pin: Box::new(pin) };
        self.gateway.administer("olga".to_owned(), change).await.unwrap();
    }

    async fn read_issue(&self) -> String {
        self.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief()
    }
}

#[tokio::test]
async fn i5_a_tool_that_nobody_approved_is_in_no_list_and_cannot_be_called() {
    let world = world(ApprovedBy::Operator).await;
    assert!(world.list("alice").await.tools().is_empty());
    assert_eq!(world.read_issue().await, "deny tool_unapproved");
    world.approve("getJiraIssue").await;
    assert_eq!(world.list("alice").await.tools(), ["getJiraIssue"]);
    assert_eq!(world.read_issue().await, "ok");
    let write = world.call("alice", "editJiraIssue", &edit("ENG-42", "x")).await;
    assert_eq!(write.brief(), "deny tool_unapproved");
    let of = ToolOf { server: "atlassian".to_owned(), tool: "getJiraIssue".to_owned() };
    world.gateway.administer("olga".to_owned(), Change::ToolUnpinned { of }).await.unwrap();
    assert_eq!(world.read_issue().await, "deny tool_unapproved");
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn t02_a_tool_that_changes_waits_for_an_operator_who_sees_what_is_different() {
    let world = world(ApprovedBy::Operator).await;
    world.approve("getJiraIssue").await;
    assert_eq!(world.read_issue().await, "ok");
    world.sim.fault(Fault::ChangedDefinition("getJiraIssue".to_owned()));
    assert!(world.list("alice").await.tools().is_empty());
    assert_eq!(world.read_issue().await, "deny tool_changed");
    let set = world.gateway.server("atlassian").unwrap().tools(None).await.unwrap();
    let pins = world.in_force.inner.pins().await.unwrap();
    let now = &set.get("getJiraIssue").unwrap().definition.definition;
    let found = difference(&json(&pins[0].definition), now);
    assert!(matches!(&found[..], [only] if only.starts_with("description was ")), "{found:?}");
    world.approve("getJiraIssue").await;
    assert_eq!(world.read_issue().await, "ok");
    let rows = world.record().await;
    let changes = rows.iter().filter(|row| row.kind == "change").count();
    assert_eq!(changes, 2, "each approval is in the record, with what was approved");
    let refused = rows.iter().find(|row| row.kind == "refusal").unwrap();
    assert_eq!(reasons(refused), ["tool_changed"]);
}

#[tokio::test]
async fn a_tool_that_is_first_used_is_remembered_and_may_not_change() {
    let world = world(ApprovedBy::FirstUse).await;
    assert!(world.list("alice").await.tools().contains(&"getJiraIssue".to_owned()));
    assert_eq!(world.read_issue().await, "ok");
    world.sim.fault(Fault::ChangedDefinition("getJiraIssue".to_owned()));
    assert_eq!(world.read_issue().await, "deny tool_changed");
    assert!(!world.list("alice").await.tools().contains(&"getJiraIssue".to_owned()));
    world.sim.clear_faults();
    assert_eq!(world.read_issue().await, "ok", "it is what it was");
}

#[tokio::test]
async fn p12_a_dispatcher_does_not_run_what_has_changed() {
    let world = world(ApprovedBy::FirstUse).await;
    let through = format!(
        r#"{{"name":"getJiraIssue","cloudId":"{CLOUD}","inputs":{{"issueIdOrKey":"ENG-42"}}}}"#
    );
    let through = async || world.call("alice", "executeRead", &through).await.brief();
    assert_eq!(through().await, "ok");
    world.sim.fault(Fault::ChangedDefinition("getJiraIssue".to_owned()));
    assert_eq!(through().await, "deny tool_changed");
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn who_could_never_use_a_tool_does_not_learn_that_it_has_changed() {
    let setup = Setup { approved_by: ApprovedBy::Operator, reveal: false, ..Setup::default() };
    let world = World::start(setup).await;
    let there = world.call("nobody", "getJiraIssue", &issue("ENG-42")).await;
    let nowhere = world.call("nobody", "getJiraIssuf", &issue("ENG-42")).await;
    let text = |said: &crate::client::Said| said.answer().get("error").map(Json::to_text);
    assert_eq!(text(&there).unwrap().replace("Issue", "Issuf"), text(&nowhere).unwrap());
}
