//! The records of the period, as they are and as a table.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};

use callgate_store::Store;

use super::Seen;
use super::files::Files;
use crate::cli::Failure;
use crate::export::{Exported, Format};
use crate::intents::Intents;

pub(super) const JSONL: &str = "records/records.jsonl";
pub(super) const CSV: &str = "records/records.csv";

/// Them, as they are written.
pub(super) struct Records {
    jsonl: BufWriter<File>,
    csv: BufWriter<File>,
    intents: Intents,
}

impl Records {
    pub(super) fn begin(files: &Files) -> Result<Self, Failure> {
        let mut csv = files.file(CSV)?;
        if let Some(header) = Format::Csv.header() {
            writeln!(csv, "{header}").map_err(unwritten)?;
        }
        Ok(Self { jsonl: files.file(JSONL)?, csv, intents: Intents::default() })
    }

    pub(super) async fn take(&mut self, store: &dyn Store, seen: &Seen<'_>) -> Result<(), Failure> {
        let intent = self.intents.beside(store, (seen.kind, seen.call), seen.record).await?;
        let exported = Exported { record: seen.record, intent: intent.as_ref() };
        let written = writeln!(self.jsonl, "{}", Format::Jsonl.write(&exported))
            .and_then(|()| writeln!(self.csv, "{}", Format::Csv.write(&exported)));
        written.map_err(unwritten)?;
        Ok(())
    }

    pub(super) fn end(mut self) -> Result<(), Failure> {
        self.jsonl.flush().and_then(|()| self.csv.flush()).map_err(unwritten)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an error is mapped with")]
fn unwritten(error: io::Error) -> Failure {
    Failure::Other(format!("records cannot be written: {error}"))
}
