//! Three replicas, many approvals, many claimers of each, and a database whose connections break all the time, also after `COMMIT`:
//! nothing is used twice, nothing is lost, and nothing stays behind. What each was told is a history that is checked against the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use callgate_model::ambient::{Ambient as _, Id};
use callgate_model::approval::Ended;
use callgate_model::authority::{Change, Use};
use callgate_model::evidence::Event;
use tokio::task::JoinSet;

use super::PostgresStore;
use super::server::Database;
use crate::approving::{NOW, World, approval, at};
use crate::testing::{Ticking, intent};
use crate::{
    AuthorityStore as _, Durability, EvidenceError, EvidenceLimits, EvidenceLog,
    EvidenceStore as _, Row,
};

const REPLICAS: u8 = 3;
const APPROVALS: usize = 60;
/// Of each approval, at each replica.
const CLAIMERS: usize = 8;
/// Approvals that are claimed at one time.
const TOGETHER: usize = 10;
const BREAKS_EVERY: Duration = Duration::from_millis(500);
/// A claim is tried again so often, at most: more means that something is stuck.
const TRIES: usize = 500;

/// What a claimer was told.
#[derive(Clone, Copy, Debug)]
struct Claim {
    approval: Id,
    call: Id,
    /// Whether its call is made.
    is_let_through: bool,
}

struct Replica {
    store: Arc<PostgresStore>,
    ambient: Arc<Ticking>,
    log: EvidenceLog,
}

impl Replica {
    async fn open(database: &Database, seed: u8) -> Self {
        let store = Arc::new(database.open().await);
        let ambient = Arc::new(Ticking::new(seed));
        let shared = Arc::<PostgresStore>::clone(&store);
        // Between two breaks, there is time to go on.
        let probe_interval = Duration::from_millis(50);
        let limits = EvidenceLimits { probe_interval, ..EvidenceLimits::default() };
        let opened = EvidenceLog::open(shared, Arc::<Ticking>::clone(&ambient), limits).await;
        Self { store, ambient, log: opened.unwrap().0 }
    }

    /// Claims an approval until it is told yes or no. A failure of the store is neither: that call is not made, and another one tries.
    async fn claim(&self, approval: Id) -> Vec<Claim> {
        let mut claims = Vec::new();
        for _ in 0..TRIES {
            let call = self.ambient.id();
            let mut decided = intent(call, "alice", "release-bot");
            decided.under.approval = Some(Use { id: approval, spends: true });
            let event = Event::Decided(Arc::new(decided));
            let told = self.log.record(event, Durability::Durable).await;
            claims.push(Claim { approval, call, is_let_through: told.is_ok() });
            if matches!(told, Ok(()) | Err(EvidenceError::Refused)) {
                return claims;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody says yes or no to a claim of {approval}");
    }
}

async fn approvals(database: &Database) -> Vec<Id> {
    let world = World::of(Arc::new(database.open().await), None);
    let mut all = Vec::new();
    for number in 0..APPROVALS {
        let id = world.ambient.id();
        let one = approval(id, &format!("caller-{number}"), &number.to_string(), NOW);
        let asked = Change::ApprovalRequested { approval: Box::new(one), notices: Vec::new() };
        assert!(world.change(asked, NOW).await);
        for lead in ["bob", "carol"] {
            assert!(world.vote(id, lead, true, at(0)).await);
        }
        all.push(id);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i2_each_approval_is_used_once_at_three_replicas_whatever_breaks() {
    let database = Arc::new(Database::new().await);
    let approvals = approvals(&database).await;
    let mut replicas = Vec::new();
    for seed in 1..=REPLICAS {
        replicas.push(Arc::new(Replica::open(&database, 100 + seed).await));
    }
    let breaking = tokio::spawn({
        let database = Arc::clone(&database);
        async move {
            loop {
                tokio::time::sleep(BREAKS_EVERY).await;
                database.lose(true).await;
            }
        }
    });
    let mut history = Vec::new();
    for together in approvals.chunks(TOGETHER) {
        let mut claims = JoinSet::new();
        for approval in together {
            for replica in &replicas {
                for _ in 0..CLAIMERS {
                    let (replica, approval) = (Arc::clone(replica), *approval);
                    claims.spawn(async move { replica.claim(approval).await });
                }
            }
        }
        history.extend(claims.join_all().await.into_iter().flatten());
    }
    breaking.abort();
    for replica in &replicas {
        replica.log.health().wait_for(|healthy| *healthy).await.unwrap();
        replica.log.shutdown().await.unwrap();
    }
    let rows = replicas[0].store.read(0, u32::MAX).await.unwrap();
    check(&history, &rows);
    // Each is taken by the call that has it, or still there for somebody to take.
    for approval in approvals {
        let state = replicas[0].store.approval(approval).await.unwrap().unwrap();
        let taken = state.ended.map(|(ended, _)| match ended {
            Ended::Spent { call } => call,
            other @ (Ended::Denied | Ended::Withdrawn) => panic!("{other:?}"),
        });
        let intents = intents_of(approval, &history, &rows);
        assert_eq!(taken.into_iter().collect::<Vec<_>>(), intents, "{approval}");
    }
}

/// The calls of those who claimed `approval` whose intents are stored.
fn intents_of(approval: Id, history: &[Claim], rows: &[Row]) -> Vec<Id> {
    let stored: BTreeSet<Id> =
        rows.iter().filter(|row| row.kind == "intent").filter_map(|row| row.call).collect();
    let claims = history.iter().filter(|claim| claim.approval == approval);
    claims.map(|claim| claim.call).filter(|call| stored.contains(call)).collect()
}

/// Whoever was let through has an intent, and nobody else of that approval; who was not and has one is said not to be made.
fn check(history: &[Claim], rows: &[Row]) {
    let mut let_through: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    for claim in history.iter().filter(|claim| claim.is_let_through) {
        let_through.entry(claim.approval).or_default().push(claim.call);
    }
    for (approval, calls) in &let_through {
        assert_eq!(calls.len(), 1, "{approval} was used twice");
        assert_eq!(intents_of(*approval, history, rows), *calls, "{approval}");
    }
    assert!(!let_through.is_empty(), "nobody was let through");
    let outcome = |call: Id| {
        let mut own = rows.iter().filter(|row| row.call == Some(call));
        own.find_map(|row| row.outcome.clone())
    };
    for claim in history.iter().filter(|claim| !claim.is_let_through) {
        if intents_of(claim.approval, history, rows).contains(&claim.call) {
            assert_eq!(outcome(claim.call).as_deref(), Some("not_dispatched"), "{claim:?}");
        }
    }
}
