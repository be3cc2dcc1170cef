//! I13: what one client sends, or leaves unread, costs no other client anything.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use callgate_gateway::pipeline::ReplyBody;
use callgate_model::json::{Json, JsonLimits};
use callgate_sim::SimOptions;
use futures_util::future::join_all;
use futures_util::stream::{self, Stream, StreamExt as _};

use crate::client::{Ask, Said, issue};
use crate::store::reasons;
use crate::support::{Setup, UPSTREAM_SECRET, World, json, soon};

#[tokio::test]
async fn i13_p07_what_is_too_large_or_too_deep_goes_no_further() {
    let limits = JsonLimits { bytes_max: 250_000, ..JsonLimits::default() };
    let world = World::start(Setup { json: limits, ..Setup::default() }).await;
    let long = |bytes| format!(r#"{{"cloudId":"{}"}}"#, "x".repeat(bytes));
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let open = format!(r#"{{"a":{}}}"#, "{\"a\":".repeat(40_000));
    let wide = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(20_000));
    let ask = Ask::call("alice", "getJiraIssue", "{}");
    let written = String::from_utf8(ask.body().into()).unwrap();
    for arguments in [long(300_000), deep, open, wide] {
        let body = written.replace(r#""arguments":{}"#, &format!(r#""arguments":{arguments}"#));
        let said = world.raw(&ask, body.into()).await;
        assert_eq!((said.status.as_u16(), said.brief().as_str()), (400, "error -32600"));
        assert!(said.text().len() < 1_000);
    }
    assert!(world.sim.ledger().requests().is_empty());
    assert_eq!(world.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    let rows = world.record().await;
    assert!(rows.iter().all(|row| row.text.len() < 4_000), "the record keeps no such text");
    assert_eq!(rows.iter().filter(|row| reasons(row) == ["request_malformed"]).count(), 4);
}

#[tokio::test]
async fn i13_calls_beyond_the_limit_are_refused_at_once() {
    let sim = SimOptions {
        token: Some(UPSTREAM_SECRET.to_owned()),
        latency: Some(Duration::from_millis(200)),
        ..SimOptions::default()
    };
    let setup = Setup { sim, calls_in_flight_max: 2, ..Setup::default() };
    let world = World::start(setup).await;
    world.list("alice").await;
    let arguments = issue("ENG-42");
    let calls = (0..5).map(|_| world.call("alice", "getJiraIssue", &arguments));
    let mut told: Vec<String> = join_all(calls).await.iter().map(Said::brief).collect();
    told.sort();
    assert_eq!(told, ["deny overloaded", "deny overloaded", "deny overloaded", "ok", "ok"]);
    assert_eq!(world.calls_sent(), 2);
    assert_eq!(world.call("alice", "getJiraIssue", &arguments).await.brief(), "ok");
}

#[tokio::test]
async fn i13_sessions_are_bounded_and_nobody_pushes_out_anothers() {
    let world = World::start(Setup::default()).await;
    let bob = world.session("bob").await;
    let mut alice = Vec::new();
    for _ in 0..101 {
        alice.push(world.session("alice").await);
    }
    let list = |token, session: &str| Ask::new(token, "tools/list", "{}").in_session(session);
    let status =
        async |token, session: &str| world.ask(&list(token, session)).await.status.as_u16();
    assert_eq!(status("alice", &alice[0]).await, 404, "the oldest made room");
    assert_eq!(status("alice", &alice[1]).await, 200);
    assert_eq!(status("alice", &alice[100]).await, 200);
    assert_eq!(status("bob", &bob).await, 200);
}

/// How often the noisy server reports progress before it answers.
const REPORTS: usize = 300;

/// A server that has one tool, and more to tell of it than anybody reads.
async fn noisy() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let app = Router::new().route("/mcp", post(async |body: String| noise(&body)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn noise(body: &str) -> Response {
    let request = json(body);
    let id = request.get("id").unwrap().to_text();
    let result = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    let whole = |text: String| ([(CONTENT_TYPE, "application/json")], text).into_response();
    match request.get("method").and_then(Json::as_str).unwrap() {
        "server/discover" => whole(result(r#"{"supportedVersions":["2026-07-28"]}"#)),
        "tools/list" => {
            whole(result(r#"{"tools":[{"name":"getJiraIssue","inputSchema":{"type":"object"}}]}"#))
        }
        _ => {
            let meta = request.get("params").and_then(|params| params.get("_meta")).unwrap();
            let token = meta.get("progressToken").map(Json::to_text);
            let last = format!("data: {}\n\n", result(r#"{"content":[]}"#));
            ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(reports(token, last)))
                .into_response()
        }
    }
}

/// Progress by and by, if it is wanted; then `last`.
fn reports(
    token: Option<String>,
    last: String,
) -> impl Stream<Item = Result<String, Infallible>> + Send + 'static {
    let wanted = if token.is_some() { REPORTS } else { 0 };
    let report = move |done: usize| {
        let token = token.clone().unwrap_or_default();
        let params = format!(r#"{{"progressToken":{token},"progress":{done}}}"#);
        format!(
            "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{params}}}\n\n"
        )
    };
    let told = stream::iter(0..wanted).map(report);
    told.chain(stream::once(async { last })).then(async |event| {
        tokio::time::sleep(Duration::from_micros(100)).await;
        Ok(event)
    })
}

#[tokio::test]
async fn i13_who_does_not_read_progress_holds_up_neither_the_call_nor_others() {
    let servers = vec![("noisy", "atlassian-rovo", Some(noisy().await))];
    let setup = Setup { servers, calls_in_flight_max: 1, ..Setup::default() };
    let world = World::start(setup).await;
    let ask = Ask::call("alice", "getJiraIssue", &issue("ENG-42")).at("noisy");
    let reply = ask.clone().wanting_progress("mine").reply(&world.gateway).await;
    let ReplyBody::Stream(mut events) = reply.body else { panic!("{reply:?}") };
    soon("the outcome", || world.store.rows().iter().any(|row| row.outcome.is_some())).await;
    // Nothing was read, the call is over, and there is room for the next.
    soon("room", || world.gateway.metrics().contains("callgate_calls_in_flight 0")).await;
    assert_eq!(world.ask(&ask).await.brief(), "ok");

    let mut heard = Vec::new();
    while let Some(event) = events.recv().await {
        heard.push(String::from_utf8(event.into()).unwrap());
    }
    assert!(heard.len() < REPORTS, "{} messages were kept", heard.len());
    let last = json(heard.last().unwrap());
    assert!(last.get("result").is_some(), "the answer is not lost: {last:?}");
    assert_eq!(world.outcomes().await, ["succeeded", "succeeded"]);
}
