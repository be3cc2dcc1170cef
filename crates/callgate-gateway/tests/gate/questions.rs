//! What servers ask clients of the legacy era in the middle of a call: who is asked, who answers, and what the record says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use callgate_gateway::pipeline::ReplyBody;
use callgate_model::json::Json;
use callgate_policy::Tier;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::mpsc;

use crate::client::{Ask, edit};
use crate::store::event;
use crate::support::{POLICIES, Rule, Setup, World, catalogs, json, load, soon};

const MAY_BE_ASKED: &[Rule] = &[(
    Tier::Permit,
    "may-be-asked",
    r#"permit(principal, action == Action::"mcp.elicitation.create", resource == MCP::Server::"asking");"#,
)];

/// How a server asks.
#[derive(Clone, Copy, PartialEq)]
enum By {
    /// In its answer, as in the modern era.
    Answer,
    /// The same, and again whenever it is answered.
    Endless,
    /// By a request on the stream of the call, as in the legacy era.
    Request,
}

/// What the server saw.
#[derive(Clone)]
struct Seen {
    by: By,
    methods: &'static [&'static str],
    messages: Arc<Mutex<Vec<Json>>>,
}

impl Seen {
    fn calls(&self) -> Vec<Json> {
        let messages = self.messages.lock().unwrap();
        let calls = messages.iter().filter(|message| method(message) == "tools/call");
        calls.map(|call| call.get("params").unwrap().clone()).collect()
    }

    /// The answers to its own requests, by id.
    fn answers(&self) -> Vec<Json> {
        let mut answers = self.messages.lock().unwrap().clone();
        answers.retain(|message| message.get("method").is_none());
        answers.sort_by_key(|answer| answer.get("id").unwrap().to_text());
        answers
    }
}

fn method(message: &Json) -> &str {
    message.get("method").and_then(Json::as_str).unwrap_or_default()
}

const QUESTION: &str =
    r#"{"mode":"form","message":"Who?","requestedSchema":{"type":"object","properties":{}}}"#;

async fn asking(State(seen): State<Seen>, body: Bytes) -> Response {
    let message = json(std::str::from_utf8(&body).unwrap());
    seen.messages.lock().unwrap().push(message.clone());
    let Some(id) = message.get("id").map(Json::to_text) else { return answer(202, "") };
    let result = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    const DONE: &str = r#"{"content":[{"type":"text","text":"done"}],"resultType":"complete"}"#;
    match (method(&message), seen.by) {
        ("", _) => answer(202, ""),
        ("server/discover", By::Answer | By::Endless) => {
            answer(200, &result(r#"{"supportedVersions":["2026-07-28"],"resultType":"complete"}"#))
        }
        ("server/discover", By::Request) => answer(400, "{}"),
        ("initialize", _) => answer(
            200,
            &result(
                r#"{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}"#,
            ),
        ),
        ("tools/list", _) => answer(
            200,
            &result(
                r#"{"tools":[{"name":"editJiraIssue","inputSchema":{"type":"object","properties":{"cloudId":{},"issueIdOrKey":{},"fields":{}}}}]}"#,
            ),
        ),
        (_, By::Answer) if message.get("params").unwrap().get("requestState").is_some() => {
            answer(200, &result(DONE))
        }
        (_, By::Answer | By::Endless) => {
            let asked = seen
                .methods
                .iter()
                .map(|method| format!(r#""{method}":{{"method":"{method}","params":{QUESTION}}}"#));
            let asked = asked.collect::<Vec<_>>().join(",");
            answer(
                200,
                &result(&format!(
                    r#"{{"resultType":"input_required","inputRequests":{{{asked}}},"requestState":"mine"}}"#
                )),
            )
        }
        (_, By::Request) => {
            let asked = seen.methods.iter().zip(70..).map(|(method, id)| {
                format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{QUESTION}}}\n\n")
            });
            let first = asked.collect::<String>();
            let last = format!("data: {}\n\n", result(DONE));
            let all = stream::iter([first]).chain(stream::once(async move {
                while seen.answers().len() < seen.methods.len() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                last
            }));
            let body = Body::from_stream(all.map(Ok::<_, std::io::Error>));
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
        }
    }
}

fn answer(status: u16, text: &str) -> Response {
    let builder = Response::builder().status(status).header("content-type", "application/json");
    builder.header("mcp-session-id", "upstream").body(Body::from(text.to_owned())).unwrap()
}

struct Asking {
    world: World,
    seen: Seen,
    session: String,
}

impl Asking {
    async fn start(by: By, methods: &'static [&'static str]) -> Self {
        let seen = Seen { by, methods, messages: Arc::default() };
        let router = Router::new().route("/mcp", post(asking)).with_state(seen.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let world = World::start(Setup {
            policies: [POLICIES, MAY_BE_ASKED].concat(),
            servers: vec![("asking", "atlassian-rovo", Some(url))],
            ..Setup::default()
        })
        .await;
        let session = session(&world, "alice").await;
        Self { world, seen, session }
    }

    /// An edit, and the messages that come before its answer and with it.
    async fn edit(&self) -> mpsc::Receiver<Bytes> {
        let ask = Ask::call("alice", "editJiraIssue", &edit("ENG-42", "x")).at("asking");
        let ask = ask.in_session(&self.session);
        let reply = ask.reply(&self.world.gateway).await;
        let ReplyBody::Stream(events) = reply.body else { panic!("{reply:?}") };
        events
    }

    async fn respond(&self, token: &str, session: &str, id: &Json, outcome: &str) {
        assert_eq!(self.responds(token, session, id, outcome).await, 202);
    }

    /// The status that is answered to an answer.
    async fn responds(&self, token: &str, session: &str, id: &Json, outcome: &str) -> u16 {
        let ask = Ask::new(token, "", "{}").at("asking").in_session(session);
        let id = id.to_text();
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},{outcome}}}"#);
        self.world.raw(&ask, body.into()).await.status.as_u16()
    }

    /// The decided calls of the record: method, which of them it goes on with, and its outcome.
    async fn story(&self) -> Vec<(String, Option<usize>, String)> {
        let rows = self.world.record().await;
        let decided: Vec<_> =
            rows.iter().filter(|row| matches!(&*row.kind, "intent" | "refusal")).collect();
        let place =
            |id: &str| decided.iter().position(|row| event(row).get("call") == Some(&id.into()));
        let told = decided.iter().map(|row| {
            let decided = event(row);
            let text = |name| decided.get(name).and_then(Json::as_str).map(str::to_owned);
            let outcome =
                rows.iter().find(|other| other.kind == "outcome" && other.call == row.call);
            let outcome = outcome.and_then(|row| row.outcome.clone());
            let continues = text("continues").and_then(|first| place(&first));
            (text("method").unwrap(), continues, outcome.unwrap_or_else(|| row.kind.clone()))
        });
        // An answer to an unknown session has no method.
        told.filter(|(method, ..)| !method.is_empty()).collect()
    }
}

async fn session(world: &World, token: &str) -> String {
    let params = r#"{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{},"sampling":{},"roots":{}},"clientInfo":{"name":"old","version":"1"}}"#;
    let said = world.ask(&Ask::new(token, "initialize", params).at("asking")).await;
    said.headers.get("mcp-session-id").unwrap().to_str().unwrap().to_owned()
}

async fn next(events: &mut mpsc::Receiver<Bytes>) -> Json {
    let event = tokio::time::timeout(Duration::from_secs(10), events.recv()).await;
    json(std::str::from_utf8(&event.expect("soon").expect("a message")).unwrap())
}

const ACCEPT: &str = r#""result":{"action":"accept","content":{}}"#;

fn story(told: &[(&str, Option<usize>, &str)]) -> Vec<(String, Option<usize>, String)> {
    told.iter()
        .map(|(method, first, end)| ((*method).to_owned(), *first, (*end).to_owned()))
        .collect()
}

#[tokio::test]
async fn i6_a_question_reaches_who_made_the_call_and_nobody_else_answers_it() {
    for by in [By::Answer, By::Request] {
        let asking = Asking::start(by, &["elicitation/create"]).await;
        let mut events = asking.edit().await;
        let question = next(&mut events).await;
        assert_eq!(method(&question), "elicitation/create");
        let message = question.get("params").and_then(|params| params.get("message"));
        assert_eq!(message, Some(&"Who?".into()));
        let id = question.get("id").unwrap();
        let bobs = session(&asking.world, "bob").await;
        let others = session(&asking.world, "alice").await;
        let other = r#""result":{"action":"accept","content":{"by":"another"}}"#;
        for (token, session, status) in
            [("bob", &bobs, 202), ("bob", &asking.session, 404), ("alice", &others, 202)]
        {
            assert_eq!(asking.responds(token, session, id, other).await, status);
        }
        asking.respond("alice", &asking.session, id, ACCEPT).await;
        let last = next(&mut events).await;
        assert!(
            last.get("result").is_some_and(|result| result.get("isError").is_none()),
            "{last:?}"
        );
        let seen = &asking.seen;
        let given = match by {
            By::Answer | By::Endless => {
                let again = &seen.calls()[1];
                assert_eq!(again.get("requestState"), Some(&"mine".into()));
                let responses = again.get("inputResponses").unwrap();
                responses.get("elicitation/create").unwrap().clone()
            }
            By::Request => seen.answers()[0].get("result").unwrap().clone(),
        };
        assert_eq!(given.to_text(), r#"{"action":"accept","content":{}}"#);
        let expected: &[_] = match by {
            By::Answer | By::Endless => &[
                ("tools/call", None, "input_required"),
                ("elicitation/create", Some(0), "succeeded"),
                ("tools/call", Some(0), "succeeded"),
            ],
            By::Request => {
                &[("tools/call", None, "succeeded"), ("elicitation/create", Some(0), "succeeded")]
            }
        };
        assert_eq!(asking.story().await, story(expected));
    }
}

#[tokio::test]
async fn i5_what_policy_does_not_let_a_server_ask_is_not_asked() {
    let asking =
        Asking::start(By::Request, &["sampling/createMessage", "elicitation/create"]).await;
    let mut events = asking.edit().await;
    let question = next(&mut events).await;
    assert_eq!(method(&question), "elicitation/create");
    // From now on it may not even ask that: for this one it is too late.
    asking.respond("alice", &asking.session, question.get("id").unwrap(), ACCEPT).await;
    assert!(next(&mut events).await.get("result").is_some());
    let declined = &asking.seen.answers()[0];
    assert_eq!(declined.get("id"), Some(&70.into()));
    assert!(declined.get("error").is_some(), "{declined:?}");
    let messages = asking.seen.messages.lock().unwrap().clone();
    let initialize = messages.iter().rfind(|message| method(message) == "initialize");
    let declared = initialize.unwrap().get("params").unwrap().get("capabilities").unwrap();
    assert_eq!(declared.to_text(), r#"{"elicitation":{}}"#);

    let bundle = load(&catalogs(&[]), POLICIES);
    asking.world.gateway.activate(bundle);
    let ask = Ask::call("alice", "editJiraIssue", &edit("ENG-42", "x")).at("asking");
    let said = asking.world.ask(&ask.in_session(&asking.session)).await;
    assert_eq!(said.brief(), "ok", "{said:?}");
    assert_eq!(said.messages.len(), 1, "nothing was asked");
}

/// What is redacted could be in what it asks.
#[tokio::test]
async fn i5_a_server_whose_answers_are_redacted_asks_nothing() {
    const REDACTS: &[Rule] = &[(
        Tier::Permit,
        "redacts",
        r#"@redact("email") permit(principal == User::"alice", action == Action::"jira.issue.edit", resource);"#,
    )];
    let redacting = || load(&catalogs(&[]), &[POLICIES, MAY_BE_ASKED, REDACTS].concat());
    let asking = Asking::start(By::Answer, &["elicitation/create"]).await;
    asking.world.gateway.activate(redacting());
    let ask = Ask::call("alice", "editJiraIssue", &edit("ENG-42", "x")).at("asking");
    let said = asking.world.ask(&ask.in_session(&asking.session)).await;
    assert!(said.messages.len() == 1 && !said.text().contains("Who?"), "{said:?}");

    // Not any more, once policy has it so.
    let asking = Asking::start(By::Endless, &["elicitation/create"]).await;
    let mut events = asking.edit().await;
    let question = next(&mut events).await;
    assert_eq!(method(&question), "elicitation/create");
    asking.world.gateway.activate(redacting());
    asking.respond("alice", &asking.session, question.get("id").unwrap(), ACCEPT).await;
    let last = next(&mut events).await;
    assert!(last.get("result").is_some() && !last.to_text().contains("Who?"), "{last:?}");
    assert_eq!(asking.seen.calls().len(), 2);
}

#[tokio::test]
async fn i8_a_round_after_the_policy_changed_is_decided_by_the_new_one() {
    let asking = Asking::start(By::Answer, &["elicitation/create"]).await;
    let mut events = asking.edit().await;
    let question = next(&mut events).await;
    let none = load(&catalogs(&[]), MAY_BE_ASKED);
    asking.world.gateway.activate(none);
    asking.respond("alice", &asking.session, question.get("id").unwrap(), ACCEPT).await;
    let last = next(&mut events).await.to_text();
    assert!(last.contains("human_not_permitted"), "{last}");
    assert_eq!(asking.seen.calls().len(), 1, "it was not called again");
    let expected = [
        ("tools/call", None, "input_required"),
        ("elicitation/create", Some(0), "succeeded"),
        ("tools/call", Some(0), "refusal"),
    ];
    assert_eq!(asking.story().await, story(&expected));
}

#[tokio::test]
async fn who_does_not_answer_well_is_not_called_for_again() {
    let asking = Asking::start(By::Answer, &["elicitation/create"]).await;
    let mut events = asking.edit().await;
    let question = next(&mut events).await;
    let no = r#""error":{"code":-1,"message":"no form here"}"#;
    asking.respond("alice", &asking.session, question.get("id").unwrap(), no).await;
    let last = next(&mut events).await.to_text();
    assert!(last.contains("no form here") && last.contains("isError"), "{last}");
    assert_eq!(asking.seen.calls().len(), 1);
    let expected =
        [("tools/call", None, "input_required"), ("elicitation/create", Some(0), "upstream_error")];
    assert_eq!(asking.story().await, story(&expected));
}

#[tokio::test]
async fn a_call_that_is_cancelled_while_its_client_is_asked_ends_with_the_question() {
    for by in [By::Answer, By::Request] {
        let asking = Asking::start(by, &["elicitation/create"]).await;
        let mut events = asking.edit().await;
        let question = next(&mut events).await;
        let ask = Ask::new("alice", "notifications/cancelled", "{}").at("asking");
        let told =
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
        let ask = ask.in_session(&asking.session);
        assert_eq!(asking.world.raw(&ask, told.into()).await.status, 202);
        let told = next(&mut events).await;
        assert_eq!(method(&told), "notifications/cancelled");
        let cancelled = told.get("params").and_then(|params| params.get("requestId"));
        assert_eq!(cancelled, question.get("id"));
        soon("the outcome", || {
            asking.world.store.rows().iter().filter(|row| row.kind == "outcome").count() == 2
        })
        .await;
        let end = if by == By::Answer { "input_required" } else { "cancelled" };
        let expected = [("tools/call", None, end), ("elicitation/create", Some(0), "cancelled")];
        assert_eq!(asking.story().await, story(&expected));
    }
}

#[tokio::test]
async fn a_client_that_goes_away_is_not_waited_for() {
    let asking = Asking::start(By::Request, &["elicitation/create"]).await;
    let mut events = asking.edit().await;
    drop((next(&mut events).await, events));
    soon("the outcome", || {
        asking.world.store.rows().iter().filter(|row| row.kind == "outcome").count() == 2
    })
    .await;
    assert!(asking.seen.answers()[0].get("error").is_some());
    let expected =
        [("tools/call", None, "succeeded"), ("elicitation/create", Some(0), "cancelled")];
    assert_eq!(asking.story().await, story(&expected));
}
