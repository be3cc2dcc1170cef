//! Servers that others wrote, or wrote the libraries of, behind the gate: as its children, over HTTP, and inside
//! `callgate wrap`. What the policies permit happens, nothing else does, and what is on disk afterwards is the oracle.

mod broken;
mod known;
mod rust;

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use callgate_tests::drive::{Client, Plan, Told};
use callgate_tests::evidence::Evidence;
use callgate_tests::gateway::Folder;
use callgate_tests::upstream::Upstream;
use tokio::net::TcpListener;

use super::clients::{MODERN, decision, names};
use super::pipes::wrapping;
use super::world::ALICE;
use known::*;

fn plan(start: Plan, protocol: &str, calls: &Calls) -> Plan {
    calls.iter().fold(start.protocol(protocol).list(), |plan, (tool, arguments, comes)| {
        if matches!(comes, Comes::Slowly(..)) {
            plan.call_with_progress(tool, arguments.clone())
        } else {
            plan.call(tool, arguments.clone())
        }
    })
}

fn check_told(told: &Told, listed: &[&str], calls: &Calls) {
    assert!(told.connect["error"].is_null(), "{}", told.connect);
    let (list, steps) = told.steps.split_first().unwrap();
    assert_eq!(names(list), listed, "exactly what could be allowed");
    assert_eq!(steps.len(), calls.len());
    for ((tool, _, comes), step) in calls.iter().zip(steps) {
        let says = |what: &str| step["text"].as_str().is_some_and(|text| text.contains(what));
        match comes {
            Comes::Back(what) | Comes::Slowly(what, _) => {
                assert!(step["isError"] == false && says(what), "{tool}: {step}");
            }
            Comes::ToolError(what) => {
                assert!(step["isError"] == true && says(what), "{tool}: {step}");
                assert!(step["meta"]["dev.callgate/decision"].is_null(), "{tool}: {step}");
            }
            Comes::Refused(reason) => assert_eq!(decision(step).1, *reason, "{tool}: {step}"),
            Comes::Hidden(_) => assert_eq!(step["error"]["code"], -32602, "{tool}: {step}"),
        }
        if let Comes::Slowly(_, heard) = comes {
            assert_eq!(step["progress"].as_array().unwrap().len(), *heard, "{tool}: {step}");
        }
    }
}

fn check_evidence(evidence: &Evidence, calls: &Calls) {
    assert_eq!(evidence.0.len(), calls.len());
    for ((tool, _, comes), one) in calls.iter().zip(&evidence.0) {
        assert_eq!(one.tool(), *tool);
        match comes {
            Comes::Back(_) | Comes::Slowly(..) => {
                assert_eq!(one.outcome.as_deref(), Some("succeeded"), "{one:?}");
            }
            Comes::ToolError(_) => assert_eq!(one.outcome.as_deref(), Some("tool_error")),
            Comes::Refused(reason) | Comes::Hidden(reason) => {
                let reasons = one.reasons();
                assert!(one.kind == "refusal" && reasons.starts_with(reason), "{tool}: {reasons}");
            }
        }
    }
}

async fn settled(folder: &Folder, count: usize) -> Evidence {
    folder.evidence_when(|e| e.0.len() >= count && e.is_settled()).await.unwrap()
}

/// Through `callgate serve`.
async fn served(
    client: &Client,
    protocol: &str,
    server: &Server,
    listed: &[&str],
    calls: &Calls,
) -> Told {
    let gateway = server.setup().start().await.unwrap();
    let start = Plan::new(&gateway.url(server.name)).token(ALICE);
    let told = client.run(&plan(start, protocol, calls)).await.unwrap();
    check_told(&told, listed, calls);
    check_evidence(&settled(&gateway, calls.len()).await, calls);
    told
}

/// Through `callgate wrap`. Through pipes the TypeScript SDKs lose progress that is told just before the answer, gate or
/// no gate: they are no clients for a call with progress.
async fn wrapped(
    client: &Client,
    protocol: &str,
    server: &Server,
    listed: &[&str],
    calls: &Calls,
) -> Told {
    let folder = server.setup().write().unwrap();
    let told = client.run(&plan(wrapping(&folder, server.name), protocol, calls)).await.unwrap();
    check_told(&told, listed, calls);
    check_evidence(&settled(&folder, calls.len()).await, calls);
    told
}

#[tokio::test]
async fn the_reference_server() {
    let client = Client::node1(&node());
    served(&client, "legacy", &everything(), EVERYTHING_LISTED, &everything_calls()).await;
    let client = Client::python2(&python2());
    wrapped(&client, MODERN, &everything(), EVERYTHING_LISTED, &everything_calls()).await;
}

/// It has sessions and streams of the legacy era.
#[tokio::test]
async fn the_reference_server_over_http() {
    let upstream = Upstream::everything(&node()).await.unwrap();
    let server = Server { place: Place::Url(upstream.url.clone()), ..everything() };
    let client = Client::fastmcp(&python2());
    served(&client, MODERN, &server, EVERYTHING_LISTED, &everything_calls()).await;
    let client = Client::node1(&node());
    served(&client, "legacy", &server, EVERYTHING_LISTED, &everything_calls()).await;
}

#[tokio::test]
async fn the_server_of_files() {
    let server = filesystem();
    let client = Client::node1(&node());
    served(&client, "legacy", &server, FILES_LISTED, &filesystem_calls(&server)).await;
    check_files(&server);
    let server = filesystem();
    wrapped(&Client::node(&node()), MODERN, &server, FILES_LISTED, &filesystem_calls(&server))
        .await;
    check_files(&server);
}

#[tokio::test]
async fn the_server_of_pages() {
    let site = pages().await;
    let server = fetch(site);
    let client = Client::python2(&python2());
    served(&client, "legacy", &server, &["fetch"], &fetch_calls(site)).await;
}

/// A site with one page.
async fn pages() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let page = Router::new().route("/page", get(async || "what the page says"));
    tokio::spawn(async { axum::serve(listener, page).await.unwrap() });
    address
}

/// Whatever a server that others publish can do, the catalog that comes with the program knows it.
#[tokio::test]
async fn no_tool_of_the_published_servers_is_unknown() {
    let mut servers = vec![(filesystem(), 14), (memory(), 9), (fetch(pages().await), 1)];
    servers.extend(only_listed().into_iter().zip([8, 1]));
    for (server, count) in servers {
        let folder = server.setup().write().unwrap();
        let listed = folder.cli(&["tools", "list", server.name, "--json"]).await.unwrap();
        let tools = listed.json().unwrap_or_else(|e| panic!("{}: {listed:?} {e}", server.name));
        let unknown = tools.iter().filter(|tool| tool["standing"] != "trusted");
        assert_eq!(unknown.count(), 0, "{}: {tools:?}", server.name);
        assert_eq!(tools.len(), count, "{}: {tools:?}", server.name);
    }
}

#[tokio::test]
async fn the_server_of_memories() {
    let server = memory();
    served(&Client::node(&node()), MODERN, &server, MEMORY_LISTED, &memory_calls()).await;
    check_memory(&server);
    let server = memory();
    wrapped(&Client::fastmcp(&python2()), "legacy", &server, MEMORY_LISTED, &memory_calls()).await;
    check_memory(&server);
}

/// A server, and in the wrap a client too, of the time before the protocol had a transport over HTTP that is served.
#[tokio::test]
async fn the_server_of_memories_as_it_was_in_2024() {
    let server = memory_2024();
    served(&Client::python2(&python2()), MODERN, &server, MEMORY_LISTED, &memory_calls()).await;
    check_memory(&server);
    let server = memory_2024();
    wrapped(&Client::node2024(&node()), "legacy", &server, MEMORY_LISTED, &memory_calls()).await;
    check_memory(&server);
    let server = memory();
    served(&Client::node2024(&node()), "legacy", &server, MEMORY_LISTED, &memory_calls()).await;
    check_memory(&server);
}

async fn notes_served(client: &Client, protocol: &str, library: &str) -> Told {
    let server = notes_as_child(library);
    let told = served(client, protocol, &server, NOTES_LISTED, &notes_calls()).await;
    check_notes(&server);
    told
}

async fn notes_wrapped(client: &Client, protocol: &str, library: &str) -> Told {
    let server = notes_as_child(library);
    let told = wrapped(client, protocol, &server, NOTES_LISTED, &notes_calls()).await;
    check_notes(&server);
    told
}

async fn notes_over_http(client: &Client, protocol: &str, library: &str) {
    let work = work();
    let upstream = Upstream::notes(&python2(), library, work.path()).await.unwrap();
    let server = notes(Place::Url(upstream.url.clone()), work);
    served(client, protocol, &server, NOTES_LISTED, &notes_calls()).await;
    check_notes(&server);
}

/// A time in nanoseconds arrives as a number as it does as a text. Only clients that read integers can see it.
fn has_every_digit(told: &Told) {
    let stat = told.steps.iter().find(|step| !step["structured"]["modified_ns"].is_null());
    let stat = stat.unwrap();
    let time = stat["structured"]["modified_ns"].as_u64().unwrap();
    assert!(time > 1 << 53 && stat["text"].as_str().unwrap().contains(&time.to_string()), "{stat}");
}

#[tokio::test]
async fn a_server_made_with_fastmcp_as_a_child() {
    notes_served(&Client::node1(&node()), "legacy", "fastmcp").await;
}

#[tokio::test]
async fn a_server_made_with_fastmcp_in_a_wrap() {
    has_every_digit(&notes_wrapped(&Client::python2(&python2()), MODERN, "fastmcp").await);
}

#[tokio::test]
async fn a_server_made_with_fastmcp_over_http() {
    notes_over_http(&Client::node(&node()), MODERN, "fastmcp").await;
}

#[tokio::test]
async fn a_server_made_with_the_second_python_sdk_as_a_child() {
    has_every_digit(&notes_served(&Client::fastmcp(&python2()), MODERN, "mcp").await);
}

#[tokio::test]
async fn a_server_made_with_the_second_python_sdk_in_a_wrap() {
    notes_wrapped(&Client::python2(&python2()), "legacy", "mcp").await;
}

#[tokio::test]
async fn a_server_made_with_the_second_python_sdk_over_http() {
    notes_over_http(&Client::node(&node()), "legacy", "mcp").await;
}
