//! Approvals with clients that others wrote: a call that waits is never taken for one that was made; after a lead has approved it
//! on the command line, the same call, repeated, is made, once; denied, it is not. What the site executed is the oracle.

use callgate_sim::{Running, SimOptions};
use callgate_tests::drive::{Client, Plan};
use callgate_tests::gateway::{Gateway, Setup, digest};
use callgate_tests::install;
use callgate_tests::wire::Ask;
use serde_json::{Value, json};

use super::clients::{MODERN, decision};
use super::world::{ALICE, PERMITS, SECRET, gated, read, setup, site};

pub(crate) const CAROL: &str = "token-of-carol";
pub(crate) const DAVE: &str = "token-of-dave";
/// Alice herself, who is a lead, too.
pub(crate) const LEAD: &str = "token-of-alice-as-lead";

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

pub(crate) const LEADS: &str = r#"
@id("leads-decide") @reason("They are asked") @owner("platform")
permit(principal in Group::"leads", action in [Action::"callgate.approval.decide", Action::"callgate.approval.list", Action::"callgate.approval.show", Action::"callgate.call.list", Action::"callgate.call.show"], resource);
"#;

/// Alice's release bot deletes after a lead has looked; Carol and Dave are some. `clocks` are annotations of the gate.
pub(crate) async fn world(clocks: &str) -> (Running, Gateway) {
    world_with(clocks, "").await
}

/// The same with another section.
pub(crate) async fn world_with(clocks: &str, section: &str) -> (Running, Gateway) {
    let (sim, setup) = prepared(clocks).await;
    (sim, setup.section(section).start().await.unwrap())
}

/// The same, before it is started.
pub(crate) async fn prepared(clocks: &str) -> (Running, Setup) {
    let sim = site(SimOptions::default()).await;
    let lead = |(token, who): (&str, &str)| {
        let digest = digest(token.as_bytes());
        format!(
            "[[danger_static_tokens]]\nname = \"{who}\"\nsha256 = \"{digest}\"\nhuman = \"{who}\"\ngroups = [\"leads\"]\n"
        )
    };
    let leads = [(CAROL, "carol"), (DAVE, "dave"), (LEAD, "alice")].map(lead).concat();
    let gate = gated(clocks);
    let setup = setup()
        .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
        .section(&leads)
        .file("carol.token", CAROL)
        .file("sealing.key", KEY)
        .file("policies/approvals/all.cedar", &gate)
        .file("policies/permits/all.cedar", &format!("{PERMITS}{LEADS}"));
    (sim, setup)
}

/// What waits, as the command line tells it.
pub(crate) async fn waiting(gateway: &Gateway) -> Vec<Value> {
    gateway.cli(&["approvals", "list", "--json"]).await.unwrap().json().unwrap()
}

/// Carol looks at what waits, and decides.
pub(crate) async fn decide(gateway: &Gateway, how: &str) {
    let all = waiting(gateway).await;
    let [one] = all.as_slice() else { panic!("{all:?}") };
    let (id, code) = (one["id"].as_str().unwrap(), one["code"].as_str().unwrap());
    let shown = gateway.cli(&["approvals", "show", id]).await.unwrap();
    for told in ["alice via release-bot", "jira.issue.delete", "Jira::Issue acme/ENG-45", code] {
        assert!(shown.stdout.contains(told), "{told}: {shown:?}");
    }
    let arguments = ["approvals", how, id, "--code", "0000-0000", "--token", "carol.token"];
    let wrong = gateway.cli(&arguments).await.unwrap();
    assert!(wrong.code == Some(2) && wrong.stderr.contains("the code is another one"), "{wrong:?}");
    let arguments = ["approvals", how, id, "--code", code, "--token", "carol.token"];
    let done = gateway.cli(&arguments).await.unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
}

/// What the client makes of one deletion.
async fn delete(client: &Client, protocol: &str, gateway: &Gateway) -> Value {
    let plan = Plan::new(&gateway.url("atlassian")).token(ALICE).protocol(protocol);
    let told = client.run(&plan.call("deleteJiraIssue", read("ENG-45"))).await.unwrap();
    assert!(told.connect["error"].is_null(), "{}", told.connect);
    told.steps[0].clone()
}

async fn goes_its_way(client: Client, protocol: &str) {
    let (sim, gateway) = world("").await;
    let deleted = || sim.ledger().count("deleteJiraIssue");
    for _ in 0..2 {
        let step = delete(&client, protocol, &gateway).await;
        assert_eq!(decision(&step), ("approval_required", "approval_required"));
        let waits = waiting(&gateway).await;
        assert_eq!(step["meta"]["dev.callgate/decision"]["approval"], waits[0]["id"], "{step}");
        assert_eq!((waits.len(), deleted()), (1, 0), "it joins what waits");
    }
    decide(&gateway, "approve").await;
    let step = delete(&client, protocol, &gateway).await;
    assert_eq!((&step["isError"], deleted()), (&json!(false), 1), "{step}");
    // Once: the next one waits again, and is denied this time.
    let step = delete(&client, protocol, &gateway).await;
    assert_eq!(decision(&step), ("approval_required", "approval_required"));
    decide(&gateway, "deny").await;
    let step = delete(&client, protocol, &gateway).await;
    assert_eq!(decision(&step), ("deny", "approval_denied"));
    assert_eq!(deleted(), 1);
    let habits = gateway.cli(&["approvals", "habits", "--json"]).await.unwrap().json().unwrap();
    let gate = json!([{ "policy": "deletes-need-a-lead", "approved": 1, "denied": 1, "always_approved": false }]);
    assert_eq!(
        (&habits[0]["said"], &habits[0]["approved"], &habits[0]["gates"]),
        (&json!(2), &json!(1), &gate)
    );
}

#[tokio::test]
async fn with_the_typescript_clients() {
    let node = install::node(&install::default_directory()).unwrap();
    tokio::join!(
        goes_its_way(Client::node(&node), MODERN),
        goes_its_way(Client::node(&node), "legacy"),
        goes_its_way(Client::node1(&node), "legacy"),
    );
}

#[tokio::test]
async fn with_the_python_clients() {
    let directory = install::default_directory();
    let python = install::python(&directory).unwrap();
    let python2 = install::python2(&directory).unwrap();
    tokio::join!(
        goes_its_way(Client::python(&python), "legacy"),
        goes_its_way(Client::python2(&python2), MODERN),
        goes_its_way(Client::fastmcp(&python2), MODERN),
    );
}

#[tokio::test]
async fn with_the_rust_client() {
    let rmcp = install::rmcp().unwrap();
    tokio::join!(
        goes_its_way(Client::rmcp(&rmcp), MODERN),
        goes_its_way(Client::rmcp(&rmcp), "legacy"),
    );
}

/// A02: nobody decides for a second, which is a denial.
#[tokio::test]
async fn a02_silence_is_denial() {
    let (sim, gateway) = world("@decide_within(\"1s\")").await;
    let ask = Ask::call("atlassian", ALICE, "deleteJiraIssue", read("ENG-45"));
    ask.send(gateway.address).await.unwrap();
    let first = waiting(&gateway).await[0]["id"].clone();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert!(waiting(&gateway).await.is_empty());
    ask.send(gateway.address).await.unwrap();
    assert_ne!(waiting(&gateway).await[0]["id"], first, "it is asked for again");
    assert_eq!(sim.ledger().count("deleteJiraIssue"), 0);
}

/// A12: killed with an approval spent and the call on its way, nothing is made again.
#[tokio::test]
async fn a12_an_approval_is_not_used_again_after_a_crash() {
    let (sim, mut gateway) = world("").await;
    let ask = Ask::call("atlassian", ALICE, "deleteJiraIssue", read("ENG-45"));
    ask.send(gateway.address).await.unwrap();
    decide(&gateway, "approve").await;
    sim.fault(callgate_sim::Fault::HangAfterExecuting);
    let open = ask.begin(gateway.address).await.unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while sim.ledger().count("deleteJiraIssue") == 0 {
        assert!(std::time::Instant::now() < deadline, "it was not made");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    gateway.kill_9().await.unwrap();
    drop(open);
    sim.clear_faults();
    gateway.restart().await.unwrap();
    let heard = ask.send(gateway.address).await.unwrap();
    assert!(heard.body.contains("approval_required"), "{heard:?}");
    assert_eq!(sim.ledger().count("deleteJiraIssue"), 1);
    let spent =
        gateway.cli(&["approvals", "list", "--all", "--json"]).await.unwrap().json().unwrap();
    let standings: Vec<&str> = spent.iter().filter_map(|one| one["standing"].as_str()).collect();
    assert_eq!(standings, ["waiting", "spent"]);
    let evidence = gateway.evidence_when(|all| all.is_settled()).await.unwrap();
    let made = evidence.intents().into_iter().find(|one| one.tool() == "deleteJiraIssue").cloned();
    assert_eq!(made.unwrap().outcome.as_deref(), Some("indeterminate"));
}
