//! What every store must do with budgets that replicas share, as one suite.

use std::collections::BTreeSet;
use std::sync::Arc;

use callgate_model::ambient::{Ambient, Id, Timestamp};
use callgate_model::authority::Use;
use callgate_model::budget::{Count, Mark, Spent, Tally};
use callgate_model::digest::Digest;
use callgate_model::evidence::Event;

use crate::engines::Engine;
use crate::logged::Logged;
use crate::testing::{Ticking, intent};
use crate::{Durability, EvidenceError, EvidenceLimits, EvidenceLog};

const HOUR_MS: u64 = 3_600_000;

fn count(name: &str, most: u32, targets: Option<&[&str]>) -> Count {
    let targets = targets.map(|all| all.iter().map(|one| Digest::of(one.as_bytes())).collect());
    Count {
        budget: name.into(),
        key: Digest::of(name.as_bytes()),
        most,
        within_ms: HOUR_MS,
        targets: targets as Option<BTreeSet<Digest>>,
        exact: true,
        told: String::new(),
    }
}

/// The intent of a call that counts so, recorded by `log`.
async fn call(log: &EvidenceLog, id: Id, counts: Vec<Count>) -> Result<(), EvidenceError> {
    let mut decided = intent(id, "alice", "release-bot");
    decided.budgets = counts;
    log.record(Event::Decided(Arc::new(decided)), Durability::Durable).await
}

impl Logged {
    async fn counts(&self, counts: Vec<Count>) -> bool {
        match call(&self.log, self.ambient.id(), counts).await {
            Ok(()) => true,
            Err(EvidenceError::Refused) => false,
            Err(other) => panic!("{other}"),
        }
    }

    async fn tally(&self, count: &Count, now: Timestamp) -> Tally {
        Tally::of(self.store.budget_marks(count.key, now).await.unwrap())
    }
}

with_each_engine!(
    i2_replicas_together_make_no_more_calls_than_a_budget,
    different_things_count_once_over_all_replicas,
    i2_a_call_counts_in_all_of_its_budgets_or_in_none_and_spends_nothing_then,
    what_is_over_is_forgotten,
);

async fn i2_replicas_together_make_no_more_calls_than_a_budget(engine: Engine) {
    let world = Arc::new(Logged::new(engine).await);
    let mut logs = vec![world.log.clone()];
    for seed in 2..4 {
        let ambient: Arc<dyn Ambient> = Arc::new(Ticking::new(seed));
        let limits = EvidenceLimits::default();
        let opened = EvidenceLog::open(Arc::clone(&world.faulty) as _, ambient, limits).await;
        logs.push(opened.unwrap().0);
    }
    let tries: Vec<_> = (0..60)
        .map(|number| {
            let (log, id) = (logs[number % logs.len()].clone(), world.ambient.id());
            tokio::spawn(async move { call(&log, id, vec![count("few", 11, None)]).await })
        })
        .collect();
    let (mut made, mut refused) = (0, 0);
    for tried in tries {
        match tried.await.unwrap() {
            Ok(()) => made += 1,
            Err(EvidenceError::Refused) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((made, refused), (11, 49));
    let tally = world.tally(&count("few", 11, None), world.ambient.now()).await;
    assert!(tally.room(&count("few", 11, None), world.ambient.now()).is_err());
    assert!(tally.room(&count("few", 12, None), world.ambient.now()).is_ok());
}

async fn different_things_count_once_over_all_replicas(engine: Engine) {
    let world = Logged::new(engine).await;
    let touches = |all: &[&str]| vec![count("reach", 2, Some(all))];
    assert!(world.counts(touches(&["a"])).await);
    assert!(world.counts(touches(&["a", "b"])).await);
    assert!(!world.counts(touches(&["c"])).await);
    assert!(!world.counts(touches(&["a", "c"])).await);
    assert!(world.counts(touches(&["b"])).await);
    let now = world.ambient.now();
    let marks = world.store.budget_marks(Digest::of(b"reach"), now).await.unwrap();
    let known: BTreeSet<Mark> = marks.iter().map(|one| one.mark).collect();
    let expected = [b"a", b"b"].map(|name| Mark::Target(Digest::of(name)));
    assert_eq!(known, expected.into());
}

async fn i2_a_call_counts_in_all_of_its_budgets_or_in_none_and_spends_nothing_then(engine: Engine) {
    let world = Logged::new(engine).await;
    let (wide, narrow) = (count("wide", 3, None), count("narrow", 1, None));
    assert!(world.counts(vec![wide.clone(), narrow.clone()]).await);
    assert!(!world.counts(vec![wide.clone(), narrow.clone()]).await);
    // A grant that is not there is not spent either, and then nothing is counted.
    let mut decided = intent(world.ambient.id(), "alice", "release-bot");
    decided.budgets = vec![wide.clone()];
    decided.under.grant = Some(Use { id: world.ambient.id(), spends: true });
    let recorded = world.log.record(Event::Decided(Arc::new(decided)), Durability::Durable);
    assert!(matches!(recorded.await, Err(EvidenceError::Refused)));
    for left in [true, true, false] {
        assert_eq!(world.counts(vec![wide.clone()]).await, left);
    }
}

async fn what_is_over_is_forgotten(engine: Engine) {
    let world = Logged::new(engine).await;
    let short = Count { within_ms: 1, ..count("short", 1, None) };
    // Time goes by with each look at the clock.
    assert!(world.counts(vec![short.clone()]).await);
    let later = world.ambient.now().after_ms(HOUR_MS);
    assert_eq!(world.tally(&short, later).await.room(&short, later), Ok::<(), Spent>(()));
    assert!(world.store.budget_marks(short.key, later).await.unwrap().is_empty());
}
