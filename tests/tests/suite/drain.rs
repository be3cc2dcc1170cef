//! A gateway that is told to stop: it says so, finishes what is on its way within a limit, and loses no call that a client made. What is cut is known
//! to be unknown.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use callgate_sim::{Fault, Running, SimOptions};
use callgate_tests::gateway::{Gateway, Setup};
use callgate_tests::wire::{Ask, get};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::world::{ALICE, SECRET, edit, reconcile, setup, site, wait_until};

async fn world(options: SimOptions, limits: &str) -> (Running, Gateway) {
    let sim = site(options).await;
    let setup: Setup = setup()
        .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
        .section(&format!("[limits]\n{limits}\n"));
    (sim, setup.start().await.unwrap())
}

fn slow() -> SimOptions {
    SimOptions { latency: Some(Duration::from_millis(120)), ..SimOptions::default() }
}

/// Calls until nobody answers any more; how many calls were answered. An answer is a success.
fn calls(address: SocketAddr, worker: usize) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let mut count = 0;
        loop {
            let call = edit("ENG-42", &format!("{worker} {count}"));
            match Ask::call("atlassian", ALICE, "editJiraIssue", call).send(address).await {
                Ok(heard) => assert!(heard.is_success(), "{heard:?}"),
                Err(_) => return count,
            }
            count += 1;
        }
    })
}

#[tokio::test]
async fn no_call_is_lost_when_a_busy_gateway_is_told_to_stop() {
    for leave_ms in [0, 300] {
        let (sim, mut gateway) = world(slow(), &format!("leave_ms = {leave_ms}")).await;
        let workers: Vec<_> = (0..8).map(|worker| calls(gateway.address, worker)).collect();
        wait_until(|| sim.ledger().count("editJiraIssue") >= 16).await;
        assert_eq!(gateway.terminate().await.unwrap(), Some(0));
        let mut answered = 0;
        for worker in workers {
            answered += worker.await.unwrap();
        }
        assert_eq!(
            sim.ledger().count("editJiraIssue"),
            answered,
            "each that was made was answered"
        );
        let evidence = gateway.evidence().await.unwrap();
        assert!(evidence.dispatched().all(|call| call.outcome.as_deref() == Some("succeeded")));
        reconcile(&sim, &evidence);
    }
}

/// Sends a request over a connection that the client wants to keep, and reads one answer.
async fn kept(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer).await.unwrap();
    String::from_utf8_lossy(&buffer[..count]).to_lowercase()
}

#[tokio::test]
async fn while_others_hear_that_it_stops_it_says_so_and_still_answers() {
    let (sim, mut gateway) = world(SimOptions::default(), "leave_ms = 1500").await;
    let (address, mut stream) =
        (gateway.address, TcpStream::connect(gateway.address).await.unwrap());
    assert!(!kept(&mut stream).await.contains("connection: close"));
    assert_eq!(get(address, "/readyz").await.unwrap().status, 200);
    let listening = Ask::modern(
        "atlassian",
        ALICE,
        "subscriptions/listen",
        json!({ "notifications": { "toolsListChanged": true } }),
    );
    let listening = tokio::spawn(async move { listening.send(address).await });
    gateway.ask_to_end().await.unwrap();
    gateway.says("told to stop").await.unwrap();
    let ready = get(address, "/readyz").await.unwrap();
    assert_eq!((ready.status, ready.body.as_str()), (503, "stopping\n"));
    assert_eq!(get(address, "/healthz").await.unwrap().status, 200);
    let call = Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "x"));
    assert!(call.send(address).await.unwrap().is_success());
    assert!(
        kept(&mut stream).await.contains("connection: close"),
        "the next request goes elsewhere"
    );
    assert!(!listening.is_finished(), "whoever opens it anew would come here again");
    assert_eq!(gateway.ended().await.unwrap().code(), Some(0));
    let heard = listening.await.unwrap().unwrap();
    assert!(heard.message()["result"].is_object(), "the stream is answered: {heard:?}");
    assert!(get(address, "/readyz").await.is_err(), "nobody is there");
    reconcile(&sim, &gateway.evidence().await.unwrap());
}

/// A call that its server never answers.
async fn hangs(sim: &Running, gateway: &Gateway) -> TcpStream {
    sim.fault(Fault::HangAfterExecuting);
    let call = Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "x"));
    let asked = call.begin(gateway.address).await.unwrap();
    wait_until(|| sim.ledger().count("editJiraIssue") > 0).await;
    asked
}

/// What the next gateway finds.
async fn is_indeterminate(sim: &Running, gateway: &mut Gateway) {
    sim.clear_faults();
    gateway.restart().await.unwrap();
    let evidence =
        gateway.evidence_when(callgate_tests::evidence::Evidence::is_settled).await.unwrap();
    let outcomes: Vec<_> = evidence.intents().iter().map(|one| one.outcome.clone()).collect();
    assert_eq!(outcomes, [Some("indeterminate".to_owned())]);
}

#[tokio::test]
async fn a_call_that_takes_longer_than_the_limit_is_cut_and_indeterminate() {
    let (sim, mut gateway) = world(SimOptions::default(), "drain_ms_max = 700").await;
    let _asked = hangs(&sim, &gateway).await;
    let begun = Instant::now();
    assert_eq!(gateway.terminate().await.unwrap(), Some(0));
    let took = begun.elapsed();
    assert!((Duration::from_millis(650)..Duration::from_secs(4)).contains(&took), "{took:?}");
    assert!(gateway.output().contains("calls are still on their way"), "{}", gateway.output());
    is_indeterminate(&sim, &mut gateway).await;
}

#[tokio::test]
async fn a_gateway_that_is_told_twice_ends_at_once() {
    let (sim, mut gateway) = world(SimOptions::default(), "leave_ms = 20000").await;
    let _asked = hangs(&sim, &gateway).await;
    gateway.ask_to_end().await.unwrap();
    gateway.says("told to stop").await.unwrap();
    let begun = Instant::now();
    assert_eq!(gateway.terminate().await.unwrap(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    gateway.says("told twice to stop").await.unwrap();
    is_indeterminate(&sim, &mut gateway).await;
}
