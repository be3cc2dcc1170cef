//! What becomes of records later: calls are settled, what records say is erased, approvals expire.

use std::sync::Arc;

use callgate_model::ambient::{Ambient as _, Id, Timestamp};
use callgate_model::approval::Standing;
use callgate_model::authority::Change;
use callgate_model::decision::Decision;
use callgate_model::digest::Digest;
use callgate_model::evidence::audit::Auditor;
use callgate_model::evidence::{Event, Finding, Link, Outcome, Settled};
use callgate_model::reason::Reason;
use callgate_model::vocabulary::Effect;

use crate::approving;
use crate::engines::Engine;
use crate::logged::Logged;
use crate::testing::{intent, outcome};
use crate::{Durability, EvidenceError, Filter, unsettled_calls};

fn outcome_of(call: Id, how: Outcome) -> Event {
    let mut concluded = outcome(call);
    if let Event::Concluded(concluded) = &mut concluded {
        concluded.outcome = how;
    }
    concluded
}

impl Logged {
    /// A call of somebody's that ended so.
    async fn called(&self, human: &str, how: Outcome) -> Id {
        let call = self.ambient.id();
        let decided = Event::Decided(Arc::new(intent(call, human, "release-bot")));
        for event in [decided, outcome_of(call, how)] {
            self.log.record(event, Durability::Durable).await.unwrap();
        }
        call
    }

    async fn settle(&self, call: Id) -> Result<(), EvidenceError> {
        let settled = Settled {
            call,
            by: "operator".to_owned(),
            finding: Finding::TookEffect,
            note: "seen in the tracker".to_owned(),
        };
        self.log.record(Event::Settled(settled), Durability::Durable).await
    }

    async fn unsettled(&self) -> Vec<Id> {
        let rows = self.store.unsettled(true, 100).await.unwrap();
        rows.iter().filter_map(|row| row.call).collect()
    }

    async fn linked(&self, link: Link, value: &str) -> usize {
        let filter = Filter::default().with(link, Some(value.to_owned()));
        self.store.list(&filter).await.unwrap().len()
    }

    async fn erase(&self, indexes: &[u64]) {
        let reason = "asked for".to_owned();
        let indexes = indexes.to_vec();
        self.change(Change::PayloadsErased { indexes, reason }).await.unwrap();
    }
}

with_each_engine!(
    a_call_left_open_is_closed_once,
    a_call_is_settled_once_and_only_if_nobody_knows_what_it_did,
    calls_that_only_read_do_not_hide_those_that_did_not,
    what_a_record_says_is_erased_and_what_the_log_proves_is_not,
    the_oldest_of_a_kind_are_told_for_retention,
    what_is_needed_to_settle_a_call_is_kept,
    i3_an_approval_of_which_it_is_recorded_that_it_expired_is_used_no_more,
    an_approval_that_expires_is_told_once,
);

async fn a_call_is_settled_once_and_only_if_nobody_knows_what_it_did(engine: Engine) {
    let world = Logged::new(engine).await;
    let known = world.called("alice", Outcome::Succeeded).await;
    let mut unknown = Vec::new();
    for how in [Outcome::Cancelled, Outcome::Indeterminate, Outcome::TimedOut] {
        unknown.insert(0, world.called("alice", how).await);
    }
    assert_eq!(world.unsettled().await, unknown);
    for call in [known, world.ambient.id()] {
        let refused = world.settle(call).await;
        assert!(matches!(refused, Err(EvidenceError::Refused)), "{refused:?}");
    }
    world.settle(unknown[1]).await.unwrap();
    assert!(matches!(world.settle(unknown[1]).await, Err(EvidenceError::Refused)));
    assert_eq!(world.unsettled().await, [unknown[0], unknown[2]]);
    // What was recorded before stands as it was.
    let kinds: Vec<String> =
        world.store.show(unknown[1]).await.unwrap().into_iter().map(|row| row.kind).collect();
    assert_eq!(kinds, ["intent", "outcome", "settled"]);

    // A late outcome settles it as well.
    let late = outcome_of(unknown[0], Outcome::Succeeded);
    world.log.record(late, Durability::Durable).await.unwrap();
    assert_eq!(world.unsettled().await, [unknown[2]]);
}

/// Nobody settles reads, so they become ever more: none of them may hide what has to be settled.
async fn calls_that_only_read_do_not_hide_those_that_did_not(engine: Engine) {
    let world = Logged::new(engine).await;
    // What JSON can say and not every engine can read, is in a record of it.
    let write = world.called("al\0ice", Outcome::TimedOut).await;
    let mut decided = intent(world.ambient.id(), "alice", "release-bot");
    decided.understood.as_mut().unwrap().effect = Effect::Read;
    let read = decided.call;
    for event in [Event::Decided(Arc::new(decided)), outcome_of(read, Outcome::TimedOut)] {
        world.log.record(event, Durability::Durable).await.unwrap();
    }
    let told = async |reads| {
        let calls = unsettled_calls(&*world.store, reads, 1).await.unwrap();
        calls
            .into_iter()
            .map(|(intent, outcome)| (intent.call, outcome.outcome))
            .collect::<Vec<_>>()
    };
    let timed_out = || Some("timed_out".to_owned());
    assert_eq!(told(false).await, [(Some(write), timed_out())]);
    assert_eq!(told(true).await, [(Some(read), timed_out())]);
}

async fn what_a_record_says_is_erased_and_what_the_log_proves_is_not(engine: Engine) {
    let world = Logged::new(engine).await;
    for human in ["alice", "bob", "alice"] {
        world.called(human, Outcome::Succeeded).await;
    }
    let rows = world.store.read(0, 100).await.unwrap();
    assert_eq!(rows.len(), 7);
    world.erase(&[1, 5]).await;
    // Erasing again what is gone is no error.
    world.erase(&[1]).await;

    assert_eq!(
        (world.linked(Link::Human, "alice").await, world.linked(Link::Human, "bob").await),
        (0, 1)
    );
    assert_eq!(world.linked(Link::Agent, "release-bot").await, 1);
    let after = world.store.read(0, 100).await.unwrap();
    for (index, (before, after)) in rows.iter().zip(&after).enumerate() {
        assert_eq!((&before.entry, before.hash), (&after.entry, after.hash));
        let is_erased = [1, 5].contains(&index);
        assert_eq!(after.text.is_empty(), is_erased, "{index}");
        assert_eq!(after.accountable.is_none(), is_erased || before.accountable.is_none());
    }
    let mut auditor = Auditor::new();
    for row in &after {
        let payload = Some(row.text.as_bytes()).filter(|text| !text.is_empty());
        auditor.entry(row.entry.as_bytes(), payload).unwrap();
    }
    let payloads = auditor.findings().payloads;
    assert_eq!((payloads.erased, payloads.absent, payloads.kept), (2, 0, 0));

    // Whoever comes again is found again.
    world.called("alice", Outcome::Succeeded).await;
    assert_eq!(world.linked(Link::Human, "alice").await, 1);
}

async fn the_oldest_of_a_kind_are_told_for_retention(engine: Engine) {
    let world = Logged::new(engine).await;
    for _ in 0..3 {
        world.called("alice", Outcome::Succeeded).await;
    }
    let later = world.ambient.now();
    world.called("alice", Outcome::Succeeded).await;
    let told = async |kind: &str, before, limit| {
        world.store.payloads_before(kind, before, limit).await.unwrap()
    };
    assert_eq!(told("intent", later, 100).await, [1, 3, 5]);
    assert_eq!(told("intent", later, 2).await, [1, 3]);
    assert_eq!(told("outcome", later, 100).await, [2, 4, 6]);
    assert!(told("intent", Timestamp::default(), 100).await.is_empty());
    world.erase(&[1, 3]).await;
    assert_eq!(told("intent", later, 100).await, [5]);
    // That something was erased is told for ever.
    assert!(told("change", world.ambient.now(), 100).await.is_empty());
    assert_eq!(told("opened", later, 100).await, [0]);
}

/// Who has to find out what a call did needs what is said of it, however old it is.
async fn what_is_needed_to_settle_a_call_is_kept(engine: Engine) {
    let world = Logged::new(engine).await;
    let open = world.ambient.id();
    let decided = Event::Decided(Arc::new(intent(open, "alice", "release-bot")));
    world.log.record(decided, Durability::Durable).await.unwrap();
    let mut unknown = Vec::new();
    for how in [Outcome::Indeterminate, Outcome::TimedOut, Outcome::Cancelled] {
        unknown.push(world.called("alice", how).await);
    }
    world.called("alice", Outcome::NotDispatched).await;
    let due = async || {
        let told =
            async |kind| world.store.payloads_before(kind, world.ambient.now(), 100).await.unwrap();
        [told("intent").await, told("outcome").await, told("settled").await].concat()
    };
    assert_eq!(due().await, [8, 9]);
    world.settle(unknown[1]).await.unwrap();
    assert_eq!(due().await, [4, 8, 5, 9, 10]);
    // It came late, and it is known now.
    world.log.record(outcome(unknown[0]), Durability::Durable).await.unwrap();
    assert_eq!(due().await, [2, 4, 8, 3, 5, 9, 11, 10]);
    world.log.record(outcome(open), Durability::Durable).await.unwrap();
    assert_eq!(due().await, [1, 2, 4, 8, 3, 5, 9, 11, 12, 10]);
    let refused = {
        let mut refused = intent(world.ambient.id(), "alice", "release-bot");
        refused.decision = Decision::deny(Reason::ToolUnknown, Digest::default());
        Event::Decided(Arc::new(refused))
    };
    world.log.record(refused, Durability::Durable).await.unwrap();
    let now = world.ambient.now();
    assert_eq!(world.store.payloads_before("refusal", now, 100).await.unwrap(), [13]);
}

/// The log says it expired, so nothing after that may say otherwise: the clocks of two gateways are never quite the same.
async fn i3_an_approval_of_which_it_is_recorded_that_it_expired_is_used_no_more(engine: Engine) {
    let world = approving::World::new(engine).await;
    let approved = world.approved("one", approving::at(0)).await;
    let late = approving::at(3_600);
    assert!(world.change(Change::ApprovalExpired { id: approved }, late).await);
    assert_eq!(world.state(approved).await.standing(approving::at(1)), Standing::Unused);
    assert_eq!(world.spend(approved, None, approving::at(1)).await, None);

    let approval = approving::approval(world.ambient.id(), "alice", "other", approving::at(0));
    let id = approval.id;
    let asked = Change::ApprovalRequested { approval: Box::new(approval), notices: Vec::new() };
    assert!(world.change(asked, approving::at(0)).await);
    assert!(world.change(Change::ApprovalExpired { id }, late).await);
    assert!(!world.vote(id, "bob", true, approving::at(1)).await);
}

async fn an_approval_that_expires_is_told_once(engine: Engine) {
    let world = approving::World::new(engine).await;
    let ask = async |what: &str| {
        let approval = approving::approval(world.ambient.id(), "alice", what, approving::at(0));
        let (id, until) = (approval.id, approval.decide_until);
        let notices = Vec::new();
        let asked = Change::ApprovalRequested { approval: Box::new(approval), notices };
        assert!(world.change(asked, approving::at(0)).await);
        (id, until)
    };
    let (waiting, until) = ask("one").await;
    let (withdrawn, _) = ask("another").await;
    let reason = "not needed".to_owned();
    let ended = Change::ApprovalWithdrawn { id: withdrawn, reason };
    assert!(world.change(ended, approving::at(1)).await);

    let due = async |now| world.store.approvals_to_expire(now).await.unwrap();
    let expired = || Change::ApprovalExpired { id: waiting };
    assert!(due(until.before_ms(1)).await.is_empty());
    assert!(!world.change(expired(), until.before_ms(1)).await, "its time is not over");
    assert_eq!(due(until).await, [waiting]);
    assert!(world.change(expired(), until).await);
    assert!(!world.change(expired(), until).await, "it was told");
    assert!(due(until).await.is_empty());
    let state = world.state(waiting).await;
    assert_eq!(state.standing(approving::at(0)), Standing::Expired, "whatever a clock says");
    assert_eq!(state.approval.arguments, "", "they are needed no more");
    let of_withdrawn = Change::ApprovalExpired { id: withdrawn };
    assert!(!world.change(of_withdrawn, until).await, "it ended otherwise");
}

async fn a_call_left_open_is_closed_once(engine: Engine) {
    let world = Logged::new(engine).await;
    let (left, concluded) = (world.ambient.id(), world.ambient.id());
    for call in [left, concluded] {
        let intent = Event::Decided(Arc::new(intent(call, "alice", "release-bot")));
        world.log.record(intent, Durability::Durable).await.unwrap();
    }
    world.log.record(outcome(concluded), Durability::Durable).await.unwrap();
    for call in [left, concluded, left] {
        world.log.close(call).await.unwrap();
    }
    let story = async |call| -> Vec<Option<String>> {
        world.store.show(call).await.unwrap().into_iter().map(|row| row.outcome).collect()
    };
    assert_eq!(story(left).await, [None, Some("indeterminate".to_owned())]);
    assert_eq!(story(concluded).await, [None, Some("succeeded".to_owned())]);
}
