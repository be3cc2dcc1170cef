//! Checking the evidence in a store record by record, as `callgate-verify` checks an export.

use std::collections::VecDeque;

use callgate_model::evidence::audit::{Auditor, Findings};
use callgate_model::transparency::{Checkpoint, Verifier};
use callgate_store::{KeptCheckpoint, Row, Store, StoreError};

/// Checkpoints that are read in one go.
const PAGE: u32 = 1_000;

/// What is known of evidence in which nothing is broken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verified {
    pub(crate) findings: Findings,
    /// How many checkpoints there are, and how many records the last of them is about.
    pub(crate) checkpoints: u64,
    pub(crate) signed: u64,
}

/// Why there is no such thing.
pub(crate) enum Stop {
    Broken(String),
    Unreadable(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Unreadable(error)
    }
}

/// Evidence that is being checked.
pub(crate) struct Verification<'s> {
    auditor: Auditor,
    checkpoints: Signed<'s>,
    verified: Verified,
}

impl<'s> Verification<'s> {
    /// From the first record of `store` on, against its checkpoints of at most `records` records.
    pub(crate) fn begin(store: &'s dyn Store, keys: &'s [Verifier], records: u64) -> Self {
        let checkpoints = Signed { store, keys, records, read: VecDeque::new(), from: 0 };
        Self { auditor: Auditor::new(), checkpoints, verified: Verified::default() }
    }

    /// How many records were checked.
    pub(crate) const fn size(&self) -> u64 {
        self.auditor.size()
    }

    /// Checks the next record, and whether it is as it was signed.
    pub(crate) async fn take(&mut self, row: &Row) -> Result<(), Stop> {
        let payload = Some(row.text.as_bytes()).filter(|text| !text.is_empty());
        let checked = self.auditor.entry(row.entry.as_bytes(), payload);
        let checked = checked.map_err(|broken| Stop::Broken(broken.to_string()))?;
        if checked.leaf != row.hash {
            let index = self.size() - 1;
            let (expected, found) = (checked.leaf, row.hash);
            let text = format!("record {index}: expected the hash {expected}, found {found}");
            return Err(Stop::Broken(text));
        }
        if let Some(checkpoint) = self.checkpoints.at(self.auditor.size()).await? {
            let compared = self.auditor.compare(&checkpoint);
            compared.map_err(|broken| Stop::Broken(broken.to_string()))?;
            self.verified.checkpoints += 1;
            self.verified.signed = checkpoint.size;
        }
        Ok(())
    }

    /// After the last record: nothing more was signed.
    pub(crate) async fn end(mut self) -> Result<Verified, Stop> {
        let signed = self.checkpoints.next().await?.map(|beyond| beyond.size);
        // What a gateway has recorded and signed meanwhile is for the next time.
        let size = self.checkpoints.store.size().await?;
        if let Some(signed) = signed.filter(|signed| size < *signed) {
            return Err(Stop::Broken(format!(
                "{signed} records were signed and there are {size}: the end was cut off"
            )));
        }
        self.verified.findings = self.auditor.findings();
        Ok(self.verified)
    }
}

/// The checkpoints of a store in order, as far as they are signed.
struct Signed<'s> {
    store: &'s dyn Store,
    keys: &'s [Verifier],
    /// What is signed of more records is not looked at.
    records: u64,
    /// Those that were read and not yet compared.
    read: VecDeque<KeptCheckpoint>,
    from: u64,
}

impl Signed<'_> {
    async fn next(&mut self) -> Result<Option<&KeptCheckpoint>, Stop> {
        if self.read.is_empty() {
            self.read = self.store.checkpoints(self.from, PAGE).await?.into();
            self.from = self.read.back().map_or(self.from, |last| last.size + 1);
        }
        Ok(self.read.front().filter(|next| next.size <= self.records))
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
