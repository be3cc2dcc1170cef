//! What a server logs while it works on a call is told to the caller of that call, if they want to hear it.

use callgate_mcp::upstream::EraSetting;
use callgate_sim::SimOptions;

use crate::client::{Ask, Said, issue};
use crate::support::{Setup, UPSTREAM_SECRET, World};

/// A site that warns during each call whose caller wants to hear of anything.
async fn world() -> World {
    let sim =
        SimOptions { token: Some(UPSTREAM_SECRET.to_owned()), sse: true, ..SimOptions::default() };
    World::start(Setup { sim, era: EraSetting::Modern, ..Setup::default() }).await
}

fn read(token: &str, key: &str) -> Ask {
    Ask::call(token, "getJiraIssue", &issue(key))
}

/// What was logged, before the answer.
fn logs(said: &Said) -> &[String] {
    assert_eq!(said.brief(), "ok");
    let (_, logs) = said.messages.split_last().unwrap();
    assert!(logs.iter().all(|log| log.contains(r#""method":"notifications/message""#)), "{logs:?}");
    logs
}

fn set_level(token: &str, session: &str, level: &str) -> Ask {
    let params = format!(r#"{{"level":"{level}"}}"#);
    Ask::new(token, "logging/setLevel", &params).in_session(session)
}

#[tokio::test]
async fn a_modern_client_hears_what_it_asked_for_with_each_request() {
    let world = world().await;
    for (level, heard) in [("debug", 1), ("warning", 1), ("error", 0)] {
        let said = world.ask(&read("alice", "ENG-42").wanting_logs(level)).await;
        assert_eq!(logs(&said).len(), heard, "{level}");
        assert!(logs(&said).iter().all(|log| log.contains("ENG-42")), "{level}");
    }
    assert!(logs(&world.ask(&read("alice", "ENG-42")).await).is_empty());
    let wrong = world.ask(&read("alice", "ENG-42").wanting_logs("loud")).await;
    assert_eq!(wrong.brief(), "error -32602");
}

#[tokio::test]
async fn i6_the_level_of_a_session_is_of_no_other_and_a_log_goes_where_its_call_came_from() {
    let world = world().await;
    let loud = world.session("alice").await;
    let quiet = world.session("alice").await;
    let other = world.session("ci").await;
    for (token, session, level) in [("alice", &loud, "info"), ("ci", &other, "warning")] {
        assert_eq!(world.ask(&set_level(token, session, level)).await.brief(), "ok");
    }
    let (first, second, third) = (
        read("alice", "ENG-42").in_session(&loud),
        read("ci", "ENG-45").in_session(&other),
        read("alice", "ENG-42").in_session(&quiet),
    );
    for _ in 0..5 {
        let (first, second, third) =
            tokio::join!(world.ask(&first), world.ask(&second), world.ask(&third));
        assert!(matches!(logs(&first), [one] if one.contains("ENG-42")), "{first:?}");
        assert!(matches!(logs(&second), [one] if one.contains("ENG-45")), "{second:?}");
        assert!(logs(&third).is_empty(), "{third:?}");
    }
    assert_eq!(world.ask(&set_level("alice", &loud, "critical")).await.brief(), "ok");
    assert!(logs(&world.ask(&first).await).is_empty());
    assert_eq!(world.ask(&set_level("alice", &loud, "loud")).await.brief(), "error -32602");
    // Nor can one caller turn up the log of another.
    assert_ne!(world.ask(&set_level("ci", &loud, "debug")).await.brief(), "ok");
    assert!(logs(&world.ask(&first).await).is_empty());
}
