//! The one pass over an export: every entry with its payload, every tile, every checkpoint.
//!
//! What is in memory at one time is a bundle, a payload and a few tiles, and what the auditor has to remember.

use std::path::{Path, PathBuf};

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::digest::Digest;
use callgate_model::evidence::audit::{Auditor, Findings, Place, Rule};
use callgate_model::transparency::{
    Checkpoint, Signed, TILE_WIDTH, Tile, Tiling, Verifier, Witness, leaf_hash,
};

use crate::broken::{Broken, Stop};
use crate::export::{self, CHECKPOINT, Checkpoints, Export, Payloads};
use crate::record::Record;

/// Most records of one call that are shown.
const RECORDS_SHOWN_MAX: usize = 1_000;

/// Whom to trust.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The keys of the log.
    pub keys: Vec<Verifier>,
    /// Witnesses that have to have cosigned.
    pub witnesses: Vec<Witness>,
}

/// Which records to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// None.
    #[default]
    Nothing,
    /// That of this index.
    Record(u64),
    /// Those of this call.
    Call(Id),
}

/// What a witness has cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnessed {
    /// Its name.
    pub name: String,
    /// The size of the largest checkpoint that it cosigned, and when.
    pub last: Option<(u64, Timestamp)>,
}

/// What is known of an export in which nothing is broken.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its latest checkpoint.
    pub signed: Signed,
    /// How many checkpoints of the export agree.
    pub checkpoints: u64,
    /// How many that were noted before agree.
    pub against: usize,
    /// Each witness that was asked for.
    pub witnesses: Vec<Witnessed>,
    /// What is in the log.
    pub findings: Findings,
    /// The records that were wanted.
    pub records: Vec<Record>,
}

impl Report {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let found = &self.findings;
        let missing = [found.open, found.unsettled, found.payloads.absent];
        missing == [0; 3] && self.witnesses.iter().all(|witness| witness.last.is_some())
    }
}

/// Checks all of an export, and that it goes on from each of the checkpoints in the files `against`.
///
/// # Errors
/// [`Stop::Broken`] at the first broken place, [`Stop::Unreadable`] if it cannot be told.
pub fn verify(
    folder: &Path,
    trust: &Trust,
    against: &[PathBuf],
    wanted: Wanted,
) -> Result<Report, Stop> {
    let export = Export::in_folder(folder);
    let signed = export.checkpoint(&trust.keys)?;
    let size = signed.checkpoint.size;
    let noted = noted(against, &signed, trust)?;
    let mut walk = Walk {
        trust,
        wanted,
        noted: &noted,
        auditor: Auditor::new(),
        tiling: Tiling::default(),
        payloads: export.payloads()?,
        history: History::begin(&export, &signed, trust)?,
        records: Vec::new(),
    };
    walk.compare()?;
    for tile in Tile::of_level(0, size) {
        walk.bundle(&export, tile)?;
    }
    walk.end(&export, signed, noted.len())
}

/// The checkpoints that were noted before, the smallest first. Each must be one that this log can go on from.
fn noted<'a>(
    against: &'a [PathBuf],
    signed: &Signed,
    trust: &Trust,
) -> Result<Vec<(&'a Path, Checkpoint)>, Stop> {
    let (mut noted, now) = (Vec::new(), &signed.checkpoint);
    for path in against {
        for before in export::noted(path, &trust.keys)? {
            let (name, origin) = (path.display().to_string(), &before.origin);
            if *origin != now.origin {
                let other = format!("{name} is of the log {origin}, the export of {}", now.origin);
                return Err(Stop::Unreadable(other));
            }
            if before.size > now.size {
                let (before, size) = (before.size, now.size);
                return Err(Broken::CutOff { path: name, before, size }.into());
            }
            noted.push((path.as_path(), before));
        }
    }
    noted.sort_by_key(|(_, before)| before.size);
    Ok(noted)
}

struct Walk<'a> {
    trust: &'a Trust,
    wanted: Wanted,
    /// What was noted before and is still to come.
    noted: &'a [(&'a Path, Checkpoint)],
    auditor: Auditor,
    tiling: Tiling,
    payloads: Payloads,
    history: History,
    records: Vec<Record>,
}

impl Walk<'_> {
    fn bundle(&mut self, export: &Export, tile: Tile) -> Result<(), Stop> {
        let bundle = export.bundle(tile)?;
        let bytes = export.tile(tile)?;
        let width = format!("{} hashes", tile.width);
        let other = || Broken::file(&tile.path(), width, format!("{} bytes", bytes.len()));
        let hashes = tile.hashes(&bytes).ok_or_else(other)?;
        let first = tile.index * TILE_WIDTH;
        for ((index, entry), hash) in (first..).zip(bundle.entries()?).zip(hashes) {
            self.entry(export, tile, (index, entry), hash)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        export: &Export,
        tile: Tile,
        (index, entry): (u64, &[u8]),
        hash: Digest,
    ) -> Result<(), Stop> {
        let found = leaf_hash(entry);
        if found != hash {
            let (path, expected) = (
                tile.bundle_path(),
                format!("the hash {hash} of record {index}, as {} has it", tile.path()),
            );
            let found = found.to_string();
            return Err(Broken::File { path, index: Some(index), expected, found }.into());
        }
        let payload = self.payloads.of(index)?;
        let audited = self.auditor.entry(entry, payload.as_deref())?;
        let mut broken = None;
        self.tiling.push(audited.leaf, |tile, bytes| {
            broken = broken.take().or(compare_tile(export, tile, bytes).err());
        });
        broken.map_or(Ok(()), Err)?;
        let is_wanted = match self.wanted {
            Wanted::Nothing => false,
            Wanted::Record(wanted) => wanted == index,
            Wanted::Call(wanted) => audited.call == Some(wanted),
        };
        if is_wanted && self.records.len() < RECORDS_SHOWN_MAX {
            self.records.extend(Record::read(index, entry, payload.as_deref()));
        }
        self.compare()
    }

    /// Compares the tree as it is now with every checkpoint over as many records.
    fn compare(&mut self) -> Result<(), Stop> {
        let size = self.auditor.size();
        while let Some((first, rest)) = self.noted.split_first()
            && first.1.size == size
        {
            let (path, before) = first;
            self.auditor.compare(before).map_err(|broken| Broken::Rewritten {
                path: path.display().to_string(),
                size,
                expected: broken.expected,
                found: broken.found,
            })?;
            self.noted = rest;
        }
        while let Some(next) = self.history.next.take_if(|next| next.checkpoint.size == size) {
            self.auditor.compare(&next.checkpoint)?;
            self.history.pass(next, self.trust)?;
        }
        Ok(())
    }

    fn end(self, export: &Export, signed: Signed, against: usize) -> Result<Report, Stop> {
        let mut broken = None;
        self.tiling.rest(|tile, bytes| {
            broken = broken.take().or(compare_tile(export, tile, bytes).err());
        });
        broken.map_or(Ok(()), Err)?;
        self.payloads.end(signed.checkpoint.size)?;
        let findings = self.auditor.finish(&signed.checkpoint)?;
        let witnesses = self.history.witnesses.clone();
        let checkpoints = self.history.end(&signed)?;
        Ok(Report { signed, checkpoints, against, witnesses, findings, records: self.records })
    }
}

/// Compares a tile with its file.
fn compare_tile(export: &Export, tile: Tile, bytes: &[u8]) -> Result<(), Stop> {
    // Those of level 0 were compared hash by hash.
    if tile.level == 0 || export.tile(tile)? == bytes {
        return Ok(());
    }
    let expected = "the hashes of the entries";
    Err(Broken::file(&tile.path(), expected, "others").into())
}

/// All checkpoints of the export, as the walk comes to them.
struct History {
    checkpoints: Checkpoints,
    /// The one that is compared next.
    next: Option<Signed>,
    compared: u64,
    last: u64,
    witnesses: Vec<Witnessed>,
}

impl History {
    fn begin(export: &Export, latest: &Signed, trust: &Trust) -> Result<Self, Stop> {
        let mut history = Self {
            checkpoints: export.checkpoints()?,
            next: None,
            compared: 0,
            last: 0,
            witnesses: witnessed(CHECKPOINT, latest, trust)?,
        };
        history.next = history.checkpoints.next(&trust.keys)?;
        Ok(history)
    }

    /// Goes on after one that was compared.
    fn pass(&mut self, compared: Signed, trust: &Trust) -> Result<(), Stop> {
        self.witness(&self.checkpoints.here(), &compared, trust)?;
        (self.compared, self.last) = (self.compared + 1, compared.checkpoint.size);
        self.next = self.checkpoints.next(&trust.keys)?;
        let origin = compared.checkpoint.origin;
        match &self.next {
            Some(next) if next.checkpoint.size < self.last || next.checkpoint.origin != origin => {
                let expected =
                    format!("a checkpoint of {origin} over {} records or more", self.last);
                let found = format!("{} over {}", next.checkpoint.origin, next.checkpoint.size);
                Err(Broken::file(&self.checkpoints.here(), expected, found).into())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn witness(&mut self, path: &str, signed: &Signed, trust: &Trust) -> Result<(), Stop> {
        for (known, now) in self.witnesses.iter_mut().zip(witnessed(path, signed, trust)?) {
            known.last = known.last.max(now.last);
        }
        Ok(())
    }

    /// The latest has to be the last of them. Tells how many there are.
    fn end(self, latest: &Signed) -> Result<u64, Stop> {
        let size = latest.checkpoint.size;
        if let Some(next) = self.next {
            let expected =
                format!("no checkpoint after the one over {size} records, which is the last");
            let found = format!("one over {}: the end was cut off", next.checkpoint.size);
            return Err(Broken::file(&self.checkpoints.here(), expected, found).into());
        }
        if self.compared == 0 || self.last != size {
            let expected = format!("the latest checkpoint, over {size} records, as the last");
            return Err(Broken::file(&self.checkpoints.here(), expected, "another").into());
        }
        Ok(self.compared)
    }
}

/// What each witness says of one checkpoint.
pub(crate) fn witnessed(
    path: &str,
    signed: &Signed,
    trust: &Trust,
) -> Result<Vec<Witnessed>, Stop> {
    let one = |witness: &Witness| {
        let time = witness.cosigned(&signed.note).map_err(|error| {
            let expected = format!("a cosignature by {}", witness.name());
            Stop::from(Broken::file(path, expected, error.to_string()))
        })?;
        let last = time.map(|seconds| {
            let at = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000);
            (signed.checkpoint.size, Timestamp::from_unix_ms(at))
        });
        Ok(Witnessed { name: witness.name().to_owned(), last })
    };
    trust.witnesses.iter().map(one).collect()
}

/// Where a log is broken, as it is told in JSON: the record, the writer and the rule, as far as it is about them.
pub(crate) fn place(broken: &Broken) -> (Option<u64>, Option<Id>, &'static str) {
    match broken {
        Broken::Log(log) => match log.place {
            Place::Record { index, writer } => (Some(index), writer, log.rule.as_str()),
            Place::Tree { .. } => (None, None, log.rule.as_str()),
        },
        Broken::File { index, .. } => (*index, None, "file"),
        Broken::CutOff { .. } => (None, None, "cut_off"),
        Broken::Rewritten { .. } => (None, None, "rewritten"),
        Broken::Proof { index, .. } => (Some(*index), None, Rule::Root.as_str()),
    }
}
