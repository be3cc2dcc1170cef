//! I10: the authority of a chain is what all of its links have. I6: sessions belong to who opened them.

use std::collections::BTreeSet;

use callgate_sim::{Eras, SimOptions};

use crate::client::{Ask, edit, issue};
use crate::support::{Setup, UPSTREAM_SECRET, World};

#[tokio::test]
async fn i10_neither_link_lends_the_other_what_it_lacks() {
    let world = World::start(Setup::default()).await;
    for (caller, read, write) in [
        ("alice", "ok", "ok"),
        ("alice-release", "ok", "ok"),
        // Who may do everything, through an agent that may only read.
        ("alice-triage", "ok", "deny agent_not_permitted"),
        // Who may do nothing, through an agent that may do everything.
        ("bob-release", "deny human_not_permitted", "deny human_not_permitted"),
        ("bob", "deny human_not_permitted", "deny human_not_permitted"),
        ("ci", "ok", "ok"),
        ("cron", "deny service_account_not_permitted", "deny service_account_not_permitted"),
        // What a client says of itself helps nobody.
        ("alice-asserted", "deny agent_not_permitted", "deny agent_not_permitted"),
        ("asserted-human", "deny human_not_permitted", "deny human_not_permitted"),
        // An earlier actor lends nothing, and takes nothing that no guardrail takes.
        ("alice-through-scout", "ok", "ok"),
    ] {
        let made = world.executed();
        let told = world.call(caller, "getJiraIssue", &issue("ENG-42")).await.brief();
        assert_eq!(told, read, "{caller} reads");
        let told = world.call(caller, "editJiraIssue", &edit("ENG-42", caller)).await.brief();
        assert_eq!(told, write, "{caller} writes");
        let expected = [read, write].iter().filter(|told| **told == "ok").count();
        assert_eq!(world.executed() - made, expected, "{caller}");
    }
}

#[tokio::test]
async fn i6_a_session_answers_only_to_who_opened_it() {
    let world = World::start(Setup::default()).await;
    let (alice, bob) = (world.session("alice").await, world.session("bob").await);
    assert_ne!(alice, bob);
    let read = |token, session: &str| {
        Ask::call(token, "getJiraIssue", &issue("ENG-42")).in_session(session)
    };
    assert_eq!(world.ask(&read("alice", &alice)).await.brief(), "ok");
    // Alice's session does not make Bob Alice, nor is he told that there is one.
    let stolen = world.ask(&read("bob", &alice)).await;
    let invented = world.ask(&read("bob", "no-such-session")).await;
    assert_eq!((stolen.status, stolen.text()), (invented.status, invented.text()));
    assert_eq!(stolen.status.as_u16(), 404);
    // Another agent of hers is another caller.
    assert_eq!(world.ask(&read("alice-release", &alice)).await.status.as_u16(), 404);
    assert_eq!(world.ask(&read("bob", &bob)).await.brief(), "deny human_not_permitted");
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn i6_no_two_callers_share_a_session_with_the_server() {
    let sim = SimOptions {
        eras: Eras::Legacy,
        token: Some(UPSTREAM_SECRET.to_owned()),
        ..SimOptions::default()
    };
    let world = World::start(Setup { sim, ..Setup::default() }).await;
    let mut sessions = Vec::new();
    for caller in ["alice", "alice-release", "alice-triage", "ci"] {
        // Twice: the second call goes the way of the first.
        for _ in 0..2 {
            let said = world.call(caller, "getJiraIssue", &issue("ENG-42")).await;
            assert_eq!(said.brief(), "ok", "{caller}");
        }
        sessions.extend(seen(&world).split_off(sessions.len()));
    }
    for _ in 0..2 {
        let session = world.session("alice").await;
        let ask = Ask::call("alice", "getJiraIssue", &issue("ENG-42")).in_session(&session);
        assert_eq!(world.ask(&ask).await.brief(), "ok");
    }
    let sessions = seen(&world);
    let (paired, single) = sessions.split_at(8);
    for pair in paired.chunks(2) {
        assert_eq!(pair[0], pair[1], "a caller keeps its session");
    }
    assert_eq!(sessions.len(), 10);
    let different: BTreeSet<_> = paired.iter().chain(single).collect();
    assert_eq!(different.len(), 6, "{sessions:?}");
    let lists: BTreeSet<_> = of(&world, "tools/list").into_iter().collect();
    assert!(lists.iter().all(|list| !different.contains(list)), "the list has its own session");
}

/// The sessions of the calls that the site has seen.
fn seen(world: &World) -> Vec<String> {
    of(world, "tools/call")
}

fn of(world: &World, method: &str) -> Vec<String> {
    let named = format!("\"method\":\"{method}\"");
    let requests = world.sim.ledger().requests().into_iter();
    requests
        .filter(|request| request.body.contains(&named))
        .filter_map(|request| request.header("mcp-session-id").map(str::to_owned))
        .collect()
}
