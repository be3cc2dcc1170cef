//! Limits of the program as it is run: budgets over replicas and restarts, and what those are told who reach one.

use callgate_sim::SimOptions;
use callgate_tests::wire::{Ask, get};
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
