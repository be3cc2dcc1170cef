//! What somebody asks to be erased, from the command line: first it is settled what became of their calls, then nothing that
//! leaves the log says who they are, and all of it can still be verified.

use std::path::Path;

use callgate_sim::Fault;
use callgate_tests::gateway::Gateway;
use callgate_tests::wire::Ask;
use serde_json::Value;

use super::approvals::{decide, prepared};
use super::evidence::verified_chains;
use super::world::{ALICE, ALICE_CHAIN, BOB, edit, read};

const SETTLES: &str = r#"
@id("leads-settle") @reason("They look at the server") @owner("platform")
permit(principal in Group::"leads", action == Action::"callgate.call.settle", resource);
"#;

async fn run(gateway: &Gateway, arguments: &[&str]) -> String {
    let ran = gateway.cli(arguments).await.unwrap();
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    ran.stdout
}

async fn call(gateway: &Gateway, token: &'static str, tool: &str, arguments: Value) -> String {
    let ask = Ask::call("atlassian", token, tool, arguments);
    let heard = ask.send(gateway.address).await.unwrap();
    if heard.is_success() { "done".to_owned() } else { heard.reasons() }
}

/// Everything under a folder, as text.
fn contents(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: std::path::PathBuf| match path.is_dir() {
        true => contents(&path),
        false => String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned(),
    };
    entries.map(text).collect()
}

/// A call of Alice's of which nobody knows, settled by Carol.
async fn settled(gateway: &Gateway) {
    let open = run(gateway, &["evidence", "open", "--json"]).await;
    let open: Value = serde_json::from_str(&open).unwrap();
    let call = open["call"].as_str().unwrap();
    assert!(run(gateway, &["evidence", "open"]).await.contains("indeterminate"));
    let settle =
        ["evidence", "settle", call, "--finding", "took_effect", "--note", "ENG-42 has it"];
    let settle = [&settle[..], &["--token", "carol.token"]].concat();
    assert!(run(gateway, &settle).await.contains("took_effect"));
    let again = gateway.cli(&settle).await.unwrap();
    assert!(again.code == Some(2) && again.stderr.contains("evidence open"), "{again:?}");
    assert_eq!(run(gateway, &["evidence", "open", "--json"]).await, "");
    assert!(run(gateway, &["evidence", "show", call]).await.contains("ENG-42 has it"));
}

/// Alice reads, changes, deletes what Carol approves, holds a grant and a token, and asks in vain; Bob works beside her.
async fn day(gateway: &Gateway) {
    assert_eq!(call(gateway, ALICE, "getJiraIssue", read("ENG-42")).await, "done");
    assert_eq!(call(gateway, ALICE, "getJiraIssue", read("HR-3")).await, "guardrail");
    assert_eq!(call(gateway, ALICE, "deleteJiraIssue", read("ENG-45")).await, "approval_required");
    decide(gateway, "approve").await;
    assert_eq!(call(gateway, ALICE, "deleteJiraIssue", read("ENG-45")).await, "done");
    assert_eq!(call(gateway, BOB, "getJiraIssue", read("SUP-101")).await, "done");
    let grant = ["grant", "create", "--human", "alice", "--action", "write", "--within"];
    let why = ["Jira::Project::\"acme/SUP\"", "--reason", "on call", "--json"];
    let grant = run(gateway, &[&grant[..], &why].concat()).await;
    let grant: Value = serde_json::from_str(&grant).unwrap();
    run(gateway, &["grant", "revoke", grant["id"].as_str().unwrap()]).await;
    let token =
        ["token", "create", "--name", "nightly", "--owner", "alice", "--agent", "night-bot"];
    let token = run(gateway, &[&token[..], &["--days", "5", "--json"]].concat()).await;
    let token: Value = serde_json::from_str(&token).unwrap();
    run(gateway, &["token", "revoke", token["id"].as_str().unwrap()]).await;
}

#[tokio::test]
async fn i7_somebody_who_is_erased_is_nowhere_in_what_leaves_the_log() {
    let (sim, setup) = prepared("").await;
    let setup = setup.file("policies/permits/settle.cedar", SETTLES);
    let gateway = setup.section("[evidence]\ncheckpoint_s = 1\n").start().await.unwrap();
    day(&gateway).await;
    sim.fault(Fault::DropAfterExecuting);
    call(&gateway, ALICE, "editJiraIssue", edit("ENG-42", "once")).await;
    sim.clear_faults();
    settled(&gateway).await;

    let who = ALICE_CHAIN.human;
    let named = ["evidence", "erase", "--subject", who, "--reason", "alice asked"];
    let named = gateway.cli(&named).await.unwrap();
    assert!(named.code == Some(2) && named.stderr.contains("must not say"), "{named:?}");
    let erase = ["evidence", "erase", "--subject", who, "--reason", "request 7"];
    let told = run(&gateway, &erase).await;
    let count: u64 = told.split(' ').next().unwrap().parse().unwrap();
    assert!(run(&gateway, &["evidence", "list", "--json"]).await.contains(who), "not yet");
    let done = run(&gateway, &[&erase[..], &["--yes"]].concat()).await;
    assert!(done.starts_with(&format!("{count} records say nothing")), "{told} {done}");
    let none = gateway.cli(&erase).await.unwrap();
    assert!(none.code == Some(2) && none.stderr.contains("no record"), "{none:?}");

    verified_chains(&gateway).await;
    run(&gateway, &["evidence", "tiles", "tiles"]).await;
    let mut left = contents(&gateway.path().join("tiles"));
    for format in ["jsonl", "ocsf", "ecs", "cef", "csv"] {
        left += &run(&gateway, &["evidence", "export", "--format", format]).await;
    }
    for list in [&["evidence", "list", "--json"][..], &["evidence", "list", "--changes"]] {
        left += &run(&gateway, list).await;
    }
    let listed = run(&gateway, &["evidence", "list"]).await;
    assert!(listed.contains("(erased)") && !listed.contains("nobody"), "{listed}");
    let line = left.lines().find(|line| line.contains(who));
    assert_eq!(line, None, "of {count}");
    assert!(left.contains("bob") && left.contains("request 7"));
}
