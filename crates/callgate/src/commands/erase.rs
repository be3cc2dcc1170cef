//! `callgate evidence erase`: what records say of somebody is erased, and that it was recorded stays proved.

use std::collections::BTreeSet;

use callgate_model::authority::Change;
use callgate_model::evidence::Link;
use callgate_model::products::gateway::ACCOUNT;
use callgate_store::{ERASED_TOGETHER_MAX, Filter, Store};

use crate::cli::Failure;
use crate::cli::evidence::Erase;
use crate::commands::evidence::open_with;
use crate::commands::office::Office;
use crate::print;

pub(super) async fn run(options: &Erase) -> Result<(), Failure> {
    let subject = options.subject.as_str();
    if options.reason.contains(subject) {
        return Err("the reason is recorded: it must not say who it is".into());
    }
    let indexes = records_of(&*open_with(&options.config).await?, subject).await?;
    if indexes.is_empty() {
        return Err("no record says anything of them; names are compared exactly".into());
    }
    let count = indexes.len();
    if !options.yes {
        print::line(&format!("{count} records; with `--yes` what they say is erased"));
        return Ok(());
    }
    let changes = indexes.chunks(ERASED_TOGETHER_MAX as usize).map(|some| Change::PayloadsErased {
        indexes: some.to_vec(),
        reason: options.reason.clone(),
    });
    Office::open(&options.config).await?.change_all(changes.collect()).await?;
    print::line(&format!(
        "{count} records say nothing any more; copies elsewhere are yours to find"
    ));
    Ok(())
}

/// The places of the records of whatever they did, approved, or was about them, and of what came of it.
async fn records_of(store: &dyn Store, subject: &str) -> Result<Vec<u64>, Failure> {
    let mut found = BTreeSet::new();
    let account = format!("{ACCOUNT}::{subject}");
    for (link, value) in [(Link::Human, subject), (Link::By, subject), (Link::Target, &account)] {
        let filter = Filter::default().with(link, Some(value.to_owned()));
        let mut from = 0;
        loop {
            let rows = store.page(&filter, from).await?;
            let Some(last) = rows.last().and_then(|row| row.index) else { break };
            found.extend(rows.iter().filter_map(|row| row.index));
            from = last + 1;
        }
    }
    Ok(found.into_iter().collect())
}
