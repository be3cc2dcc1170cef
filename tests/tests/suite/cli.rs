//! The command line, as people and scripts use it: what is printed, and the exit code.

use std::process::Command;

use callgate_sim::SimOptions;
use callgate_tests::gateway::{Folder, Ran, Setup, callgate};
use callgate_tests::install;
use callgate_tests::wire::Ask;
use serde_json::{Value, json};

use super::world::{ALICE, BOB, PERMITS, edit, read, setup, site_and_gateway};

// The exit codes.
const WELL: Option<i32> = Some(0);
const NO: Option<i32> = Some(1);
const FAILED: Option<i32> = Some(2);
const CONFIG: Option<i32> = Some(64);

/// A configuration whose server is never asked.
fn offline() -> Setup {
    setup().server("atlassian", "http://127.0.0.1:9/mcp", "atlassian-rovo", "secret")
}

async fn cli(folder: &Folder, arguments: &[&str]) -> Ran {
    folder.cli(arguments).await.unwrap()
}

fn contains_all(text: &str, wanted: &[&str]) {
    for wanted in wanted {
        assert!(text.contains(wanted), "`{wanted}` is not in\n{text}");
    }
}

#[tokio::test]
async fn check_sums_up_what_is_good() {
    let folder = offline().write().unwrap();
    let ran = cli(&folder, &["check"]).await;
    assert_eq!(ran.code, WELL, "{ran:?}");
    contains_all(&ran.stdout, &["ok: servers 1, tokens 3, ", " policies 8 "]);
    let ran = cli(&folder, &["check", "--json"]).await;
    let [summary] = ran.json().unwrap().try_into().unwrap();
    let summary: Value = summary;
    assert_eq!((ran.code, &summary["ok"]), (WELL, &json!(true)), "{ran:?}");
    assert_eq!((&summary["servers"], &summary["policies"]), (&json!(["atlassian"]), &json!(8)));
    assert!(!folder.path().join("evidence.db").exists(), "nothing is opened by looking");
}

#[tokio::test]
async fn caller_show_says_who_holds_a_token() {
    let folder = offline().write().unwrap();
    folder.put("token", &format!("{ALICE}\n")).unwrap();
    let ran = cli(&folder, &["caller", "show", "token"]).await;
    assert_eq!(ran.code, WELL, "{ran:?}");
    let shown = "\
human       alice (configured)
groups      engineering
agent       release-bot (configured)
client      unnamed (configured)
credential  static_token, ends never
opens       /mcp/atlassian, /mcp
";
    assert_eq!(ran.stdout, shown);
    let ran = callgate(folder.path(), &["caller", "show", "--json"], "unknown").await.unwrap();
    let [told]: [Value; 1] = ran.json().unwrap().try_into().unwrap();
    let why = json!({ "accepted": false, "why": "the token is not known",
        "help": "it must be a token of one that is configured, or of `callgate token create`" });
    assert_eq!((ran.code, told), (NO, why));
}

#[tokio::test]
async fn check_tells_every_problem_at_once() {
    let bad = setup().server("atlassian", "http://127.0.0.1:9/mcp", "atlassian-rovo", " ").section(
        "[servers.other]\nurl = \"http://127.0.0.1:9/mcp\"\ncatalogue = \"x\"\n[polices]\n[catalogs]\nfiles = [\"none.toml\"]\n",
    );
    let bad = bad.file(
        "policies/permits/typo.cedar",
        &PERMITS.replace("@id(\"", "@id(\"typo-").replace("jira.issue.edit", "jira.issue.editt"),
    );
    let folder = bad.write().unwrap();
    let ran = cli(&folder, &["check"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (CONFIG, ""), "{ran:?}");
    let wanted = [
        "servers.atlassian.credential",
        "servers.other",
        "catalogue",
        "polices",
        "none.toml",
        "permits/typo.cedar:4",
    ];
    contains_all(&ran.stderr, &wanted);
    let ran = cli(&folder, &["check", "--json"]).await;
    assert_eq!(ran.code, CONFIG, "{ran:?}");
    let [told] = ran.json().unwrap().try_into().unwrap();
    let told: Value = told;
    assert_eq!(told["ok"], false);
    let problems = told["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 9, "{told}");
    assert!(problems.iter().all(|one| one["place"].is_string() && one["problem"].is_string()));
    let ran = cli(&folder, &["serve"]).await;
    assert_eq!(ran.code, CONFIG, "what is wrong is not served: {ran:?}");
}

#[tokio::test]
async fn check_finds_every_wrong_policy_and_says_where() {
    let wrong = offline()
        .file(
            "policies/permits/typo.cedar",
            &PERMITS.replace("jira.issue.edit", "jira.issue.editt"),
        )
        .file("policies/guardrails/wrong.cedar", "\npermit(principal, action, resource);\n")
        .file(
            "policies/approvals/wrong.cedar",
            "@id(\"x\") @aproval(\"team:leads\")\nforbid(principal, action, resource);\n",
        );
    let folder = wrong.write().unwrap();
    let ran = cli(&folder, &["check"]).await;
    assert_eq!(ran.code, CONFIG, "{ran:?}");
    let wanted = ["permits/typo.cedar:", "jira.issue.editt", "@aproval", "@approval?"];
    contains_all(&ran.stderr, &wanted);
    assert!(ran.stderr.lines().any(|line| line.starts_with("guardrails/wrong.cedar:2: ")));
    let ran = cli(&folder, &["check", "--config", "nowhere.toml"]).await;
    assert_eq!(ran.code, CONFIG, "{ran:?}");
}

async fn explained(folder: &Folder, call: &Value, more: &[&str]) -> Ran {
    let arguments = [&["explain", "-"], more].concat();
    callgate(folder.path(), &arguments, &call.to_string()).await.unwrap()
}

#[tokio::test]
async fn explain_says_why_and_what_was_nearly_permitted() {
    let folder = offline().write().unwrap();
    let caller = json!({ "human": "alice", "groups": ["engineering"], "agent": "release-bot" });
    let call = json!({
        "caller": caller, "server": "atlassian", "tool": "editJiraIssue", "arguments": edit("OPS-7", "x"),
    });
    let ran = explained(&folder, &call, &["--json"]).await;
    assert_eq!(ran.code, WELL, "{ran:?}");
    let [told] = ran.json().unwrap().try_into().unwrap();
    let told: Value = told;
    assert_eq!(told["decision"]["verdict"], "deny", "{told}");
    assert_eq!(told["decision"]["reasons"], json!(["agent_not_permitted"]));
    assert_eq!((&told["operation"], &told["effect"]), (&json!("jira.issue.edit"), &json!("write")));
    assert_eq!(told["targets"][0]["id"], "acme/OPS-7");
    let asked = told["asked"].as_array().unwrap();
    let agent =
        asked.iter().find(|one| one["link"].as_str().unwrap().contains("release-bot")).unwrap();
    let near: Vec<_> =
        agent["near_misses"].as_array().unwrap().iter().map(|near| &near["policy"]).collect();
    assert!(near.contains(&&json!("release-bot-in-eng")), "{told}");

    let ran = explained(&folder, &call, &[]).await;
    contains_all(
        &ran.stdout,
        &["agent_not_permitted", "near miss: release-bot-in-eng", "acme/OPS-7"],
    );
    let known = json!({ "caller": "nobody", "server": "atlassian", "tool": "x" });
    let ran = explained(&folder, &known, &[]).await;
    assert_eq!(ran.code, FAILED, "{ran:?}");
    contains_all(&ran.stderr, &["no token `nobody`", "alice via release-bot"]);
    let ran =
        callgate(folder.path(), &["explain", "-"], "{\"caller\":1,\"caller\":2}").await.unwrap();
    assert_eq!(ran.code, FAILED, "{ran:?}");
    assert!(ran.stderr.contains("used twice"), "{ran:?}");
}

#[tokio::test]
async fn policy_test_answers_with_its_exit_code() {
    let cases = |want: &str| {
        format!(
            r#"
[caller.alice]
human = "alice"
groups = ["engineering"]
agent = "release-bot"

[[case]]
name = "a bot edits for alice"
caller = "alice"
server = "atlassian"
tool = "editJiraIssue"
arguments = {{ issueIdOrKey = "ENG-42" }}
want = "allow"
policies = ["engineers-work", "release-bot-in-eng"]

[[case]]
name = "but deletes nothing alone"
caller = "alice"
server = "atlassian"
tool = "executeDestructive"
arguments = {{ name = "deleteJiraIssue", inputs = {{ issueIdOrKey = "ENG-42" }} }}
want = "{want}"
"#
        )
    };
    let folder = offline().write().unwrap();
    assert_eq!(cli(&folder, &["policy", "test"]).await.code, FAILED, "no cases are no success");
    folder.put("policies/cases/jira.toml", &cases("approval_required")).unwrap();
    let ran = cli(&folder, &["policy", "test"]).await;
    assert_eq!(ran.code, WELL, "{ran:?}");
    contains_all(&ran.stdout, &["pass  a bot edits for alice", "2 passed, 0 failed"]);
    folder.put("policies/cases/more.toml", &cases("deny")).unwrap();
    let ran = cli(&folder, &["policy", "test"]).await;
    assert_eq!(ran.code, NO, "{ran:?}");
    contains_all(
        &ran.stdout,
        &["FAIL  but deletes", "wanted deny, got approval_required", "3 passed, 1 failed"],
    );
    let ran = cli(&folder, &["policy", "test", "--json", "policies/cases/more.toml"]).await;
    let passed: Vec<_> = ran.json().unwrap().iter().map(|case| case["passed"].clone()).collect();
    assert_eq!((ran.code, passed), (NO, vec![json!(true), json!(false)]));
}

#[tokio::test]
async fn policy_schema_names_what_policies_can_name() {
    let folder = offline().write().unwrap();
    let ran = cli(&folder, &["policy", "schema"]).await;
    assert_eq!(ran.code, WELL, "{ran:?}");
    let wanted =
        ["action \"jira.issue.edit\" in [", "entity Agent in [AgentClass];", "entity Issue in ["];
    contains_all(&ran.stdout, &wanted);
}

#[tokio::test]
async fn evidence_is_listed_shown_and_verified() {
    let (_sim, mut gateway) = site_and_gateway(SimOptions::default()).await;
    for ask in [
        Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "x")),
        Ask::call("atlassian", ALICE, "editJiraIssue", edit("HR-3", "x")),
        Ask::call("atlassian", BOB, "getJiraIssue", read("SUP-101")),
    ] {
        ask.send(gateway.address).await.unwrap();
    }
    let evidence = gateway.evidence_when(|e| e.0.len() == 3 && e.is_settled()).await.unwrap();
    let call = &evidence.0[0].call;
    for (filter, value, count) in [
        ("--decision", "deny", 1),
        ("--decision", "allow", 2),
        ("--tool", "getJiraIssue", 1),
        ("--human", "alice", 2),
        ("--agent", "release-bot", 3),
        ("--agent", "nobody", 0),
        ("--limit", "2", 2),
    ] {
        let ran = cli(&gateway, &["evidence", "list", filter, value]).await;
        assert_eq!(
            (ran.code, ran.stdout.lines().count()),
            (WELL, count),
            "{filter} {value}: {ran:?}"
        );
    }
    let ran = cli(&gateway, &["evidence", "show", call, "--json"]).await;
    let kinds: Vec<_> = ran.json().unwrap().iter().map(|record| record["kind"].clone()).collect();
    assert_eq!((ran.code, kinds), (WELL, vec![json!("intent"), json!("outcome")]));
    let ran = cli(&gateway, &["evidence", "show", call]).await;
    contains_all(
        &ran.stdout,
        &["operation: jira.issue.edit", "id: acme/ENG-42", "outcome: succeeded"],
    );
    for unknown in ["01a2126a-ea1a-79f7-8c20-ed12b7260063", "x"] {
        assert_eq!(cli(&gateway, &["evidence", "show", unknown]).await.code, FAILED);
    }
    assert_eq!(cli(&gateway, &["evidence", "verify"]).await.code, WELL);

    assert_eq!(gateway.terminate().await.unwrap(), WELL);
    i11_the_log_is_verified_by_another_program(&gateway).await;
    i11_a_changed_record_is_found(&gateway).await;
}

/// Exports the log and verifies the folder with the program that knows nothing of gateways.
async fn i11_the_log_is_verified_by_another_program(folder: &Folder) {
    let key = cli(folder, &["evidence", "key"]).await;
    assert_eq!(key.code, WELL, "{key:?}");
    let written = cli(folder, &["evidence", "tiles", "log"]).await;
    assert_eq!(written.code, WELL, "{written:?}");
    assert_eq!(cli(folder, &["evidence", "tiles", "log"]).await.code, FAILED, "it was there");
    let verifier = install::beside("callgate-verify", "callgate-verify").unwrap();
    let verify = |key: &str| {
        let arguments = ["log", "--json", "--key", key];
        let ran = Command::new(&verifier).args(arguments).current_dir(folder.path()).output();
        let ran = ran.unwrap();
        (ran.status.code(), serde_json::from_slice::<Value>(&ran.stdout).unwrap())
    };
    let (code, told) = verify(key.stdout.trim());
    assert_eq!((code, &told["verdict"]), (WELL, &json!("verified")), "{told}");
    assert_eq!(told["origin"].as_str(), key.stdout.split('+').next(), "{told}");
    let other = cli(folder, &["evidence", "key", "--new", "other.example/log"]).await;
    assert!(other.stdout.starts_with("PRIVATE+KEY+other.example/log+"), "{other:?}");
}

/// Changes one record behind the program's back, as somebody with the database file can.
async fn i11_a_changed_record_is_found(folder: &Folder) {
    let change = "\
import sqlite3
db = sqlite3.connect('evidence.db')
db.execute('DROP TRIGGER payloads_are_not_changed')
text = \"UPDATE payloads SET text = replace(text, 'HR-3', 'HR-4')\"
assert db.execute(text).rowcount > 0
db.commit()
";
    let changed = Command::new("python3").args(["-c", change]).current_dir(folder.path()).output();
    let changed = changed.unwrap();
    assert!(changed.status.success(), "{}", String::from_utf8_lossy(&changed.stderr));
    let ran = cli(folder, &["evidence", "verify"]).await;
    assert_eq!(ran.code, NO, "{ran:?}");
    assert!(ran.stdout.contains("BROKEN: record "), "{ran:?}");
}

/// Verdict and reasons of a line that the demo prints about a call.
fn decided(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let verdict =
        words.next().filter(|word| ["allow", "deny", "approval_required"].contains(word))?;
    let (before, _) = line.rsplit_once(" [")?;
    Some((verdict.to_owned(), before.rsplit(' ').next()?.to_owned()))
}

#[tokio::test]
async fn the_demo_shows_every_kind_of_answer() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("demo");
    let arguments = ["demo", "--once", "--port", "0", "--folder", kept.to_str().unwrap()];
    let ran = callgate(folder.path(), &arguments, "").await.unwrap();
    assert_eq!(ran.code, WELL, "{ran:?}");
    let mut decisions: Vec<(String, String)> = ran.stdout.lines().filter_map(decided).collect();
    // If more than a second has passed until Carol had approved it, it was asked again where the issue is.
    if decisions.get(10).is_some_and(|(_, reason)| reason == "gateway_read") {
        decisions.remove(10);
    }
    let wanted = [
        ("allow", "permitted"),
        ("allow", "gateway_read"),
        ("allow", "permitted"),
        ("deny", "guardrail"),
        ("deny", "agent_not_permitted"),
        ("allow", "gateway_read"),
        ("approval_required", "approval_required"),
        // Carol sees that something waits, looks at it and approves it.
        ("allow", "permitted"),
        ("allow", "permitted"),
        ("allow", "permitted"),
        ("allow", "permitted"),
        ("allow", "gateway_read"),
        ("deny", "guardrail"),
        ("deny", "query_unbounded"),
        ("deny", "tool_unknown"),
    ];
    assert_eq!(decisions.len(), wanted.len(), "{}", ran.stdout);
    for ((verdict, reasons), (wanted_verdict, wanted_reason)) in decisions.iter().zip(wanted) {
        assert_eq!(verdict, wanted_verdict, "{}", ran.stdout);
        assert!(reasons.split(',').any(|reason| reason == wanted_reason), "{}", ran.stdout);
    }
    assert!(ran.stdout.contains("The site executed 3 of 9 calls"), "{}", ran.stdout);

    // What it leaves is a configuration like any other, whose own cases pass.
    for command in [&["check"][..], &["policy", "test"], &["evidence", "verify"]] {
        let ran = callgate(&kept, command, "").await.unwrap();
        assert_eq!(ran.code, WELL, "{command:?}: {ran:?}");
    }
}
