//! What every store must do with approvals, as one suite.

use std::sync::Arc;

use callgate_model::ambient::{Ambient as _, Id, Timestamp};
use callgate_model::approval::{
    About, Approval, ApprovalState, Asker, COOLS_DOWN_S, Ended, PER_HOUR_MAX, Standing, Vote,
    WAITING_MAX,
};
use callgate_model::authority::{Administered, Change, Use};
use callgate_model::decision::Gate;
use callgate_model::digest::Digest;
use callgate_model::evidence::{Chain, Event, Payload};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::engines::{Engine, Opened};
use crate::postgres::server::Database;
use crate::testing::{Ticking, intent};
use crate::{Row, Store, StoreError};

pub(crate) const NOW: Timestamp = Timestamp::from_unix_ms(1_795_600_000_000);

pub(crate) fn at(seconds: u64) -> Timestamp {
    NOW.after_ms(seconds * 1_000)
}

/// A store, and a writer whose clock is told what time it is.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ambient: Ticking,
    chain: Mutex<Chain>,
    _database: Option<Database>,
}

impl World {
    pub(crate) async fn new(engine: Engine) -> Self {
        let Opened { store, database } = engine.open().await;
        Self::of(store, database)
    }

    pub(crate) fn of(store: Arc<dyn Store>, database: Option<Database>) -> Self {
        let ambient = Ticking::new(1);
        let chain = Mutex::new(Chain::new(ambient.id()));
        Self { store, ambient, chain, _database: database }
    }

    /// Whether the event could be applied at that time.
    pub(crate) async fn happens(&self, event: Event, at: Timestamp) -> bool {
        let mut chain = self.chain.lock().await;
        let mut tried = chain.clone();
        let row = Row::seal(&mut tried, at, &event, Payload::new(&event, [7; 16]));
        match self.store.append(&[row]).await {
            Ok(()) => {
                *chain = tried;
                true
            }
            Err(StoreError::Refused { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn change(&self, change: Change, at: Timestamp) -> bool {
        let administered = Administered { by: "somebody".to_owned(), change };
        self.happens(Event::Administered(Arc::new(administered)), at).await
    }

    /// Asks for approval of the call `what` of `who`.
    pub(crate) async fn ask(&self, who: &str, what: &str, at: Timestamp) -> Option<Id> {
        let approval = approval(self.ambient.id(), who, what, at);
        let id = approval.id;
        let asked = Change::ApprovalRequested { approval: Box::new(approval), notices: Vec::new() };
        self.change(asked, at).await.then_some(id)
    }

    pub(crate) async fn vote(&self, id: Id, by: &str, approves: bool, at: Timestamp) -> bool {
        let gates = vec!["delete-needs-leads".to_owned()];
        let seen = Digest::of(b"seen");
        let vote = Vote {
            approval: id,
            by: by.to_owned(),
            approves,
            gates,
            grants: false,
            reason: None,
            seen,
            proof: None,
            known: None,
            at,
        };
        self.change(Change::ApprovalVoted { vote: Box::new(vote) }, at).await
    }

    pub(crate) async fn spend(&self, id: Id, after: Option<Id>, at: Timestamp) -> Option<Id> {
        let call = self.ambient.id();
        let mut decided = intent(call, "alice", "release-bot");
        decided.under.approval = Some(Use { id, spends: true });
        decided.under.after = after;
        self.happens(Event::Decided(Arc::new(decided)), at).await.then_some(call)
    }

    pub(crate) async fn state(&self, id: Id) -> ApprovalState {
        self.store.approval(id).await.unwrap().unwrap()
    }

    /// One that both leads have approved.
    pub(crate) async fn approved(&self, what: &str, at: Timestamp) -> Id {
        let id = self.ask("alice", what, at).await.unwrap();
        assert!(self.vote(id, "bob", true, at).await && self.vote(id, "carol", true, at).await);
        id
    }
}

pub(crate) fn approval(id: Id, who: &str, what: &str, at: Timestamp) -> Approval {
    let gate = Gate {
        policy: "delete-needs-leads".to_owned(),
        approvers: "team:leads".to_owned(),
        quorum: 2,
        decide_within_s: 900,
        use_within_s: 300,
        denials: 1,
        escalation: None,
        grants: None,
        step_up: false,
    };
    let text = || "x".to_owned();
    Approval {
        id,
        binding: Digest::of(what.as_bytes()),
        asker: Asker {
            accountable: who.to_owned(),
            is_human: true,
            agent: None,
            actors: Vec::new(),
            client: text(),
            credential: text(),
            workflow: None,
            people: vec![who.to_owned()],
        },
        about: About {
            why: None,
            server: text(),
            tool: text(),
            definition: None,
            operation: text(),
            title: text(),
            effect: text(),
            risk: text(),
            reversibility: text(),
            targets: Vec::new(),
            arguments_digest: Digest::default(),
            arguments: Default::default(),
        },
        gates: vec![gate],
        bundle: Digest::default(),
        at,
        decide_until: at.after_ms(900_000),
        looks: Vec::new(),
        use_within_s: 300,
        offer: None,
        arguments: r#"{"issue":"ENG-1"}"#.to_owned(),
    }
}

with_each_engine!(
    a01_an_approval_is_asked_for_decided_and_spent_once,
    a02_each_clock_ends_it,
    a07_a_denial_stands_for_a_while,
    what_was_withdrawn_lets_nothing_through,
    i2_what_goes_on_with_a_call_takes_its_place,
    a09_nobody_is_flooded,
    i2_a05_of_many_claimers_one_takes_it,
);

async fn a01_an_approval_is_asked_for_decided_and_spent_once(engine: Engine) {
    let world = World::new(engine).await;
    let id = world.ask("alice", "delete", NOW).await.unwrap();
    let state = world.state(id).await;
    assert_eq!(state.approval, approval(id, "alice", "delete", NOW));
    assert_eq!(state.standing(NOW), Standing::Waiting);
    assert_eq!(world.ask("alice", "delete", at(1)).await, None, "it is asked for already");
    assert!(world.spend(id, None, at(1)).await.is_none(), "nobody has approved it");
    assert!(world.vote(id, "bob", true, at(1)).await);
    assert!(!world.vote(id, "bob", true, at(2)).await, "a07: nobody votes twice");
    assert!(world.spend(id, None, at(2)).await.is_none(), "two have to");
    assert!(world.vote(id, "carol", true, at(10)).await);
    assert_eq!(world.state(id).await.standing(at(10)), Standing::Approved { until: at(310) });
    assert!(!world.vote(id, "dave", false, at(11)).await, "a07: it is decided");
    assert_eq!(world.ask("alice", "delete", at(11)).await, None, "it waits to be used");
    let found = world.store.approval_for(Digest::of(b"delete")).await.unwrap().unwrap();
    assert_eq!((found.approval.id, found.votes.len()), (id, 2));

    let call = world.spend(id, None, at(12)).await.unwrap();
    assert!(world.spend(id, None, at(12)).await.is_none(), "a01: it was used");
    let state = world.state(id).await;
    assert_eq!(state.ended, Some((Ended::Spent { call }, at(12))));
    assert_eq!(state.approval.arguments, "", "they are forgotten");
    let again = world.ask("alice", "delete", at(13)).await;
    assert!(again.is_some(), "the next call needs another one");
    let found = world.store.approval_for(Digest::of(b"delete")).await.unwrap().unwrap();
    assert_eq!(Some(found.approval.id), again, "the newest is found");
}

async fn a02_each_clock_ends_it(engine: Engine) {
    let world = World::new(engine).await;
    let id = world.ask("alice", "late", NOW).await.unwrap();
    assert!(!world.vote(id, "bob", true, at(900)).await, "too late to decide");
    assert!(world.ask("alice", "late", at(900)).await.is_some(), "it can be asked for again");
    let id = world.approved("slow", NOW).await;
    assert!(world.spend(id, None, at(300)).await.is_none(), "too late to use");
    assert!(world.ask("alice", "slow", at(300)).await.is_some());
    // What waits and what can be used is listed, and nothing else.
    let open = world.store.approvals(Some(at(901))).await.unwrap();
    assert_eq!(open.len(), 2);
    assert_eq!(world.store.approvals(None).await.unwrap().len(), 4);
}

async fn a07_a_denial_stands_for_a_while(engine: Engine) {
    let world = World::new(engine).await;
    let id = world.ask("alice", "delete", NOW).await.unwrap();
    assert!(
        world.vote(id, "bob", true, at(1)).await && world.vote(id, "carol", false, at(2)).await
    );
    assert_eq!(world.state(id).await.standing(at(3)), Standing::Ended(Ended::Denied));
    assert!(!world.vote(id, "dave", true, at(3)).await, "it was denied");
    assert!(world.spend(id, None, at(3)).await.is_none());
    assert_eq!(world.ask("alice", "delete", at(1 + COOLS_DOWN_S)).await, None, "it cools down");
    assert!(world.ask("alice", "other", at(3)).await.is_some(), "another call is another one");
    assert!(world.ask("alice", "delete", at(3 + COOLS_DOWN_S)).await.is_some());
}

async fn what_was_withdrawn_lets_nothing_through(engine: Engine) {
    let world = World::new(engine).await;
    let withdraw = |id| Change::ApprovalWithdrawn { id, reason: "not needed".to_owned() };
    let waiting = world.ask("alice", "waiting", NOW).await.unwrap();
    let approved = world.approved("approved", NOW).await;
    for id in [waiting, approved] {
        assert!(world.change(withdraw(id), at(1)).await);
        assert!(!world.change(withdraw(id), at(1)).await);
        assert!(!world.vote(id, "erin", true, at(2)).await);
        assert!(world.spend(id, None, at(2)).await.is_none());
        assert_eq!(world.state(id).await.standing(at(2)), Standing::Ended(Ended::Withdrawn));
        let shown = Digest::default();
        assert!(!world.change(Change::ApprovalViewed { id, shown }, at(2)).await);
    }
    let spent = world.approved("spent", NOW).await;
    world.spend(spent, None, at(1)).await.unwrap();
    assert!(!world.change(withdraw(spent), at(1)).await, "a07: it is too late");
}

/// A call in several rounds takes it once: each round goes on with the one before, and no round twice.
async fn i2_what_goes_on_with_a_call_takes_its_place(engine: Engine) {
    let world = World::new(engine).await;
    let id = world.approved("rounds", NOW).await;
    let nobody = world.ambient.id();
    assert!(world.spend(id, Some(nobody), at(1)).await.is_none(), "there is no call before");
    let first = world.spend(id, None, at(1)).await.unwrap();
    let second = world.spend(id, Some(first), at(2)).await.unwrap();
    assert!(world.spend(id, Some(first), at(3)).await.is_none(), "the second round again");
    assert!(world.spend(id, None, at(3)).await.is_none());
    let third = world.spend(id, Some(second), at(400)).await.unwrap();
    assert_eq!(world.state(id).await.ended, Some((Ended::Spent { call: third }, at(400))));
}

async fn a09_nobody_is_flooded(engine: Engine) {
    let world = World::new(engine).await;
    for number in 0..WAITING_MAX {
        assert!(world.ask("alice", &number.to_string(), at(u64::from(number))).await.is_some());
    }
    assert_eq!(world.ask("alice", "more", at(60)).await, None, "so many wait already");
    assert!(world.ask("bob", "more", at(60)).await.is_some(), "another caller's are another's");
    // Once they have expired, more can be asked for, but not without end.
    let mut asked = WAITING_MAX;
    for round in 1.. {
        let later = at(920 * round);
        for number in 0..WAITING_MAX {
            let what = format!("{round}-{number}");
            asked += u32::from(world.ask("alice", &what, later).await.is_some());
        }
        if 920 * round > 2_700 {
            break;
        }
    }
    assert!(asked <= PER_HOUR_MAX, "{asked}");
}

/// A05: whoever comes first; nobody else.
async fn i2_a05_of_many_claimers_one_takes_it(engine: Engine) {
    const APPROVALS: usize = 1_000;
    let world = Arc::new(World::new(engine).await);
    let mut ids = Vec::new();
    for number in 0..APPROVALS {
        let id = world.ambient.id();
        let one = approval(id, &format!("caller-{number}"), &number.to_string(), NOW);
        let asked = Change::ApprovalRequested { approval: Box::new(one), notices: Vec::new() };
        assert!(world.change(asked, NOW).await);
        assert!(world.vote(id, "bob", true, NOW).await && world.vote(id, "carol", true, NOW).await);
        ids.push(id);
    }
    let mut claimers = JoinSet::new();
    for _ in 0..8 {
        let (world, ids) = (Arc::clone(&world), ids.clone());
        claimers.spawn(async move {
            let mut taken = Vec::new();
            for id in ids {
                if world.spend(id, None, at(1)).await.is_some() {
                    taken.push(id);
                }
            }
            taken
        });
    }
    let mut taken: Vec<Id> = claimers.join_all().await.into_iter().flatten().collect();
    taken.sort_unstable();
    ids.sort_unstable();
    assert_eq!(taken, ids, "each once");
}
