//! Servers that do not keep to the protocol, or do so in ways that nobody expects.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::any;
use callgate_gateway::pipeline::ReplyBody;
use callgate_model::json::Json;
use callgate_policy::Tier;
use futures_util::stream::{self, StreamExt as _};

use crate::client::{Ask, edit};
use crate::support::{POLICIES, Rule, Setup, World, json, soon};
use crate::tasks::TASKS;

const ASK: &[Rule] = &[(
    Tier::Permit,
    "may-be-asked",
    r#"permit(principal, action == Action::"mcp.elicitation.create", resource == MCP::Server::"odd");"#,
)];

fn method(message: &Json) -> &str {
    message.get("method").and_then(Json::as_str).unwrap_or_default()
}

fn answer(status: u16, text: String) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("mcp-session-id", "upstream")
        .body(Body::from(text))
        .unwrap()
}

const TOOLS: &str = r#"{"tools":[{"name":"editJiraIssue","inputSchema":{"type":"object","properties":{"cloudId":{},"issueIdOrKey":{},"fields":{}}}}],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#;
const NO_OFFERS: &str = r#"{"prompts":[],"resources":[],"resourceTemplates":[]}"#;
const DONE: &str = r#"{"content":[{"type":"text","text":"done"}]}"#;

fn result(message: &Json, result: &str) -> String {
    let id = message.get("id").unwrap().to_text();
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

async fn world<F>(modern: bool, policies: Vec<Rule>, handle: F) -> World
where
    F: Fn(Json) -> Response + Clone + Send + Sync + 'static,
{
    let router = Router::new().route(
        "/mcp",
        any(move |body: Bytes| {
            let handle = handle.clone();
            async move {
                if body.is_empty() {
                    return handle(json("{}"));
                }
                let message = json(std::str::from_utf8(&body).unwrap());
                match method(&message) {
                    "server/discover" if modern => answer(
                        200,
                        result(&message, r#"{"supportedVersions":["2026-07-28"],"resultType":"complete"}"#),
                    ),
                    "server/discover" => answer(400, "{}".to_owned()),
                    "initialize" => answer(
                        200,
                        result(&message, r#"{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}"#),
                    ),
                    "tools/list" => answer(200, result(&message, TOOLS)),
                    "notifications/initialized" | "notifications/cancelled" => answer(202, String::new()),
                    _ => handle(message),
                }
            }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    World::start(Setup {
        policies,
        servers: vec![("odd", "atlassian-rovo", Some(url))],
        ..Setup::default()
    })
    .await
}

async fn session(world: &World) -> String {
    let params = r#"{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{"form":{},"url":{}}},"clientInfo":{"name":"old","version":"1"}}"#;
    let said = world.ask(&Ask::new("alice", "initialize", params).at("odd")).await;
    said.headers.get("mcp-session-id").unwrap().to_str().unwrap().to_owned()
}

fn call() -> Ask {
    Ask::call("alice", "editJiraIssue", &edit("ENG-42", "x")).at("odd")
}

/// Policy lets nobody be asked; a server that leaves `resultType` out asks nevertheless, under its own id.
#[tokio::test]
async fn i5_a_task_is_one_whether_or_not_its_server_says_that_the_answer_is_complete() {
    let world = world(true, POLICIES.to_vec(), |message| {
        let task = r#""taskId":"secret-of-the-server","status":"input_required","createdAt":"2026-11-25T10:30:00Z","lastUpdatedAt":"2026-11-25T10:30:00Z","ttlMs":60000"#;
        let text = match method(&message) {
            "tools/call" => format!(r#"{{{task},"resultType":"task"}}"#),
            _ => format!(r#"{{{task},"inputRequests":{{"k":{{"method":"sampling/createMessage","params":{{}}}}}}}}"#),
        };
        answer(200, result(&message, &text))
    })
    .await;
    let made = world.ask(&call().declaring(TASKS)).await;
    let task =
        made.answer().get("result").unwrap().get("taskId").unwrap().as_str().unwrap().to_owned();
    let params = format!(r#"{{"taskId":"{task}"}}"#);
    let got = world.ask(&Ask::new("alice", "tasks/get", &params).at("odd").declaring(TASKS)).await;
    assert!(!got.text().contains("secret-of-the-server") && !got.text().contains("sampling"));
}

/// What a server must have asked before is a question, too.
#[tokio::test]
async fn i5_an_error_that_asks_for_a_page_is_a_question_too() {
    let world = world(false, POLICIES.to_vec(), |message| {
        let id = message.get("id").unwrap().to_text();
        answer(200, format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32042,"message":"m","data":{{"elicitations":[{{"mode":"url","elicitationId":"e","url":"https://evil.example/","message":"log in"}}]}}}}}}"#))
    })
    .await;
    let session = session(&world).await;
    let said = world.ask(&call().in_session(&session)).await;
    assert!(!said.text().contains("evil.example"));
}

/// Two calls at once: the one that asks is not the latest, which ends first.
#[tokio::test]
async fn a_question_of_nobody_knows_which_call_outlives_the_call_that_it_came_with() {
    let (ask, _) = tokio::sync::broadcast::channel::<String>(4);
    let (calls, end_second) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let answers = Arc::new(Mutex::new(Vec::<String>::new()));
    let (end, remembered) = (Arc::clone(&end_second), Arc::clone(&answers));
    let seen = Arc::clone(&calls);
    let world = world(false, [POLICIES, ASK].concat(), move |message| {
        if message.get("jsonrpc").is_none() {
            let asked = stream::unfold(ask.subscribe(), async |mut asked| {
                let text = asked.recv().await.ok()?;
                Some((Ok::<_, std::io::Error>(text), asked))
            });
            return Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(asked)).unwrap();
        }
        if method(&message).is_empty() {
            // The gateway itself listens, too, and can be asked nothing.
            let text = message.to_text();
            remembered.lock().unwrap().extend(text.contains("accept").then_some(text));
            return answer(202, String::new());
        }
        if method(&message) != "tools/call" {
            return answer(200, result(&message, NO_OFFERS));
        }
        let number = calls.fetch_add(1, Ordering::SeqCst);
        if number == 1 {
            ask.send("data: {\"jsonrpc\":\"2.0\",\"id\":70,\"method\":\"elicitation/create\",\"params\":{\"message\":\"of the first\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{}}}}\n\n".into()).unwrap();
        }
        let (end, remembered) = (Arc::clone(&end), Arc::clone(&remembered));
        let last = format!("data: {}\n\n", result(&message, DONE));
        let last = stream::once(async move {
            while (number == 0 && remembered.lock().unwrap().is_empty())
                || (number == 1 && !end.load(Ordering::SeqCst))
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok::<_, std::io::Error>(last)
        });
        Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(last)).unwrap()
    })
    .await;
    let session = session(&world).await;
    let (gateway, first) = (Arc::clone(&world.gateway), call().in_session(&session));
    let first =
        tokio::spawn(async move { crate::client::Said::of(first.reply(&gateway).await).await });
    soon("the first call", || seen.load(Ordering::SeqCst) == 1).await;
    // Where the client listens for what belongs to no call.
    let mut head = Ask::new("alice", "initialize", "{}").head();
    head.method = http::Method::GET;
    head.headers.insert("mcp-session-id", session.parse().unwrap());
    let listening = world.gateway.handle(&head, "odd", Bytes::new()).await;
    let ReplyBody::Listening(mut heard) = listening.body else { panic!("{listening:?}") };
    let (gateway, second) = (Arc::clone(&world.gateway), call().in_session(&session));
    let second =
        tokio::spawn(async move { crate::client::Said::of(second.reply(&gateway).await).await });
    let question = json(std::str::from_utf8(&heard.recv().await.unwrap()).unwrap());
    assert_eq!(method(&question), "elicitation/create");
    end_second.store(true, Ordering::SeqCst);
    assert_eq!(second.await.unwrap().brief(), "ok");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let id = question.get("id").unwrap().to_text();
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"action":"accept","content":{{}}}}}}"#);
    world.raw(&Ask::new("alice", "", "{}").at("odd").in_session(&session), body.into()).await;
    assert_eq!(first.await.unwrap().brief(), "ok");
    let answers = answers.lock().unwrap().clone();
    assert!(answers[0].contains("accept"), "{answers:?}");
    // It is not known whose it was, and not said.
    let rows = world.record().await;
    let asked = rows.iter().map(crate::store::event);
    let asked = asked.filter(|row| row.get("method") == Some(&"elicitation/create".into()));
    let continues: Vec<_> = asked.map(|row| row.get("continues").cloned()).collect();
    assert_eq!(continues.len(), 1);
    assert!(matches!(continues[0], None | Some(Json::Null)), "{continues:?}");
}

/// A client that does not read: the question is neither put nor given up.
#[tokio::test]
async fn i13_who_does_not_read_is_not_asked_for_ever() {
    let world = world(false, [POLICIES, ASK].concat(), move |message| {
        if message.get("jsonrpc").is_none() {
            return answer(405, String::new());
        }
        if method(&message).is_empty() {
            return answer(202, String::new());
        }
        let token = message.get("params").unwrap().get("_meta").unwrap().get("progressToken").unwrap().to_text();
        let mut text = String::new();
        for n in 0..200 {
            write!(text, "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":{token},\"progress\":{n}}}}}\n\n").unwrap();
        }
        let asks = "data: {\"jsonrpc\":\"2.0\",\"id\":70,\"method\":\"elicitation/create\",\"params\":{}}\n\n".to_owned();
        let parts = stream::iter([text.clone(), text.clone(), text, asks]).then(async |part| {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok::<_, std::io::Error>(part)
        });
        Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(parts.chain(stream::pending()))).unwrap()
    })
    .await;
    let session = session(&world).await;
    let reply = call().in_session(&session).wanting_progress("p").reply(&world.gateway).await;
    let ReplyBody::Stream(events) = reply.body else { panic!("{reply:?}") };
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let told = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
    world.raw(&Ask::new("alice", "", "{}").at("odd").in_session(&session), told.into()).await;
    tokio::time::sleep(Duration::from_millis(2000)).await;
    let rows = world.store.rows();
    drop(events);
    assert_eq!(rows.iter().filter(|row| row.kind == "outcome").count(), 2);
}

/// One caller takes all the room that there is for resources of a server.
#[tokio::test]
async fn i13_one_caller_leaves_room_for_others_to_follow_resources() {
    const ALL: &[Rule] = &[(
        Tier::Permit,
        "readers",
        r#"permit(principal, action == Action::"mcp.resource.read", resource in MCP::Server::"atlassian");"#,
    )];
    let world = World::start(Setup { policies: ALL.to_vec(), ..Setup::default() }).await;
    let subscribe = async |token: &str, session: &str, uri: String| {
        let params = format!(r#"{{"uri":"{uri}"}}"#);
        world
            .ask(&Ask::new(token, "resources/subscribe", &params).in_session(session))
            .await
            .brief()
    };
    let mut told = Vec::new();
    for n in 0..6 {
        // Each of them is left without a word.
        let session = world.session("alice").await;
        for m in 0..100 {
            told.push(subscribe("alice", &session, format!("a:{n}/{m}")).await);
        }
    }
    assert!(told[..500].iter().all(|said| said == "ok"));
    assert!(
        told[500..].iter().all(|said| said == "refused deny overloaded"),
        "{:?}",
        told[500..].iter().collect::<std::collections::BTreeSet<_>>()
    );
    let bobs = world.session("bob").await;
    let said = subscribe("bob", &bobs, "acme://handbook/support".to_owned()).await;
    assert_eq!(said, "ok");
}

/// What changes between the end of one listening and the next is never told.
#[tokio::test]
async fn what_may_have_changed_while_nobody_listened_is_told() {
    const READ: &[Rule] = &[(
        Tier::Permit,
        "readers",
        r#"permit(principal, action == Action::"mcp.resource.read", resource in MCP::Server::"odd");"#,
    )];
    let listens = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&listens);
    let world = world(true, READ.to_vec(), move |message| {
        if method(&message) != "subscriptions/listen" {
            return answer(200, result(&message, r#"{"prompts":[],"resources":[],"resourceTemplates":[],"resultType":"complete"}"#));
        }
        let with_uri = message.to_text().contains("a:b");
        let first = with_uri && counting.fetch_add(1, Ordering::SeqCst) == 0;
        let ack = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{}}\n\n".to_owned();
        let ack = stream::iter([Ok::<_, std::io::Error>(ack)]);
        let rest = stream::once(async move {
            // The server restarts; `a:b` changes while it does.
            tokio::time::sleep(Duration::from_millis(if first { 500 } else { 600_000 })).await;
            Err::<String, _>(std::io::Error::other("restart"))
        });
        Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(ack.chain(rest))).unwrap()
    })
    .await;
    let params = r#"{"notifications":{"resourceSubscriptions":["a:b"]}}"#;
    let ask = Ask::new("alice", "subscriptions/listen", params).at("odd");
    let ReplyBody::Listening(mut events) = ask.reply(&world.gateway).await.body else { panic!() };
    let told = tokio::time::timeout(Duration::from_secs(9), events.recv()).await;
    assert!(told.is_ok());
}
