//! What is touched, with a server that others wrote: mcp-atlassian before a fake Jira and Confluence, whose log is the oracle.
//! The gateway is as it is when nothing is said: an operator approves tools, and what may have been moved is asked for.

use callgate_tests::backend::Backend;
use callgate_tests::gateway::{Gateway, callgate};
use callgate_tests::install;
use callgate_tests::upstream::Upstream;
use callgate_tests::wire::{Ask, Heard};
use serde_json::{Value, json};

use super::world::{ALICE, setup};

const PERMITS: &str = r#"
@id("everybody-works-in-eng") @reason("A small company") @owner("platform")
permit(principal, action, resource in Jira::Project::"acme/ENG");
@id("everybody-works-in-docs") @reason("A small company") @owner("platform")
permit(principal, action, resource in Confluence::Space::"acme/DOCS");
"#;

async fn world() -> (Backend, Upstream, Gateway) {
    let python = install::python(&install::default_directory()).unwrap();
    let backend = Backend::start().await.unwrap();
    let upstream = Upstream::start(&python, &backend).await.unwrap();
    let server = format!(
        "[servers.jira]\nurl = \"{}\"\ncatalog = \"mcp-atlassian\"\ndefault_site = \"acme\"\n\
         credential = {{ file = \"jira.secret\" }}\n\
         [servers.jira.sites.acme]\nurl = \"https://acme.atlassian.net\"\n\
         rest = {{ jira = \"{}\", confluence = \"{}\" }}\n",
        upstream.url, backend.url, backend.url
    );
    let gateway = setup()
        .file("policies/guardrails/all.cedar", "")
        .file("policies/permits/all.cedar", PERMITS)
        .file("jira.secret", "secret-canary")
        .section(&server)
        .start()
        .await
        .unwrap();
    (backend, upstream, gateway)
}

async fn cli(gateway: &Gateway, command: &[&str]) -> String {
    let ran = callgate(gateway.path(), command, "").await.unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout
}

async fn call(gateway: &Gateway, tool: &str, arguments: Value) -> Heard {
    Ask::call("jira", ALICE, tool, arguments).send(gateway.address).await.unwrap()
}

#[tokio::test]
async fn t02_an_operator_approves_tools_of_a_real_server_on_the_command_line() {
    let (backend, _upstream, gateway) = world().await;
    let read = json!({ "issue_key": "ENG-1" });
    let refused = call(&gateway, "jira_get_issue", read.clone()).await;
    assert!(refused.reasons().contains("tool_unapproved"), "{refused:?}");
    let listed = cli(&gateway, &["tools", "list", "jira"]).await;
    let new = listed.lines().filter(|line| line.trim_start().starts_with("new ")).count();
    assert_eq!(new, 98, "every tool is classified, and none is approved:\n{listed}");
    let shown = cli(&gateway, &["tools", "show", "jira", "jira_delete_issue"]).await;
    for said in ["jira.issue.delete", "critical", "catalogs/mcp-atlassian.toml", "destructiveHint"]
    {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    cli(&gateway, &["tools", "pin", "jira", "jira_get_issue"]).await;
    assert!(call(&gateway, "jira_get_issue", read).await.is_success());
    cli(&gateway, &["tools", "pin", "jira", "--new"]).await;
    let listed = cli(&gateway, &["tools", "list", "jira", "--json"]).await;
    let standing = |line: &str| {
        let tool: Value = serde_json::from_str(line).unwrap();
        tool.get("standing").and_then(Value::as_str).map(str::to_owned)
    };
    assert!(listed.lines().all(|line| standing(line).as_deref() == Some("approved")), "{listed}");
    assert!(backend.writes().is_empty());
    let changes =
        cli(&gateway, &["evidence", "list", "--changes", "--json", "--limit", "200"]).await;
    let pinned = changes.lines().filter(|line| line.contains(r#""change":"tool_pinned""#));
    assert_eq!(pinned.count(), 98, "each approval is in the record");
}

#[tokio::test]
async fn opaque_ids_and_queries_of_a_real_server_are_decided_where_they_lead() {
    let (backend, _upstream, gateway) = world().await;
    cli(&gateway, &["tools", "pin", "jira", "--new"]).await;
    let page = |id: &str| json!({ "page_id": id });
    let issue = |key: &str| json!({ "issue_key": key });
    let sprint = |id: &str| json!({ "sprint_id": id });
    let jql = |jql: &str| json!({ "jql": jql });
    let allowed = [
        ("confluence_get_page", page("101")),
        ("jira_get_sprint_issues", sprint("11")),
        ("jira_search", jql("project = ENG AND status = Done")),
        ("confluence_search", json!({ "query": "space = DOCS" })),
        ("jira_update_issue", json!({ "issue_key": "ENG-1", "fields": "{\"summary\":\"x\"}" })),
    ];
    for (tool, arguments) in allowed {
        let heard = call(&gateway, tool, arguments).await;
        assert!(heard.is_success(), "{tool}: {heard:?}");
    }
    // It is let through; the tool itself only works in the cloud.
    let numbered = json!({ "issue_ids_or_keys": "10001,ENG-2" });
    let heard = call(&gateway, "jira_batch_get_changelogs", numbered).await;
    assert!(heard.body.contains("only available on Jira Cloud"), "{heard:?}");
    let writes = backend.writes().len();
    assert_eq!(writes, 1);
    let denied = [
        ("confluence_get_page", page("201"), "human_not_permitted"),
        ("confluence_delete_page", page("201"), "human_not_permitted"),
        ("confluence_get_page", page("999"), "target_unresolved"),
        (
            "jira_batch_get_changelogs",
            json!({ "issue_ids_or_keys": "ENG-1,10003" }),
            "human_not_permitted",
        ),
        ("jira_get_sprint_issues", sprint("22"), "human_not_permitted"),
        ("jira_update_sprint", sprint("22"), "human_not_permitted"),
        ("jira_update_sprint", sprint("33"), "target_unresolved"),
        ("jira_search", jql("project = ENG OR text ~ x"), "query_unbounded"),
        ("jira_search", jql("project = Engineering"), "human_not_permitted"),
        ("confluence_search", json!({ "query": "salary" }), "query_unbounded"),
        ("jira_delete_issue", issue("ENG-99"), "target_unresolved"),
    ];
    for (tool, arguments, reason) in denied {
        let heard = call(&gateway, tool, arguments.clone()).await;
        assert!(heard.reasons().contains(reason), "{tool} {arguments}: {heard:?}");
    }
    assert_eq!(backend.writes().len(), writes, "nothing that was denied changed anything");
    let evidence = gateway.evidence_when(|all| all.is_settled()).await.unwrap();
    assert!(!format!("{evidence:?}").contains("secret-canary"), "I7");
    let verified = gateway.cli(&["evidence", "verify"]).await.unwrap();
    assert_eq!(verified.code, Some(0), "{verified:?}");
}
