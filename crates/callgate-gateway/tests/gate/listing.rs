//! I3: a tool is listed for exactly those who could be allowed some call of it, and to everybody else it is as if it
//! did not exist.

use callgate_model::json::{Json, Object};
use callgate_policy::Tier;

use crate::client::{Ask, Said};
use crate::support::{CLOUD, POLICIES, Rule, Setup, World, catalogs, load};

const CALLERS: [&str; 7] =
    ["alice", "alice-release", "alice-triage", "bob-release", "nobody", "ci", "alice-asserted"];

const ALL: &[Rule] = &[
    (Tier::Permit, "all", "permit(principal, action, resource);"),
    (
        Tier::Permit,
        "searches",
        r#"permit(principal, action in Action::"read", resource is Unresolved);"#,
    ),
];

const READS: &[Rule] =
    &[(Tier::Permit, "reads", r#"permit(principal, action in Action::"read", resource);"#)];

/// Walls, conditions that hold and conditions that do not.
const CONDITIONS: &[Rule] = &[
    (
        Tier::Guardrail,
        "no-writes",
        r#"forbid(principal in Group::"engineering", action in Action::"write", resource);"#,
    ),
    (
        Tier::Permit,
        "engineers",
        r#"permit(principal in Group::"engineering", action, resource in Jira::Project::"acme/ENG") when { context.via in Client::"tests" };"#,
    ),
    (
        Tier::Permit,
        "automation",
        r#"permit(principal in AgentClass::"automation", action in Action::"read", resource) unless { context.via in Client::"tests" };"#,
    ),
    (
        Tier::Permit,
        "jql",
        r#"permit(principal, action == Action::"jira.issue.search", resource == Unresolved::"Jira::Issue");"#,
    ),
    (Tier::Approval, "deletes", r#"forbid(principal, action in Action::"delete", resource);"#),
];

/// The site with dispatchers, and the same site with every tool listed.
const SERVERS: [&str; 2] = ["atlassian", "flat"];

async fn world(reveal: bool) -> World {
    let sim = callgate_sim::Sim::start(callgate_sim::Site::demo(), Default::default());
    let flat = sim.await.unwrap();
    let url = format!("{}?tools=all", flat.url);
    // It is only asked for its list and for calls that do nothing here; it lives as long as the test.
    tokio::spawn(async move {
        let _alive = flat;
        std::future::pending::<()>().await;
    });
    let servers = vec![("flat", "atlassian-rovo", Some(url))];
    World::start(Setup { reveal, servers, policies: ALL.to_vec(), ..Setup::default() }).await
}

/// Every tool of a server with arguments that fit it. Only under [`ALL`] is the list the server's own.
async fn tools(world: &World, server: &'static str) -> Vec<(String, String)> {
    let list = world.ask(&Ask::new("alice", "tools/list", "{}").at(server)).await;
    let answer = list.answer();
    let tools = answer.get("result").and_then(|result| result.get("tools")).unwrap();
    tools.as_array().unwrap().iter().map(with_arguments).collect()
}

fn with_arguments(tool: &Json) -> (String, String) {
    let name = tool.get("name").and_then(Json::as_str).unwrap().to_owned();
    let inner = match name.as_str() {
        "executeRead" => Some("getJiraIssue"),
        "executeWrite" => Some("transitionJiraIssue"),
        "executeDestructive" => Some("deleteJiraIssue"),
        _ => None,
    };
    if let Some(inner) = inner {
        let inputs = r#"{"issueIdOrKey":"ENG-42"}"#;
        let inputs = if inner == "transitionJiraIssue" {
            r#"{"issueIdOrKey":"ENG-42","transitionId":"21"}"#
        } else {
            inputs
        };
        return (name, format!(r#"{{"name":"{inner}","cloudId":"{CLOUD}","inputs":{inputs}}}"#));
    }
    let schema = tool.get("inputSchema").unwrap();
    let mut arguments = Object::default();
    for required in schema.get("required").and_then(Json::as_array).unwrap_or_default() {
        let required = required.as_str().unwrap();
        let kind = schema.get("properties").and_then(|all| all.get(required)).unwrap();
        arguments.set(required, sample(required, kind));
    }
    (name, Json::from(arguments).to_text())
}

fn sample(name: &str, schema: &Json) -> Json {
    if let Some(first) = schema.get("enum").and_then(Json::as_array).and_then(|all| all.first()) {
        return first.clone();
    }
    match (name, schema.get("type").and_then(Json::as_str).unwrap()) {
        ("cloudId", _) => CLOUD.into(),
        ("issueIdOrKey" | "inwardIssue" | "outwardIssue", _) => "ENG-42".into(),
        ("projectKey", _) => "ENG".into(),
        ("workspaceId", _) => "acme".into(),
        ("repoSlug", _) => "website".into(),
        ("jql", _) => "project = ENG".into(),
        ("cql", _) => "space = DOCS".into(),
        (_, "string") => "1".into(),
        (_, "integer") => 7.into(),
        (_, "boolean") => true.into(),
        (_, "array") => Json::Array(Vec::new()),
        (_, "object") => Object::default().into(),
        (_, other) => panic!("{name}: {other}"),
    }
}

/// Whether the call was, or after approval could be, made.
fn could(said: &Said) -> bool {
    let told = said.brief();
    ["ok", "tool_error"].contains(&told.as_str())
        || told.starts_with("approval_required")
        || told.starts_with("allow")
}

#[tokio::test]
async fn i3_list_equals_call() {
    let world = world(false).await;
    let mut offered = Vec::new();
    for server in SERVERS {
        offered.push((server, tools(&world, server).await));
    }
    assert!(offered.iter().all(|(_, tools)| tools.len() > 10));
    let (mut hidden, mut shown) = (0, 0);
    for (rules, policies) in
        [("all", ALL), ("none", &[]), ("reads", READS), ("usual", POLICIES), ("walls", CONDITIONS)]
    {
        world.gateway.activate(load(&catalogs(&[]), policies));
        for (caller, (server, tools)) in
            CALLERS.iter().flat_map(|caller| offered.iter().map(move |offer| (caller, offer)))
        {
            let list = world.ask(&Ask::new(caller, "tools/list", "{}").at(server)).await.tools();
            let unknown = world.ask(&Ask::call(caller, "noSuchTool", "{}").at(server)).await;
            for (tool, arguments) in tools {
                let said = world.ask(&Ask::call(caller, tool, arguments).at(server)).await;
                let place = format!("{rules}: {caller} calls {tool} of {server}: {said:?}");
                if list.contains(tool) {
                    shown += 1;
                    assert_ne!(said.brief(), "error -32602", "{place}");
                } else {
                    hidden += 1;
                    assert_eq!(said.text(), unknown.text().replace("noSuchTool", tool), "{place}");
                    assert_eq!((said.status, &said.headers), (unknown.status, &unknown.headers));
                    assert!(!could(&said), "{place}");
                }
            }
            if rules == "none" || *caller == "alice-asserted" {
                assert!(list.is_empty(), "{rules}: {caller} is shown {list:?}");
            }
        }
    }
    assert!(hidden > 300 && shown > 300, "{hidden} hidden, {shown} shown");
}

#[tokio::test]
async fn i3_arguments_of_a_hidden_tool_tell_nothing() {
    let world = world(false).await;
    world.gateway.activate(load(&catalogs(&[]), READS));
    let unknown = world.call("alice", "noSuchTool", "{}").await;
    let unknown = unknown.text().replace("noSuchTool", "editJiraIssue");
    for arguments in ["{}", r#"{"issueIdOrKey":7}"#, r#"{"nonsense":true}"#] {
        let said = world.call("alice", "editJiraIssue", arguments).await;
        assert_eq!(said.text(), unknown, "{arguments}");
    }
}

#[tokio::test]
async fn i3_denied_tools_are_told_from_unknown_ones_only_if_configured() {
    let world = world(true).await;
    world.gateway.activate(load(&catalogs(&[]), READS));
    let arguments = crate::client::edit("ENG-42", "x");
    assert!(!world.list("alice").await.tools().contains(&"editJiraIssue".to_owned()));
    let said = world.call("alice", "editJiraIssue", &arguments).await;
    assert_eq!(said.brief(), "deny human_not_permitted");
    assert_eq!(world.call("alice", "noSuchTool", "{}").await.brief(), "error -32602");
    assert_eq!(world.executed(), 0);
}

/// What a tool that lists tools shows is what the caller could use, and nothing that nobody classified.
#[tokio::test]
async fn i3_what_is_discovered_is_what_could_be_used() {
    let found = async |token: &str| {
        let setup = Setup { policies: [POLICIES, DISCOVER].concat(), ..Setup::default() };
        let world = World::start(setup).await;
        let said = world.call(token, "discover", r#"{"query":"jira issue page video"}"#).await;
        let text = said.answer().get("result").and_then(|result| result.get("content")).cloned();
        let text = text.unwrap().as_array().unwrap()[0].get("text").unwrap().clone();
        let list = crate::support::json(text.as_str().unwrap());
        let rows = list.get("operations").and_then(Json::as_array).unwrap().to_vec();
        let name = |row: &Json| row.get("name").and_then(Json::as_str).unwrap().to_owned();
        rows.iter().map(name).collect::<Vec<String>>()
    };
    let (alice, triage) = (found("alice").await, found("alice-triage").await);
    let has = |list: &[String], name: &str| list.iter().any(|one| one == name);
    assert!(has(&alice, "editJiraIssue") && has(&alice, "deleteJiraIssue"), "{alice:?}");
    assert!(has(&triage, "listJiraIssueComments") && !has(&triage, "editJiraIssue"), "{triage:?}");
    assert!(!has(&alice, "updateConfluenceContent"), "she may do nothing in Confluence");
    assert!(!has(&alice, "getLoomVideo"), "nobody has classified it");
    assert_eq!(found("nobody").await, Vec::<String>::new());
}

const DISCOVER: &[Rule] = &[(
    Tier::Permit,
    "discover",
    r#"permit(principal, action == Action::"atlassian.tools.discover", resource);"#,
)];

/// A dispatcher does not run what lists tools: its answer would not be filtered.
#[tokio::test]
async fn p12_what_lists_tools_is_not_run_by_a_dispatcher() {
    let world = World::start(Setup { policies: ALL.to_vec(), ..Setup::default() }).await;
    for name in ["discover", "executeRead", "executeWrite", "Discover", ""] {
        let arguments = format!(r#"{{"name":"{name}","inputs":{{"query":"x"}}}}"#);
        let said = world.call("alice", "executeRead", &arguments).await.brief();
        assert_eq!(said, "deny dispatch_unknown", "{name}");
    }
    assert_eq!(world.calls_sent(), 0);
}
