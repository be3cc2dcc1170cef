use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::call::Method;
use crate::caller::*;
use crate::target::Resource;
use crate::vocabulary::{Effect, Operation, Reversibility, Risk};

const NOW: Timestamp = Timestamp::from_unix_ms(1_795_600_000_000);

fn id(number: u8) -> Id {
    Id::new(NOW, [number; 16])
}

fn operation(name: &str, effect: Effect) -> std::sync::Arc<Operation> {
    let (risk, reversibility) = (Risk::High, Reversibility::Irreversible);
    let (targets, fields) = (vec!["Jira::Issue".to_owned()], BTreeMap::new());
    let title = "Delete an issue".to_owned();
    Operation { name: name.into(), title, effect, risk, reversibility, targets, fields }.into()
}

fn call() -> ToolCall {
    let arguments = Object::default().with("issueIdOrKey", "ENG-42").with("token", "canary");
    ToolCall {
        server: "atlassian".into(),
        method: Method::ToolsCall,
        tool: "deleteJiraIssue".into(),
        operation: operation("jira.issue.delete", Effect::Delete),
        risk: Risk::High,
        definition: Some(Digest::of(b"definition")),
        arguments_digest: Digest::of_object(&arguments),
        arguments,
        unwrapped: None,
        fields: BTreeMap::new(),
    }
}

fn target(key: &str) -> Target {
    Target::located(Resource::new("Jira::Issue", format!("acme/{key}")), Vec::new())
}

fn caller() -> Caller {
    let assurance = Assurance::Configured;
    let agent = |name: &str| Agent { identity: Identity::parse(name), class: None, assurance };
    Caller {
        accountable: Accountable {
            kind: AccountableKind::Human,
            identity: Identity::parse("alice"),
            groups: vec!["engineering".into()],
            assurance,
        },
        agent: Some(agent("release-bot")),
        actors: vec![agent("planner")],
        client: Client { name: "code".into(), assurance },
        credential: Credential {
            kind: CredentialKind::StaticToken,
            id: None,
            digest: Digest::default(),
            issued: None,
            expires: None,
            scopes: None,
            within: None,
        },
        workflow: None,
    }
}

fn asker() -> Asker {
    Asker::of(&caller(), None)
}

fn gate(policy: &str, quorum: u32) -> Gate {
    Gate {
        policy: policy.into(),
        approvers: "team:leads".into(),
        quorum,
        decide_within_s: 900,
        use_within_s: 300,
        denials: 1,
        escalation: None,
        grants: None,
        step_up: false,
    }
}

fn state(gates: Vec<Gate>) -> ApprovalState {
    let approval = Approval {
        id: id(1),
        binding: binding(&asker(), &call(), &[target("ENG-42")]),
        asker: asker(),
        about: About::of(&call(), &[target("ENG-42")], None),
        gates,
        bundle: Digest::default(),
        at: NOW,
        decide_until: NOW.after_ms(900_000),
        looks: Vec::new(),
        use_within_s: 300,
        offer: None,
        arguments: String::from_utf8(call().arguments.canonical()).unwrap(),
    };
    ApprovalState::asked(approval)
}

fn vote(by: &str, approves: bool, gates: &[&str]) -> Vote {
    let gates = gates.iter().map(|gate| (*gate).to_owned()).collect();
    Vote {
        grants: false,
        approval: id(1),
        by: by.into(),
        approves,
        gates,
        reason: None,
        seen: Digest::default(),
        proof: None,
        known: None,
        at: NOW,
    }
}

/// What is different, and how it comes to be.
type Otherwise<T> = (&'static str, fn(&mut T));

/// A04, A03: whatever is another call is another approval.
#[test]
fn a04_an_approval_is_bound_to_everything_that_makes_the_call() {
    let bound = |asker: &Asker, call: &ToolCall, targets: &[Target]| binding(asker, call, targets);
    let mut all = BTreeSet::from([bound(&asker(), &call(), &[target("ENG-42")])]);
    let mut other = |what: &str, digest: Digest| assert!(all.insert(digest), "{what}");
    let targets = [target("ENG-42")];
    let people: [Otherwise<Asker>; 7] = [
        ("person", |a| a.accountable = "bob".into()),
        ("kind", |a| a.is_human = false),
        ("agent", |a| a.agent = Some("triage-bot".into())),
        ("no agent", |a| a.agent = None),
        ("actors", |a| a.actors.clear()),
        ("client", |a| a.client = "desk".into()),
        ("workflow", |a| a.workflow = Some("run".into())),
    ];
    for (what, change) in people {
        let mut asker = asker();
        change(&mut asker);
        other(what, bound(&asker, &call(), &targets));
    }
    let calls: [Otherwise<ToolCall>; 8] = [
        ("server", |c| c.server = "jira".into()),
        ("method", |c| c.method = Method::PromptsGet),
        ("tool", |c| c.tool = "executeDestructive".into()),
        ("definition", |c| c.definition = Some(Digest::default())),
        ("operation", |c| c.operation = operation("jira.issue.edit", Effect::Delete)),
        ("effect", |c| c.operation = operation("jira.issue.delete", Effect::Write)),
        ("risk", |c| c.risk = Risk::Critical),
        ("arguments", |c| c.arguments_digest = Digest::default()),
    ];
    for (what, change) in calls {
        let mut call = call();
        change(&mut call);
        other(what, bound(&asker(), &call, &targets));
    }
    other("target", bound(&asker(), &call(), &[target("ENG-43")]));
    other("targets", bound(&asker(), &call(), &[target("ENG-42"), target("ENG-43")]));
    // The token is renewed, and the groups are policy's.
    let mut renewed = caller();
    renewed.credential.digest = Digest::of(b"another");
    renewed.accountable.groups.clear();
    let same = bound(&Asker::of(&renewed, None), &call(), &targets);
    assert!(all.contains(&same));
}

#[test]
fn what_is_asked_for_is_read_again_and_its_arguments_are_no_part_of_the_record() {
    let approval = state(vec![gate("delete", 1)]).approval;
    let text = crate::authority::to_text(&approval);
    assert!(!text.contains("canary"), "{text}");
    let read: Approval = crate::authority::from_text(&text).unwrap();
    assert_eq!(Approval { arguments: approval.arguments.clone(), ..read }, approval);
    // What was shown is all of it.
    let other = Approval { arguments: "{}".into(), ..approval.clone() };
    assert_ne!(other.shown(), approval.shown());
    assert_eq!(approval.short_code().len(), 9);
}

#[test]
fn two_clocks_end_an_approval_and_nothing_undoes_an_end() {
    let mut state = state(vec![gate("delete", 1)]);
    let at = |ms: u64| NOW.after_ms(ms);
    assert_eq!(state.standing(NOW), Standing::Waiting);
    assert_eq!(state.standing(at(899_999)), Standing::Waiting);
    assert_eq!(state.standing(at(900_000)), Standing::Expired, "silence is denial");
    state.use_until = Some(at(1_000_000));
    assert_eq!(state.standing(at(999_999)), Standing::Approved { until: at(1_000_000) });
    assert_eq!(state.standing(at(1_000_000)), Standing::Unused);
    for ended in [Ended::Denied, Ended::Withdrawn, Ended::Spent { call: id(9) }] {
        state.ended = Some((ended, at(1)));
        assert_eq!(state.standing(at(2)), Standing::Ended(ended));
        assert!(!state.standing(at(2)).is_open());
    }
}

#[test]
fn every_gate_needs_its_people_and_one_person_counts_once() {
    let mut state = state(vec![gate("delete", 2), gate("critical", 1)]);
    assert!(!state.is_approved());
    state.votes = vec![vote("bob", true, &["delete", "critical"])];
    assert!(!state.is_approved(), "two have to approve the first");
    state.votes.push(vote("bob", true, &["delete"]));
    assert!(!state.is_approved(), "a07: the same person twice");
    state.votes.push(vote("carol", true, &["critical"]));
    assert!(!state.is_approved(), "of another gate");
    state.votes.push(vote("dave", true, &["delete"]));
    assert!(state.is_approved());
    state.votes.push(vote("erin", false, &["critical"]));
    assert!(state.is_denied() && !state.is_approved(), "one denial denies");
    state.approval.gates.clear();
    state.votes.clear();
    assert!(!state.is_approved(), "no gate is no approval");
}

#[test]
fn the_person_of_the_call_and_who_answers_for_the_token_are_its_people() {
    assert_eq!(asker().people, ["alice"]);
    assert_eq!(Asker::of(&caller(), Some("bob".into())).people, ["alice", "bob"]);
    assert_eq!(Asker::of(&caller(), Some("alice".into())).people, ["alice"]);
    let mut service = caller();
    service.accountable.kind = AccountableKind::ServiceAccount;
    assert_eq!(Asker::of(&service, Some("bob".into())).people, ["bob"]);
    assert_eq!(Asker::of(&service, None).people, Vec::<String>::new());
}

#[test]
fn what_may_be_granted_beside_a_call_stays_in_its_container() {
    let site = Resource::new("Atlassian::Site", "acme");
    let project = Resource::new("Jira::Project", "acme/ENG");
    let issue = Resource::new("Jira::Issue", "acme/ENG-42");
    let located = |thing: &Resource, containers: &[&Resource]| {
        Target::located(thing.clone(), containers.iter().map(|one| (*one).clone()).collect())
    };
    let with = |uses, within_s| Gate { grants: Some(Allotment { uses, within_s }), ..gate("g", 1) };
    let of_issue = located(&issue, &[&project, &site]);
    let of_project = located(&project, &[&site]);
    let within = |gates: &[Gate], targets: &[Target]| Some(Offer::of(gates, targets)?.within);
    let gates = [with(10, 600), with(3, 7_200)];
    for target in [&of_issue, &of_project] {
        assert_eq!(within(&gates, std::slice::from_ref(target)), Some([project.clone()].into()));
    }
    let offer = Offer::of(&gates, std::slice::from_ref(&of_issue)).unwrap();
    assert_eq!((offer.most.uses, offer.most.within_s), (3, 600), "the least of each");
    // Not for the whole site, nor for what is not known, nor past a gate that offers nothing.
    let unknown = Target::unresolved("Jira::Issue", "acme", crate::target::Obstacle::OpaqueId, "1");
    for targets in [vec![located(&site, &[])], vec![of_issue.clone(), unknown]] {
        assert_eq!(within(&gates, &targets), None);
    }
    assert_eq!(within(&[with(10, 600), gate("h", 1)], &[of_issue]), None);
}

#[test]
fn a_vote_counts_once_and_only_while_it_waits() {
    let mut state = state(vec![gate("leads", 2)]);
    let at = state.approval.at;
    assert!(state.vote(vote("carol", true, &["leads"]), at));
    assert!(!state.vote(vote("carol", true, &["leads"]), at), "she has said so before");
    assert_eq!(state.standing(at), Standing::Waiting);
    assert!(!state.vote(vote("dave", true, &["leads"]), state.approval.decide_until));
    assert!(state.vote(vote("dave", true, &["leads"]), at));
    let until = at.after_ms(state.approval.use_within_s * 1_000);
    assert_eq!(state.standing(at), Standing::Approved { until });
    assert!(!state.vote(vote("erin", false, &["leads"]), at), "it is decided");
    assert!(!state.spend(id(9), until), "too late");
    assert!(state.spend(id(9), at) && !state.spend(id(10), at), "once (I2)");
    assert!(!state.withdraw(at));
    assert_eq!(state.standing(until), Standing::Ended(Ended::Spent { call: id(9) }));
}

#[test]
fn a_denial_and_a_withdrawal_end_it() {
    let mut denied = state(vec![gate("leads", 1)]);
    let at = denied.approval.at;
    let mut withdrawn = denied.clone();
    assert!(denied.vote(vote("carol", false, &["leads"]), at) && !denied.spend(id(9), at));
    assert_eq!(denied.standing(at), Standing::Ended(Ended::Denied));
    assert!(withdrawn.withdraw(at) && !withdrawn.vote(vote("carol", true, &["leads"]), at));
    assert_eq!(withdrawn.standing(at), Standing::Ended(Ended::Withdrawn));
}

#[test]
fn broken_glass_holds_for_less_long_and_is_reviewed_by_another() {
    let mut state = state(vec![gate("leads", 1)]);
    state.approval.use_within_s = GLASS_S_MAX + 100;
    let at = state.approval.at;
    let glass = |by: &str| Glass {
        approval: state.approval.id,
        by: by.into(),
        reason: "down".into(),
        ticket: "INC-7".into(),
        proof: Proof { passkey: "k".into(), counter: 1 },
        known: None,
        seen: Digest::default(),
        at,
    };
    let review = |by: &str| GlassReview {
        approval: state.approval.id,
        by: by.into(),
        verdict: GlassVerdict::Justified,
        note: "yes".into(),
        at,
    };
    let (carols, daves) = (glass("carol"), glass("dave"));
    let (own, others, late) = (review("carol"), review("dave"), review("erin"));
    assert!(!state.review(others.clone()), "the glass is whole");
    assert!(state.break_glass(carols, at) && !state.break_glass(daves, at));
    let until = at.after_ms(GLASS_S_MAX * 1_000);
    assert_eq!(state.standing(at), Standing::Approved { until });
    assert!(!state.review(own) && state.review(others) && !state.review(late));
}

#[test]
fn what_was_said_before_it_was_recorded_how_they_were_known_is_read() {
    let vote = vote("bob", true, &["leads"]);
    let old = crate::authority::to_text(&vote).replace(r#""known":null,"#, "");
    assert!(!old.contains("known"), "{old}");
    assert_eq!(crate::authority::from_text(&old), Some(vote));
}
