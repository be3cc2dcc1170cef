//! Resources whose URIs name something by the catalog: decided on the resource and on that.

use callgate_model::json::Json;
use callgate_policy::{Bundle, Tier};
use callgate_sim::Eras;

use super::{CALLERS, PAGES, TEMPLATE, client, complete, could, members, setup};
use crate::client::Ask;
use crate::store::event;
use crate::support::{Rule, Setup, World, catalogs, load};

const CATALOG: &[(&str, &str)] = &[(
    "ours.toml",
    r#"
format = 1
name = "atlassian-rovo"
version = "ours"
extends = "atlassian-rovo"

[target."Handbook::Chapter"]

[resource."acme://handbook/{chapter}"]
targets = [{ kind = "Handbook::Chapter", at = "/chapter" }]

[resource."acme://issues/{key}"]
targets = [{ kind = "Jira::Issue", at = "/key" }]
"#,
)];

const SERVER: Rule = (
    Tier::Permit,
    "server",
    r#"permit(principal, action == Action::"mcp.resource.read", resource in MCP::Server::"atlassian");"#,
);
const ENG: Rule = (
    Tier::Permit,
    "eng",
    r#"permit(principal in Group::"engineering", action in Action::"read", resource in Jira::Project::"acme/ENG");"#,
);
const AUTOMATION: Rule = (
    Tier::Permit,
    "automation",
    r#"permit(principal in AgentClass::"automation", action == Action::"mcp.resource.read", resource);"#,
);
const CHAPTERS: Rule = (
    Tier::Permit,
    "chapters",
    r#"permit(principal in Group::"engineering", action == Action::"mcp.resource.read", resource is Handbook::Chapter);"#,
);
const PEOPLE: Rule = (
    Tier::Guardrail,
    "people",
    r#"forbid(principal is Agent, action, resource == Handbook::Chapter::"people");"#,
);
const SUPPORT: Rule = (
    Tier::Approval,
    "support",
    r#"forbid(principal, action in Action::"read", resource == Handbook::Chapter::"support");"#,
);

const ISSUE: &str = "acme://issues/ENG-42";
const CHAPTER: &str = "acme://handbook/engineering";

async fn start(policies: &[Rule]) -> World {
    let setup =
        Setup { policies: policies.to_vec(), catalogs: CATALOG, reveal: true, ..setup(Eras::Both) };
    World::start(setup).await
}

fn bundle(policies: &[Rule]) -> Bundle {
    load(&catalogs(CATALOG), policies)
}

#[tokio::test]
async fn i3_what_is_shown_is_what_both_targets_allow() {
    let world = start(&[SERVER, ENG, AUTOMATION, CHAPTERS, PEOPLE, SUPPORT]).await;
    for (caller, pages) in [
        ("alice", &PAGES[..]),
        ("alice-release", &["acme://handbook/engineering", "acme://handbook/support"]),
        ("alice-triage", &[]),
        ("bob-release", &[]),
        ("nobody", &[]),
    ] {
        let list = world.ask(&Ask::new(caller, "resources/list", "{}")).await;
        assert_eq!(members(&list, "resources", "uri"), pages, "{caller}");
    }
    for (caller, modern) in CALLERS.iter().flat_map(|caller| [(*caller, true), (*caller, false)]) {
        let by = client(&world, caller, modern).await;
        let list = world.ask(&by(Ask::new(caller, "resources/list", "{}"))).await;
        let shown = members(&list, "resources", "uri");
        for uri in PAGES {
            let said = world.ask(&by(Ask::read(caller, uri))).await;
            let place = format!("{caller}, modern {modern}, {uri}: {said:?}");
            assert_eq!(could(&said), shown.iter().any(|one| one == uri), "{place}");
        }
    }
}

#[tokio::test]
async fn a_uri_is_decided_on_what_it_names_and_recorded_with_it() {
    let world = start(&[SERVER, ENG]).await;
    for (caller, uri, wanted) in [
        ("alice", ISSUE, "ok"),
        ("alice", "acme://issues/OPS-7", "refused deny human_not_permitted"),
        ("alice", "acme://issues/10042", "refused deny target_unresolved"),
        ("alice", CHAPTER, "refused deny human_not_permitted"),
        ("bob", ISSUE, "refused deny human_not_permitted"),
        ("alice-triage", ISSUE, "refused deny agent_not_permitted"),
    ] {
        assert_eq!(world.ask(&Ask::read(caller, uri)).await.brief(), wanted, "{caller} {uri}");
    }
    // What is completed is a template, and names nothing.
    let template = format!(r#"{{"type":"ref/resource","uri":"{TEMPLATE}"}}"#);
    assert_eq!(world.ask(&complete("bob", &template, "key")).await.brief(), "ok");
    assert_eq!(world.executed(), 2);
    let rows = world.record().await;
    let intent = event(rows.iter().find(|row| row.kind == "intent").unwrap());
    let understood = intent.get("understood").unwrap();
    assert_eq!(understood.get("operation").and_then(Json::as_str), Some("mcp.resource.read"));
    let targets = understood.get("targets").and_then(Json::as_array).unwrap();
    let ids: Vec<_> = targets.iter().map(|t| t.get("id").and_then(Json::as_str).unwrap()).collect();
    assert_eq!(ids, ["atlassian/acme://issues/ENG-42", "acme/ENG-42"]);
}

/// Whoever may read every resource of the server, and ENG, does not come to OPS by another spelling.
#[tokio::test]
async fn z02_no_other_spelling_slips_past_what_a_uri_names() {
    let world = start(&[SERVER, ENG]).await;
    let session = world.session("alice").await;
    for uri in [
        "ACME://issues/OPS-7",
        "Acme://issues/ENG-42",
        "%61cme://issues/OPS-7",
        "acme://ISSUES/OPS-7",
        "acme://%69ssues/OPS-7",
        "acme://x@issues/OPS-7",
        "acme://issues:80/OPS-7",
        "acme:issues/OPS-7",
        "acme:/issues/OPS-7",
        "acme:///issues/OPS-7",
        "acme://issues//OPS-7",
        "acme://issues/OPS-7/",
        "acme://issues/OPS-7?x",
        "acme://issues/ENG-42#OPS-7",
        "acme://issues/ENG-42%2FOPS-7",
        "acme://issues/ENG-42%5COPS-7",
        "acme://issues/ENG-42%00",
        "acme://issues/ENG-42%ff",
        "acme://issues/%254fPS-7",
        "acme://issues",
        "//issues/OPS-7",
        "issues/OPS-7",
        TEMPLATE,
    ] {
        let said = world.ask(&Ask::read("alice", uri).in_session(&session)).await;
        assert_eq!(said.brief(), "refused deny target_unresolved", "{uri}");
    }
    for (uri, wanted) in [
        ("acme://issues/ops-7", "refused deny human_not_permitted"),
        ("acme://issues/%4FPS-7", "refused deny human_not_permitted"),
        ("acme://issues/../issues/OPS-7", "refused deny arguments_invalid"),
    ] {
        let said = world.ask(&Ask::read("alice", uri).in_session(&session)).await;
        assert_eq!(said.brief(), wanted, "{uri}");
    }
    assert!(world.sim.ledger().requests().is_empty());
    // Another scheme is none of the catalog's business: the site says that it has no such thing.
    let said = world.ask(&Ask::read("alice", "other://issues/OPS-7")).await;
    assert_eq!(said.brief(), "error -32602");
    assert!(!world.sim.ledger().requests().is_empty());
}

#[tokio::test]
async fn i9_a_forbid_of_either_target_holds_and_each_needs_its_permit() {
    let everything: Rule = (Tier::Permit, "all", "permit(principal, action, resource);");
    let world = start(&[everything]).await;
    for (rule, denied) in [
        (r#"forbid(principal, action, resource in MCP::Server::"atlassian");"#, true),
        (
            r#"forbid(principal, action, resource == MCP::Resource::"atlassian/acme://issues/ENG-42");"#,
            true,
        ),
        (r#"forbid(principal, action, resource in Jira::Project::"acme/ENG");"#, true),
        (
            r#"forbid(principal, action == Action::"mcp.resource.read", resource == Jira::Issue::"acme/ENG-42");"#,
            true,
        ),
        (r#"forbid(principal, action, resource in Jira::Project::"acme/OPS");"#, false),
    ] {
        world.gateway.activate(bundle(&[everything, (Tier::Guardrail, "guardrail", rule)]));
        let said = world.ask(&Ask::read("alice", ISSUE)).await;
        let wanted = if denied { "refused deny guardrail" } else { "ok" };
        assert_eq!(said.brief(), wanted, "{rule}");
    }
    for permit in [SERVER, ENG] {
        world.gateway.activate(bundle(&[permit]));
        let said = world.ask(&Ask::read("alice", ISSUE)).await;
        assert_eq!(said.brief(), "refused deny human_not_permitted", "{}", permit.1);
    }
}

/// Whoever may have no resource of the server, though what they name, is shown none and is not told what there is.
#[tokio::test]
async fn i3_a_permit_for_what_uris_name_alone_shows_nothing() {
    let world = World::start(Setup {
        catalogs: CATALOG,
        policies: vec![ENG, CHAPTERS],
        ..setup(Eras::Both)
    })
    .await;
    for (method, member) in
        [("resources/list", "resources"), ("resources/templates/list", "resourceTemplates")]
    {
        let list = world.ask(&Ask::new("alice", method, "{}")).await;
        assert!(members(&list, member, "name").is_empty(), "{method}");
    }
    assert_eq!(world.ask(&Ask::read("alice", ISSUE)).await.brief(), "error -32602");
    assert!(world.sim.ledger().requests().is_empty());
}

/// The same policies with and without what the catalog says of URIs.
#[tokio::test]
async fn i9_what_a_catalog_says_of_uris_lets_nobody_read_more() {
    let hr: Rule = (
        Tier::Guardrail,
        "hr",
        r#"forbid(principal, action, resource == MCP::Resource::"atlassian/acme://issues/HR-3");"#,
    );
    for policies in [&[SERVER, hr][..], &[SERVER, ENG, hr], &[ENG], &[AUTOMATION, ENG, SERVER, hr]]
    {
        let setup = || Setup { policies: policies.to_vec(), reveal: true, ..setup(Eras::Both) };
        let plain = World::start(setup()).await;
        let mapped = World::start(Setup { catalogs: CATALOG, ..setup() }).await;
        let uris = [ISSUE, CHAPTER, "acme://issues/HR-3", "acme://ISSUES/ENG-42", "other:x"];
        for (caller, uri) in CALLERS.iter().flat_map(|caller| uris.map(|uri| (caller, uri))) {
            let refused = async |world: &World| {
                world.ask(&Ask::read(caller, uri)).await.brief().starts_with("refused deny")
            };
            assert!(!refused(&plain).await || refused(&mapped).await, "{caller} {uri}");
        }
    }
}
