//! I1 under a store that fails: every append of a whole conversation fails once, in each way it can.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use callgate_model::digest::Digest;
use callgate_store::testing::Fault;
use callgate_store::{EvidenceStore as _, Row};

use crate::client::{Ask, Said, delete, edit, issue};
use crate::store::{arguments_digest, event};
use crate::support::{CLOUD, Setup, World, json, soon};

/// One call of a conversation.
struct Step {
    caller: &'static str,
    tool: &'static str,
    arguments: String,
    /// What is told if nothing fails.
    clean: &'static str,
}

/// The `n`th conversation: no two calls of any have the same arguments, so that these tell which is which.
fn conversation(n: u64) -> Vec<Step> {
    let step = |caller, tool, arguments, clean| Step { caller, tool, arguments, clean };
    let read =
        |key: &str| format!(r#"{{"cloudId":"{CLOUD}","issueIdOrKey":"{key}","fields":["f{n}"]}}"#);
    let edit = |key: &str, text: &str| edit(key, &format!("{text} {n}"));
    let (release, triage, edit_issue) = ("alice-release", "alice-triage", "editJiraIssue");
    vec![
        step(release, "getJiraIssue", read("ENG-42"), "ok"),
        step(release, edit_issue, edit("ENG-42", "first"), "ok"),
        step(triage, edit_issue, edit("ENG-42", "never"), "deny agent_not_permitted"),
        step(
            release,
            "executeDestructive",
            delete("ENG-45"),
            "approval_required approval_required",
        ),
        step(release, edit_issue, edit("ENG-41", "second"), "ok"),
        step(release, "getJiraIssue", read("ENG-404"), "tool_error"),
        step(release, edit_issue, edit("ENG-404", "third"), "tool_error"),
    ]
}

#[tokio::test]
async fn i1_no_append_that_fails_lets_a_write_through_unrecorded() {
    sweep(Fault::Fail, 1).await;
    sweep(Fault::Fail, 512).await;
}

#[tokio::test]
async fn i1_no_append_that_fails_after_its_commit_lets_a_write_through_unrecorded() {
    sweep(Fault::FailAfterCommit, 1).await;
    sweep(Fault::FailAfterCommit, 512).await;
}

#[tokio::test]
async fn i1_no_append_that_hangs_lets_a_write_through_unrecorded() {
    sweep(Fault::Hang, 1).await;
    sweep(Fault::Hang, 512).await;
}

/// Conversations, of which the first append fails, then the second, until one is never reached.
async fn sweep(fault: Fault, batch_max: usize) {
    let mut setup = Setup::default();
    setup.evidence.batch_max = batch_max;
    setup.evidence.append_timeout = Duration::from_millis(100);
    let world = World::start(setup).await;
    let (mut failed, mut told) = (0, BTreeSet::new());
    while converse(&world, failed + 1, fault, &mut told).await {
        failed += 1;
        assert!(failed < 60, "the conversation never ran clean");
    }
    // Alone, each record has an append of its own.
    let least = if batch_max == 1 { 12 } else { 5 };
    assert!(failed >= least, "only {failed} appends failed with {fault:?}");
    // The fault was met before a write; and after one, unless others' records went with its outcome.
    let mut met = vec!["deny evidence_unavailable"];
    met.extend((batch_max == 1).then_some("error -32603"));
    assert!(met.iter().all(|told_so| told.contains(*told_so)), "{told:?}");
    let rows = world.record().await;
    check_ledger(&world, "in the end");
    check_outcomes(&rows, &world, "in the end");
    let calls = |kind: &str| -> BTreeSet<_> {
        rows.iter().filter(|row| row.kind == kind).filter_map(|row| row.call).collect()
    };
    assert_eq!(calls("intent"), calls("outcome"), "each call has an outcome");
    assert_eq!(world.store.size().await.unwrap(), rows.len() as u64);
}

/// One conversation whose `n`th append fails; whether that append was reached.
async fn converse(world: &World, n: u64, fault: Fault, told: &mut BTreeSet<String>) -> bool {
    let (base, known) = (world.faults.appends(), ends(world));
    world.faults.nth(n, fault);
    let steps = conversation(n);
    for step in &steps {
        let said = world.call(step.caller, step.tool, &step.arguments).await;
        check_answer(world, &said, step, &format!("append {n}, {fault:?}"));
        told.insert(said.brief());
    }
    let quiet = || world.gateway.is_ready() && ends(world) >= known + steps.len();
    soon("the end of the conversation", quiet).await;
    world.faults.appends() >= base + n
}

/// Refusals and outcomes.
fn ends(world: &World) -> usize {
    world.store.rows().iter().filter(|row| row.kind != "opened" && row.kind != "intent").count()
}

/// What was answered is what would have been without the fault, or a refusal that says why; and a write that is
/// answered as done has its outcome in the record by then.
fn check_answer(world: &World, said: &Said, step: &Step, place: &str) {
    let Step { tool, arguments, clean, .. } = step;
    let told = said.brief();
    let unrecorded = told == "error -32603" && said.text().contains("evidence_unavailable");
    assert!(
        told == *clean || told == "deny evidence_unavailable" || unrecorded,
        "{place}: {tool} {arguments}: {told}"
    );
    let digest = Digest::of_json(&json(arguments)).to_string();
    if *tool == "getJiraIssue" || !["ok", "tool_error"].contains(&told.as_str()) {
        return;
    }
    let rows = world.store.rows();
    let intents = rows.iter().filter(|row| is_intent(row, &digest));
    let concluded = intents.filter_map(|intent| outcome(&rows, intent)).count();
    assert_eq!(
        concluded, 1,
        "{place}: {tool} was answered as {told} before its outcome was stored"
    );
}

/// Every effect has one intent of the same arguments, and that of a write was durable before it.
fn check_ledger(world: &World, place: &str) {
    let stored = world.store.stored();
    for entry in world.sim.ledger().entries() {
        let digest = Digest::of_json(&json(&entry.arguments)).to_string();
        let intents: Vec<_> = stored.iter().filter(|(row, _)| is_intent(row, &digest)).collect();
        assert_eq!(intents.len(), 1, "{place}: intents of {}", entry.arguments);
        let (_, executed_before) = intents[0];
        let executed_before = u64::try_from(*executed_before).unwrap();
        let is_write = entry.operation != "getJiraIssue";
        assert!(
            !is_write || executed_before < entry.number,
            "{place}: the site executed {} before its intent was durable",
            entry.arguments
        );
    }
    assert_eq!(world.sim.ledger().count("deleteJiraIssue"), 0, "{place}");
}

/// Every intent has one outcome, and it is true.
fn check_outcomes(rows: &[Row], world: &World, place: &str) {
    let ledger = world.sim.ledger().entries();
    for intent in rows.iter().filter(|row| row.kind == "intent") {
        let digest = arguments_digest(intent).unwrap();
        let executed = ledger
            .iter()
            .filter(|entry| Digest::of_json(&json(&entry.arguments)).to_string() == digest)
            .count();
        let outcome = outcome(rows, intent).unwrap_or_default();
        let expected = match executed {
            0 => &["not_dispatched"][..],
            1 => &["succeeded", "tool_error"][..],
            _ => &[],
        };
        assert!(expected.contains(&outcome.as_str()), "{place}: {outcome} of {}", intent.text);
    }
}

fn is_intent(row: &Row, digest: &str) -> bool {
    row.kind == "intent" && arguments_digest(row).as_deref() == Some(digest)
}

/// The outcome of an intent; two outcomes are none.
fn outcome(rows: &[Row], intent: &Row) -> Option<String> {
    let mut outcomes =
        rows.iter().filter(|row| row.call == intent.call).filter_map(|row| row.outcome.clone());
    let first = outcomes.next();
    if outcomes.next().is_some() { None } else { first }
}

#[tokio::test]
async fn e03_a_store_that_hangs_denies_within_its_deadline_and_recovers() {
    let mut setup = Setup::default();
    setup.evidence.append_timeout = Duration::from_secs(1);
    let world = World::start(setup).await;
    assert_eq!(world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    assert!(world.gateway.is_ready());
    let before = world.calls_sent();
    world.faults.every(Some(Fault::Hang));

    let begun = Instant::now();
    let said = world.call("alice-release", "editJiraIssue", &edit("ENG-42", "lost")).await;
    assert_eq!(said.brief(), "deny evidence_unavailable");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(!world.gateway.is_ready());
    assert!(world.gateway.metrics().contains("callgate_evidence_healthy 0"));
    // Neither is a read made that nobody could record.
    let said = world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await;
    assert_eq!(said.brief(), "deny evidence_unavailable");
    assert_eq!(world.calls_sent(), before, "something was sent");

    world.faults.every(None);
    soon("recovery", || world.gateway.is_ready()).await;
    let said = world.call("alice-release", "editJiraIssue", &edit("ENG-42", "found")).await;
    assert_eq!(said.brief(), "ok");
    let rows = world.record().await;
    check_ledger(&world, "after the recovery");
    check_outcomes(&rows, &world, "after the recovery");
}

/// E08: the refusal itself is recorded as soon as anything can be.
#[tokio::test]
async fn e08_what_was_refused_for_want_of_evidence_is_recorded_later() {
    let world = World::start(Setup::default()).await;
    world.list("alice-release").await;
    world.faults.every(Some(Fault::Fail));
    let said = world.call("alice-release", "editJiraIssue", &edit("ENG-42", "lost")).await;
    assert_eq!(said.brief(), "deny evidence_unavailable");
    world.faults.every(None);
    let rows = world.record().await;
    let refused = |row: &&Row| row.kind == "refusal" && row.text.contains("evidence_unavailable");
    let refusal = rows.iter().find(refused).expect("the refusal is in the record");
    assert_eq!(refusal.tool.as_deref(), Some("editJiraIssue"));
    assert_eq!(refusal.accountable.as_deref(), Some("alice"));
}

/// A12: the client goes away while its intent is being written. The intent is durable, the call is never made, and the
/// record says so.
#[tokio::test]
async fn i1_an_intent_whose_client_went_away_is_not_dispatched() {
    let world = World::start(Setup::default()).await;
    world.list("alice-release").await;
    world.store.slow_ms.store(60, Ordering::Relaxed);
    let ask = Ask::call("alice-release", "editJiraIssue", &edit("ENG-42", "abandoned"));
    let gateway = Arc::clone(&world.gateway);
    let waiting = tokio::spawn(async move { ask.reply(&gateway).await });
    let begun = world.faults.appends();
    soon("the append", || world.faults.appends() > begun).await;
    waiting.abort();
    soon("the intent", || world.store.rows().iter().any(|row| row.kind == "intent")).await;
    let rows = world.record().await;
    let outcomes: Vec<_> = rows.iter().filter_map(|row| row.outcome.as_deref()).collect();
    assert_eq!(outcomes, ["not_dispatched"]);
    assert!(event(rows.last().unwrap()).get("detail").is_some());
    assert_eq!(world.calls_sent(), 0);
}
