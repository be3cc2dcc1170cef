//! Many callers at once, in every era and through pipes, some of whom go away: nobody gets a byte of another's, and nothing
//! stays behind.

use std::net::SocketAddr;
use std::time::Duration;

use callgate_sim::{Eras, Running, SimOptions};
use callgate_tests::evidence::Evidence;
use callgate_tests::gateway::{Chain, Gateway, Setup, callgate};
use callgate_tests::wire::{Ask, get, open_session};
use serde_json::json;
use tokio::task::JoinSet;

use super::world::{SECRET, read, site};

const CALLERS: usize = 50;
const CALLS: usize = 12;

/// What only the issue of caller `n` says.
fn secret(n: usize) -> String {
    format!("<secret of caller {n}>")
}

/// A site with an issue for each caller, and a gateway in which each may read their own.
async fn crowd(eras: Eras) -> (Running, Gateway) {
    let latency = Some(Duration::from_millis(10));
    let sim = site(SimOptions { eras, latency, sse: true, ..SimOptions::default() }).await;
    sim.site(|site| {
        let template = site.issue("ENG-42").cloned().unwrap();
        site.issues.extend((0..CALLERS).map(|n| {
            let (key, id) = (format!("ENG-{}", 1000 + n), (900_000 + n).to_string());
            callgate_sim::Issue { key, id, summary: secret(n), ..template.clone() }
        }));
    });
    let mut setup = Setup::default().server(
        "atlassian",
        &format!("{}?tools=all", sim.url),
        "atlassian-rovo",
        SECRET,
    );
    let mut permits = String::new();
    for n in 0..CALLERS {
        let human = &*Box::leak(format!("human-{n}").into_boxed_str());
        setup = setup.token(&token(n), &Chain { human, group: "crowd", agent: "bot" });
        permits.push_str(&format!(
            "@id(\"own-{n}\") @reason(\"Their own\") @owner(\"o\")\npermit(principal == User::\"{human}\", action in Action::\"read\", resource == Jira::Issue::\"acme/ENG-{}\");\n",
            1000 + n
        ));
    }
    permits.push_str("@id(\"bot\") @reason(\"It reads for them\") @owner(\"o\")\npermit(principal == Agent::\"bot\", action in Action::\"read\", resource in Jira::Project::\"acme/ENG\");\n");
    (sim, setup.file("policies/permits/all.cedar", &permits).start().await.unwrap())
}

fn token(n: usize) -> String {
    format!("token-of-caller-{n}")
}

/// Calls for their own issue in every way, and for the next one's, which is refused; every third call is given up.
async fn caller(address: SocketAddr, n: usize) {
    let session = open_session(address, "atlassian", &token(n)).await.unwrap();
    for call in 0..CALLS {
        let wanted = if call % 4 == 3 { (n + 1) % CALLERS } else { n };
        let key = format!("ENG-{}", 1000 + wanted);
        let params = json!({ "name": "getJiraIssue", "arguments": read(&key), "_meta": { "progressToken": 1 } });
        let ask = match call % 3 {
            0 => Ask::modern("atlassian", &token(n), "tools/call", params),
            1 => Ask::legacy("atlassian", &token(n), &session, "tools/call", params),
            _ => Ask::legacy("atlassian", &token(n), &session, "tools/call", params)
                .without("mcp-session-id"),
        };
        if (n + call).is_multiple_of(3) {
            let left = ask.begin(address).await.unwrap();
            tokio::time::sleep(Duration::from_millis(u64::try_from((n * call) % 14).unwrap()))
                .await;
            drop(left);
            continue;
        }
        let heard = ask.send(address).await.unwrap();
        assert_eq!(heard.status, 200, "{heard:?}");
        check(&heard.body, n, wanted == n);
    }
}

/// The same through a pipe, all at once.
async fn piped(url: String, n: usize) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), token(n)).unwrap();
    let mut input = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"p","version":"1"}}}"#.to_owned();
    for id in 1..=CALLS {
        let wanted = if id % 4 == 3 { (n + 1) % CALLERS } else { n };
        let params =
            json!({ "name": "getJiraIssue", "arguments": read(&format!("ENG-{}", 1000 + wanted)) });
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        input.push_str(&format!("\n{call}"));
    }
    input.push('\n');
    let arguments = ["bridge", &*url, "--token-file", "token"];
    let ran = callgate(folder.path(), &arguments, &input).await.unwrap();
    let messages = ran.json().unwrap();
    assert_eq!(messages.len(), CALLS + 1, "{ran:?}");
    for message in messages.iter().filter(|message| message["id"] != 0) {
        let own = message["id"].as_u64().unwrap() % 4 != 3;
        check(&message.to_string(), n, own);
    }
}

fn check(body: &str, n: usize, own: bool) {
    assert_eq!(body.contains(&secret(n)), own, "caller {n}: {body}");
    assert_eq!(body.matches("<secret of").count(), usize::from(own), "caller {n}: {body}");
}

async fn in_the_crowd(eras: Eras) {
    let (sim, gateway) = crowd(eras).await;
    let files =
        || std::fs::read_dir(format!("/proc/{}/fd", gateway.id().unwrap())).unwrap().count();
    let (before, mut callers) = (files(), JoinSet::new());
    for n in 0..CALLERS {
        callers.spawn(caller(gateway.address, n));
    }
    for n in [7, 8, 9] {
        callers.spawn(piped(gateway.url("atlassian"), n));
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    // Given up or not, everything comes to an end that is known.
    let executed = || sim.ledger().entries().len();
    let all =
        |e: &Evidence| e.0.len() > 400 && e.dispatched().count() >= executed() && e.is_settled();
    let evidence = gateway.evidence_when(all).await.unwrap();
    let reads = evidence.intents().len();
    assert!(reads > 200, "{reads}");
    let refused: Vec<_> = evidence.refusals().iter().map(|one| one.reasons()).collect();
    assert!(refused.len() > 50, "{}", refused.len());
    assert!(refused.iter().all(|reasons| *reasons == "human_not_permitted"), "{refused:?}");
    let metrics = get(gateway.address, "/metrics").await.unwrap().body;
    assert!(metrics.contains("callgate_calls_in_flight 0"), "{metrics}");
    // Connections to the site are kept for a while; those of clients are gone.
    assert!(files() <= before + 40, "{} descriptors, {before} before", files());
    // Each caller is named for the one issue that only it may read.
    for intent in evidence.intents() {
        let n = intent.human().trim_start_matches(|c: char| !c.is_ascii_digit());
        let own = format!("acme/ENG-{}", 1000 + n.parse::<usize>().unwrap());
        assert_eq!(intent.text("/understood/targets/0/id"), own, "{intent:?}");
    }
    let intents = evidence.intents();
    let succeeded =
        intents.iter().filter(|one| one.outcome.as_deref() == Some("succeeded")).count();
    assert!((succeeded..=reads).contains(&executed()), "{succeeded} {} {reads}", executed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i6_fifty_callers_before_a_modern_site() {
    in_the_crowd(Eras::Modern).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i6_fifty_callers_before_a_legacy_site() {
    in_the_crowd(Eras::Legacy).await;
}
