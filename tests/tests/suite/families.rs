//! More families of real clients: each gets every answer there is, gives up a call that hangs, and goes on after each
//! refusal. The site speaks the other era than the client, so that the gateway has to translate.

use callgate_sim::{Eras, Fault, Running, SimOptions};
use callgate_tests::drive::{Client, Plan, Told};
use callgate_tests::evidence::Evidence;
use callgate_tests::gateway::Gateway;
use callgate_tests::install;
use serde_json::{Value, json};

use super::clients::{LEGACY, MODERN, REFUSED, decision, names};
use super::pipes::bridging;
use super::rmcp::rmcp;
use super::world::{ALICE, SITE, edit, read, reconcile, site_and_gateway, site_and_gateway_with};

/// How long a client waits for the call that hangs: enough for it to arrive. One that starts anew for each step takes
/// longer.
const PATIENCE_MS: u64 = 1_500;
const PATIENCE_OF_A_START_MS: u64 = 4_000;

/// What the issue is called afterwards.
const SUMMARY: &str = "Geändert durch das Tor 🚪";

/// A kind of client.
struct Family {
    client: Client,
    protocol: &'static str,
    /// Whether it opens a session for each step: then nothing can be lost between two, and it asks for the list before
    /// each call and refuses what is not in it by itself.
    step_by_step: bool,
}

impl Family {
    fn new(client: Client, protocol: &'static str) -> Self {
        Self { client, protocol, step_by_step: false }
    }

    fn is_modern(&self) -> bool {
        self.protocol == MODERN
    }

    /// Whether it follows what waits for an approval as a task, until nobody has decided.
    fn follows_tasks(&self) -> bool {
        self.step_by_step && self.is_modern()
    }

    /// What is refused of it, in this order.
    fn refused(&self) -> Vec<&'static str> {
        let expired = Some(EXPIRED).filter(|_| self.follows_tasks());
        let asked = |one: &str| one.ends_with(": approval_required");
        let each = REFUSED.iter().flat_map(|one| [Some(*one), expired.filter(|_| asked(one))]);
        each.flatten().collect()
    }

    /// Whether it goes away from what it gives up. In the legacy era that is no cancellation; all others say so.
    fn goes_away(&self) -> bool {
        self.step_by_step && !self.is_modern()
    }
}

/// What is told of the one that waits, if its client waits for that.
const EXPIRED: &str = "deleteJiraIssue: approval_expired";

/// What Alice's release bot may not have, in the order of [`REFUSED`].
fn refused() -> [(&'static str, Value); 6] {
    [
        ("editJiraIssue", edit("HR-3", "x")),
        ("editJiraIssue", edit("OPS-7", "x")),
        ("editJiraIssue", edit("SUP-101", "x")),
        ("deleteJiraIssue", read("ENG-45")),
        ("searchJiraIssuesUsingJql", json!({ "cloudId": SITE, "jql": "text ~ \"salary\"" })),
        ("getJiraIssue", json!({ "cloudId": SITE })),
    ]
}

/// What it is told does not exist.
fn hidden() -> [(&'static str, Value); 2] {
    let page = json!({ "cloudId": SITE, "spaceId": "65537", "title": "t", "body": "b" });
    [("createConfluenceContent", page), ("dropEverything", json!({}))]
}

fn plan(start: Plan, family: &Family) -> Plan {
    let patience = if family.step_by_step { PATIENCE_OF_A_START_MS } else { PATIENCE_MS };
    let plan = start
        .protocol(family.protocol)
        .list()
        .call_and_cancel("getJiraIssue", read("ENG-41"), patience)
        .call_with_progress("getJiraIssue", read("ENG-42"))
        .call("editJiraIssue", edit("ENG-42", SUMMARY));
    refused().into_iter().chain(hidden()).fold(plan, |plan, (tool, arguments)| {
        let plan = plan.call(tool, arguments);
        if family.step_by_step { plan } else { plan.call("getJiraIssue", read("ENG-42")) }
    })
}

async fn gets_every_answer(family: &Family, start: impl Fn(&Gateway) -> Plan) {
    let eras = if family.is_modern() { Eras::Legacy } else { Eras::Modern };
    let options = SimOptions { eras, sse: true, ..SimOptions::default() };
    let clock = if family.follows_tasks() { "@decide_within(\"2s\")" } else { "" };
    let (sim, gateway) = site_and_gateway_with(options, clock).await;
    sim.fault(Fault::HangAfterExecuting);
    let told = family.client.run(&plan(start(&gateway), family)).await.unwrap();
    check_told(family, &told);
    let refused = family.refused().len();
    let wanted = if family.step_by_step { 3 + refused } else { 3 + 2 * (refused + 2) };
    let unsettled = usize::from(family.goes_away());
    let settled = |e: &Evidence| e.intents().iter().skip(unsettled).all(|i| i.outcome.is_some());
    let decided = |e: &Evidence| e.intents().len() + e.refusals().len();
    let enough = |e: &Evidence| decided(e) >= wanted && settled(e);
    let evidence = gateway.evidence_when(enough).await.unwrap();
    assert_eq!(decided(&evidence), wanted);
    check_evidence(family, &evidence);
    reconcile(&sim, &evidence);
    check_site(&sim);
}

fn check_told(family: &Family, told: &Told) {
    let version = if family.is_modern() { MODERN } else { LEGACY };
    assert_eq!(told.connect["protocolVersion"], version, "{}", told.connect);
    let [list, cancelled, got, edited, rest @ ..] = told.steps.as_slice() else {
        panic!("{told:?}")
    };
    let may = ["deleteJiraIssue", "editJiraIssue", "getJiraIssue", "searchJiraIssuesUsingJql"];
    assert_eq!(names(list), may);
    assert_eq!(cancelled["cancelled"], true, "{cancelled}");
    assert_eq!(got["isError"], false, "{got}");
    let heard = usize::from(!family.step_by_step);
    assert_eq!(got["progress"].as_array().unwrap().len(), heard, "{got}");
    assert_eq!(edited["isError"], false, "{edited}");

    let each = if family.step_by_step { 1 } else { 2 };
    let (refused, hidden): (Vec<_>, Vec<_>) = {
        let (refused, hidden) = rest.split_at(REFUSED.len() * each);
        (refused.chunks(each).collect(), hidden.chunks(each).collect())
    };
    for (steps, wanted) in refused.iter().zip(REFUSED) {
        let (_, reason) = decision(&steps[0]);
        let waited = family.follows_tasks() && wanted.ends_with(": approval_required");
        let wanted = if waited { EXPIRED } else { wanted };
        assert!(wanted.ends_with(&format!(": {reason}")), "{wanted}: {}", steps[0]);
    }
    assert_eq!(hidden.len(), 2);
    for steps in &hidden {
        let code = &steps[0]["error"]["code"];
        assert!(*code == -32602 || *code == "tool_not_found", "{}", steps[0]);
    }
    for after in refused.iter().chain(&hidden).filter_map(|steps| steps.get(1)) {
        assert_eq!(after["isError"], false, "the call after a refusal: {after}");
        assert!(after["text"].as_str().unwrap().contains("ENG-42"), "{after}");
    }
}

fn check_evidence(family: &Family, evidence: &Evidence) {
    let intents = evidence.intents();
    let [given_up, got, edited, after @ ..] = intents.as_slice() else { panic!("{intents:?}") };
    let cancelled = if family.goes_away() { None } else { Some("cancelled") };
    assert_eq!(given_up.outcome.as_deref(), cancelled);
    assert_eq!((got.tool(), edited.tool()), ("getJiraIssue", "editJiraIssue"));
    for intent in [got, edited].into_iter().chain(after) {
        assert_eq!(intent.outcome.as_deref(), Some("succeeded"), "{intent:?}");
    }
    let refused = evidence.refused();
    let wanted = family.refused();
    let (as_told, hidden) = refused.split_at(wanted.len());
    assert_eq!(as_told, wanted);
    let unseen = ["createConfluenceContent: target_unresolved", "dropEverything: tool_unknown"];
    assert_eq!(hidden, if family.step_by_step { &[][..] } else { &unseen[..] });
    assert!(evidence.0.iter().all(|decision| decision.human() == "alice"));
}

fn check_site(sim: &Running) {
    assert_eq!(sim.ledger().count("editJiraIssue"), 1);
    sim.site(|site| {
        assert_eq!(site.issue("ENG-42").unwrap().summary, SUMMARY);
        assert!(site.issue("ENG-45").is_some() && site.issue("HR-3").unwrap().summary != "x");
    });
}

/// Every client that is asked through this file, and what it is to speak, but for the Inspector.
pub(crate) fn sdks() -> [(Client, &'static str); 7] {
    [
        (Client::rmcp(&rmcp()), MODERN),
        (Client::rmcp(&rmcp()), "legacy"),
        (Client::python2(&python2()), MODERN),
        (Client::python2(&python2()), "legacy"),
        (Client::fastmcp(&python2()), MODERN),
        (Client::fastmcp(&python2()), "legacy"),
        (Client::node1(&node()), "legacy"),
    ]
}

fn with_token(gateway: &Gateway) -> Plan {
    Plan::new(&gateway.url("atlassian")).token(ALICE)
}

fn python2() -> install::Python2 {
    install::python2(&install::default_directory()).unwrap()
}

fn node() -> install::Node {
    install::node(&install::default_directory()).unwrap()
}

pub(crate) fn inspector() -> Client {
    Client::inspector(&install::inspector(&install::default_directory()).unwrap())
}

#[tokio::test]
async fn the_second_python_sdk_of_the_modern_era() {
    gets_every_answer(&Family::new(Client::python2(&python2()), MODERN), with_token).await;
}

#[tokio::test]
async fn the_second_python_sdk_of_the_legacy_era() {
    gets_every_answer(&Family::new(Client::python2(&python2()), "legacy"), with_token).await;
}

#[tokio::test]
async fn fastmcp_of_the_modern_era() {
    gets_every_answer(&Family::new(Client::fastmcp(&python2()), MODERN), with_token).await;
}

#[tokio::test]
async fn fastmcp_of_the_legacy_era() {
    gets_every_answer(&Family::new(Client::fastmcp(&python2()), "legacy"), with_token).await;
}

#[tokio::test]
async fn the_first_typescript_sdk() {
    gets_every_answer(&Family::new(Client::node1(&node()), "legacy"), with_token).await;
}

#[tokio::test]
async fn rmcp_of_the_modern_era() {
    gets_every_answer(&Family::new(Client::rmcp(&rmcp()), MODERN), with_token).await;
}

#[tokio::test]
async fn rmcp_of_the_legacy_era() {
    gets_every_answer(&Family::new(Client::rmcp(&rmcp()), "legacy"), with_token).await;
}

#[tokio::test]
async fn rmcp_of_older_versions() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18"] {
        let plan =
            with_token(&gateway).protocol(version).list().call("getJiraIssue", read("ENG-42"));
        let told = Client::rmcp(&rmcp()).run(&plan).await.unwrap();
        assert_eq!(told.connect["protocolVersion"], version, "{}", told.connect);
        assert_eq!(names(&told.steps[0]).len(), 4, "{version}: {told:?}");
        assert_eq!(told.steps[1]["isError"], false, "{version}: {told:?}");
    }
    assert_eq!(sim.ledger().count("getJiraIssue"), 3);
}

#[tokio::test]
async fn the_inspector_of_the_modern_era() {
    let family = Family { step_by_step: true, ..Family::new(inspector(), MODERN) };
    gets_every_answer(&family, with_token).await;
}

#[tokio::test]
async fn the_inspector_of_the_legacy_era() {
    let family = Family { step_by_step: true, ..Family::new(inspector(), "legacy") };
    gets_every_answer(&family, with_token).await;
}

/// A client that knows only pipes, and the bridge it is given for HTTP.
#[tokio::test]
async fn a_client_behind_mcp_remote() {
    let folder = tempfile::tempdir().unwrap();
    let (remote, keeps) = (node().mcp_remote().display().to_string(), folder.path().display());
    let keeps = format!("MCP_REMOTE_CONFIG_DIR={keeps}");
    let header = format!("Authorization: Bearer {ALICE}");
    let start = |gateway: &Gateway| {
        let url = gateway.url("atlassian");
        let command = ["env", &keeps, "node", &remote, &url, "--header", &header];
        Plan::of_command(&[&command[..], &["--transport", "http-only"]].concat())
    };
    gets_every_answer(&Family::new(Client::python2(&python2()), "legacy"), start).await;
}

/// The same with our own bridge.
async fn behind_the_bridge(client: Client, protocol: &'static str) {
    let folder = tempfile::tempdir().unwrap();
    let start = |gateway: &Gateway| bridging(gateway, folder.path());
    gets_every_answer(&Family::new(client, protocol), start).await;
}

#[tokio::test]
async fn a_client_of_the_modern_era_behind_the_bridge() {
    behind_the_bridge(Client::fastmcp(&python2()), MODERN).await;
}

#[tokio::test]
async fn a_client_of_the_legacy_era_behind_the_bridge() {
    behind_the_bridge(Client::python2(&python2()), "legacy").await;
}

#[tokio::test]
async fn rmcp_of_the_modern_era_behind_the_bridge() {
    behind_the_bridge(Client::rmcp(&rmcp()), MODERN).await;
}

#[tokio::test]
async fn rmcp_of_the_legacy_era_behind_the_bridge() {
    behind_the_bridge(Client::rmcp(&rmcp()), "legacy").await;
}

#[tokio::test]
async fn a_wrong_token_reaches_nothing_with_any_client() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let clients = [
        Client::python2(&python2()),
        Client::fastmcp(&python2()),
        Client::node1(&node()),
        Client::rmcp(&rmcp()),
        inspector(),
    ];
    for client in clients {
        let plan = Plan::new(&gateway.url("atlassian"))
            .token("token-of-mallory")
            .timeout_ms(5_000)
            .call("getJiraIssue", read("ENG-42"));
        let told = client.run(&plan).await.unwrap();
        assert!(told.connect["error"].to_string().contains("401"), "{}", told.connect);
        assert!(!told.steps[0]["error"].is_null());
    }
    assert!(sim.ledger().requests().is_empty());
}
