//! The policies that were in force, with their texts: at the beginning of the period, and after each change.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use callgate_model::ambient::Timestamp;
use callgate_model::json::Json;

use super::files::{Files, Table};
use super::{Period, Seen};
use crate::cli::Failure;
use crate::export::{at, text_at};

pub(super) const CSV: &str = "policies.csv";
/// The changes that are told one by one in the report; the table has all.
pub(super) const TOLD_MAX: usize = 50;
const TIERS: [&str; 3] = ["guardrails", "approvals", "permits"];
const COLUMNS: &[&str] = &[
    "in_force_from",
    "change",
    "policy",
    "tier",
    "owner",
    "reason",
    "digest",
    "bundle",
    "activated_by",
    "file",
    "index",
];

/// What is said of a policy when nothing is known of before.
const IN_FORCE: &str = "in_force";

/// A bundle that was put in force.
#[derive(Clone, Debug)]
pub(super) struct Activation {
    at: Timestamp,
    index: u64,
    by: String,
    bundle: String,
    policies: BTreeMap<String, Policy>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Policy {
    tier: String,
    owner: String,
    reason: String,
    digest: String,
    text: Option<String>,
}

/// All that were in force in the period, as they are written: what is remembered is the last.
pub(super) struct Policies {
    table: Table,
    last: Option<Activation>,
    /// How many are written.
    written: usize,
    /// How often others were put in force in the period.
    pub(super) activations: u64,
    /// How many policies were added, changed or removed in it, and the first of them.
    pub(super) changed: u64,
    pub(super) told: Vec<Changed>,
    /// Activations of which it is only known that they were.
    pub(super) left_out: u64,
}

/// A change of a policy: when, what became of it, which, whose it is.
pub(super) struct Changed {
    pub(super) at: Timestamp,
    pub(super) what: &'static str,
    pub(super) policy: String,
    pub(super) owner: String,
}

impl Policies {
    pub(super) fn begin(files: &Files) -> Result<Self, Failure> {
        Ok(Self {
            table: files.table(CSV, COLUMNS)?,
            last: None,
            written: 0,
            activations: 0,
            changed: 0,
            told: Vec::new(),
            left_out: 0,
        })
    }

    pub(super) fn take(
        &mut self,
        files: &Files,
        seen: &Seen<'_>,
        period: Period,
    ) -> Result<(), Failure> {
        if seen.change() != "policies_activated" || seen.at >= period.to {
            return Ok(());
        }
        let now = (!seen.is_erased()).then(|| Activation::read(seen));
        if !seen.is_inside {
            // Of those before the period the last one counts, which is not known before one of it comes, or the end.
            if self.written == 0 {
                self.left_out = u64::from(now.is_none());
                self.last = now;
            }
            return Ok(());
        }
        self.end_before(files)?;
        let Some(now) = now else {
            // What was in force before is not in force any more.
            self.left_out += 1;
            self.last = None;
            return Ok(());
        };
        let before = self.last.take();
        self.write(files, before.as_ref(), &now)?;
        self.activations += 1;
        self.last = Some(now);
        Ok(())
    }

    /// What is in force at the end of the period.
    pub(super) const fn last(&self) -> Option<&Activation> {
        self.last.as_ref()
    }

    /// Writes what was in force when the period began, if it is not written yet.
    fn end_before(&mut self, files: &Files) -> Result<(), Failure> {
        if self.written > 0 {
            return Ok(());
        }
        let first = self.last.take();
        if let Some(first) = &first {
            self.write(files, None, first)?;
        }
        self.last = first;
        Ok(())
    }

    pub(super) fn end(&mut self, files: &Files) -> Result<(), Failure> {
        self.end_before(files)?;
        self.table.flush()
    }

    fn write(
        &mut self,
        files: &Files,
        before: Option<&Activation>,
        now: &Activation,
    ) -> Result<(), Failure> {
        self.written += 1;
        let folder = now.folder(self.written);
        for tier in TIERS {
            files.text(&format!("policies/{folder}/{tier}.cedar"), &now.text(tier))?;
        }
        for (what, id, policy) in now.differs(before) {
            self.table.row(&[
                &now.at.to_string(),
                what,
                id,
                &policy.tier,
                &policy.owner,
                &policy.reason,
                &policy.digest,
                &now.bundle,
                &now.by,
                &format!("policies/{folder}/{}.cedar", policy.tier),
                &now.index.to_string(),
            ])?;
            if what == IN_FORCE {
                continue;
            }
            self.changed += 1;
            if self.told.len() < TOLD_MAX {
                let (policy, owner) = (id.to_owned(), policy.owner.clone());
                self.told.push(Changed { at: now.at, what, policy, owner });
            }
        }
        Ok(())
    }
}

impl Activation {
    fn read(seen: &Seen<'_>) -> Self {
        let policies = at(seen.event, "policies").as_array().unwrap_or_default();
        let policy = |one: &Json| {
            let text = |name: &str| text_at(one, name).to_owned();
            let policy = Policy {
                tier: text("tier"),
                owner: text("owner"),
                reason: text("reason"),
                digest: text("digest"),
                text: at(one, "text").as_str().map(str::to_owned),
            };
            (text("id"), policy)
        };
        Self {
            at: seen.at,
            index: seen.index,
            by: text_at(seen.event, "by").to_owned(),
            bundle: text_at(seen.event, "bundle").to_owned(),
            policies: policies.iter().map(policy).collect(),
        }
    }

    /// How many there are of a tier.
    pub(super) fn of_tier(&self, tier: &str) -> u64 {
        let count = self.policies.values().filter(|policy| policy.tier == tier).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Those of which nobody says whose they are, or why they are there.
    pub(super) fn ownerless(&self) -> u64 {
        let is_bare = |policy: &&Policy| policy.owner.is_empty() || policy.reason.is_empty();
        u64::try_from(self.policies.values().filter(is_bare).count()).unwrap_or(u64::MAX)
    }

    fn folder(&self, number: usize) -> String {
        let time: String =
            self.at.to_string().chars().take(19).filter(|c| !matches!(c, ':')).collect();
        let bundle: String = self.bundle.chars().take(12).collect();
        format!("{number:03}-{time}Z-{bundle}")
    }

    /// The policies of a tier, as they were.
    fn text(&self, tier: &str) -> String {
        let mut all = String::new();
        for (id, policy) in self.policies.iter().filter(|(_, policy)| policy.tier == tier) {
            let digest = &policy.digest;
            // Writing to a string cannot fail.
            match &policy.text {
                Some(text) => writeln!(all, "{text}\n").ok(),
                None => writeln!(all, "// {id}: only its digest was recorded: {digest}\n").ok(),
            };
        }
        all
    }

    /// What is another than `before`, with what became of it; everything, if nothing is known of before.
    fn differs<'a>(&'a self, before: Option<&'a Self>) -> Vec<(&'static str, &'a str, &'a Policy)> {
        let Some(before) = before else {
            return self.policies.iter().map(|(id, one)| (IN_FORCE, id.as_str(), one)).collect();
        };
        let mut all = Vec::new();
        for (id, policy) in &self.policies {
            match before.policies.get(id) {
                None => all.push(("added", id.as_str(), policy)),
                Some(old) if old != policy => all.push(("changed", id.as_str(), policy)),
                Some(_) => {}
            }
        }
        let gone = before.policies.iter().filter(|(id, _)| !self.policies.contains_key(*id));
        all.extend(gone.map(|(id, policy)| ("removed", id.as_str(), policy)));
        all
    }
}
