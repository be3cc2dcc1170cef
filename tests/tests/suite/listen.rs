//! Real clients that listen: they hear of a policy that changes their list, in either era and through either transport,
//! and the gateway ends although they would go on listening.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use callgate_sim::{Running, SimOptions};
use callgate_tests::drive::{Client, Plan};
use callgate_tests::install;
use serde_json::Value;

use super::pipes::{bridging, wrapping};
use super::rmcp::rmcp;
use super::world::{ALICE, ALICE_CHAIN, SECRET, read, setup, site, site_and_gateway};

const READ_ONLY: &str = r#"
@id("read-only") @reason("A freeze") @owner("platform")
forbid(principal, action in Action::"write", resource);
"#;

fn node() -> Client {
    Client::node(&install::node(&install::default_directory()).unwrap())
}

/// Calls once, so that it is known that the client listens by then, and waits for a change.
fn plan(plan: Plan, protocol: &str) -> Plan {
    plan.protocol(protocol).listens().list().call("getJiraIssue", read("ENG-42")).changed()
}

/// Waits for the client's call: its stream was opened before, or is just being opened.
async fn until_called(sim: &Running) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while sim.ledger().entries().is_empty() {
        assert!(Instant::now() < deadline, "the client made no call");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// Changes the policies in `folder` when the client has made its call.
async fn change(folder: &Path, sim: &Running) {
    until_called(sim).await;
    fs::write(folder.join("policies/guardrails/freeze.cedar"), READ_ONLY).unwrap();
}

fn check(before: &Value, after: &Value) {
    let has = |list: &Value, tool: &str| {
        list["tools"].as_array().unwrap_or_else(|| panic!("{list}")).iter().any(|one| *one == tool)
    };
    assert!(has(before, "editJiraIssue") && has(before, "getJiraIssue"), "{before}");
    assert!(!has(after, "editJiraIssue") && has(after, "getJiraIssue"), "{after}");
}

async fn over_http(client: &Client, protocol: &str) {
    let (sim, mut gateway) = site_and_gateway(SimOptions::default()).await;
    let plan = plan(Plan::new(&gateway.url("atlassian")).token(ALICE), protocol);
    let (told, ()) = tokio::join!(client.run(&plan), change(gateway.path(), &sim));
    let told = told.unwrap();
    let [before, _, after] = told.steps.as_slice() else { panic!("{told:?}") };
    check(before, after);
    assert_eq!(gateway.terminate().await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_modern_client_hears_of_a_policy_that_changes_its_list() {
    over_http(&node(), "auto").await;
}

#[tokio::test]
async fn a_legacy_client_hears_of_a_policy_that_changes_its_list() {
    over_http(&node(), "legacy").await;
}

async fn through_a_pipe(client: &Client, protocol: &str) {
    let sim = site(SimOptions::default()).await;
    let setup =
        setup().server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET);
    let folder = setup.write().unwrap();
    let plan = plan(wrapping(&folder, "atlassian"), protocol);
    let (told, ()) = tokio::join!(client.run(&plan), change(folder.path(), &sim));
    let told = told.unwrap();
    let [before, _, after] = told.steps.as_slice() else { panic!("{told:?}") };
    check(before, after);
    // The gate ended with its client, and in good order: its record is closed and whole.
    let evidence = folder.evidence_when(|e| e.0.len() == 1 && e.is_settled()).await.unwrap();
    assert_eq!(evidence.0[0].human(), ALICE_CHAIN.human);
}

#[tokio::test]
async fn a_modern_client_hears_of_it_through_a_pipe() {
    through_a_pipe(&node(), "auto").await;
}

#[tokio::test]
async fn a_legacy_client_hears_of_it_through_a_pipe() {
    through_a_pipe(&node(), "legacy").await;
}

#[tokio::test]
async fn rmcp_hears_of_it_in_either_era_and_through_either_transport() {
    let client = Client::rmcp(&rmcp());
    for protocol in ["auto", "legacy"] {
        over_http(&client, protocol).await;
        through_a_pipe(&client, protocol).await;
    }
}

/// Through a bridge the stream is one over HTTP; the bridge ends it with its client.
async fn through_a_bridge(protocol: &str) {
    let (sim, mut gateway) = site_and_gateway(SimOptions::default()).await;
    let plan = plan(bridging(&gateway, gateway.path()), protocol);
    let client = node();
    let (told, ()) = tokio::join!(client.run(&plan), change(gateway.path(), &sim));
    let told = told.unwrap();
    let [before, _, after] = told.steps.as_slice() else { panic!("{told:?}") };
    check(before, after);
    let asked = Instant::now();
    assert_eq!(gateway.terminate().await.unwrap(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_modern_client_hears_of_it_through_a_bridge() {
    through_a_bridge("auto").await;
}

#[tokio::test]
async fn a_legacy_client_hears_of_it_through_a_bridge() {
    through_a_bridge("legacy").await;
}

/// A client that listens for a long time does not keep the gateway from stopping.
#[tokio::test]
async fn a_gateway_stops_at_once_although_somebody_listens() {
    for protocol in ["auto", "legacy"] {
        let (sim, mut gateway) = site_and_gateway(SimOptions::default()).await;
        let plan = plan(Plan::new(&gateway.url("atlassian")).token(ALICE), protocol);
        let client = node();
        let listening = tokio::spawn(async move { client.run(&plan).await });
        until_called(&sim).await;
        let asked = Instant::now();
        assert_eq!(gateway.terminate().await.unwrap(), Some(0));
        assert!(asked.elapsed() < Duration::from_secs(5), "{protocol}: {:?}", asked.elapsed());
        listening.abort();
    }
}
