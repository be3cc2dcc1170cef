//! All servers under one roof: whose a call is, and that the roof allows nothing that its server would not.

use crate::client::{Ask, Said, edit, issue};
use crate::store::reasons;
use crate::support::{Setup, World, nobody_there};

async fn world(reveal: bool) -> World {
    let down = nobody_there().await;
    World::start(Setup {
        reveal,
        servers: vec![("other", "atlassian-rovo", None), ("down", "atlassian-rovo", Some(down))],
        ..Setup::default()
    })
    .await
}

async fn under_the_roof(world: &World, ask: &Ask) -> Said {
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
async fn what_has_no_name_of_a_server_is_not_served_and_not_offered() {
    let world = world(true).await;
    let discover = under_the_roof(&world, &Ask::new("alice", "server/discover", "{}")).await;
    let offered = discover.answer().get("result").and_then(|r| r.get("capabilities")).cloned();
    assert_eq!(offered.unwrap().to_text(), r#"{"prompts":{},"tools":{}}"#);
    for method in ["resources/read", "subscriptions/listen", "completion/complete", "tools/execute"]
    {
        let params = r#"{"uri":"jira://x","notifications":{}}"#;
        let mut head = Ask::new("alice", method, params).head();
        head.headers.insert("mcp-name", "jira://x".parse().unwrap());
        let body = Ask::new("alice", method, params).body();
        let said = Said::of(world.gateway.handle_roof(&head, body).await).await;
        assert_eq!(said.status.as_u16(), 404, "{method}: {said:?}");
    }
    let rows = world.record().await;
    let refused: Vec<_> = rows.iter().filter(|row| row.kind == "refusal").collect();
    assert!(refused.len() == 4 && refused.iter().all(|row| row.server.as_deref() == Some("")));
}
