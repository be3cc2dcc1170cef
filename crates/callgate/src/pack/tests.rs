//! What becomes of approvals and of what was given, out of records as they are written.

use serde_json::{Value, json};

use super::*;
use crate::pack::counts::{OTHERS, Tally};

const DAY: i64 = 86_400_000;
/// A day in the middle of nowhere.
const BEGIN: i64 = 20_000 * DAY;

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(BEGIN + seconds * 1_000)
}

fn period() -> Period {
    Period { from: moment(0), to: moment(86_400) }
}

/// A log of changes and calls.
#[derive(Default)]
struct Log(Vec<Json>);

impl Log {
    fn add(&mut self, at: i64, kind: &str, more: Value, event: Value) {
        let mut record = more;
        record["at"] = moment(at).to_string().into();
        record["kind"] = kind.into();
        record["event"] = event;
        self.0.push(record.into());
    }

    fn change(&mut self, at: i64, name: &str, event: Value) {
        let id = event["approval"]["id"].as_str().or(event["vote"]["approval"].as_str());
        let approval = id.map(|id| json!({ "id": id }));
        self.add(at, "change", json!({ "change": name, "approval": approval }), event);
    }

    fn asked(&mut self, at: i64, id: &str, gates: &[(&str, u64)]) {
        let gate = |(policy, quorum): &(&str, u64)| json!({ "policy": policy, "quorum": quorum, "denials": 1 });
        let gates: Vec<Value> = gates.iter().map(gate).collect();
        let until = moment(at + 900).to_string();
        let asker = json!({ "accountable": "alice", "agent": "bot", "people": ["alice", "olga"] });
        let approval = json!({ "id": id, "asker": asker, "gates": gates, "decide_until": until, "use_within_s": 300 });
        self.change(at, "approval_requested", json!({ "approval": approval }));
    }

    fn vote(&mut self, at: i64, id: &str, by: &str, gates: &[&str], approves: bool, passkey: bool) {
        let proof = passkey.then(|| json!({ "passkey": "k", "counter": 1 }));
        let vote = json!({ "approval": id, "by": by, "approves": approves, "gates": gates, "proof": proof });
        self.change(at, "approval_voted", json!({ "by": by, "vote": vote }));
    }

    fn used(&mut self, at: i64, id: &str, call: &str) {
        self.add(at, "intent", json!({ "approval": { "id": id }, "call": call }), json!({}));
    }

    fn seen(&self) -> impl Iterator<Item = Seen<'_>> {
        (0..).zip(&self.0).map(|(index, record)| Seen::of(record, index, period()))
    }

    fn approvals(&self, end: i64) -> Approvals {
        let mut approvals = Approvals::of(period(), moment(end));
        self.seen().for_each(|seen| approvals.take(&seen));
        approvals
    }

    fn access(&self) -> Access {
        let mut access = Access::default();
        self.seen().for_each(|seen| access.take(&seen, period()));
        access
    }
}

/// The lines of a file of a pack, without the first.
fn lines(write: impl Fn(&Files) -> Result<(), Failure>, name: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::make(&folder.path().join("pack")).ok().unwrap();
    write(&files).ok().unwrap();
    let text = std::fs::read_to_string(files.path(name)).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

fn ended(log: &Log, end: i64) -> Vec<(String, u64)> {
    let figures = log.approvals(end).figures();
    figures.ended.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[test]
fn an_approval_is_given_when_every_gate_has_as_many_as_it_wants() {
    let mut log = Log::default();
    log.asked(10, "a", &[("two-leads", 2), ("security", 1)]);
    log.vote(20, "a", "carol", &["two-leads"], true, false);
    log.vote(40, "a", "dave", &["two-leads"], true, true);
    assert_eq!(log.approvals(60).figures().took_ms, [] as [u64; 0], "security has said nothing");
    log.vote(70, "a", "erin", &["security"], true, false);
    let figures = log.approvals(80).figures();
    assert_eq!((figures.took_ms, figures.said, figures.by_passkey), (vec![60_000], 3, 1));
    assert_eq!(ended(&log, 80), [("approved".to_owned(), 1)]);
    assert_eq!(ended(&log, 371), [("expired".to_owned(), 1)], "nobody has made the call in time");
    log.used(90, "a", "c1");
    log.used(95, "a", "c2");
    assert_eq!(ended(&log, 371), [("used".to_owned(), 1)]);
    let rows = lines(|files| log.approvals(371).write(files), approvals::CSV);
    assert!(rows[0].contains("c1 c2") && rows[0].contains("dave approves"), "{rows:?}");
}

#[test]
fn each_way_that_an_approval_ends_is_told() {
    let mut log = Log::default();
    for (id, at) in
        [("denied", 0), ("withdrawn", 1), ("expired", 2), ("late", 3), ("waiting", 5_000)]
    {
        log.asked(at, id, &[("leads", 1)]);
    }
    log.vote(2, "denied", "carol", &["leads"], false, false);
    log.change(10, "approval_withdrawn", json!({ "id": "withdrawn", "reason": "not needed" }));
    log.change(950, "approval_expired", json!({ "id": "expired" }));
    let all: Vec<String> =
        ended(&log, 5_001).into_iter().map(|(name, count)| format!("{name} {count}")).collect();
    assert_eq!(all, ["denied 1", "expired 2", "waiting 1", "withdrawn 1"]);
    let figures = log.approvals(5_001).figures();
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
    log.asked(0, "a", &[("leads", 1)]);
    log.vote(60, "a", "olga", &["leads"], true, false);
    assert_eq!(log.approvals(61).figures().of_own, 1, "she answers for the token");
}

#[test]
fn broken_glass_is_told_with_its_review_or_without() {
    let mut log = Log::default();
    for id in ["reviewed", "not"] {
        log.asked(0, id, &[("leads", 1)]);
        let glass = json!({ "approval": id, "by": "carol", "reason": "customers cannot pay", "ticket": "INC-7" });
        log.change(10, "glass_broken", json!({ "by": "carol", "glass": glass }));
        log.used(11, id, "c");
    }
    let review =
        json!({ "approval": "reviewed", "by": "dave", "verdict": "justified", "note": "yes" });
    log.change(20, "glass_reviewed", json!({ "by": "dave", "review": review }));
    let figures = log.approvals(30).figures();
    assert_eq!((figures.broken, figures.unreviewed), (2, 1));
    let rows = lines(|files| log.approvals(30).write(files), approvals::CSV);
    assert!(
        rows[0].contains("used_by_broken_glass") && rows[0].contains("justified by dave"),
        "{rows:?}"
    );
    assert!(rows[1].contains("INC-7 customers cannot pay"), "{rows:?}");
}

#[test]
fn what_was_over_before_the_period_is_no_part_of_it() {
    let mut log = Log::default();
    log.asked(-500, "before", &[("leads", 1)]);
    log.vote(-400, "before", "carol", &["leads"], false, false);
    log.asked(-300, "across", &[("leads", 1)]);
    log.vote(100, "across", "carol", &["leads"], true, false);
    let figures = log.approvals(200).figures();
    assert_eq!(
        (figures.asked, figures.took_ms),
        (0, vec![400_000]),
        "it was decided in the period"
    );
    assert_eq!(lines(|files| log.approvals(200).write(files), approvals::CSV).len(), 1);
}

fn token(id: &str, days: i64, replaces: Option<&str>) -> Value {
    json!({ "id": id, "name": id, "owner": "alice", "agent": "bot", "ends": moment(days * 86_400).to_string(),
        "replaces": replaces, "scope": { "servers": ["jira"], "within": [{ "kind": "Jira::Project", "id": "acme/ENG" }] } })
}

#[test]
fn what_was_in_force_at_some_time_is_told_with_its_end() {
    let mut log = Log::default();
    log.change(
        -DAY / 1_000 * 9,
        "token_issued",
        json!({ "by": "olga", "token": token("ended", -1, None) }),
    );
    log.change(-500, "token_issued", json!({ "by": "olga", "token": token("old", 200, None) }));
    log.change(100, "token_rotated", json!({ "by": "olga", "token": token("new", 100, Some("old")), "old_ends": moment(3_700).to_string() }));
    let grant = json!({ "id": "g", "holder": { "human": "bob" }, "uses": 3, "reason": "on call", "ends": moment(3_600).to_string(), "scope": { "within": [] } });
    log.change(200, "grant_issued", json!({ "by": "carol", "grant": grant }));
    log.change(300, "grant_revoked", json!({ "by": "dave", "id": "g" }));
    let whose = json!({ "server": "jira", "holder": { "kind": "human", "name": "alice" } });
    log.change(400, "secret_set", json!({ "by": "alice", "secret": { "for": whose } }));
    log.change(500, "secret_removed", json!({ "by": "alice", "for": whose }));
    log.change(600, "token_revoked", json!({ "by": "olga", "id": "of-another-log" }));
    let access = log.access();
    let rows = lines(|files| access.write(files, period()), access::CSV);
    let firsts: Vec<&str> = rows.iter().map(|row| row.split(",20").next().unwrap()).collect();
    assert_eq!(firsts.len(), 4, "{rows:?}");
    assert!(
        rows[0].starts_with("token,old,") && rows[0].contains(&moment(3_700).to_string()),
        "{rows:?}"
    );
    assert!(rows[1].starts_with("token,new,") && rows[1].contains("within Jira::Project acme/ENG"));
    assert!(
        rows[2].contains("on call")
            && rows[2].contains("dave")
            && rows[2].contains(&moment(300).to_string())
    );
    assert!(rows[3].starts_with("secret,jira/human alice,"));
    assert_eq!(access.left_out, 1, "nobody knows what that was");

    let tokens = access.figures("token", period(), moment(50_000));
    assert_eq!(
        (tokens.given, tokens.taken, tokens.held, tokens.long, tokens.days_max),
        (1, 0, 1, 1, 100)
    );
    let early = access.figures("token", period(), moment(200));
    assert_eq!((early.held, early.days_max), (2, 100), "the old one is good for a while");
    let grants = access.figures("grant", period(), moment(250));
    assert_eq!((grants.given, grants.taken), (1, 1));
}

#[test]
fn what_is_erased_is_counted_and_guessed_nowhere() {
    let mut log = Log::default();
    let event = json!({ "server": "jira", "tool": "look", "decision": { "verdict": "deny", "reasons": ["guardrail"] },
        "understood": { "effect": "read", "risk": "high", "targets": [] }, "caller": { "accountable": { "id": "alice" } } });
    log.add(1, "refusal", json!({}), event);
    log.add(2, "refusal", json!({}), Value::Null);
    log.add(3, "intent", json!({}), Value::Null);
    let mut counts = Counts::default();
    log.seen().for_each(|seen| counts.take(&seen));
    assert_eq!((counts.records, counts.erased), (3, 2));
    let of = |name: &str| counts.decisions.of(name);
    assert_eq!((of("deny"), of("allow"), of("erased")), (1, 1, 1));
    assert_eq!((counts.reasons.of("guardrail"), counts.effects.of("erased").sum()), (1, 2));
    assert_eq!(
        (counts.people.len(), counts.facts.of("risky"), counts.facts.of("risky_allowed")),
        (1, 1, 0)
    );
    assert_eq!((counts.first.unwrap().0, counts.last.unwrap().0), (0, 2));
}

#[test]
fn i13_names_that_are_too_many_are_counted_together() {
    let mut tally = Tally::default();
    (0..10_005).for_each(|number| tally.add(&number.to_string()));
    (0..10).for_each(|_| tally.add("3"));
    assert_eq!((tally.of(OTHERS), tally.of("3"), tally.of("10_004")), (5, 11, 0));
}

#[test]
fn the_same_are_drawn_in_any_order_of_a_log() {
    let mut log = Log::default();
    (0..200).for_each(|at| log.add(at, "refusal", json!({}), Value::Null));
    let drawn = |seed: &[u8]| {
        let mut sample = Sample::new(seed, 10);
        log.seen().for_each(|seen| sample.take(&seen));
        sample.indexes()
    };
    assert_eq!(drawn(b"one"), drawn(b"one"));
    assert_ne!(drawn(b"one"), drawn(b"two"));
    assert_eq!(drawn(b"one").len(), 10);
}
