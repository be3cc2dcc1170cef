use callgate_model::products::atlassian::{SiteEntry, SiteMap};

use super::*;
use crate::catalog::Catalogs;

const CATALOG: &str = r#"
format = 1
name = "own"
version = "1"
uses = ["atlassian"]

[target."Tracker::Board"]

[target."Tracker::Ticket"]
in = "Tracker::Board"

[target."Tracker::Team"]
case = "ignored"

[resource."jira://{site}/issues/{key}"]
targets = [{ kind = "Jira::Issue", at = "/key", site = "/site" }]

[resource."jira://{site}/search?jql={jql}"]
risk = "high"
targets = [{ kind = "Jira::Issue", query = "/jql", language = "jql", site = "/site" }]

[resource."jira://about"]
targets = []

[resource."issues:{keys}"]
targets = [{ kind = "Jira::Issue", at = "/keys", split = "," }]

[resource."tracker://{board}/{number}"]
targets = [{ kind = "Tracker::Ticket", at = ["/board", "/number"] }]

[resource."team://{team}"]
targets = [{ kind = "Tracker::Team", at = "/team" }]
"#;

fn server(catalog: &str) -> ServerCatalog {
    let site = SiteEntry {
        alias: "acme".into(),
        cloud_id: None,
        url: Some("https://acme.atlassian.net".into()),
    };
    let sites = SiteMap::new(&[site], Some("acme")).unwrap();
    Catalogs::shipped(&[("own.toml", CATALOG)]).unwrap().for_server("s", catalog, sites).unwrap()
}

/// The targets of reading `uri` beside the resource, each as its id or the reason why it has none.
fn named(server: &ServerCatalog, uri: &str) -> Vec<String> {
    let resource = mcp::resource("s", uri).unwrap();
    let (_, targets) = server.locate_uri(resource.clone(), uri).unwrap();
    let (first, rest) = targets.split_first().unwrap();
    assert_eq!(*first, resource, "the resource is always a target");
    let brief = |target: &Target| match target {
        Target::Located(found) => found.resource.to_string().replace('"', ""),
        Target::Unresolved(not) => format!("{} ? {}", not.kind, not.obstacle.as_str()),
    };
    rest.iter().map(brief).collect()
}

#[test]
fn a_uri_names_what_its_shape_says() {
    let server = server("own");
    for (uri, targets) in [
        ("jira://acme.atlassian.net/issues/ENG-42", &["Jira::Issue acme/ENG-42"][..]),
        ("jira://ACME.atlassian.net/issues/eng%2D42", &["Jira::Issue acme/ENG-42"]),
        ("jira://other.atlassian.net/issues/ENG-42", &["Jira::Issue ? unknown_site"]),
        ("jira://acme.atlassian.net/issues/10042", &["Jira::Issue ? opaque_id"]),
        ("jira://acme.atlassian.net/issues/ENG-42;x", &["Jira::Issue ? unknown_form"]),
        ("jira://acme.atlassian.net/search?jql=key%3DENG-1", &["Jira::Issue acme/ENG-1"]),
        ("jira://acme.atlassian.net/search?jql=x", &["Jira::Issue ? query"]),
        ("jira://about", &[]),
        ("issues:ENG-1,OPS-2", &["Jira::Issue acme/ENG-1", "Jira::Issue acme/OPS-2"]),
        ("tracker://ops/42", &["Tracker::Ticket ops/42"]),
        ("team://Ops", &["Tracker::Team ops"]),
        ("file:///a", &[]),
        ("ajira://acme.atlassian.net/issues/ENG-42", &[]),
    ] {
        assert_eq!(named(&server, uri), targets, "{uri}");
    }
}

/// What its server may take for a URI that names something else is not a URI that names nothing.
#[test]
fn z02_what_is_almost_a_uri_with_a_name_is_unresolved() {
    let server = server("own");
    for uri in [
        "JIRA://acme.atlassian.net/issues/ENG-42",
        "Jira:acme",
        "jira:",
        "jira://acme.atlassian.net",
        "jira://acme.atlassian.net/issues/ENG-42/",
        "jira://acme.atlassian.net/%69ssues/ENG-42",
        "jira://acme.atlassian.net/issues/ENG-42?x",
        "jira://acme.atlassian.net/issues/ENG%252D42",
        "jira://acme.atlassian.net:443/issues/ENG-42",
        "jira://x@acme.atlassian.net/issues/ENG-42",
        "jira://{site}/issues/{key}/",
        "%6aira://acme.atlassian.net/issues/ENG-42",
        "//acme.atlassian.net/issues/ENG-42",
        "acme.atlassian.net/issues/ENG-42",
        "issues",
        "tracker://Ops/42",
        "tracker://%4Fps/42",
        "tracker://x@ops/42",
        "tracker://x%40ops/42",
        "tracker://ops:80/42",
    ] {
        assert_eq!(named(&server, uri), ["MCP::Resource ? unknown_form"], "{uri}");
    }
    let without = self::server("atlassian-rovo");
    assert_eq!(named(&without, "JIRA://acme.atlassian.net/issues/ENG-42"), [""; 0]);
}

#[test]
fn i9_what_is_of_no_shape_is_as_bad_as_the_worst_of_its_scheme() {
    let server = server("own");
    for (uri, risk) in [
        ("jira://acme.atlassian.net/issues/ENG-42", Risk::Low),
        ("jira://acme.atlassian.net/search?jql=x", Risk::High),
        ("Jira://acme.atlassian.net/issues/ENG-42", Risk::High),
        ("tracker://Ops/42", Risk::Low),
        ("x", Risk::High),
        ("file:///a", Risk::Low),
    ] {
        let resource = mcp::resource("s", uri).unwrap();
        assert_eq!(server.locate_uri(resource, uri).unwrap().0, risk, "{uri}");
    }
}

#[test]
fn too_many_targets_are_refused() {
    let keys: Vec<String> = (1..=super::super::TARGETS_MAX).map(|n| format!("E1-{n}")).collect();
    let uri = format!("issues:{}", keys.join(","));
    let resource = mcp::resource("s", &uri).unwrap();
    assert_eq!(server("own").locate_uri(resource, &uri), Err(Reason::TooManyTargets));
}
