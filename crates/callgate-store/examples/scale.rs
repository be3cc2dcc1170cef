//! What evidence costs when there is much of it: looking for a target, the checkpoint, the start; by the number of records.
//!
//! `cargo run --release -p callgate-store --features testing --example scale [RECORDS,RECORDS,…] [DIRECTORY]`
#![expect(clippy::print_stdout, reason = "its purpose")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_model::ambient::Ambient as _;
use callgate_model::evidence::{Chain, Event, Link, Payload};
use callgate_model::json::Json;
use callgate_model::target::{Located, Resource, Target};
use callgate_model::transparency::Signer;
use callgate_store::testing::{Ticking, intent, outcome};
use callgate_store::{
    Checkpoints, EvidenceLimits, EvidenceLog, EvidenceStore as _, Filter, Row, SqliteStore,
    TreeStore as _,
};
use tempfile::TempDir;

/// Records of a transaction.
const TOGETHER: u64 = 1_024;
/// Issues that calls are about, of one project.
const ISSUES: u64 = 50_000;
/// How often something is looked for.
const LOOKS: u32 = 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let sizes = arguments.next().unwrap_or_else(|| "10000,100000,1000000".to_owned());
    let directory = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    println!(
        "records, written/s, by target, by target and denied, nothing, newest 50, checkpoint, start"
    );
    for size in sizes.split(',') {
        let folder = TempDir::new_in(&directory)?;
        measure(&folder.path().join("evidence.db"), size.trim().parse()?).await?;
    }
    Ok(())
}

async fn measure(path: &Path, records: u64) -> Result<(), Box<dyn Error>> {
    let store = Arc::new(SqliteStore::open(path).await?);
    let ambient = Arc::new(Ticking::new(1));
    let written = fill(&store, &ambient, records).await?;

    let with = |value: &str| Filter {
        limit: Some(50),
        decided: true,
        ..Filter::default().with(Link::Target, Some(value.to_owned()))
    };
    let denied = with("acme/ENG-7").with(Link::Verdict, Some("deny".to_owned()));
    let newest = Filter { limit: Some(50), decided: true, ..Filter::default() };
    let looks = [with("acme/ENG-7"), denied, with("acme/ENG-none"), newest];
    let mut found = Vec::new();
    for filter in &looks {
        let begun = Instant::now();
        for _ in 0..LOOKS {
            store.list(filter).await?;
        }
        found.push(begun.elapsed() / LOOKS);
    }

    let signers = vec![Signer::new("bench.example/log", &[1; 32])?];
    let shared = Arc::clone(&store);
    let checkpoints = Checkpoints::new(shared, Arc::<Ticking>::clone(&ambient), signers);
    let begun = Instant::now();
    checkpoints.make().await?;
    let checkpoint = begun.elapsed();
    assert_eq!(store.last_checkpoint().await?.map(|last| last.size), Some(records));
    drop((checkpoints, store));

    let begun = Instant::now();
    let store = Arc::new(SqliteStore::open(path).await?);
    let opened = EvidenceLog::open(store, ambient, EvidenceLimits::default());
    let (log, _) = opened.await?;
    let start = begun.elapsed();
    log.shutdown().await?;

    let found: Vec<String> = found.into_iter().map(told).collect();
    let rate = f64::from(u32::try_from(records)?) / written.as_secs_f64();
    println!("{records}, {rate:.0}, {}, {}, {}", found.join(", "), told(checkpoint), told(start));
    Ok(())
}

/// Calls and their outcomes, of which each hundredth is denied.
async fn fill(
    store: &SqliteStore,
    ambient: &Ticking,
    records: u64,
) -> Result<Duration, Box<dyn Error>> {
    let mut chain = Chain::new(ambient.id());
    let begun = Instant::now();
    let mut done = 0;
    while done < records {
        let count = TOGETHER.min(records - done);
        let mut rows = Vec::new();
        let mut call = ambient.id();
        for index in done..done + count {
            let event = if index % 2 == 0 {
                call = ambient.id();
                asked(call, index)
            } else {
                outcome(call)
            };
            let payload = Payload::new(&event, ambient.random());
            rows.push(Row::seal(&mut chain, ambient.now(), &event, payload));
        }
        store.append(&rows).await?;
        done += count;
    }
    Ok(begun.elapsed())
}

fn asked(call: callgate_model::ambient::Id, index: u64) -> Event {
    let mut decided = intent(call, &format!("user-{}", index % 500), "release-bot");
    decided.arguments = Json::Null;
    if let Some(understood) = &mut decided.understood {
        understood.targets = vec![Target::Located(Located {
            resource: Resource::new("Jira::Issue", format!("acme/ENG-{}", index / 2 % ISSUES)),
            containers: vec![Resource::new("Jira::Project", "acme/ENG")],
        })];
    }
    Event::Decided(Arc::new(decided))
}

fn told(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
