//! What became of an approval.

use std::collections::BTreeSet;

use super::{Approval, GlassState, Offer, Vote};
use crate::ambient::{Id, Timestamp};
use crate::decision::Gate;

/// An approval and what became of it, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalState {
    /// It.
    pub approval: Approval,
    /// What was said to it, in this order.
    pub votes: Vec<Vote>,
    /// That somebody broke the glass for it, if they did.
    pub glass: Option<GlassState>,
    /// Until when it is good, once it was approved.
    pub use_until: Option<Timestamp>,
    /// That its time is over is recorded: it is, whatever a clock says.
    pub is_over: bool,
    /// How it ended other than by a clock, and when.
    pub ended: Option<(Ended, Timestamp)>,
}

/// How an approval ends other than by a clock. None of these is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Somebody denied it.
    Denied,
    /// The call took it.
    Spent {
        /// Which.
        call: Id,
    },
    /// It was taken back: by who asked, or because what it hangs on was.
    Withdrawn,
}

/// What an approval is at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits to be decided.
    Waiting,
    /// It waits to be used, until then.
    Approved {
        /// Until when.
        until: Timestamp,
    },
    /// Nobody decided in time, which is a denial.
    Expired,
    /// It was approved and not used in time.
    Unused,
    /// It has ended.
    Ended(Ended),
}

impl ApprovalState {
    /// What it is at `now`. At the very moment at which a clock ends, it has ended.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        match (self.ended, self.use_until) {
            (Some((ended, _)), _) => Standing::Ended(ended),
            (None, Some(until)) if until > now && !self.is_over => Standing::Approved { until },
            (None, Some(_)) => Standing::Unused,
            (None, None) if self.approval.decide_until > now && !self.is_over => Standing::Waiting,
            (None, None) => Standing::Expired,
        }
    }

    /// Whether as many as need to have denied it, for any one of its gates.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.approval.gates.iter().any(|gate| self.people(gate, false) >= gate.denials)
    }

    /// Whether as many as need to have approved it, for every one of its gates.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        let enough = |gate: &Gate| self.people(gate, true) >= gate.quorum;
        !self.is_denied()
            && !self.approval.gates.is_empty()
            && self.approval.gates.iter().all(enough)
    }

    /// What those who approved it grant beside the one call: all of them have to, and it was not taken back.
    #[must_use]
    pub fn granted(&self) -> Option<&Offer> {
        let all = self.votes.iter().filter(|vote| vote.approves).all(|vote| vote.grants);
        let stands = !matches!(self.ended, Some((Ended::Denied | Ended::Withdrawn, _)));
        self.approval.offer.as_ref().filter(|_| all && stands && self.is_approved())
    }

    /// How many people have said so about `gate`. One person counts once; and who approves without a passkey does not, where
    /// the gate wants one.
    fn people(&self, gate: &Gate, approves: bool) -> u32 {
        let about_it = |vote: &&Vote| {
            vote.approves == approves
                && vote.gates.contains(&gate.policy)
                && (!approves || !gate.step_up || vote.proof.is_some())
        };
        let people: BTreeSet<&str> =
            self.votes.iter().filter(about_it).map(|vote| &*vote.by).collect();
        u32::try_from(people.len()).unwrap_or(u32::MAX)
    }
}

impl Standing {
    /// Its name, for people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved { .. } => "approved",
            Self::Expired => "expired",
            Self::Unused => "unused",
            Self::Ended(Ended::Denied) => "denied",
            Self::Ended(Ended::Spent { .. }) => "spent",
            Self::Ended(Ended::Withdrawn) => "withdrawn",
        }
    }

    /// Whether there is still something to be decided or used.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            Self::Waiting | Self::Approved { .. } => true,
            Self::Expired | Self::Unused | Self::Ended(_) => false,
        }
    }
}
