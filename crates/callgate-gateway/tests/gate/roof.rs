//! All servers under one roof: whose a call is, and that the roof allows nothing that its server would not.

use callgate_model::json::Json;
use callgate_policy::Tier;
use callgate_sim::{Listening, SimOptions};

use crate::client::{Ask, Said, edit, issue};
use crate::listen::{Stream, method};
use crate::store::reasons;
use crate::support::{POLICIES, Rule, Setup, UPSTREAM_SECRET, World, nobody_there};

async fn world(reveal: bool) -> World {
    let down = nobody_there().await;
    World::start(Setup {
        reveal,
        servers: vec![("other", "atlassian-rovo", None), ("down", "atlassian-rovo", Some(down))],
        ..Setup::default()
    })
    .await
}

pub(crate) async fn under_the_roof(world: &World, ask: &Ask) -> Said {
    Said::of(world.gateway.handle_roof(&ask.head(), ask.body()).await).await
}

#[tokio::test]
async fn i3_the_list_is_that_of_all_servers_and_each_tool_of_it_can_be_called() {
    let world = world(false).await;
    let list = Ask::new("alice", "tools/list", "{}");
    let all = under_the_roof(&world, &list).await.tools();
    let own = world.ask(&list).await.tools();
    for server in ["atlassian", "other"] {
        let listed: Vec<&str> =
            all.iter().filter_map(|name| name.strip_prefix(&format!("{server}__"))).collect();
        assert_eq!(listed, own, "{server}");
    }
    assert_eq!(all.len(), 2 * own.len(), "the server that is down hides nothing: {all:?}");

    let session = world.session("alice").await;
    let read = Ask::call("alice", "other__getJiraIssue", &issue("ENG-42"));
    for ask in [read.clone(), read.in_session(&session)] {
        assert_eq!(under_the_roof(&world, &ask).await.brief(), "ok");
    }
    let denied = Ask::call("alice", "atlassian__editJiraIssue", &edit("HR-3", "x"));
    assert!(under_the_roof(&world, &denied).await.brief().starts_with("deny"));
    assert_eq!(world.executed(), 2);
    let rows = world.record().await;
    let decided: Vec<_> = rows
        .iter()
        .filter(|row| row.kind == "intent" || row.kind == "refusal")
        .map(|row| (row.server.as_deref().unwrap(), row.tool.as_deref().unwrap()))
        .collect();
    assert_eq!(
        decided,
        [("other", "getJiraIssue"), ("other", "getJiraIssue"), ("atlassian", "editJiraIssue")]
    );
}

#[tokio::test]
async fn i3_i5_what_is_of_no_server_and_what_is_hidden_look_the_same() {
    let world = world(false).await;
    let mut told = Vec::new();
    // Nobody has them; a server has one, and bob could never use it; there is no such server; no server is named.
    let unknown = [
        "other__dropEverything",
        "other__editJiraIssue",
        "nowhere__getJiraIssue",
        "getJiraIssue",
        "__",
        "other__",
    ];
    for name in unknown {
        let ask = Ask::call("bob", name, &edit("ENG-42", "x"));
        let said = under_the_roof(&world, &ask).await;
        told.push(said.text().replace(name, "NAME"));
    }
    assert!(told.iter().all(|text| *text == told[0]), "{told:#?}");
    assert_eq!(world.calls_sent(), 0);
    let rows = world.record().await;
    let refused: Vec<_> = rows.iter().filter(|row| row.kind == "refusal").collect();
    assert_eq!(refused.len(), unknown.len());
    assert_eq!(refused[2].server.as_deref(), Some(""), "no server was asked");
    assert_eq!(reasons(refused[2]), ["tool_unknown"]);
}

#[tokio::test]
async fn p05_headers_say_what_the_body_says_under_the_roof_too() {
    let world = world(true).await;
    let ask = Ask::call("alice", "other__getJiraIssue", &issue("ENG-42"));
    let mut head = ask.head();
    head.headers.insert("mcp-name", "getJiraIssue".parse().unwrap());
    let said = Said::of(world.gateway.handle_roof(&head, ask.body()).await).await;
    assert_eq!(said.status.as_u16(), 400);
    let stranger = Ask::call("stranger", "other__getJiraIssue", &issue("ENG-42"));
    assert_eq!(under_the_roof(&world, &stranger).await.status.as_u16(), 401);
    let batch = Ask::new("alice", "tools/list", "{}");
    let body = format!("[{}]", String::from_utf8(ask.body().into()).unwrap());
    let said = Said::of(world.gateway.handle_roof(&batch.head(), body.into()).await).await;
    assert_eq!(said.status.as_u16(), 400);
    assert_eq!(world.calls_sent(), 0);
    // Whom it was for is only said where a server was named.
    let of: Vec<_> = world.record().await.iter().filter_map(|row| row.server.clone()).collect();
    assert_eq!(of, ["other", "", ""]);
}

#[tokio::test]
async fn what_names_no_server_is_refused() {
    let world = world(true).await;
    let discover = Ask::new("alice", "server/discover", "{}");
    let offered =
        |said: &Said| said.answer().get("result").and_then(|r| r.get("capabilities")).cloned();
    let own = offered(&world.ask(&discover).await);
    assert_eq!(offered(&under_the_roof(&world, &discover).await), own, "all is served");
    for (method, params, status) in [
        ("tools/call", r#"{"arguments":{}}"#, 400),
        ("resources/read", "{}", 400),
        ("completion/complete", r#"{"argument":{"name":"key","value":""}}"#, 400),
        ("subscriptions/listen", "{}", 400),
        ("tools/execute", "{}", 404),
        ("resources/subscribe", r#"{"uri":"atlassian+acme://x"}"#, 404),
    ] {
        let ask = Ask::new("alice", method, params);
        let said = under_the_roof(&world, &ask).await;
        assert_eq!(said.status.as_u16(), status, "{method}: {said:?}");
    }
    let rows = world.record().await;
    let refused: Vec<_> = rows.iter().filter(|row| row.kind == "refusal").collect();
    assert_eq!(refused.len(), 6);
    assert!(refused[..5].iter().all(|row| row.server.as_deref() == Some("")));
}

/// Whoever of engineering may read what either site has, but not what is for people.
const READERS: &[Rule] = &[
    (
        Tier::Permit,
        "readers",
        r#"permit(principal in Group::"engineering", action == Action::"mcp.resource.read", resource);"#,
    ),
    (
        Tier::Guardrail,
        "people",
        r#"forbid(principal, action in Action::"read", resource == MCP::Resource::"other/acme://handbook/people");"#,
    ),
];

async fn readers() -> World {
    let sim = SimOptions {
        token: Some(UPSTREAM_SECRET.to_owned()),
        listening: Listening::Served,
        ..SimOptions::default()
    };
    World::start(Setup {
        sim,
        policies: [POLICIES, READERS].concat(),
        servers: vec![("other", "atlassian-rovo", None)],
        ..Setup::default()
    })
    .await
}

#[tokio::test]
async fn i3_resources_of_all_servers_are_listed_and_read_by_uris_that_say_whose_they_are() {
    let world = readers().await;
    let list = async |method: &str, member: &str, uri: &str| {
        let said = under_the_roof(&world, &Ask::new("alice", method, "{}")).await.answer();
        let all = said.get("result").and_then(|result| result.get(member)).cloned().unwrap();
        let uri = |one: &Json| one.get(uri).and_then(Json::as_str).unwrap().to_owned();
        all.as_array().unwrap().iter().map(uri).collect::<Vec<_>>()
    };
    let listed = list("resources/list", "resources", "uri").await;
    assert_eq!(listed.len(), 5, "{listed:?}");
    for page in ["engineering", "people", "support"] {
        for server in ["atlassian", "other"] {
            let uri = format!("{server}+acme://handbook/{page}");
            let said = under_the_roof(&world, &Ask::read("alice", &uri)).await;
            assert_eq!(said.brief() == "ok", listed.contains(&uri), "{uri}: {said:?}");
            if said.brief() == "ok" {
                assert!(said.text().contains(&format!(r#""uri":"{uri}""#)), "{said:?}");
            }
        }
    }
    let templates = list("resources/templates/list", "resourceTemplates", "uriTemplate").await;
    assert_eq!(templates, ["atlassian+acme://issues/{key}", "other+acme://issues/{key}"]);
    let params = r#"{"ref":{"type":"ref/resource","uri":"other+acme://issues/{key}"},"argument":{"name":"key","value":"ENG-4"}}"#;
    let said = under_the_roof(&world, &Ask::new("alice", "completion/complete", params)).await;
    assert!(said.text().contains("ENG-42"), "{said:?}");
    for uri in ["nowhere+acme://handbook/support", "acme://handbook/support", "other+"] {
        let said = under_the_roof(&world, &Ask::read("alice", uri)).await;
        assert!(said.text().contains("Resource not found"), "{uri}: {said:?}");
    }
}

#[tokio::test]
async fn i6_one_stream_tells_of_the_changes_of_all_servers() {
    let world = readers().await;
    let params = r#"{"notifications":{"resourcesListChanged":true,"resourceSubscriptions":["other+acme://handbook/support","other+acme://handbook/people","nowhere+acme://x"]}}"#;
    let ask = Ask::new("alice", "subscriptions/listen", params);
    let reply = world.gateway.handle_roof(&ask.head(), ask.body()).await;
    let mut stream = Stream::of(reply);
    let first = stream.next().await.unwrap();
    let honoured = first.get("params").and_then(|params| params.get("notifications")).unwrap();
    let expected = r#"{"resourcesListChanged":true,"resourceSubscriptions":["other+acme://handbook/support"]}"#;
    assert_eq!(honoured.to_text(), expected);
    // One site is behind both servers: what it says is heard of each, but only one resource is wanted.
    let uri = |uri: &str| serde_json::json!({ "uri": uri });
    world.sim.tell_with("notifications/resources/updated", uri("acme://handbook/people"));
    world.sim.tell_with("notifications/resources/updated", uri("acme://handbook/support"));
    let told = stream.next().await.unwrap();
    assert_eq!(method(&told), "notifications/resources/updated");
    let told = told.get("params").and_then(|params| params.get("uri"));
    assert_eq!(told, Some(&"other+acme://handbook/support".into()));
    assert_eq!(stream.told().await, Vec::<String>::new());
    world.sim.tell("notifications/resources/list_changed");
    let changed = "notifications/resources/list_changed";
    stream.hears(&[changed, changed]).await;
}
