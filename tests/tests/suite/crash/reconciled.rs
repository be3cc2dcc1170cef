//! The rule by which what the site executed and what the evidence has agree after crashes. Pure, so that each part of it is
//! shown to fail.

use std::time::Duration;

use callgate_sim::LedgerEntry;
use serde_json::{Value, json};

use super::super::world::digest_of;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    /// A write that somebody has approved.
    Approved,
}

/// A call that was made, by arguments that no other one has.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) arguments: Value,
    pub(super) approval: Option<String>,
    /// Whether it was on its way when the process ended.
    is_doomed: bool,
    /// Whether it was the only one.
    pub(super) is_lone: bool,
    /// That it was done, if its client was told anything.
    pub(super) told: Option<bool>,
    /// Whether it was let through when it was made again.
    pub(super) again: Option<bool>,
}

impl Call {
    pub(super) fn doomed(kind: Kind, arguments: Value, is_lone: bool) -> Self {
        let approval = None;
        Self { kind, arguments, approval, is_doomed: true, is_lone, told: None, again: None }
    }

    pub(super) fn early(kind: Kind, arguments: Value) -> Self {
        Self { is_doomed: false, ..Self::doomed(kind, arguments, false) }
    }

    /// Reads of the last moments may be.
    fn may_be_lost(&self) -> bool {
        self.kind == Kind::Read && self.is_doomed
    }

    fn digest(&self) -> String {
        digest_of(&self.arguments.to_string())
    }
}

/// All that was done and recorded around several crashes.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    pub(super) calls: Vec<Call>,
    pub(super) ledger: Vec<LedgerEntry>,
    /// In the order of the log.
    pub(super) records: Vec<Value>,
}

impl Run {
    pub(super) fn add(&mut self, calls: Vec<Call>) {
        self.calls.extend(calls);
    }

    /// How often it was executed.
    pub(super) fn effects(&self, call: &Call) -> usize {
        self.effects_of(&call.digest())
    }

    fn effects_of(&self, digest: &str) -> usize {
        self.ledger.iter().filter(|entry| digest_of(&entry.arguments) == digest).count()
    }

    /// The outcome that the record has of it, if it has an intent.
    pub(super) fn outcome(&self, call: &Call) -> Option<String> {
        let intents = self.intents(&call.digest());
        let outcomes = self.outcomes(intents.first()?);
        outcomes.first().map(|record| text(record, "/outcome").to_owned())
    }

    fn intents(&self, digest: &str) -> Vec<&Value> {
        let is_it = |record: &&Value| text(record, "/event/arguments_digest") == digest;
        self.kind("intent").filter(is_it).collect()
    }

    fn outcomes(&self, intent: &Value) -> Vec<&Value> {
        self.kind("outcome").filter(|record| record["call"] == intent["call"]).collect()
    }

    fn kind(&self, kind: &'static str) -> impl Iterator<Item = &Value> {
        self.records.iter().filter(move |record| record["kind"] == kind)
    }

    /// How many calls were on their way, over all crashes, and not answered.
    fn in_flight(&self) -> usize {
        self.calls.iter().filter(|call| call.is_doomed).count()
    }
}

/// What does not agree.
pub(super) fn violations(run: &Run) -> Vec<String> {
    let mut found: Vec<String> =
        run.ledger.iter().filter_map(|entry| unaccounted(run, &entry.arguments)).collect();
    found.extend(run.kind("intent").filter_map(|intent| wrongly_concluded(run, intent)));
    let unknown = run.kind("outcome").filter(|one| one["outcome"] == "indeterminate").count();
    if unknown > run.in_flight() {
        found.push(format!("{unknown} indeterminate, {} were on their way", run.in_flight()));
    }
    found.extend(run.calls.iter().filter_map(|call| broken_promise(run, call)));
    found
}

/// Why the effect of a call with these arguments is not accounted for.
fn unaccounted(run: &Run, arguments: &str) -> Option<String> {
    let digest = digest_of(arguments);
    let intents = run.intents(&digest);
    let effects = run.effects_of(&digest);
    let is_accounted = match run.calls.iter().find(|call| call.digest() == digest) {
        Some(call) if call.may_be_lost() => effects == 1 && intents.len() <= 1,
        Some(_) => effects == 1 && intents.len() == 1,
        // What the gateway reads by itself, to tell who approves a call; never while it crashes.
        None => {
            let own = intents.iter().filter(|intent| !text(intent, "/event/resolves").is_empty());
            own.count() == effects
        }
    };
    (!is_accounted).then(|| format!("{effects} effects, {} intents: {arguments}", intents.len()))
}

/// What is wrong with the outcome of an intent.
fn wrongly_concluded(run: &Run, intent: &Value) -> Option<String> {
    let outcomes = run.outcomes(intent);
    let [outcome] = outcomes.as_slice() else {
        return Some(format!("{} outcomes of {intent}", outcomes.len()));
    };
    if outcome["index"].as_u64() <= intent["index"].as_u64() {
        return Some(format!("an outcome before its intent: {outcome}"));
    }
    let is_of_site = text(intent, "/event/server") == "atlassian";
    let effects = run.effects_of(text(intent, "/event/arguments_digest"));
    let is_false = is_of_site && text(outcome, "/outcome") == "succeeded" && effects == 0;
    is_false.then(|| format!("succeeded without an effect: {intent}"))
}

/// What was promised of this call and is not so.
fn broken_promise(run: &Run, call: &Call) -> Option<String> {
    let outcome = run.outcome(call);
    if let Some(approval) = &call.approval {
        let by_it = |record: &&Value| text(record, "/approval/id") == approval;
        let uses = run.kind("intent").filter(by_it).count();
        if uses > 1 {
            return Some(format!("the approval {approval} was spent {uses} times"));
        }
    }
    if call.told == Some(true) && !call.may_be_lost() && outcome.as_deref() != Some("succeeded") {
        return Some(format!("told as done, recorded as {outcome:?}: {}", call.arguments));
    }
    None
}

fn text<'a>(record: &'a Value, pointer: &str) -> &'a str {
    record.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A write that somebody approved, as it should be.
fn good() -> Run {
    let arguments = json!({ "issueIdOrKey": "ENG-43" });
    let mut call = Call::doomed(Kind::Approved, arguments.clone(), true);
    call.approval = Some("A".to_owned());
    call.told = Some(true);
    let event =
        json!({ "arguments_digest": call.digest(), "resolves": null, "server": "atlassian" });
    let entry = LedgerEntry {
        number: 1,
        tool: "editJiraIssue".to_owned(),
        operation: "editJiraIssue".to_owned(),
        arguments: arguments.to_string(),
        headers: Vec::new(),
        is_error: false,
        at: Duration::ZERO,
    };
    let records = vec![
        json!({ "index": 1, "kind": "intent", "call": "C", "approval": { "id": "A" }, "event": event }),
        json!({ "index": 2, "kind": "outcome", "call": "C", "outcome": "succeeded" }),
    ];
    Run { calls: vec![call], ledger: vec![entry], records }
}

/// What is found wrong after `change`.
fn found(change: impl FnOnce(&mut Run)) -> String {
    let mut run = good();
    change(&mut run);
    violations(&run).join("\n")
}

#[test]
fn e04_each_part_of_the_rule_can_fail() {
    assert_eq!(found(|_| {}), "");
    let sent_unrecorded = found(|run| run.records.clear());
    assert!(sent_unrecorded.contains("1 effects, 0 intents"), "{sent_unrecorded}");
    let sent_twice = found(|run| run.ledger.push(run.ledger[0].clone()));
    assert!(sent_twice.contains("2 effects, 1 intents"), "{sent_twice}");
    let changed = found(|run| run.records[0]["event"]["arguments_digest"] = "other".into());
    assert!(changed.contains("1 effects, 0 intents"), "{changed}");
    let unknown = found(|run| run.calls.clear());
    assert!(unknown.contains("1 effects, 1 intents"), "{unknown}");
    let never_done = found(|run| run.ledger.clear());
    assert!(never_done.contains("succeeded without an effect"), "{never_done}");
    let open = found(|run| run.records.truncate(1));
    assert!(open.contains("0 outcomes of") && open.contains("told as done"), "{open}");
    let concluded_twice = found(|run| run.records.push(run.records[1].clone()));
    assert!(concluded_twice.contains("2 outcomes of"), "{concluded_twice}");
    let before = found(|run| run.records[1]["index"] = 0.into());
    assert!(before.contains("an outcome before its intent"), "{before}");
    let told = found(|run| run.records[1]["outcome"] = "indeterminate".into());
    assert!(told.contains("told as done, recorded as Some(\"indeterminate\")"), "{told}");
    let guessed = found(|run| {
        run.calls[0].is_doomed = false;
        run.records[1]["outcome"] = "indeterminate".into();
    });
    assert!(guessed.contains("1 indeterminate, 0 were on their way"), "{guessed}");
    let spent_twice = found(|run| {
        let mut again = run.records[0].clone();
        again["call"] = "D".into();
        run.records.push(again);
    });
    assert!(spent_twice.contains("the approval A was spent 2 times"), "{spent_twice}");
}

#[test]
fn e04_only_a_read_of_the_last_moments_may_be_lost() {
    let lost = |kind, is_doomed| {
        found(|run| {
            run.records.clear();
            (run.calls[0].kind, run.calls[0].is_doomed) = (kind, is_doomed);
        })
    };
    assert_eq!(lost(Kind::Read, true), "");
    for (kind, is_doomed) in [(Kind::Read, false), (Kind::Write, true), (Kind::Approved, true)] {
        assert!(lost(kind, is_doomed).contains("1 effects, 0 intents"), "{kind:?} {is_doomed}");
    }
}
