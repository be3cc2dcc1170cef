//! Too many calls, and servers that do not answer: whoever has nothing to do with them is not held up by them.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use callgate_gateway::breaker::BreakerLimits;
use callgate_mcp::upstream::UpstreamLimits;
use callgate_model::json::Json;
use callgate_sim::{Fault, SimOptions};
use futures_util::future::join_all;

use crate::approvals::{RULES, WAITS};
use crate::client::{Ask, Said, delete, edit, issue};
use crate::support::{POLICIES, Setup, UPSTREAM_SECRET, World, json};

/// A server that tells its one tool, and does with every call of it what `call` does.
async fn server<F>(call: fn() -> F) -> String
where
    F: Future<Output = Response> + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let app = Router::new().route(
        "/mcp",
        post(async move |body: String| match answer(&body) {
            Some(answer) => answer,
            None => call().await,
        }),
    );
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// What is answered to anything but a call.
fn answer(body: &str) -> Option<Response> {
    let request = json(body);
    let id = request.get("id").unwrap().to_text();
    let result = match request.get("method").and_then(Json::as_str).unwrap() {
        "server/discover" => r#"{"supportedVersions":["2026-07-28"]}"#,
        "tools/list" => r#"{"tools":[{"name":"getJiraIssue","inputSchema":{"type":"object"}}]}"#,
        _ => return None,
    };
    let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    Some(([("content-type", "application/json")], text).into_response())
}

async fn hangs() -> Response {
    std::future::pending().await
}

async fn fails() -> Response {
    StatusCode::BAD_GATEWAY.into_response()
}

fn slow_site() -> SimOptions {
    SimOptions {
        token: Some(UPSTREAM_SECRET.to_owned()),
        latency: Some(Duration::from_millis(200)),
        ..SimOptions::default()
    }
}

fn sorted(said: &[Said]) -> Vec<String> {
    let mut told: Vec<String> = said.iter().map(Said::brief).collect();
    told.sort();
    told
}

#[tokio::test]
async fn i13_no_caller_takes_the_places_of_others() {
    let setup = Setup { sim: slow_site(), calls_per_caller_max: 2, ..Setup::default() };
    let world = World::start(setup).await;
    world.list("alice").await;
    let arguments = issue("ENG-42");
    let alice = (0..4).map(|_| world.call("alice", "getJiraIssue", &arguments));
    let others = (0..2).map(|_| world.call("ci", "getJiraIssue", &arguments));
    let (alice, others) = tokio::join!(join_all(alice), join_all(others));
    assert_eq!(sorted(&alice), ["deny overloaded", "deny overloaded", "ok", "ok"]);
    assert_eq!(sorted(&others), ["ok", "ok"]);
    let refused = alice.iter().find(|said| said.brief() == "deny overloaded").unwrap();
    assert!(refused.text().contains("you have as many calls in progress"), "{}", refused.text());
    assert!(!refused.text().contains("Do not retry"), "{}", refused.text());
    assert_eq!(world.call("alice", "getJiraIssue", &arguments).await.brief(), "ok");
    let counted = r#"callgate_limit_refusals_total{limit="calls_per_caller_max"} 2"#;
    assert!(world.gateway.metrics().contains(counted), "{}", world.gateway.metrics());
}

#[tokio::test]
async fn i13_a_server_that_hangs_takes_no_place_of_others() {
    let servers = vec![("slow", "atlassian-rovo", Some(server(hangs).await))];
    let upstream =
        UpstreamLimits { total: Duration::from_millis(1_500), ..UpstreamLimits::default() };
    let setup = Setup {
        servers,
        upstream,
        calls_in_flight_max: 4,
        server_calls_max: 2,
        ..Setup::default()
    };
    let world = World::start(setup).await;
    let slow = Ask::call("alice", "getJiraIssue", &issue("ENG-42")).at("slow");
    assert_eq!(world.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    let stuck = join_all((0..5).map(|_| world.ask(&slow)));
    let others = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let metrics = world.gateway.metrics();
        assert!(
            metrics.contains(r#"callgate_server_calls_in_flight{server="slow"} 2"#),
            "{metrics}"
        );
        world.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief()
    };
    let (stuck, others) = tokio::join!(stuck, others);
    assert_eq!(others, "ok");
    let (over, out) = ("deny overloaded", "allow timed_out");
    assert_eq!(sorted(&stuck), [out, out, over, over, over]);
}

#[tokio::test]
async fn i13_a_server_that_does_not_answer_is_left_alone_and_found_again() {
    let breaker = BreakerLimits { failures_max: 3, pause: Duration::from_millis(400) };
    let servers = vec![("broken", "atlassian-rovo", Some(server(fails).await))];
    let world = World::start(Setup { breaker, servers, ..Setup::default() }).await;
    let ask = Ask::call("alice", "getJiraIssue", &issue("ENG-42")).at("broken");
    for _ in 0..3 {
        assert_eq!(world.ask(&ask).await.brief(), "allow upstream_error");
    }
    let said = world.ask(&ask).await;
    assert_eq!(said.brief(), "deny upstream_unavailable");
    assert!(said.text().contains("left alone for a while"), "{}", said.text());
    let metrics = world.gateway.metrics();
    assert!(metrics.contains(r#"callgate_server_left_alone{server="broken"} 1"#), "{metrics}");
    // The other one has nothing to do with it.
    assert_eq!(world.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    tokio::time::sleep(Duration::from_millis(450)).await;
    let probes = join_all((0..3).map(|_| world.ask(&ask))).await;
    let alone = "deny upstream_unavailable";
    assert_eq!(sorted(&probes), ["allow upstream_error", alone, alone]);
}

/// That a tool fails says that its server is there.
#[tokio::test]
async fn what_a_tool_says_leaves_no_server_alone() {
    let breaker = BreakerLimits { failures_max: 2, pause: Duration::from_secs(60) };
    let world = World::start(Setup { breaker, ..Setup::default() }).await;
    for _ in 0..5 {
        let said = world.call("alice", "getJiraIssue", &issue("ENG-404")).await;
        assert_eq!(said.brief(), "tool_error", "{said:?}");
    }
    assert_eq!(world.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
}

/// An approval is for a call that is made.
#[tokio::test]
async fn i2_nothing_is_spent_on_a_call_to_a_server_that_is_left_alone() {
    let breaker = BreakerLimits { failures_max: 2, pause: Duration::from_millis(300) };
    let policies = [POLICIES, RULES].concat();
    let world = World::start(Setup { breaker, policies, ..Setup::default() }).await;
    let deletes =
        async || world.call("alice-release", "executeDestructive", &delete("ENG-42")).await.brief();
    assert_eq!(deletes().await, WAITS);
    let id = world.waiting().await.approval.id;
    world.says("carol-lead", id, true).await.unwrap();
    for _ in 0..2 {
        world.sim.fault(Fault::ServerError);
        world.call("alice-release", "editJiraIssue", &edit("ENG-42", "x")).await;
    }
    assert_eq!(deletes().await, "deny upstream_unavailable");
    assert_eq!(world.executed(), 1, "what was looked at for those who decide");
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(deletes().await, "ok");
}
