//! Servers that make tasks of calls: whose a task is, and that what is asked of it is decided as the call was.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::post;
use callgate_model::json::{Json, Object};
use callgate_policy::Tier;

use crate::client::{Ask, Said, edit};
use crate::store::event;
use crate::support::{POLICIES, Rule, Setup, World, catalogs, json, load};

/// What a client declares that knows tasks.
pub(crate) const TASKS: &str = r#"{"elicitation":{},"extensions":{"io.modelcontextprotocol/tasks":{},"com.example/other":{}}}"#;

const MAY_BE_ASKED: Rule = (
    Tier::Permit,
    "may-be-asked",
    r#"permit(principal, action == Action::"mcp.elicitation.create", resource == MCP::Server::"slow");"#,
);

/// What the server saw.
pub(crate) type Seen = Arc<Mutex<Vec<(String, Json)>>>;

/// Makes a task of every call; it asks once, and then is done.
async fn slow(
    State(seen): State<Seen>,
    headers: http::HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let message = json(std::str::from_utf8(&body).unwrap());
    let (id, method) = (
        message.get("id").unwrap().to_text(),
        message.get("method").and_then(Json::as_str).unwrap(),
    );
    let params = message.get("params").unwrap().clone();
    let task = |status: &str, more: &str| {
        format!(
            r#""taskId":"secret-of-the-server","status":"{status}","createdAt":"2026-11-25T10:30:00Z","lastUpdatedAt":"2026-11-25T10:30:00Z","ttlMs":60000{more}"#
        )
    };
    let answered = seen.lock().unwrap().iter().any(|(method, _)| method == "tasks/update");
    let result = match method {
        "server/discover" => r#""supportedVersions":["2026-07-28"],"resultType":"complete""#.to_owned(),
        "tools/list" => r#""tools":[{"name":"editJiraIssue","inputSchema":{"type":"object","properties":{"cloudId":{},"issueIdOrKey":{},"fields":{}}}}],"resultType":"complete","ttlMs":0,"cacheScope":"private""#.to_owned(),
        "tools/call" => format!(r#"{},"resultType":"task""#, task("working", "")),
        "tasks/get" if answered => format!(r#"{},"resultType":"complete""#, task("completed", r#","result":{"content":[],"isError":true}"#)),
        "tasks/get" => format!(r#"{},"resultType":"complete""#, task("input_required", r#","inputRequests":{"who":{"method":"elicitation/create","params":{"message":"Who?"}}}"#)),
        _ => r#""resultType":"complete""#.to_owned(),
    };
    if method != "server/discover" && method != "tools/list" {
        let name = headers.get("mcp-name").map_or("", |name| name.to_str().unwrap()).to_owned();
        seen.lock().unwrap().push((method.to_owned(), params));
        assert!(method == "tools/call" || name == "secret-of-the-server", "{method} {name}");
    }
    let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{{result}}}}}"#);
    ([("content-type", "application/json")], answer)
}

async fn world() -> (World, Seen) {
    world_of(&[POLICIES, &[MAY_BE_ASKED]].concat()).await
}

pub(crate) async fn world_of(policies: &[Rule]) -> (World, Seen) {
    let seen = Seen::default();
    let router = Router::new().route("/mcp", post(slow)).with_state(Arc::clone(&seen));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let policies = policies.to_vec();
    let servers = vec![("slow", "atlassian-rovo", Some(url))];
    (World::start(Setup { policies, servers, ..Setup::default() }).await, seen)
}

pub(crate) fn call(token: &str) -> Ask {
    Ask::call(token, "editJiraIssue", &edit("ENG-42", "x")).at("slow").declaring(TASKS)
}

fn about(token: &str, method: &str, task: &str, more: &str) -> Ask {
    let params = format!(r#"{{"taskId":"{task}"{more}}}"#);
    Ask::new(token, method, &params).at("slow").declaring(TASKS)
}

fn result(said: &Said) -> Object {
    said.answer().get("result").and_then(Json::as_object).cloned().unwrap_or_default()
}

fn text(said: &Said, member: &str) -> String {
    let result = result(said);
    result.get(member).and_then(Json::as_str).unwrap_or_else(|| panic!("{said:?}")).to_owned()
}

const ANSWER: &str = r#","inputResponses":{"who":{"action":"accept"}}"#;

#[tokio::test]
async fn a_task_is_followed_to_its_end_and_the_record_says_which_call_it_is_of() {
    let (world, seen) = world().await;
    let created = world.ask(&call("alice")).await;
    assert_eq!(
        (text(&created, "resultType"), text(&created, "status")),
        ("task".into(), "working".into())
    );
    let task = text(&created, "taskId");
    let got = world.ask(&about("alice", "tasks/get", &task, "")).await;
    assert_eq!(
        (text(&got, "taskId"), text(&got, "status")),
        (task.clone(), "input_required".into())
    );
    assert_eq!(text(&got, "resultType"), "complete");
    let updated = world.ask(&about("alice", "tasks/update", &task, ANSWER)).await;
    assert_eq!(updated.brief(), "ok");
    let got = world.ask(&about("alice", "tasks/get", &task, "")).await;
    assert_eq!(text(&got, "status"), "completed");
    assert_eq!(world.ask(&about("alice", "tasks/cancel", &task, "")).await.brief(), "ok");
    for said in [created, got, updated] {
        assert!(!said.text().contains("secret-of-the-server"), "{said:?}");
    }
    let seen = seen.lock().unwrap().clone();
    let declared =
        seen[0].1.get("_meta").unwrap().get("io.modelcontextprotocol/clientCapabilities");
    let known = r#"{"elicitation":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
    assert_eq!(declared.unwrap().to_text(), known, "what is not known is not passed on");
    assert_eq!(
        seen[2].1.get("inputResponses").unwrap().to_text(),
        r#"{"who":{"action":"accept"}}"#
    );

    assert_eq!(
        world.outcomes().await,
        ["in_progress", "in_progress", "succeeded", "tool_error", "succeeded"]
    );
    let rows = world.record().await;
    let intents: Vec<_> = rows.iter().filter(|row| row.kind == "intent").map(event).collect();
    let of = |at: usize, name: &str| intents[at].get(name).map(Json::to_text);
    for later in 1..5 {
        assert_eq!(of(later, "continues"), of(0, "call"));
        assert_eq!(of(later, "operation"), of(0, "operation"));
        assert_eq!(of(later, "tool"), of(0, "tool"));
    }
    assert_eq!(of(1, "method"), Some(r#""tasks/get""#.to_owned()));
}

#[tokio::test]
async fn i6_a_task_is_of_its_caller_and_its_server_only() {
    let (world, seen) = world().await;
    let task = text(&world.ask(&call("alice")).await, "taskId");
    for ask in [
        about("alice-release", "tasks/get", &task, ""),
        about("bob", "tasks/cancel", &task, ""),
        about("alice", "tasks/get", &task, "").at("atlassian"),
        about("alice", "tasks/get", "secret-of-the-server", ""),
        about("alice", "tasks/update", task.get(1..).unwrap(), ANSWER),
    ] {
        let said = world.ask(&ask).await;
        assert_eq!(
            (said.status.as_u16(), said.brief().as_str()),
            (200, "error -32602"),
            "{said:?}"
        );
        assert!(said.text().contains("no such task"), "{said:?}");
    }
    assert_eq!(seen.lock().unwrap().len(), 1, "nothing of it reached the server");
    // Under the roof a task needs no name of a server.
    let ask = about("alice", "tasks/get", &task, "");
    let said = Said::of(world.gateway.handle_roof(&ask.head(), ask.body()).await).await;
    assert_eq!(text(&said, "taskId"), task);
}

#[tokio::test]
async fn i8_what_is_asked_of_a_task_is_decided_anew() {
    let (world, seen) = world().await;
    let task = text(&world.ask(&call("alice")).await, "taskId");
    world.gateway.activate(load(&catalogs(&[]), &[MAY_BE_ASKED]));
    for (method, more) in [("tasks/get", ""), ("tasks/update", ANSWER), ("tasks/cancel", "")] {
        let said = world.ask(&about("alice", method, &task, more)).await;
        assert!(said.brief().contains("human_not_permitted"), "{method}: {said:?}");
    }
    // Nor is an answer passed on of whom nothing may be asked any more.
    world.gateway.activate(load(&catalogs(&[]), POLICIES));
    assert_eq!(world.ask(&about("alice", "tasks/update", &task, ANSWER)).await.brief(), "ok");
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].1.get("inputResponses").unwrap().to_text(), "{}");
}

#[tokio::test]
async fn who_does_not_know_tasks_gets_none() {
    let (world, _) = world().await;
    let said = world.ask(&call("alice").declaring("{}")).await;
    assert!(said.brief().starts_with("allow"), "the server makes one nevertheless: {said:?}");
    let session = world.session("alice").await;
    let said = world.ask(&call("alice").in_session(&session)).await;
    assert!(said.brief().starts_with("allow"), "{said:?}");
    let task = text(&world.ask(&call("alice")).await, "taskId");
    let said = world.ask(&about("alice", "tasks/get", &task, "").declaring("{}")).await;
    assert_eq!((said.status.as_u16(), said.brief().as_str()), (400, "error -32021"));
    let said = world.ask(&about("alice", "tasks/get", &task, "").in_session(&session)).await;
    assert_eq!(said.brief(), "error -32601");
}
