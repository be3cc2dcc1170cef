//! The client and the server made with the Rust SDK, with nothing in between: what they can is there, in both eras and
//! through both transports. If one of these fails, the fault is not the gateway's.

use std::path::Path;

use callgate_tests::drive::{Client, Plan, Told};
use callgate_tests::install;
use callgate_tests::upstream::Upstream;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::clients::{LEGACY, MODERN};

pub(crate) const BOARD: &str = "notes://board";

pub(crate) fn rmcp() -> install::Rmcp {
    install::rmcp().unwrap()
}

/// What a client says when it is asked.
pub(crate) fn answers() -> Value {
    json!({
        "elicitation": { "action": "accept", "content": { "signature": "Ada 🖋", "sure": true } },
        "sampling": "It is short.",
        "roots": ["file:///home/ada", "file:///srv"],
    })
}

pub(crate) fn note(text: &str) -> Value {
    json!({ "name": "mine", "text": text })
}

pub(crate) fn takes(seconds: f64) -> Value {
    json!({ "name": "mine", "text": "später", "seconds": seconds })
}

/// Runs what `plan` makes of a start, in both eras and through both transports, each time with a new folder of notes.
async fn everywhere(plan: impl Fn(Plan) -> Plan, check: impl Fn(&Told, &Path)) {
    let rmcp = rmcp();
    let client = Client::rmcp(&rmcp);
    let run = async |start: Plan, version: &str, notes: &TempDir| {
        let told = client.run(&plan(start)).await.unwrap();
        assert_eq!(told.connect["protocolVersion"], version, "{}", told.connect);
        check(&told, notes.path());
    };
    let both_ways = async |protocol: &str, version: &str| {
        let notes = tempfile::tempdir().unwrap();
        let program = rmcp.server.display().to_string();
        let folder = notes.path().display().to_string();
        let start = Plan::of_command(&[&program, &folder, "--stdio"]);
        run(start.protocol(protocol), version, &notes).await;
        let notes = tempfile::tempdir().unwrap();
        let upstream = Upstream::rmcp(&rmcp, notes.path(), &[]).await.unwrap();
        run(Plan::new(&upstream.url).protocol(protocol), version, &notes).await;
    };
    tokio::join!(both_ways("auto", MODERN), both_ways("legacy", LEGACY));
}

pub(crate) const LEGACY_ONLY: &[&str] = &["--legacy"];

fn kept(notes: &Path, file: &str) -> Option<String> {
    std::fs::read_to_string(notes.join(file)).ok()
}

#[tokio::test]
async fn plain_tools_and_offers() {
    let plan = |plan: Plan| {
        plan.log("info")
            .list()
            .call("write_note", note("Grüße"))
            .call("read_note", json!({ "name": "yours" }))
            .call_with_progress("write_slowly", takes(0.2))
            .call("check_notes", json!({}))
            .call_and_cancel("write_slowly", takes(60.0), 300)
            .call("nothing", json!({}))
            .offers()
            .read("notes://note/mine")
            .read("notes://note/yours")
            .prompt("review_note", json!({ "name": "mine" }))
            .complete("review_note", "name", "mi")
            .wait_ms(200)
    };
    everywhere(plan, |told, notes| {
        let [list, wrote, missing, slow, checked, cancelled, unknown, offers, rest @ ..] =
            told.steps.as_slice()
        else {
            panic!("{told:?}")
        };
        assert_eq!(list["tools"].as_array().unwrap().len(), 13, "{list}");
        assert_eq!((&wrote["isError"], &wrote["text"]), (&json!(false), &json!("wrote mine")));
        assert!(missing["isError"] == true && missing["text"] == "there is no note yours");
        assert_eq!(slow["progress"], json!([1.0, 2.0, 3.0]), "{slow}");
        assert_eq!(checked["log"][0]["data"], "1 notes", "{checked}");
        assert_eq!(checked["log"].as_array().unwrap().len(), 2, "{checked}");
        assert_eq!(cancelled["cancelled"], true, "{cancelled}");
        assert_eq!(kept(notes, "given-up").as_deref(), Some("mine"));
        assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
        assert_eq!(offers["resources"], json!([BOARD, "notes://rules"]), "{offers}");
        assert_eq!(offers["templates"], json!(["notes://note/{name}"]), "{offers}");
        assert_eq!(offers["prompts"], json!(["review_note"]), "{offers}");
        let [read, unread, prompt, completed, _] = rest else { panic!("{rest:?}") };
        assert_eq!(read["text"], "später", "{read}");
        let code = if is_modern(told) { -32602 } else { -32002 };
        assert_eq!(unread["error"]["code"], code, "{unread}");
        assert_eq!(prompt["text"], "Review mine: später", "{prompt}");
        assert_eq!(completed["values"], json!(["mine"]), "{completed}");
    })
    .await;
}

fn is_modern(told: &Told) -> bool {
    told.connect["protocolVersion"] == MODERN
}

#[tokio::test]
async fn a_server_that_asks_its_client_back() {
    let plan = |plan: Plan| {
        plan.answers(answers())
            .call("write_note", note("Hallo"))
            .call("sign_note", json!({ "name": "mine" }))
            .call("summarize_note", json!({ "name": "mine" }))
            .call("list_roots", json!({}))
    };
    everywhere(plan, |told, notes| {
        let [_, signed, summary, roots] = told.steps.as_slice() else { panic!("{told:?}") };
        assert_eq!(signed["text"], "Ada 🖋 signed mine", "{signed}");
        let asked = &signed["asked"][0]["elicitation"];
        assert_eq!(asked["message"], "Who signs mine?", "{signed}");
        assert_eq!(asked["requestedSchema"]["required"], json!(["signature"]), "{signed}");
        assert_eq!(kept(notes, "mine.txt").as_deref(), Some("Hallo -- Ada 🖋"));
        assert_eq!(summary["text"], "It is short.", "{summary}");
        let asked = &summary["asked"][0]["sampling"][0]["content"]["text"];
        assert_eq!(asked, "Summarize: Hallo -- Ada 🖋", "{summary}");
        assert_eq!(roots["text"], "file:///home/ada, file:///srv", "{roots}");
    })
    .await;
}

#[tokio::test]
async fn a_user_who_declines() {
    let declines = json!({ "elicitation": { "action": "decline" } });
    let plan =
        |plan: Plan| plan.answers(declines.clone()).call("sign_note", json!({ "name": "mine" }));
    everywhere(plan, |told, notes| {
        let [signed] = told.steps.as_slice() else { panic!("{told:?}") };
        assert!(signed["isError"] == true && signed["text"] == "nobody signs mine", "{signed}");
        assert_eq!(kept(notes, "mine.txt"), None);
    })
    .await;
}

/// Nobody is asked for what they did not declare, and nobody gets a task who does not know what that is.
#[tokio::test]
async fn a_client_that_declares_nothing() {
    let plan = |plan: Plan| {
        plan.call("sign_note", json!({ "name": "mine" }))
            .call("write_with_consent", note("x"))
            .call("write_later", takes(0.1))
    };
    everywhere(plan, |told, notes| {
        let [signed, asked, later] = told.steps.as_slice() else { panic!("{told:?}") };
        if is_modern(told) {
            assert_eq!(signed["error"]["code"], -32021, "{signed}");
            let required = &signed["error"]["data"]["requiredCapabilities"];
            assert!(!required["elicitation"].is_null(), "{signed}");
        } else {
            assert_eq!(signed["text"], "the client cannot be asked", "{signed}");
        }
        assert_eq!(asked["error"]["code"], -32021, "{asked}");
        assert!(later["task"].is_null() && later["text"] == "wrote mine", "{later}");
        assert_eq!(kept(notes, "mine.txt").as_deref(), Some("später"));
    })
    .await;
}

/// Tasks that work, ask, fail and are cancelled; then a call that asks in its own time.
pub(crate) fn with_tasks(plan: Plan) -> Plan {
    plan.tasks()
        .answers(answers())
        .call("write_later", takes(0.3))
        .task_get()
        .task_until("completed")
        .call("write_with_consent", note("with consent"))
        .task_until("input_required")
        .task_update()
        .task_until("completed")
        .call("fail_later", json!({}))
        .task_until("failed")
        .call("write_later", takes(60.0))
        .task_cancel()
        .task_until("cancelled")
        .call("sign_note", json!({ "name": "mine" }))
}

pub(crate) fn check_tasks(told: &Told, notes: &Path) {
    let [created, working, wrote, asks, asking, updated, consented, _, failed, rest @ ..] =
        told.steps.as_slice()
    else {
        panic!("{told:?}")
    };
    assert_eq!(created["task"]["status"], "working", "{created}");
    assert_eq!(working["task"]["taskId"], created["task"]["taskId"], "{working}");
    assert_eq!(working["status"], "working", "{working}");
    assert_eq!(
        (&wrote["status"], &wrote["result"]["text"]),
        (&json!("completed"), &json!("wrote mine"))
    );
    assert!(!asks["task"]["taskId"].is_null(), "{asks}");
    let question = &asking["task"]["inputRequests"]["consent"];
    assert_eq!(question["params"]["message"], "Write mine?", "{asking}");
    assert_eq!(updated["asked"][0]["elicitation"]["message"], "Write mine?", "{updated}");
    assert_eq!(consented["result"]["text"], "wrote mine", "{consented}");
    assert_eq!(failed["task"]["error"]["message"], "the shelf fell over", "{failed}");
    let [_, _, cancelled, signed] = rest else { panic!("{rest:?}") };
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    assert_eq!(kept(notes, "given-up").as_deref(), Some("mine"));
    assert_eq!(signed["text"], "Ada 🖋 signed mine", "{signed}");
    assert_eq!(kept(notes, "mine.txt").as_deref(), Some("with consent -- Ada 🖋"));
}

/// The extension is of no era: this SDK has it in a legacy session, too.
#[tokio::test]
async fn tasks_that_work_ask_fail_and_are_cancelled() {
    everywhere(with_tasks, check_tasks).await;
}

#[tokio::test]
async fn a_task_that_nobody_has() {
    let plan = |plan: Plan| plan.tasks().task_of_id("00000000-0000-4000-8000-000000000000");
    everywhere(plan, |told, _| {
        for step in &told.steps {
            assert_eq!(step["error"]["code"], -32602, "{step}");
        }
        assert_eq!(told.steps.len(), 3);
    })
    .await;
}

/// A resource that is followed for a while.
pub(crate) fn following(plan: Plan) -> Plan {
    let post = |text: &str| json!({ "text": text });
    // Long enough for servers that start beside many others; what is not to be heard is waited for as long.
    plan.timeout_ms(6_000)
        .subscribe(BOARD)
        .call("post_to_board", post("first"))
        .updated()
        .read(BOARD)
        .unsubscribe(BOARD)
        // Who stops listening gets no answer to wait for.
        .wait_ms(300)
        .call("post_to_board", post("second"))
        .updated()
}

pub(crate) fn check_followed(told: &Told) {
    let [subscribed, posted, updated, read, ended, _, _, unheard] = told.steps.as_slice() else {
        panic!("{told:?}")
    };
    assert!(subscribed["error"].is_null(), "{subscribed}");
    if is_modern(told) {
        let followed = &subscribed["acknowledged"]["resourceSubscriptions"];
        assert_eq!(followed, &json!([BOARD]), "{subscribed}");
    }
    assert_eq!(posted["text"], "posted", "{posted}");
    assert_eq!(updated["uri"], BOARD, "{} {updated}", told.connect);
    assert_eq!(read["text"], "first", "{read}");
    assert!(ended["error"].is_null(), "{ended}");
    assert_eq!(unheard["error"]["code"], "timeout", "{unheard}");
}

#[tokio::test]
async fn a_resource_that_is_followed() {
    everywhere(following, |told, _| check_followed(told)).await;
}
