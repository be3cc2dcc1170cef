//! Z06, Z07: who sees something is changed only with a permit to share, and what leaves the site goes only where it may.

use std::collections::BTreeMap;

use callgate_gateway::rehearse::{Asked, Rehearsal, Supposed, rehearse};
use callgate_model::ambient::Timestamp;
use callgate_policy::Tier;

use crate::people::chain;
use crate::support::{CLOUD, Rule, Setup, World, catalogs, json, load, sites};

/// Alice writes in ENG, links to one host and takes files from one folder; Bob shares in ENG as well.
const RULES: &[Rule] = &[
    (
        Tier::Permit,
        "writes",
        r#"permit(principal is User, action in [Action::"read", Action::"write"], resource in Jira::Project::"acme/ENG");"#,
    ),
    (
        Tier::Permit,
        "writes-docs",
        r#"permit(principal is User, action in Action::"write", resource in Confluence::Space::"acme/DOCS");"#,
    ),
    (
        Tier::Permit,
        "shares",
        r#"permit(principal == User::"bob", action in Action::"share", resource in Jira::Project::"acme/ENG");"#,
    ),
    (
        Tier::Permit,
        "links",
        r#"permit(principal is User, action == Action::"jira.issue.weblink.create", resource == Net::Host::"docs.example");"#,
    ),
    (
        Tier::Permit,
        "exports",
        r#"permit(principal is User, action in Action::"write", resource in Local::Folder::"/srv/exports");"#,
    ),
    (
        Tier::Guardrail,
        "no-keys",
        r#"forbid(principal, action, resource in Local::Folder::"/srv/exports/keys");"#,
    ),
];

async fn world() -> World {
    World::start(Setup { policies: RULES.to_vec(), ..Setup::default() }).await
}

fn write(tool: &str, inputs: &str) -> String {
    format!(r#"{{"name":"{tool}","cloudId":"{CLOUD}","inputs":{inputs}}}"#)
}

#[tokio::test]
async fn z07_a_permit_to_write_is_none_to_share() {
    let world = world().await;
    let watch = write("watchJiraIssue", r#"{"issueIdOrKey":"ENG-42"}"#);
    let comment =
        write("addOrEditJiraIssueWorklog", r#"{"issueIdOrKey":"ENG-42","timeSpent":"5m"}"#);
    assert_eq!(world.call("alice", "executeWrite", &comment).await.brief(), "ok");
    let said = world.call("alice", "executeWrite", &watch).await;
    assert_eq!((said.brief().as_str(), world.executed()), ("deny human_not_permitted", 1));
    assert_eq!(world.call("bob", "executeWrite", &watch).await.brief(), "ok");
    let said = world.call("bob", "executeDestructive", &watch).await;
    assert_eq!(said.brief(), "deny dispatch_tier_mismatch");
    assert_eq!(world.executed(), 2);
    let rows = world.record().await;
    let effects = rows.iter().filter(|row| row.text.contains(r#""effect":"share""#));
    assert_eq!(effects.filter(|row| row.kind == "intent" || row.kind == "refusal").count(), 2);
}

#[tokio::test]
async fn z06_a_link_leads_only_to_hosts_that_are_permitted() {
    let world = world().await;
    let link = |url: &str| {
        let inputs = format!(r#"{{"issueIdOrKey":"ENG-42","url":"{url}","title":"x"}}"#);
        write("createJiraIssueRemoteIssueLink", &inputs)
    };
    for (url, expected) in [
        ("https://evil.example/?q=secret", "deny human_not_permitted"),
        ("https://docs.example.evil.example", "deny human_not_permitted"),
        ("https://docs.example:8443/", "deny human_not_permitted"),
        ("https://docs.example@evil.example/", "deny target_unresolved"),
        ("https://evil.example\\\\@docs.example/", "deny target_unresolved"),
        ("//docs.example/x", "deny target_unresolved"),
        ("javascript:alert(1)", "deny target_unresolved"),
    ] {
        let said = world.call("alice", "executeWrite", &link(url)).await;
        assert_eq!((said.brief().as_str(), world.executed()), (expected, 0), "{url}");
    }
    assert_eq!(world.calls_sent(), 0);
    let said = world.call("alice", "executeWrite", &link("HTTPS://Docs.example:443/x")).await;
    assert_eq!((said.brief().as_str(), world.executed()), ("ok", 1));
}

#[test]
fn z06_files_are_read_only_below_folders_that_are_permitted() {
    let catalogs = catalogs(&[]);
    let bundle = load(&catalogs, RULES);
    let servers = BTreeMap::from([(
        "mcp".to_owned(),
        catalogs.for_server("mcp", "mcp-atlassian", sites()).unwrap(),
    )]);
    let decided = |tool: &str, arguments: &str| {
        let rehearsal = Rehearsal {
            caller: chain("alice", "engineering", "", ""),
            server: "mcp".to_owned(),
            asked: Asked::Tool(tool.to_owned(), json(arguments).as_object().unwrap().clone()),
            grant: None,
            supposed: Supposed::default(),
        };
        let now = Timestamp::from_unix_ms(1_795_600_000_000);
        let decision = rehearse(&servers, &bundle, &rehearsal, now).unwrap().decision(&bundle);
        let codes: Vec<&str> = decision.codes().collect();
        format!("{} {}", decision.verdict.as_str(), codes.join("+"))
    };
    for (path, expected) in [
        ("/srv/exports/2026/page.md", "allow permitted"),
        ("/srv/exports/keys/id_rsa", "deny guardrail"),
        ("/etc/passwd", "deny human_not_permitted"),
        ("/srv/exports2/page.md", "deny human_not_permitted"),
        ("/srv/exports/../../etc/passwd", "deny target_unresolved"),
        ("page.md", "deny target_unresolved"),
        ("", "deny target_unresolved"),
    ] {
        let page = format!(r#"{{"space_key":"DOCS","title":"x","content_file":"{path}"}}"#);
        assert_eq!(decided("confluence_create_page", &page), expected, "{path}");
        let issue = format!(
            r#"{{"issue_key":"ENG-42","fields":"{{}}","attachments":"[\"/srv/exports/a\",\"{path}\"]"}}"#
        );
        assert_eq!(decided("jira_update_issue", &issue), expected, "{path}");
    }
    let page = r#"{"space_key":"DOCS","title":"x","content":"x"}"#;
    assert_eq!(decided("confluence_create_page", page), "allow permitted");
}
