//! Faults, recovery and the grouping of commits.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use callgate_model::authority::{Administered, Change};
use callgate_model::decision::Decision;
use callgate_model::evidence::Decided;
use callgate_model::reason::Reason;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::task::yield_now;

use super::*;
use crate::conformance::{open_calls, verified};
use crate::testing::{Fault, FaultyStore, Ticking, intent, outcome};
use crate::{Filter, SqliteStore};

const LIMITS: EvidenceLimits = EvidenceLimits {
    queue_max: 100,
    batch_max: 64,
    append_timeout: Duration::from_millis(300),
    probe_interval: Duration::from_millis(20),
    linger: Duration::from_millis(1),
};

/// A log over a store in memory that fails as told.
struct Bench {
    store: Arc<FaultyStore>,
    ambient: Arc<Ticking>,
    log: EvidenceLog,
}

impl Bench {
    async fn new() -> Self {
        Self::with(LIMITS).await
    }

    async fn with(limits: EvidenceLimits) -> Self {
        let memory = SqliteStore::open_in_memory().await.unwrap();
        let store = Arc::new(FaultyStore::new(Arc::new(memory)));
        let ambient = Arc::new(Ticking::new(1));
        let (log, _) = Self::open(&store, &ambient, limits).await;
        Self { store, ambient, log }
    }

    async fn open(
        store: &Arc<FaultyStore>,
        ambient: &Arc<Ticking>,
        limits: EvidenceLimits,
    ) -> (EvidenceLog, Recovery) {
        let (store, ambient) = (Arc::clone(store), Arc::clone(ambient));
        EvidenceLog::open(store, ambient, limits).await.unwrap()
    }

    async fn intend(&self, durability: Durability) -> Result<Id, EvidenceError> {
        let call = self.ambient.id();
        self.log.record(decided(call), durability).await.map(|()| call)
    }

    async fn write(&self) -> Result<Id, EvidenceError> {
        self.intend(Durability::Durable).await
    }

    async fn healthy(&self) {
        self.log.health().wait_for(|healthy| *healthy).await.unwrap();
    }

    /// What the store has about a call: the outcome, or the kind of a record without one.
    async fn story(&self, call: Id) -> Vec<String> {
        let rows = self.store.show(call).await.unwrap();
        rows.into_iter().map(|row| row.outcome.unwrap_or(row.kind)).collect()
    }

    /// The chain after everything was written.
    async fn verify(&self) {
        self.log.shutdown().await.unwrap();
        let (writer, head) = self.store.last_chain().await.unwrap().unwrap();
        assert_eq!(verified(&*self.store, writer).await, head);
    }
}

fn decided(call: Id) -> Event {
    Event::Decided(Arc::new(intent(call, "alice", "release-bot")))
}

fn refused(call: Id) -> Event {
    let intent = intent(call, "alice", "release-bot");
    let decision = Decision::deny(Reason::EvidenceUnavailable, intent.decision.bundle);
    Event::Decided(Arc::new(Decided { decision, ..intent }))
}

#[tokio::test]
async fn i1_those_who_wait_share_a_commit() {
    let bench = Bench::new().await;
    let calls = join_all((0..64).map(|_| bench.write())).await;
    assert_eq!(calls.iter().filter(|call| call.is_ok()).count(), 64);
    let counters = bench.log.counters();
    assert_eq!((counters.appended, counters.dropped), (64, 0));
    assert!(counters.batches <= 2, "{counters:?}");
    assert_eq!(bench.store.list(&Filter::default()).await.unwrap().len(), 65);
    bench.verify().await;
}

#[tokio::test]
async fn i1_a_durable_record_is_stored_when_it_is_acknowledged() {
    let bench = Bench::new().await;
    let call = bench.write().await.unwrap();
    assert_eq!(bench.story(call).await, ["intent"]);
    let read = bench.intend(Durability::Queued).await.unwrap();
    assert!(bench.story(read).await.is_empty(), "a queued record was waited for");
    bench.verify().await;
    assert_eq!(bench.story(read).await, ["intent"]);
}

#[tokio::test]
async fn i1_an_append_that_fails_refuses_everybody_who_waited() {
    let bench = Bench::new().await;
    let before = bench.write().await.unwrap();
    bench.store.every(Some(Fault::Fail));
    let refused = join_all((0..10).map(|_| bench.write())).await;
    for refused in refused {
        assert!(matches!(refused, Err(EvidenceError::Store(_))), "{refused:?}");
    }
    assert!(!bench.log.is_healthy());

    bench.store.every(None);
    bench.healthy().await;
    let after = bench.write().await.unwrap();
    bench.verify().await;
    // Nothing refused was stored, and nothing acknowledged was lost.
    assert_eq!(open_calls(&*bench.store).await, [before, after]);
    assert_eq!(bench.store.list(&Filter::default()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn i1_what_happened_is_kept_while_the_store_fails() {
    let bench = Bench::new().await;
    let call = bench.write().await.unwrap();
    let read = bench.intend(Durability::Queued).await.unwrap();
    bench.store.every(Some(Fault::Fail));
    let lost = bench.log.record(outcome(call), Durability::Durable).await;
    assert!(matches!(lost, Err(EvidenceError::Store(_))), "{lost:?}");
    bench.log.record(outcome(read), Durability::Queued).await.unwrap();
    let refused = bench.intend(Durability::Queued).await;
    assert!(matches!(refused, Err(EvidenceError::Failing)), "{refused:?}");

    bench.store.every(None);
    bench.healthy().await;
    bench.verify().await;
    for call in [call, read] {
        assert_eq!(bench.story(call).await, ["intent", "succeeded"]);
    }
    assert_eq!(bench.log.counters().dropped, 0);
}

#[tokio::test]
async fn e01_without_room_what_has_happened_is_stored_and_nothing_else() {
    let bench = Bench::new().await;
    let call = bench.write().await.unwrap();
    let others = join_all((0..50).map(|_| bench.write())).await;
    bench.store.every(Some(Fault::Full));
    // They share a commit that finds no room.
    let read = bench.ambient.id();
    let refusal = bench.ambient.id();
    let queued = [decided(read), refused(refusal)];
    for event in queued {
        bench.log.record(event, Durability::Queued).await.unwrap();
    }
    let concluded = bench.log.record(outcome(call), Durability::Durable);
    let (intended, concluded) = tokio::join!(bench.write(), concluded);
    assert!(intended.unwrap_err().is_full());
    concluded.unwrap();
    // Neither is one refused that comes while the store is found to be full still.
    for other in others {
        bench.log.record(outcome(other.unwrap()), Durability::Durable).await.unwrap();
    }
    assert!(!bench.log.is_healthy());
    assert_eq!(bench.story(call).await, ["intent", "succeeded"]);
    assert_eq!(bench.story(read).await, ["intent"]);

    // For as long as that is so.
    for durability in [Durability::Durable, Durability::Queued] {
        let refused = bench.intend(durability).await;
        assert!(matches!(refused, Err(EvidenceError::Failing)), "{refused:?}");
    }
    bench.log.record(outcome(read), Durability::Durable).await.unwrap();
    tokio::time::sleep(3 * LIMITS.probe_interval).await;
    assert!(!bench.log.is_healthy(), "nothing has shown that there is room");
    assert!(bench.story(refusal).await.is_empty(), "it took room from outcomes");

    bench.store.every(None);
    bench.healthy().await;
    let next = bench.write().await.unwrap();
    bench.verify().await;
    assert_eq!(bench.story(refusal).await, ["refusal"]);
    assert_eq!(open_calls(&*bench.store).await, [next]);
    assert_eq!(bench.log.counters().dropped, 0);
}

#[tokio::test]
async fn i1_a_commit_whose_answer_was_lost_is_a_refusal() {
    let bench = Bench::new().await;
    bench.store.nth(1, Fault::FailAfterCommit);
    let call = bench.ambient.id();
    let refused = bench.log.record(decided(call), Durability::Durable).await;
    assert!(matches!(refused, Err(EvidenceError::Store(_))), "{refused:?}");
    bench.healthy().await;
    let next = bench.write().await.unwrap();
    bench.verify().await;
    assert_eq!(bench.story(call).await, ["intent", "not_dispatched"]);
    assert_eq!(bench.story(next).await, ["intent"]);
}

#[tokio::test]
async fn e03_a_store_that_hangs_is_an_error_in_time() {
    let bench = Bench::new().await;
    bench.store.every(Some(Fault::Hang));
    let begun = Instant::now();
    let refused = join_all((0..3).map(|_| bench.write())).await;
    let waited = begun.elapsed();
    for refused in refused {
        assert!(matches!(refused, Err(EvidenceError::Timeout)), "{refused:?}");
    }
    assert!(waited >= LIMITS.append_timeout && waited < 10 * LIMITS.append_timeout, "{waited:?}");
    assert!(!bench.log.is_healthy());
    // It hangs still, and nobody waits for it.
    let begun = Instant::now();
    assert!(matches!(bench.write().await, Err(EvidenceError::Failing)));
    assert!(begun.elapsed() < LIMITS.append_timeout);

    bench.store.every(None);
    bench.healthy().await;
    let call = bench.write().await.unwrap();
    bench.verify().await;
    assert_eq!(bench.store.list(&Filter::default()).await.unwrap().len(), 2);
    assert_eq!(open_calls(&*bench.store).await, [call]);
}

#[tokio::test]
async fn i13_a_full_queue_refuses() {
    let bench = Bench::with(EvidenceLimits { queue_max: 3, ..LIMITS }).await;
    // The writer is another task of this thread and gets no turn before the last of these.
    let results = join_all((0..5).map(|_| bench.intend(Durability::Queued))).await;
    let full = results.iter().filter(|r| matches!(r, Err(EvidenceError::Full))).count();
    assert_eq!((full, results.iter().filter(|r| r.is_ok()).count()), (2, 3));
    assert_eq!(bench.log.counters().dropped, 2);
    bench.verify().await;
    assert_eq!(bench.log.counters().appended, 3);
}

#[tokio::test]
async fn i13_a_store_that_fails_for_long_costs_records_not_memory() {
    let bench = Bench::with(EvidenceLimits { queue_max: 3, batch_max: 2, ..LIMITS }).await;
    let calls =
        [bench.write().await, bench.write().await, bench.write().await, bench.write().await];
    bench.store.every(Some(Fault::Fail));
    for (index, call) in (1..).zip(calls.map(Result::unwrap)) {
        assert!(bench.log.record(outcome(call), Durability::Durable).await.is_err());
        assert_eq!(bench.log.counters().dropped, u64::from(index > 3));
    }
    bench.store.every(None);
    bench.healthy().await;
    bench.verify().await;
    assert_eq!(bench.log.counters().appended, 4 + 3);
}

#[tokio::test]
async fn i13_what_became_of_calls_is_given_up_last() {
    let bench = Bench::with(EvidenceLimits { queue_max: 3, batch_max: 1, ..LIMITS }).await;
    let call = bench.write().await.unwrap();
    bench.store.every(Some(Fault::Fail));
    for _ in 0..3 {
        bench.log.record(refused(bench.ambient.id()), Durability::Durable).await.unwrap_err();
    }
    bench.log.record(outcome(call), Durability::Durable).await.unwrap_err();
    assert_eq!(bench.log.counters().dropped, 1);
    bench.store.every(None);
    bench.healthy().await;
    bench.verify().await;
    assert_eq!(bench.story(call).await, ["intent", "succeeded"]);
}

/// An erasure that takes too long would take too long again, and nothing else could be recorded.
#[tokio::test]
async fn i13_an_erasure_that_failed_does_not_stand_in_the_way() {
    let bench = Bench::new().await;
    bench.write().await.unwrap();
    bench.store.every(Some(Fault::Fail));
    let change = Change::PayloadsErased { indexes: vec![1], reason: "asked for".to_owned() };
    let change = Event::Administered(Arc::new(Administered { by: "dora".to_owned(), change }));
    bench.log.record(change, Durability::Durable).await.unwrap_err();
    bench.store.every(None);
    bench.healthy().await;
    bench.verify().await;
    let rows = bench.store.list(&Filter::default()).await.unwrap();
    assert!(rows.iter().all(|row| row.kind != "change" && !row.text.is_empty()), "{rows:?}");
}

#[tokio::test]
async fn a_record_outlives_who_asked_for_it() {
    let bench = Bench::new().await;
    let call = bench.ambient.id();
    // Polled once, then dropped.
    let answer = bench.log.record(decided(call), Durability::Durable).now_or_never();
    assert!(answer.is_none());
    let concluded = async {
        while bench.story(call).await.len() < 2 {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), concluded).await.unwrap();
    assert_eq!(bench.story(call).await, ["intent", "not_dispatched"]);
    bench.verify().await;
}

#[tokio::test]
async fn a_closed_log_refuses() {
    let bench = Bench::new().await;
    bench.verify().await;
    for durability in [Durability::Durable, Durability::Queued] {
        let refused = bench.intend(durability).await;
        assert!(matches!(refused, Err(EvidenceError::Closed)), "{refused:?}");
    }
    assert!(matches!(bench.log.shutdown().await, Err(EvidenceError::Closed)));
}

#[tokio::test]
async fn a_shutdown_that_loses_records_says_so() {
    let bench = Bench::new().await;
    bench.store.every(Some(Fault::Fail));
    bench.intend(Durability::Queued).await.unwrap();
    assert!(matches!(bench.log.shutdown().await, Err(EvidenceError::Store(_))));
    assert_eq!(bench.log.counters().dropped, 1);
}

#[tokio::test]
async fn e04_a_start_settles_what_a_stop_left_open() {
    let bench = Bench::new().await;
    let open = bench.write().await.unwrap();
    let concluded = bench.write().await.unwrap();
    bench.log.record(outcome(concluded), Durability::Durable).await.unwrap();
    let Bench { store, ambient, log } = bench;
    let (first, _) = store.last_chain().await.unwrap().unwrap();
    drop(log);

    let (log, recovery) = Bench::open(&store, &ambient, LIMITS).await;
    assert_eq!(recovery.indeterminate, [open]);
    assert!(open_calls(&*store).await.is_empty(), "not durable when it answered");
    let bench = Bench { store, ambient, log };
    assert_eq!(bench.story(open).await, ["intent", "indeterminate"]);
    assert_eq!(bench.story(concluded).await, ["intent", "succeeded"]);
    // The new chain names the head of the old one.
    let (second, _) = bench.store.last_chain().await.unwrap().unwrap();
    assert_eq!(bench.store.writers().await.unwrap(), [first, second]);
    let rows = bench.store.read(0, 100).await.unwrap();
    let opened = &rows.iter().find(|row| row.writer == second).unwrap().text;
    assert!(opened.contains(&verified(&*bench.store, first).await.to_string()), "{opened}");
    bench.verify().await;
}

/// Names the database to the process that the next test kills.
const KILLED_DATABASE: &str = "CALLGATE_TEST_KILLED_DATABASE";

/// Records until it is killed, and says what was acknowledged.
async fn record_until_killed(path: &str) {
    let store = Arc::new(SqliteStore::open(path).await.unwrap());
    let ambient = Arc::new(Ticking::new(7));
    let log = EvidenceLog::open(store, Arc::<Ticking>::clone(&ambient), LIMITS).await.unwrap().0;
    let log = Arc::new(log);
    let tasks = (0..16).map(|index| {
        let (log, ambient) = (Arc::clone(&log), Arc::clone(&ambient));
        tokio::spawn(async move {
            loop {
                let call = ambient.id();
                log.record(decided(call), Durability::Durable).await.unwrap();
                println!("\nintent {call}");
                if index % 2 == 0 {
                    log.record(outcome(call), Durability::Durable).await.unwrap();
                    println!("\noutcome {call}");
                }
            }
        })
    });
    join_all(tasks.collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "a test has no configuration to be told by")]
async fn i1_kill_9_loses_nothing_acknowledged() {
    // It runs itself once more, to be killed.
    if let Ok(path) = std::env::var(KILLED_DATABASE) {
        return record_until_killed(&path).await;
    }
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("evidence.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "log::tests::i1_kill_9_loses_nothing_acknowledged", "--nocapture"])
        .env(KILLED_DATABASE, &path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acknowledged = Vec::new();
    for line in lines {
        // A last line that was cut off does not parse.
        if let Some((kind, call)) = line.split_once(' ')
            && let Some(call) = Id::parse(call)
        {
            acknowledged.push((kind.to_owned(), call));
        }
        if acknowledged.len() == 200 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged.len() >= 200, "the child ended by itself");

    let store = Arc::new(SqliteStore::open(&path).await.unwrap());
    let (killed, _) = store.last_chain().await.unwrap().unwrap();
    verified(&*store, killed).await;
    let shared = Arc::<SqliteStore>::clone(&store);
    let (log, recovery) =
        EvidenceLog::open(shared, Arc::new(Ticking::new(8)), LIMITS).await.unwrap();
    assert!(!recovery.indeterminate.is_empty());
    for (kind, call) in acknowledged {
        let rows = store.show(call).await.unwrap();
        let story: Vec<&str> =
            rows.iter().map(|row| row.outcome.as_deref().unwrap_or(&row.kind)).collect();
        let concluded = kind == "outcome" || story == ["intent", "succeeded"];
        let expected = if concluded { "succeeded" } else { "indeterminate" };
        assert_eq!(story, ["intent", expected], "{kind} {call}");
    }
    log.shutdown().await.unwrap();
    let (writer, head) = store.last_chain().await.unwrap().unwrap();
    assert_eq!(verified(&*store, writer).await, head);
}

#[tokio::test]
async fn with_a_good_batch_at_hand_nothing_lingers() {
    let limits = EvidenceLimits { linger: Duration::from_secs(3600), batch_max: 8, ..LIMITS };
    let bench = Bench::with(limits).await;
    for round in 1..=5 {
        for _ in 0..8 {
            bench.intend(Durability::Queued).await.unwrap();
        }
        let stored = async {
            while bench.log.counters().appended < round * 8 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(Duration::from_secs(5), stored).await.expect("it lingers");
    }
    bench.verify().await;
}
