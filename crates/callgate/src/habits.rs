//! How people decide about calls: whether they still look. Who is asked too often about what nobody ever denies stops reading.

use std::collections::BTreeMap;

use callgate_model::ambient::Timestamp;
use callgate_model::approval::{ApprovalState, Standing};

/// Who decides within so long of being asked has hardly read it.
const QUICK_MS: u64 = 3_000;
/// Times to decide, in seconds.
pub(crate) const TIMES_S: [u64; 6] = [3, 60, 300, 900, 3_600, 14_400];
/// What was decided fewer times says nothing about a gate.
const ENOUGH: usize = 20;

/// What was said to approvals, of all that are given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Habits {
    /// Votes.
    pub(crate) said: usize,
    /// Of these, for it.
    pub(crate) approved: usize,
    /// Of these, within three seconds of being asked.
    pub(crate) quick: usize,
    /// From being asked to the vote, in milliseconds: half of them took no longer.
    pub(crate) median_ms: Option<u64>,
    /// Approvals about which nobody decided in time.
    pub(crate) expired: usize,
    /// The votes by how long they took: each time in [`TIMES_S`], those for it and those against it; then those that took longer.
    pub(crate) times: Vec<Said>,
    /// Each gate, by its policy.
    pub(crate) gates: BTreeMap<String, Said>,
}

/// What was said about one gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) approved: usize,
    pub(crate) denied: usize,
}

impl Said {
    fn count(&mut self, approves: bool) {
        self.approved += usize::from(approves);
        self.denied += usize::from(!approves);
    }

    /// Whether nobody ever says no, so that asking protects from nothing.
    pub(crate) const fn is_always_approved(self) -> bool {
        self.denied == 0 && self.approved >= ENOUGH
    }
}

impl Habits {
    pub(crate) fn of(all: &[ApprovalState], now: Timestamp) -> Self {
        let none = vec![Said::default(); TIMES_S.len() + 1];
        let mut habits = Self { times: none, ..Self::default() };
        let mut took: Vec<u64> = Vec::new();
        for state in all {
            habits.expired += usize::from(state.standing(now) == Standing::Expired);
            for vote in &state.votes {
                let ms = vote.at.ms_since(state.approval.at);
                took.push(ms);
                habits.said += 1;
                habits.approved += usize::from(vote.approves);
                habits.quick += usize::from(ms < QUICK_MS);
                let time = TIMES_S.iter().position(|most| ms < most * 1_000);
                if let Some(said) = habits.times.get_mut(time.unwrap_or(TIMES_S.len())) {
                    said.count(vote.approves);
                }
                for gate in &vote.gates {
                    habits.gates.entry(gate.clone()).or_default().count(vote.approves);
                }
            }
        }
        took.sort_unstable();
        // Of an even number, the lower one.
        habits.median_ms = took.get(took.len().saturating_sub(1) / 2).copied();
        habits
    }

    /// What to do about gates that are always passed.
    pub(crate) fn suggestions(&self) -> Vec<String> {
        let always = self.gates.iter().filter(|(_, said)| said.is_always_approved());
        let advice = |(gate, said): (&String, &Said)| {
            format!(
                "`{gate}` was approved {} times and never denied: narrow it to what is worth a look, or give a grant for the rest",
                said.approved
            )
        };
        always.map(advice).collect()
    }
}

/// How many of all, in percent.
pub(crate) fn percent(some: usize, all: usize) -> usize {
    (some * 100 + all / 2).checked_div(all).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use callgate_model::approval::Vote;

    use super::*;
    use crate::print::approval::sample;

    const AT: Timestamp = Timestamp::from_unix_ms(1_795_600_000_000);

    /// Approvals to which somebody said yes or no, so many milliseconds after they were asked.
    fn decided(gate: &str, votes: &[(bool, u64)]) -> Vec<ApprovalState> {
        let approval = sample(AT);
        let one = |(approves, ms): &(bool, u64)| ApprovalState {
            votes: vec![Vote {
                grants: false,
                approval: approval.id,
                by: "bob".to_owned(),
                approves: *approves,
                gates: vec![gate.to_owned()],
                reason: None,
                seen: approval.binding,
                proof: None,
                known: None,
                at: AT.after_ms(*ms),
            }],
            use_until: Some(AT.after_ms(900_000)),
            ..ApprovalState::asked(approval.clone())
        };
        votes.iter().map(one).collect()
    }

    #[test]
    fn a09_who_approves_everything_at_once_is_seen() {
        let mut all =
            decided("deletes", &[(true, 1_000), (true, 2_999), (true, 3_000), (false, 60_000)]);
        all.push(ApprovalState::asked(sample(AT)));
        let habits = Habits::of(&all, AT.after_ms(900_000));
        assert_eq!((habits.said, habits.approved, habits.quick, habits.expired), (4, 3, 2, 1));
        assert_eq!(habits.median_ms, Some(2_999));
        assert_eq!(habits.gates["deletes"], Said { approved: 3, denied: 1 });
        let times: Vec<_> = habits.times.iter().map(|said| (said.approved, said.denied)).collect();
        assert_eq!(times, [(2, 0), (1, 0), (0, 1), (0, 0), (0, 0), (0, 0), (0, 0)]);
        assert!(habits.suggestions().is_empty());
        assert_eq!((percent(2, 3), percent(0, 0)), (67, 0));
    }

    #[test]
    fn a_gate_that_is_always_passed_is_named() {
        let always = vec![(true, 10_000); ENOUGH];
        let now = AT.after_ms(1_000);
        let said =
            |votes: &[(bool, u64)]| Habits::of(&decided("deletes", votes), now).suggestions();
        assert_eq!(said(&always).len(), 1);
        assert!(said(&always[1..]).is_empty(), "too few to tell");
        assert!(said(&[&always[..], &[(false, 10_000)]].concat()).is_empty());
        assert_eq!(Habits::of(&[], now).said, 0);
    }
}
