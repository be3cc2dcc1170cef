//! Budgets: how much may happen within a while. What is beyond is refused before anything is spent, and the record says so.

use std::sync::atomic::Ordering;

use callgate_model::budget::{Allowance, Budget, Per, What};
use callgate_model::json::Json;
use callgate_model::vocabulary::Effect;
use futures_util::future::join_all;

use crate::approvals::{RULES, WAITS};
use crate::client::{delete, edit, issue};
use crate::store::{event, reasons};
use crate::support::{POLICIES, Setup, World};

const HOUR_MS: i64 = 3_600_000;

fn budget(name: &str, per: &[Per], what: What, most: u32) -> Budget {
    let told = format!("{most} in 1h");
    Budget {
        name: name.into(),
        per: per.iter().copied().collect(),
        servers: Default::default(),
        operations: Default::default(),
        effects: Default::default(),
        targets_of: None,
        allowances: vec![Allowance { what, most, within_s: 3_600, told }],
        exact: false,
    }
}

async fn world(budgets: Vec<Budget>) -> World {
    let policies = [POLICIES, RULES].concat();
    World::start(Setup { budgets, policies, ..Setup::default() }).await
}

impl World {
    async fn reads(&self, who: &str, key: &str) -> String {
        self.call(who, "getJiraIssue", &issue(key)).await.brief()
    }
}

const SPENT: &str = "deny budget_spent";

#[tokio::test]
async fn i13_what_is_beyond_a_budget_is_refused_until_there_is_room_again() {
    for exact in [false, true] {
        let world =
            world(vec![Budget { exact, ..budget("reads", &[Per::Human], What::Calls, 2) }]).await;
        for _ in 0..2 {
            assert_eq!(world.reads("alice", "ENG-42").await, "ok");
        }
        // It is the person who has no more, whatever acts for her; nobody else.
        let said = world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await;
        assert_eq!(said.brief(), SPENT, "exact: {exact}");
        let told = "the budget `reads` is calls = 2 in 1h for each human; there is room again at ";
        assert!(said.text().contains(told), "{}", said.text());
        assert!(!said.text().contains("Do not retry"), "{}", said.text());
        assert_eq!(world.reads("ci", "ENG-42").await, "ok");
        // The tool is listed: a call of it is allowed again by and by.
        assert!(world.list("alice").await.text().contains("getJiraIssue"));
        let metrics = world.gateway.metrics();
        let counted = r#"callgate_budget_refusals_total{budget="reads"} 1"#;
        assert!(metrics.contains(counted), "{metrics}");
        world.clock.pass(HOUR_MS / 2);
        assert_eq!(world.reads("alice", "ENG-42").await, SPENT);
        world.clock.pass(HOUR_MS);
        assert_eq!(world.reads("alice", "ENG-42").await, "ok");
        assert_eq!(world.executed(), 4);

        let rows = world.record().await;
        let refused = rows.iter().filter(|row| row.kind == "refusal");
        let refused: Vec<_> = refused.map(|row| (reasons(row), event(row))).collect();
        assert_eq!(refused.len(), 2);
        for (reasons, event) in refused {
            assert_eq!(reasons, ["budget_spent"]);
            assert_eq!(event.get("budgets"), Some(&Json::Array(vec!["reads".into()])));
        }
    }
}

#[tokio::test]
async fn i13_a_budget_of_targets_counts_different_things_once_each() {
    for exact in [false, true] {
        let world =
            world(vec![Budget { exact, ..budget("reach", &[Per::Agent], What::Targets, 2) }]).await;
        for key in ["ENG-42", "ENG-43", "ENG-42", "ENG-43"] {
            assert_ne!(world.reads("alice-release", key).await, SPENT, "exact: {exact}");
        }
        assert_eq!(world.reads("alice-release", "ENG-44").await, SPENT);
        assert_ne!(world.reads("alice-release", "ENG-42").await, SPENT);
        // Without an agent it is who is accountable, and nobody else.
        assert_eq!(world.reads("alice", "ENG-42").await, "ok");
    }
}

/// A budget is asked before the approval is spent: somebody has let one call through, and it is made when there is room.
#[tokio::test]
async fn i2_no_approval_is_spent_on_a_call_that_is_beyond_a_budget() {
    for exact in [false, true] {
        let world = world(vec![Budget {
            exact,
            effects: [Effect::Write, Effect::Delete].into(),
            ..budget("changes", &[Per::Human], What::Writes, 1)
        }])
        .await;
        let deletes = async || {
            world.call("alice-release", "executeDestructive", &delete("ENG-42")).await.brief()
        };
        assert_eq!(deletes().await, WAITS);
        let id = world.waiting().await.approval.id;
        world.says("carol-lead", id, true).await.unwrap();
        let edits = world.call("alice", "editJiraIssue", &edit("ENG-43", "x")).await;
        assert_eq!(edits.brief(), "ok");
        // It does not count as one to whom it is refused.
        for _ in 0..3 {
            assert_eq!(deletes().await, SPENT, "exact: {exact}");
        }
        assert_eq!(world.waiting().await.approval.id, id);
        assert_eq!(world.sim.ledger().count("deleteJiraIssue"), 0);
    }
}

/// However many come at the same time, no more are let through than there is room for.
#[tokio::test]
async fn i2_calls_at_the_same_time_are_never_more_than_a_budget() {
    for exact in [false, true] {
        let world =
            world(vec![Budget { exact, ..budget("few", &[Per::Tool], What::Calls, 7) }]).await;
        world.list("alice").await;
        let arguments = issue("ENG-42");
        let calls = (0..40).map(|number| {
            let who = if number % 2 == 0 { "alice" } else { "ci" };
            world.call(who, "getJiraIssue", &arguments)
        });
        let said = join_all(calls).await;
        let made = said.iter().filter(|said| said.brief() == "ok").count();
        let spent = said.iter().filter(|said| said.brief() == SPENT).count();
        assert_eq!((made, spent, world.executed()), (7, 33, 7), "exact: {exact}");
    }
}

#[tokio::test]
async fn i5_what_cannot_be_counted_is_not_let_through() {
    let exact = world(vec![Budget { exact: true, ..budget("b", &[], What::Calls, 9) }]).await;
    assert_eq!(exact.reads("alice", "ENG-42").await, "ok");
    exact.in_force.is_down.store(true, Ordering::Relaxed);
    assert_eq!(exact.reads("alice", "ENG-42").await, "deny evidence_unavailable");
    exact.in_force.is_down.store(false, Ordering::Relaxed);
    assert_eq!(exact.reads("alice", "ENG-42").await, "ok");

    let budgets = vec![budget("b", &[Per::Human], What::Targets, 9)];
    let world = World::start(Setup { budgets, budget_marks_max: 1, ..Setup::default() }).await;
    assert_eq!(world.reads("alice", "ENG-42").await, "ok");
    let said = world.call("ci", "getJiraIssue", &issue("ENG-42")).await;
    assert_eq!(said.brief(), "deny overloaded");
    let metrics = world.gateway.metrics();
    let counted = r#"callgate_limit_refusals_total{limit="budget_marks_max"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn what_is_denied_and_what_waits_counts_in_no_budget() {
    let world = world(vec![budget("few", &[], What::Calls, 1)]).await;
    for _ in 0..3 {
        let said = world.call("nobody", "getJiraIssue", &issue("ENG-42")).await;
        assert_eq!(said.brief(), "deny human_not_permitted");
        let said = world.call("alice-release", "executeDestructive", &delete("ENG-42")).await;
        assert_eq!(said.brief(), WAITS);
    }
    assert_eq!(world.reads("alice", "ENG-42").await, "ok");
    assert_eq!(world.reads("alice", "ENG-42").await, SPENT);
}
