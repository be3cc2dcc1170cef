//! What becomes of approvals: asked for, given, spent by one call (I2), of which there may be several rounds.

use std::collections::BTreeMap;

use super::payload::Payload;
use super::{Breach, Findings, Rule, bounded};
use crate::ambient::Id;
use crate::digest::Digest;
use crate::evidence::{ByApproval, Entry, Kind, Outcome};

#[derive(Debug)]
struct State {
    binding: Option<Digest>,
    /// Whether somebody has approved it, or broken the glass for it.
    is_given: bool,
    /// Whether it was withdrawn, or its time was over.
    is_ended: bool,
    spent: Option<Spent>,
}

/// By whom an approval is spent.
#[derive(Clone, Copy, Debug)]
struct Spent {
    /// The call that all of them go on with.
    first: Id,
    /// The last of them that took it.
    by: Id,
    /// Whether the server has asked that one for more: only then may another take its place.
    may_go_on: bool,
}

#[derive(Debug, Default)]
pub(super) struct Approvals {
    states: BTreeMap<Id, State>,
    /// What each call has spent whose outcome is still to come: at most one call for each approval.
    spenders: BTreeMap<Id, Id>,
}

impl Approvals {
    pub(super) fn entry(&mut self, entry: &Entry, payload: Option<&Payload>) -> Result<(), Breach> {
        let about = &entry.about;
        if let Some((call, outcome)) = about.call.zip(about.outcome) {
            self.concluded(call, outcome);
        }
        let Some(approval) = about.approval else { return Ok(()) };
        match (about.call, about.change.as_deref()) {
            (Some(call), _) if entry.kind == Kind::Intent => {
                self.spend(call, about.continues, approval)
            }
            (_, Some("approval_requested")) => self.request(approval),
            (_, Some("approval_voted")) => {
                let denies = payload.is_some_and(Payload::denies);
                self.known(approval.id).map(|state| state.is_given |= !denies)
            }
            (_, Some("glass_broken")) => self.known(approval.id).map(|state| state.is_given = true),
            (_, Some("approval_expired" | "approval_withdrawn")) => self.end(approval.id),
            (_, _) => Ok(()),
        }
    }

    fn request(&mut self, ByApproval { id, binding, .. }: ByApproval) -> Result<(), Breach> {
        bounded(self.states.len(), "approvals")?;
        let state = State { binding, is_given: false, is_ended: false, spent: None };
        match self.states.insert(id, state) {
            None => Ok(()),
            Some(_) => Err(breach(format!("one request for the approval {id}"), "another one")),
        }
    }

    fn end(&mut self, id: Id) -> Result<(), Breach> {
        let state = self.known(id)?;
        if state.spent.is_some() {
            let expected = format!("that the approval {id} ends before it is spent");
            return Err(breach(expected, "that it was spent"));
        }
        state.is_ended = true;
        Ok(())
    }

    fn known(&mut self, id: Id) -> Result<&mut State, Breach> {
        let state = self.states.get_mut(&id);
        state.ok_or_else(|| breach(format!("a request for the approval {id} before"), "none"))
    }

    fn spend(
        &mut self,
        call: Id,
        continues: Option<Id>,
        ByApproval { id, binding, spends }: ByApproval,
    ) -> Result<(), Breach> {
        let state = self.known(id)?;
        if binding.is_some() && state.binding != binding {
            let text = |binding: Option<Digest>| binding.unwrap_or_default().to_string();
            let expected = format!("the binding {}, which was approved", text(state.binding));
            return Err(breach(expected, text(binding)));
        }
        if state.is_ended {
            return Err(breach(
                format!("an approval {id} that holds"),
                "one that was withdrawn, or whose time was over",
            ));
        }
        if !state.is_given {
            return Err(breach(format!("that somebody approved {id}"), "that nobody has"));
        }
        let first = continues.unwrap_or(call);
        let may_spend = match state.spent {
            None if !spends => {
                let expected = format!("a call that spends the approval {id} before others go on");
                return Err(breach(expected, format!("that {call} goes on with it")));
            }
            None => true,
            Some(spent) => spent.first == first && (spent.may_go_on || !spends),
        };
        if let Some(Spent { by, .. }) = state.spent.filter(|_| !may_spend) {
            let expected = format!("the approval {id} spent by the call {by} only");
            return Err(breach(expected, format!("that the call {call} spends it too")));
        }
        if spends {
            state.spent = Some(Spent { first, by: call, may_go_on: false });
            self.spenders.insert(call, id);
        }
        Ok(())
    }

    fn concluded(&mut self, call: Id, outcome: Outcome) {
        // Of a call that was lost the outcome may still come.
        if outcome == Outcome::Indeterminate {
            return;
        }
        let spent = self.spenders.remove(&call).and_then(|id| self.states.get_mut(&id));
        if let Some(spent) = spent.and_then(|state| state.spent.as_mut()) {
            spent.may_go_on = outcome == Outcome::InputRequired;
        }
    }

    pub(super) fn tell(&self, findings: &mut Findings) {
        let spent = self.states.values().filter(|state| state.spent.is_some()).count();
        findings.approvals_spent = u64::try_from(spent).unwrap_or(u64::MAX);
    }
}

fn breach(expected: impl Into<String>, found: impl Into<String>) -> Breach {
    Breach::new(Rule::Approval, expected, found)
}
