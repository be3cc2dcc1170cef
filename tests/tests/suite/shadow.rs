//! What would be: recorded calls by other policies, policies in shadow, a server in shadow.

use std::time::{SystemTime, UNIX_EPOCH};

use callgate_sim::SimOptions;
use callgate_tests::gateway::{Folder, Gateway, Ran, Setup};
use callgate_tests::wire::Ask;
use serde_json::{Value, json};

use super::world::{ALICE, BOB, PERMITS, SECRET, edit, read, reconcile, setup, site};

const WELL: Option<i32> = Some(0);
const NO: Option<i32> = Some(1);
const CONFIG: Option<i32> = Some(64);

/// The day so many days from now, as people write it (civil from days, proleptic Gregorian).
#[expect(clippy::disallowed_methods, reason = "the gateway's own clock is no argument here")]
fn day(days: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let from_march = now / 86_400 + days + 719_468;
    let (era, of_era) = (from_march / 146_097, from_march % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{:02}", of_year - (153 * shifted + 2) / 5 + 1)
}

async fn cli(folder: &Folder, arguments: &[&str]) -> Ran {
    folder.cli(arguments).await.unwrap()
}

async fn told(folder: &Folder, arguments: &[&str]) -> Value {
    let ran = cli(folder, &[arguments, &["--json"]].concat()).await;
    let [told] = ran.json().unwrap().try_into().unwrap_or_else(|_| panic!("{ran:?}"));
    told
}

async fn gateway(with: impl FnOnce(Setup) -> Setup) -> (callgate_sim::Running, Gateway) {
    let sim = site(SimOptions::default()).await;
    let url = format!("{}?tools=all", sim.url);
    let setup = setup().server("atlassian", &url, "atlassian-rovo", SECRET);
    let gateway = with(setup).start().await.unwrap();
    (sim, gateway)
}

async fn calls(gateway: &Gateway) {
    for ask in [
        Ask::call("atlassian", ALICE, "getJiraIssue", read("ENG-42")),
        Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "x")),
        Ask::call("atlassian", ALICE, "editJiraIssue", edit("HR-3", "x")),
        Ask::call("atlassian", ALICE, "deleteJiraIssue", read("ENG-45")),
        Ask::call("atlassian", BOB, "getJiraIssue", read("SUP-101")),
        Ask::call("atlassian", BOB, "getJiraIssue", read("ENG-42")),
        Ask::call("atlassian", BOB, "noSuchTool", json!({})),
    ] {
        ask.send(gateway.address).await.unwrap();
    }
}

/// The policies in force, with these permits in place of theirs.
fn candidate(folder: &Folder, permits: &str) {
    folder.put("next/guardrails/all.cedar", super::world::GUARDRAILS).unwrap();
    folder.put("next/approvals/all.cedar", super::world::APPROVALS).unwrap();
    folder.put("next/permits/all.cedar", permits).unwrap();
}

#[tokio::test]
async fn replay_says_which_calls_would_be_decided_otherwise() {
    let (_sim, mut gateway) = gateway(|setup| setup).await;
    calls(&gateway).await;
    // What is queued is stored when it ends.
    gateway.terminate().await.unwrap();
    let folder: &Folder = &gateway;
    let now = told(folder, &["replay", "--candidate", "policies"]).await;
    // The tool that is none, and what was read for whoever would approve the deletion.
    assert_eq!((&now["same"], &now["no_say"]), (&json!(6), &json!(2)), "{now}");
    assert_eq!((&now["changes"], &now["unknown"]), (&json!([]), &json!([])));
    // Whoever supports may not read any more; the release bot may for them, but they may not.
    let (engineers, _) = PERMITS.split_once("@id(\"support-works\")").unwrap();
    let (_, bots) = PERMITS.split_once("@id(\"release-bot-in-eng\")").unwrap();
    candidate(folder, &format!("{engineers}@id(\"release-bot-in-eng\"){bots}"));
    let next = ["replay", "--candidate", "next"];
    let then = told(folder, &next).await;
    let [change] = then["changes"].as_array().unwrap().as_slice() else { panic!("{then}") };
    assert_eq!(change["change"], "newly_denied");
    assert_eq!(change["caller"], "bob via release-bot");
    assert_eq!(change["reasons"], json!(["human_not_permitted"]));
    assert_eq!(
        (&change["was"], &change["is"], &change["count"]),
        (&json!("allow"), &json!("deny"), &json!(1))
    );
    let call = change["calls"][0].as_str().unwrap();
    assert_eq!(cli(folder, &["evidence", "show", call]).await.code, WELL);
    let ran = cli(folder, &next).await;
    assert_eq!(ran.code, WELL);
    assert!(
        ran.stdout.contains("bob via release-bot  atlassian/getJiraIssue  allow -> deny"),
        "{ran:?}"
    );
    for (kinds, code) in
        [("denied", NO), ("allowed,approval,others,unknown", WELL), ("allowed,denied", NO)]
    {
        assert_eq!(
            cli(folder, &[&next[..], &["--fail-on", kinds]].concat()).await.code,
            code,
            "{kinds}"
        );
    }
    let late = [&next[..], &["--since", "2100-01-01"]].concat();
    assert_eq!(told(folder, &late).await["decisions"], 0);
    // The same of what was exported.
    let exported = cli(folder, &["evidence", "export", "--format", "jsonl"]).await.stdout;
    folder.put("calls.jsonl", &exported).unwrap();
    let of_file = told(folder, &[&next[..], &["--records", "calls.jsonl"]].concat()).await;
    assert_eq!(of_file, then);
    folder.put("next/permits/all.cedar", "permit(principal, action, resource);").unwrap();
    assert_eq!(cli(folder, &next).await.code, CONFIG);
}

#[tokio::test]
async fn a_policy_in_shadow_is_reported_and_enforces_nothing() {
    let shadow = r#"
@id("no-edits") @reason("Soon") @owner("platform") @shadow
forbid(principal, action == Action::"jira.issue.edit", resource);
"#;
    let (sim, mut gateway) =
        gateway(|setup| setup.file("policies/guardrails/shadow.cedar", shadow)).await;
    calls(&gateway).await;
    let metrics = callgate_tests::wire::get(gateway.address, "/metrics").await.unwrap().body;
    let counted = r#"callgate_would_total{server="atlassian",verdict="allow",would="deny"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    gateway.terminate().await.unwrap();
    let evidence = gateway.evidence().await.unwrap();
    reconcile(&sim, &evidence);
    let report = told(&gateway, &["shadow", "report"]).await;
    let [change] = report["changes"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!(change["change"], "would_deny");
    assert_eq!((&change["policies"], &change["count"]), (&json!(["no-edits"]), &json!(1)));
    assert_eq!(change["tool"], "atlassian/editJiraIssue");
    let ran = cli(&gateway, &["shadow", "report"]).await;
    assert!(ran.stdout.contains("allow -> deny  guardrail by no-edits"), "{ran:?}");
    for (would, count) in [("deny", 1), ("no-edits", 1), ("allow", 0)] {
        let listed = cli(&gateway, &["evidence", "list", "--would", would, "--json"]).await;
        assert_eq!(listed.json().unwrap().len(), count, "{would}: {listed:?}");
    }
    let listed = cli(&gateway, &["evidence", "list"]).await;
    assert!(listed.stdout.contains("would be deny: guardrail by no-edits"), "{listed:?}");
    let verified = cli(&gateway, &["evidence", "verify"]).await;
    assert_eq!(verified.code, WELL, "{verified:?}");
}

#[tokio::test]
async fn a_server_in_shadow_shows_in_the_log_and_the_report() {
    let danger = |until: &str| {
        format!("[servers.atlassian.danger_shadow]\nuntil = \"{until}\"\nwrites = true\n")
    };
    let (sim, mut gateway) = gateway(|setup| setup.section(&danger(&day(7)))).await;
    gateway.says("danger_shadow").await.unwrap();
    calls(&gateway).await;
    gateway.terminate().await.unwrap();
    let evidence = gateway.evidence().await.unwrap();
    reconcile(&sim, &evidence);
    assert_eq!(sim.ledger().count("deleteJiraIssue"), 1);
    let report = told(&gateway, &["shadow", "report"]).await;
    let changes: Vec<_> =
        report["changes"].as_array().unwrap().iter().map(|one| &one["change"]).collect();
    assert_eq!(changes, ["would_deny", "would_deny", "would_need_approval"], "{report}");
    // What policies say has not changed by it.
    let now = told(&gateway, &["replay", "--candidate", "policies"]).await;
    assert_eq!((&now["same"], &now["changes"]), (&json!(6), &json!([])), "{now}");
    let folder = setup().server("atlassian", "http://127.0.0.1:9/mcp", "atlassian-rovo", "x");
    for (until, code) in [
        (day(29), WELL),
        (day(32), CONFIG),
        ("soon".to_owned(), CONFIG),
        ("2026-01-01".to_owned(), WELL),
    ] {
        let folder = folder.clone().section(&danger(&until)).write().unwrap();
        let ran = cli(&folder, &["check"]).await;
        assert_eq!(ran.code, code, "{until}: {ran:?}");
    }
}
