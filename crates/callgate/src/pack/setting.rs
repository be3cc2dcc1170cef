//! What gateways ran with: the records of their configurations.

use callgate_model::json::Json;

use super::files::Files;
use super::{Period, Seen};
use crate::cli::Failure;
use crate::export::{at, texts};

pub(super) const JSONL: &str = "configurations.jsonl";
/// The most configurations that are kept.
const CONFIGURATIONS_MAX: usize = 1_000;

/// The record of what was in force when the period began, and those of later ones.
#[derive(Debug, Default)]
pub(super) struct Configurations {
    first: Option<Json>,
    later: Vec<Json>,
    pub(super) left_out: u64,
}

impl Configurations {
    pub(super) fn take(&mut self, seen: &Seen<'_>, period: Period) {
        if seen.change() != "configured" || seen.at >= period.to {
            return;
        }
        if !seen.is_inside {
            self.first = Some(seen.record.clone());
        } else if self.later.len() < CONFIGURATIONS_MAX {
            self.later.push(seen.record.clone());
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn write(&self, files: &Files) -> Result<(), Failure> {
        let mut text = String::new();
        for record in self.first.iter().chain(&self.later) {
            text.push_str(&String::from_utf8_lossy(&record.canonical()));
            text.push('\n');
        }
        files.text(JSONL, &text)
    }

    /// How many were begun with in the period.
    pub(super) const fn changes(&self) -> usize {
        self.later.len()
    }

    fn last(&self) -> Option<&Json> {
        self.later.last().or(self.first.as_ref())
    }

    /// Whether nobody knows the last of them: none is recorded, or its content was erased.
    pub(super) fn is_unknown(&self) -> bool {
        self.last().is_none_or(|record| *at(record, "event") == Json::Null)
    }

    /// The settings that weaken safety, of the last configuration.
    pub(super) fn dangers(&self) -> Vec<&str> {
        self.last().map(|record| texts(at(record, "event.setup.dangers"))).unwrap_or_default()
    }

    /// The public keys that the records name.
    pub(super) fn keys(&self) -> Vec<&str> {
        let all = self.first.iter().chain(&self.later);
        let mut keys: Vec<&str> =
            all.flat_map(|record| texts(at(record, "event.setup.keys"))).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The versions of the program.
    pub(super) fn versions(&self) -> Vec<&str> {
        let all = self.first.iter().chain(&self.later);
        let mut all: Vec<&str> =
            all.filter_map(|record| at(record, "event.setup.version").as_str()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}
