//! Where opaque ids belong: asked of the server in the caller's name, before the decision, and only if it could matter.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use callgate_gateway::resolve::{FOUND_FOR, FOUND_FOR_CHANGES};
use callgate_model::json::Json;
use callgate_policy::Tier;

use crate::client::{edit, issue};
use crate::store::{event, reasons};
use crate::support::{CLOUD, POLICIES, Rule, Setup, World};

/// A page of DOCS, and one of HR.
const DOCS_PAGE: &str = "200001";
const HR_PAGE: &str = "200004";

/// Engineers may do everything in ENG and in DOCS.
const IN_DOCS: &[Rule] = &[(
    Tier::Permit,
    "docs",
    r#"permit(principal in Group::"engineering", action, resource in Confluence::Space::"acme/DOCS");"#,
)];

/// Everybody may read everything but HR, even what is not known.
const NOT_HR: &[Rule] = &[
    (Tier::Permit, "all", r#"permit(principal, action in Action::"read", resource);"#),
    (
        Tier::Permit,
        "unknown",
        r#"permit(principal, action in Action::"read", resource is Unresolved);"#,
    ),
    (
        Tier::Guardrail,
        "hr",
        r#"forbid(principal, action, resource in Confluence::Space::"acme/HR");"#,
    ),
];

async fn world(rules: &[Rule]) -> World {
    World::start(Setup { policies: [POLICIES, rules].concat(), ..Setup::default() }).await
}

fn page(id: &str) -> String {
    format!(r#"{{"cloudId":"{CLOUD}","content_id":"{id}"}}"#)
}

impl World {
    async fn read_page(&self, token: &str, id: &str) -> String {
        self.call(token, "getConfluenceContent", &page(id)).await.brief()
    }
}

#[tokio::test]
async fn i5_a_page_is_decided_in_the_space_that_it_is_in() {
    let world = world(IN_DOCS).await;
    assert_eq!(world.read_page("alice", DOCS_PAGE).await, "ok");
    assert_eq!(world.executed(), 2, "the gateway's own read, and the call");
    assert_eq!(world.read_page("alice", HR_PAGE).await, "deny human_not_permitted");
    assert_eq!(world.executed(), 3, "the gateway's own read");
    let address = |place: &str| format!("https://acme.atlassian.net/wiki/{place}");
    for (spelled, said) in [
        (address("spaces/DOCS/pages/200004"), "deny human_not_permitted"),
        (address("spaces/HR/pages/200001"), "ok"),
        (address("x/RA0D"), "deny human_not_permitted"),
        // It goes through, and the simulated site has no such link.
        (address("x/QQ0D"), "tool_error"),
    ] {
        let arguments = format!(r#"{{"cloudId":"{CLOUD}","content_url":"{spelled}"}}"#);
        let answer = world.call("alice", "getConfluenceContent", &arguments).await;
        assert_eq!(answer.brief(), said, "{spelled}");
    }
    assert_eq!(world.read_page("alice", "999999").await, "deny target_unresolved");
}

#[tokio::test]
async fn i11_what_the_gateway_reads_is_recorded_as_its_own_and_says_for_which_call() {
    let world = world(IN_DOCS).await;
    world.read_page("alice", DOCS_PAGE).await;
    let rows = world.record().await;
    let of_kind = |kind: &str| rows.iter().filter(|row| &*row.kind == kind).collect::<Vec<_>>();
    let [own, call] = of_kind("intent")[..] else { panic!("{rows:?}") };
    assert_eq!(reasons(own), ["gateway_read"]);
    assert_eq!(reasons(call), ["permitted"]);
    let (own, call) = (event(own), event(call));
    assert_eq!(own.get("resolves"), call.get("call"));
    assert_eq!(call.get("resolves"), Some(&Json::Null));
    assert_eq!(own.get("caller"), call.get("caller"));
    let targets = call.get("understood").and_then(|known| known.get("targets")).unwrap();
    let wanted = format!(
        r#"[{{"kind":"Confluence::Page","id":"acme/{DOCS_PAGE}","in":["Confluence::Space::acme/DOCS","Atlassian::Site::acme"]}}]"#
    );
    assert_eq!(targets.canonical(), crate::support::json(&wanted).canonical());
    assert_eq!(of_kind("outcome").len(), 2);
}

#[tokio::test]
async fn nothing_is_resolved_that_the_decision_does_not_need() {
    let world = world(IN_DOCS).await;
    // Bob's group may do nothing anywhere.
    assert!(world.read_page("bob", DOCS_PAGE).await.starts_with("deny"));
    // Under which page it would be does not matter if it may not be in that space.
    let arguments = format!(
        r#"{{"cloudId":"{CLOUD}","spaceId":"HR","parentId":"{DOCS_PAGE}","title":"t","body":"b"}}"#
    );
    let said = world.call("alice", "createConfluenceContent", &arguments).await.brief();
    assert!(said.starts_with("deny"), "{said}");
    assert_eq!(world.calls_sent(), 0);
    // A key tells.
    assert_eq!(world.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    assert_eq!(world.calls_sent(), 1);
}

#[tokio::test]
async fn a_guardrail_holds_for_what_is_only_found_by_asking() {
    let world = world(NOT_HR).await;
    assert_eq!(world.read_page("bob", DOCS_PAGE).await, "ok");
    assert_eq!(world.read_page("bob", HR_PAGE).await, "deny guardrail");
}

#[tokio::test]
async fn an_issue_by_its_number_is_decided_in_its_project() {
    let world = world(&[]).await;
    assert_eq!(world.call("alice", "getJiraIssue", &issue("10002")).await.brief(), "ok");
    let other = world.call("alice", "getJiraIssue", &issue("10006")).await;
    assert_eq!(other.brief(), "deny human_not_permitted");
}

#[tokio::test]
async fn i6_what_was_found_is_kept_shortly_for_who_found_it() {
    let world = world(IN_DOCS).await;
    for _ in 0..3 {
        assert_eq!(world.read_page("alice", DOCS_PAGE).await, "ok");
    }
    assert_eq!(world.executed(), 4, "asked once");
    assert_eq!(world.read_page("ci", DOCS_PAGE).await, "ok");
    assert_eq!(world.executed(), 6, "another caller asks for itself");
    world.clock.pass(i64::try_from(FOUND_FOR.as_millis()).unwrap());
    assert_eq!(world.read_page("alice", DOCS_PAGE).await, "ok");
    assert_eq!(world.executed(), 8, "it may be somewhere else by now");
}

#[tokio::test]
async fn what_is_found_is_found_by_whatever_way_the_server_has() {
    let rules = [POLICIES, IN_DOCS].concat();
    let mut setup = Setup { policies: rules, ..Setup::default() };
    setup.sim.flat_tools = true;
    let flat = World::start(setup).await;
    assert_eq!(flat.read_page("alice", DOCS_PAGE).await, "ok");
    assert_eq!(flat.read_page("alice", HR_PAGE).await, "deny human_not_permitted");
}

#[tokio::test]
async fn i13_where_there_is_no_room_nothing_is_asked() {
    let rules = [POLICIES, IN_DOCS].concat();
    let setup = Setup { policies: rules, calls_in_flight_max: 0, ..Setup::default() };
    let world = World::start(setup).await;
    assert_eq!(world.read_page("alice", DOCS_PAGE).await, "deny overloaded");
    assert_eq!(world.calls_sent(), 0);
}

#[tokio::test]
async fn a_transition_is_decided_by_the_status_that_it_leads_to() {
    const NOT_DONE: &[Rule] = &[(
        Tier::Guardrail,
        "done",
        r#"forbid(principal, action == Action::"jira.issue.transition", resource) when { context.input.status == "Done" };"#,
    )];
    let with = world(NOT_DONE).await;
    let to = |id: &str| {
        format!(r#"{{"cloudId":"{CLOUD}","issueIdOrKey":"ENG-42","transitionId":"{id}"}}"#)
    };
    let said = async |world: &World, id: &str| {
        world.call("alice", "transitionJiraIssue", &to(id)).await.brief()
    };
    assert_eq!(said(&with, "31").await, "ok");
    assert_eq!(said(&with, "41").await, "deny guardrail");
    assert_eq!(said(&with, "99").await, "deny target_unresolved");
    assert_eq!(with.sim.ledger().count("transitionJiraIssue"), 1);
    assert_eq!(with.sim.ledger().count("listJiraIssueTransitions"), 3);
    // Where no policy wants to know it, it is not asked.
    let without = world(&[]).await;
    assert_eq!(said(&without, "41").await, "ok");
    assert_eq!(without.calls_sent(), 1);
}

#[tokio::test]
async fn z02_an_issue_that_was_moved_is_changed_where_it_is_now() {
    let setup = Setup { confirms_moves: true, ..Setup::default() };
    let world = World::start(setup).await;
    let edit =
        async |key: &str| world.call("alice", "editJiraIssue", &edit(key, "new")).await.brief();
    assert_eq!(edit("ENG-42").await, "ok");
    assert_eq!(world.sim.ledger().count("getJiraIssue"), 1);
    let moved = world.sim.site(|site| site.move_issue("ENG-43", "HR").unwrap());
    assert!(moved.starts_with("HR-"), "{moved}");
    assert_eq!(edit("ENG-43").await, "deny human_not_permitted");
    assert_eq!(world.sim.ledger().count("editJiraIssue"), 1);
    let back = world.sim.site(|site| site.move_issue("HR-3", "ENG").unwrap());
    assert!(back.starts_with("ENG-"), "{back}");
    assert_eq!(edit("HR-3").await, "deny human_not_permitted", "nobody asks for what is denied");
    assert_eq!(edit(&back).await, "ok");
    assert_eq!(edit("ENG-4711").await, "deny target_unresolved", "there is no such issue");
    let rows = world.record().await;
    let last = rows
        .iter()
        .rfind(|row| row.tool.as_deref() == Some("editJiraIssue") && &*row.kind == "intent")
        .unwrap();
    assert!(event(last).to_text().contains(&format!("acme/{back}")), "{last:?}");
}

/// What was found for a read is no longer good for a change that comes later.
#[tokio::test]
async fn z08_a_change_is_decided_where_the_thing_is_and_not_where_it_was_read() {
    let world = World::start(Setup { confirms_moves: true, ..Setup::default() }).await;
    let edit = async || world.call("alice", "editJiraIssue", &edit("ENG-43", "new")).await.brief();
    assert_eq!(edit().await, "ok");
    assert_eq!(edit().await, "ok");
    assert_eq!(world.sim.ledger().count("getJiraIssue"), 1, "in one go it is asked once");
    world.sim.site(|site| site.move_issue("ENG-43", "HR").unwrap());
    world.clock.pass(i64::try_from(FOUND_FOR_CHANGES.as_millis()).unwrap());
    assert_eq!(edit().await, "deny human_not_permitted");
    assert_eq!(world.sim.ledger().count("editJiraIssue"), 2);
}

/// What a product's own interface answers, and what it was asked.
#[derive(Clone, Default)]
struct Product(Arc<Mutex<Vec<String>>>);

async fn product(
    State(Product(asked)): State<Product>,
    headers: HeaderMap,
    uri: Uri,
) -> (StatusCode, &'static str) {
    let authorization = headers["authorization"].to_str().unwrap();
    asked.lock().unwrap().push(format!("{authorization} {uri}"));
    match uri.path() {
        "/base/rest/agile/1.0/sprint/11" => (StatusCode::OK, r#"{"id":11,"originBoardId":1}"#),
        "/base/rest/agile/1.0/sprint/31" => (StatusCode::OK, r#"{"id":31,"originBoardId":3}"#),
        "/base/rest/api/3/issueLink/7" => (
            StatusCode::OK,
            r#"{"id":"7","inwardIssue":{"key":"ENG-42"},"outwardIssue":{"key":"ENG-43"}}"#,
        ),
        "/base/rest/api/3/version/5" => (StatusCode::OK, r#"{"id":"5","projectId":10000}"#),
        "/base/rest/api/3/project/10000" => (StatusCode::OK, r#"{"id":"10000","key":"ENG"}"#),
        _ => (StatusCode::NOT_FOUND, "{}"),
    }
}

#[tokio::test]
async fn what_no_tool_tells_the_product_itself_is_asked() {
    let (asked, listener) =
        (Product::default(), tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("http://{}/base/", listener.local_addr().unwrap());
    let router = Router::new().fallback(product).with_state(asked.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let world = World::start(Setup { rest: Some(url), ..Setup::default() }).await;
    let sprint = |id: &str| {
        format!(
            r#"{{"name":"manageJiraSprint","cloudId":"{CLOUD}","inputs":{{"name":"Cleanup","sprintId":"{id}"}}}}"#
        )
    };
    let decided = async |id: &str| world.call("alice", "executeWrite", &sprint(id)).await.brief();
    let said = decided("11").await;
    assert!(["ok", "tool_error"].contains(&&*said), "sprint, board by a tool, project: {said}");
    assert_eq!(decided("31").await, "deny human_not_permitted", "it is HR's");
    assert_eq!(decided("99").await, "deny target_unresolved");
    let version =
        r#"{"name":"getJiraProjectVersionRelatedWork","cloudId":"$","inputs":{"versionId":"5"}}"#;
    let version = world.call("alice", "executeRead", &version.replace('$', CLOUD)).await.brief();
    assert!(["ok", "tool_error"].contains(&&*version), "version, project by number: {version}");
    let first = asked.0.lock().unwrap()[0].clone();
    assert_eq!(first, "Bearer upstream-canary /base/rest/agile/1.0/sprint/11");
    let rows = world.record().await;
    let own = rows.iter().filter(|row| row.text.contains("gateway_read")).collect::<Vec<_>>();
    assert!(own.iter().any(|row| row.text.contains(r#""method":"GET""#)), "{own:?}");
    assert!(own.iter().all(|row| !row.text.contains("upstream-canary")), "I7");
}
