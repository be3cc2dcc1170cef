//! Calls that are given up, and servers that die with a call: what is not known is not said to have failed or succeeded.

use std::fs;
use std::time::{Duration, Instant};

use callgate_tests::drive::{Client, Plan, Told};
use callgate_tests::evidence::Evidence;
use callgate_tests::gateway::Folder;
use serde_json::{Value, json};

use super::super::clients::MODERN;
use super::super::pipes::wrapping;
use super::super::world::ALICE;
use super::known::*;
use super::settled;

/// Gives up a call that takes a while, and reads.
pub(super) fn given_up(start: Plan, protocol: &str) -> Plan {
    let slowly = json!({ "name": "mine", "text": "so far", "seconds": 60 });
    start
        .protocol(protocol)
        .list()
        .call_and_cancel("write_slowly", slowly, 2_000)
        .call("read_note", json!({ "name": "mine" }))
}

/// The client says that it wants no answer any more; the server hears it and stops.
pub(super) async fn is_given_up(folder: &Folder, told: &Told, server: &Server) {
    let [_, cancelled, read] = told.steps.as_slice() else { panic!("{told:?}") };
    assert_eq!(cancelled["cancelled"], true, "{cancelled}");
    assert!(read["isError"] == false && read["text"] == "so far", "{read}");
    let evidence = settled(folder, 2).await;
    let outcomes: Vec<_> = evidence.0.iter().map(|one| one.outcome.as_deref().unwrap()).collect();
    assert_eq!(outcomes, ["cancelled", "succeeded"]);
    assert_eq!(server.file("given-up").as_deref(), Some("mine"));
}

async fn given_up_in_a_wrap(client: &Client, protocol: &str, library: &str) {
    let server = notes_as_child(library);
    let folder = server.setup().write().unwrap();
    let told = client.run(&given_up(wrapping(&folder, server.name), protocol)).await.unwrap();
    is_given_up(&folder, &told, &server).await;
}

#[tokio::test]
async fn a_call_in_a_wrap_is_given_up_in_the_modern_era() {
    given_up_in_a_wrap(&Client::python2(&python2()), MODERN, "fastmcp").await;
}

#[tokio::test]
async fn a_call_in_a_wrap_is_given_up_in_the_legacy_era() {
    given_up_in_a_wrap(&Client::node1(&node()), "legacy", "mcp").await;
}

#[tokio::test]
async fn a_call_of_a_child_is_given_up_over_http() {
    let server = notes_as_child("mcp");
    let gateway = server.setup().start().await.unwrap();
    let start = Plan::new(&gateway.url("notes")).token(ALICE);
    let told = Client::node(&node()).run(&given_up(start, MODERN)).await.unwrap();
    is_given_up(&gateway, &told, &server).await;
}

type Call = (&'static str, Value);

fn write_and_look(plan: Plan, write: Call, read: Call) -> Plan {
    // The server is left alone for half a second after it ended.
    plan.call(write.0, write.1).wait_ms(900).call(read.0, read.1)
}

async fn kill_when_it_has(folder: &Folder, server: &Server) {
    let under_way = |e: &Evidence| e.intents().iter().any(|intent| intent.outcome.is_none());
    folder.evidence_when(under_way).await.unwrap();
    // From the record to the server's hands.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.signal("-KILL");
}

async fn is_indeterminate(folder: &Folder, told: &Told) {
    let [.., write, _, again] = told.steps.as_slice() else { panic!("{told:?}") };
    assert_eq!(write["isError"], true, "no success: {write}");
    let outcome = &write["meta"]["dev.callgate/decision"]["outcome"];
    assert_eq!(outcome, "indeterminate", "{write}");
    assert_eq!(again["isError"], false, "{again}");
    let evidence = settled(folder, 3).await;
    let outcomes: Vec<_> = evidence.0.iter().map(|one| one.outcome.as_deref().unwrap()).collect();
    assert_eq!(outcomes, ["succeeded", "indeterminate", "succeeded"]);
}

/// The server is stopped before the write reaches it, and killed when it has it.
async fn killed(client: &Client, protocol: &str, server: &Server, write: Call, read: Call) {
    let gateway = server.setup().start().await.unwrap();
    let start = || Plan::new(&gateway.url(server.name)).token(ALICE).protocol(protocol);
    let first = client.run(&start().call(read.0, read.1.clone())).await.unwrap();
    assert_eq!(first.steps[0]["isError"], false, "{first:?}");
    server.signal("-STOP");
    let plan = write_and_look(start(), write, read);
    let (told, ()) = tokio::join!(client.run(&plan), kill_when_it_has(&gateway, server));
    is_indeterminate(&gateway, &told.unwrap()).await;
}

#[tokio::test]
async fn the_reference_server_dies_with_a_call() {
    let write = ("toggle-subscriber-updates", json!({}));
    let read = ("get-sum", json!({ "a": 1, "b": 2 }));
    killed(&Client::node(&node()), MODERN, &everything(), write, read).await;
}

#[tokio::test]
async fn the_server_of_files_dies_with_a_call() {
    let server = filesystem();
    let at = |name: &str| path(&server.work.path().join(name));
    let write = ("write_file", json!({ "path": at("public/new.txt"), "content": "x" }));
    let read = ("read_text_file", json!({ "path": at("public/known.txt") }));
    killed(&Client::python2(&python2()), MODERN, &server, write, read).await;
    assert_eq!(server.file("public/new.txt"), None);
}

#[tokio::test]
async fn the_server_of_memories_dies_with_a_call() {
    let entity = json!({ "name": "gate", "entityType": "thing", "observations": [] });
    let write = ("create_entities", json!({ "entities": [entity] }));
    let read = ("read_graph", json!({}));
    killed(&Client::node1(&node()), "legacy", &memory(), write, read).await;
}

/// Here the write has happened.
pub(super) async fn notes_die(client: &Client, start: Plan, folder: &Folder, server: &Server) {
    fs::write(server.work.path().join("mine.txt"), "before").unwrap();
    let read = || ("read_note", json!({ "name": "mine" }));
    let write = ("write_slowly", json!({ "name": "mine", "text": "after", "seconds": 60 }));
    let plan = write_and_look(start.call(read().0, read().1), write, read());
    let (told, ()) = tokio::join!(client.run(&plan), kill_when_it_has_begun(folder, server));
    is_indeterminate(folder, &told.unwrap()).await;
    assert_eq!(server.file("mine.txt").as_deref(), Some("after"));
}

async fn kill_when_it_has_begun(folder: &Folder, server: &Server) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.file("mine.txt").as_deref() != Some("after") {
        assert!(Instant::now() < deadline, "the server did not begin");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    kill_when_it_has(folder, server).await;
}

#[tokio::test]
async fn a_server_made_with_fastmcp_dies_with_a_call() {
    let server = notes_as_child("fastmcp");
    let gateway = server.setup().start().await.unwrap();
    let start = Plan::new(&gateway.url(server.name)).token(ALICE).protocol(MODERN);
    notes_die(&Client::node(&node()), start, &gateway, &server).await;
}

#[tokio::test]
async fn a_server_made_with_the_second_python_sdk_dies_with_a_call_in_a_wrap() {
    let server = notes_as_child("mcp");
    let folder = server.setup().write().unwrap();
    let start = wrapping(&folder, server.name).protocol("legacy");
    notes_die(&Client::node1(&node()), start, &folder, &server).await;
}
