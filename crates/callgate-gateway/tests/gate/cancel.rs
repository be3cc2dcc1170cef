//! A client that goes away (S07): in the modern era it has cancelled, in the legacy era it has not. Either way the
//! record says what came of the call.

use std::sync::Arc;
use std::time::Duration;

use callgate_gateway::pipeline::ReplyBody;
use callgate_sim::SimOptions;

use crate::client::{Ask, edit};
use crate::support::{Setup, UPSTREAM_SECRET, World, soon};

/// How long the site takes for a call. It gives up when its caller goes away, as a modern server does.
const LATENCY: Duration = Duration::from_millis(600);

async fn slow_world(sse: bool) -> World {
    let sim = SimOptions {
        token: Some(UPSTREAM_SECRET.to_owned()),
        latency: Some(LATENCY),
        sse,
        ..SimOptions::default()
    };
    World::start(Setup { sim, ..Setup::default() }).await
}

/// Sends `ask` and goes away while the site works on it.
async fn abandon(world: &World, ask: Ask) {
    let gateway = Arc::clone(&world.gateway);
    let waiting = tokio::spawn(async move { ask.reply(&gateway).await });
    soon("the call", || world.calls_sent() == 1).await;
    waiting.abort();
}

fn outcome(world: &World) -> Option<String> {
    world.store.rows().into_iter().find_map(|row| row.outcome)
}

#[tokio::test]
async fn s07_a_modern_client_that_goes_away_has_cancelled() {
    let world = slow_world(false).await;
    abandon(&world, Ask::call("alice-release", "editJiraIssue", &edit("ENG-42", "x"))).await;
    soon("the outcome", || outcome(&world).is_some()).await;
    assert_eq!(outcome(&world).as_deref(), Some("cancelled"));
    // The site saw its connection close, or it would have made the change by now.
    tokio::time::sleep(LATENCY * 2).await;
    assert_eq!((world.calls_sent(), world.executed()), (1, 0));
    assert_eq!(world.outcomes().await, ["cancelled"]);
}

#[tokio::test]
async fn s07_a_modern_client_that_leaves_its_stream_has_cancelled() {
    let world = slow_world(true).await;
    let ask = Ask::call("alice-release", "editJiraIssue", &edit("ENG-42", "x"));
    let reply = ask.wanting_progress("mine").reply(&world.gateway).await;
    let ReplyBody::Stream(mut events) = reply.body else { panic!("{reply:?}") };
    let first = String::from_utf8(events.recv().await.unwrap().into()).unwrap();
    assert!(first.contains(r#""method":"notifications/progress""#), "{first}");
    assert!(first.contains(r#""progressToken":"mine""#), "{first}");
    drop(events);
    soon("the outcome", || outcome(&world).is_some()).await;
    tokio::time::sleep(LATENCY * 2).await;
    assert_eq!((world.calls_sent(), world.executed()), (1, 0));
    assert_eq!(world.outcomes().await, ["cancelled"]);
}

#[tokio::test]
async fn s07_a_legacy_client_that_goes_away_has_not_cancelled() {
    let world = slow_world(false).await;
    let session = world.session("alice-release").await;
    let ask = Ask::call("alice-release", "editJiraIssue", &edit("ENG-42", "x"));
    abandon(&world, ask.in_session(&session)).await;
    soon("the outcome", || outcome(&world).is_some()).await;
    assert_eq!(world.executed(), 1);
    assert_eq!(world.outcomes().await, ["succeeded"]);
}

#[tokio::test]
async fn s07_a_legacy_client_that_leaves_its_stream_has_not_cancelled() {
    let world = slow_world(true).await;
    let session = world.session("alice-release").await;
    let ask = Ask::call("alice-release", "editJiraIssue", &edit("ENG-42", "x"));
    let ask = ask.in_session(&session).wanting_progress("mine");
    let reply = ask.reply(&world.gateway).await;
    let ReplyBody::Stream(events) = reply.body else { panic!("{reply:?}") };
    drop(events);
    soon("the outcome", || outcome(&world).is_some()).await;
    assert_eq!(world.executed(), 1);
    assert_eq!(world.outcomes().await, ["succeeded"]);
}

/// A notification of `token` in `session` that the request with the id of [`Ask`] is cancelled.
async fn cancel(world: &World, token: &str, session: &str) {
    let ask = Ask::new(token, "notifications/cancelled", "{}").in_session(session);
    let told = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
    assert_eq!(world.raw(&ask, told.into()).await.status, 202);
}

#[tokio::test]
async fn s07_i6_a_legacy_client_cancels_by_name_what_is_its_own() {
    let world = slow_world(false).await;
    let session = world.session("alice-release").await;
    let others = world.session("bob-release").await;
    let ask = Ask::call("alice-release", "editJiraIssue", &edit("ENG-42", "x"));
    let (ask, gateway) = (ask.in_session(&session), Arc::clone(&world.gateway));
    let waiting = tokio::spawn(async move { ask.reply(&gateway).await });
    soon("the call", || world.calls_sent() == 1).await;
    cancel(&world, "bob-release", &others).await;
    cancel(&world, "bob-release", &session).await;
    cancel(&world, "alice-release", &others).await;
    tokio::time::sleep(LATENCY / 4).await;
    assert_eq!(outcome(&world), None, "what is another's cancels nothing");
    cancel(&world, "alice-release", &session).await;
    soon("the outcome", || outcome(&world).is_some()).await;
    assert_eq!(world.outcomes().await, ["cancelled"]);
    waiting.await.unwrap();
    tokio::time::sleep(LATENCY * 2).await;
    assert_eq!((world.calls_sent(), world.executed()), (1, 0));
}
