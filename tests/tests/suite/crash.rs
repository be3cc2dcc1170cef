//! E04: the process ends at each of twelve points of the way of a call, as by `kill -9`, in the middle of a read, a write and a
//! write that somebody approved. After it has started again, what the site executed and what the evidence has agree.
//!
//! Each point has one site and one gateway, which ends there several times. `CALLGATE_CRASH_SEEDS` says how often per
//! kind of call: the first time with one call on its way, of which it is known what is left; then with three, at one of them.

mod reconciled;

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use callgate_sim::{Fault, Running, SimOptions};
use callgate_tests::gateway::{Folder, Gateway, digest};
use callgate_tests::install;
use callgate_tests::wire::{Ask, Heard};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::approvals::CAROL;
use super::world::{ALICE, PERMITS, SECRET, SITE, edit, setup, site, wait_until};
use reconciled::{Call, Kind, Run, violations};

/// Where the file is that says when to end.
const ARMED: &str = "fail-point";
const SIGABRT: i32 = 6;
/// With one gateway: more approvals would wait than one caller may ask for.
const SEEDS_TOGETHER: usize = 4;

const GATE: &str = r#"
@id("the-release-needs-a-lead") @reason("It is announced") @owner("platform") @approval("team:leads")
forbid(principal, action == Action::"jira.issue.edit", resource == Jira::Issue::"acme/ENG-43");
"#;
const LEADS: &str = r#"
@id("leads-decide") @reason("They are asked") @owner("platform")
permit(principal in Group::"leads", action in [Action::"callgate.approval.decide", Action::"callgate.approval.show"], resource);
"#;

/// A point, and what is left of a lone call that is not a read: how often it took effect, its outcome, and whether its approval is
/// spent. `docs/evidence.md` tells the same.
struct Point {
    name: &'static str,
    effects: usize,
    outcome: Option<&'static str>,
    /// What may be left of a read, whose records are not waited for.
    of_a_read: (&'static [usize], &'static [Option<&'static str>]),
}

const NEVER: &[usize] = &[0];
const ONCE: &[usize] = &[1];
const PERHAPS: &[usize] = &[0, 1];
const LOST: &[Option<&str>] = &[None];
const UNKNOWN: &[Option<&str>] = &[None, Some("indeterminate")];
const LATE: &[Option<&str>] = &[None, Some("indeterminate"), Some("succeeded")];
const UNKNOWN_OR_DONE: &[Option<&str>] = &[Some("indeterminate"), Some("succeeded")];
const DONE: &[Option<&str>] = &[Some("succeeded")];

/// The twelve points, in their order.
#[rustfmt::skip]
const POINTS: [Point; 12] = [
    Point { name: "identified",        effects: 0, outcome: None,                  of_a_read: (NEVER, LOST) },
    Point { name: "read",              effects: 0, outcome: None,                  of_a_read: (NEVER, LOST) },
    Point { name: "decided",           effects: 0, outcome: None,                  of_a_read: (NEVER, LOST) },
    Point { name: "claimed",           effects: 0, outcome: None,                  of_a_read: (PERHAPS, LOST) },
    Point { name: "intent_written",    effects: 0, outcome: None,                  of_a_read: (PERHAPS, LOST) },
    Point { name: "intent_committed",  effects: 0, outcome: Some("indeterminate"), of_a_read: (PERHAPS, UNKNOWN_OR_DONE) },
    Point { name: "permitted",         effects: 0, outcome: Some("indeterminate"), of_a_read: (NEVER, UNKNOWN) },
    Point { name: "sent",              effects: 1, outcome: Some("indeterminate"), of_a_read: (ONCE, UNKNOWN) },
    Point { name: "answered",          effects: 1, outcome: Some("indeterminate"), of_a_read: (ONCE, UNKNOWN) },
    Point { name: "outcome_written",   effects: 1, outcome: Some("indeterminate"), of_a_read: (ONCE, UNKNOWN) },
    Point { name: "outcome_committed", effects: 1, outcome: Some("succeeded"),     of_a_read: (ONCE, DONE) },
    Point { name: "replied",           effects: 1, outcome: Some("succeeded"),     of_a_read: (ONCE, LATE) },
];

#[test]
fn e04_the_page_tells_the_same() {
    let page = include_str!("../../../docs/evidence.md");
    let told: Vec<(&str, bool, bool)> = page
        .lines()
        .filter(|line| line.ends_with("| unused |") || line.ends_with("| spent |"))
        .map(|line| {
            let name = line.trim_start_matches("| `").split('`').next().unwrap();
            (name, line.contains("| `indeterminate` |"), line.ends_with("| spent |"))
        })
        .collect();
    let known = POINTS
        .iter()
        .map(|point| (point.name, point.outcome == Some("indeterminate"), point.outcome.is_some()));
    assert_eq!(told, known.collect::<Vec<_>>());
}

#[tokio::test]
async fn e04_identified() {
    ends_at("identified").await;
}

#[tokio::test]
async fn e04_read() {
    ends_at("read").await;
}

#[tokio::test]
async fn e04_decided() {
    ends_at("decided").await;
}

#[tokio::test]
async fn e04_claimed() {
    ends_at("claimed").await;
}

#[tokio::test]
async fn e04_intent_written() {
    ends_at("intent_written").await;
}

#[tokio::test]
async fn e04_intent_committed() {
    ends_at("intent_committed").await;
}

#[tokio::test]
async fn e04_permitted() {
    ends_at("permitted").await;
}

#[tokio::test]
async fn e04_sent() {
    ends_at("sent").await;
}

#[tokio::test]
async fn e04_answered() {
    ends_at("answered").await;
}

#[tokio::test]
async fn e04_outcome_written() {
    ends_at("outcome_written").await;
}

#[tokio::test]
async fn e04_outcome_committed() {
    ends_at("outcome_committed").await;
}

#[tokio::test]
async fn e04_replied() {
    ends_at("replied").await;
}

/// The gateway that ends at `name`, again and again, and what is left of it.
async fn ends_at(name: &str) {
    let point = POINTS.iter().find(|point| point.name == name).unwrap();
    let seeds: Vec<usize> = (0..seeds()).collect();
    for seeds in seeds.chunks(SEEDS_TOGETHER) {
        end_and_reconcile(point, seeds).await;
    }
}

async fn end_and_reconcile(point: &Point, seeds: &[usize]) {
    let (sim, mut gateway) = world().await;
    let mut run = Run::default();
    for &seed in seeds {
        for kind in [Kind::Read, Kind::Write, Kind::Approved] {
            let calls = end_once(&sim, &mut gateway, point, kind, seed).await;
            run.add(calls);
        }
    }
    assert_eq!(gateway.terminate().await.unwrap(), Some(0), "{}", gateway.output());
    run.ledger = sim.ledger().entries();
    run.records = records(&gateway).await;
    assert_eq!(violations(&run), Vec::<String>::new(), "at {}", point.name);
    as_told(point, &run);
    verified(&gateway).await;
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration to be told by")]
fn seeds() -> usize {
    std::env::var("CALLGATE_CRASH_SEEDS").ok().and_then(|all| all.parse().ok()).unwrap_or(2)
}

async fn world() -> (Running, Gateway) {
    let sim = site(SimOptions::default()).await;
    let carol = format!(
        "[[danger_static_tokens]]\nname = \"carol\"\nsha256 = \"{}\"\nhuman = \"carol\"\ngroups = [\"leads\"]\n",
        digest(CAROL.as_bytes())
    );
    let folder = setup()
        .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
        .section(&carol)
        .file("policies/approvals/all.cedar", GATE)
        .file("policies/permits/all.cedar", &format!("{PERMITS}{LEADS}"))
        .write()
        .unwrap();
    let program = install::beside("callgate-fail-points", "callgate: cargo xtask test").unwrap();
    let armed = format!("CALLGATE_FAIL_POINT={}", folder.path().join(ARMED).display());
    let command = ["env", &armed, &program.display().to_string(), "serve"];
    let command = command.map(str::to_owned).to_vec();
    (sim, Gateway::start_by(folder, command).await.unwrap())
}

/// Calls of this kind are on their way when the process ends at `point`; it is started again.
async fn end_once(
    sim: &Running,
    gateway: &mut Gateway,
    point: &Point,
    kind: Kind,
    seed: usize,
) -> Vec<Call> {
    let mut calls = before(gateway, kind, seed).await;
    let many = if seed == 0 { 1 } else { 3 };
    let mut doomed = Vec::new();
    for index in 0..many {
        let arguments = arguments(kind, &format!("{seed} {index}"));
        let mut call = Call::doomed(kind, arguments, many == 1);
        if kind == Kind::Approved {
            call.approval = Some(approved(gateway, &call).await);
        }
        doomed.push(call);
    }
    let executed = sim.ledger().entries().len();
    match point.name {
        "sent" => (0..many).for_each(|_| sim.fault(Fault::HangAfterExecuting)),
        "replied" => {}
        name => gateway.put(ARMED, &format!("{name} {}", seed % many + 1)).unwrap(),
    }
    let mut answers = JoinSet::new();
    for (index, call) in doomed.iter().enumerate() {
        let (ask, address) = (ask(call), gateway.address);
        answers.spawn(async move { (index, ask.send(address).await.ok()) });
    }
    match point.name {
        "sent" => {
            wait_until(|| sim.ledger().entries().len() == executed + many).await;
            gateway.kill_9().await.unwrap();
            hear(&mut doomed, answers).await;
        }
        "replied" => {
            hear(&mut doomed, answers).await;
            gateway.kill_9().await.unwrap();
        }
        _ => {
            let ended = gateway.ended().await.unwrap();
            assert_eq!(ended.signal(), Some(SIGABRT), "{}", gateway.output());
            std::fs::remove_file(gateway.path().join(ARMED)).unwrap();
            hear(&mut doomed, answers).await;
        }
    }
    sim.clear_faults();
    gateway.restart().await.unwrap();
    for call in doomed.iter_mut().filter(|call| call.kind == Kind::Approved) {
        call.again = Some(ask(call).send(gateway.address).await.unwrap().is_success());
    }
    calls.extend(doomed);
    calls
}

/// A read and a write that are answered long before: the records of both are stored when the write is answered.
async fn before(gateway: &Gateway, kind: Kind, seed: usize) -> Vec<Call> {
    let mut calls = Vec::new();
    for early in [Kind::Read, Kind::Write] {
        let arguments = arguments(early, &format!("before {kind:?} {seed}"));
        let mut call = Call::early(early, arguments);
        call.told = Some(told(&ask(&call).send(gateway.address).await.unwrap()));
        calls.push(call);
    }
    calls
}

async fn hear(calls: &mut [Call], mut answers: JoinSet<(usize, Option<Heard>)>) {
    while let Some(answer) = answers.join_next().await {
        let (index, heard) = answer.unwrap();
        // A connection that ends without an answer is one that told nothing.
        calls[index].told = heard.filter(|heard| !heard.message().is_null()).as_ref().map(told);
    }
}

fn told(heard: &Heard) -> bool {
    assert!(heard.is_success(), "{heard:?}");
    true
}

/// No two calls have the same arguments, so that these tell which is which.
fn arguments(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Read => json!({ "cloudId": SITE, "issueIdOrKey": "ENG-42", "fields": [text] }),
        Kind::Write => edit("ENG-42", text),
        Kind::Approved => edit("ENG-43", text),
    }
}

fn ask(call: &Call) -> Ask {
    let tool = if call.kind == Kind::Read { "getJiraIssue" } else { "editJiraIssue" };
    Ask::call("atlassian", ALICE, tool, call.arguments.clone())
}

/// Carol approves the call; the approval's id.
async fn approved(gateway: &Gateway, call: &Call) -> String {
    let waits = ask(call).send(gateway.address).await.unwrap();
    let id = waits.message()["result"]["_meta"]["dev.callgate/decision"]["approval"].clone();
    let id = id.as_str().unwrap_or_else(|| panic!("{waits:?}")).to_owned();
    let show = Ask::api("GET", &format!("/approvals/{id}"), CAROL, "");
    let shown: Value =
        serde_json::from_str(&show.send(gateway.address).await.unwrap().body).unwrap();
    let said = json!({ "shown": shown["shown"] }).to_string();
    let approve = Ask::api("POST", &format!("/approvals/{id}/approve"), CAROL, &said);
    let heard = approve.send(gateway.address).await.unwrap();
    assert_eq!(heard.status, 200, "{heard:?} {shown}");
    id
}

/// Every record, in the order of the log.
async fn records(folder: &Folder) -> Vec<Value> {
    let ran = folder.cli(&["evidence", "export", "--format", "jsonl"]).await.unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json().unwrap()
}

/// What is left of each lone call is what the table says.
fn as_told(point: &Point, run: &Run) {
    for call in run.calls.iter().filter(|call| call.is_lone) {
        let (effects, outcome) = (run.effects(call), run.outcome(call));
        let outcome = outcome.as_deref();
        let place = format!("{}, {:?}: {effects} effects, {outcome:?}", point.name, call.kind);
        if call.kind == Kind::Read {
            let (may_be, may_say) = point.of_a_read;
            assert!(may_be.contains(&effects) && may_say.contains(&outcome), "{place}");
            continue;
        }
        let spent = point.outcome.is_some();
        // An approval that is not spent lets the call through when it is made again.
        let (wanted, says) = if call.again == Some(true) {
            (1, Some("succeeded"))
        } else {
            (point.effects, point.outcome)
        };
        assert_eq!((effects, outcome), (wanted, says), "{place}");
        assert_eq!(call.told.is_some(), point.name == "replied", "{place}");
        let again = (call.kind == Kind::Approved).then_some(!spent);
        assert_eq!(call.again, again, "{place}: the approval");
    }
}

/// The program's own check, and that of the program which knows nothing of gateways, say that all is well.
async fn verified(folder: &Folder) {
    for arguments in [&["evidence", "verify"][..], &["evidence", "tiles", "log"]] {
        let ran = folder.cli(arguments).await.unwrap();
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let key = folder.cli(&["evidence", "key"]).await.unwrap();
    let verifier = install::beside("callgate-verify", "callgate-verify").unwrap();
    let arguments = ["log", "--json", "--key", key.stdout.trim()];
    let ran = Command::new(verifier).args(arguments).current_dir(folder.path()).output().unwrap();
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
    // What a person has to settle is all that is wanting.
    let wanting = (&told["calls"]["open"], &told["payloads"]["absent"]);
    assert_eq!(wanting, (&json!(0), &json!(0)), "{told}");
    let verdict = if told["calls"]["unsettled"] == json!(0) { "verified" } else { "incomplete" };
    assert_eq!(told["verdict"], json!(verdict), "{told}");
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
}
