//! The auditor's pack: a folder that an auditor takes away and can check without us.
//!
//! It is gathered by one pass over the log up to its newest checkpoint; what is remembered on the way has limits by name.
//! What it says of records can be counted again in them; what it says of controls is decided by rules over those numbers
//! (`controls`), never by hope.

mod access;
mod approvals;
mod controls;
mod counts;
mod elsewhere;
mod figures;
mod files;
mod left_out;
mod policies;
mod population;
mod records;
mod report;
mod setting;
mod standing;

use std::path::Path;

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::authority::{Administered, Change, from_text};
use callgate_model::digest::Digest;
use callgate_model::json::Json;
use callgate_model::transparency::{Checkpoint, Verifier};
use callgate_store::{KeptCheckpoint, Row, Store};

use crate::cli::Failure;
use crate::export::text_at;
use crate::privilege::Usage;
use crate::tiles::{self, Payloads, Tiles};
use crate::verification::{Stop, Verification, Verified};

pub(crate) use standing::Standing;

use access::Access;
use approvals::Approvals;
use controls::Frameworks;
use counts::Counts;
use figures::Figures;
use files::{Files, failed};
use policies::Policies;
use population::{Erasures, Sample};
use records::Records;
use setting::Configurations;

/// The most records after the newest checkpoint that are looked at. A gateway signs every few seconds.
const UNSIGNED_MAX: u32 = 10_000;

/// What is to be packed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The folder, which must not be there yet.
    pub(crate) folder: &'a Path,
    pub(crate) period: Period,
    /// How many decisions, and how many changes, are drawn for whoever wants to look at some.
    pub(crate) sample: usize,
    /// By what they are drawn; else by the root of the tree.
    pub(crate) seed: Option<&'a str>,
    pub(crate) now: Timestamp,
}

/// A time: from its beginning, up to its end and not with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Period {
    fn has(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
}

/// What was packed.
pub(crate) struct Packed {
    /// Records of the period.
    pub(crate) records: u64,
    /// Entries of the log.
    pub(crate) entries: u64,
    /// What is wrong with the evidence, if anything is.
    pub(crate) broken: Option<String>,
    /// How many controls are of which status, by its name.
    pub(crate) controls: Vec<(&'static str, usize)>,
}

/// A record as it is read: what its entry says, whatever the columns beside it say.
struct Seen<'a> {
    record: &'a Json,
    event: &'a Json,
    index: u64,
    at: Timestamp,
    kind: &'a str,
    call: Option<Id>,
    /// The approval that it is about, as its entry says.
    approval: Option<Id>,
    /// Whether it is of the period.
    is_inside: bool,
}

impl<'a> Seen<'a> {
    fn of(record: &'a Json, index: u64, period: Period) -> Self {
        let text = |name: &str| text_at(record, name);
        let at = Timestamp::parse(text("at")).unwrap_or_default();
        Self {
            record,
            event: record.get("event").unwrap_or(&Json::Null),
            index,
            at,
            kind: text("kind"),
            call: Id::parse(text("call")),
            approval: Id::parse(text("approval.id")),
            is_inside: period.has(at),
        }
    }

    /// The name of the change; empty, if it is none.
    fn change(&self) -> &'a str {
        text_at(self.record, "change")
    }

    fn is_erased(&self) -> bool {
        *self.event == Json::Null
    }

    /// The change; nothing, if it is none, or its content was erased.
    fn read(&self) -> Option<Change> {
        from_text::<Administered>(&self.event.to_text()).map(|all| all.change)
    }
}

/// What the log is signed as.
struct Signed {
    kept: KeptCheckpoint,
    origin: String,
    root: Digest,
}

/// Everything that is known after the pass.
struct Gathered {
    period: Period,
    made: Timestamp,
    signed: Signed,
    /// Records of the period that are not signed yet, and so not in the pack.
    unsigned: u64,
    /// Records before the period, and after it.
    before: u64,
    after: u64,
    verified: Result<Verified, String>,
    counts: Counts,
    approvals: Approvals,
    access: Access,
    policies: Policies,
    configurations: Configurations,
    erasures: Erasures,
    decisions: Sample,
    changes: Sample,
}

/// Writes the pack.
pub(crate) async fn write(
    store: &dyn Store,
    standing: &mut Standing,
    keys: &[Verifier],
    wanted: &Wanted<'_>,
    tell: impl FnMut(u64, u64),
) -> Result<Packed, Failure> {
    let signed = signed(store, keys).await?;
    let files = Files::make(wanted.folder)?;
    let mut usage = Usage::default();
    let gathered =
        Box::pin(gather(store, keys, wanted, (signed, &files, &mut usage), tell)).await?;
    let Gathered { verified, counts, access, approvals, configurations, .. } = &gathered;
    access.write(&files, gathered.end())?;
    approvals.write(&files)?;
    configurations.write(&files)?;
    standing.look(store, usage, &gathered).await?;
    standing.write(&files)?;
    let proved = population::prove(store, &files, &gathered).await?;
    let figures = Figures::of(&gathered, standing, &proved);
    let left_out = left_out::of(&gathered, &figures, &proved);
    population::write(&files, &gathered, &figures, (&proved, &left_out))?;
    let frameworks = Frameworks::judge(&figures)?;
    frameworks.write(&files)?;
    report::write(&files, &gathered, standing, &figures, &frameworks, (keys, &proved, left_out))?;
    Ok(Packed {
        records: counts.records,
        entries: gathered.signed.kept.size,
        broken: verified.as_ref().err().cloned(),
        controls: frameworks.summary(),
    })
}

/// The newest checkpoint, and what it says.
async fn signed(store: &dyn Store, keys: &[Verifier]) -> Result<Signed, Failure> {
    let kept = tiles::last_checkpoint(store).await?;
    let checkpoint = Checkpoint::verify(&kept.note, keys)
        .map_err(|error| Failure::Other(format!("the newest checkpoint: {error}")))?
        .checkpoint;
    Ok(Signed { kept, origin: checkpoint.origin, root: checkpoint.root })
}

/// The pass over the log.
async fn gather(
    store: &dyn Store,
    keys: &[Verifier],
    wanted: &Wanted<'_>,
    (signed, files, usage): (Signed, &Files, &mut Usage),
    mut tell: impl FnMut(u64, u64),
) -> Result<Gathered, Failure> {
    let Wanted { period, sample, seed, now, .. } = *wanted;
    let size = signed.kept.size;
    let payloads = Payloads { from: Some(period.from), to: Some(period.to) };
    let log = files.path("log");
    let mut tiles = Tiles::begin(&log, payloads).map_err(failed(&log))?;
    let mut records = Records::begin(files)?;
    let mut checks = Checks::Whole(Box::new(Verification::begin(store, keys, size)));
    let seed = seed.map_or(signed.root.as_bytes().as_slice(), str::as_bytes);
    let mut gathered = Gathered {
        period,
        made: now,
        verified: Ok(Verified::default()),
        counts: Counts::default(),
        approvals: Approvals::of(period, now),
        access: Access::of(period),
        policies: Policies::begin(files)?,
        configurations: Configurations::default(),
        erasures: Erasures::default(),
        decisions: Sample::new(seed, sample),
        changes: Sample::new(seed, sample),
        unsigned: 0,
        before: 0,
        after: 0,
        signed,
    };
    let mut place = 0;
    while place < size {
        for row in tiles::read_to(store, place, size).await? {
            let record = Json::from(row.record());
            let seen = Seen::of(&record, place, period);
            checks.take(&row).await?;
            tiles.take(&row).map_err(failed(&log))?;
            if seen.is_inside {
                records.take(store, &seen).await?;
                usage.note(&row, period.from);
            }
            gathered.take(files, &seen)?;
            place += 1;
        }
        tell(place, size);
    }
    gathered.verified = checks.end().await?;
    gathered.unsigned = unsigned(store, size, period).await?;
    records.end()?;
    gathered.policies.end(files)?;
    tiles.end(store, &gathered.signed.kept).await?;
    Ok(gathered)
}

/// How many records of the period are after the newest checkpoint, as far as they are looked at.
async fn unsigned(store: &dyn Store, size: u64, period: Period) -> Result<u64, Failure> {
    let rows = store.read(size, UNSIGNED_MAX).await?;
    let count = rows.iter().filter(|row| period.has(row.at)).count();
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

impl Gathered {
    /// Whether records of the period are still to come, or to be signed.
    fn is_early(&self) -> bool {
        self.made < self.period.to || self.unsigned > 0
    }

    /// The end of the period; a period that is not over ends now.
    fn end(&self) -> Timestamp {
        self.period.to.min(self.made)
    }

    fn take(&mut self, files: &Files, seen: &Seen<'_>) -> Result<(), Failure> {
        self.policies.take(files, seen, self.period)?;
        self.approvals.take(seen);
        self.access.take(seen);
        self.configurations.take(seen, self.period);
        self.before += u64::from(seen.at < self.period.from);
        self.after += u64::from(seen.at >= self.period.to);
        if seen.is_inside {
            self.counts.take(seen);
            self.erasures.take(seen);
            match seen.kind {
                "intent" | "refusal" => self.decisions.take(seen),
                "change" => self.changes.take(seen),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The evidence as it is checked on the way, until something is broken: then all else is packed, and that is said.
enum Checks<'s> {
    Whole(Box<Verification<'s>>),
    Broken(String),
}

impl Checks<'_> {
    async fn take(&mut self, row: &Row) -> Result<(), Failure> {
        let Self::Whole(verification) = self else { return Ok(()) };
        match verification.take(row).await {
            Ok(()) => Ok(()),
            Err(stop) => {
                *self = Self::Broken(broken(stop)?);
                Ok(())
            }
        }
    }

    async fn end(self) -> Result<Result<Verified, String>, Failure> {
        match self {
            Self::Broken(problem) => Ok(Err(problem)),
            Self::Whole(verification) => match verification.end().await {
                Ok(verified) => Ok(Ok(verified)),
                Err(stop) => Ok(Err(broken(stop)?)),
            },
        }
    }
}

fn broken(stop: Stop) -> Result<String, Failure> {
    match stop {
        Stop::Broken(problem) => Ok(problem),
        Stop::Unreadable(error) => Err(error.into()),
    }
}

/// A count as JSON has it.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
