//! What becomes of approvals and of what was given, out of records as they are sealed.

mod access;
mod approvals;

use std::sync::Arc;

use callgate_model::authority::{
    Administered, Change, PolicyInForce, ServerSetup, Setup, Under, Use,
};
use callgate_model::caller::{
    Accountable, AccountableKind, Assurance, Caller, Client, Credential, CredentialKind, Identity,
};
use callgate_model::decision::Decision;
use callgate_model::evidence::{CallerRecord, Chain, Decided, Event, Payload, Understood};
use callgate_model::reason::Reason;
use callgate_model::vocabulary::{Effect, Reversibility, Risk};

use super::*;
use crate::pack::counts::{OTHERS, Tally};

const DAY_S: i64 = 86_400;
/// A day in the middle of nowhere.
const BEGIN_MS: i64 = 20_000 * DAY_S * 1_000;

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(BEGIN_MS + seconds * 1_000)
}

fn period() -> Period {
    Period { from: moment(0), to: moment(DAY_S) }
}

fn id(number: u8) -> Id {
    Id::new(Timestamp::from_unix_ms(1), [number; 16])
}

/// A log of changes and calls.
struct Log {
    chain: Chain,
    rows: Vec<Row>,
}

impl Default for Log {
    fn default() -> Self {
        Self { chain: Chain::new(id(200)), rows: Vec::new() }
    }
}

impl Log {
    fn add(&mut self, at: i64, event: &Event) {
        let payload = Payload::new(event, [7; 16]);
        self.rows.push(Row::seal(&mut self.chain, moment(at), event, payload));
    }

    fn change(&mut self, at: i64, by: &str, change: Change) {
        self.add(at, &Event::Administered(Arc::new(Administered { by: by.into(), change })));
    }

    fn decided(&mut self, at: i64, decided: Decided) {
        self.add(at, &Event::Decided(Arc::new(decided)));
    }

    /// The content of the last record is erased.
    fn erase(&mut self) {
        self.rows.last_mut().unwrap().text.clear();
    }

    fn each(&self, mut take: impl FnMut(&Seen<'_>)) {
        for (index, row) in (0..).zip(&self.rows) {
            take(&Seen::of(&row.record().into(), index, period()));
        }
    }
}

/// A call that was denied by a guardrail.
fn denied() -> Decided {
    Decided {
        call: id(100),
        caller: None,
        continues: None,
        resolves: None,
        client_says: None,
        why: None,
        method: "tools/call".into(),
        server: "jira".into(),
        tool: "look".into(),
        understood: None,
        arguments_digest: None,
        arguments: Json::Null,
        hashes: Vec::new(),
        responses_digest: None,
        under: Under::default(),
        decision: Decision::deny(Reason::Guardrail, Digest::default()),
        decided_in_us: 1,
        notices: Vec::new(),
        trace: None,
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

#[test]
fn what_is_erased_is_counted_and_guessed_nowhere() {
    let mut log = Log::default();
    let understood = Understood {
        operation: "jira.issue.read".into(),
        effect: Effect::Read,
        risk: Risk::High,
        reversibility: Reversibility::Reversible,
        definition: None,
        targets: Vec::new(),
        input: callgate_model::json::Object::default(),
    };
    let caller = Some(Arc::new(CallerRecord::new(&caller())));
    log.decided(1, Decided { caller, understood: Some(understood), ..denied() });
    log.decided(2, denied());
    log.erase();
    log.decided(3, Decided { decision: Decision::own_read(Digest::default()), ..denied() });
    log.erase();
    let mut counts = Counts::default();
    log.each(|seen| counts.take(seen));
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

fn caller() -> Caller {
    let assurance = Assurance::Configured;
    Caller {
        accountable: Accountable {
            kind: AccountableKind::Human,
            identity: Identity::parse("alice"),
            groups: Vec::new(),
            assurance,
        },
        agent: None,
        actors: Vec::new(),
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
    (0..200).for_each(|at| log.decided(at, denied()));
    let drawn = |seed: &[u8]| {
        let mut sample = Sample::new(seed, 10);
        log.each(|seen| sample.take(seen));
        sample.indexes()
    };
    assert_eq!(drawn(b"one"), drawn(b"one"));
    assert_ne!(drawn(b"one"), drawn(b"two"));
    assert_eq!(drawn(b"one").len(), 10);
}

impl Log {
    fn activated(&mut self, at: i64, ids: &[&str]) {
        let policy = |id: &&str| PolicyInForce {
            id: (*id).to_owned(),
            tier: "permits".into(),
            owner: "platform".into(),
            reason: "work".into(),
            text: None,
            digest: Digest::default(),
        };
        let policies = ids.iter().map(policy).collect();
        self.change(at, "carol", Change::PoliciesActivated { bundle: Digest::default(), policies });
    }

    fn configured(&mut self, at: i64, danger: &str) {
        let setup = Setup {
            version: "0.1.0".into(),
            configuration: Digest::default(),
            public_url: None,
            servers: vec![ServerSetup { name: "jira".into(), catalog: "jira".into() }],
            issuers: Vec::new(),
            channels: Vec::new(),
            keys: Vec::new(),
            dangers: vec![danger.to_owned()],
            evidence: None,
        };
        self.change(at, "callgate", Change::Configured { setup: Box::new(setup) });
    }

    /// How many are in force at the end, how often it is not known which were, and the rows of the table.
    fn policies(&self) -> (Option<u64>, u64, Vec<String>) {
        let told = std::cell::Cell::new((None, 0));
        let rows = lines(
            |files| {
                let mut policies = Policies::begin(files)?;
                self.each(|seen| policies.take(files, seen, period()).unwrap());
                policies.end(files)?;
                told.set((policies.last().map(|last| last.of_tier("permits")), policies.left_out));
                Ok(())
            },
            policies::CSV,
        );
        let (held, left_out) = told.get();
        (held, left_out, rows)
    }
}

#[test]
fn policies_that_were_erased_are_not_those_before() {
    let mut log = Log::default();
    log.activated(-20, &["a"]);
    log.activated(-10, &["a", "b"]);
    log.erase();
    assert_eq!(log.policies(), (None, 1, Vec::new()), "nobody knows what was in force");
    log.activated(10, &["a", "b", "c"]);
    let (held, left_out, rows) = log.policies();
    assert_eq!((held, left_out, rows.len()), (Some(3), 1, 3));
    assert!(rows.iter().all(|row| row.contains(",in_force,")), "{rows:?}");
    log.activated(20, &["a"]);
    log.erase();
    assert_eq!(log.policies().0, None);
}

#[test]
fn what_is_known_again_before_the_period_is_known() {
    let mut log = Log::default();
    log.activated(-20, &["a"]);
    log.erase();
    log.activated(-10, &["a", "b"]);
    let (held, left_out, rows) = log.policies();
    assert_eq!((held, left_out, rows.len()), (Some(2), 0, 2));
}

#[test]
fn a_configuration_that_is_not_known_has_dangers_that_are_not() {
    let mut log = Log::default();
    let look = |log: &Log| {
        let mut all = Configurations::default();
        log.each(|seen| all.take(seen, period()));
        (all.is_unknown(), all.dangers().len(), all.changes())
    };
    assert_eq!(look(&log), (true, 0, 0), "none is recorded");
    log.configured(-10, "danger_anonymous");
    assert_eq!(look(&log), (false, 1, 0));
    log.configured(10, "danger_anonymous");
    log.erase();
    assert_eq!(look(&log), (true, 0, 1));
}

/// Nobody takes a part for the whole: what is left out is told with how much it is.
#[test]
fn what_is_left_out_is_counted_by_name() {
    let mut log = Log::default();
    log.activated(-10, &["a"]);
    log.decided(1, denied());
    log.decided(2, denied());
    log.erase();
    log.activated(3, &["a"]);
    log.erase();
    (0..3).for_each(|at| log.decided(DAY_S + at, denied()));
    let folder = tempfile::tempdir().unwrap();
    let files = Files::make(&folder.path().join("pack")).unwrap();
    let mut gathered = gathered(&files);
    log.each(|seen| gathered.take(&files, seen).unwrap());
    gathered.unsigned = 4;
    gathered.access.left_out = 5;
    let figures = Figures::sample(&[("approvals_erased", 6), ("open", 7), ("unsettled", 0)]);
    let all = left_out::of(&gathered, &figures, &population::Proved::default());
    let json = left_out::to_json(&all);
    let told = [
        ("records_before", 1),
        ("records_after", 3),
        ("records_unsigned", 4),
        ("records_erased", 2),
        ("access", 5),
        ("approvals_erased", 6),
        ("policies", 1),
        ("open", 7),
        ("unsettled", 0),
    ];
    for (name, count) in told {
        assert_eq!(json.get(name), Some(&Json::from(count)), "{name}");
    }
    let missing = all.iter().filter(|one| !one.is_missing && one.count > 0).count();
    assert_eq!(missing, 2, "other times are not missing");
}

fn gathered(files: &Files) -> Gathered {
    let kept = KeptCheckpoint { size: 0, at: moment(0), note: String::new() };
    Gathered {
        period: period(),
        made: moment(DAY_S),
        signed: Signed { kept, origin: "gate".into(), root: Digest::default() },
        unsigned: 0,
        before: 0,
        after: 0,
        verified: Ok(Verified::default()),
        counts: Counts::default(),
        approvals: Approvals::of(period(), moment(DAY_S)),
        access: Access::of(period()),
        policies: Policies::begin(files).unwrap(),
        configurations: Configurations::default(),
        erasures: Erasures::default(),
        decisions: Sample::new(b"", 1),
        changes: Sample::new(b"", 1),
    }
}
