//! When the span of a request ends, and as what: by whichever way it is answered, or is not.

use std::sync::Arc;
use std::time::Duration;

use callgate_gateway::spans::{Span, SpanKind};
use callgate_sim::Fault;

use super::{attributes, docs, gated, page, watched, watched_at};
use crate::client::{Ask, Said, edit, issue};
use crate::delivery::deletes;
use crate::legacy;
use crate::listen::Stream;
use crate::support::{Setup, soon};

/// How it ends is what its client is told at last.
#[tokio::test]
async fn a_request_that_is_held_is_one_span() {
    let held = Setup { hold: Duration::from_secs(20), ..gated() };
    let mut watched = watched_at(held, 1.0, 99).await;
    for (key, approves, decision, failure) in
        [("ENG-42", true, "allow", None), ("ENG-43", false, "deny", Some("tool_error"))]
    {
        let gateway = Arc::clone(&watched.world.gateway);
        let ask = deletes("alice-release", key, "");
        let held = tokio::spawn(async move { Said::of(ask.reply(&gateway).await).await });
        watched.world.waiting_soon(1).await;
        watched.world.decides(approves).await;
        held.await.unwrap();
        let span = watched.ended().pop().unwrap();
        let said = attributes(&span);
        assert_eq!((span.kind, &*said["callgate.decision"]), (SpanKind::Server, decision));
        assert_eq!(said.get("error.type").map(String::as_str), failure);
        assert_eq!(span.is_error, failure.is_some());
    }
    let gateway = Arc::clone(&watched.world.gateway);
    let ask = deletes("alice-release", "ENG-44", "");
    let held = tokio::spawn(async move { Said::of(ask.reply(&gateway).await).await });
    watched.world.waiting_soon(1).await;
    held.abort();
    let cancelled = async {
        loop {
            let span = watched.spans.recv().await.unwrap();
            if span.kind == SpanKind::Server {
                return attributes(&span)["error.type"].clone();
            }
        }
    };
    assert_eq!(cancelled.await, "cancelled");
}

#[tokio::test]
async fn a_call_that_becomes_a_task_has_not_failed() {
    let mut watched = watched_at(gated(), 1.0, 99).await;
    watched.world.task_for("ENG-42").await;
    let span = watched.ended().pop().unwrap();
    let said = attributes(&span);
    assert_eq!((span.is_error, &*said["callgate.decision"]), (false, "approval_required"));
}

#[tokio::test]
async fn who_listens_has_a_span_until_they_may() {
    let mut watched = watched().await;
    let params = r#"{"notifications":{"toolsListChanged":true}}"#;
    let (_stream, _first) = Stream::open(&watched.world, "alice-release", params).await;
    let span = watched.only();
    assert_eq!((&*span.name, span.is_error), ("subscriptions/listen", false));
}

#[tokio::test]
async fn an_older_client_says_another_version() {
    let mut watched = watched().await;
    let session = watched.world.session("alice-release").await;
    let span = watched.only();
    assert_eq!((&*span.name, span.is_error), ("initialize", false));
    let ask = Ask::call("alice-release", "getJiraIssue", &issue("ENG-42")).in_session(&session);
    assert_eq!(watched.world.ask(&ask).await.brief(), "ok");
    let [client, server]: [Span; 2] = watched.ended().try_into().unwrap();
    assert_eq!(attributes(&server)["mcp.protocol.version"], "2025-11-25");
    assert_eq!(attributes(&client)["mcp.protocol.version"], "2026-07-28");
    // The session's id is its key.
    assert!(!format!("{server:?}{client:?}").contains(&session));
}

/// The calls in one body have a span each, and those of one trace are beside each other.
#[tokio::test]
async fn a_batch_is_as_many_spans_as_it_has_requests() {
    let mut watched = watched().await;
    let body = format!(
        "[{},{}]",
        legacy::call(1, "getJiraIssue", &issue("ENG-42")),
        legacy::call(2, "getJiraIssue", &issue("HR-1"))
    );
    legacy::post(&watched.world, "alice-release", &[], &body).await;
    let all = watched.ended();
    let server: Vec<_> = all.iter().filter(|span| span.kind == SpanKind::Server).collect();
    let id = |span: &Span| attributes(span)["jsonrpc.request.id"].clone();
    assert_eq!(server.iter().map(|span| id(span)).collect::<Vec<_>>(), ["1", "2"]);
}

#[tokio::test]
async fn how_a_server_fails_is_said_of_both_spans() {
    let mut watched = watched().await;
    watched.world.list("alice-release").await;
    for (fault, client, server) in [
        (Fault::ServerError, "500", "tool_error"),
        (Fault::DropBefore, "connect", "tool_error"),
        (Fault::WrongResponseId, "not_mcp", "tool_error"),
    ] {
        watched.ended();
        watched.world.sim.fault(fault);
        watched.world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await;
        let [asked, served]: [Span; 2] = watched.ended().try_into().unwrap();
        assert!(asked.is_error && served.is_error);
        assert_eq!(attributes(&asked)["error.type"], client);
        assert_eq!(attributes(&served)["error.type"], server);
    }
}

#[tokio::test]
async fn what_is_given_up_ends_as_cancelled() {
    let mut watched = watched().await;
    watched.world.list("alice-release").await;
    watched.ended();
    watched.world.sim.fault(Fault::Hang);
    let gateway = Arc::clone(&watched.world.gateway);
    let ask = Ask::call("alice-release", "editJiraIssue", &edit("ENG-42", "x"));
    let waiting = tokio::spawn(async move { ask.reply(&gateway).await });
    soon("the call", || watched.world.calls_sent() == 1).await;
    waiting.abort();
    for kind in [SpanKind::Client, SpanKind::Server] {
        let span = watched.spans.recv().await.unwrap();
        assert_eq!((span.kind, &*attributes(&span)["error.type"]), (kind, "cancelled"));
    }
}

/// Whoever leaves before anything is decided leaves no decision, and not that of what the gateway reads for itself.
#[tokio::test]
async fn what_is_given_up_before_it_is_decided_has_no_decision() {
    let mut watched = watched_at(docs(), 1.0, 9).await;
    watched.world.list("alice").await;
    watched.ended();
    watched.world.sim.fault(Fault::Hang);
    let gateway = Arc::clone(&watched.world.gateway);
    let ask = Ask::call("alice", "getConfluenceContent", &page());
    let waiting = tokio::spawn(async move { ask.reply(&gateway).await });
    soon("the gateway's own read", || watched.world.calls_sent() == 1).await;
    waiting.abort();
    let (client, server) =
        (watched.spans.recv().await.unwrap(), watched.spans.recv().await.unwrap());
    assert_eq!((client.kind, server.kind), (SpanKind::Client, SpanKind::Server));
    let said = attributes(&server);
    assert_eq!((said["error.type"].as_str(), said.get("callgate.decision")), ("cancelled", None));
}

#[tokio::test]
async fn what_is_answered_has_not_failed() {
    let mut watched = watched().await;
    watched.world.list("alice-release").await;
    watched.world.ask(&Ask::new("alice-release", "server/discover", "{}")).await;
    let session = watched.world.session("alice-release").await;
    for method in ["ping", "resources/list", "prompts/list"] {
        watched.world.ask(&Ask::new("alice-release", method, "{}").in_session(&session)).await;
    }
    let ask = Ask::new("alice-release", "tools/list", "{}");
    watched.world.gateway.handle_roof(&ask.head(), ask.body()).await;
    let all = watched.ended();
    assert_eq!(all.len(), 7, "{all:#?}");
    assert!(all.iter().all(|span| !span.is_error), "{all:#?}");
}
