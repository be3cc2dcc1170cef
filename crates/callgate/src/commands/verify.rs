//! `callgate evidence verify`: the evidence in the store, checked as `callgate-verify` checks an export.

use std::collections::VecDeque;

use callgate_model::evidence::audit::{Auditor, Findings};
use callgate_model::json::{Json, Object};
use callgate_model::transparency::{Checkpoint, Verifier};
use callgate_store::{EvidenceStore as _, KeptCheckpoint, SqliteStore, StoreError, TreeStore as _};

use crate::cli::{Check, Failure};
use crate::{keeping, print};

/// Records, and checkpoints, that are read in one go.
const PAGE: u32 = 1_000;

/// What is known of evidence in which nothing is broken.
#[derive(Default)]
struct Verified {
    findings: Findings,
    /// How many checkpoints there are, and how many records the last of them is about.
    checkpoints: u64,
    signed: u64,
}

/// Why there is no such thing.
enum Stop {
    Broken(String),
    Unreadable(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Unreadable(error)
    }
}

pub(super) async fn run(options: &Check) -> Result<(), Failure> {
    let config = options.config.load()?;
    let keys = keeping::verifiers(&config)?;
    let store = super::evidence::open(&config).await?;
    let (told, json) = match verify(&store, &keys).await {
        Ok(verified) => (in_words(&verified), as_json(&verified)),
        Err(Stop::Broken(problem)) => (
            vec![format!("BROKEN: {problem}")],
            Object::default().with("verdict", "broken").with("problem", problem),
        ),
        Err(Stop::Unreadable(error)) => {
            return Err(Failure::Other(format!("the evidence cannot be read: {error}")));
        }
    };
    let is_broken = json.get("verdict").and_then(Json::as_str) == Some("broken");
    if options.json {
        print::json(&json.into());
    } else {
        told.iter().for_each(|line| print::line(&print::safe(line)));
    }
    if is_broken { Err(Failure::No) } else { Ok(()) }
}

async fn verify(store: &SqliteStore, keys: &[Verifier]) -> Result<Verified, Stop> {
    let mut progress = print::Progress::new("records");
    let mut checkpoints = Signed::begin(store, keys);
    let (mut auditor, mut verified) = (Auditor::new(), Verified::default());
    let size = store.size().await?;
    loop {
        let rows = store.read(auditor.size(), PAGE).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let payload = Some(row.text.as_bytes()).filter(|text| !text.is_empty());
            let checked = auditor.entry(row.entry.as_bytes(), payload);
            let checked = checked.map_err(|broken| Stop::Broken(broken.to_string()))?;
            if checked.leaf != row.hash {
                let index = auditor.size() - 1;
                return Err(Stop::Broken(format!(
                    "record {index}: expected the hash {}, found {}",
                    checked.leaf, row.hash
                )));
            }
            if let Some(checkpoint) = checkpoints.at(auditor.size()).await? {
                let compared = auditor.compare(&checkpoint);
                compared.map_err(|broken| Stop::Broken(broken.to_string()))?;
                verified.checkpoints += 1;
                verified.signed = checkpoint.size;
            }
        }
        progress.tell(auditor.size(), size);
    }
    if let Some(beyond) = checkpoints.next().await? {
        return Err(Stop::Broken(format!(
            "{} records were signed and there are {}: the end was cut off",
            beyond.size,
            auditor.size()
        )));
    }
    verified.findings = auditor.findings();
    Ok(verified)
}

/// The checkpoints of a store in order, as far as they are signed.
struct Signed<'s> {
    store: &'s SqliteStore,
    keys: &'s [Verifier],
    /// Those that were read and not yet compared.
    read: VecDeque<KeptCheckpoint>,
    from: u64,
}

impl<'s> Signed<'s> {
    const fn begin(store: &'s SqliteStore, keys: &'s [Verifier]) -> Self {
        Self { store, keys, read: VecDeque::new(), from: 0 }
    }

    async fn next(&mut self) -> Result<Option<&KeptCheckpoint>, Stop> {
        if self.read.is_empty() {
            self.read = self.store.checkpoints(self.from, PAGE).await?.into();
            self.from = self.read.back().map_or(self.from, |last| last.size + 1);
        }
        Ok(self.read.front())
    }

    /// The one of that many records, if there is one.
    async fn at(&mut self, size: u64) -> Result<Option<Checkpoint>, Stop> {
        if self.next().await?.is_none_or(|next| next.size != size) {
            return Ok(None);
        }
        let Some(kept) = self.read.pop_front() else { return Ok(None) };
        match Checkpoint::verify(&kept.note, self.keys) {
            Ok(signed) => Ok(Some(signed.checkpoint)),
            Err(error) => Err(Stop::Broken(format!("the checkpoint of {size} records: {error}"))),
        }
    }
}

fn in_words(verified: &Verified) -> Vec<String> {
    let Verified { findings, checkpoints, signed } = verified;
    let payloads = findings.payloads;
    let mut words = vec![
        format!(
            "ok: {} records of {} writers, each after the one before it, and as it was recorded",
            findings.records, findings.writers
        ),
        format!(
            "{checkpoints} checkpoints, the last one of {signed} records, are of these records"
        ),
        format!(
            "{} intents, {} outcomes, {} calls on their way, {} to be settled; {} approvals spent once each",
            findings.intents,
            findings.outcomes,
            findings.open,
            findings.unsettled,
            findings.approvals_spent
        ),
    ];
    if payloads.erased + payloads.absent > 0 {
        words.push(format!(
            "{} payloads were erased as a record says, {} are missing without one",
            payloads.erased, payloads.absent
        ));
    }
    words
}

fn as_json(verified: &Verified) -> Object {
    let Verified { findings, checkpoints, signed } = verified;
    let numbers = [
        ("records", findings.records),
        ("writers", findings.writers),
        ("checkpoints", *checkpoints),
        ("signed", *signed),
        ("intents", findings.intents),
        ("outcomes", findings.outcomes),
        ("open", findings.open),
        ("unsettled", findings.unsettled),
        ("approvals_spent", findings.approvals_spent),
        ("payloads_erased", findings.payloads.erased),
        ("payloads_absent", findings.payloads.absent),
    ];
    let verdict = Object::default().with("verdict", "ok");
    numbers.into_iter().fold(verdict, |all, (name, number)| {
        all.with(name, i64::try_from(number).unwrap_or(i64::MAX))
    })
}
