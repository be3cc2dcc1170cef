//! Recorded decisions, one after the other: from the store, or from a file of exported records. There is never more than a page
//! of them in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use callgate_model::ambient::Id;
use callgate_model::evidence::{Recorded, Unreadable};
use callgate_model::json::{Json, JsonLimits, read};
use callgate_store::{Filter, Store};

use crate::cli::Failure;
use crate::cli::replay::Period;
use crate::print::Progress;

/// Records that are read in one go.
const PAGE: u32 = 500;
/// Bytes of a line at most: more than any record has.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// A decision that cannot be read, and of which call it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unread {
    pub(crate) why: Unreadable,
    pub(crate) call: Option<Id>,
}

/// Gives `take` each decision of the period, in the order of the log, or why it cannot be read.
pub(crate) async fn each(
    store: Option<&dyn Store>,
    which: &Period,
    mut take: impl FnMut(Result<Recorded, Unread>),
) -> Result<(), Failure> {
    let mut taken = |record: &Json| match Recorded::read(record) {
        Err(Unreadable::NoDecision) => {}
        Err(why) => {
            let call = record.get("call").and_then(Json::as_str).and_then(Id::parse);
            take(Err(Unread { why, call }));
        }
        Ok(recorded) => {
            let is_late = which.until.is_some_and(|until| recorded.at >= until);
            if !is_late && which.since.is_none_or(|since| recorded.at >= since) {
                take(Ok(recorded));
            }
        }
    };
    match (&which.records, store) {
        (Some(path), _) => from_file(path, taken),
        (None, Some(store)) => from_store(store, which, &mut taken).await,
        (None, None) => Ok(()),
    }
}

async fn from_store(
    store: &dyn Store,
    which: &Period,
    take: &mut impl FnMut(&Json),
) -> Result<(), Failure> {
    // What is recorded meanwhile is for the next time.
    let end = store.size().await?;
    let mut from = end.saturating_sub(which.limit.unwrap_or(u64::MAX));
    let filter = Filter {
        decided: true,
        since: which.since,
        until: which.until,
        limit: Some(PAGE),
        ..Filter::default()
    };
    let mut progress = Progress::new("records looked at");
    while from < end {
        let rows = store.page(&filter, from).await?;
        let Some(last) = rows.last().and_then(|row| row.index) else { return Ok(()) };
        for row in rows.iter().filter(|row| row.index.is_some_and(|index| index < end)) {
            take(&row.record().into());
        }
        from = last + 1;
        progress.tell(from, end);
    }
    Ok(())
}

fn from_file(path: &Path, mut take: impl FnMut(&Json)) -> Result<(), Failure> {
    let place = path.display();
    let failed = |error: io::Error| Failure::Other(format!("{place}: {error}"));
    let mut lines: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).map_err(failed)?))
    };
    let limits = JsonLimits { bytes_max: 16 << 20, ..JsonLimits::default() };
    let (mut line, mut number) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        number += 1;
        let got = (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if got.map_err(failed)? == 0 {
            return Ok(());
        }
        let text = line.trim_ascii();
        if !text.is_empty() {
            let record = read(text, &limits);
            take(&record.map_err(|error| format!("{place}:{number}: no record: {error}"))?);
        }
    }
}
