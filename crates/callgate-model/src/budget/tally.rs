//! What was counted under one key, and whether there is room for more. The same for whoever keeps it, in memory or in a store.

use std::fmt;

use super::Count;
use crate::ambient::Timestamp;
use crate::digest::Digest;

/// By what something is counted once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// A slice of time, by when it begins in milliseconds: all calls in it are counted together.
    Slice(i64),
    /// A thing that was touched.
    Target(Digest),
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slice(begins) => begins.fmt(f),
            Self::Target(target) => target.fmt(f),
        }
    }
}

impl Mark {
    /// Reads what [`fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().map(Self::Slice).or_else(|_| text.parse().map(Self::Target)).ok()
    }
}

/// So much counts until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marked {
    /// What.
    pub mark: Mark,
    /// How much.
    pub count: u32,
    /// Until when.
    pub ends: Timestamp,
}

/// There is no room in a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// When there will be, if nothing more happens until then; never, if it is too much at once.
    pub room_at: Option<Timestamp>,
}

/// What was counted under one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(Vec<Marked>);

impl Tally {
    /// What was counted, as a store has it.
    #[must_use]
    pub const fn of(marked: Vec<Marked>) -> Self {
        Self(marked)
    }

    /// Forgets what does not count any more.
    pub fn forget(&mut self, now: Timestamp) {
        self.0.retain(|marked| marked.ends > now);
    }

    /// How much is kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.0.len()
    }

    /// Whether there is room for `count` at `at`.
    ///
    /// # Errors
    /// [`Spent`].
    pub fn room(&self, count: &Count, at: Timestamp) -> Result<(), Spent> {
        let wanted = count.marks(at);
        // What counts already under the same mark counts once, if it is a thing.
        let is_wanted = |one: &Marked| {
            matches!(one.mark, Mark::Target(_)) && wanted.iter().any(|new| new.mark == one.mark)
        };
        let counts = |one: &&Marked| one.ends > at && !is_wanted(one);
        let mut others: Vec<&Marked> = self.0.iter().filter(counts).collect();
        let all = others.iter().copied().chain(&wanted);
        let all: u64 = all.map(|one| u64::from(one.count)).sum();
        let mut over = all.saturating_sub(u64::from(count.most));
        if over == 0 {
            return Ok(());
        }
        others.sort_by_key(|one| one.ends);
        for one in others {
            over = over.saturating_sub(u64::from(one.count));
            if over == 0 {
                return Err(Spent { room_at: Some(one.ends) });
            }
        }
        Err(Spent { room_at: None })
    }

    /// Counts `count` at `at`, whether or not there is room. Gives what is under its marks now.
    pub fn add(&mut self, count: &Count, at: Timestamp) -> Vec<Marked> {
        self.forget(at);
        let mut changed = Vec::new();
        for new in count.marks(at) {
            let Some(known) = self.0.iter_mut().find(|one| one.mark == new.mark) else {
                self.0.push(new);
                changed.push(new);
                continue;
            };
            if matches!(new.mark, Mark::Slice(_)) {
                known.count = known.count.saturating_add(new.count);
            }
            known.ends = known.ends.max(new.ends);
            changed.push(*known);
        }
        changed
    }
}
