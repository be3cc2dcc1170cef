//! Gateways that share a PostgreSQL database: what one of them decides holds at all, what is used at one is used at all, and what one
//! leaves open the others close. What the site executed is the oracle.

use std::time::{Duration, Instant};

use callgate_sim::{Fault, Running};
use callgate_tests::gateway::{Gateway, Setup};
use callgate_tests::postgres::Database;
use callgate_tests::wire::{Ask, Heard, open_session};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::approvals::{CAROL, prepared};
use super::world::{ALICE, BOB, edit, read, reconcile, wait_until};

/// As long as what one replica is told takes to hold at the others (I8).
const HOLDS_WITHIN: Duration = Duration::from_secs(2);
/// The lease of a replica that died, and some time to look.
const CLOSED_WITHIN: Duration = Duration::from_secs(25);

struct Replicas {
    sim: Running,
    all: Vec<Gateway>,
    database: Database,
}

async fn replicas(count: usize, section: &str) -> Replicas {
    let (sim, setup) = prepared("").await;
    let database = Database::new().await.unwrap();
    let folder = Setup::default().write().unwrap();
    let key = folder.cli(&["evidence", "key", "--new", "gate.example/log"]).await.unwrap();
    let setup = setup.postgres(&database.url(), &key.stdout).section(section);
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(setup.start().await.unwrap());
    }
    Replicas { sim, all, database }
}

impl Replicas {
    async fn verified(&self) {
        for gateway in &self.all {
            let verified = gateway.cli(&["evidence", "verify"]).await.unwrap();
            assert_eq!(verified.code, Some(0), "{verified:?}");
        }
    }
}

fn delete(key: &str) -> Ask {
    Ask::call("atlassian", ALICE, "deleteJiraIssue", read(key))
}

fn edited(text: &str) -> Ask {
    Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", text))
}

fn approval(waits: &Heard) -> String {
    let id = &waits.message()["result"]["_meta"]["dev.callgate/decision"]["approval"];
    id.as_str().unwrap_or_else(|| panic!("{waits:?}")).to_owned()
}

/// Carol approves it at that replica.
async fn approve(gateway: &Gateway, id: &str) {
    let show = Ask::api("GET", &format!("/approvals/{id}"), CAROL, "");
    let shown = show.send(gateway.address).await.unwrap();
    let shown: Value = serde_json::from_str(&shown.body).unwrap();
    let said = json!({ "shown": shown["shown"] }).to_string();
    let approve = Ask::api("POST", &format!("/approvals/{id}/approve"), CAROL, &said);
    let heard = approve.send(gateway.address).await.unwrap();
    assert_eq!(heard.status, 200, "{heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i2_an_approval_is_asked_for_at_one_replica_decided_at_another_and_used_once_at_all() {
    let world = replicas(3, "").await;
    let keys = ["ENG-42", "ENG-43", "ENG-45"];
    for (round, key) in keys.into_iter().enumerate() {
        let at = |step: usize| &world.all[(round + step) % 3];
        let waits = delete(key).send(at(0).address).await.unwrap();
        approve(at(1), &approval(&waits)).await;
        let mut claims = JoinSet::new();
        for gateway in &world.all {
            for _ in 0..8 {
                let (ask, address) = (delete(key), gateway.address);
                claims.spawn(async move { ask.send(address).await.unwrap().is_success() });
            }
        }
        let made = claims.join_all().await.into_iter().filter(|made| *made).count();
        assert_eq!((made, world.sim.ledger().count("deleteJiraIssue")), (1, round + 1), "{key}");
    }
    for gateway in &world.all {
        let evidence = gateway.evidence_when(|all| all.is_settled()).await.unwrap();
        let deletions = evidence.dispatched().filter(|one| one.tool() == "deleteJiraIssue");
        assert_eq!(deletions.count(), keys.len());
    }
    world.verified().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn a_call_that_is_held_at_one_replica_goes_on_when_another_is_told_so() {
    let world = replicas(2, "[approvals]\nhold_s = 30\n").await;
    let params = json!({ "name": "deleteJiraIssue", "arguments": read("ENG-45"), "_meta": { "progressToken": 1 } });
    let held = Ask::modern("atlassian", ALICE, "tools/call", params);
    let address = world.all[0].address;
    let held = tokio::spawn(async move { held.send(address).await.unwrap() });
    let list = Ask::api("GET", "/approvals", CAROL, "");
    let begun = Instant::now();
    let id = loop {
        let all = list.send(world.all[1].address).await.unwrap();
        let all: Value = serde_json::from_str(&all.body).unwrap();
        if let Some(id) = all.pointer("/approvals/0/id").and_then(Value::as_str) {
            break id.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{all}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(!held.is_finished());
    approve(&world.all[1], &id).await;
    let decided = Instant::now();
    let answered = held.await.unwrap();
    assert!(answered.is_success(), "{answered:?}");
    assert!(decided.elapsed() < Duration::from_secs(5), "{:?}", decided.elapsed());
    assert_eq!(world.sim.ledger().count("deleteJiraIssue"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i8_what_is_revoked_beside_one_replica_is_revoked_at_all_within_two_seconds() {
    let world = replicas(2, "").await;
    let create = ["token", "create", "--name", "n", "--owner", "alice", "--agent", "release-bot"];
    let made = world.all[0].cli(&create).await.unwrap();
    let ask = Ask::call("atlassian", made.stdout.trim(), "getJiraIssue", read("ENG-42"));
    for gateway in &world.all {
        assert_ne!(ask.send(gateway.address).await.unwrap().status, 401, "{made:?}");
    }
    let revoke = ["revoke", "--human", "alice", "--reason", "left"];
    assert_eq!(world.all[0].cli(&revoke).await.unwrap().code, Some(0));
    let told = Instant::now();
    for gateway in &world.all {
        while ask.send(gateway.address).await.unwrap().status != 401 {
            assert!(told.elapsed() < HOLDS_WITHIN, "{}", gateway.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn e04_what_a_replica_left_that_died_is_closed_by_another() {
    let mut world = replicas(2, "").await;
    world.sim.fault(Fault::HangAfterExecuting);
    let (ask, address) = (edited("cut"), world.all[0].address);
    let cut = tokio::spawn(async move { ask.send(address).await.ok() });
    wait_until(|| world.sim.ledger().count("editJiraIssue") == 1).await;
    world.all[0].kill_9().await.unwrap();
    cut.await.unwrap();
    world.sim.clear_faults();
    // The other one goes on meanwhile.
    let other = world.all.remove(1);
    assert!(edited("next").send(other.address).await.unwrap().is_success());
    let begun = Instant::now();
    let evidence = loop {
        let evidence = other.evidence().await.unwrap();
        if evidence.is_settled() {
            break evidence;
        }
        assert!(begun.elapsed() < CLOSED_WITHIN, "{evidence:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let mut outcomes: Vec<_> =
        evidence.intents().iter().filter_map(|intent| intent.outcome.clone()).collect();
    outcomes.sort();
    assert_eq!(outcomes, ["indeterminate", "succeeded"]);
    reconcile(&world.sim, &evidence);
}

/// A session says what was agreed on, to whoever has the keys; and nothing to anybody but its caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i6_a_session_goes_on_at_any_replica_for_its_caller() {
    let world = replicas(2, "").await;
    let session = open_session(world.all[0].address, "atlassian", ALICE).await.unwrap();
    let params = json!({ "name": "getJiraIssue", "arguments": read("ENG-42") });
    let ask = Ask::legacy("atlassian", ALICE, &session, "tools/call", params.clone());
    for gateway in &world.all {
        let heard = ask.send(gateway.address).await.unwrap();
        assert!(heard.is_success(), "{heard:?}");
        let other = Ask::legacy("atlassian", BOB, &session, "tools/call", params.clone());
        assert_eq!(other.send(gateway.address).await.unwrap().status, 404);
    }
    let ended = Ask::legacy("atlassian", ALICE, &session, "ping", json!({})).by("DELETE");
    assert_eq!(ended.send(world.all[1].address).await.unwrap().status, 204);
    assert_eq!(ask.send(world.all[1].address).await.unwrap().status, 404, "it has ended there");
}

/// What is not a read is refused while the database is away; when it is back, everything goes on, and nobody has to start anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i5_a_database_that_is_lost_lets_no_write_through_and_comes_back_by_itself() {
    let world = replicas(2, "").await;
    for gateway in &world.all {
        assert!(edited("before").send(gateway.address).await.unwrap().is_success());
    }
    world.database.lose(false).await.unwrap();
    for gateway in &world.all {
        let heard = edited("meanwhile").send(gateway.address).await.unwrap();
        assert_eq!(heard.reasons(), "evidence_unavailable", "{heard:?}");
    }
    assert_eq!(world.sim.ledger().count("editJiraIssue"), 2);
    world.database.lose(true).await.unwrap();
    for gateway in &world.all {
        let begun = Instant::now();
        while !edited("after").send(gateway.address).await.unwrap().is_success() {
            assert!(begun.elapsed() < Duration::from_secs(15), "{}", gateway.output());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let evidence = world.all[0].evidence_when(|all| all.is_settled()).await.unwrap();
    reconcile(&world.sim, &evidence);
    world.verified().await;
}
