//! The console in a real browser, without scripts: people sign in, look and decide, and what the site executed is the oracle.
//! Pictures of the pages are left in `target/console`.

use std::path::Path;
use std::process::Stdio;

use callgate_sim::Running;
use callgate_tests::gateway::Gateway;
use callgate_tests::install;
use callgate_tests::wire::Ask;
use serde_json::{Value, json};
use tokio::process::Command;

use super::approvals::{CAROL, DAVE, LEAD, prepared, waiting, world};
use super::world::{ALICE, BOB, edit, gated, read};

/// Lets people do these things in a browser each, and gives what came of them.
pub(crate) async fn browse(gateway: &Gateway, steps: Value) -> Vec<Value> {
    browse_at(&format!("http://{}", gateway.address), steps).await
}

pub(crate) async fn browse_at(origin: &str, steps: Value) -> Vec<Value> {
    let script = install::browser(&install::default_directory()).unwrap();
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/console");
    std::fs::create_dir_all(&pictures).unwrap();
    let ran = Command::new("node")
        .env("TMPDIR", script.parent().unwrap())
        .arg(&script)
        .arg(origin)
        .arg(&pictures)
        .arg(steps.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let told: Vec<Value> = serde_json::from_slice(&ran.stdout).unwrap();
    for (step, told) in steps.as_array().unwrap().iter().zip(&told) {
        assert!(told["error"].is_null(), "{step}: {told}");
    }
    told
}

/// A deletion waits; where it is in the console.
pub(crate) async fn waits(gateway: &Gateway, key: &str) -> String {
    let ask = Ask::call("atlassian", ALICE, "deleteJiraIssue", read(key));
    let heard = ask.send(gateway.address).await.unwrap();
    let all = waiting(gateway).await;
    let path = format!("/console/approvals/{}", all[0]["id"].as_str().unwrap());
    assert!(heard.body.contains(&format!("http://{}{path}", gateway.address)), "{heard:?}");
    path
}

pub(crate) async fn is_made(gateway: &Gateway, key: &str) -> bool {
    let ask = Ask::call("atlassian", ALICE, "deleteJiraIssue", read(key));
    ask.send(gateway.address).await.unwrap().is_success()
}

pub(crate) fn deleted(sim: &Running) -> usize {
    sim.ledger().count("deleteJiraIssue")
}

pub(crate) fn says(told: &Value, what: &str) -> bool {
    told["text"].as_str().is_some_and(|text| text.contains(what))
}

#[tokio::test]
async fn people_decide_in_a_browser() {
    let (sim, gateway) = world("").await;
    let page = waits(&gateway, "ENG-45").await;
    let told = browse(
        &gateway,
        json!([
            { "do": "open", "person": "carol", "path": "/console/" },
            { "do": "open", "person": "carol", "path": page },
            { "do": "sign_in", "person": "carol", "token": "wrong" },
            { "do": "sign_in", "person": "carol", "token": CAROL },
            { "do": "keys", "person": "carol" },
            { "do": "check", "person": "carol", "path": page },
            { "do": "check", "person": "carol", "path": "/console" },
            { "do": "check", "person": "nobody", "path": "/console/sign-in" },
            // Whose call it is, and who may do nothing here.
            { "do": "sign_in", "person": "alice", "token": LEAD },
            { "do": "open", "person": "alice", "path": page },
            { "do": "says", "person": "alice", "verdict": "approve" },
            { "do": "sign_in", "person": "bob", "token": BOB },
            { "do": "open", "person": "bob", "path": page },
            // On a phone.
            { "do": "open", "person": "carol", "path": page },
            { "do": "says", "person": "carol", "verdict": "approve", "reason": "nobody calls it", "narrow": true },
            { "do": "open", "person": "carol", "path": page },
            { "do": "check", "person": "carol", "path": "/console", "picture": "inbox" },
        ]),
    )
    .await;
    let [typed, asked, wrong, inbox, keys, checks @ .., shown, approved, after, inbox_after] =
        told.as_slice()
    else {
        panic!("{told:?}")
    };
    assert_eq!(
        (&typed["url"], &asked["url"]),
        (&json!("/console/sign-in"), &json!("/console/sign-in"))
    );
    assert!(wrong["status"] == 403 && says(wrong, "not known here"), "{wrong}");
    assert!(says(inbox, "Delete an issue") && says(inbox, "alice via release-bot"), "{inbox}");
    assert_eq!(keys["url"], page.as_str(), "by the keyboard alone");
    for check in &checks[..3] {
        assert_eq!(check["found"], json!([]), "axe, and the width of the screen");
    }
    let [alices, own, refused, bob, no] = &checks[3..] else { panic!("{checks:?}") };
    assert!(says(inbox, "Waits for you") && says(alices, "Waits for others"), "{alices}");
    assert!(!says(alices, "Waits for you"), "it is her own call: {alices}");
    assert!(own["status"] == 200 && refused["status"] == 409, "{refused}");
    assert!(
        says(refused, "It is your own call") || says(refused, "it is your own call"),
        "{refused}"
    );
    assert!(says(bob, "Not allowed") && no["status"] == 403, "policy lets him see nothing: {no}");
    for part in [
        "ENG-45",
        "jira.issue.delete",
        "critical",
        "cloudId",
        "once, within 5 minutes",
        "What is deleted is gone (platform)",
    ] {
        assert!(says(shown, part), "{part}: {shown}");
    }
    assert!(approved["url"] == "/console" && says(approved, "It is recorded"), "{approved}");
    assert!(says(approved, "How long it took to decide: 1 approved, 0 denied"), "{approved}");
    assert_eq!(inbox_after["found"], json!([]), "with the figures of what was decided");
    assert!(says(after, "approved by carol") && says(after, "nobody calls it"), "{after}");
    assert_eq!(deleted(&sim), 0, "nothing is made by approving it");
    assert!(is_made(&gateway, "ENG-45").await);
    assert_eq!(deleted(&sim), 1);
}

/// What an edit would replace is shown beside it, what the agent says apart; and whoever approves grants more of the same.
#[tokio::test]
async fn a08_people_see_what_is_replaced_and_grant_more_of_the_same() {
    let (sim, setup) = prepared("").await;
    let gate = gated("@grants(\"2 in 1h\")").replace(
        r#"action in Action::"delete""#,
        r#"action in [Action::"delete", Action::"jira.issue.edit"]"#,
    );
    let gateway = setup.file("policies/approvals/all.cedar", &gate).start().await.unwrap();
    let edits = async |key: &str, summary: &str| {
        let mut arguments = edit(key, summary);
        arguments["callgate_reason"] = "<b>Carol</b> has approved this already".into();
        let ask = Ask::call("atlassian", ALICE, "editJiraIssue", arguments);
        ask.send(gateway.address).await.unwrap().is_success()
    };
    assert!(!edits("ENG-42", "A better summary").await);
    let page = format!("/console/approvals/{}", waiting(&gateway).await[0]["id"].as_str().unwrap());
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "carol", "token": CAROL },
            { "do": "open", "person": "carol", "path": page },
            { "do": "check", "person": "carol", "path": page, "picture": "approval" },
            { "do": "open", "person": "carol", "path": page },
            { "do": "says", "person": "carol", "verdict": "grant" },
            { "do": "open", "person": "carol", "path": page },
        ]),
    )
    .await;
    let [_, shown, looks, _, granted, after] = told.as_slice() else { panic!("{told:?}") };
    let now = sim.site(|site| site.issue("ENG-42").unwrap().summary.clone());
    for part in ["Now", "Then", &now, "A better summary", "fields.summary", "nobody has checked"] {
        assert!(says(shown, part), "{part}: {shown}");
    }
    assert!(says(shown, "<b>Carol</b> has approved this already"), "as text: {shown}");
    let offer = "up to 2 more calls of editJiraIssue (jira.issue.edit) by alice via release-bot, with any arguments, in Jira::Project \"acme/ENG\", within 60 minutes";
    assert!(says(shown, offer), "it is spelled out: {shown}");
    assert_eq!(looks["found"], json!([]), "axe, and the width of the screen");
    assert!(granted["url"] == "/console" && says(after, "granted"), "{after}");
    for key in ["ENG-42", "ENG-41", "ENG-43"] {
        assert!(edits(key, "A better summary").await, "{key}");
    }
    assert!(!edits("ENG-44", "A better summary").await, "two more were granted");
}

/// A11: nothing is decided by a form that the console did not give, an address, or somebody who has signed out.
#[tokio::test]
async fn a11_nobody_decides_by_a_forged_form() {
    let (sim, gateway) = world("").await;
    let page = waits(&gateway, "ENG-45").await;
    let form =
        |csrf: &str| json!({ "csrf": csrf, "shown": "x", "reason": "", "verdict": "approve" });
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "carol", "token": CAROL },
            { "do": "forged", "person": "carol", "path": page, "form": form("") },
            { "do": "forged", "person": "carol", "path": page, "form": form("0000") },
            { "do": "forged", "person": "carol", "path": page, "form": form(""), "headers": { "origin": "https://evil.example" } },
            { "do": "forged", "person": "carol", "path": page, "form": { "verdict": "approve" } },
            { "do": "forged", "person": "nobody", "path": page, "form": form("") },
            { "do": "open", "person": "carol", "path": format!("{page}?verdict=approve") },
            { "do": "sign_out", "person": "carol" },
        ]),
    )
    .await;
    let statuses: Vec<u64> = told.iter().filter_map(|one| one["status"].as_u64()).collect();
    // Whoever has not signed in is sent to do so.
    assert_eq!(statuses, [303, 403, 403, 403, 400, 303, 200, 200], "{told:?}");
    assert_eq!(told[7]["url"], "/console/sign-in");
    assert!(!is_made(&gateway, "ENG-45").await);
    assert_eq!(
        (deleted(&sim), waiting(&gateway).await[0]["standing"].as_str()),
        (0, Some("waiting"))
    );
}

/// Two have to; one of them denies the next one.
#[tokio::test]
async fn a_second_person_and_a_denial() {
    let (sim, gateway) = world("@quorum(\"2\")").await;
    let page = waits(&gateway, "ENG-45").await;
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "carol", "token": CAROL },
            { "do": "open", "person": "carol", "path": page },
            { "do": "says", "person": "carol", "verdict": "approve" },
            { "do": "open", "person": "carol", "path": page },
            { "do": "says", "person": "carol", "verdict": "approve" },
            { "do": "sign_in", "person": "dave", "token": DAVE },
            { "do": "open", "person": "dave", "path": page },
            { "do": "says", "person": "dave", "verdict": "deny", "reason": "not now" },
        ]),
    )
    .await;
    assert_eq!(told[2]["url"], "/console");
    assert!(
        told[4]["status"] == 409 && says(&told[4], "Nothing was done"),
        "once each: {}",
        told[4]
    );
    assert!(says(&told[6], "approved by carol") && told[7]["url"] == "/console", "{told:?}");
    assert!(!is_made(&gateway, "ENG-45").await);
    assert_eq!(deleted(&sim), 0);
}

/// A page that was open for too long decides nothing.
#[tokio::test]
async fn a02_a_page_that_is_too_old_decides_nothing() {
    let (sim, gateway) = world("@decide_within(\"5s\")").await;
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "carol", "token": CAROL },
            { "do": "call", "token": ALICE, "tool": "deleteJiraIssue", "arguments": read("ENG-45") },
            { "do": "keys", "person": "carol" },
            { "do": "wait", "milliseconds": 5_500 },
            { "do": "says", "person": "carol", "verdict": "approve" },
        ]),
    )
    .await;
    assert!(says(&told[1], "approval_required") && says(&told[2], "Approve"), "{told:?}");
    assert!(told[4]["status"] == 409 && says(&told[4], "Nothing was done"), "{}", told[4]);
    assert!(!is_made(&gateway, "ENG-45").await);
    assert_eq!(deleted(&sim), 0);
}

/// Every decision can be looked up, by those who may; what an agent wrote is text, whatever it looks like.
#[tokio::test]
async fn people_look_up_calls() {
    let (_sim, gateway) = world("").await;
    waits(&gateway, "ENG-45").await;
    let read = read("<script>alert(1)</script>\u{202e}");
    Ask::call("atlassian", ALICE, "getJiraIssue", read).send(gateway.address).await.unwrap();
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "carol", "token": CAROL },
            { "do": "calls", "person": "carol", "filter": { "human": "alice", "decision": "approval_required" } },
            { "do": "calls", "person": "carol", "filter": { "human": "alice", "tool": "getJiraIssue" } },
            { "do": "check", "person": "carol", "picture": "call" },
            { "do": "check", "person": "carol", "path": "/console/calls", "picture": "calls" },
            { "do": "open", "person": "carol", "path": "/console/calls?human=nobody" },
            { "do": "open", "person": "carol", "path": "/console/calls?nothing=1" },
            { "do": "open", "person": "carol", "path": "/console/calls/0190a0b0-0000-7000-8000-000000000000" },
            { "do": "sign_in", "person": "bob", "token": BOB },
            { "do": "open", "person": "bob", "path": "/console/calls" },
        ]),
    )
    .await;
    let [_, waits, hostile, one, check, nobody, unknown, missing, _, refused] = told.as_slice()
    else {
        panic!("{told:?}")
    };
    for part in [
        "alice (configured)",
        "release-bot (configured)",
        "deletes-need-a-lead",
        "jira.issue.delete",
    ] {
        assert!(says(waits, part), "{part}: {waits}");
    }
    let counted = "Decisions in the last day: 0 allowed, 1 waited for an approval, 0 denied";
    assert!(waits["list"].as_str().unwrap().contains(counted), "{waits}");
    assert!(!waits["list"].as_str().unwrap().contains("getJiraIssue"), "{waits}");
    assert!(says(hostile, "<script>alert(1)</script>\\u{202e}"), "{hostile}");
    assert_eq!((&one["found"], &check["found"]), (&json!([]), &json!([])), "axe, and the width");
    assert!(says(nobody, "No calls match"), "{nobody}");
    assert_eq!((&unknown["status"], &missing["status"]), (&json!(400), &json!(404)));
    assert!(refused["status"] == 403 && says(refused, "Not allowed"), "{refused}");
}

/// The page of a call tells who decided about it, too: of the one that waited, and of the one that was let through.
#[tokio::test]
async fn the_page_of_a_call_tells_who_decided() {
    let (_sim, gateway) = world("").await;
    let page = waits(&gateway, "ENG-45").await;
    let deletes = |decision: &str| json!({ "human": "alice", "tool": "deleteJiraIssue", "decision": decision });
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "carol", "token": CAROL },
            { "do": "open", "person": "carol", "path": page },
            { "do": "says", "person": "carol", "verdict": "approve", "reason": "<b>nobody</b> calls it" },
            { "do": "call", "token": ALICE, "tool": "deleteJiraIssue", "arguments": read("ENG-45") },
            { "do": "calls", "person": "carol", "filter": deletes("approval_required") },
            { "do": "check", "person": "carol", "picture": "call-that-waited" },
            { "do": "calls", "person": "carol", "filter": deletes("allow") },
            { "do": "check", "person": "carol", "picture": "call-approved" },
            { "do": "follow", "person": "carol", "link": "its approval" },
        ]),
    )
    .await;
    let [.., waited, check, made, other_check, approval] = told.as_slice() else {
        panic!("{told:?}")
    };
    let decided =
        ["asked of team:leads", "seen by carol", "approved by carol", "<b>nobody</b> calls it"];
    for (of, course) in
        [(waited, "approval spent by the call"), (made, "intent, which spends the approval")]
    {
        let text = of["text"].as_str().unwrap();
        let (_, records) = text.split_once("The record").unwrap();
        let places: Vec<_> =
            decided.iter().chain([&course]).map(|part| records.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}: {records}");
    }
    assert_eq!(approval["url"], page.as_str());
    assert_eq!(
        (&check["found"], &other_check["found"]),
        (&json!([]), &json!([])),
        "axe, and the width"
    );
}

/// With scripts a page is kept fresh, and loaded by nobody; without, it says of what moment it is.
#[tokio::test]
async fn a_page_is_kept_fresh_while_it_is_open() {
    let (_sim, gateway) = world("").await;
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "carol", "token": CAROL },
            { "do": "keep", "person": "carol", "path": "/console/calls" },
            { "do": "call", "token": ALICE, "tool": "deleteJiraIssue", "arguments": read("ENG-45") },
            { "do": "hears", "person": "carol", "part": "deleteJiraIssue" },
            { "do": "call", "token": ALICE, "tool": "getJiraIssue", "arguments": read("ENG-42") },
            { "do": "hears", "person": "carol", "part": "succeeded" },
            { "do": "keep", "person": "carol", "path": "/console" },
            { "do": "call", "token": ALICE, "tool": "deleteJiraIssue", "arguments": read("ENG-42") },
            { "do": "hears", "person": "carol", "part": "ENG-42" },
            { "do": "open", "person": "carol", "path": "/console" },
        ]),
    )
    .await;
    assert!(says(&told[1], "No calls match") && says(&told[1], "As of 2"), "{}", told[1]);
    assert!(says(&told[3], "1 waited for an approval"), "the chart, too: {}", told[3]);
    for at in [3, 5, 8] {
        assert_eq!(
            (&told[at]["loads"], &told[at]["wrong"]),
            (&json!(0), &json!([])),
            "{}",
            told[at]
        );
    }
    assert!(says(&told[9], "As of 2") && !says(&told[9], "Live."), "without a script: {}", told[9]);
}

/// S01, I13: a stream is of a session and ends with it, says nothing but that something changed, and there are only so many.
#[tokio::test]
async fn i13_streams_are_few_and_end_with_their_session() {
    let (_sim, gateway) = world("").await;
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "bob", "token": BOB },
            { "do": "listen", "person": "bob", "page": "calls", "count": 1 },
            { "do": "listen", "person": "nobody", "page": "calls", "count": 1 },
            { "do": "sign_in", "person": "carol", "token": CAROL },
            { "do": "listen", "person": "carol", "page": "nothing", "count": 1 },
            { "do": "listen", "person": "carol", "page": "calls", "count": 7 },
            { "do": "call", "token": ALICE, "tool": "getJiraIssue", "arguments": read("ENG-42") },
            { "do": "wait", "milliseconds": 2_000 },
            { "do": "sign_out", "person": "carol" },
            { "do": "heard", "person": "carol" },
        ]),
    )
    .await;
    assert_eq!((&told[1]["statuses"], &told[2]["statuses"]), (&json!([403]), &json!([303])));
    assert_eq!(told[4]["statuses"], json!([400]));
    assert_eq!(told[5]["statuses"], json!([200, 200, 200, 200, 200, 200, 503]));
    let heard = told[9]["text"].as_str().unwrap();
    let lines: Vec<&str> = heard.lines().filter(|line| !line.is_empty()).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| *line == "data: changed"), "{heard}");
}

/// What is asked of the gateway itself is recorded, but is no news: else a page that is loaded would have itself loaded again.
#[tokio::test]
async fn who_looks_wakes_nobody() {
    let (_sim, gateway) = world("").await;
    let look = json!({ "do": "open", "person": "carol", "path": "/console/calls" });
    let wait = json!({ "do": "wait", "milliseconds": 4_000 });
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "carol", "token": CAROL },
            { "do": "listen", "person": "carol", "page": "calls", "count": 1 },
            wait, look, look, wait,
            { "do": "sign_out", "person": "carol" },
            { "do": "heard", "person": "carol" },
        ]),
    )
    .await;
    let heard = told[7]["text"].as_str().unwrap();
    assert_eq!(heard.matches("data: changed").count(), 1, "at first, it has seen nothing: {heard}");
}
