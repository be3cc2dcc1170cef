//! A server that fails: what the record says came of the call, and what the client is told. A call is sent once.

use std::time::Duration;

use callgate_mcp::upstream::UpstreamLimits;
use callgate_sim::{Fault, Sim, SimOptions, Site};
use futures_util::future::join_all;

use crate::client::{Ask, edit, issue};
use crate::support::{Setup, World};

/// Text of ENG-42 that a relayed answer would contain.
const CONTENT: &str = "Checkout fails";

/// What goes wrong, whether the site executes the call, and the outcomes of a read and of a write.
fn faults(elsewhere: &str) -> Vec<(Fault, usize, &'static str, &'static str)> {
    vec![
        (Fault::Hang, 0, "timed_out", "timed_out"),
        (Fault::HangAfterExecuting, 1, "timed_out", "timed_out"),
        (Fault::DropBefore, 0, "upstream_error", "indeterminate"),
        (Fault::DropAfterExecuting, 1, "upstream_error", "indeterminate"),
        (Fault::ServerError, 0, "upstream_error", "indeterminate"),
        (Fault::Redirect(elsewhere.to_owned()), 0, "upstream_error", "indeterminate"),
        (Fault::OversizedBody(300_000), 1, "upstream_error", "indeterminate"),
        (Fault::WrongResponseId, 1, "upstream_error", "indeterminate"),
        (Fault::TwoMessagesInOneEvent, 1, "upstream_error", "indeterminate"),
        (Fault::ResultAndError, 1, "upstream_error", "indeterminate"),
    ]
}

#[tokio::test]
async fn r01_r02_r03_r06_a_failed_call_is_sent_once_and_never_told_as_done() {
    let elsewhere = Sim::start(Site::demo(), SimOptions::default()).await.unwrap();
    let rows = faults(&elsewhere.url).into_iter().flat_map(|(fault, executed, read, write)| {
        [
            failing(fault.clone(), "getJiraIssue", issue("ENG-42"), executed, read),
            failing(fault, "editJiraIssue", edit("ENG-42", CONTENT), executed, write),
        ]
    });
    let rows: Vec<_> = rows.collect();
    join_all(rows).await;
    assert!(elsewhere.ledger().requests().is_empty(), "a redirect was followed");
}

/// One call that meets `fault`.
async fn failing(
    fault: Fault,
    tool: &'static str,
    arguments: String,
    executed: usize,
    outcome: &'static str,
) {
    let hangs = matches!(fault, Fault::Hang | Fault::HangAfterExecuting);
    let upstream = UpstreamLimits {
        total: Duration::from_millis(if hangs { 2_000 } else { 20_000 }),
        response_bytes_max: 200_000,
        ..UpstreamLimits::default()
    };
    let world = World::start(Setup { upstream, ..Setup::default() }).await;
    world.sim.fault(fault.clone());
    let place = format!("{fault:?} of {tool}");
    let said = world.call("alice-release", tool, &arguments).await;
    assert_eq!(said.brief(), format!("allow {outcome}"), "{place}");
    assert!(!said.text().contains(CONTENT), "{place}: {}", said.text());
    // A fault strikes once: a second attempt would have succeeded.
    assert_eq!(world.calls_sent(), 1, "{place}");
    assert_eq!(world.executed(), executed, "{place}");
    assert_eq!(world.outcomes().await, [outcome], "{place}");
}

#[tokio::test]
async fn a_server_that_is_gone_gets_nothing_and_that_is_said() {
    let world = World::start(Setup::default()).await;
    // The list is known; then the server goes.
    assert_eq!(world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    let world = world.without_site().await;
    for (tool, arguments) in
        [("getJiraIssue", issue("ENG-42")), ("editJiraIssue", edit("ENG-42", "x"))]
    {
        let said = world.call("alice-release", tool, &arguments).await;
        assert_eq!(said.brief(), "allow not_dispatched", "{tool}");
        assert!(said.text().contains("Nothing was sent"), "{}", said.text());
    }
    assert_eq!(world.outcomes().await, ["succeeded", "not_dispatched", "not_dispatched"]);
}

/// The status belongs to the error in the modern era; a client of the legacy era breaks on it.
#[tokio::test]
async fn what_a_server_needs_of_the_client_is_told_with_the_status_of_the_era() {
    let world = World::start(Setup::default()).await;
    let session = world.session("alice-release").await;
    let modern = Ask::call("alice-release", "getJiraIssue", &issue("ENG-42"));
    let legacy = modern.clone().in_session(&session);
    for (ask, status) in [(modern, 400), (legacy, 200)] {
        world.sim.fault(Fault::MissingCapability);
        let said = world.ask(&ask).await;
        assert_eq!((said.status.as_u16(), said.brief().as_str()), (status, "error -32021"));
        assert!(said.text().contains(r#""requiredCapabilities":{"sampling":{}}"#), "{said:?}");
    }
    assert_eq!(world.executed(), 0);
    assert_eq!(world.outcomes().await, ["upstream_error", "upstream_error"]);
}

/// Who does not declare tasks answers as if none was asked for (2025-11-25), and does not pass the wish on.
#[tokio::test]
async fn a_call_that_asks_for_a_task_is_an_ordinary_call() {
    let world = World::start(Setup::default()).await;
    let session = world.session("alice-release").await;
    let mut modern = Ask::call("alice-release", "getJiraIssue", &issue("ENG-42"));
    modern.params = modern.params.replacen('{', r#"{"task":{"ttl":1},"#, 1);
    for ask in [modern.clone(), modern.in_session(&session)] {
        assert_eq!(world.ask(&ask).await.brief(), "ok");
    }
    for request in world.sim.ledger().requests() {
        assert!(!format!("{request:?}").contains("ttl"), "{request:?}");
    }
    assert_eq!(world.executed(), 2);
}

/// The site's own token is refused: nothing of that is a success, and the client's credential is not asked for.
#[tokio::test]
async fn a_server_that_does_not_take_our_credential_is_not_the_clients_fault() {
    let mut setup = Setup::default();
    setup.sim.token = Some("another".to_owned());
    let world = World::start(setup).await;
    let said = world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await;
    assert_eq!(said.brief(), "deny upstream_unavailable");
    assert_eq!(said.status.as_u16(), 200);
    assert_eq!(world.executed(), 0);
}

/// I7: what the client presents stays here, and what the server is shown stays there.
#[tokio::test]
async fn i7_no_credential_crosses_the_gate() {
    let world = World::start(Setup::default()).await;
    let said = world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await;
    let failed = world.call("alice-release", "getJiraIssue", &issue("ENG-404")).await;
    let requests = world.sim.ledger().requests();
    assert!(!requests.is_empty());
    for request in requests {
        let bearer = format!("Bearer {}", crate::support::UPSTREAM_SECRET);
        assert_eq!(request.header("authorization"), Some(bearer.as_str()));
        assert!(!format!("{request:?}").contains("alice-release"), "{request:?}");
    }
    let record = world.record().await;
    let texts = record.iter().flat_map(|row| [&*row.entry, &*row.text]);
    for text in texts.chain([said.text(), failed.text()]) {
        assert!(!text.contains(crate::support::UPSTREAM_SECRET), "{text}");
        assert!(!text.contains("Bearer"), "{text}");
    }
}
