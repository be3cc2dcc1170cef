//! How many there are of everything, with proof that these are all; and some of them, drawn by a rule that anybody can repeat.

use std::collections::BTreeMap;

use callgate_model::digest::{Digest, hex};
use callgate_model::json::{JsonLimits, Object, read};
use callgate_model::transparency::{Path, Proof, verify_inclusion};
use callgate_store::{Row, Store, prove as prove_path, unsettled_calls};

use super::figures::Figures;
use super::files::Files;
use super::left_out::{self, LeftOut};
use super::{Gathered, Seen, number};
use crate::cli::Failure;
use crate::export::{at, text_at};

pub(super) const JSON: &str = "population.json";
/// The most erasures, and calls, that are listed one by one.
const LISTED_MAX: usize = 1_000;

/// Those records whose numbers are drawn: of all, the ones with the smallest SHA-256 of seed and index.
#[derive(Debug)]
pub(super) struct Sample {
    seed: Vec<u8>,
    count: usize,
    drawn: BTreeMap<Digest, u64>,
}

/// What was erased in the period.
#[derive(Debug, Default)]
pub(super) struct Erasures {
    /// Records, over all that was erased.
    pub(super) records: u64,
    all: Vec<Object>,
    pub(super) left_out: u64,
}

/// What was proved.
#[derive(Default)]
pub(super) struct Proved {
    proofs: Vec<Object>,
    pub(super) open: Vec<Object>,
    pub(super) unsettled: Vec<Object>,
}

impl Sample {
    pub(super) fn new(seed: &[u8], count: usize) -> Self {
        Self { seed: seed.to_owned(), count, drawn: BTreeMap::new() }
    }

    pub(super) fn take(&mut self, seen: &Seen<'_>) {
        let mut bytes = self.seed.clone();
        bytes.extend(seen.index.to_be_bytes());
        self.drawn.insert(Digest::of(&bytes), seen.index);
        if self.drawn.len() > self.count {
            self.drawn.pop_last();
        }
    }

    /// Whether nobody has said by what they are drawn.
    pub(super) fn is_of_root(&self, gathered: &Gathered) -> bool {
        self.seed == gathered.signed.root.as_bytes()
    }

    /// Their indexes, in the order in which they were drawn.
    pub(super) fn indexes(&self) -> Vec<u64> {
        self.drawn.values().copied().collect()
    }
}

impl Erasures {
    pub(super) fn take(&mut self, seen: &Seen<'_>) {
        if seen.change() != "payloads_erased" {
            return;
        }
        let records = at(seen.event, "indexes").as_array().unwrap_or_default().len();
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.records += records;
        if self.all.len() >= LISTED_MAX {
            self.left_out += 1;
            return;
        }
        let erased = Object::default()
            .with("at", seen.at.to_string())
            .with("by", text_at(seen.event, "by"))
            .with("index", number(seen.index))
            .with("reason", text_at(seen.event, "reason"))
            .with("records", number(records));
        self.all.push(erased);
    }
}

/// Proves the first and the last record of the period and those that were drawn, and looks for calls that are not over.
pub(super) async fn prove(
    store: &dyn Store,
    files: &Files,
    gathered: &Gathered,
) -> Result<Proved, Failure> {
    let counts = &gathered.counts;
    let ends = counts.first.into_iter().chain(counts.last).map(|(index, _)| index);
    let drawn = [gathered.decisions.indexes(), gathered.changes.indexes()].concat();
    let mut indexes: Vec<u64> = ends.chain(drawn).collect();
    indexes.sort_unstable();
    indexes.dedup();
    let mut proofs = Vec::new();
    for index in indexes {
        proofs.push(one(store, files, gathered, index).await?);
    }
    let mut open = Vec::new();
    if let Ok(verified) = &gathered.verified {
        for (_, index) in &verified.findings.open_calls {
            let rows = store.read(*index, 1).await?;
            open.extend(rows.first().map(|row| told(row, row)));
        }
    }
    let limit = u32::try_from(LISTED_MAX).unwrap_or(u32::MAX);
    let unsettled = unsettled_calls(store, true, limit).await?;
    let unsettled = unsettled.iter().map(|(intent, outcome)| told(intent, outcome)).collect();
    Ok(Proved { proofs, open, unsettled })
}

/// Writes the proof of one record, which `callgate-verify --proof` checks.
async fn one(
    store: &dyn Store,
    files: &Files,
    gathered: &Gathered,
    index: u64,
) -> Result<Object, Failure> {
    let (kept, root) = (&gathered.signed.kept, &gathered.signed.root);
    let path = Path::inclusion(index, kept.size).ok_or("a record is beyond the checkpoint")?;
    let hashes = prove_path(store, &path).await?;
    let rows = store.read(index, 1).await?;
    let row = rows.first().ok_or("a record is not there any more")?;
    if verify_inclusion(&row.hash, index, kept.size, &hashes, root).is_err()
        && gathered.verified.is_ok()
    {
        return Err(format!("record {index} is not in the tree that was signed").into());
    }
    let json = |text: &str| read(text.as_bytes(), &JsonLimits::of_bytes(text.len())).ok();
    let extra = Object::default().with("entry", json(&row.entry)).with("payload", json(&row.text));
    let proof =
        Proof { extra: Some(extra.canonical()), index, hashes, checkpoint: kept.note.clone() };
    let file = format!("proofs/{index}.tlog-proof");
    files.text(&file, &proof.to_string())?;
    let about = Object::default()
        .with("index", number(index))
        .with("at", row.at.to_string())
        .with("kind", row.kind.as_str())
        .with("hash", row.hash.to_string())
        .with("proof", file);
    Ok(about)
}

/// A call that is not over.
fn told(intent: &Row, last: &Row) -> Object {
    let event = intent.event();
    let text = |path: &str| text_at(&event, path).to_owned();
    Object::default()
        .with("call", intent.call.map(|call| call.to_string()))
        .with("at", intent.at.to_string())
        .with("index", intent.index.map(number))
        .with("human", text("caller.accountable.id"))
        .with("agent", text("caller.agent.id"))
        .with("operation", text("understood.operation"))
        .with("effect", text("understood.effect"))
        .with("outcome", last.outcome.clone())
}

/// Writes all of it.
pub(super) fn write(
    files: &Files,
    gathered: &Gathered,
    figures: &Figures,
    (proved, left_out): (&Proved, &[LeftOut]),
) -> Result<(), Failure> {
    let Gathered { period, made, signed, counts, erasures, .. } = gathered;
    let place = |place: Option<(u64, _)>| place.map(|(index, _)| number(index));
    let period = Object::default()
        .with("from", period.from.to_string())
        .with("to", period.to.to_string())
        .with("signed_at", signed.kept.at.to_string())
        .with("is_over", *made >= period.to)
        .with("records_unsigned", number(gathered.unsigned));
    let log = Object::default()
        .with("origin", signed.origin.as_str())
        .with("size", number(signed.kept.size))
        .with("root", signed.root.to_string())
        .with("verdict", if gathered.verified.is_ok() { "whole" } else { "broken" })
        .with("problem", gathered.verified.as_ref().err().cloned());
    let population = Object::default()
        .with("records", number(counts.records))
        .with("first_index", place(counts.first))
        .with("last_index", place(counts.last))
        .with("kinds", counts.kinds.to_json())
        .with("changes", counts.changes.to_json())
        .with("decisions", counts.decisions.to_json())
        .with("effects", counts.effects.to_json())
        .with("outcomes", counts.outcomes.to_json())
        .with("denied_by_reason", counts.reasons.to_json());
    let erased = Object::default()
        .with("records_of_the_period", number(counts.erased))
        .with("erased_in_the_period", number(erasures.records))
        .with("by", erasures.all.clone());
    let whole = Object::default()
        .with("format", 1_i64)
        .with("made", made.to_string())
        .with("period", period)
        .with("log", log)
        .with("population", population)
        .with("sample", sample(gathered))
        .with("proofs", proved.proofs.clone())
        .with("open", proved.open.clone())
        .with("unsettled", proved.unsettled.clone())
        .with("erased", erased)
        .with("left_out", left_out::to_json(left_out))
        .with("figures", figures.to_json());
    files.json(JSON, &whole)
}

fn sample(gathered: &Gathered) -> Object {
    let indexes =
        |sample: &Sample| -> Vec<i64> { sample.indexes().into_iter().map(number).collect() };
    let rule = "of all records of the sort, those with the smallest SHA-256 over the seed and the index (8 bytes, the highest first)";
    Object::default()
        .with("rule", rule)
        .with("seed", hex(&gathered.decisions.seed))
        .with("is_of_the_root", gathered.decisions.is_of_root(gathered))
        .with("decisions", indexes(&gathered.decisions))
        .with("changes", indexes(&gathered.changes))
}
