//! Attacks over raw connections that `wire.rs` does not have: what is said beside the message, of somebody else, in letters that
//! only look alike, or twice at once. The site's ledger is the oracle.

mod floods;
mod framing;
mod sessions;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use callgate_sim::{Running, SimOptions};
use callgate_tests::gateway::Gateway;
use callgate_tests::wire::{Ask, Heard, open_session};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::approvals::{decide, prepared, waiting};
use super::world::{ALICE, READER, SITE, edit, read, reconcile, site_and_gateway};

/// In whatever is said beside a call, and in nothing that the gateway may say itself.
const MARK: &str = "mallory";

/// A call that is allowed if it is understood as what it is.
fn change(summary: &str) -> Ask {
    Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", summary))
}

/// How often the site executed a change that says `summary`.
fn changed(sim: &Running, summary: &str) -> usize {
    sim.ledger().entries().iter().filter(|entry| entry.arguments.contains(summary)).count()
}

/// A call of the legacy era, which has no header that could say another name.
async fn in_session(address: SocketAddr, token: &str, tool: &str, arguments: Value) -> Heard {
    let session = open_session(address, "atlassian", token).await.unwrap();
    let params = json!({ "name": tool, "arguments": arguments });
    let ask = Ask::legacy("atlassian", token, &session, "tools/call", params);
    ask.send(address).await.unwrap()
}

#[tokio::test]
async fn p09_what_only_looks_like_a_name_is_another_name() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    for tool in [
        "editJiraIssu\u{435}",
        "\u{435}ditJiraIssue",
        "editJiraIssue\u{200d}",
        "edit\u{200b}JiraIssue",
        "\u{202e}editJiraIssue",
        "\u{ff45}ditJiraIssue",
        "editJiraIssue\u{301}",
        "editJira\u{131}ssue",
        "edit\u{17f}JiraIssue",
        "EditJiraIssue",
        " editJiraIssue",
        "editJiraIssue\n",
        "editJiraIssue\0",
    ] {
        let heard = in_session(gateway.address, ALICE, tool, edit("ENG-42", "alike")).await;
        assert!(!heard.is_success(), "{tool:?}: {heard:?}");
    }
    for key in [
        "\u{415}NG-42",
        "ENG\u{2010}42",
        "ENG-4\u{ff12}",
        "ENG-\u{664}2",
        "E\u{200b}NG-42",
        "\u{202e}24-GNE",
        "ENG-42\u{301}",
        "\u{417}NG-42",
    ] {
        let heard = in_session(gateway.address, ALICE, "editJiraIssue", edit(key, "alike")).await;
        assert_eq!(heard.reasons(), "target_unresolved", "{key:?}: {heard:?}");
    }
    assert_eq!(changed(&sim, "alike"), 0);
    let heard = in_session(gateway.address, ALICE, "editJiraIssue", edit("ENG-42", "plain")).await;
    assert!(heard.is_success(), "{heard:?}");
    let evidence = gateway.evidence_when(|e| e.is_settled() && e.0.len() >= 22).await.unwrap();
    reconcile(&sim, &evidence);
}

/// I11 of the attacks is here, too: what a client sends beside its message goes nowhere.
#[tokio::test]
async fn i09_who_one_is_is_said_by_the_credential_alone_and_nothing_beside_it_goes_on() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let beside = [
        "x-user",
        "x-forwarded-user",
        "X-Forwarded-Email",
        "x-forwarded-for",
        "x_forwarded_user",
        "forwarded",
        "x-remote-user",
        "remote_user",
        "x-mcp-verified-sub",
        "x-mcp-router-key",
        "x-callgate-human",
        "callgate-assertion",
        "x-original-url",
        "x-http-method-override",
        "cookie",
        "proxy-authorization",
        "authorization_",
        "mcp_name",
        "Mcp_Method",
        "last-event-id",
        "connection",
        "te",
    ];
    for name in beside {
        let value = match name {
            "connection" => format!("authorization, mcp-name, mcp-method, {MARK}"),
            "cookie" => format!("callgate_session={MARK}"),
            _ => MARK.to_owned(),
        };
        let heard = change(name).also(name, &value).send(gateway.address).await.unwrap();
        assert!(heard.is_success(), "{name}: {heard:?}");
        assert!(!heard.body.contains(MARK), "{name}: {heard:?}");
    }
    for seen in sim.ledger().requests() {
        let told = seen.headers.iter().find(|(_, value)| value.contains(MARK));
        assert_eq!(told, None, "{seen:?}");
        assert!(!seen.body.contains(MARK), "{seen:?}");
    }
    let evidence = gateway.evidence_when(|e| e.intents().len() >= beside.len()).await.unwrap();
    for intent in evidence.intents() {
        assert_eq!(intent.human(), "alice", "{intent:?}");
        assert!(!intent.record.to_string().contains(MARK), "{intent:?}");
    }
    // Without its credential, none of them lets anybody in.
    let all = beside.iter().filter(|name| **name != "connection");
    let nobody = all.fold(change("nobody"), |ask, name| ask.also(name, "alice"));
    let heard = nobody.without("authorization").send(gateway.address).await.unwrap();
    assert_eq!((heard.status, changed(&sim, "nobody")), (401, 0), "{heard:?}");
}

/// What is denied to somebody altogether, and what nobody has, byte for byte.
#[tokio::test]
async fn t06_a_tool_that_is_hidden_is_told_like_one_that_does_not_exist() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let mut told = BTreeSet::new();
    // As long as each other, and as the one that exists.
    for tool in ["editJiraIssue", "editJiraIssuf", "zzzzzzzzzzzzz"] {
        for arguments in [
            edit("ENG-42", "hidden"),
            edit("HR-3", "hidden"),
            json!({}),
            json!({ "cloudId": SITE, "issueIdOrKey": 7, "fields": null }),
            json!({ "name": "deleteJiraIssue", "inputs": {} }),
        ] {
            let ask = Ask::call("atlassian", READER, tool, arguments);
            let heard = ask.send(gateway.address).await.unwrap();
            told.insert((heard.status, heard.body.replace(tool, "TOOL")));
        }
    }
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(changed(&sim, "hidden"), 0);
}

/// Two gateways on one store, and one approval between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a05_replicas_that_race_for_one_approval_make_one_call() {
    let (sim, setup) = prepared("").await;
    let one = setup.start().await.unwrap();
    let store = one.path().join("evidence.db");
    let other = setup.store(store.to_str().unwrap()).start().await.unwrap();
    let ask = Ask::call("atlassian", ALICE, "deleteJiraIssue", read("ENG-45"));
    assert_eq!(ask.send(one.address).await.unwrap().reasons(), "approval_required");
    assert_eq!(ask.send(other.address).await.unwrap().reasons(), "approval_required");
    assert_eq!(waiting(&one).await.len(), 1, "they ask for the same");
    decide(&one, "approve").await;
    let heard = race(&ask, &[&one, &other]).await;
    let made = heard.iter().filter(|heard| heard.is_success()).count();
    assert_eq!((made, sim.ledger().count("deleteJiraIssue")), (1, 1), "{heard:?}");
    let evidence = one.evidence_when(|e| e.is_settled() && e.0.len() >= 26).await.unwrap();
    let intents = evidence.intents();
    assert_eq!(intents.iter().filter(|intent| intent.tool() == "deleteJiraIssue").count(), 1);
}

/// The same call many times at once, by turns at each gateway.
async fn race(ask: &Ask, gateways: &[&Gateway]) -> Vec<Heard> {
    let mut asked = JoinSet::new();
    for gateway in gateways.iter().cycle().take(24) {
        let (ask, address) = (ask.clone(), gateway.address);
        asked.spawn(async move { ask.send(address).await.unwrap() });
    }
    asked.join_all().await
}
