//! The course of an approval: what each of its records makes of its state. A store applies the same to what it keeps; whoever
//! reads records afterwards comes to the same end, since the same rules count.

use super::{
    Approval, ApprovalState, Ended, GLASS_S_MAX, Glass, GlassReview, GlassState, Standing, Vote,
};
use crate::ambient::{Id, Timestamp};

impl ApprovalState {
    /// Somebody was asked, and nobody has said anything.
    #[must_use]
    pub const fn asked(approval: Approval) -> Self {
        Self {
            approval,
            votes: Vec::new(),
            glass: None,
            use_until: None,
            is_over: false,
            ended: None,
        }
    }

    /// Somebody says something to it at `at`. `false`, if that does not count: it does not wait, or they have said something
    /// before.
    pub fn vote(&mut self, vote: Vote, at: Timestamp) -> bool {
        let has_voted = self.votes.iter().any(|one| one.by == vote.by);
        if has_voted || self.standing(at) != Standing::Waiting {
            return false;
        }
        self.votes.push(vote);
        if self.is_denied() {
            self.ended = Some((Ended::Denied, at));
        } else if self.is_approved() {
            self.let_through(self.approval.use_within_s, at);
        }
        true
    }

    /// Somebody breaks the glass for it. `false`, if it does not wait.
    pub fn break_glass(&mut self, glass: Glass, at: Timestamp) -> bool {
        if self.standing(at) != Standing::Waiting {
            return false;
        }
        self.glass = Some(GlassState { glass, review: None });
        self.let_through(self.approval.use_within_s.min(GLASS_S_MAX), at);
        true
    }

    /// Somebody else says what they think of the glass. `false`, if it is whole, was reviewed, or is theirs.
    pub fn review(&mut self, review: GlassReview) -> bool {
        let due = |glass: &&mut GlassState| glass.review.is_none() && glass.glass.by != review.by;
        let Some(glass) = self.glass.as_mut().filter(due) else { return false };
        glass.review = Some(review);
        true
    }

    /// A call takes it. `false`, if it may not: nobody has approved it, or not in time, or it was taken.
    pub fn spend(&mut self, call: Id, at: Timestamp) -> bool {
        let is_good = matches!(self.standing(at), Standing::Approved { .. });
        if is_good {
            self.ended = Some((Ended::Spent { call }, at));
        }
        is_good
    }

    /// It is taken back. `false`, if it is over.
    pub fn withdraw(&mut self, at: Timestamp) -> bool {
        let is_open = self.standing(at).is_open();
        if is_open {
            self.ended = Some((Ended::Withdrawn, at));
        }
        is_open
    }

    /// That its time is over is recorded, unless it ended otherwise before.
    pub const fn expire(&mut self) {
        self.is_over |= self.ended.is_none();
    }

    fn let_through(&mut self, within_s: u64, at: Timestamp) {
        self.use_until = Some(at.after_ms(within_s.saturating_mul(1_000)));
    }
}
