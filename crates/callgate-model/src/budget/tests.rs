use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::call::Method;
use crate::caller::*;
use crate::json::Object;
use crate::target::{Obstacle, Resource};
use crate::vocabulary::{Operation, Reversibility, Risk};

const NOW: Timestamp = Timestamp::from_unix_ms(1_795_600_000_000);
const HOUR_MS: u64 = 3_600_000;

fn call(server: &str, operation: &str, effect: Effect) -> ToolCall {
    let operation = Operation {
        name: operation.into(),
        title: "A test".into(),
        effect,
        risk: Risk::High,
        reversibility: Reversibility::Irreversible,
        targets: vec!["Jira::Issue".into()],
        fields: BTreeMap::new(),
    };
    ToolCall {
        server: server.into(),
        method: Method::ToolsCall,
        tool: "tool".into(),
        operation: operation.into(),
        risk: Risk::High,
        definition: None,
        arguments: Object::default(),
        unwrapped: None,
        arguments_digest: Digest::default(),
        fields: BTreeMap::new(),
    }
}

fn caller(who: &str, agent: Option<(&str, Assurance)>, run: Option<(&str, Assurance)>) -> Caller {
    let within = None;
    Caller {
        accountable: Accountable {
            kind: AccountableKind::Human,
            identity: Identity::parse(who),
            groups: Vec::new(),
            assurance: Assurance::Configured,
        },
        agent: agent.map(|(name, assurance)| Agent {
            identity: Identity::parse(name),
            class: None,
            assurance,
        }),
        actors: Vec::new(),
        client: Client { name: "code".into(), assurance: Assurance::Configured },
        credential: Credential {
            kind: CredentialKind::StaticToken,
            id: None,
            digest: Digest::default(),
            issued: None,
            expires: None,
            scopes: None,
            within: None,
        },
        workflow: run.map(|(run, assurance)| Workflow {
            run: run.into(),
            purpose: None,
            ticket: None,
            within,
            assurance,
        }),
    }
}

fn budget(per: &[Per], what: What, most: u32) -> Budget {
    let told = format!("{most} in 1h");
    Budget {
        name: "b".into(),
        per: per.iter().copied().collect(),
        servers: BTreeSet::new(),
        operations: BTreeSet::new(),
        effects: BTreeSet::new(),
        targets_of: None,
        allowances: vec![Allowance { what, most, within_s: 3_600, told }],
        exact: false,
    }
}

fn key_of(per: Per, caller: &Caller) -> Digest {
    let call = call("jira", "jira.issue.edit", Effect::Write);
    budget(&[per], What::Calls, 1).counts(caller, &call, &[])[0].key
}

fn issue(key: &str) -> Target {
    let project = key.split('-').next().unwrap();
    let project = Resource::new("Jira::Project", format!("acme/{project}"));
    Target::located(Resource::new("Jira::Issue", format!("acme/{key}")), vec![project])
}

#[test]
fn it_is_counted_for_each_of_those_by_whom_it_is_said_to_be() {
    let verified = Assurance::Verified;
    let alice = caller("alice", Some(("bot", verified)), Some(("run-1", verified)));
    let bob = caller("bob", Some(("bot", verified)), Some(("run-1", verified)));
    assert_ne!(key_of(Per::Human, &alice), key_of(Per::Human, &bob));
    for shared in [Per::Agent, Per::Client, Per::Workflow, Per::Server, Per::Tool] {
        assert_eq!(key_of(shared, &alice), key_of(shared, &bob), "{shared:?}");
    }
}

/// Else whoever says something new each time would never be counted twice.
#[test]
fn i13_a_link_that_is_only_asserted_is_counted_as_whoever_is_accountable() {
    let (asserted, verified) = (Assurance::Asserted, Assurance::Verified);
    for (per, of) in [
        (
            Per::Workflow,
            (|run| caller("alice", None, Some((run, Assurance::Asserted)))) as fn(_) -> _,
        ),
        (Per::Agent, |agent| caller("alice", Some((agent, Assurance::Asserted)), None)),
    ] {
        assert_eq!(key_of(per, &of("one")), key_of(per, &of("two")), "{per:?}");
        assert_eq!(key_of(per, &of("one")), key_of(per, &caller("alice", None, None)), "{per:?}");
        assert_ne!(key_of(per, &of("one")), key_of(per, &caller("bob", None, None)), "{per:?}");
    }
    // Nor can anybody be called so that they are counted as somebody else who has no such link.
    let nobody = caller("alice", Some(("bot", verified)), Some(("run", asserted)));
    let text = r#"[null,["human","alice"],"bot"]"#;
    let named = caller("alice", None, Some((text, verified)));
    assert_ne!(key_of(Per::Workflow, &nobody), key_of(Per::Workflow, &named));
}

#[test]
fn a_budget_is_about_what_it_names() {
    let alice = caller("alice", None, None);
    let counts = |budget: &Budget, server: &str, operation: &str, effect| {
        budget.counts(&alice, &call(server, operation, effect), &[]).len()
    };
    let edit = ("jira.issue.edit", Effect::Write);
    let all = budget(&[], What::Calls, 1);
    assert_eq!(counts(&all, "jira", edit.0, edit.1), 1);
    let one = Budget { servers: ["wiki".to_owned()].into(), ..all.clone() };
    assert_eq!(counts(&one, "jira", edit.0, edit.1), 0);
    let one = Budget { operations: ["jira.issue.read".to_owned()].into(), ..all.clone() };
    assert_eq!(counts(&one, "jira", edit.0, edit.1), 0);
    let one = Budget { effects: [Effect::Delete].into(), ..all };
    assert_eq!(counts(&one, "jira", edit.0, edit.1), 0);
    for (what, counted) in [
        (What::Calls, [1, 1, 1, 1, 1]),
        (What::Writes, [0, 1, 1, 1, 1]),
        (What::Deletes, [0, 0, 0, 1, 0]),
        (What::Targets, [1, 1, 1, 1, 1]),
    ] {
        let budget = budget(&[], what, 1);
        let found: Vec<_> =
            Effect::ALL.iter().map(|effect| counts(&budget, "jira", "o", *effect)).collect();
        assert_eq!(found, counted, "{what:?}");
    }
}

#[test]
fn a_thing_that_was_touched_counts_once_until_it_is_over() {
    let alice = caller("alice", None, None);
    let budget = budget(&[Per::Human], What::Targets, 2);
    let touching = |keys: &[&str]| {
        let targets: Vec<Target> = keys.iter().map(|key| issue(key)).collect();
        budget.counts(&alice, &call("jira", "o", Effect::Read), &targets).remove(0)
    };
    let mut tally = Tally::default();
    for keys in [&["ENG-1"][..], &["ENG-1", "ENG-2"], &["ENG-2"]] {
        assert_eq!(tally.room(&touching(keys), NOW), Ok(()), "{keys:?}");
        tally.add(&touching(keys), NOW);
    }
    assert_eq!(tally.kept(), 2);
    let room_at = Some(NOW.after_ms(HOUR_MS));
    assert_eq!(tally.room(&touching(&["ENG-3"]), NOW), Err(Spent { room_at }));
    // It is too much at once, whenever that is.
    let three = touching(&["ENG-3", "ENG-4", "ENG-5"]);
    assert_eq!(tally.room(&three, NOW), Err(Spent { room_at: None }));
    // What is touched again counts from then on.
    let later = NOW.after_ms(HOUR_MS / 2);
    tally.add(&touching(&["ENG-1"]), later);
    let last = NOW.after_ms(HOUR_MS);
    assert_eq!(tally.room(&touching(&["ENG-3"]), last), Ok(()));
    tally.add(&touching(&["ENG-3"]), last);
    assert!(tally.room(&touching(&["ENG-4"]), last).is_err());
}

#[test]
fn things_can_be_what_contains_those_that_are_touched() {
    let alice = caller("alice", None, None);
    let of = Budget { targets_of: Some("Jira::Project".into()), ..budget(&[], What::Targets, 1) };
    let things = |targets: &[Target]| {
        let count = of.counts(&alice, &call("jira", "o", Effect::Read), targets).remove(0);
        count.targets.unwrap().len()
    };
    assert_eq!(things(&[issue("ENG-1"), issue("ENG-2")]), 1);
    assert_eq!(things(&[issue("ENG-1"), issue("OPS-2")]), 2);
    // What is not known could be in any.
    let unknown = |spelled| Target::unresolved("Jira::Issue", "acme", Obstacle::OpaqueId, spelled);
    assert_eq!(things(&[issue("ENG-1"), unknown("10001"), unknown("10002")]), 3);
}

#[test]
fn who_is_refused_is_told_how_much_there_is() {
    let alice = caller("alice", None, None);
    let budget = budget(&[Per::Human, Per::Agent], What::Writes, 3);
    let count = budget.counts(&alice, &call("jira", "o", Effect::Write), &[]).remove(0);
    assert_eq!(count.told, "the budget `b` is writes = 3 in 1h for each agent and human");
}

#[test]
fn marks_are_read_as_they_were_written() {
    for mark in [Mark::Slice(-5), Mark::Slice(1_795_600_000_000), Mark::Target(Digest::of(b"x"))] {
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
    }
    assert_eq!(Mark::parse("x"), None);
}

proptest! {
    /// Whenever calls come: those that are let through are never more than the budget in any span
    /// that is as long as its window, and whoever comes when there is said to be room finds some.
    #[test]
    fn i13_there_is_never_more_than_the_budget_in_any_window(
        steps in prop::collection::vec(0_i64..1_200_000, 1..80),
        most in 1_u32..6,
    ) {
        let budget = budget(&[], What::Calls, most);
        let count = budget.counts(&caller("a", None, None), &call("s", "o", Effect::Read), &[]);
        let count = &count[0];
        let (mut tally, mut now, mut made) = (Tally::default(), NOW.unix_ms(), Vec::new());
        for step in steps {
            now += step;
            let at = Timestamp::from_unix_ms(now);
            match tally.room(count, at) {
                Ok(()) => {
                    tally.add(count, at);
                    made.push(now);
                }
                Err(Spent { room_at }) => {
                    let room_at = room_at.unwrap();
                    prop_assert!(room_at > at);
                    prop_assert!(tally.room(count, room_at).is_ok());
                }
            }
        }
        let hour = i64::try_from(HOUR_MS).unwrap();
        for begins in &made {
            let within = made.iter().filter(|at| (*begins..begins + hour).contains(*at)).count();
            prop_assert!(within <= usize::try_from(most).unwrap(), "{within} in {made:?}");
        }
    }
}
