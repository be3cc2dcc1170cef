//! A server that needs more before it answers: what it may ask for, and whose its state is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::post;
use callgate_model::digest::Digest;
use callgate_model::json::{Json, Object};
use callgate_policy::Tier;

use crate::client::{Ask, Said, edit};
use crate::support::{POLICIES, Rule, Setup, World, catalogs, json, load};

pub(crate) const STATE: &str = "state-of-the-server";

pub(crate) const MORE: &[Rule] = &[
    (
        Tier::Permit,
        "may-be-asked",
        r#"permit(principal, action in [Action::"mcp.elicitation.create", Action::"mcp.roots.list"], resource == MCP::Server::"asking");"#,
    ),
    (
        Tier::Guardrail,
        "no-roots-of-alice",
        r#"forbid(principal == User::"alice", action == Action::"mcp.roots.list", resource) when { context.server == "asking" };"#,
    ),
];

/// The calls that the server saw.
pub(crate) type Calls = Arc<Mutex<Vec<Json>>>;

/// Asks the person once, and is done when its state comes back.
async fn asking(State(calls): State<Calls>, body: Bytes) -> impl IntoResponse {
    let message = json(std::str::from_utf8(&body).unwrap());
    let id = message.get("id").unwrap().to_text();
    let params = message.get("params").unwrap().clone();
    let result = match message.get("method").and_then(Json::as_str).unwrap() {
        "server/discover" => r#"{"supportedVersions":["2026-07-28"],"resultType":"complete"}"#.to_owned(),
        "tools/list" => r#"{"tools":[{"name":"editJiraIssue","inputSchema":{"type":"object","properties":{"cloudId":{},"issueIdOrKey":{},"fields":{}}}}],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#.to_owned(),
        _ => {
            let again = params.get("requestState").is_some();
            calls.lock().unwrap().push(params);
            if again {
                r#"{"content":[{"type":"text","text":"done"}],"resultType":"complete"}"#.to_owned()
            } else {
                format!(r#"{{"resultType":"input_required","inputRequests":{{"who":{{"method":"elicitation/create","params":{{"message":"Who?","requestedSchema":{{"type":"object","properties":{{}}}}}}}}}},"requestState":"{STATE}"}}"#)
            }
        }
    };
    let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    ([("content-type", "application/json")], answer)
}

async fn world() -> (World, Calls) {
    world_of(&[POLICIES, MORE].concat()).await
}

pub(crate) async fn world_of(policies: &[Rule]) -> (World, Calls) {
    holding(policies, Duration::ZERO).await
}

async fn holding(policies: &[Rule], hold: Duration) -> (World, Calls) {
    let calls = Calls::default();
    let router = Router::new().route("/mcp", post(asking)).with_state(Arc::clone(&calls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let world = World::start(Setup {
        policies: policies.to_vec(),
        servers: vec![("asking", "atlassian-rovo", Some(url))],
        hold,
        ..Setup::default()
    })
    .await;
    (world, calls)
}

/// An edit by a client that declares everything, in a later round if there is more.
async fn ask(world: &World, token: &str, arguments: &str, more: &str) -> Said {
    let params = format!(r#"{{"name":"editJiraIssue","arguments":{arguments}{more}}}"#);
    let ask = Ask::new(token, "tools/call", &params).at("asking");
    let declares =
        r#"{"elicitation":{"form":{}},"sampling":{},"roots":{},"extensions":{"x.y/z":{}}}"#;
    world.ask(&ask.declaring(declares)).await
}

fn declared_to_the_server(calls: &Calls) -> Vec<String> {
    let calls = calls.lock().unwrap();
    let declared = |params: &Json| {
        let meta = params.get("_meta").unwrap();
        meta.get("io.modelcontextprotocol/clientCapabilities").unwrap().to_text()
    };
    calls.iter().map(declared).collect()
}

fn result(said: &Said) -> Object {
    said.answer().get("result").and_then(Json::as_object).cloned().unwrap_or_default()
}

fn state(said: &Said) -> String {
    result(said).get("requestState").and_then(Json::as_str).unwrap().to_owned()
}

fn later(state: &str) -> String {
    format!(
        r#","inputResponses":{{"who":{{"action":"accept","content":{{}}}}}},"requestState":"{state}""#
    )
}

#[tokio::test]
async fn a_server_asks_what_client_and_policy_allow_and_each_round_is_decided_and_recorded() {
    let (world, calls) = world().await;
    let first = ask(&world, "alice", &edit("ENG-42", "x"), "").await;
    assert_eq!(result(&first).get("resultType").and_then(Json::as_str), Some("input_required"));
    assert!(result(&first).get("inputRequests").is_some(), "{first:?}");
    assert!(!first.text().contains(STATE), "the server's own state went out");
    let second = ask(&world, "alice", &edit("ENG-42", "x"), &later(&state(&first))).await;
    assert_eq!(second.brief(), "ok", "{second:?}");
    let seen = calls.lock().unwrap().clone();
    assert_eq!(seen[1].get("requestState").and_then(Json::as_str), Some(STATE));
    assert!(seen[1].get("inputResponses").is_some());
    // Neither sampling, which nothing permits, nor roots, which are forbidden, nor what is not relayed.
    assert_eq!(declared_to_the_server(&calls), [r#"{"elicitation":{"form":{}}}"#; 2]);

    assert_eq!(world.outcomes().await, ["input_required", "succeeded"]);
    let rows = world.record().await;
    let intents: Vec<_> = rows.iter().filter(|row| row.kind == "intent").collect();
    let continues = |at: usize| {
        let event = crate::store::event(intents[at]);
        event.get("continues").and_then(Json::as_str).map(str::to_owned)
    };
    assert_eq!((continues(0), continues(1)), (None, intents[0].call.map(|call| call.to_string())));
    let answered = |at: usize| {
        let event = crate::store::event(intents[at]);
        event.get("responses_digest").and_then(Json::as_str).map(str::to_owned)
    };
    let sent = seen[1].get("inputResponses").and_then(Json::as_object).map(Digest::of_object);
    assert_eq!((answered(0), answered(1)), (None, sent.map(|digest| digest.to_string())));
}

#[tokio::test]
async fn i6_i4_a_state_is_good_for_its_caller_and_its_arguments_only() {
    let (world, calls) = world().await;
    let given = state(&ask(&world, "alice", &edit("ENG-42", "x"), "").await);
    for (token, arguments, state) in [
        ("alice-release", edit("ENG-42", "x"), given.as_str()),
        ("alice", edit("ENG-42", "y"), &given),
        ("alice", edit("ENG-41", "x"), &given),
        ("alice", edit("ENG-42", "x"), STATE),
        ("alice", edit("ENG-42", "x"), ""),
    ] {
        let said = ask(&world, token, &arguments, &later(state)).await;
        assert_eq!(said.status.as_u16(), 400, "{token} {arguments} {state}");
        assert!(said.text().contains("requestState"), "{said:?}");
    }
    assert_eq!(calls.lock().unwrap().len(), 1, "nothing of it reached the server");
    let rows = world.record().await;
    let refused: Vec<_> = rows.iter().filter(|row| row.kind == "refusal").collect();
    assert_eq!(refused.len(), 5);
    for row in refused {
        assert_eq!(
            row.tool.as_deref(),
            Some("editJiraIssue"),
            "what was tried with another's state"
        );
        assert!(crate::store::event(row).get("arguments_digest").unwrap().as_str().is_some());
    }
}

#[tokio::test]
async fn i8_what_is_forbidden_meanwhile_is_not_let_through_by_a_good_state() {
    let (world, calls) = world().await;
    let given = state(&ask(&world, "alice", &edit("ENG-42", "x"), "").await);
    let stop = r#"forbid(principal, action, resource == Jira::Issue::"acme/ENG-42");"#;
    let rules = [POLICIES, MORE, &[(Tier::Guardrail, "stop", stop)]].concat();
    world.gateway.activate(load(&catalogs(&[]), &rules));
    let denied = ask(&world, "alice", &edit("ENG-42", "x"), &later(&given)).await;
    assert!(denied.brief().starts_with("deny guardrail"), "{denied:?}");
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_that_declares_nothing_or_is_of_the_legacy_era_is_asked_nothing() {
    let (world, calls) = world().await;
    let arguments = edit("ENG-42", "x");
    let silent = Ask::call("alice", "editJiraIssue", &arguments).at("asking");
    // The server asks all the same; that is its fault, and nothing of it is passed on.
    let said = world.ask(&silent).await;
    assert_eq!(said.brief(), "allow indeterminate", "{said:?}");
    let session = world.session("alice").await;
    let said = world.ask(&silent.in_session(&session)).await;
    assert_eq!(said.brief(), "allow indeterminate", "{said:?}");
    assert_eq!(declared_to_the_server(&calls), ["{}"; 2]);
}

#[tokio::test]
async fn the_answers_of_a_caller_who_may_be_asked_nothing_are_left_out() {
    let (world, calls) = world().await;
    let unasked = r#","inputResponses":{"who":{"action":"accept","content":{}}}"#;
    let params =
        format!(r#"{{"name":"editJiraIssue","arguments":{}{unasked}}}"#, edit("ENG-42", "x"));
    world.ask(&Ask::new("alice", "tools/call", &params).at("asking")).await;
    ask(&world, "alice", &edit("ENG-42", "x"), unasked).await;
    let answered: Vec<_> =
        calls.lock().unwrap().iter().map(|params| params.get("inputResponses").is_some()).collect();
    assert_eq!(answered, [false, true]);
}

const GATE: &[Rule] = &[
    (
        Tier::Approval,
        "edits",
        r#"forbid(principal, action == Action::"jira.issue.edit", resource);"#,
    ),
    (
        Tier::Permit,
        "leads-decide",
        r#"permit(principal in Group::"leads", action == Action::"callgate.approval.decide", resource);"#,
    ),
];

/// I2, A01: a call that takes several rounds takes one approval, and no round of it is made twice.
#[tokio::test]
async fn i2_the_rounds_of_an_approved_call_share_its_approval_and_none_is_made_twice() {
    let (world, calls) = world_of(&[POLICIES, MORE, GATE].concat()).await;
    let made = || calls.lock().unwrap().len();
    let call = edit("ENG-42", "x");
    let waits = ask(&world, "alice", &call, "").await;
    assert_eq!((waits.brief().as_str(), made()), ("approval_required approval_required", 0));
    world.says("carol-lead", world.waiting().await.approval.id, true).await.unwrap();
    let first = ask(&world, "alice", &call, "").await;
    assert_eq!(made(), 1);
    // The first round again needs an approval of its own, which now waits.
    let again = ask(&world, "alice", &call, "").await;
    assert_eq!((again.brief().as_str(), made()), ("approval_required approval_required", 1));
    let state = state(&first);
    // It changes nothing for the second round, which goes on with the approval of the first.
    let second = ask(&world, "alice", &call, &later(&state)).await;
    assert_eq!((second.brief().as_str(), made()), ("ok", 2));
    let replayed = ask(&world, "alice", &call, &later(&state)).await;
    assert_ne!(replayed.brief(), "ok", "the second round again");
    assert_eq!(made(), 2);
}

/// I2: all rounds go on with the call that came first, so that whoever reads the record sees that they are one.
#[tokio::test]
async fn i2_the_rounds_of_a_call_that_was_held_go_on_with_the_one_that_was_refused() {
    let (world, calls) = holding(&[POLICIES, MORE, GATE].concat(), Duration::from_secs(20)).await;
    let call = edit("ENG-42", "x");
    let (first, ()) = tokio::join!(ask(&world, "alice", &call, ""), world.decides(true));
    assert_eq!(ask(&world, "alice", &call, &later(&state(&first))).await.brief(), "ok");
    assert_eq!(calls.lock().unwrap().len(), 2);
    let rows = world.record().await;
    let edits = rows.iter().filter(|row| row.tool.as_deref() == Some("editJiraIssue"));
    let of_kind = |kind: &str| edits.clone().filter(|row| row.kind == kind).collect::<Vec<_>>();
    let (refusals, intents) = (of_kind("refusal"), of_kind("intent"));
    assert_eq!((refusals.len(), intents.len()), (1, 2));
    let refused = refusals[0].call.map(|call| call.to_string());
    for intent in intents {
        let continues = crate::store::event(intent).get("continues").cloned();
        assert_eq!(continues.as_ref().and_then(Json::as_str), refused.as_deref());
    }
}
