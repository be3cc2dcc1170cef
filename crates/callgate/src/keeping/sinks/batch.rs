//! Records that are sent together, and which of them are sent at all.

use std::collections::BTreeSet;

use callgate_model::digest::Digest;
use callgate_model::json::Json;
use callgate_store::{Row, Store, StoreError};

use crate::export::{Exported, Format};
use crate::intents::Intents;

/// Records that are looked at together.
const RECORDS_MAX: u32 = 250;
/// Records that are read together: of long ones not many more than can be sent.
const READ_MAX: u64 = 32;
/// How much they may be, in bytes; one is sent in any case.
const BYTES_MAX: usize = 512 << 10;

/// Which records are sent: of each list that says something, what is in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Kinds of records.
    pub(crate) kinds: BTreeSet<String>,
    /// Of records of calls: how it was decided about them.
    pub(crate) decisions: BTreeSet<String>,
    /// Of records of calls: what they do. Those of which that is not known are always sent.
    pub(crate) effects: BTreeSet<String>,
}

impl Wanted {
    fn wants(&self, one: &One) -> bool {
        let is_in = |list: &BTreeSet<String>, value: &str| list.is_empty() || list.contains(value);
        if !is_in(&self.kinds, &one.kind) {
            return false;
        }
        let decided = match &*one.kind {
            "intent" | "refusal" => &one.record,
            // Whatever else has a call came after an intent.
            "outcome" | "settled" => match &one.intent {
                Some(intent) => intent,
                None => return is_in(&self.decisions, "allow"),
            },
            _ => return true,
        };
        let event = decided.get("event");
        let effect = event.and_then(|event| event.get("understood")?.get("effect")?.as_str());
        let verdict = one.verdict.as_deref().unwrap_or("allow");
        is_in(&self.decisions, verdict) && effect.is_none_or(|effect| is_in(&self.effects, effect))
    }
}

/// One record.
struct One {
    kind: String,
    verdict: Option<String>,
    record: Json,
    /// That of the intent, if it is about what became of a call.
    intent: Option<Json>,
}

/// Some records in the order of the log.
pub(super) struct Batch {
    /// The place of the first that was looked at.
    pub(super) first: u64,
    /// The place after the last.
    pub(super) next: u64,
    /// The hash of the last that is in it.
    pub(super) last: Digest,
    all: Vec<One>,
}

impl Batch {
    /// Those that are wanted from the place `first` on: up to `next`, if that is known from the last time.
    pub(super) async fn read(
        store: &dyn Store,
        wanted: &Wanted,
        first: u64,
        next: Option<u64>,
    ) -> Result<Self, StoreError> {
        let again = next.filter(|next| *next > first);
        let end = again.unwrap_or(first + u64::from(RECORDS_MAX));
        let mut batch = Self { first, next: first, last: Digest::default(), all: Vec::new() };
        let (mut intents, mut bytes) = (Intents::default(), 0_usize);
        while batch.next < end {
            let count = u32::try_from(READ_MAX.min(end - batch.next)).unwrap_or(RECORDS_MAX);
            let rows = store.read(batch.next, count).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                bytes = bytes.saturating_add(row.entry.len() + row.text.len());
                if again.is_none() && bytes > BYTES_MAX && batch.next > first {
                    return Ok(batch);
                }
                batch.next += 1;
                let one = one(store, &row, &mut intents).await?;
                if wanted.wants(&one) {
                    batch.last = row.hash;
                    batch.all.push(one);
                }
            }
        }
        Ok(batch)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn exported(&self) -> impl Iterator<Item = Exported<'_>> {
        self.all.iter().map(|one| Exported { record: &one.record, intent: one.intent.as_ref() })
    }

    /// Each on a line.
    pub(super) fn lines(&self, format: Format) -> String {
        self.exported().fold(String::new(), |mut lines, one| {
            lines.push_str(&format.write(&one));
            lines.push('\n');
            lines
        })
    }
}

async fn one(store: &dyn Store, row: &Row, intents: &mut Intents) -> Result<One, StoreError> {
    let record = row.record();
    if record.get("format").is_none() {
        // It goes out as what is left of it: whoever changes a record must not keep those after it from being seen.
        tracing::error!(index = row.index, hash = %row.hash, "a record is not what was recorded; `callgate evidence verify` says more");
    }
    let record = record.into();
    let intent = intents.beside(store, (&row.kind, row.call), &record).await?;
    Ok(One { kind: row.kind.clone(), verdict: row.verdict.clone(), record, intent })
}
