//! How much evidence the log takes: records a second, and processor time a record.
//!
//! `cargo run --release -p callgate-store --features testing --example throughput [DIRECTORY]`
#![expect(clippy::print_stdout, reason = "its purpose")]

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_model::ambient::Ambient as _;
use callgate_model::evidence::{Event, Payload};
use callgate_store::testing::{Ticking, intent};
use callgate_store::{
    Durability, EvidenceError, EvidenceLimits, EvidenceLog, EvidenceStore, SqliteStore,
};
use futures_util::future::join_all;
use tempfile::TempDir;

const RECORDS: usize = 40_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("on the path of a call: {:.1} µs of processor time/record", path_of_a_call());
    let directory = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    for (concurrent, durability) in [
        (1, Durability::Durable),
        (16, Durability::Durable),
        (64, Durability::Durable),
        (64, Durability::Queued),
    ] {
        let records = if concurrent == 1 { RECORDS / 100 } else { RECORDS };
        measure(&TempDir::new_in(&directory)?, records, concurrent, durability).await?;
    }
    Ok(())
}

/// What whoever records spends, in microseconds: the text of the record and its digest. The rest is done by the writer's task
/// and the database's thread.
fn path_of_a_call() -> f64 {
    let ambient = Ticking::new(1);
    let events: Vec<Event> = (0..RECORDS)
        .map(|_| Event::Decided(Arc::new(intent(ambient.id(), "alice", "release-bot"))))
        .collect();
    let begun = Instant::now();
    for event in &events {
        std::hint::black_box(Payload::new(event, ambient.random()));
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(RECORDS).unwrap_or(u32::MAX))
}

async fn measure(
    directory: &TempDir,
    records: usize,
    concurrent: usize,
    durability: Durability,
) -> Result<(), Box<dyn Error>> {
    let store = Arc::new(SqliteStore::open(directory.path().join("evidence.db")).await?);
    let ambient = Arc::new(Ticking::new(1));
    let shared: Arc<dyn EvidenceStore> = Arc::<SqliteStore>::clone(&store);
    let limits = EvidenceLimits::default();
    let (log, _) = EvidenceLog::open(shared, Arc::<Ticking>::clone(&ambient), limits).await?;
    let log = Arc::new(log);
    // Dealt out in the order of their ids, which is the order in which they will be recorded, as it is of real calls.
    let mut events: Vec<Vec<Event>> = (0..concurrent).map(|_| Vec::new()).collect();
    for _round in 0..records / concurrent {
        for task in &mut events {
            task.push(Event::Decided(Arc::new(intent(ambient.id(), "alice", "release-bot"))));
        }
    }

    let (begun, before) = (Instant::now(), processor_time());
    let tasks =
        events.into_iter().map(|events| tokio::spawn(record(Arc::clone(&log), events, durability)));
    for task in join_all(tasks).await {
        task??;
    }
    log.shutdown().await?;
    let (took, spent) = (begun.elapsed(), processor_time().saturating_sub(before));

    let counters = log.counters();
    let count = counters.appended;
    println!(
        "{durability:?}, {concurrent} at a time: {:.0} records/s, {:.1} records/commit, {:.1} µs of processor time/record",
        f64::from(u32::try_from(count)?) / took.as_secs_f64(),
        f64::from(u32::try_from(count)?) / f64::from(u32::try_from(counters.batches)?),
        spent.as_secs_f64() * 1e6 / f64::from(u32::try_from(count)?),
    );
    Ok(())
}

async fn record(
    log: Arc<EvidenceLog>,
    events: Vec<Event>,
    durability: Durability,
) -> Result<(), EvidenceError> {
    for event in events {
        log.record(event, durability).await?;
        if durability == Durability::Queued {
            // About 6,000 a second: a queue that overflows would be another measurement.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// The processor time of this process; zero where there is no `/proc`.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    // The fields `utime` and `stime`, in hundredths of a second.
    let ticks =
        after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
