//! Notices: who is told that a call waits. Who asks does not wait for that, and who is told twice knows it by the id.

use std::collections::{BTreeMap, BTreeSet};

use callgate_gateway::pipeline::ChannelRule;
use callgate_model::ambient::Ambient as _;
use callgate_model::approval::Occasion;
use callgate_model::json::Json;
use callgate_policy::Tier;
use callgate_store::NoticeStore as _;

use crate::client::delete;
use crate::store::event;
use crate::support::{POLICIES, Setup, World};

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
    assert_eq!((due[0].approval, due[0].page.as_ref()), (id, Some(&page)));
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
