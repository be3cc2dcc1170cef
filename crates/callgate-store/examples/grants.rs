//! What it costs to find a grant among 10, 1,000 and 1,000,000 that are in force, and to spend a use: it must not grow.
//!
//! `cargo run --release -p callgate-store --features testing --example grants`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_model::ambient::{Ambient as _, Id};
use callgate_model::authority::{Administered, Change, Grant, Holder, Use};
use callgate_model::envelope::Portion;
use callgate_model::evidence::{Chain, Event, Payload};
use callgate_model::target::Resource;
use callgate_store::testing::{Ticking, intent};
use callgate_store::{AuthorityStore as _, EvidenceStore as _, Row, SqliteStore};
use sqlx::ConnectOptions as _;

const SIZES: [u32; 3] = [10, 1_000, 1_000_000];
const LOOKS: usize = 2_000;
const SPENDS: usize = 300;

type Failure = Box<dyn Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut lines = vec![
        "   grants     find p50     find p99   intent p50   intent that spends p50".to_owned(),
    ];
    for size in SIZES {
        lines.push(measure(size).await?);
    }
    // The one thing that this program is for.
    #[expect(clippy::print_stdout, reason = "it prints what it has measured")]
    {
        println!("{}", lines.join("\n"));
    }
    Ok(())
}

async fn measure(size: u32) -> Result<String, Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("grants.db");
    let store = SqliteStore::open(&path).await?;
    let ambient = Ticking::new(1);
    let mut chain = Chain::new(ambient.id());
    let grant = grant(&ambient);
    let (id, key) = (grant.id, grant.holder.key());
    let made = Administered {
        by: "bench".to_owned(),
        change: Change::GrantIssued { grant: Box::new(grant) },
    };
    append(&store, &ambient, &mut chain, &Event::Administered(Arc::new(made))).await?;
    fill(&path, size).await?;

    let (holders, places) = ([key], ["*".to_owned(), "Jira::Project::acme/ENG".to_owned()]);
    let mut finds = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        let begun = Instant::now();
        let found = store.grants_of(&holders, &places, ambient.now()).await?;
        finds.push(begun.elapsed());
        if found.len() != 1 {
            return Err(format!("{} grants were found", found.len()).into());
        }
    }
    let plain = appends(&store, &ambient, &mut chain, None).await?;
    let spending = appends(&store, &ambient, &mut chain, Some(id)).await?;
    let us = |times: &[Duration], share: usize| {
        let index = times.len().saturating_mul(share) / 100;
        times.get(index).copied().unwrap_or_default().as_secs_f64() * 1e6
    };
    finds.sort_unstable();
    Ok(format!(
        "{size:>9} {:>9.1} us {:>9.1} us {:>9.1} us {:>9.1} us",
        us(&finds, 50),
        us(&finds, 99),
        us(&plain, 50),
        us(&spending, 50)
    ))
}

/// The times of so many intents, sorted.
async fn appends(
    store: &SqliteStore,
    ambient: &Ticking,
    chain: &mut Chain,
    spends: Option<Id>,
) -> Result<Vec<Duration>, Failure> {
    let mut times = Vec::with_capacity(SPENDS);
    for _ in 0..SPENDS {
        let mut decided = intent(ambient.id(), "alice", "release-bot");
        decided.under.grant = spends.map(|id| Use { id, spends: true });
        let begun = Instant::now();
        append(store, ambient, chain, &Event::Decided(Arc::new(decided))).await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

async fn append(
    store: &SqliteStore,
    ambient: &Ticking,
    chain: &mut Chain,
    event: &Event,
) -> Result<(), Failure> {
    let row = Row::seal(chain, ambient.now(), event, Payload::new(event, [7; 16]));
    Ok(store.append(&[row]).await?)
}

fn grant(ambient: &Ticking) -> Grant {
    let now = ambient.now();
    Grant {
        id: ambient.id(),
        holder: Holder { agent: Some("release-bot".to_owned()), ..Holder::default() },
        scope: Portion {
            actions: ["write".to_owned()].into(),
            within: [Resource::new("Jira::Project", "acme/ENG")].into(),
            ..Portion::default()
        },
        begins: now,
        ends: now.after_ms(86_400_000),
        uses: 1_000_000,
        reason: "measured".to_owned(),
        ticket: None,
        by: "bench".to_owned(),
        issued: now,
        lifts: None,
    }
}

/// As many others in force, of other holders, and of the same one for other places.
async fn fill(path: &std::path::Path, size: u32) -> Result<(), Failure> {
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await?;
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) ";
    let grants = format!(
        "{numbers} INSERT INTO grants (id, uses_left, begins_ms, ends_ms, text) \
         SELECT printf('%08x-0000-7000-8000-000000000000', i), 1, 0, 4102444800000, '{{}}' FROM n"
    );
    let places = format!(
        "{numbers} INSERT INTO grant_places (holder, place, ends_ms, grant_id) SELECT \
         CASE i % 2 WHEN 0 THEN '[null,null,\"release-bot\"]' ELSE printf('[null,null,\"bot-%d\"]', i) END, \
         printf('Jira::Project::acme/P%d', i), 4102444800000, \
         printf('%08x-0000-7000-8000-000000000000', i) FROM n"
    );
    for statement in [grants, places] {
        let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(size);
        query.execute(&mut connection).await?;
    }
    Ok(())
}
