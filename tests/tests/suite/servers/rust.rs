//! The server made with the Rust SDK, with several clients in front of the gate.

use std::path::Path;

use callgate_tests::drive::{Client, Plan, Told};
use callgate_tests::evidence::Evidence;
use callgate_tests::upstream::Upstream;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::clients::MODERN;
use super::super::pipes::wrapping;
use super::super::rmcp::{
    LEGACY_ONLY, answers, check_followed, check_tasks, following, note, rmcp, takes, with_tasks,
};
use super::super::world::ALICE;
use super::broken::{given_up, is_given_up, notes_die};
use super::known::*;
use super::{served, wrapped};

const PERMITS: &str = r#"
@id("notes") @reason("Her own") @owner("tests")
permit(principal, action, resource == Notes::Note::"mine");
@id("shelf") @reason("Everybody looks at it") @owner("tests")
permit(principal, action in [Action::"rmcp-notes/check_notes", Action::"rmcp-notes/post_to_board"], resource);
"#;

const LISTED: &[&str] = &[
    "check_notes",
    "delete_note",
    "post_to_board",
    "read_note",
    "sign_note",
    "summarize_note",
    "write_later",
    "write_note",
    "write_slowly",
    "write_with_consent",
];

fn rmcp_notes(place: Place, work: TempDir) -> Server {
    Server {
        name: "rmcp-notes",
        catalog: Some(include_str!("../../../data/servers/rmcp-notes.toml")),
        permits: PERMITS.to_owned(),
        guardrails: String::new(),
        place,
        work,
    }
}

fn as_child() -> Server {
    as_child_of(&[])
}

fn as_child_of(eras: &[&str]) -> Server {
    let work = work();
    let mut command = vec![path(&rmcp().server), path(work.path()), "--stdio".to_owned()];
    command.extend(eras.iter().map(|era| (*era).to_owned()));
    rmcp_notes(Place::Command(command, Vec::new()), work)
}

fn calls() -> Calls {
    let (mine, yours) = (|| json!({ "name": "mine" }), json!({ "name": "yours", "text": "x" }));
    let outside = json!({ "name": "../mine", "text": "x" });
    vec![
        ("read_note", mine(), Comes::ToolError("there is no note mine")),
        ("write_note", note("written"), Comes::Back("wrote mine")),
        ("read_note", mine(), Comes::Back("written")),
        ("write_note", yours, Comes::Refused("agent_not_permitted")),
        ("write_note", outside, Comes::Refused("target_unresolved")),
        ("write_note", mine(), Comes::Refused("arguments_invalid")),
        ("delete_note", mine(), Comes::Refused("approval_required")),
        ("burn_everything", json!({}), Comes::Hidden("tool_unclassified")),
        ("list_roots", json!({}), Comes::Hidden("agent_not_permitted")),
        ("write_slowly", takes(0.3), Comes::Slowly("wrote mine", 3)),
        ("check_notes", Value::Null, Comes::Back("mine")),
        ("post_to_board", json!({ "text": "Grüße 🚪" }), Comes::Back("posted")),
        // No client here can wait for a task: the server waits in its place.
        ("write_later", takes(0.1), Comes::Back("wrote mine")),
        ("read_note", mine(), Comes::Back("später")),
    ]
}

fn check(server: &Server) {
    assert_eq!(server.file("mine.txt").as_deref(), Some("später"));
    assert_eq!(server.file("board.txt").as_deref(), Some("Grüße 🚪"));
    assert_eq!(server.file("yours.txt"), None);
}

#[tokio::test]
async fn a_server_made_with_rmcp_as_a_child() {
    for (client, protocol) in [
        (Client::rmcp(&rmcp()), MODERN),
        (Client::rmcp(&rmcp()), "legacy"),
        (Client::node(&node()), MODERN),
        (Client::python2(&python2()), "legacy"),
    ] {
        let server = as_child();
        served(&client, protocol, &server, LISTED, &calls()).await;
        check(&server);
    }
}

#[tokio::test]
async fn a_server_made_with_rmcp_over_http() {
    for (client, protocol) in [
        (Client::rmcp(&rmcp()), MODERN),
        (Client::rmcp(&rmcp()), "legacy"),
        (Client::fastmcp(&python2()), MODERN),
        (Client::node1(&node()), "legacy"),
    ] {
        let work = work();
        let upstream = Upstream::rmcp(&rmcp(), work.path(), &[]).await.unwrap();
        let server = rmcp_notes(Place::Url(upstream.url.clone()), work);
        served(&client, protocol, &server, LISTED, &calls()).await;
        check(&server);
    }
}

#[tokio::test]
async fn a_server_made_with_rmcp_in_a_wrap() {
    for (client, protocol) in [
        (Client::rmcp(&rmcp()), MODERN),
        (Client::rmcp(&rmcp()), "legacy"),
        (Client::python2(&python2()), MODERN),
    ] {
        let server = as_child();
        wrapped(&client, protocol, &server, LISTED, &calls()).await;
        check(&server);
    }
}

#[tokio::test]
async fn a_call_of_a_server_made_with_rmcp_is_given_up() {
    for protocol in [MODERN, "legacy"] {
        let server = as_child();
        let folder = server.setup().write().unwrap();
        let plan = given_up(wrapping(&folder, server.name), protocol);
        let told = Client::rmcp(&rmcp()).run(&plan).await.unwrap();
        is_given_up(&folder, &told, &server).await;

        let work = work();
        let upstream = Upstream::rmcp(&rmcp(), work.path(), &[]).await.unwrap();
        let server = rmcp_notes(Place::Url(upstream.url.clone()), work);
        let gateway = server.setup().start().await.unwrap();
        let plan = given_up(Plan::new(&gateway.url(server.name)).token(ALICE), protocol);
        let told = Client::rmcp(&rmcp()).run(&plan).await.unwrap();
        is_given_up(&gateway, &told, &server).await;
    }
}

#[tokio::test]
async fn a_server_made_with_rmcp_dies_with_a_call() {
    let server = as_child();
    let gateway = server.setup().start().await.unwrap();
    let start = Plan::new(&gateway.url(server.name)).token(ALICE).protocol(MODERN);
    notes_die(&Client::rmcp(&rmcp()), start, &gateway, &server).await;
}

#[tokio::test]
async fn a_server_made_with_rmcp_that_speaks_only_the_legacy_era() {
    for protocol in [MODERN, "legacy"] {
        let server = as_child_of(LEGACY_ONLY);
        served(&Client::rmcp(&rmcp()), protocol, &server, LISTED, &calls()).await;
        check(&server);
        let work = work();
        let upstream = Upstream::rmcp(&rmcp(), work.path(), LEGACY_ONLY).await.unwrap();
        let server = rmcp_notes(Place::Url(upstream.url.clone()), work);
        served(&Client::rmcp(&rmcp()), protocol, &server, LISTED, &calls()).await;
        check(&server);
    }
}

const ASKS: &str = r#"
@id("notes") @reason("Her own") @owner("tests")
permit(principal, action, resource == Notes::Note::"mine");
@id("roots") @reason("Everybody looks at them") @owner("tests")
permit(principal, action == Action::"rmcp-notes/list_roots", resource);
@id("asks") @reason("It may ask") @owner("tests")
permit(principal, action in [Action::"mcp.elicitation.create", Action::"mcp.roots.list", Action::"mcp.sampling.create"],
  resource == MCP::Server::"rmcp-notes");
"#;

fn asking(start: Plan, protocol: &str) -> Plan {
    start
        .protocol(protocol)
        .answers(answers())
        .call("write_note", note("Hallo"))
        .call("sign_note", json!({ "name": "mine" }))
        .call("summarize_note", json!({ "name": "mine" }))
        .call("list_roots", json!({}))
}

/// What the server is told if the client answers, or what the client is told if it cannot be asked.
fn check_asked(told: &Told, server: &Server, can_be_asked: bool, case: &str) {
    let [_, asked @ ..] = told.steps.as_slice() else { panic!("{case}: {told:?}") };
    let texts: Vec<_> = asked.iter().map(|step| step["text"].as_str()).collect();
    let answered = ["Ada 🖋 signed mine", "It is short.", "file:///home/ada, file:///srv"];
    let wanted = if can_be_asked { answered } else { ["the client cannot be asked"; 3] };
    assert_eq!(texts, wanted.map(Some), "{case}: {told:?}");
    for step in asked {
        let questions = step["asked"].as_array().unwrap().len();
        assert_eq!(questions, usize::from(can_be_asked), "{case}: {step}");
    }
    let signed = if can_be_asked { "Hallo -- Ada 🖋" } else { "Hallo" };
    assert_eq!(server.file("mine.txt").as_deref(), Some(signed), "{case}");
}

/// A server of the legacy era asks in the middle of a call, and only a client of that era can be asked so. A child of a
/// gateway that has more than one client does not say in which call it asks.
async fn asked_back(eras: &[&str], protocol: &str) {
    let (client, is_legacy) = (Client::rmcp(&rmcp()), !eras.is_empty());
    let through = async |server: &Server, can_be_asked: bool| {
        let gateway = server.setup().start().await.unwrap();
        let start = Plan::new(&gateway.url(server.name)).token(ALICE);
        let told = client.run(&asking(start, protocol)).await.unwrap();
        check_asked(&told, server, can_be_asked, &format!("serve, {eras:?}, {protocol}"));
    };
    through(&Server { permits: ASKS.to_owned(), ..as_child_of(eras) }, !is_legacy).await;
    let can_be_asked = !is_legacy || protocol == "legacy";
    let work = work();
    let upstream = Upstream::rmcp(&rmcp(), work.path(), eras).await.unwrap();
    let place = Place::Url(upstream.url.clone());
    through(&Server { permits: ASKS.to_owned(), ..rmcp_notes(place, work) }, can_be_asked).await;

    let server = Server { permits: ASKS.to_owned(), ..as_child_of(eras) };
    let folder = server.setup().write().unwrap();
    let told = client.run(&asking(wrapping(&folder, server.name), protocol)).await.unwrap();
    check_asked(&told, &server, can_be_asked, &format!("wrap, {eras:?}, {protocol}"));
}

#[tokio::test]
async fn rmcp_of_the_modern_era_asks_its_client_back() {
    asked_back(&[], MODERN).await;
    asked_back(&[], "legacy").await;
}

#[tokio::test]
async fn rmcp_of_the_legacy_era_asks_its_client_back() {
    asked_back(LEGACY_ONLY, MODERN).await;
    asked_back(LEGACY_ONLY, "legacy").await;
}

const TASKS: &str = r#"
@id("notes") @reason("Her own") @owner("tests")
permit(principal, action, resource == Notes::Note::"mine");
@id("shelf") @reason("Everybody looks at it") @owner("tests")
permit(principal, action in [Action::"rmcp-notes/fail_later", Action::"rmcp-notes/post_to_board"], resource);
@id("asks") @reason("It may ask") @owner("tests")
permit(principal, action == Action::"mcp.elicitation.create", resource == MCP::Server::"rmcp-notes");
@id("reads") @reason("Everybody reads the board") @owner("tests")
permit(principal, action == Action::"mcp.resource.read", resource in MCP::Server::"rmcp-notes");
"#;

/// Runs `plan` in front of the server as a child, over HTTP and in a wrap, and checks what the client is told.
async fn everywhere(
    eras: &[&str],
    protocol: &str,
    plan: impl Fn(Plan) -> Plan,
    check: impl Fn(&Told, &Path),
) {
    let client = Client::rmcp(&rmcp());
    let served = async |server: &Server| {
        let gateway = server.setup().start().await.unwrap();
        let start = Plan::new(&gateway.url(server.name)).token(ALICE).protocol(protocol);
        check(&client.run(&plan(start)).await.unwrap(), server.work.path());
        assert!(gateway.evidence_when(Evidence::is_settled).await.is_ok());
    };
    served(&Server { permits: TASKS.to_owned(), ..as_child_of(eras) }).await;
    let work = work();
    let upstream = Upstream::rmcp(&rmcp(), work.path(), eras).await.unwrap();
    let place = Place::Url(upstream.url.clone());
    served(&Server { permits: TASKS.to_owned(), ..rmcp_notes(place, work) }).await;

    let server = Server { permits: TASKS.to_owned(), ..as_child_of(eras) };
    let folder = server.setup().write().unwrap();
    let start = wrapping(&folder, server.name).protocol(protocol);
    check(&client.run(&plan(start)).await.unwrap(), server.work.path());
}

#[tokio::test]
async fn tasks_of_rmcp_are_followed_to_their_end() {
    everywhere(&[], MODERN, with_tasks, check_tasks).await;
}

#[tokio::test]
async fn resources_of_rmcp_are_followed() {
    let follow = async |eras: &[&str], protocol: &str| {
        everywhere(eras, protocol, following, |told, _| check_followed(told)).await;
    };
    tokio::join!(
        follow(&[], MODERN),
        follow(&[], "legacy"),
        follow(LEGACY_ONLY, MODERN),
        follow(LEGACY_ONLY, "legacy"),
    );
}
