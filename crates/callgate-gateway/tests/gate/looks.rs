//! What those who decide are shown of the things that a call would change: read by the gateway, never told by an agent.

use callgate_policy::Tier;

use crate::approvals::{RULES, WAITS};
use crate::client::{delete, edit};
use crate::store::event;
use crate::support::{POLICIES, Rule, Setup, World};

const EDITS: Rule = (
    Tier::Approval,
    "edits",
    r#"forbid(principal, action in [Action::"jira.issue.edit", Action::"jira.issue.delete"], resource);"#,
);

async fn world() -> World {
    let others = POLICIES.iter().filter(|(tier, ..)| *tier != Tier::Approval).copied();
    let policies = others.chain(RULES.iter().copied()).chain([EDITS]).collect();
    World::start(Setup { policies, ..Setup::default() }).await
}

#[tokio::test]
async fn a08_who_decides_sees_what_things_are_called_and_what_is_replaced() {
    let world = world().await;
    let call = async |arguments: &str| {
        world.call("alice-release", "editJiraIssue", arguments).await.brief()
    };
    assert_eq!(call(&edit("ENG-42", "Another summary")).await, WAITS);
    let approval = world.waiting().await.approval;
    let [look] = approval.looks.as_slice() else { panic!("{approval:?}") };
    let summary = world.sim.site(|site| site.issue("ENG-42").unwrap().summary.clone());
    assert_eq!(look.target, "Jira::Issue acme/ENG-42");
    assert_eq!(look.title.as_deref(), Some(summary.as_str()));
    assert_eq!(look.now.get("fields.summary"), Some(&summary), "{look:?}");
    assert_eq!(look.now.len(), 1, "only what would be replaced: {look:?}");

    // To ask again reads nothing anew; what they are shown is what they decide about.
    let sent = world.calls_sent();
    assert_eq!(call(&edit("ENG-42", "Another summary")).await, WAITS);
    assert_eq!(world.calls_sent(), sent);
    let shown = approval.shown();
    assert_ne!(
        shown,
        callgate_model::approval::Approval { looks: Vec::new(), ..approval.clone() }.shown()
    );
    world.says("carol-lead", approval.id, true).await.unwrap();
    assert_eq!(call(&edit("ENG-42", "Another summary")).await, "ok");
    let used = world.approval(approval.id).await.approval;
    assert!(used.looks.is_empty() && used.arguments.is_empty(), "they are forgotten: {used:?}");

    let rows = world.record().await;
    let text = |row: &callgate_store::Row| event(row).to_text();
    let asked = rows.iter().find(|row| text(row).contains("approval_requested")).unwrap();
    assert!(!text(asked).contains(&summary), "it is no part of the record");
    let read = rows.iter().find(|row| row.tool.as_deref() == Some("getJiraIssue")).unwrap();
    assert!(event(read).get("resolves").is_some_and(|call| call.as_str().is_some()));
}

#[tokio::test]
async fn what_cannot_be_read_is_not_shown_and_stops_nothing() {
    let world = world().await;
    // An issue that is not there has no name.
    let said = world.call("alice-release", "executeDestructive", &delete("ENG-4711")).await;
    assert_eq!(said.brief(), WAITS);
    assert!(world.waiting().await.approval.looks.is_empty());
}
