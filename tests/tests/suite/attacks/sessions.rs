//! Sessions of the legacy era: they resume nothing, keep no policy, and are nobody else's, however they are begun.

use std::time::{Duration, Instant};

use callgate_sim::SimOptions;
use callgate_tests::wire::{Ask, open_session};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::super::world::{ALICE, BOB, edit, read, site_and_gateway};
use super::changed;

fn call(token: &str, session: &str, summary: &str) -> Ask {
    let params = json!({ "name": "editJiraIssue", "arguments": edit("ENG-42", summary) });
    Ask::legacy("atlassian", token, session, "tools/call", params)
}

#[tokio::test]
async fn s02_no_stream_is_taken_up_by_anybody() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let session = open_session(gateway.address, "atlassian", ALICE).await.unwrap();
    assert!(call(ALICE, &session, "told once").send(gateway.address).await.unwrap().is_success());
    for last in ["0", "1", &session, "../1"] {
        let resume = |token, session: &str| {
            let ask = Ask::legacy("atlassian", token, session, "", json!({})).by("GET").body("");
            ask.also("last-event-id", last)
        };
        let stolen = resume(BOB, &session).send(gateway.address).await.unwrap();
        let unknown = resume(BOB, "made-up").send(gateway.address).await.unwrap();
        assert_eq!((stolen.status, &stolen.body), (404, &unknown.body), "{last}");
        // Alice has a stream, which begins with now.
        let mut stream = resume(ALICE, &session).begin(gateway.address).await.unwrap();
        let mut heard = Vec::new();
        let read = stream.read_to_end(&mut heard);
        timeout(Duration::from_millis(400), read).await.ok();
        let heard = String::from_utf8_lossy(&heard);
        assert!(heard.starts_with("HTTP/1.1 200") && !heard.contains("data:"), "{last}: {heard}");
    }
    assert_eq!(changed(&sim, "told once"), 1);
}

#[tokio::test]
async fn s03_a_session_keeps_no_policy() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let session = open_session(gateway.address, "atlassian", ALICE).await.unwrap();
    assert!(call(ALICE, &session, "before").send(gateway.address).await.unwrap().is_success());
    let freeze = r#"
@id("freeze") @reason("Release week") @owner("platform")
forbid(principal, action in Action::"mutate", resource == Jira::Issue::"acme/ENG-42");
"#;
    gateway.put("policies/guardrails/freeze.cedar", freeze).unwrap();
    let began = Instant::now();
    while call(ALICE, &session, "meanwhile").send(gateway.address).await.unwrap().is_success() {
        assert!(began.elapsed() < Duration::from_secs(10), "the session has its old policy");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let heard = call(ALICE, &session, "after").send(gateway.address).await.unwrap();
    assert_eq!((heard.reasons().as_str(), changed(&sim, "after")), ("guardrail", 0), "{heard:?}");
}

#[tokio::test]
async fn s04_who_begins_again_has_a_session_of_their_own() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let first = open_session(gateway.address, "atlassian", ALICE).await.unwrap();
    let client = json!({ "name": "raw", "version": "1" });
    let params =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
    let again = |token| Ask::legacy("atlassian", token, &first, "initialize", params.clone());
    let mut sessions = vec![first.clone()];
    for token in [BOB, ALICE, BOB] {
        let heard = again(token).send(gateway.address).await.unwrap();
        // Refused, or begun anew: what was there is nobody else's, and as it was.
        if let Some(session) = heard.header("mcp-session-id") {
            assert!(!sessions.iter().any(|known| known == session), "{heard:?}");
            sessions.push(session.to_owned());
        }
        let params = json!({ "name": "getJiraIssue", "arguments": read("SUP-101") });
        let stolen = Ask::legacy("atlassian", BOB, &first, "tools/call", params);
        assert_eq!(stolen.send(gateway.address).await.unwrap().status, 404);
    }
    assert!(call(ALICE, &first, "still there").send(gateway.address).await.unwrap().is_success());
    assert_eq!((changed(&sim, "still there"), sim.ledger().entries().len()), (1, 1));
}
