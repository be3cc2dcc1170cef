//! What becomes of approvals: asked for, given, spent by one call (I2).

use std::collections::BTreeMap;

use super::entry::{Entry, Kind, OfApproval};
use super::payload::Payload;
use super::{Breach, Findings, Rule, bounded};
use crate::ambient::Id;
use crate::digest::Digest;

#[derive(Debug)]
struct State {
    binding: Option<Digest>,
    /// Whether somebody has approved it, or broken the glass for it.
    is_given: bool,
    is_withdrawn: bool,
    /// The call that spent it, and the one that this continues.
    spent: Option<(Id, Option<Id>)>,
}

#[derive(Debug, Default)]
pub(super) struct Approvals {
    states: BTreeMap<Id, State>,
    /// Whether the glass was broken for an approval that is not told.
    untold_glass: bool,
    untold: u64,
}

impl Approvals {
    pub(super) fn entry(&mut self, entry: &Entry, payload: Option<&Payload>) -> Result<(), Breach> {
        match (entry.kind, entry.change.as_deref(), entry.approval) {
            (Kind::Intent, _, Some(approval)) => self.spend(entry.call, approval, payload),
            (Kind::Change, Some("approval_requested"), Some(approval)) => self.request(approval),
            (Kind::Change, Some("approval_voted"), Some(approval)) => {
                let denies = payload.is_some_and(Payload::denies);
                self.known(approval.id).map(|state| state.is_given |= !denies)
            }
            (Kind::Change, Some("approval_withdrawn"), Some(approval)) => {
                let state = self.known(approval.id)?;
                if state.spent.is_some() {
                    let expected = format!("the approval {} before it was spent", approval.id);
                    return Err(breach(expected, "that it is withdrawn after"));
                }
                state.is_withdrawn = true;
                Ok(())
            }
            (Kind::Change, Some("glass_broken"), approval) => {
                let id = approval.map(|approval| approval.id);
                match id.or_else(|| payload.and_then(Payload::glass)) {
                    Some(id) => self.known(id).map(|state| state.is_given = true),
                    None => {
                        self.untold_glass = true;
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }

    fn request(&mut self, OfApproval { id, binding }: OfApproval) -> Result<(), Breach> {
        bounded(self.states.len(), "approvals")?;
        let state = State { binding, is_given: false, is_withdrawn: false, spent: None };
        match self.states.insert(id, state) {
            None => Ok(()),
            Some(_) => Err(breach(format!("one request for the approval {id}"), "another one")),
        }
    }

    fn known(&mut self, id: Id) -> Result<&mut State, Breach> {
        let state = self.states.get_mut(&id);
        state.ok_or_else(|| breach(format!("a request for the approval {id} before"), "none"))
    }

    fn spend(
        &mut self,
        call: Option<Id>,
        OfApproval { id, binding }: OfApproval,
        payload: Option<&Payload>,
    ) -> Result<(), Breach> {
        let Some(call) = call else { return Ok(()) };
        let untold_glass = self.untold_glass;
        let state = self.known(id)?;
        if state.binding != binding {
            let text = |binding: Option<Digest>| binding.unwrap_or_default().to_string();
            let expected = format!("the binding {}, which was approved", text(state.binding));
            return Err(breach(expected, text(binding)));
        }
        if state.is_withdrawn {
            return Err(breach(format!("an approval {id} that holds"), "one that was withdrawn"));
        }
        let mut is_told = true;
        if !state.is_given {
            if !untold_glass {
                return Err(breach(format!("that somebody approved {id}"), "that nobody has"));
            }
            is_told = false;
        }
        let continues = payload.and_then(Payload::continues);
        match state.spent {
            None => state.spent = Some((call, continues)),
            Some((first, before)) => match (payload, continues) {
                (None, _) => is_told = false,
                (Some(_), Some(goes_on)) if goes_on == first || before == Some(goes_on) => {}
                (Some(_), _) => {
                    let expected = format!("the approval {id} spent by the call {first} only");
                    return Err(breach(expected, format!("that the call {call} spends it too")));
                }
            },
        }
        self.untold += u64::from(!is_told);
        Ok(())
    }

    pub(super) fn tell(&self, findings: &mut Findings) {
        let spent = self.states.values().filter(|state| state.spent.is_some()).count();
        findings.approvals_spent = u64::try_from(spent).unwrap_or(u64::MAX);
        findings.approvals_untold = self.untold;
    }
}

fn breach(expected: impl Into<String>, found: impl Into<String>) -> Breach {
    Breach::new(Rule::Approval, expected, found)
}
