//! What the pack says of approvals, out of records as they are sealed.

use callgate_model::approval::{
    About, Approval, Asker, Glass, GlassReview, GlassVerdict, Known, Vote,
};
use callgate_model::authority::Proof;
use callgate_model::decision::Gate;
use serde_json::json;

use super::*;
use crate::pack::approvals::{self, Figures};

fn gate((policy, quorum): &(&str, u32)) -> Gate {
    Gate {
        policy: (*policy).to_owned(),
        approvers: "team:leads".into(),
        quorum: *quorum,
        decide_within_s: 900,
        use_within_s: 300,
        denials: 1,
        escalation: None,
        grants: None,
        step_up: false,
    }
}

fn approval(at: i64, number: u8, gates: &[(&str, u32)]) -> Approval {
    let targets = [
        json!({ "kind": "Jira::Issue", "id": "acme/ENG-1" }),
        json!({ "kind": "Jira::Issue", "unresolved": "unbounded", "spelled": "all", "site": "acme" }),
    ];
    Approval {
        id: id(number),
        binding: Digest::default(),
        asker: Asker {
            accountable: "alice".into(),
            is_human: true,
            agent: Some("bot".into()),
            actors: Vec::new(),
            client: "code".into(),
            credential: "jwt".into(),
            workflow: None,
            people: vec!["alice".into(), "olga".into()],
        },
        about: About {
            server: "jira".into(),
            tool: "delete".into(),
            definition: None,
            operation: "jira.issue.delete".into(),
            title: "Delete".into(),
            effect: "delete".into(),
            risk: "high".into(),
            reversibility: "irreversible".into(),
            targets: targets.into(),
            arguments_digest: Digest::default(),
            arguments: json!({}),
            why: None,
        },
        gates: gates.iter().map(gate).collect(),
        bundle: Digest::default(),
        at: moment(at),
        decide_until: moment(at + 900),
        use_within_s: 300,
        offer: None,
        arguments: String::new(),
        looks: Vec::new(),
    }
}

fn proof() -> Proof {
    Proof { passkey: "k".into(), counter: 1 }
}

fn known(credential: &str, assurance: &str) -> Known {
    Known { credential: credential.into(), id: None, assurance: assurance.into() }
}

impl Log {
    fn asked(&mut self, at: i64, number: u8, gates: &[(&str, u32)]) {
        let approval = Box::new(approval(at, number, gates));
        self.change(at, "alice", Change::ApprovalRequested { approval, notices: Vec::new() });
    }

    fn vote(&mut self, at: i64, number: u8, (by, approves): (&str, bool), gates: &[&str]) {
        self.proved(at, number, (by, approves), gates, None);
    }

    fn proved(
        &mut self,
        at: i64,
        number: u8,
        (by, approves): (&str, bool),
        gates: &[&str],
        proof: Option<Proof>,
    ) {
        let vote = Vote {
            approval: id(number),
            by: by.into(),
            approves,
            gates: gates.iter().map(|&gate| gate.into()).collect(),
            grants: false,
            reason: None,
            seen: Digest::default(),
            proof,
            known: Some(known("session", "verified")),
            at: moment(at),
        };
        self.change(at, by, Change::ApprovalVoted { vote: Box::new(vote) });
    }

    fn broken(&mut self, at: i64, number: u8) {
        let glass = Glass {
            approval: id(number),
            by: "carol".into(),
            reason: "customers cannot pay".into(),
            ticket: "INC-7".into(),
            proof: proof(),
            known: Some(known("jwt", "verified")),
            seen: Digest::default(),
            at: moment(at),
        };
        let glass = Box::new(glass);
        self.change(at, "carol", Change::GlassBroken { glass, notices: Vec::new() });
    }

    fn reviewed(&mut self, at: i64, number: u8) {
        let review = GlassReview {
            approval: id(number),
            by: "dave".into(),
            verdict: GlassVerdict::Justified,
            note: "yes".into(),
            at: moment(at),
        };
        self.change(at, "dave", Change::GlassReviewed { review: Box::new(review) });
    }

    fn used(&mut self, at: i64, number: u8, call: u8) {
        let approval = Some(Use { id: id(number), spends: true });
        let under = Under { approval, binding: Some(Digest::default()), ..Under::default() };
        let decision = Decision::own_read(Digest::default());
        self.decided(at, Decided { call: id(call), under, decision, ..denied() });
    }

    fn expired(&mut self, at: i64, number: u8) {
        self.change(at, "callgate", Change::ApprovalExpired { id: id(number) });
    }

    fn withdrawn(&mut self, at: i64, number: u8) {
        let reason = "not needed".into();
        self.change(at, "alice", Change::ApprovalWithdrawn { id: id(number), reason });
    }

    fn approvals(&self, end: i64) -> Approvals {
        let mut approvals = Approvals::of(period(), moment(end));
        self.each(|seen| approvals.take(seen));
        approvals
    }

    fn figures(&self, end: i64) -> Figures {
        self.approvals(end).figures()
    }

    /// How many ended how.
    fn ended(&self, end: i64) -> Vec<String> {
        let all = self.figures(end).ended;
        all.into_iter().map(|(name, count)| format!("{name} {count}")).collect()
    }

    fn told(&self, end: i64) -> Vec<String> {
        lines(|files| self.approvals(end).write(files), approvals::CSV)
    }
}

#[test]
fn an_approval_is_given_when_every_gate_has_as_many_as_it_wants() {
    let mut log = Log::default();
    log.asked(10, 1, &[("two-leads", 2), ("security", 1)]);
    log.vote(20, 1, ("carol", true), &["two-leads"]);
    log.proved(40, 1, ("dave", true), &["two-leads"], Some(proof()));
    assert_eq!(log.figures(60).took_ms, [] as [u64; 0], "security has said nothing");
    log.vote(70, 1, ("erin", true), &["security"]);
    let figures = log.figures(80);
    assert_eq!((figures.took_ms, figures.said, figures.by_passkey), (vec![60_000], 3, 1));
    assert_eq!(log.ended(80), ["approved 1"]);
    assert_eq!(log.ended(371), ["expired 1"], "nobody has made the call in time");
    log.used(90, 1, 101);
    log.used(95, 1, 102);
    assert_eq!(log.ended(371), ["used 1"]);
    let rows = log.told(371);
    assert!(rows[0].contains(&format!("{} {}", id(101), id(102))), "{rows:?}");
    let told = [
        format!("carol approves at {} (session, verified)", moment(20)),
        format!("dave approves at {} (session, verified and a passkey)", moment(40)),
    ];
    assert!(told.iter().all(|part| rows[0].contains(part)), "{rows:?}");
    assert!(
        rows[0].contains("Jira::Issue acme/ENG-1; Jira::Issue unresolved (unbounded: all)"),
        "{rows:?}"
    );
}

/// The model decides, and it asks for people, for a passkey where a gate wants one, and for any gate at all.
#[test]
fn what_is_no_approval_to_the_gateway_is_none_here() {
    let mut log = Log::default();
    log.asked(10, 1, &[("two-leads", 2)]);
    log.vote(20, 1, ("carol", true), &["two-leads"]);
    log.vote(30, 1, ("carol", true), &["two-leads"]);
    log.asked(10, 2, &[]);
    log.vote(20, 2, ("carol", true), &["two-leads"]);
    let mut strict = approval(10, 3, &[("leads", 1)]);
    strict.gates[0].step_up = true;
    let approval = Box::new(strict);
    log.change(10, "alice", Change::ApprovalRequested { approval, notices: Vec::new() });
    log.vote(20, 3, ("carol", true), &["leads"]);
    assert_eq!(log.ended(60), ["waiting 3"]);
    log.proved(70, 3, ("dave", true), &["leads"], Some(proof()));
    assert_eq!(log.ended(80), ["approved 1", "waiting 2"]);
}

#[test]
fn each_way_that_an_approval_ends_is_told() {
    let mut log = Log::default();
    for (number, at) in [(1, 0), (2, 1), (3, 2), (4, 3), (5, 5_000)] {
        log.asked(at, number, &[("leads", 1)]);
    }
    log.vote(2, 1, ("carol", false), &["leads"]);
    log.withdrawn(10, 2);
    log.expired(950, 3);
    assert_eq!(log.ended(5_001), ["denied 1", "expired 2", "waiting 1", "withdrawn 1"]);
    let figures = log.figures(5_001);
    assert_eq!(
        (figures.quick, figures.of_own),
        (1, 0),
        "who denies within two seconds has hardly read it"
    );
}

/// A06: it cannot happen, and an auditor sees that it did not; or that it did.
#[test]
fn a06_whoever_approves_what_is_theirs_is_counted() {
    let mut log = Log::default();
    log.asked(0, 1, &[("leads", 1)]);
    log.vote(60, 1, ("olga", true), &["leads"]);
    assert_eq!(log.figures(61).of_own, 1, "she answers for the token");
}

#[test]
fn broken_glass_is_told_with_its_review_or_without() {
    let mut log = Log::default();
    for number in [1, 2] {
        log.asked(0, number, &[("leads", 1)]);
        log.broken(10, number);
        log.used(11, number, 101);
    }
    log.reviewed(20, 1);
    let figures = log.figures(30);
    assert_eq!((figures.broken, figures.unreviewed), (2, 1));
    let rows = log.told(30);
    assert!(
        rows[0].contains("used_by_broken_glass") && rows[0].contains("justified by dave"),
        "{rows:?}"
    );
    for part in ["carol (jwt, verified and a passkey)", "INC-7 customers cannot pay"] {
        assert!(rows[1].contains(part), "{part}: {rows:?}");
    }
}

#[test]
fn what_was_over_before_the_period_is_no_part_of_it() {
    let mut log = Log::default();
    log.asked(-500, 1, &[("leads", 1)]);
    log.vote(-400, 1, ("carol", false), &["leads"]);
    log.asked(-300, 2, &[("leads", 1)]);
    log.vote(100, 2, ("carol", true), &["leads"]);
    let figures = log.figures(200);
    assert_eq!(
        (figures.asked, figures.took_ms),
        (0, vec![400_000]),
        "it was decided in the period"
    );
    assert_eq!(log.told(200).len(), 1);
}

/// Of a request that was erased it is not known what it asked for, so no vote approves it.
#[test]
fn of_what_was_erased_only_that_is_told_which_entries_tell() {
    let mut log = Log::default();
    for number in [1, 2, 3, 4] {
        log.asked(0, number, &[("leads", 1)]);
        log.erase();
        log.vote(60, number, ("carol", true), &["leads"]);
    }
    log.used(70, 2, 101);
    log.withdrawn(70, 3);
    log.erase();
    log.expired(950, 4);
    log.erase();
    // Somebody has said something that nobody knows any more: it may have been a denial.
    log.asked(0, 5, &[("leads", 1)]);
    log.vote(60, 5, ("carol", false), &["leads"]);
    log.erase();
    assert_eq!(log.ended(5_000), ["erased 2", "expired 1", "used 1", "withdrawn 1"]);
    let figures = log.figures(5_000);
    assert_eq!((figures.asked, figures.said, figures.took_ms), (5, 5, Vec::new()));
    let rows = log.told(5_000);
    assert!(rows[0].contains(",erased,") && rows[0].contains("carol approves"), "{rows:?}");
    assert!(rows[4].contains("somebody said something at"), "{rows:?}");
}

#[test]
fn broken_glass_of_which_the_content_was_erased_is_no_plain_use() {
    let mut log = Log::default();
    log.asked(0, 1, &[("leads", 1)]);
    log.broken(10, 1);
    log.erase();
    log.used(11, 1, 101);
    let figures = log.figures(30);
    assert_eq!((figures.broken, figures.unreviewed), (1, 1));
    assert_eq!(log.ended(30), ["used_by_broken_glass 1"]);
    log.reviewed(20, 1);
    log.erase();
    let approvals = log.approvals(30);
    assert_eq!(
        (approvals.figures().unreviewed, approvals.left_out),
        (1, 1),
        "nobody knows of which glass that was the review, and that is counted"
    );
}

/// I13: those that were over before the period make room, and what has none is counted.
#[test]
fn i13_approvals_that_are_too_many_are_counted() {
    let mut log = Log::default();
    log.asked(-900, 1, &[("leads", 1)]);
    log.vote(-890, 1, ("carol", false), &["leads"]);
    log.asked(-880, 2, &[("leads", 1)]);
    log.erase();
    log.asked(-870, 3, &[("leads", 1)]);
    log.asked(-860, 4, &[("leads", 1)]);
    log.vote(10, 3, ("carol", true), &["leads"]);
    log.asked(20, 5, &[("leads", 1)]);
    log.asked(30, 6, &[("leads", 1)]);
    log.vote(40, 6, ("carol", true), &["leads"]);
    let mut approvals = Approvals::of(period(), moment(100));
    approvals.most = 3;
    log.each(|seen| approvals.take(seen));
    assert_eq!(approvals.left_out, 2, "what was asked last, and what was said to it");
    let rows = lines(|files| approvals.write(files), approvals::CSV);
    let told = |number: u8| rows.iter().any(|row| row.starts_with(&id(number).to_string()));
    assert_eq!([1, 2, 3, 5, 6].map(told), [false, false, true, true, false], "{rows:?}");
}

/// I2: it cannot happen, and an auditor sees that it did not; or that it did.
#[test]
fn i2_a_call_by_what_nobody_has_approved_is_told_as_that() {
    let mut log = Log::default();
    for number in [1, 2, 3, 4] {
        log.asked(0, number, &[("leads", 1)]);
    }
    log.used(10, 1, 101);
    log.vote(20, 2, ("carol", false), &["leads"]);
    log.used(30, 2, 102);
    log.vote(20, 3, ("carol", true), &["leads"]);
    log.used(320, 3, 103);
    log.vote(20, 4, ("carol", true), &["leads"]);
    log.used(319, 4, 104);
    assert_eq!(log.ended(400), ["used 1", "used_unapproved 3"]);
    assert_eq!(log.figures(400).unapproved, 3);
}

/// Whoever breaks the glass does not say that they were right to.
#[test]
fn a_review_of_ones_own_is_none() {
    let mut log = Log::default();
    log.asked(0, 1, &[("leads", 1)]);
    log.broken(10, 1);
    let review = GlassReview {
        approval: id(1),
        by: "carol".into(),
        verdict: GlassVerdict::Justified,
        note: "of course".into(),
        at: moment(20),
    };
    log.change(20, "carol", Change::GlassReviewed { review: Box::new(review) });
    assert_eq!(log.figures(30).unreviewed, 1);
    log.reviewed(40, 1);
    assert_eq!(log.figures(50).unreviewed, 0);
}

/// I13: a call that goes on and on by one approval does not grow what is remembered of it.
#[test]
fn i13_calls_that_go_on_are_counted() {
    let mut log = Log::default();
    log.asked(0, 1, &[("leads", 1)]);
    log.vote(20, 1, ("carol", true), &["leads"]);
    (0..103).for_each(|at| log.used(30 + at, 1, 101));
    let rows = log.told(400);
    assert!(rows[0].contains(&format!("{} and 3 more", id(101))), "{rows:?}");
}

/// Clocks end at the very moment, as they do at the gateway.
#[test]
fn what_is_over_is_over_at_that_moment() {
    let mut log = Log::default();
    log.asked(0, 1, &[("leads", 1)]);
    assert_eq!(
        [899, 900].map(|end| log.ended(end)),
        [["waiting 1".to_owned()], ["expired 1".to_owned()]]
    );
    log.expired(890, 1);
    assert_eq!(log.ended(899), ["expired 1"], "another gateway's clock was ahead");
}
