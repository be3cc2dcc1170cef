//! The policies that were in force, with their texts: at the beginning of the period, and after each change.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use callgate_model::ambient::Timestamp;
use callgate_model::json::Json;

use super::files::Files;
use super::{Period, Seen};
use crate::cli::Failure;
use crate::export::{at, text_at};

pub(super) const CSV: &str = "policies.csv";
/// The most activations whose texts are kept; later ones are told by their digests.
const ACTIVATIONS_MAX: usize = 1_000;
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

/// A bundle that was put in force.
#[derive(Clone, Debug)]
pub(super) struct Activation {
    pub(super) at: Timestamp,
    index: u64,
    by: String,
    pub(super) bundle: String,
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

/// All that were in force in the period.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// What was in force when it began.
    first: Option<Activation>,
    later: Vec<Activation>,
    /// Of which it is only known that they were.
    pub(super) left_out: u64,
}

/// A change of a policy: when, what became of it, which, whose it is.
pub(super) struct Changed<'a> {
    pub(super) at: Timestamp,
    pub(super) what: &'static str,
    pub(super) policy: &'a str,
    pub(super) owner: &'a str,
}

impl Policies {
    pub(super) fn take(&mut self, seen: &Seen<'_>, period: Period) {
        if seen.change() != "policies_activated" || seen.row.at >= period.to {
            return;
        }
        if seen.is_erased() || self.later.len() >= ACTIVATIONS_MAX {
            self.left_out += u64::from(seen.is_inside);
            return;
        }
        let activation = Activation::read(seen);
        if seen.is_inside {
            self.later.push(activation);
        } else {
            self.first = Some(activation);
        }
    }

    /// Each of them, with what was in force before.
    fn all(&self) -> impl Iterator<Item = (Option<&Activation>, &Activation)> {
        let all = || self.first.iter().chain(&self.later);
        std::iter::once(None).chain(all().map(Some)).zip(all())
    }

    /// What is in force at the end of the period.
    pub(super) fn last(&self) -> Option<&Activation> {
        self.later.last().or(self.first.as_ref())
    }

    /// The changes in the period.
    pub(super) fn changes(&self) -> Vec<Changed<'_>> {
        let pairs = self.all().filter(|(before, _)| before.is_some());
        pairs.flat_map(|(before, now)| now.differs(before)).collect()
    }

    /// How often other policies were put in force in the period.
    pub(super) const fn activations(&self) -> usize {
        self.later.len()
    }

    pub(super) fn write(&self, files: &Files) -> Result<(), Failure> {
        let mut table = files.table(CSV, COLUMNS)?;
        for (number, (before, now)) in self.all().enumerate() {
            let folder = now.folder(number);
            for tier in TIERS {
                files.text(&format!("policies/{folder}/{tier}.cedar"), &now.text(tier))?;
            }
            for changed in now.differs(before) {
                let of = if changed.what == "removed" { before } else { Some(now) };
                let Some(policy) = of.and_then(|of| of.policies.get(changed.policy)) else {
                    continue;
                };
                table.row(&[
                    &now.at.to_string(),
                    changed.what,
                    changed.policy,
                    &policy.tier,
                    &policy.owner,
                    &policy.reason,
                    &policy.digest,
                    &now.bundle,
                    &now.by,
                    &format!("policies/{folder}/{}.cedar", policy.tier),
                    &now.index.to_string(),
                ])?;
            }
        }
        table.end()
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
            at: seen.row.at,
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
        format!("{:03}-{time}Z-{bundle}", number + 1)
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

    /// What is another than `before`; everything, if nothing is known of before.
    fn differs<'a>(&'a self, before: Option<&'a Self>) -> Vec<Changed<'a>> {
        let mut all = Vec::new();
        let mut note = |what, (policy, of): (&'a String, &'a Policy)| {
            all.push(Changed { at: self.at, what, policy, owner: &of.owner });
        };
        let Some(before) = before else {
            self.policies.iter().for_each(|one| note("in_force", one));
            return all;
        };
        for (id, policy) in &self.policies {
            match before.policies.get(id) {
                None => note("added", (id, policy)),
                Some(old) if old != policy => note("changed", (id, policy)),
                Some(_) => {}
            }
        }
        let is_gone = |(id, _): &(&String, &Policy)| !self.policies.contains_key(*id);
        before.policies.iter().filter(is_gone).for_each(|one| note("removed", one));
        all
    }
}
