//! The records of the period, as they are and as a table.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};

use callgate_model::ambient::Id;
use callgate_model::json::Json;
use callgate_store::{EvidenceStore as _, SqliteStore};

use super::Seen;
use super::files::Files;
use crate::cli::Failure;
use crate::export::{Exported, Format};

pub(super) const JSONL: &str = "records/records.jsonl";
pub(super) const CSV: &str = "records/records.csv";

/// Intents that are remembered until their outcomes come; those of others are looked up.
const INTENTS_MAX: usize = 1_000;

/// Them, as they are written.
pub(super) struct Records {
    jsonl: BufWriter<File>,
    csv: BufWriter<File>,
    intents: HashMap<Id, Json>,
}

impl Records {
    pub(super) fn begin(files: &Files) -> Result<Self, Failure> {
        let mut csv = files.file(CSV)?;
        if let Some(header) = Format::Csv.header() {
            writeln!(csv, "{header}").map_err(unwritten)?;
        }
        Ok(Self { jsonl: files.file(JSONL)?, csv, intents: HashMap::new() })
    }

    pub(super) async fn take(
        &mut self,
        store: &SqliteStore,
        seen: &Seen<'_>,
    ) -> Result<(), Failure> {
        let intent = match seen.call.filter(|_| matches!(seen.kind, "outcome" | "settled")) {
            None => None,
            Some(call) => match self.intents.remove(&call) {
                None => intent_of(store, call).await?,
                known => known,
            },
        };
        let exported = Exported { record: seen.record, intent: intent.as_ref() };
        let written = writeln!(self.jsonl, "{}", Format::Jsonl.write(&exported))
            .and_then(|()| writeln!(self.csv, "{}", Format::Csv.write(&exported)));
        written.map_err(unwritten)?;
        if let Some(call) = seen.call.filter(|_| seen.kind == "intent") {
            if self.intents.len() >= INTENTS_MAX {
                self.intents.clear();
            }
            self.intents.insert(call, seen.record.clone());
        }
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

/// The intent of a call, which stands further up in the log.
async fn intent_of(store: &SqliteStore, call: Id) -> Result<Option<Json>, Failure> {
    let rows = store.show(call).await;
    let rows = rows.map_err(|error| format!("the evidence cannot be read: {error}"))?;
    Ok(rows.iter().find(|row| row.kind == "intent").map(|row| row.record().into()))
}
