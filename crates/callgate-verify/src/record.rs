//! One record: what it says, and the proof that it is in the log, which needs nothing but the log's key to be checked.

use std::path::Path as FilePath;

use callgate_model::digest::Digest;
use callgate_model::evidence::audit::check_record;
use callgate_model::evidence::record;
use callgate_model::json::{Json, JsonLimits, Object, read};
use callgate_model::transparency::{
    Checkpoint, CheckpointError, PROOF_BYTES_MAX, Path, Proof, Signed, Tile, leaf_hash,
    verify_inclusion,
};

use crate::broken::{Broken, Stop};
use crate::export::Export;
use crate::verify::{Trust, Witnessed, witnessed};

/// A record that was read: its entry, and its payload if that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the log.
    pub index: u64,
    entry: Object,
    payload: Option<Json>,
}

/// A proof that holds.
#[derive(Clone, Debug)]
pub struct Proven {
    /// The record.
    pub record: Record,
    /// The checkpoint that it is under.
    pub signed: Signed,
    /// Each witness that was asked for.
    pub witnesses: Vec<Witnessed>,
}

impl Record {
    /// The record of an entry and a payload that were checked.
    pub(crate) fn read(index: u64, entry: &[u8], payload: Option<&[u8]>) -> Option<Self> {
        let json = |text: &[u8]| read(text, &JsonLimits::of_bytes(text.len())).ok();
        let Json::Object(entry) = json(entry)? else { return None };
        Some(Self { index, entry, payload: payload.and_then(json) })
    }

    /// All that it says, as one object.
    #[must_use]
    pub fn to_json(&self) -> Json {
        record(self.entry.clone(), self.payload.as_ref(), self.hash(), Some(self.index)).into()
    }

    /// In a few words: what it is, when, and of which call.
    #[must_use]
    pub fn summary(&self) -> String {
        let text = |name| self.entry.get(name).and_then(Json::as_str);
        let mut words = format!("record {}: {}", self.index, text("kind").unwrap_or_default());
        for name in ["change", "outcome"] {
            words.extend(text(name).into_iter().flat_map(|value| [" ", value]));
        }
        words.extend(text("call").into_iter().flat_map(|call| [" of the call ", call]));
        words.extend(text("at").into_iter().flat_map(|at| [" at ", at]));
        let event = |path: &[&str]| {
            let event = self.payload.as_ref().and_then(|payload| payload.get("event"));
            path.iter().try_fold(event?, |json, name| json.get(name)).and_then(Json::as_str)
        };
        for (word, path) in [
            (", by ", &["caller", "accountable", "id"][..]),
            (" via ", &["caller", "agent", "id"]),
            (", to ", &["server"]),
            ("/", &["tool"]),
            (": ", &["decision", "verdict"]),
        ] {
            words.extend(event(path).into_iter().flat_map(|value| [word, value]));
        }
        if self.payload.is_none() {
            words.push_str(" (its payload is not there)");
        }
        words
    }

    fn hash(&self) -> Digest {
        leaf_hash(&self.entry.canonical())
    }

    /// What is told beside a proof of it.
    fn extra(&self) -> Vec<u8> {
        let extra = Object::default().with("entry", self.entry.clone());
        extra.with("payload", self.payload.clone()).canonical()
    }

    /// What was told beside a proof, as [`Self::extra`] writes it and in no other way, with the texts of entry and payload.
    fn from_extra(index: u64, extra: &[u8]) -> Option<(Self, Vec<u8>, Option<Vec<u8>>)> {
        let json = read(extra, &JsonLimits::of_bytes(extra.len())).ok()?;
        let entry = json.get("entry")?.as_object()?.clone();
        let payload = Some(json.get("payload")?).filter(|payload| **payload != Json::Null).cloned();
        let (text, beside) = (entry.canonical(), payload.as_ref().map(Json::canonical));
        let record = Self { index, entry, payload };
        (record.extra() == extra).then_some((record, text, beside))
    }
}

/// The proof that a record is in the log, out of an export that was verified.
///
/// # Errors
/// [`Stop`] if the export is not as it was any more.
pub fn prove(folder: &FilePath, record: &Record, signed: &Signed) -> Result<Proof, Stop> {
    let (export, size) = (Export::in_folder(folder), signed.checkpoint.size);
    let none = || Stop::Unreadable(format!("there is no record {}", record.index));
    let path = Path::inclusion(record.index, size).ok_or_else(none)?;
    let hashes = path.prove(|subtree| {
        let tile = Tile::with(subtree, size).ok_or_else(none)?;
        tile.hash(&export.tile(tile)?, subtree).ok_or_else(none)
    })?;
    let checkpoint = signed.note.to_string();
    let proof = Proof { extra: Some(record.extra()), index: record.index, hashes, checkpoint };
    // The files may be others than those that were verified a moment ago.
    holds(&proof, &record.hash(), &signed.checkpoint).map(|()| proof)
}

/// Checks a proof alone.
///
/// # Errors
/// [`Stop::Broken`] if it shows nothing, [`Stop::Unreadable`] if it is none.
pub fn verify_proof(text: &str, trust: &Trust) -> Result<Proven, Stop> {
    let proof = Proof::parse(text).map_err(|error| Stop::Unreadable(error.to_string()))?;
    let signed = Checkpoint::verify(&proof.checkpoint, &trust.keys).map_err(|error| {
        let expected = match error {
            CheckpointError::Note(_) => "a checkpoint that is signed by one of the keys given",
            CheckpointError::Malformed | CheckpointError::OfAnotherLog { .. } => "a checkpoint",
        };
        Broken::file("the proof", expected, error.to_string())
    })?;
    let extra = proof.extra.as_deref().and_then(|extra| Record::from_extra(proof.index, extra));
    let (record, entry, payload) = extra.ok_or_else(|| {
        Stop::Unreadable(
            "the proof does not say which record it is of: `extra` has no entry".to_owned(),
        )
    })?;
    holds(&proof, &record.hash(), &signed.checkpoint)?;
    check_record(proof.index, &entry, payload.as_deref())?;
    let witnesses = witnessed("the proof", &signed, trust)?;
    Ok(Proven { record, signed, witnesses })
}

fn holds(proof: &Proof, leaf: &Digest, checkpoint: &Checkpoint) -> Result<(), Stop> {
    let (index, size, root) = (proof.index, checkpoint.size, &checkpoint.root);
    verify_inclusion(leaf, index, size, &proof.hashes, root)
        .map_err(|error| Broken::Proof { index, error }.into())
}

/// Longest proof that is read, in bytes.
pub(crate) const BYTES_MAX: usize = PROOF_BYTES_MAX;
