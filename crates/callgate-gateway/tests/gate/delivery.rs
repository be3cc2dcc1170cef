//! How clients are told that their call waits, by what they declare; and that none of it is an approval.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callgate_gateway::pipeline::ReplyBody;
use callgate_model::ambient::Ambient as _;
use callgate_model::approval::Standing;
use callgate_model::authority::Change;
use callgate_model::json::{Json, Object};
use callgate_policy::Tier;
use futures_util::future::join_all;
use tokio::sync::mpsc;

use crate::approvals::{RULES, WAITS};
use crate::client::{Ask, Said, delete, edit};
use crate::rounds;
use crate::support::{POLICIES, Rule, Setup, World, catalogs, json, load};

pub(crate) const PAGES: &str = r#"{"elicitation":{"form":{},"url":{}}}"#;
const TASKS: &str =
    r#"{"elicitation":{"url":{}},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
const HOLD: Duration = Duration::from_millis(200);
const ACCEPTED: &str = r#","inputResponses":{"approval":{"action":"accept"}}"#;

async fn world(hold: Duration) -> World {
    World::start(Setup { policies: [POLICIES, RULES].concat(), hold, ..Setup::default() }).await
}

/// Deletes `key`; `more` are further parameters.
pub(crate) fn deletes(who: &str, key: &str, more: &str) -> Ask {
    let arguments = delete(key);
    let params = format!(r#"{{"name":"executeDestructive","arguments":{arguments}{more}}}"#);
    Ask::new(who, "tools/call", &params)
}

pub(crate) fn returns(state: &str, more: &str) -> String {
    format!(r#","requestState":"{state}"{more}"#)
}

pub(crate) fn result(said: &Said) -> Object {
    said.answer().get("result").and_then(Json::as_object).cloned().unwrap_or_default()
}

pub(crate) fn text(said: &Said, member: &str) -> String {
    let result = result(said);
    result.get(member).and_then(Json::as_str).unwrap_or_else(|| panic!("{said:?}")).to_owned()
}

/// `input_required`, with whether the client is to show the page.
fn sent_back(said: &Said) -> (String, bool) {
    (text(said, "resultType"), result(said).get("inputRequests").is_some())
}

impl World {
    pub(crate) fn deletions(&self) -> usize {
        self.sim.ledger().count("deleteJiraIssue")
    }

    /// A lead decides about the one call that waits, once there is one.
    pub(crate) async fn decides(&self, approves: bool) {
        let waiting = loop {
            if let [one] = self.open_approvals().await.as_slice() {
                break one.approval.id;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        self.says("carol-lead", waiting, approves).await.unwrap();
    }
}

#[tokio::test]
async fn a06_a_client_that_shows_the_page_comes_back_and_what_it_accepts_approves_nothing() {
    let world = world(Duration::ZERO).await;
    let page = |more: &str| deletes("alice-release", "ENG-42", more).declaring(PAGES);
    let first = world.ask(&page("")).await;
    assert_eq!(sent_back(&first), ("input_required".to_owned(), true));
    let approval = world.waiting().await.approval;
    let asks = json(first.text()).get("result").unwrap().get("inputRequests").unwrap().clone();
    let params = asks.get("approval").unwrap().get("params").unwrap();
    let url = format!("https://gate.example/console/approvals/{}", approval.id);
    assert_eq!(params.get("url"), Some(&url.as_str().into()));
    assert_eq!(params.get("mode"), Some(&"url".into()));
    let message = params.get("message").and_then(Json::as_str).unwrap();
    assert!(message.contains(&approval.short_code()) && !message.contains("alice"), "{message}");

    // It says that the page is shown: nobody has approved anything. Twice it is sent back, then it is told.
    let mut state = text(&first, "requestState");
    for _ in 0..2 {
        let said = world.ask(&page(&returns(&state, ACCEPTED))).await;
        assert_eq!(sent_back(&said), ("input_required".to_owned(), false));
        state = text(&said, "requestState");
    }
    assert_eq!(world.ask(&page(&returns(&state, ""))).await.brief(), WAITS);
    assert_eq!((world.deletions(), world.open_approvals().await.len()), (0, 1));

    // Once it is approved, whoever comes back goes on; with a state that was used as well, but not again.
    world.decides(true).await;
    assert_eq!(world.ask(&page(&returns(&state, ACCEPTED))).await.brief(), "ok");
    assert_eq!(world.deletions(), 1);
    assert_eq!(world.ask(&page(&returns(&state, ACCEPTED))).await.brief(), WAITS);
    assert_eq!(world.deletions(), 1, "another one is asked for");
    world.decides(false).await;
    let denied = world.ask(&page(&returns(&state, ACCEPTED))).await;
    assert_eq!((denied.brief().as_str(), world.deletions()), ("deny approval_denied", 1));
}

#[tokio::test]
async fn who_declines_to_show_the_page_is_told_at_once() {
    let world = World::start(Setup {
        policies: [POLICIES, RULES].concat(),
        page_hold: Duration::from_secs(30),
        ..Setup::default()
    })
    .await;
    for action in ["decline", "cancel"] {
        let first = world.ask(&deletes("alice-release", "ENG-42", "").declaring(PAGES)).await;
        let answer = format!(r#","inputResponses":{{"approval":{{"action":"{action}"}}}}"#);
        let more = returns(&text(&first, "requestState"), &answer);
        let begun = std::time::Instant::now();
        let said = world.ask(&deletes("alice-release", "ENG-42", &more).declaring(PAGES)).await;
        assert!(said.brief() == WAITS && begun.elapsed() < Duration::from_secs(20), "{said:?}");
    }
}

/// A client that could not be asked to show a page is not: to be sent back it needs to declare nothing.
#[tokio::test]
async fn who_can_show_no_page_is_sent_back_if_the_operator_lets_requests_be_held() {
    let world = world(HOLD).await;
    let form =
        |more: &str| deletes("alice-release", "ENG-42", more).declaring(r#"{"elicitation":{}}"#);
    let mut more = String::new();
    for _ in 0..2 {
        let said = world.ask(&form(&more)).await;
        assert_eq!(sent_back(&said), ("input_required".to_owned(), false));
        more = returns(&text(&said, "requestState"), "");
    }
    assert_eq!(world.ask(&form(&more)).await.brief(), WAITS);
    let held = form("");
    let (said, ()) = tokio::join!(world.ask(&held), world.decides(true));
    assert_eq!((said.brief().as_str(), world.deletions()), ("ok", 1));
    // One that is of the legacy era could take it for a success.
    let session = world.session("alice-release").await;
    let said = world.ask(&deletes("alice-release", "ENG-43", "").in_session(&session)).await;
    assert_eq!(said.brief(), WAITS);
}

#[tokio::test]
async fn a10_a_state_is_good_for_its_caller_its_call_and_its_time_only() {
    let world = world(Duration::ZERO).await;
    let first = world.ask(&deletes("alice-release", "ENG-42", "").declaring(PAGES)).await;
    let state = text(&first, "requestState");
    world.decides(true).await;
    let changed: String =
        state.chars().rev().map(|c| if c == 'A' { 'B' } else { c }).rev().collect();
    let cut: String = state.chars().take(state.len() - 1).collect();
    for (who, key, state) in [
        ("bob-release", "ENG-42", state.as_str()),
        ("alice", "ENG-42", &state),
        ("alice-release", "ENG-43", &state),
        ("alice-release", "ENG-42", &changed),
        ("alice-release", "ENG-42", &cut),
        ("alice-release", "ENG-42", "approved"),
    ] {
        let said = world.ask(&deletes(who, key, &returns(state, ACCEPTED)).declaring(PAGES)).await;
        assert_eq!(said.brief(), "error -32602", "{who} {key} {state}");
    }
    assert_eq!(world.deletions(), 0);
    world.clock.pass(16 * 60_000);
    let late = deletes("alice-release", "ENG-42", &returns(&state, ACCEPTED)).declaring(PAGES);
    assert_eq!(world.ask(&late).await.brief(), "error -32602");
    assert_eq!(world.deletions(), 0);
}

/// What a client brought for its server is kept while its call waits: it is asked nothing twice.
#[tokio::test]
async fn a_later_round_that_waits_brings_its_server_what_it_asked_for() {
    let (world, calls) = rounds::world_of(&[POLICIES, rounds::MORE, RULES].concat()).await;
    let ask = async |more: &str| {
        let arguments = edit("ENG-42", "x");
        let params = format!(r#"{{"name":"editJiraIssue","arguments":{arguments}{more}}}"#);
        world
            .ask(&Ask::new("alice-release", "tools/call", &params).at("asking").declaring(PAGES))
            .await
    };
    let first = ask("").await;
    let gate: Rule = (
        Tier::Approval,
        "edits-need-a-lead",
        r#"forbid(principal, action == Action::"jira.issue.edit", resource);"#,
    );
    let policies = [POLICIES, rounds::MORE, RULES, &[gate]].concat();
    world.gateway.activate(load(&catalogs(&[]), &policies));
    let answered = r#","inputResponses":{"who":{"action":"accept","content":{}}}"#;
    let waits = ask(&returns(&text(&first, "requestState"), answered)).await;
    assert_eq!(sent_back(&waits), ("input_required".to_owned(), true));
    assert_eq!(calls.lock().unwrap().len(), 1);
    world.decides(true).await;
    let forged = r#","inputResponses":{"approval":{"action":"accept"},"who":{"action":"decline"}}"#;
    let done = ask(&returns(&text(&waits, "requestState"), forged)).await;
    assert_eq!(done.brief(), "ok", "{done:?}");
    let calls = calls.lock().unwrap();
    let given = calls[1].get("inputResponses").unwrap().to_text();
    assert_eq!(given, r#"{"who":{"action":"accept","content":{}}}"#);
    assert_eq!(calls[1].get("requestState"), Some(&rounds::STATE.into()));
}

#[tokio::test]
async fn who_is_held_and_wants_progress_gets_signs_of_life_and_then_the_answer() {
    let world = world(Duration::from_secs(20)).await;
    let ask = deletes("alice-release", "ENG-42", "").wanting_progress("mine");
    let reply = ask.reply(&world.gateway).await;
    let ReplyBody::Stream(mut events) = reply.body else { panic!("{reply:?}") };
    let mut next = async || json(std::str::from_utf8(&events.recv().await.unwrap()).unwrap());
    let mut told = 0.0;
    for _ in 0..2 {
        let sign = next().await;
        assert_eq!(sign.get("method"), Some(&"notifications/progress".into()));
        let params = sign.get("params").unwrap();
        assert_eq!(params.get("progressToken"), Some(&"mine".into()));
        let progress = params.get("progress").and_then(Json::as_number).unwrap().as_f64();
        assert!(progress > told && progress < 0.01, "{progress} after {told}");
        told = progress;
    }
    world.decides(true).await;
    let last = next().await;
    assert!(last.get("result").is_some() && last.get("id").is_some(), "{last:?}");
    assert_eq!(world.deletions(), 1);
}

#[tokio::test]
async fn a07_who_gives_up_while_held_has_made_no_call() {
    let world = world(Duration::from_secs(20)).await;
    // By going away.
    let (gateway, ask) = (Arc::clone(&world.gateway), deletes("alice-release", "ENG-42", ""));
    let leaves = tokio::spawn(async move { ask.reply(&gateway).await });
    world.waiting_soon(1).await;
    leaves.abort();
    // By name, in the legacy era.
    let session = world.session("alice-release").await;
    let ask = deletes("alice-release", "ENG-43", "").in_session(&session);
    let gateway = Arc::clone(&world.gateway);
    let cancels = tokio::spawn(async move { Said::of(ask.reply(&gateway).await).await });
    world.waiting_soon(2).await;
    let told = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
    let ask = Ask::new("alice-release", "notifications/cancelled", "{}").in_session(&session);
    assert_eq!(world.raw(&ask, told.into()).await.status, 202);
    let said = cancels.await.unwrap();
    assert!(!said.text().contains("content"), "{said:?}");
    for one in world.open_approvals().await {
        world.says("carol-lead", one.approval.id, true).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(world.deletions(), 0);
    // What was approved is there for who calls again.
    let said = world.call("alice-release", "executeDestructive", &delete("ENG-42")).await;
    assert_eq!((said.brief().as_str(), world.deletions()), ("ok", 1));
}

#[tokio::test]
async fn a02_who_is_held_until_nobody_has_decided_is_told_that_and_nobody_is_asked_again() {
    let world = world(Duration::from_secs(20)).await;
    let ask = deletes("alice-release", "ENG-42", "");
    let call = world.ask(&ask);
    let expires = async {
        world.waiting_soon(1).await;
        world.clock.pass(16 * 60_000);
    };
    let (said, ()) = tokio::join!(call, expires);
    assert_eq!(said.brief(), "deny approval_expired");
    assert!(world.open_approvals().await.is_empty());
    assert_eq!(world.deletions(), 0);
}

/// A client of the legacy era shows the page while it waits.
#[tokio::test]
async fn a_legacy_client_shows_the_page_while_its_request_is_held() {
    let page_hold = Duration::from_secs(10);
    let policies = [POLICIES, RULES].concat();
    let world = World::start(Setup { policies, page_hold, ..Setup::default() }).await;
    let params = r#"{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{"url":{}}},"clientInfo":{"name":"old","version":"1"}}"#;
    let said = world.ask(&Ask::new("alice-release", "initialize", params)).await;
    let session = said.headers.get("mcp-session-id").unwrap().to_str().unwrap().to_owned();
    for (action, decides, brief) in
        [("accept", true, "ok"), ("decline", false, WAITS), ("cancel", false, WAITS)]
    {
        let reply = deletes("alice-release", "ENG-42", "").in_session(&session);
        let reply = reply.reply(&world.gateway).await;
        let ReplyBody::Stream(mut events) = reply.body else { panic!("{reply:?}") };
        let question = message(&mut events).await;
        assert_eq!(question.get("method"), Some(&"elicitation/create".into()));
        let asked = question.get("params").unwrap();
        let approval = world.waiting().await.approval.id.to_string();
        assert_eq!(asked.get("elicitationId"), Some(&approval.as_str().into()));
        assert!(asked.get("url").unwrap().as_str().unwrap().ends_with(&approval));
        let id = question.get("id").unwrap().to_text();
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"action":"{action}"}}}}"#);
        let ask = Ask::new("alice-release", "", "{}").in_session(&session);
        assert_eq!(world.raw(&ask, answer.into()).await.status, 202);
        if decides {
            world.decides(true).await;
        }
        let last = message(&mut events).await.to_text();
        let said = Said {
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
            messages: vec![last],
        };
        assert_eq!(said.brief(), brief, "{action}");
    }
    assert_eq!(world.deletions(), 1);
}

async fn message(events: &mut mpsc::Receiver<Bytes>) -> Json {
    let event = tokio::time::timeout(Duration::from_secs(10), events.recv()).await;
    json(std::str::from_utf8(&event.expect("soon").expect("a message")).unwrap())
}

pub(crate) fn about(who: &str, method: &str, task: &str) -> Ask {
    let more = if method == "tasks/update" { r#","inputResponses":{}"# } else { "" };
    Ask::new(who, method, &format!(r#"{{"taskId":"{task}"{more}}}"#)).declaring(TASKS)
}

/// The result of a task that has ended, as if it had been the answer.
pub(crate) fn inner(said: &Said) -> Said {
    let result = result(said).get("result").cloned().unwrap_or_else(|| panic!("{said:?}"));
    let text = Object::default().with("result", result).to_text();
    Said { status: said.status, headers: http::HeaderMap::new(), messages: vec![text] }
}

impl World {
    pub(crate) async fn waiting_soon(&self, count: usize) {
        for _ in 0..500 {
            if self.open_approvals().await.len() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{count} do not wait");
    }

    pub(crate) async fn task_for(&self, key: &str) -> String {
        let created = self.ask(&deletes("alice-release", key, "").declaring(TASKS)).await;
        assert_eq!(text(&created, "resultType"), "task");
        assert_eq!(text(&created, "status"), "working");
        text(&created, "taskId")
    }

    pub(crate) async fn got(&self, task: &str) -> Said {
        self.ask(&about("alice-release", "tasks/get", task)).await
    }
}

#[tokio::test]
async fn a_call_that_waits_is_a_task_and_is_made_once_when_it_was_approved() {
    let world = world(Duration::ZERO).await;
    let task = world.task_for("ENG-42").await;
    let waits = world.got(&task).await;
    assert_eq!((text(&waits, "status"), text(&waits, "taskId")), ("working".into(), task.clone()));
    let approval = world.waiting().await.approval;
    assert!(text(&waits, "statusMessage").contains(&approval.short_code()));
    assert_eq!(world.ask(&about("alice-release", "tasks/update", &task)).await.brief(), "ok");
    world.decides(true).await;
    assert_eq!(world.deletions(), 0, "nothing is made by approving it");
    // However many ask at one time.
    for said in join_all((0..8).map(|_| world.got(&task))).await {
        assert_eq!(text(&said, "status"), "completed");
        assert_eq!(inner(&said).brief(), "ok");
    }
    assert_eq!(world.deletions(), 1);
    assert!(world.open_approvals().await.is_empty(), "nobody is asked anew");
    let rows = world.record().await;
    let of_tool = |row: &&callgate_store::Row| row.tool.as_deref() == Some("executeDestructive");
    let kinds: Vec<&str> = rows.iter().filter(of_tool).map(|row| &*row.kind).collect();
    assert_eq!(kinds, ["refusal", "intent"], "to ask how far it is decides nothing");
}

#[tokio::test]
async fn a_task_ends_however_its_approval_does() {
    let world = world(Duration::ZERO).await;
    let denied = world.task_for("ENG-42").await;
    world.decides(false).await;
    for _ in 0..2 {
        let said = world.got(&denied).await;
        assert_eq!(
            (text(&said, "status"), inner(&said).brief()),
            ("completed".into(), "deny approval_denied".into())
        );
    }
    let cancelled = world.task_for("ENG-43").await;
    assert_eq!(world.ask(&about("alice-release", "tasks/cancel", &cancelled)).await.brief(), "ok");
    assert!(world.open_approvals().await.is_empty());
    assert_eq!(text(&world.got(&cancelled).await, "status"), "cancelled");

    let withdrawn = world.task_for("ENG-44").await;
    let (id, reason) = (world.waiting().await.approval.id, "not today".to_owned());
    let change = Change::ApprovalWithdrawn { id, reason };
    world.gateway.administer("carol".to_owned(), change).await.unwrap();
    assert_eq!(inner(&world.got(&withdrawn).await).brief(), "deny approval_withdrawn");

    // Made by repeating the call, as ever.
    let spent = world.task_for("ENG-45").await;
    world.decides(true).await;
    assert_eq!(world.ask(&deletes("alice-release", "ENG-45", "")).await.brief(), "ok");
    assert_eq!(inner(&world.got(&spent).await).brief(), "allow succeeded", "as is recorded");

    let changed = world.task_for("ENG-44").await;
    let gate: Rule = (
        Tier::Approval,
        "another",
        r#"forbid(principal, action == Action::"jira.issue.edit", resource);"#,
    );
    world.gateway.activate(load(&catalogs(&[]), &[POLICIES, RULES, &[gate]].concat()));
    let said = world.got(&changed).await;
    assert_eq!(inner(&said).brief(), WAITS, "it is asked about under the new policies");

    let expired = world.task_for("ENG-43").await;
    world.clock.pass(16 * 60_000);
    assert_eq!(inner(&world.got(&expired).await).brief(), "deny approval_expired");
    assert_eq!(world.deletions(), 1);
}

#[tokio::test]
async fn i6_a_task_that_waits_is_of_its_caller_and_its_server_only() {
    let world = world(Duration::ZERO).await;
    let task = world.task_for("ENG-42").await;
    world.decides(true).await;
    let mut cut = task.clone();
    cut.pop();
    for ask in [
        about("bob-release", "tasks/get", &task),
        about("alice", "tasks/get", &task),
        about("bob-release", "tasks/cancel", &task),
        about("alice-release", "tasks/get", &cut),
        about("alice-release", "tasks/get", &task).declaring("{}"),
    ] {
        let said = world.ask(&ask).await.brief();
        assert!(["error -32602", "error -32021"].contains(&said.as_str()), "{said}");
    }
    assert_eq!(world.deletions(), 0);
    let [one] = world.open_approvals().await.try_into().unwrap();
    assert!(matches!(one.standing(world.clock.now()), Standing::Approved { .. }));
    assert_eq!(inner(&world.got(&task).await).brief(), "ok");
}
