//! `callgate evidence erase`: what records say of somebody is erased, and that it was recorded stays proved.

use std::collections::BTreeSet;

use callgate_model::ambient::Id;
use callgate_model::authority::Change;
use callgate_model::evidence::Link;
use callgate_store::{EvidenceStore as _, Filter, SqliteStore};

use crate::cli::Failure;
use crate::cli::evidence::Erase;
use crate::commands::evidence::{open_with, unreadable};
use crate::commands::office::Office;
use crate::print;

/// Records that are erased by one change.
const TOGETHER_MAX: usize = 2_000;

pub(super) async fn run(options: &Erase) -> Result<(), Failure> {
    let subject = options.subject.as_str();
    if options.reason.contains(subject) {
        return Err("the reason is recorded: it must not say who it is".into());
    }
    let indexes = records_of(&open_with(&options.config).await?, subject).await?;
    if indexes.is_empty() {
        return Err("no record says anything of them; names are compared exactly".into());
    }
    let count = indexes.len();
    if !options.yes {
        print::line(&format!("{count} records; with `--yes` what they say is erased"));
        return Ok(());
    }
    let changes = indexes.chunks(TOGETHER_MAX).map(|some| Change::PayloadsErased {
        indexes: some.to_vec(),
        reason: options.reason.clone(),
    });
    Office::open(&options.config).await?.change_all(changes.collect()).await?;
    print::line(&format!(
        "{count} records say nothing any more; copies elsewhere are yours to find"
    ));
    Ok(())
}

/// The places of the records of whatever they did, approved, or was about them, with all records of their calls.
async fn records_of(store: &SqliteStore, subject: &str) -> Result<Vec<u64>, Failure> {
    let mut found = BTreeSet::new();
    let mut calls: BTreeSet<Id> = BTreeSet::new();
    for link in [Link::Human, Link::By] {
        let mut filter = Filter::default().with(link, Some(subject.to_owned()));
        loop {
            let rows = store.list(&filter).await.map_err(unreadable)?;
            let Some(last) = rows.last() else { break };
            let before = found.len();
            found.extend(rows.iter().filter_map(|row| row.index));
            calls.extend(rows.iter().filter_map(|row| row.call));
            if found.len() == before && filter.until == Some(last.at) {
                break;
            }
            // Those of the same moment are read again.
            filter.until =
                Some(last.at.after_ms(u64::from(filter.until != Some(last.at.after_ms(1)))));
        }
    }
    for call in calls {
        let rows = store.show(call).await.map_err(unreadable)?;
        found.extend(rows.iter().filter_map(|row| row.index));
    }
    Ok(found.into_iter().collect())
}
