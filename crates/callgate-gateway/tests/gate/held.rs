//! What may happen while a call waits for somebody: it is decided by what is so when it is made, and for who is there then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_model::ambient::Ambient as _;
use callgate_model::authority::{Change, SubjectKind};
use callgate_model::json::Json;
use callgate_policy::{Bundle, Tier};
use callgate_sim::SimOptions;
use callgate_store::AuthorityStore as _;
use callgate_store::testing::Fault;
use tokio::task::JoinHandle;

use crate::approvals::{RULES, WAITS};
use crate::client::{Ask, Said, delete, edit};
use crate::delivery::{about, deletes, inner, returns, text};
use crate::legacy::{call, post};
use crate::store::event;
use crate::support::{POLICIES, Rule, Setup, UPSTREAM_SECRET, World, catalogs, load, soon};
use crate::{rounds, tasks};

const LONG: Duration = Duration::from_secs(20);
/// A permit that changes nothing for anybody who calls here.
const OTHER: Rule =
    (Tier::Permit, "other", r#"permit(principal == User::"zoe", action, resource);"#);

fn holding(hold: Duration) -> Setup {
    Setup { policies: [POLICIES, RULES].concat(), hold, ..Setup::default() }
}

async fn world(hold: Duration) -> World {
    World::start(holding(hold)).await
}

fn other_policies(rules: &[&[Rule]]) -> Bundle {
    load(&catalogs(&[]), &[&rules.concat(), &[OTHER][..]].concat())
}

impl World {
    /// A request that is held, as soon as `count` calls wait.
    async fn held(&self, ask: Ask, count: usize) -> JoinHandle<Said> {
        let gateway = Arc::clone(&self.gateway);
        let held = tokio::spawn(async move { Said::of(ask.reply(&gateway).await).await });
        self.waiting_soon(count).await;
        held
    }

    async fn withdraws(&self) {
        let (id, reason) = (self.waiting().await.approval.id, "not today".to_owned());
        let change = Change::ApprovalWithdrawn { id, reason };
        self.gateway.administer("carol".to_owned(), change).await.unwrap();
    }
}

#[tokio::test]
async fn i8_who_is_revoked_while_held_has_made_no_call() {
    let world = world(LONG).await;
    let held = world.held(deletes("alice-release", "ENG-42", ""), 1).await;
    world.revoke(SubjectKind::Human, "alice", None).await;
    for one in world.open_approvals().await {
        world.says("carol-lead", one.approval.id, true).await.ok();
    }
    let said = held.await.unwrap();
    assert!(
        ["deny unauthenticated", "deny approval_withdrawn"].contains(&&*said.brief()),
        "{said:?}"
    );
    assert_eq!(world.deletions(), 0);
}

#[tokio::test]
async fn what_is_taken_back_while_held_is_told_and_nobody_is_asked_again() {
    let world = world(LONG).await;
    let held = world.held(deletes("alice-release", "ENG-42", ""), 1).await;
    world.withdraws().await;
    assert_eq!(held.await.unwrap().brief(), "deny approval_withdrawn");
    assert!(world.open_approvals().await.is_empty());
    assert_eq!(world.deletions(), 0);
}

/// It takes a while to find out where an issue is: whoever leaves meanwhile has cancelled.
#[tokio::test]
async fn a07_who_leaves_while_an_approved_call_is_decided_again_has_made_none() {
    let gate: Rule = (
        Tier::Approval,
        "edits-need-a-lead",
        r#"forbid(principal, action == Action::"jira.issue.edit", resource);"#,
    );
    let latency = Some(Duration::from_millis(700));
    let token = Some(UPSTREAM_SECRET.to_owned());
    let sim = SimOptions { token, latency, ..SimOptions::default() };
    let policies = [POLICIES, RULES, &[gate]].concat();
    let setup = Setup { policies, sim, hold: LONG, confirms_moves: true, ..Setup::default() };
    let world = World::start(setup).await;
    for (leaves, made) in [(true, 0), (false, 1)] {
        let ask = Ask::call("alice-release", "editJiraIssue", &edit("ENG-43", "new"));
        let held = world.held(ask, 1).await;
        // What was found is good for changes for a short while only.
        world.clock.pass(5_000);
        let before = world.sim.ledger().requests().len();
        world.decides(true).await;
        let asks = || world.sim.ledger().requests().len() > before;
        soon("it is asked where the issue is", asks).await;
        if leaves {
            held.abort();
            tokio::time::sleep(Duration::from_millis(1_600)).await;
        } else {
            assert_eq!(held.await.unwrap().brief(), "ok");
        }
        assert_eq!(world.sim.ledger().count("editJiraIssue"), made, "{leaves}");
        if leaves {
            world.withdraws().await;
        }
    }
}

#[tokio::test]
async fn none_of_a_batch_is_held() {
    let world = world(LONG).await;
    let batch = format!("[{}]", call(1, "executeDestructive", &delete("ENG-42")));
    let begun = Instant::now();
    let said = post(&world, "alice-release", &[], &batch).await;
    assert!(said.text().contains("approval_required"), "{said:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    // One that is sent alone is.
    let gateway = &world.gateway;
    let alone = Ask::call("alice-release", "executeDestructive", &delete("ENG-42"));
    let alone = tokio::time::timeout(Duration::from_secs(1), async {
        Said::of(alone.reply(gateway).await).await
    });
    assert!(alone.await.is_err());
}

#[tokio::test]
async fn i13_one_caller_does_not_take_all_the_places_of_requests_that_are_held() {
    let world = world(LONG).await;
    let held_are = |count: usize| {
        world.gateway.metrics().contains(&format!("callgate_requests_held {count}\n"))
    };
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(world.held(deletes("alice-release", "ENG-42", ""), 1).await);
    }
    soon("all are held", || held_are(20)).await;
    let begun = Instant::now();
    assert_eq!(world.ask(&deletes("alice-release", "ENG-42", "")).await.brief(), WAITS);
    assert!(begun.elapsed() < Duration::from_secs(10), "it was told at once");
    let other = world.held(deletes("alice", "ENG-43", ""), 2).await;
    soon("another's is held", || held_are(21)).await;
    world.gateway.end_listening();
    held.push(other);
    for held in held {
        // At the end all are told: to come back, to another replica.
        assert_eq!(text(&held.await.unwrap(), "resultType"), "input_required");
    }
}

/// A later round goes on with the approval that the first one took, for as long as that counts.
#[tokio::test]
async fn i8_a_later_round_passes_no_gate_by_an_approval_that_counts_no_more() {
    let gate: Rule = (
        Tier::Approval,
        "edits-need-a-lead",
        r#"@grants("2 in 2h") forbid(principal, action == Action::"jira.issue.edit", resource);"#,
    );
    let rules: &[&[Rule]] = &[POLICIES, rounds::MORE, RULES, &[gate]];
    for (change, brief) in [("nothing", "ok"), ("policies", WAITS), ("voter", WAITS)] {
        let (world, calls) = rounds::world_of(&rules.concat()).await;
        let ask = async |more: &str| {
            let arguments = edit("ENG-42", "x");
            let params = format!(r#"{{"name":"editJiraIssue","arguments":{arguments}{more}}}"#);
            let ask = Ask::new("alice-release", "tools/call", &params).at("asking");
            world.ask(&ask.declaring(r#"{"elicitation":{"form":{}}}"#)).await
        };
        assert_eq!(ask("").await.brief(), WAITS);
        world.grants_what_waits().await;
        let asks = ask("").await;
        assert_eq!(text(&asks, "resultType"), "input_required");
        match change {
            "policies" => world.gateway.activate(other_policies(rules)),
            "voter" => {
                world.revoke(SubjectKind::Human, "carol", None).await;
            }
            _ => {}
        }
        let answered = r#","inputResponses":{"who":{"action":"accept","content":{}}}"#;
        let said = ask(&returns(&text(&asks, "requestState"), answered)).await;
        assert_eq!(said.brief(), brief, "{change}: {said:?}");
        let made = if brief == "ok" { 2 } else { 1 };
        assert_eq!(calls.lock().unwrap().len(), made, "{change}");
        let grants = world.store.inner.grants(Some(world.clock.now())).await.unwrap();
        assert_eq!(grants[0].left, 2, "what was granted for others is not used");
    }
}

/// A task that its server made of an approved call goes on as long as that counts; to ask how far it is lets nothing through.
#[tokio::test]
async fn i8_a_servers_task_is_given_nothing_more_under_an_approval_that_counts_no_more() {
    let gate: Rule = (
        Tier::Approval,
        "edits-need-a-lead",
        r#"forbid(principal, action == Action::"jira.issue.edit", resource);"#,
    );
    let asked: Rule = (
        Tier::Permit,
        "may-be-asked",
        r#"permit(principal, action == Action::"mcp.elicitation.create", resource == MCP::Server::"slow");"#,
    );
    for (is_revoked, brief) in [(false, "ok"), (true, WAITS)] {
        let (world, seen) = tasks::world_of(&[POLICIES, RULES, &[gate, asked]].concat()).await;
        let waits = tasks::call("alice-release").declaring("{}");
        assert_eq!(world.ask(&waits).await.brief(), WAITS);
        world.decides(true).await;
        let task = text(&world.ask(&tasks::call("alice-release")).await, "taskId");
        if is_revoked {
            world.revoke(SubjectKind::Human, "carol", None).await;
        }
        let of_task =
            |method| about("alice-release", method, &task).at("slow").declaring(tasks::TASKS);
        assert_eq!(text(&world.ask(&of_task("tasks/get")).await, "status"), "input_required");
        let updated = world.ask(&of_task("tasks/update")).await;
        assert_eq!(updated.brief(), brief, "{updated:?}");
        let updates =
            seen.lock().unwrap().iter().filter(|(method, _)| method == "tasks/update").count();
        assert_eq!(updates, usize::from(!is_revoked));
    }
}

/// What may be shown of a result was decided by policies that are in force no more.
#[tokio::test]
async fn i8_what_came_of_a_task_is_not_kept_over_a_change_of_policies() {
    let world = world(Duration::ZERO).await;
    let task = world.task_for("ENG-42").await;
    world.decides(true).await;
    assert_eq!(inner(&world.got(&task).await).brief(), "ok");
    world.gateway.activate(other_policies(&[POLICIES, RULES]));
    assert_eq!(inner(&world.got(&task).await).brief(), "allow succeeded");
    assert_eq!(world.deletions(), 1);
}

#[tokio::test]
async fn i5_a_task_that_could_not_be_taken_back_is_not_said_to_be() {
    let world = world(Duration::ZERO).await;
    let task = world.task_for("ENG-42").await;
    let cancel = about("alice-release", "tasks/cancel", &task);
    world.faults.every(Some(Fault::Fail));
    let said = world.ask(&cancel).await;
    assert_eq!(said.brief(), "error -32603");
    world.faults.every(None);
    assert_eq!(text(&world.got(&task).await, "status"), "working");
    // What failed may be stored later.
    let ended = async {
        loop {
            world.ask(&cancel).await;
            let got = world.got(&task).await;
            if text(&got, "status") != "working" {
                return got;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let got = tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    let is_taken =
        text(&got, "status") == "cancelled" || inner(&got).brief() == "deny approval_withdrawn";
    assert!(is_taken && world.open_approvals().await.is_empty(), "{got:?}");
}

/// Who looks at the record of a task's call finds the call that it was made of.
#[tokio::test]
async fn i11_what_comes_of_a_task_goes_on_with_the_call_that_waited() {
    let world = world(Duration::ZERO).await;
    for (key, approves) in [("ENG-42", true), ("ENG-43", false)] {
        let task = world.task_for(key).await;
        world.decides(approves).await;
        world.got(&task).await;
    }
    let rows = world.record().await;
    let of_tool = |row: &&callgate_store::Row| row.tool.as_deref() == Some("executeDestructive");
    let decided = rows.iter().filter(of_tool).filter(|row| row.kind != "outcome");
    let story: Vec<(String, Option<Json>)> =
        decided.map(|row| (row.kind.clone(), event(row).get("continues").cloned())).collect();
    let first = |at: usize| {
        let rows: Vec<_> =
            rows.iter().filter(of_tool).filter(|row| row.kind == "refusal").collect();
        Some(Json::from(rows[at].call.unwrap().to_string()))
    };
    let expected = [
        ("refusal".to_owned(), Some(Json::Null)),
        ("intent".to_owned(), first(0)),
        ("refusal".to_owned(), Some(Json::Null)),
        ("refusal".to_owned(), first(1)),
    ];
    assert_eq!(story, expected);
}
