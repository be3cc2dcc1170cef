//! Real clients through the gateway, in front of the simulated site and of a real third-party server. What the client
//! is told, what the server saw and what the evidence says must be one story.

use callgate_sim::{Eras, Running, SimOptions};
use callgate_tests::backend::Backend;
use callgate_tests::drive::{Client, Plan, Told};
use callgate_tests::evidence::{Decision, Evidence};
use callgate_tests::gateway::Gateway;
use callgate_tests::install;
use callgate_tests::upstream::Upstream;
use serde_json::{Value, json};

use super::world::{
    ALICE, READER, SECRET, SITE, edit, read, reconcile, setup, site, site_and_gateway,
};

pub(crate) const LEGACY: &str = "2025-11-25";
pub(crate) const MODERN: &str = "2026-07-28";

/// A client, what it is told to speak, and what it must end up speaking.
pub(crate) type Speaker = (Client, &'static str, &'static str);

pub(crate) fn speakers() -> Vec<Speaker> {
    let directory = install::default_directory();
    let python = install::python(&directory).unwrap();
    let node = install::node(&directory).unwrap();
    vec![
        (Client::python(&python), "legacy", LEGACY),
        (Client::node(&node), "auto", MODERN),
        (Client::node(&node), "legacy", LEGACY),
    ]
}

/// Every answer there is: Alice's release bot on the simulated site.
fn every_answer(url: &str, protocol: &str) -> Plan {
    let search = json!({ "cloudId": SITE, "jql": "text ~ \"salary\"" });
    let page = json!({ "cloudId": SITE, "spaceId": "65537", "title": "t", "body": "b" });
    Plan::new(url)
        .token(ALICE)
        .protocol(protocol)
        .list()
        .call_with_progress("getJiraIssue", read("ENG-42"))
        .call("editJiraIssue", edit("ENG-42", "Edited through the gate"))
        .call("editJiraIssue", edit("HR-3", "x"))
        .call("editJiraIssue", edit("OPS-7", "x"))
        .call("editJiraIssue", edit("SUP-101", "x"))
        .call("deleteJiraIssue", read("ENG-45"))
        .call("searchJiraIssuesUsingJql", search)
        .call("getJiraIssue", json!({ "cloudId": SITE }))
        .call("createConfluenceContent", page)
        .call("dropEverything", json!({}))
}

/// What the evidence has of [`every_answer`], and the client is told.
pub(crate) const REFUSED: [&str; 6] = [
    "editJiraIssue: guardrail",
    "editJiraIssue: agent_not_permitted",
    "editJiraIssue: human_not_permitted",
    "deleteJiraIssue: approval_required",
    "searchJiraIssuesUsingJql: query_unbounded",
    "getJiraIssue: arguments_invalid",
];

pub(crate) fn names(list: &Value) -> Vec<&str> {
    let mut names: Vec<_> =
        list["tools"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names
}

/// The decision in the result of a refused call, as a client's program reads it.
pub(crate) fn decision(step: &Value) -> (&str, &str) {
    assert_eq!(step["isError"], true, "{step}");
    let decision = &step["meta"]["dev.callgate/decision"];
    let (Some(verdict), Some(reason)) =
        (decision["decision"].as_str(), decision["reasons"][0]["code"].as_str())
    else {
        panic!("{step}")
    };
    assert!(step["text"].as_str().unwrap().contains(reason), "the model is told, too: {step}");
    assert_eq!(step["structured"], Value::Null);
    (verdict, reason)
}

fn check_every_answer(told: &Told, version: &str) {
    assert_eq!(told.connect["protocolVersion"], version, "{}", told.connect);
    assert_eq!(told.connect["serverInfo"]["name"], "callgate", "{}", told.connect);
    let [list, got, edited, refused @ .., hidden, unknown] = told.steps.as_slice() else {
        panic!("{told:?}")
    };
    let may = ["deleteJiraIssue", "editJiraIssue", "getJiraIssue", "searchJiraIssuesUsingJql"];
    assert_eq!(names(list), may, "exactly what could be allowed");
    assert_eq!(got["isError"], false, "{got}");
    assert!(got["text"].as_str().unwrap().contains("ENG-42"), "{got}");
    assert_eq!(got["progress"].as_array().unwrap().len(), 1, "{got}");
    assert_eq!(edited["isError"], false, "{edited}");
    assert_eq!(refused.len(), REFUSED.len());
    for (step, wanted) in refused.iter().zip(REFUSED) {
        let (verdict, reason) = decision(step);
        assert!(wanted.ends_with(&format!(": {reason}")), "{wanted}: {step}");
        let asks = reason == "approval_required";
        assert_eq!(verdict, if asks { "approval_required" } else { "deny" });
    }
    // What the caller could never use and what does not exist look the same but for the name.
    for (step, name) in [(hidden, "createConfluenceContent"), (unknown, "dropEverything")] {
        assert_eq!(step["error"]["code"], -32602, "{step}");
        let message = step["error"]["message"].as_str().unwrap();
        assert!(message.ends_with(&format!("Unknown tool: {name}")), "{step}");
        assert_eq!(step["error"]["data"], Value::Null);
    }
}

/// What one client's [`every_answer`] leaves in the evidence, after `before` decisions.
fn check_evidence(evidence: &Evidence, before: usize) {
    let new = Evidence(evidence.0[before..].to_vec());
    let outcomes: Vec<_> =
        new.intents().iter().map(|intent| (intent.tool(), intent.outcome.as_deref())).collect();
    let succeeded = Some("succeeded");
    assert_eq!(outcomes, [("getJiraIssue", succeeded), ("editJiraIssue", succeeded)]);
    let refused = new.refused();
    let [as_told @ .., hidden, unknown] = refused.as_slice() else { panic!("{refused:?}") };
    assert_eq!(as_told, REFUSED);
    assert_eq!(hidden, "createConfluenceContent: target_unresolved");
    assert_eq!(unknown, "dropEverything: tool_unknown");
    assert!(new.0.iter().all(|decision| decision.human() == "alice"));
}

async fn through_to_the_site(eras: Eras) {
    let (sim, gateway) =
        site_and_gateway(SimOptions { eras, sse: true, ..SimOptions::default() }).await;
    let mut before = 0;
    for (client, protocol, version) in speakers() {
        let url = gateway.url("atlassian");
        let told = client.run(&every_answer(&url, protocol)).await.unwrap();
        check_every_answer(&told, version);
        let enough = |e: &Evidence| e.0.len() >= before + 10 && e.is_settled();
        let evidence = gateway.evidence_when(enough).await.unwrap();
        check_evidence(&evidence, before);
        reconcile(&sim, &evidence);
        before = evidence.0.len();
    }
    check_the_site(&sim);
}

/// Three clients edited ENG-42, and nothing else happened but that the gateway read what was to be deleted, for those who
/// would approve it.
fn check_the_site(sim: &Running) {
    assert_eq!(sim.ledger().count("editJiraIssue"), 3);
    assert_eq!(sim.ledger().entries().len(), 6 + 1);
    sim.site(|site| {
        assert_eq!(site.issue("ENG-42").unwrap().summary, "Edited through the gate");
        assert!(site.issue("ENG-45").is_some() && site.issue("HR-3").unwrap().summary != "x");
    });
    for request in sim.ledger().requests() {
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {SECRET}")));
    }
}

#[tokio::test]
async fn clients_of_both_eras_before_a_site_of_both_eras() {
    through_to_the_site(Eras::Both).await;
}

#[tokio::test]
async fn clients_of_both_eras_before_a_modern_site() {
    through_to_the_site(Eras::Modern).await;
}

#[tokio::test]
async fn clients_of_both_eras_before_a_legacy_site() {
    through_to_the_site(Eras::Legacy).await;
}

#[tokio::test]
async fn a_dispatcher_hides_nothing() {
    let sim = site(SimOptions::default()).await;
    let setup = setup().server("atlassian", &sim.url, "atlassian-rovo", SECRET);
    let gateway = setup.start().await.unwrap();
    let run =
        |name: &str, inputs: Value| json!({ "name": name, "cloudId": SITE, "inputs": inputs });
    let issue = |key: &str| json!({ "issueIdOrKey": key });
    let other = "https://other.atlassian.net";
    let edited = json!({ "issueIdOrKey": "ENG-42", "fields": { "summary": "Inside" } });
    let plan = Plan::new(&gateway.url("atlassian"))
        .token(ALICE)
        .list()
        .call("executeDestructive", run("deleteJiraIssue", issue("ENG-42")))
        .call("executeRead", run("deleteJiraIssue", issue("ENG-42")))
        .call("executeWrite", run("dropEverything", json!({})))
        .call(
            "executeWrite",
            run(
                "editJiraIssue",
                json!({ "cloudId": other, "issueIdOrKey": "ENG-42", "fields": {} }),
            ),
        )
        .call("executeWrite", run("editJiraIssue", edited));
    let only_reads = Plan::new(&gateway.url("atlassian"))
        .token(READER)
        .list()
        .call("executeWrite", run("editJiraIssue", issue("ENG-42")));
    let (client, ..) = speakers().remove(0);
    let told = client.run(&plan).await.unwrap();
    let [list, refused @ .., allowed] = told.steps.as_slice() else { panic!("{told:?}") };
    let may = [
        "editJiraIssue",
        "executeDestructive",
        "executeRead",
        "executeWrite",
        "getJiraIssue",
        "searchJiraIssuesUsingJql",
    ];
    assert_eq!(names(list), may);
    let reasons: Vec<_> = refused.iter().map(|step| decision(step).1).collect();
    let wanted =
        ["approval_required", "dispatch_tier_mismatch", "dispatch_unknown", "dispatch_conflict"];
    assert_eq!(reasons, wanted);
    assert_eq!(allowed["isError"], false, "{allowed}");

    let told = client.run(&only_reads).await.unwrap();
    assert_eq!(names(&told.steps[0]), ["executeRead", "getJiraIssue"]);
    assert_eq!(told.steps[1]["error"]["message"], "Unknown tool: executeWrite");

    let evidence = gateway.evidence_when(|e| e.0.len() >= 6 && e.is_settled()).await.unwrap();
    reconcile(&sim, &evidence);
    assert_eq!((sim.ledger().entries().len(), evidence.intents().len()), (2, 1));
    assert_eq!(evidence.intents()[0].text("/understood/operation"), "jira.issue.edit");
}

/// The same wishes in the words of `mcp-atlassian`.
fn in_other_words(url: &str, protocol: &str) -> Plan {
    let update = |key: &str| json!({ "issue_key": key, "fields": "{\"summary\":\"Edited\"}" });
    Plan::new(url)
        .token(ALICE)
        .protocol(protocol)
        .list()
        .call("jira_get_issue", json!({ "issue_key": "ENG-1" }))
        .call("jira_update_issue", update("ENG-1"))
        .call("jira_update_issue", update("HR-1"))
        .call("jira_update_issue", update("OPS-7"))
        .call("jira_update_issue", update("SUP-101"))
        .call("jira_delete_issue", json!({ "issue_key": "ENG-2" }))
        .call("jira_search", json!({ "jql": "text ~ \"salary\"" }))
        .call("jira_get_issue", json!({}))
        .call("confluence_delete_page", json!({ "page_id": "101" }))
        .call("jira_drop_everything", json!({}))
}

#[tokio::test]
async fn one_policy_holds_for_two_servers_with_other_words() {
    let python = install::python(&install::default_directory()).unwrap();
    let backend = Backend::start().await.unwrap();
    let upstream = Upstream::start(&python, &backend).await.unwrap();
    let sim = site(SimOptions::default()).await;
    let gateway = setup()
        .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
        .server("data-center", &upstream.url, "mcp-atlassian", SECRET)
        .start()
        .await
        .unwrap();
    for (client, protocol, version) in speakers() {
        let told =
            client.run(&in_other_words(&gateway.url("data-center"), protocol)).await.unwrap();
        check_other_words(&told, version);
        let told = client.run(&every_answer(&gateway.url("atlassian"), protocol)).await.unwrap();
        let codes: Vec<_> = told.steps[3..9].iter().map(|step| decision(step).1).collect();
        assert_eq!(codes, CODES);
    }
    check_the_backend(&backend, &gateway).await;
}

/// The reason of each of the six refusals, on either server.
const CODES: [&str; 6] = [
    "guardrail",
    "agent_not_permitted",
    "human_not_permitted",
    "approval_required",
    "query_unbounded",
    "arguments_invalid",
];

fn check_other_words(told: &Told, version: &str) {
    assert_eq!(told.connect["protocolVersion"], version, "{}", told.connect);
    let [list, got, edited, refused @ .., hidden, unknown] = told.steps.as_slice() else {
        panic!("{told:?}")
    };
    let may = ["jira_delete_issue", "jira_get_issue", "jira_search", "jira_update_issue"];
    assert_eq!(names(list), may);
    assert_eq!(got["isError"], false, "{got}");
    assert_eq!(edited["isError"], false, "{edited}");
    let codes: Vec<_> = refused.iter().map(|step| decision(step).1).collect();
    assert_eq!(codes, CODES);
    assert_eq!(hidden["error"]["message"], "Unknown tool: confluence_delete_page", "{hidden}");
    assert_eq!(unknown["error"]["message"], "Unknown tool: jira_drop_everything", "{unknown}");
}

/// Three clients edited ENG-1 once each; every request came with the operator's credential, none with a client's.
async fn check_the_backend(backend: &Backend, gateway: &Gateway) {
    let writes = backend.writes();
    let seen: Vec<_> = writes.iter().map(|w| (w.method.as_str(), w.path.as_str())).collect();
    assert_eq!(seen, [("PUT", "/rest/api/2/issue/ENG-1"); 3]);
    assert_eq!(backend.issue("ENG-1").unwrap()["fields"]["summary"], "Edited");
    for arrival in backend.arrivals() {
        assert_eq!(arrival.authorization.as_deref(), Some(&*format!("Bearer {SECRET}")));
        assert!(!arrival.path.contains("HR-1") && !arrival.path.contains("salary"), "{arrival:?}");
    }
    let evidence = gateway.evidence_when(|e| e.0.len() >= 60 && e.is_settled()).await.unwrap();
    let (theirs, ours): (Vec<_>, Vec<_>) =
        evidence.intents().into_iter().partition(|one| one.text("/server") == "data-center");
    let operations = |intents: &[&Decision]| -> Vec<String> {
        intents.iter().map(|one| one.text("/understood/operation").to_owned()).collect()
    };
    assert_eq!(operations(&theirs), ["jira.issue.read", "jira.issue.edit"].repeat(3));
    assert_eq!(operations(&theirs), operations(&ours), "both servers, the same operations");
}

#[tokio::test]
async fn a_wrong_token_reaches_nothing() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    for (client, protocol, _) in speakers() {
        let plan = Plan::new(&gateway.url("atlassian"))
            .token("token-of-mallory")
            .protocol(protocol)
            .timeout_ms(5_000)
            .call("getJiraIssue", read("ENG-42"));
        let told = client.run(&plan).await.unwrap();
        assert_eq!(told.connect["error"]["status"], 401, "{}", told.connect);
        assert!(!told.steps[0]["error"].is_null());
    }
    assert!(sim.ledger().requests().is_empty());
    let evidence = gateway.evidence_when(|e| e.0.len() >= 3).await.unwrap();
    assert!(
        evidence.0.iter().all(|one| one.human().is_empty() && one.reasons() == "unauthenticated")
    );
}
