//! Checking a whole log, one entry after the other: that nothing of it was changed, and that what it says keeps the rules.
//!
//! It trusts nothing but the checkpoints that it is compared with. Of calls whose outcome is known it remembers nothing. It
//! remembers those that are open or whose effect was not known at first, and every writer and approval; and of payloads where
//! they begin and cease to be there. It must not know files, nor who signed what.

mod approvals;
mod calls;
mod entry;
mod indexes;
mod payload;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use thiserror::Error;

use approvals::Approvals;
use calls::Calls;
use indexes::Indexes;
use payload::Payload;

use crate::ambient::Id;
use crate::digest::Digest;
use crate::evidence::{Entry, Kind};
use crate::json::JsonLimits;
use crate::transparency::{Checkpoint, Frontier, leaf_hash};

/// How many calls may be open at one time; and how many calls whose effect was not known at first, writers and approvals
/// there may be in the whole log. More is no log of a gateway.
pub const REMEMBERED_MAX: usize = 1 << 22;

/// How many of the last entries are remembered by their hashes. A writer names the end of the chain before it as it saw
/// it; what others wrote until its own record was stored is less than this.
const RECENT_MAX: usize = 1 << 16;

/// How much one payload may hold.
pub const PAYLOAD_LIMITS: JsonLimits = JsonLimits {
    bytes_max: 16 << 20,
    depth_max: 64,
    nodes_max: 1 << 20,
    string_bytes_max: 16 << 20,
};

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// An entry is canonical JSON of a known form.
    Form,
    /// Each writer's entries follow one another.
    Chain,
    /// A payload is the one whose digest the entry has, and says the same.
    Payload,
    /// A call has an intent before an outcome, and one outcome, which may come late if the call was lost (I1).
    Call,
    /// An approval was asked for and given before it is spent, and is spent by one call, in one or several rounds (I2).
    Approval,
    /// The entries are those that were signed.
    Root,
    /// There is more than can be remembered.
    TooMuch,
}

impl Rule {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Chain => "chain",
            Self::Payload => "payload",
            Self::Call => "call",
            Self::Approval => "approval",
            Self::Root => "root",
            Self::TooMuch => "too_much",
        }
    }
}

/// Where something is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a record.
    Record {
        /// Its place in the log, from 0.
        index: u64,
        /// Whose chain it says to be in, if that can be read.
        writer: Option<Id>,
    },
    /// In the tree over the first records.
    Tree {
        /// How many.
        size: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record { index, writer: Some(writer) } => {
                write!(f, "record {index} of the writer {writer}")
            }
            Self::Record { index, writer: None } => write!(f, "record {index}"),
            Self::Tree { size } => write!(f, "the tree over the first {size} records"),
        }
    }
}

/// The first thing that is wrong with a log.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{place}: expected {expected}, found {found}")]
pub struct Broken {
    /// Where.
    pub place: Place,
    /// Which rule.
    pub rule: Rule,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// A rule that is broken, before it is known where.
#[derive(Debug)]
struct Breach {
    rule: Rule,
    expected: String,
    found: String,
}

impl Breach {
    fn new(rule: Rule, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { rule, expected: expected.into(), found: found.into() }
    }

    fn at(self, place: Place) -> Broken {
        Broken { place, rule: self.rule, expected: self.expected, found: self.found }
    }
}

/// What is known of an entry that keeps the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Its hash in the tree.
    pub leaf: Digest,
    /// The call that it is about.
    pub call: Option<Id>,
}

/// How many payloads are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payloads {
    /// There, and as they were when they were recorded.
    pub whole: u64,
    /// Erased, as a later record says.
    pub erased: u64,
    /// Not there, and no record says why.
    pub absent: u64,
    /// There, although a record says that they were erased.
    pub kept: u64,
}

/// What was found in a log in which nothing is broken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Records.
    pub records: u64,
    /// Writers.
    pub writers: u64,
    /// Intents.
    pub intents: u64,
    /// Outcomes, late ones included.
    pub outcomes: u64,
    /// Intents without an outcome.
    pub open: u64,
    /// The first of them: the call, and the index of its intent.
    pub open_calls: Vec<(Id, u64)>,
    /// Calls of which it is not known whether they took effect, and nobody has settled it.
    pub unsettled: u64,
    /// Approvals that were spent.
    pub approvals_spent: u64,
    /// Payloads.
    pub payloads: Payloads,
}

/// The end of one writer's chain.
#[derive(Clone, Copy, Debug)]
struct Head {
    next: u64,
    hash: Digest,
}

/// Checks a log from its first entry to its last.
#[derive(Debug, Default)]
pub struct Auditor {
    frontier: Frontier,
    writers: BTreeMap<Id, Head>,
    /// The hashes of the last entries.
    recent: VecDeque<Digest>,
    calls: Calls,
    approvals: Approvals,
    whole: Indexes,
    absent: Indexes,
    erased: Indexes,
}

impl Auditor {
    /// At the beginning of a log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries were checked.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Checks the next entry, with its payload if that is there.
    ///
    /// # Errors
    /// [`Broken`] if it breaks a rule. Nothing after it can be checked.
    pub fn entry(&mut self, text: &[u8], payload: Option<&[u8]>) -> Result<Audited, Broken> {
        let index = self.size();
        let place = |writer| Place::Record { index, writer };
        let entry = entry::read(text).map_err(|breach| breach.at(place(None)))?;
        let leaf = leaf_hash(text);
        let checked = self.chain(&entry, leaf).and_then(|()| {
            let payload = payload.map(|text| Payload::read(text, &entry)).transpose()?;
            self.rules(&entry, payload.as_ref())
        });
        checked.map_err(|breach| breach.at(place(Some(entry.writer))))?;
        self.frontier.push(leaf);
        self.recent.push_back(leaf);
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
        Ok(Audited { leaf, call: entry.about.call })
    }

    /// Compares what was checked so far with a checkpoint of as many records.
    ///
    /// # Errors
    /// [`Broken`] if these are not the records that were signed.
    pub fn compare(&self, checkpoint: &Checkpoint) -> Result<(), Broken> {
        let place = Place::Tree { size: self.size() };
        let breach = |expected, found| Breach::new(Rule::Root, expected, found).at(place);
        if checkpoint.size != self.size() {
            let signed = format!("{} records, as was signed", checkpoint.size);
            return Err(breach(signed, self.size().to_string()));
        }
        let root = self.frontier.root();
        if root == checkpoint.root {
            return Ok(());
        }
        Err(breach(format!("the root {}, as was signed", checkpoint.root), root.to_string()))
    }

    /// What was found, after the last entry.
    ///
    /// # Errors
    /// [`Broken`] if these are not the records that `checkpoint` says.
    pub fn finish(self, checkpoint: &Checkpoint) -> Result<Findings, Broken> {
        self.compare(checkpoint)?;
        Ok(self.findings())
    }

    /// What was found so far, whether or not anybody signed it.
    #[must_use]
    pub fn findings(self) -> Findings {
        let erased = self.absent.common(&self.erased);
        let payloads = Payloads {
            whole: self.whole.len(),
            erased,
            absent: self.absent.len() - erased,
            kept: self.whole.common(&self.erased),
        };
        let mut findings = Findings {
            records: self.size(),
            writers: u64::try_from(self.writers.len()).unwrap_or(u64::MAX),
            payloads,
            ..Findings::default()
        };
        self.calls.tell(&mut findings);
        self.approvals.tell(&mut findings);
        findings
    }

    /// A writer's first entry is `opened`; every other names the one before it.
    fn chain(&mut self, entry: &Entry, hash: Digest) -> Result<(), Breach> {
        let head = self.writers.get(&entry.writer).copied();
        let Head { next, hash: before } = head.unwrap_or(Head { next: 0, hash: Digest::default() });
        let breach = |expected: String, found: String| Breach::new(Rule::Chain, expected, found);
        if entry.sequence != next {
            return Err(breach(format!("`sequence` {next}"), entry.sequence.to_string()));
        }
        if entry.previous != before {
            return Err(breach(format!("`previous` {before}"), entry.previous.to_string()));
        }
        if (entry.kind == Kind::Opened) != head.is_none() {
            let expected = if head.is_none() { "`opened` first" } else { "`opened` only first" };
            return Err(breach(expected.to_owned(), entry.kind.as_str().to_owned()));
        }
        bounded(self.writers.len(), "writers")?;
        self.writers.insert(entry.writer, Head { next: next + 1, hash });
        Ok(())
    }

    /// A writer names the one before it and the end of its chain, so that this cannot be cut off any more.
    fn after(&self, payload: Option<&Payload>) -> Result<(), Breach> {
        let Some((writer, head)) = payload.and_then(Payload::after) else { return Ok(()) };
        let is_end = self.writers.get(&writer).is_some_and(|known| known.hash == head);
        if is_end || self.recent.contains(&head) {
            return Ok(());
        }
        let expected = format!("`after` with the end of the chain of {writer}");
        Err(Breach::new(Rule::Chain, expected, format!("{head}, which is not in the log")))
    }

    fn rules(&mut self, entry: &Entry, payload: Option<&Payload>) -> Result<(), Breach> {
        let index = self.size();
        match payload {
            Some(_) => self.whole.insert(index),
            None => self.absent.insert(index),
        }
        for erased in payload.into_iter().flat_map(Payload::erased) {
            let erased = erased?;
            if erased >= index {
                let expected = "the index of an earlier record in `indexes`";
                return Err(Breach::new(Rule::Payload, expected, erased.to_string()));
            }
            self.erased.insert(erased);
        }
        if entry.kind == Kind::Opened {
            self.after(payload)?;
        }
        self.calls.entry(entry, index)?;
        self.approvals.entry(entry, payload)
    }
}

/// Checks one record by itself: that its entry is one, and its payload the one of this entry. `index` is for telling.
///
/// # Errors
/// [`Broken`] if it breaks a rule.
pub fn check_record(index: u64, text: &[u8], payload: Option<&[u8]>) -> Result<(), Broken> {
    let place = |writer| Place::Record { index, writer };
    let entry = entry::read(text).map_err(|breach| breach.at(place(None)))?;
    let payload = payload.map(|text| Payload::read(text, &entry)).transpose();
    payload.map(|_| ()).map_err(|breach| breach.at(place(Some(entry.writer))))
}

/// That one more can be remembered.
fn bounded(remembered: usize, what: &str) -> Result<(), Breach> {
    if remembered < REMEMBERED_MAX {
        return Ok(());
    }
    let expected = format!("at most {REMEMBERED_MAX} {what}");
    Err(Breach::new(Rule::TooMuch, expected, "more"))
}

#[cfg(test)]
mod tests;
