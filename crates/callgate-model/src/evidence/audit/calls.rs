//! What becomes of calls: nothing takes effect without an intent before it (I1), and what came of it is said once; of a call
//! that was lost, late.

use std::collections::BTreeMap;

use super::{Breach, Findings, Rule, bounded};
use crate::ambient::Id;
use crate::evidence::{Entry, Kind, Outcome};

/// How many open calls are listed by their ids.
const OPEN_LISTED_MAX: usize = 100;

/// What is remembered of a call whose effect is not known.
#[derive(Clone, Copy, Debug, Default)]
struct Unknown {
    /// Whether an outcome may still come.
    may_be_late: bool,
    /// Whether it is known now, by an outcome or by a person.
    is_settled: bool,
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Calls that have an intent and no outcome, with its index.
    open: BTreeMap<Id, u64>,
    unknown: BTreeMap<Id, Unknown>,
    intents: u64,
    outcomes: u64,
}

impl Calls {
    pub(super) fn entry(&mut self, entry: &Entry, index: u64) -> Result<(), Breach> {
        let about = &entry.about;
        let Some(call) = about.call else { return Ok(()) };
        match entry.kind {
            Kind::Intent => self.intent(call, index),
            Kind::Outcome => self.outcome(call, about.outcome),
            Kind::Settled => self.settled(call),
            Kind::Refusal | Kind::Opened | Kind::Change => Ok(()),
        }
    }

    fn intent(&mut self, call: Id, index: u64) -> Result<(), Breach> {
        if self.open.contains_key(&call) || self.unknown.contains_key(&call) {
            return Err(breach(format!("one intent of the call {call}"), "another one"));
        }
        bounded(self.open.len(), "calls that are open at one time")?;
        self.open.insert(call, index);
        self.intents += 1;
        Ok(())
    }

    fn outcome(&mut self, call: Id, outcome: Option<Outcome>) -> Result<(), Breach> {
        self.outcomes += 1;
        if self.open.remove(&call).is_some() {
            let may_be_late = outcome == Some(Outcome::Indeterminate);
            if outcome.is_none_or(is_unknown) {
                bounded(self.unknown.len(), "calls whose effect was not known at first")?;
                self.unknown.insert(call, Unknown { may_be_late, is_settled: false });
            }
            return Ok(());
        }
        match self.unknown.get_mut(&call) {
            // Two gateways that start at once may both conclude what a third has left.
            Some(state) if state.may_be_late && outcome == Some(Outcome::Indeterminate) => Ok(()),
            Some(state) if state.may_be_late => {
                let is_settled = !outcome.is_none_or(is_unknown);
                *state = Unknown { may_be_late: false, is_settled };
                Ok(())
            }
            Some(_) | None => {
                let expected = format!("an intent of the call {call} before its one outcome");
                Err(breach(expected, "an outcome without an intent, or another outcome"))
            }
        }
    }

    fn settled(&mut self, call: Id) -> Result<(), Breach> {
        let state = self.unknown.get_mut(&call).filter(|state| !state.is_settled);
        let state = state.ok_or_else(|| {
            let expected =
                format!("that the call {call} is settled once, while its effect is unknown");
            breach(expected, "that it is settled when that is known, or not asked yet")
        })?;
        state.is_settled = true;
        Ok(())
    }

    pub(super) fn tell(self, findings: &mut Findings) {
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let unsettled = self.unknown.values().filter(|state| !state.is_settled).count();
        let mut open: Vec<(Id, u64)> = self.open.into_iter().collect();
        findings.intents = self.intents;
        findings.outcomes = self.outcomes;
        findings.unsettled = count(unsettled);
        findings.open = count(open.len());
        open.sort_by_key(|(_, index)| *index);
        open.truncate(OPEN_LISTED_MAX);
        findings.open_calls = open;
    }
}

/// Whether nobody knows what the call did.
const fn is_unknown(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Cancelled | Outcome::Indeterminate | Outcome::TimedOut => true,
        Outcome::InputRequired
        | Outcome::InProgress
        | Outcome::NotDispatched
        | Outcome::Succeeded
        | Outcome::ToolError
        | Outcome::UpstreamError => false,
    }
}

fn breach(expected: impl Into<String>, found: impl Into<String>) -> Breach {
    Breach::new(Rule::Call, expected, found)
}
