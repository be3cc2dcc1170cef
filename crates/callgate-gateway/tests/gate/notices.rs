//! Notices: who is told that a call waits. Who asks does not wait for that, and who is told twice knows it by the id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use callgate_gateway::pipeline::ChannelRule;
use callgate_model::ambient::Ambient as _;
use callgate_model::approval::{Approval, Notice, Occasion};
use callgate_model::authority::Change;
use callgate_model::digest::Digest;
use callgate_model::json::Json;
use callgate_policy::Tier;
use callgate_store::testing::Fault;
use callgate_store::{EvidenceStore as _, NOTICES_WAITING_MAX, NoticeStore as _};

use crate::approvals::{RULES, WAITS};
use crate::client::{delete, edit, issue};
use crate::store::event;
use crate::support::{POLICIES, Rule, Setup, World, soon};

fn rule(channel: &str, approvers: &[&str], occasions: &[Occasion]) -> ChannelRule {
    ChannelRule {
        channel: channel.to_owned(),
        approvers: approvers.iter().map(|who| (*who).to_owned()).collect(),
        occasions: occasions.iter().copied().collect(),
    }
}

async fn world(channels: Vec<ChannelRule>) -> World {
    World::start(Setup { channels, ..Setup::default() }).await
}

async fn ask(world: &World, key: &str) -> String {
    world.call("alice-release", "executeDestructive", &delete(key)).await.brief()
}

/// Channel, occasion and id of each notice in the record.
fn recorded(world: &World) -> Vec<(String, String, String)> {
    let events: Vec<Json> = world.store.rows().iter().map(event).collect();
    let notices = events.iter().filter_map(|event| event.get("notices")?.as_array());
    let text = |notice: &Json, name| notice.get(name).and_then(Json::as_str).unwrap().to_owned();
    let told = |one| (text(one, "channel"), text(one, "occasion"), text(one, "id"));
    notices.flatten().map(told).collect()
}

#[tokio::test]
async fn a_channel_is_told_of_those_approvals_that_it_is_for_and_once() {
    let both = Occasion::ALL;
    let world = world(vec![
        rule("all", &[], &both),
        rule("leads", &["human", "team:leads"], &[Occasion::Requested]),
        rule("others", &["human", "team:others"], &both),
        rule("ends", &[], &[Occasion::Closed]),
    ])
    .await;
    for _ in 0..3 {
        assert_eq!(ask(&world, "ENG-42").await, "approval_required approval_required");
    }
    let told = recorded(&world);
    let mut counted: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (channel, occasion, _) in &told {
        *counted.entry((channel, occasion)).or_default() += 1;
    }
    let expected =
        [("all", "closed"), ("all", "requested"), ("ends", "closed"), ("leads", "requested")];
    assert_eq!(counted, expected.map(|one| (one, 1)).into(), "{told:?}");
    let ids: BTreeSet<&str> = told.iter().map(|(.., id)| id.as_str()).collect();
    assert_eq!(ids.len(), told.len());
    // What is in the record is what is to be sent.
    let now = world.clock.now();
    let due = world.store.inner.take_notices("all", (now, now), 9).await.unwrap();
    assert_eq!(due.len(), 1);
    assert!(ids.contains(due[0].id.to_string().as_str()));
    let id = world.waiting().await.approval.id;
    let page = format!("https://gate.example/console/approvals/{id}");
    assert_eq!((due[0].about, due[0].page.as_ref()), (id, Some(&page)));
    // Another call is another message.
    ask(&world, "ENG-43").await;
    assert_eq!(recorded(&world).len(), 2 * told.len());
}

/// A gate that names a channel is told of there, whomever that is for otherwise.
#[tokio::test]
async fn a_gate_may_name_its_channel() {
    let named = r#"@notify("others") forbid(principal, action in Action::"delete", resource);"#;
    let mut policies = POLICIES.to_vec();
    policies.retain(|(tier, ..)| *tier != Tier::Approval);
    policies.push((Tier::Approval, "deletes", named));
    let channels = ["others", "nobody"];
    let channels = channels.map(|name| rule(name, &["team:others"], &[Occasion::Requested]));
    let channels = channels.to_vec();
    let world = World::start(Setup { channels, policies, ..Setup::default() }).await;
    ask(&world, "ENG-42").await;
    let told: Vec<String> = recorded(&world).into_iter().map(|(channel, ..)| channel).collect();
    assert_eq!(told, ["others"]);
}

#[tokio::test]
async fn without_channels_the_record_says_nothing_of_them() {
    let world = world(Vec::new()).await;
    ask(&world, "ENG-42").await;
    assert!(world.store.rows().iter().all(|row| !row.text.contains("notices")));
}

/// Those to whom a gate escalates are told when they may decide, and not if somebody has before.
#[tokio::test]
async fn those_who_may_decide_later_are_told_later() {
    let gate = r#"@escalates_to("team:managers") @escalates_after("5m") forbid(principal, action in Action::"delete", resource);"#;
    let others = POLICIES.iter().filter(|(tier, ..)| *tier != Tier::Approval).copied();
    let policies = others.chain([(Tier::Approval, "deletes", gate)]).collect();
    let channels = vec![
        rule("managers", &["team:managers"], &Occasion::ALL),
        rule("leads", &["team:leads"], &Occasion::ALL),
    ];
    let world = World::start(Setup { policies, channels, ..Setup::default() }).await;
    ask(&world, "ENG-42").await;
    let mut told: Vec<(String, String)> =
        recorded(&world).into_iter().map(|(channel, occasion, _)| (channel, occasion)).collect();
    told.sort();
    let expected = [
        ("leads", "closed"),
        ("leads", "requested"),
        ("managers", "closed"),
        ("managers", "escalated"),
    ];
    assert_eq!(told, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    let due = async |minutes: i64| {
        world.clock.pass(minutes * 60_000);
        let now = world.clock.now();
        let due =
            world.store.inner.take_notices("managers", (now, now.after_ms(1)), 9).await.unwrap();
        due.into_iter().map(|taken| taken.occasion).collect::<Vec<_>>()
    };
    assert_eq!(due(4).await, []);
    assert_eq!(due(1).await, [Occasion::Escalated]);
}

const TELLS: Rule = (
    Tier::Permit,
    "tells",
    r#"@notify("audit") permit(principal == User::"alice", action in [Action::"write", Action::"delete"], resource in Jira::Project::"acme/ENG");"#,
);
const TELLS_OF_READS: Rule = (
    Tier::Permit,
    "tells-of-reads",
    r#"@notify("reads, audit") permit(principal in AgentClass::"automation", action in Action::"read", resource);"#,
);

async fn telling() -> World {
    let policies = [POLICIES, RULES, &[TELLS, TELLS_OF_READS]].concat();
    World::start(Setup { policies, ..Setup::default() }).await
}

/// Channel and occasion of each notice in the record.
fn told(world: &World) -> Vec<(String, String)> {
    recorded(world).into_iter().map(|(channel, occasion, _)| (channel, occasion)).collect()
}

#[tokio::test]
async fn people_are_told_of_what_a_permit_lets_through_that_obliges_to_it() {
    let world = telling().await;
    let let_through = |channels: &[&str]| {
        channels.iter().map(|one| ((*one).to_owned(), "let_through".to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(world.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    assert_eq!(told(&world), [], "another permit let it through");
    assert_eq!(
        world.call("alice-release", "editJiraIssue", &edit("ENG-42", "x")).await.brief(),
        "ok"
    );
    assert_eq!(told(&world), let_through(&["audit"]));
    // Of every permit that holds, once each; and stored when the answer comes, also of a read.
    assert_eq!(world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    assert_eq!(told(&world), let_through(&["audit", "audit", "reads"]));
    let now = world.clock.now();
    let due = world.store.inner.take_notices("reads", (now, now), 9).await.unwrap();
    let page = format!("https://gate.example/console/calls/{}", due[0].about);
    assert_eq!((due.len(), due[0].page.as_ref()), (1, Some(&page)));
    let shown = world.store.inner.show(due[0].about).await.unwrap();
    assert_eq!(shown[0].operation.as_deref(), Some("jira.issue.read"));
}

#[tokio::test]
async fn of_what_waits_or_is_denied_nobody_is_told_that_it_was_let_through() {
    let world = telling().await;
    assert_eq!(ask(&world, "ENG-42").await, WAITS);
    let denied = world.call("alice-triage", "editJiraIssue", &edit("ENG-42", "x")).await;
    assert!(denied.brief().starts_with("deny"), "{denied:?}");
    assert_eq!(told(&world), []);
    let id = world.waiting().await.approval.id;
    world.says("carol-lead", id, true).await.unwrap();
    assert_eq!(ask(&world, "ENG-42").await, "ok");
    assert_eq!(told(&world), [("audit".to_owned(), "let_through".to_owned())]);
}

/// I5: who cannot be told of lets nothing through.
#[tokio::test]
async fn i5_a_call_that_nobody_can_be_told_of_is_not_made() {
    let world = telling().await;
    let read = issue("ENG-42");
    assert_eq!(world.call("alice-release", "getJiraIssue", &read).await.brief(), "ok");
    let before = world.calls_sent();
    world.faults.every(Some(Fault::Fail));
    let refused = world.call("alice-release", "getJiraIssue", &read).await;
    assert_eq!(refused.brief(), "deny evidence_unavailable");
    assert_eq!(world.calls_sent(), before);
    world.faults.every(None);
    soon("recovery", || world.gateway.is_ready()).await;
    // A read is made before its intent is durable, if nobody has to be told of it.
    world.store.slow_ms.store(300, Ordering::Relaxed);
    for (who, waits) in [("alice", false), ("alice-release", true)] {
        let begun = Instant::now();
        assert_eq!(world.call(who, "getJiraIssue", &read).await.brief(), "ok");
        assert_eq!(begun.elapsed() >= Duration::from_millis(300), waits, "{who}");
    }
    world.store.slow_ms.store(0, Ordering::Relaxed);
    // The channel has fallen behind.
    assert_eq!(ask(&world, "ENG-42").await, WAITS);
    let asked = world.waiting().await.approval;
    let approval = Approval { id: world.clock.id(), binding: Digest::of(b"other"), ..asked };
    let notice = |_| Notice {
        id: world.clock.id(),
        channel: "audit".to_owned(),
        occasion: Occasion::Requested,
        page: None,
    };
    let notices = (0..NOTICES_WAITING_MAX).map(notice).collect();
    let asked = Change::ApprovalRequested { approval: Box::new(approval), notices };
    world.gateway.administer("somebody".to_owned(), asked).await.unwrap();
    let before = world.calls_sent();
    let refused = world.call("alice-release", "getJiraIssue", &read).await;
    assert_eq!(refused.brief(), "deny evidence_unavailable");
    assert_eq!(world.calls_sent(), before);
}
