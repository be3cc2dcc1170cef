//! Foreign clients and the foreign server with nothing in between: what the other suites compare with. If one of
//! these fails, the fault is not the gateway's.

use callgate_sim::{Eras, Sim, SimOptions, Site};
use callgate_tests::backend::Backend;
use callgate_tests::drive::{Client, Plan};
use callgate_tests::install;
use callgate_tests::upstream::Upstream;
use serde_json::{Value, json};

const SITE: &str = "https://acme.atlassian.net";

fn python() -> install::Python {
    install::python(&install::default_directory()).unwrap()
}

fn node() -> install::Node {
    install::node(&install::default_directory()).unwrap()
}

/// Lists, reads, deletes through the dispatcher, and asks for what is not there.
fn plan(url: &str) -> Plan {
    let issue = json!({ "cloudId": SITE, "issueIdOrKey": "ENG-42" });
    let delete = json!({ "name": "deleteJiraIssue", "cloudId": SITE, "inputs": { "issueIdOrKey": "ENG-42" } });
    Plan::new(url)
        .token("token-of-the-operator")
        .list()
        .call_with_progress("getJiraIssue", issue.clone())
        .call("executeDestructive", delete)
        .call("getJiraIssue", issue)
        .call("deleteJiraIssue", json!({}))
}

async fn against_the_site(client: &Client, protocol: &str, eras: Eras, version: &str) {
    let options = SimOptions {
        eras,
        token: Some("token-of-the-operator".to_owned()),
        sse: eras != Eras::Both,
        ..SimOptions::default()
    };
    let sse = options.sse;
    let sim = Sim::start(Site::demo(), options).await.unwrap();
    let told = client.run(&plan(&sim.url).protocol(protocol)).await.unwrap();

    assert_eq!(told.connect["protocolVersion"], version, "{}", told.connect);
    let [list, read, delete, again, hidden] = told.steps.as_slice() else { panic!("{told:?}") };
    let names: Vec<_> =
        list["tools"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(names.contains(&"executeDestructive") && !names.contains(&"deleteJiraIssue"));
    assert_eq!(read["isError"], false, "{read}");
    assert!(read["text"].as_str().unwrap().contains("card issuer times out"));
    assert_eq!(read["progress"].as_array().unwrap().len(), usize::from(sse), "{read}");
    assert_eq!(delete["text"], r#"{"deleted":"ENG-42"}"#);
    assert_eq!(again["isError"], true);
    assert_eq!(hidden["error"]["code"], -32602, "{hidden}");

    let entries = sim.ledger().entries();
    let operations: Vec<_> = entries.iter().map(|entry| entry.operation.as_str()).collect();
    assert_eq!(operations, ["getJiraIssue", "deleteJiraIssue", "getJiraIssue"]);
    assert_eq!(entries[1].tool, "executeDestructive");
    let sent: Value = serde_json::from_str(&entries[1].arguments).unwrap();
    assert_eq!(sent["inputs"]["issueIdOrKey"], "ENG-42");
    assert_eq!(entries[1].header("authorization"), Some("Bearer token-of-the-operator"));
    assert!(sim.site(|site| site.issue("ENG-42").is_none() && site.issue("ENG-41").is_some()));
}

#[tokio::test]
async fn the_python_client_and_the_simulated_site_agree() {
    let client = Client::python(&python());
    against_the_site(&client, "legacy", Eras::Both, "2025-11-25").await;
    against_the_site(&client, "legacy", Eras::Legacy, "2025-11-25").await;
}

#[tokio::test]
async fn the_typescript_client_and_the_simulated_site_agree_in_both_eras() {
    let client = Client::node(&node());
    against_the_site(&client, "auto", Eras::Both, "2026-07-28").await;
    against_the_site(&client, "2026-07-28", Eras::Modern, "2026-07-28").await;
    against_the_site(&client, "auto", Eras::Legacy, "2025-11-25").await;
    against_the_site(&client, "legacy", Eras::Both, "2025-11-25").await;
}

#[tokio::test]
async fn a_flat_list_has_every_page_and_no_dispatcher() {
    let sim = Sim::start(Site::demo(), SimOptions::default()).await.unwrap();
    let plan = Plan::new(&format!("{}?tools=all", sim.url)).list();
    for client in [Client::python(&python()), Client::node(&node())] {
        let told = client.run(&plan).await.unwrap();
        let names = told.steps[0]["tools"].as_array().unwrap();
        assert!(names.len() > 20, "{names:?}");
        assert!(names.contains(&json!("mergeBitbucketRepoPullRequest")));
        assert!(!names.contains(&json!("executeWrite")));
    }
}

#[tokio::test]
async fn a_wrong_token_reaches_no_tool() {
    let options = SimOptions { token: Some("right".to_owned()), ..SimOptions::default() };
    let sim = Sim::start(Site::demo(), options).await.unwrap();
    let plan =
        Plan::new(&sim.url).token("wrong").timeout_ms(5_000).call("atlassianUserInfo", json!({}));
    for client in [Client::python(&python()), Client::node(&node())] {
        let told = client.run(&plan).await.unwrap();
        assert_eq!(told.connect["error"]["status"], 401, "{}", told.connect);
        assert!(!told.steps[0]["error"].is_null());
    }
    assert!(sim.ledger().entries().is_empty());
    assert!(sim.ledger().requests().len() >= 2, "the requests themselves were seen");
}

/// Every operation the backend knows, then a delete of what is not there.
fn every_operation(url: &str) -> Plan {
    let create = json!({ "project_key": "ENG", "summary": "New", "issue_type": "Task" });
    let update = json!({ "issue_key": "ENG-1", "fields": "{\"summary\":\"Edited\"}" });
    let transition = json!({ "issue_key": "ENG-1", "transition_id": "31" });
    let create_page = json!({ "space_key": "DOCS", "title": "New", "content": "Text" });
    let update_page = json!({ "page_id": "101", "title": "How", "content": "Text" });
    Plan::new(url)
        .token("token-of-alice")
        .list()
        .call("jira_get_issue", json!({ "issue_key": "ENG-1" }))
        .call("jira_search", json!({ "jql": "project = ENG" }))
        .call("jira_create_issue", create)
        .call("jira_update_issue", update)
        .call("jira_transition_issue", transition)
        .call("jira_add_comment", json!({ "issue_key": "ENG-1", "body": "Seen." }))
        .call("jira_delete_issue", json!({ "issue_key": "ENG-2" }))
        .call("jira_get_all_projects", json!({}))
        .call("confluence_get_page", json!({ "page_id": "101" }))
        .call("confluence_search", json!({ "query": "release" }))
        .call("confluence_create_page", create_page)
        .call("confluence_update_page", update_page)
        .call("jira_delete_issue", json!({ "issue_key": "ENG-999" }))
}

#[tokio::test]
async fn mcp_atlassian_reaches_the_backend_once_per_call() {
    let (python, node) = (python(), node());
    for client in [Client::python(&python), Client::node(&node)] {
        let backend = Backend::start().await.unwrap();
        let upstream = Upstream::start(&python, &backend).await.unwrap();
        let told = client.run(&every_operation(&upstream.url)).await.unwrap();
        let (list, calls) = told.steps.split_first().unwrap();
        assert_eq!(list["tools"].as_array().unwrap().len(), 98);
        let (missing, calls) = calls.split_last().unwrap();
        for call in calls {
            assert_eq!(call["isError"], false, "{call}");
        }
        assert_eq!(missing["isError"], true, "{missing}");

        assert_eq!(backend.issue("ENG-1").unwrap()["fields"]["summary"], "Edited");
        assert!(backend.issue("ENG-2").is_none());
        assert_eq!(backend.page("101").unwrap()["title"], "How");
        let writes = backend.writes();
        let methods: Vec<_> = writes.iter().map(|arrival| arrival.method.as_str()).collect();
        let once_each = ["POST", "PUT", "POST", "POST", "DELETE", "POST", "PUT", "DELETE"];
        assert_eq!(methods, once_each);
        for arrival in backend.arrivals() {
            assert_eq!(arrival.authorization.as_deref(), Some("Bearer token-of-alice"));
        }
    }
}
