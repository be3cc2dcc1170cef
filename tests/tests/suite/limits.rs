//! Limits of the program as it is run: budgets over replicas and restarts, and what those are told who reach one.

use std::time::Duration;

use callgate_sim::{Fault, SimOptions};
use callgate_tests::gateway::Gateway;
use callgate_tests::wire::{Ask, get};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::world::{ALICE, BOB, SECRET, edit, read, setup, site};

const FEW: &str = r#"
[[budgets]]
name = "few"
per = []
calls = "9 in 1d"
exact = true

[[budgets]]
name = "issues"
per = "human"
targets = "2 in 1h"
"#;

/// The operator's own words in the file are what everybody is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i2_replicas_on_one_store_make_no_more_calls_than_an_exact_budget_and_a_restart_forgets_none()
 {
    let sim = site(SimOptions::default()).await;
    let setup = setup()
        .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
        .section(FEW);
    let mut one = setup.start().await.unwrap();
    let store = one.path().join("evidence.db");
    let other = setup.store(store.to_str().unwrap()).start().await.unwrap();
    let mut asked = JoinSet::new();
    for number in 0..24 {
        let address = if number % 2 == 0 { one.address } else { other.address };
        let call = Ask::call("atlassian", ALICE, "getJiraIssue", read("ENG-42"));
        asked.spawn(async move { call.send(address).await.unwrap() });
    }
    let heard = asked.join_all().await;
    let made = heard.iter().filter(|one| one.is_success()).count();
    let spent: Vec<_> = heard.iter().filter(|one| one.reasons() == "budget_spent").collect();
    assert_eq!((made, spent.len()), (9, 15), "{heard:?}");
    assert_eq!(sim.ledger().count("getJiraIssue"), 9);
    let told = spent.first().unwrap().text();
    for expected in ["the budget `few` is calls = 9 in 1d", "there is room again at "] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    // What is refused waits for no disk: a restart could lose it.
    one.evidence_when(|e| e.refusals().len() == 15).await.unwrap();
    one.restart().await.unwrap();
    let call = Ask::call("atlassian", BOB, "getJiraIssue", read("SUP-101"));
    assert_eq!(call.send(one.address).await.unwrap().reasons(), "budget_spent");
    let metrics = get(one.address, "/metrics").await.unwrap().body;
    assert!(metrics.contains(r#"callgate_budget_refusals_total{budget="few"} 1"#), "{metrics}");
    let evidence = one.evidence_when(|e| e.refusals().len() == 16).await.unwrap();
    assert!(evidence.refusals().iter().all(|one| one.text("/budgets/0") == "few"));
    assert_eq!(evidence.intents().len(), 9);
    assert!(evidence.intents().iter().all(|one| one.text("/budgets/1") == "issues"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_the_blast_radius_of_one_person_is_none_of_anothers() {
    let sim = site(SimOptions::default()).await;
    let section = FEW.replace("exact = true", "exact = false").replace("9 in 1d", "900 in 1d");
    let setup = setup()
        .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
        .section(&section);
    let gateway = setup.start().await.unwrap();
    let edits = async |token, key| {
        let call = Ask::call("atlassian", token, "editJiraIssue", edit(key, "as told"));
        call.send(gateway.address).await.unwrap()
    };
    for key in ["ENG-42", "ENG-43", "ENG-42"] {
        assert!(edits(ALICE, key).await.is_success());
    }
    let third = edits(ALICE, "ENG-44").await;
    assert_eq!(third.reasons(), "budget_spent");
    assert!(third.text().contains("targets = 2 in 1h for each human"), "{}", third.text());
    assert!(edits(BOB, "SUP-101").await.is_success());
    assert!(edits(ALICE, "ENG-43").await.is_success());
    // It is refused with whatever else is.
    assert_eq!(edits(ALICE, "HR-3").await.reasons(), "guardrail");
}

const NARROW: &str = r#"
[limits]
body_bytes_max = 20000
body_depth_max = 12
body_nodes_max = 200
body_string_bytes_max = 2000
connections_max = 6
request_ms_max = 400
upstream_ms_max = 2000
upstream_bytes_max = 400000
"#;

/// How often something was refused by each limit.
async fn refusals(gateway: &Gateway) -> Vec<String> {
    let metrics = get(gateway.address, "/metrics").await.unwrap().body;
    let counts =
        metrics.lines().filter_map(|line| line.strip_prefix("callgate_limit_refusals_total"));
    let mut counts: Vec<String> = counts.map(str::to_owned).collect();
    counts.sort();
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_whatever_is_beyond_a_limit_is_refused_and_counted_by_its_name() {
    let sim = site(SimOptions::default()).await;
    let setup = setup()
        .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
        .section(NARROW);
    let gateway = setup.start().await.unwrap();
    // What the server offers is known before its faults.
    let call = |text: &str| Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", text));
    assert!(call("first").send(gateway.address).await.unwrap().is_success());

    let deep = format!("{}1{}", "[".repeat(20), "]".repeat(20));
    let wide = format!("[1{}]", ",1".repeat(300));
    let long = format!("\"{}\"", "x".repeat(3_000));
    for (what, text, status) in [
        ("deep", deep, 400),
        ("wide", wide, 400),
        ("long", long, 400),
        ("huge", "1".repeat(30_000), 413),
    ] {
        let heard = call("HERE").edit("\"HERE\"", &text).send(gateway.address).await;
        // The connection may be closed before everything was written.
        assert!(heard.is_ok_and(|heard| heard.status == status) || what == "huge", "{what}");
    }
    // A request that begins and does not go on.
    let mut heard = String::new();
    let head = "POST /mcp/atlassian HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{";
    let mut half = TcpStream::connect(gateway.address).await.unwrap();
    half.write_all(head.as_bytes()).await.unwrap();
    half.read_to_string(&mut heard).await.unwrap();
    assert!(heard.starts_with("HTTP/1.1 408"), "{heard}");
    drop(half);

    sim.fault(Fault::Hang);
    assert!(
        call("hangs")
            .send(gateway.address)
            .await
            .unwrap()
            .text()
            .contains("did not answer in time")
    );
    sim.fault(Fault::OversizedBody(500_000));
    assert!(call("grows").send(gateway.address).await.unwrap().text().contains("too large"));

    let counts = refusals(&gateway).await;
    let expected = [
        "body_bytes_max",
        "body_depth_max",
        "body_nodes_max",
        "body_string_bytes_max",
        "request_ms_max",
        "upstream_bytes_max",
        "upstream_ms_max",
    ];
    let expected: Vec<_> = expected.map(|name| format!("{{limit=\"{name}\"}} 1")).into();
    assert_eq!(counts, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_a_connection_beyond_the_limit_is_told_so() {
    let sim = site(SimOptions::default()).await;
    let setup = setup()
        .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
        .section("[limits]\nconnections_max = 3\n");
    let gateway = setup.start().await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    let mut heard = String::new();
    let mut beyond = TcpStream::connect(gateway.address).await.unwrap();
    beyond.read_to_string(&mut heard).await.unwrap();
    assert!(heard.starts_with("HTTP/1.1 503 Service Unavailable"), "{heard}");
    assert!(heard.ends_with("\r\n\r\ntoo many connections are open\n"), "{heard}");
    drop(idle);
    // Those that are there have left in a moment.
    let mut counts = Vec::new();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if get(gateway.address, "/healthz").await.is_ok_and(|heard| heard.status == 200) {
            counts = refusals(&gateway).await;
            break;
        }
    }
    assert!(counts.iter().any(|one| one.starts_with("{limit=\"connections_max\"}")), "{counts:?}");
}
