//! What there was in the period, counted.

use std::collections::BTreeMap;

use callgate_model::ambient::Timestamp;
use callgate_model::json::{Json, Object};

use super::{Seen, number};
use crate::export::{at, text_at, texts};

/// The most names of one sort that are counted one by one; the rest is counted together.
const NAMES_MAX: usize = 10_000;
/// An hour, in milliseconds.
pub(super) const HOUR_MS: i64 = 3_600_000;
/// What those are called together.
pub(super) const OTHERS: &str = "(others)";
/// Of what it is not known, since the content of the record was erased.
pub(super) const ERASED: &str = "erased";
/// The server by which the gateway itself is administered.
const OWN: &str = "callgate";

/// How often there was what.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<String, u64>);

/// Decisions by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) allowed: u64,
    pub(super) waiting: u64,
    pub(super) denied: u64,
}

/// Decisions of each of many.
#[derive(Debug, Default)]
pub(super) struct Splits(BTreeMap<String, Split>);

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) records: u64,
    pub(super) first: Option<(u64, Timestamp)>,
    pub(super) last: Option<(u64, Timestamp)>,
    pub(super) erased: u64,
    pub(super) kinds: Tally,
    pub(super) changes: Tally,
    pub(super) decisions: Tally,
    pub(super) effects: Splits,
    pub(super) outcomes: Tally,
    /// Of denials.
    pub(super) reasons: Tally,
    pub(super) all: Split,
    /// By hours since 1970.
    pub(super) hours: BTreeMap<i64, Split>,
    pub(super) agents: Splits,
    pub(super) people: Splits,
    pub(super) tools: Splits,
    pub(super) servers: Splits,
    /// Facts that are counted by their names: see [`Counts::facts`].
    pub(super) facts: Tally,
}

impl Tally {
    pub(super) fn add(&mut self, name: &str) {
        let is_known = self.0.contains_key(name);
        let name = if is_known || self.0.len() < NAMES_MAX { name } else { OTHERS };
        *self.0.entry(name.to_owned()).or_default() += 1;
    }

    pub(super) fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// The most frequent first.
    pub(super) fn most(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        all
    }

    pub(super) fn to_json(&self) -> Object {
        let all = self.0.iter();
        all.fold(Object::default(), |all, (name, count)| all.with(name, number(*count)))
    }
}

impl Split {
    const fn add(&mut self, verdict: &str) {
        match verdict.as_bytes() {
            b"allow" => self.allowed += 1,
            b"approval_required" => self.waiting += 1,
            // What was erased of a refusal does not tell which it was; it was not let through.
            _ => self.denied += 1,
        }
    }

    pub(super) const fn sum(self) -> u64 {
        self.allowed + self.waiting + self.denied
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self {
            allowed: self.allowed + other.allowed,
            waiting: self.waiting + other.waiting,
            denied: self.denied + other.denied,
        }
    }

    pub(super) const fn counts(self) -> [u64; 3] {
        [self.allowed, self.waiting, self.denied]
    }
}

impl Splits {
    fn add(&mut self, name: &str, verdict: &str) {
        let is_known = self.0.contains_key(name);
        let name = if is_known || self.0.len() < NAMES_MAX { name } else { OTHERS };
        self.0.entry(name.to_owned()).or_default().add(verdict);
    }

    pub(super) fn of(&self, name: &str) -> Split {
        self.0.get(name).copied().unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those with most decisions first.
    pub(super) fn most(&self) -> Vec<(&str, Split)> {
        let mut all: Vec<_> = self.0.iter().map(|(name, split)| (name.as_str(), *split)).collect();
        all.sort_by_key(|(_, split)| std::cmp::Reverse(split.sum()));
        all
    }

    pub(super) fn to_json(&self) -> Object {
        self.0.iter().fold(Object::default(), |all, (name, split)| {
            let split = Object::default()
                .with("allow", number(split.allowed))
                .with("approval_required", number(split.waiting))
                .with("deny", number(split.denied));
            all.with(name, split)
        })
    }
}

impl Counts {
    /// Counts a record of the period.
    pub(super) fn take(&mut self, seen: &Seen<'_>) {
        self.records += 1;
        self.erased += u64::from(seen.is_erased());
        let place = (seen.index, seen.at);
        self.first.get_or_insert(place);
        self.last = Some(place);
        self.kinds.add(seen.kind);
        match seen.kind {
            "intent" | "refusal" => self.decision(seen),
            "outcome" => self.outcomes.add(text_at(seen.record, "outcome")),
            "change" => self.changes.add(seen.change()),
            _ => {}
        }
    }

    /// What is counted together, since its names are too many.
    pub(super) fn others(&self) -> u64 {
        let tallies = [&self.changes, &self.decisions, &self.outcomes, &self.reasons];
        let splits = [&self.effects, &self.agents, &self.people, &self.tools, &self.servers];
        let tallies: u64 = tallies.into_iter().map(|all| all.of(OTHERS)).sum();
        tallies + splits.into_iter().map(|all| all.of(OTHERS).sum()).sum::<u64>()
    }

    fn decision(&mut self, seen: &Seen<'_>) {
        let event = seen.event;
        let verdict = match (seen.kind, text_at(event, "decision.verdict")) {
            ("intent", _) => "allow",
            (_, "") => ERASED,
            (_, verdict) => verdict,
        };
        self.decisions.add(verdict);
        self.all.add(verdict);
        self.hours.entry(seen.at.unix_ms().div_euclid(HOUR_MS)).or_default().add(verdict);
        let effect = match text_at(event, "understood.effect") {
            "" if seen.is_erased() => ERASED,
            "" => "not_understood",
            effect => effect,
        };
        self.effects.add(effect, verdict);
        if verdict == "deny" {
            texts(at(event, "decision.reasons")).iter().for_each(|one| self.reasons.add(one));
        }
        if !seen.is_erased() {
            self.names(event, verdict);
            self.facts(event, verdict);
        }
    }

    fn names(&mut self, event: &Json, verdict: &str) {
        let or = |path: &str, none: &str| {
            let text = text_at(event, path);
            if text.is_empty() { none.to_owned() } else { text.to_owned() }
        };
        self.people.add(&or("caller.accountable.id", "(nobody known)"), verdict);
        self.agents.add(&or("caller.agent.id", "(no agent)"), verdict);
        self.servers.add(&or("server", "(none)"), verdict);
        let tool = [text_at(event, "server"), text_at(event, "tool")].join("/");
        self.tools.add(if tool == "/" { "(none)" } else { &tool }, verdict);
    }

    /// What is true of a decision, each by a name.
    fn facts(&mut self, event: &Json, verdict: &str) {
        let is_own = text_at(event, "server") == OWN;
        let risk = text_at(event, "understood.risk");
        let is_risky = matches!(risk, "high" | "critical");
        let is_allowed = verdict == "allow";
        let has = |path: &str| *at(event, path) != Json::Null;
        let is_known = has("caller");
        let assurance = |of: &str| text_at(event, &format!("caller.{of}.assurance"));
        let is_asserted =
            assurance("accountable") == "asserted" || assurance("agent") == "asserted";
        let targets = at(event, "understood.targets").as_array().unwrap_or_default();
        let is_unresolved = targets.iter().any(|target| target.get("unresolved").is_some());
        let is_gated = has("approved_by.id") || has("granted_by.id");
        let actors = at(event, "caller.actors").as_array().unwrap_or_default();
        let kind = text_at(event, "caller.credential.kind");
        let facts = [
            ("administration", is_own),
            ("calls", !is_own),
            ("identified", is_known),
            ("asserted_allowed", is_allowed && is_asserted),
            ("unidentified_allowed", is_allowed && !is_known),
            ("verified", assurance("accountable") == "verified"),
            ("delegated", has("caller.agent")),
            ("chained", !actors.is_empty()),
            ("autonomous", text_at(event, "caller.accountable.kind") == "service_account"),
            ("of_a_workflow", has("caller.workflow")),
            ("no_expiry_allowed", is_allowed && !has("caller.credential.expires")),
            ("static_token_allowed", is_allowed && kind == "static_token"),
            ("risky", !is_own && is_risky),
            ("risky_allowed", !is_own && is_risky && is_allowed),
            ("risky_standing", !is_own && is_risky && is_allowed && !is_gated),
            ("unresolved_allowed", is_allowed && is_unresolved),
            ("by_approval", is_allowed && has("approved_by.id")),
            ("by_glass", is_allowed && at(event, "approved_by.by_glass").as_bool() == Some(true)),
            ("by_grant", is_allowed && has("granted_by.id")),
            ("obliged", is_allowed && has("decision.obligations")),
            ("without_policy", is_allowed && !names_policy(event)),
            ("traced", has("trace")),
            ("undigested_allowed", is_allowed && !is_own && !has("arguments_digest")),
        ];
        facts.iter().filter(|(_, is)| *is).for_each(|(name, _)| self.facts.add(name));
    }
}

/// Whether it is said which policies determined it.
fn names_policy(event: &Json) -> bool {
    let policies = at(event, "decision.policies").as_array().unwrap_or_default();
    // What the gateway reads itself, to find what a call touches, is decided with that call.
    !policies.is_empty() || texts(at(event, "decision.reasons")).contains(&"gateway_read")
}
