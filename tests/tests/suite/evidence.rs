//! What must hold whatever happens in between: the rules I1, I6, I7 and I8, each against the site's own ledger.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use callgate_sim::{Eras, Fault, Running, SimOptions};
use callgate_tests::gateway::Gateway;
use callgate_tests::wire::{Ask, Heard, get, open_session};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use super::world::{
    ALICE, ALICE_CHAIN, BOB, PERMITS, READER, SECRET, edit, read, reconcile, setup, site,
    site_and_gateway, wait_until,
};

/// How long a change of the policies may take to hold, with other unoptimized gateways beside.
const HOLDS_WITHIN: Duration = Duration::from_secs(6);

/// Checks all of the evidence and gives how many chains there are.
pub(crate) async fn verified_chains(gateway: &Gateway) -> u64 {
    let verified = gateway.cli(&["evidence", "verify", "--json"]).await.unwrap();
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let verdict = verified.json().unwrap().remove(0);
    assert_eq!(verdict["verdict"], "ok", "{verified:?}");
    verdict["writers"].as_u64().unwrap()
}

#[tokio::test]
async fn i1_kill_9_between_intent_and_outcome() {
    let (sim, mut gateway) = site_and_gateway(SimOptions::default()).await;
    sim.fault(Fault::HangAfterExecuting);
    let ask = Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "once"));
    let _open = ask.begin(gateway.address).await.unwrap();
    wait_until(|| sim.ledger().count("editJiraIssue") == 1).await;
    // The effect is there and the answer is not: the intent is durable already.
    let evidence = gateway.evidence().await.unwrap();
    assert_eq!((evidence.intents().len(), evidence.is_settled()), (1, false), "{evidence:?}");

    gateway.kill_9().await.unwrap();
    gateway.restart().await.unwrap();
    let after = gateway.evidence_when(|e| e.is_settled()).await.unwrap();
    assert_eq!(after.0.len(), 1, "{after:?}");
    assert_eq!(after.0[0].call, evidence.0[0].call);
    assert_eq!(after.0[0].outcome.as_deref(), Some("indeterminate"));
    gateway.says(&after.0[0].call).await.unwrap();
    assert_eq!(verified_chains(&gateway).await, 2, "a restart is a new writer");

    // A person may repeat it: that is another call. The gateway itself never does.
    let heard = ask.send(gateway.address).await.unwrap();
    assert!(heard.is_success(), "{heard:?}");
    let evidence = gateway.evidence_when(|e| e.is_settled() && e.0.len() == 2).await.unwrap();
    assert_eq!(sim.ledger().count("editJiraIssue"), 2);
    reconcile(&sim, &evidence);
}

/// What one caller asks, one after the other: allowed, refused, unknown.
async fn ask_around(address: SocketAddr, token: &'static str, modern: bool, keys: [&str; 4]) {
    let session = open_session(address, "atlassian", token).await.unwrap();
    for (index, key) in keys.into_iter().enumerate() {
        for (tool, arguments) in [
            ("getJiraIssue", read(key)),
            ("editJiraIssue", edit(key, &format!("{token} {index}"))),
            ("dropEverything", json!({ "index": index })),
        ] {
            let params = json!({ "name": tool, "arguments": arguments });
            let ask = if modern {
                Ask::modern("atlassian", token, "tools/call", params)
            } else {
                Ask::legacy("atlassian", token, &session, "tools/call", params)
            };
            assert_eq!(ask.send(address).await.unwrap().status, 200);
        }
    }
}

#[tokio::test]
async fn i1_every_effect_has_an_intent() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let mut callers = JoinSet::new();
    let address = gateway.address;
    let keys = ["ENG-41", "OPS-7", "SUP-101", "HR-3"];
    for (token, modern) in
        [(ALICE, true), (ALICE, false), (BOB, true), (BOB, false), (READER, true)]
    {
        callers.spawn(ask_around(address, token, modern, keys));
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    let evidence = gateway.evidence_when(|e| e.0.len() >= 60 && e.is_settled()).await.unwrap();
    assert_eq!(evidence.0.len(), 60, "one decision for each call");
    // Alice reads and edits ENG, Bob SUP, in both eras; Alice's reader only reads ENG.
    assert_eq!(evidence.intents().len(), 2 * 2 + 2 * 2 + 1);
    assert!(evidence.intents().iter().all(|one| one.outcome.as_deref() == Some("succeeded")));
    reconcile(&sim, &evidence);
    for intent in evidence.intents() {
        let project = intent.record.pointer("/event/understood/targets/0/in/0").unwrap();
        let own = if intent.human() == "bob" { "SUP" } else { "ENG" };
        assert_eq!(project, &json!(format!("Jira::Project::acme/{own}")), "{intent:?}");
    }
    assert_eq!(verified_chains(&gateway).await, 1);
}

#[tokio::test]
async fn i7_canaries_are_nowhere() {
    const TOKEN: &str = "canary-inbound-token-5d1c";
    const WRONG: &str = "canary-wrong-token-77ab";
    const UPSTREAM: &str = "canary-upstream-secret-90fe";
    const ARGUMENT: &str = "canary-argument-31d8";
    let sim = callgate_sim::Sim::start(
        callgate_sim::Site::demo(),
        SimOptions { token: Some(UPSTREAM.to_owned()), sse: true, ..SimOptions::default() },
    )
    .await
    .unwrap();
    let gateway = setup()
        .token(TOKEN, &ALICE_CHAIN)
        .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", UPSTREAM)
        .section("[log]\nfilter = \"trace\"\n")
        .start()
        .await
        .unwrap();
    let session = open_session(gateway.address, "atlassian", TOKEN).await.unwrap();
    let mut secret = edit("ENG-42", "through");
    secret["fields"]["password"] = ARGUMENT.into();
    let plain = json!({ "name": "editJiraIssue", "arguments": edit("ENG-42", "plain") });
    let wrong = Ask::call("atlassian", WRONG, "editJiraIssue", edit("ENG-42", "x"));
    let asks = [
        Ask::call("atlassian", TOKEN, "editJiraIssue", secret.clone()),
        Ask::legacy("atlassian", TOKEN, &session, "tools/call", plain)
            .also("cookie", &format!("session={TOKEN}"))
            .also("proxy-authorization", &format!("Bearer {TOKEN}"))
            .also("x-api-key", TOKEN),
        Ask::call("atlassian", TOKEN, "deleteJiraIssue", secret.clone()),
        Ask::call("atlassian", TOKEN, "dropEverything", secret),
        wrong.clone(),
        wrong.also("authorization", &format!("Bearer {TOKEN}")),
    ];
    let mut said = String::new();
    for ask in &asks {
        let heard = ask.send(gateway.address).await.unwrap();
        said.push_str(&format!("{heard:?}"));
    }
    let evidence =
        gateway.evidence_when(|e| e.0.len() >= asks.len() && e.is_settled()).await.unwrap();
    reconcile(&sim, &evidence);
    assert_eq!(sim.ledger().count("editJiraIssue"), 2);
    said.push_str(&get(gateway.address, "/metrics").await.unwrap().body);
    said.push_str(&format!("{evidence:?}"));
    said.push_str(&gateway.cli(&["evidence", "list"]).await.unwrap().stdout);
    said.push_str(&gateway.output());
    for file in ["evidence.db", "evidence.db-wal"] {
        let bytes = std::fs::read(gateway.path().join(file)).unwrap_or_default();
        said.push_str(&String::from_utf8_lossy(&bytes));
    }
    // The places that were searched are the right ones: what is no secret stands in them.
    assert!(said.contains("callgate_decisions") && said.contains("editJiraIssue"));
    assert!(gateway.output().contains("TRACE"), "the log really was at its most talkative");
    for canary in [TOKEN, WRONG, UPSTREAM, ARGUMENT] {
        let at = said.find(canary);
        let around = at.map(|at| said.get(at.saturating_sub(200)..at + 60));
        assert_eq!(around, None, "{canary} was said");
    }
    let seen = format!("{:?}", sim.ledger().requests());
    assert!(!seen.contains(TOKEN) && !seen.contains(WRONG), "a token of a client went upstream");
    assert!(seen.contains(UPSTREAM) && seen.contains(ARGUMENT), "what belongs there did not");
}

/// Reads `key` and insists on that issue and no other.
async fn read_own(address: SocketAddr, ask: Ask, key: String, delay_ms: u64) {
    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    let heard: Heard = ask.send(address).await.unwrap();
    let issue: Value = serde_json::from_str(&heard.text()).unwrap_or_else(|_| panic!("{heard:?}"));
    assert_eq!(issue["key"], key, "{heard:?}");
}

async fn interleaved(eras: Eras) -> Running {
    let latency = Some(Duration::from_millis(20));
    let (sim, gateway) =
        site_and_gateway(SimOptions { eras, latency, sse: true, ..SimOptions::default() }).await;
    let address = gateway.address;
    let mut calls = JoinSet::new();
    for (token, keys) in [
        (ALICE, ["ENG-41", "ENG-42", "ENG-43", "ENG-44"]),
        (BOB, ["SUP-101", "SUP-102", "SUP-101", "SUP-102"]),
    ] {
        let session = open_session(address, "atlassian", token).await.unwrap();
        for index in 0..24_usize {
            // Every request has the same id: only the connection and the session tell them apart.
            let key = keys[index % keys.len()];
            let params = json!({ "name": "getJiraIssue", "arguments": read(key), "_meta": { "progressToken": 1 } });
            let ask = if index.is_multiple_of(2) {
                Ask::modern("atlassian", token, "tools/call", params)
            } else {
                Ask::legacy("atlassian", token, &session, "tools/call", params)
            };
            let delay = u64::try_from(index % 5).unwrap() * 3;
            calls.spawn(read_own(address, ask, key.to_owned(), delay));
        }
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
    let evidence = gateway.evidence_when(|e| e.0.len() >= 48 && e.is_settled()).await.unwrap();
    reconcile(&sim, &evidence);
    sim
}

#[tokio::test]
async fn i6_two_callers_interleaved_before_a_modern_site() {
    interleaved(Eras::Modern).await;
}

#[tokio::test]
async fn i6_two_callers_interleaved_before_a_legacy_site() {
    let sim = interleaved(Eras::Legacy).await;
    let sessions = |project: &str| -> BTreeSet<String> {
        let entries = sim.ledger().entries();
        let own = entries.iter().filter(|entry| entry.arguments.contains(project));
        own.map(|entry| entry.header("mcp-session-id").unwrap().to_owned()).collect()
    };
    let (alice, bob) = (sessions("ENG-"), sessions("SUP-"));
    assert!(!alice.is_empty() && !bob.is_empty());
    assert!(alice.is_disjoint(&bob), "no session of the site serves two callers");
}

/// The reasons of a refused edit of ENG-42; empty if it was allowed.
async fn edited(gateway: &Gateway) -> String {
    let ask = Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "again"));
    let heard = ask.send(gateway.address).await.unwrap();
    assert_eq!(heard.status, 200, "{heard:?}");
    assert_ne!(heard.is_success(), heard.message()["result"]["isError"] == true, "{heard:?}");
    heard.reasons()
}

#[tokio::test]
async fn i8_policy_change_holds_at_once() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    assert_eq!(edited(&gateway).await, "");
    let freeze = r#"
@id("freeze") @reason("Release week") @owner("platform")
forbid(principal, action in Action::"mutate", resource == Jira::Issue::"acme/ENG-42");
"#;
    gateway.put("policies/guardrails/freeze.cedar", freeze).unwrap();
    let changed = Instant::now();
    while edited(&gateway).await.is_empty() {
        assert!(changed.elapsed() < HOLDS_WITHIN, "the new policy does not hold");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let executed = sim.ledger().entries().len();
    assert_eq!(edited(&gateway).await, "guardrail");

    // A broken file changes nothing, and the log says what is wrong with it; also if what it held is a permit.
    gateway
        .put("policies/permits/all.cedar", &PERMITS.replace("jira.issue.edit", "jira.issue.editt"))
        .unwrap();
    gateway.says("the policies on disk are not valid").await.unwrap();
    let output = gateway.output();
    assert!(output.contains("all.cedar:") && output.contains("jira.issue.editt"), "{output}");
    assert_eq!(edited(&gateway).await, "guardrail");
    assert_eq!(sim.ledger().entries().len(), executed);

    // What is mended holds again, and every call names the policies it was decided by.
    gateway.put("policies/permits/all.cedar", PERMITS).unwrap();
    gateway.put("policies/guardrails/freeze.cedar", "").unwrap();
    let changed = Instant::now();
    while !edited(&gateway).await.is_empty() {
        assert!(changed.elapsed() < HOLDS_WITHIN, "the old policy still holds");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Asked by a signal it looks at once, even if nothing changed.
    let activations = || gateway.output().matches("policies activated").count();
    let before = activations();
    gateway.hang_up().await.unwrap();
    let asked = Instant::now();
    while activations() == before {
        assert!(asked.elapsed() < HOLDS_WITHIN, "the signal does nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(edited(&gateway).await, "");
    let evidence = gateway.evidence_when(|e| e.is_settled()).await.unwrap();
    let bundle = |index: usize| evidence.0[index].text("/decision/bundle");
    let last = evidence.0.len() - 1;
    assert_ne!(bundle(0), evidence.refusals()[0].text("/decision/bundle"));
    assert_eq!(bundle(0), bundle(last), "the same policies have the same digest");
    reconcile(&sim, &evidence);
}

#[tokio::test]
async fn readiness_and_metrics_say_what_is_so() {
    let (_sim, gateway) = site_and_gateway(SimOptions::default()).await;
    for (path, body) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let heard = get(gateway.address, path).await.unwrap();
        assert_eq!((heard.status, heard.body.as_str()), (200, body));
    }
    assert_eq!(edited(&gateway).await, "");
    assert_eq!(edited(&gateway).await, "");
    let ask = Ask::call("atlassian", ALICE, "editJiraIssue", edit("HR-3", "x"));
    assert_eq!(ask.send(gateway.address).await.unwrap().reasons(), "guardrail");
    let metrics = get(gateway.address, "/metrics").await.unwrap().body;
    let value = |name: &str, labels: &[&str]| -> Option<f64> {
        let has = |line: &&str| line.starts_with(name) && labels.iter().all(|l| line.contains(l));
        metrics.lines().find(has)?.rsplit(' ').next()?.parse().ok()
    };
    let decisions = "callgate_decisions_total{";
    assert_eq!(
        value(decisions, &["verdict=\"allow\"", "effect=\"write\""]),
        Some(2.0),
        "{metrics}"
    );
    assert_eq!(value(decisions, &["reason=\"guardrail\""]), Some(1.0), "{metrics}");
    assert_eq!(value("callgate_outcomes_total{", &["outcome=\"succeeded\""]), Some(2.0));
    assert_eq!(value("callgate_calls_in_flight", &[]), Some(0.0));
    assert_eq!(value("callgate_evidence_healthy", &[]), Some(1.0));
    assert!(metrics.ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_clean_end_loses_no_outcome() {
    let latency = Some(Duration::from_millis(800));
    let (sim, mut gateway) =
        site_and_gateway(SimOptions { latency, ..SimOptions::default() }).await;
    let address = gateway.address;
    let session = open_session(address, "atlassian", ALICE).await.unwrap();
    let waits = Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "waits"));
    let leaves = json!({ "name": "editJiraIssue", "arguments": edit("ENG-43", "leaves") });
    let leaves = Ask::legacy("atlassian", ALICE, &session, "tools/call", leaves);
    let mut waiting = waits.begin(address).await.unwrap();
    let left = leaves.begin(address).await.unwrap();
    gateway.evidence_when(|e| e.intents().len() == 2).await.unwrap();
    // In the legacy era a client that goes away has not cancelled its call.
    drop(left);
    assert!(sim.ledger().entries().is_empty(), "both calls are still on their way");
    assert_eq!(gateway.terminate().await.unwrap(), Some(0));

    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"result\""), "{answer}");
    let evidence = gateway.evidence().await.unwrap();
    let outcomes: Vec<_> = evidence.0.iter().map(|one| one.outcome.as_deref()).collect();
    assert_eq!(outcomes, [Some("succeeded"); 2], "{}", gateway.output());
    reconcile(&sim, &evidence);
    assert_eq!(verified_chains(&gateway).await, 1);
}

#[tokio::test]
async fn a_site_that_cannot_be_reached_is_said_to_be_so() {
    let sim = site(SimOptions::default()).await;
    let setup = setup().server("atlassian", &sim.url, "atlassian-rovo", SECRET);
    let gateway = setup.start().await.unwrap();
    sim.stop().await;
    let ask = Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "x"));
    assert_eq!(ask.send(gateway.address).await.unwrap().reasons(), "upstream_unavailable");
    let evidence = gateway.evidence_when(|e| e.0.len() == 1).await.unwrap();
    assert_eq!(evidence.refused(), ["editJiraIssue: upstream_unavailable"]);
    assert_eq!(get(gateway.address, "/readyz").await.unwrap().status, 200);
}
