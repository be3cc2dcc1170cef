//! The world of these suites: three callers, one set of policies for every Atlassian server, a site behind the gate.

use std::time::{Duration, Instant};

use callgate_sim::{Running, Sim, SimOptions, Site};
use callgate_tests::evidence::Evidence;
use callgate_tests::gateway::{Chain, Gateway, Setup, digest};
use serde_json::{Value, json};

/// What the gateway calls its servers with.
pub(crate) const SECRET: &str = "secret-of-the-operator";

/// Alice may work in ENG and OPS, her release bot in ENG and SUP.
pub(crate) const ALICE: &str = "token-of-alice";
/// Alice through an agent that only reads.
pub(crate) const READER: &str = "token-of-alice-reading";
/// Bob may work in SUP, and so may the release bot for him.
pub(crate) const BOB: &str = "token-of-bob";

pub(crate) const ALICE_CHAIN: Chain =
    Chain { human: "alice", group: "engineering", agent: "release-bot" };
pub(crate) const BOB_CHAIN: Chain = Chain { human: "bob", group: "support", agent: "release-bot" };
const READER_CHAIN: Chain = Chain { human: "alice", group: "engineering", agent: "reader-bot" };

pub(crate) const GUARDRAILS: &str = r#"
@id("hr-is-closed") @reason("No agent works in HR") @owner("people")
forbid(principal, action, resource in Jira::Project::"acme/HR");
"#;

pub(crate) const APPROVALS: &str = r#"
@id("deletes-need-a-lead") @reason("What is deleted is gone") @owner("platform") @approval("team:leads")
forbid(principal, action in Action::"delete", resource);
"#;

pub(crate) const PERMITS: &str = r#"
@id("engineers-work") @reason("Their own projects") @owner("engineering")
permit(principal in Group::"engineering",
  action in [Action::"jira.issue.read", Action::"jira.issue.edit", Action::"jira.issue.delete", Action::"jira.issue.search"],
  resource in Jira::Project::"acme/ENG");
@id("engineers-help-operations") @reason("On call") @owner("engineering")
permit(principal in Group::"engineering",
  action in [Action::"jira.issue.read", Action::"jira.issue.edit"],
  resource in Jira::Project::"acme/OPS");
@id("support-works") @reason("Their own project") @owner("support")
permit(principal in Group::"support",
  action in [Action::"jira.issue.read", Action::"jira.issue.edit"],
  resource in Jira::Project::"acme/SUP");
@id("release-bot-in-eng") @reason("It prepares releases") @owner("engineering")
permit(principal == Agent::"release-bot",
  action in [Action::"jira.issue.read", Action::"jira.issue.edit", Action::"jira.issue.delete", Action::"jira.issue.search"],
  resource in Jira::Project::"acme/ENG");
@id("release-bot-in-support") @reason("It links requests") @owner("support")
permit(principal == Agent::"release-bot",
  action in [Action::"jira.issue.read", Action::"jira.issue.edit"],
  resource in Jira::Project::"acme/SUP");
@id("reader-bot-reads") @reason("It only reads") @owner("engineering")
permit(principal == Agent::"reader-bot",
  action == Action::"jira.issue.read",
  resource in Jira::Project::"acme/ENG");
"#;

/// Callers and policies, without a server.
pub(crate) fn setup() -> Setup {
    Setup::default()
        .token(ALICE, &ALICE_CHAIN)
        .token(READER, &READER_CHAIN)
        .token(BOB, &BOB_CHAIN)
        .file("policies/guardrails/all.cedar", GUARDRAILS)
        .file("policies/approvals/all.cedar", APPROVALS)
        .file("policies/permits/all.cedar", PERMITS)
}

/// The gate with further annotations.
pub(crate) fn gated(annotations: &str) -> String {
    APPROVALS.replace("forbid(", &format!("{annotations}\nforbid("))
}

/// A simulated site that only the gateway's secret opens.
pub(crate) async fn site(options: SimOptions) -> Running {
    let options = SimOptions { token: Some(SECRET.to_owned()), ..options };
    Sim::start(Site::demo(), options).await.unwrap()
}

/// The simulated site, and the gateway in front of it.
pub(crate) async fn site_and_gateway(options: SimOptions) -> (Running, Gateway) {
    site_and_gateway_with(options, "").await
}

/// The same; `clocks` are annotations of the gate.
pub(crate) async fn site_and_gateway_with(options: SimOptions, clocks: &str) -> (Running, Gateway) {
    let sim = site(options).await;
    let gateway = setup()
        .file("policies/approvals/all.cedar", &gated(clocks))
        .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
        .start()
        .await
        .unwrap();
    (sim, gateway)
}

/// Waits until `what` is so.
pub(crate) async fn wait_until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !what() {
        assert!(Instant::now() < deadline, "it never happened");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The site, as a call may spell it.
pub(crate) const SITE: &str = "https://acme.atlassian.net";

pub(crate) fn read(key: &str) -> Value {
    json!({ "cloudId": "https://acme.atlassian.net", "issueIdOrKey": key })
}

pub(crate) fn edit(key: &str, summary: &str) -> Value {
    json!({ "cloudId": "https://acme.atlassian.net", "issueIdOrKey": key, "fields": { "summary": summary } })
}

/// The master oracle: what the site executed is what the evidence let through, one for one; and the other way round,
/// what has an outcome that says so was executed.
pub(crate) fn reconcile(sim: &Running, evidence: &Evidence) {
    let mut executed: Vec<(String, String)> = sim
        .ledger()
        .entries()
        .iter()
        .map(|entry| (entry.tool.clone(), digest_of(&entry.arguments)))
        .collect();
    let dispatched = evidence
        .dispatched()
        .filter(|intent| !matches!(intent.outcome.as_deref(), Some("not_dispatched")));
    let mut recorded: Vec<(String, String)> = dispatched
        .map(|intent| (intent.tool().to_owned(), intent.text("/arguments_digest").to_owned()))
        .collect();
    executed.sort();
    recorded.sort();
    assert_eq!(executed, recorded, "the site and the evidence disagree");
}

/// The digest of arguments as the evidence has it: of their canonical form, which for the texts of these suites is the
/// compact one with sorted names.
pub(crate) fn digest_of(arguments: &str) -> String {
    let value: Value = serde_json::from_str(arguments).unwrap();
    digest(sorted(&value).to_string().as_bytes())
}

/// The same value with the members of each object in order, also if the library keeps the order it is given.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
        }
        Value::Array(elements) => elements.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
