//! What this process counts in budgets. Those that replicas share are counted in the store, with the intent of the call.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use callgate_model::ambient::Timestamp;
use callgate_model::budget::{Budget, Count, Spent, Tally};
use callgate_model::caller::Caller;
use callgate_model::digest::Digest;

use crate::name::NamedCall;

/// How much is remembered, if nothing else is said.
pub const MARKS_MAX: usize = 100_000;

/// What is over is looked for among all at most so often, if there is no room.
const SWEEP_EVERY_MS: u64 = 1_000;

/// The budgets, and what was counted in them.
#[derive(Debug)]
pub struct Budgets {
    all: Vec<Budget>,
    marks_max: usize,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    tallies: HashMap<Digest, Tally>,
    /// How much all of them keep.
    marks: usize,
    swept: Option<Timestamp>,
}

/// Why a call is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// A budget is spent.
    Spent(Box<Count>, Spent),
    /// More is counted than may be remembered. What cannot be counted is not let through.
    Full,
}

impl Budgets {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(all: Vec<Budget>, marks_max: usize) -> Self {
        Self { all, marks_max, counted: Mutex::default() }
    }

    /// What a call is in each of them.
    #[must_use]
    pub fn counts(&self, caller: &Caller, named: &NamedCall) -> Vec<Count> {
        let counts = |budget: &Budget| budget.counts(caller, &named.call, &named.targets);
        self.all.iter().flat_map(counts).collect()
    }

    /// Counts a call in all of these, or in none.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn count<'a>(
        &self,
        counts: impl Iterator<Item = &'a Count> + Clone,
        now: Timestamp,
    ) -> Result<(), NoRoom> {
        let mut counted = self.counted();
        let mut more = 0;
        for count in counts.clone() {
            if let Some(tally) = counted.tallies.get(&count.key)
                && let Err(spent) = tally.room(count, now)
            {
                return Err(NoRoom::Spent(Box::new(count.clone()), spent));
            }
            let alone = Tally::default().room(count, now);
            alone.map_err(|spent| NoRoom::Spent(Box::new(count.clone()), spent))?;
            more += count.marks(now).len();
        }
        if counted.marks + more > self.marks_max {
            counted.sweep(now);
        }
        if counted.marks + more > self.marks_max {
            return Err(NoRoom::Full);
        }
        for count in counts {
            counted.add(count, now);
        }
        Ok(())
    }

    /// How much is remembered.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.counted().marks
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn add(&mut self, count: &Count, now: Timestamp) {
        let tally = self.tallies.entry(count.key).or_default();
        let before = tally.kept();
        tally.add(count, now);
        self.marks = (self.marks + tally.kept()).saturating_sub(before);
    }

    /// Forgets what is over.
    fn sweep(&mut self, now: Timestamp) {
        if self.swept.is_some_and(|swept| now >= swept && now.ms_since(swept) < SWEEP_EVERY_MS) {
            return;
        }
        self.swept = Some(now);
        self.tallies.values_mut().for_each(|tally| tally.forget(now));
        self.tallies.retain(|_, tally| tally.kept() > 0);
        self.marks = self.tallies.values().map(Tally::kept).sum();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_795_600_000_000);
    const MINUTE_MS: u64 = 60_000;

    fn count(key: u32, most: u32) -> Count {
        Count {
            budget: Arc::from("b"),
            key: Digest::of(&key.to_be_bytes()),
            most,
            within_ms: 10 * MINUTE_MS,
            targets: None,
            exact: false,
            told: String::new(),
        }
    }

    #[test]
    fn a_call_counts_in_all_of_its_budgets_or_in_none() {
        let budgets = Budgets::new(Vec::new(), MARKS_MAX);
        let (wide, narrow) = (count(1, 3), count(2, 1));
        assert_eq!(budgets.count([&wide, &narrow].into_iter(), NOW), Ok(()));
        let refused = budgets.count([&wide, &narrow].into_iter(), NOW).unwrap_err();
        assert!(matches!(refused, NoRoom::Spent(count, _) if *count == narrow));
        // It was not counted in the other one.
        for left in [true, true, false] {
            assert_eq!(budgets.count([&wide].into_iter(), NOW).is_ok(), left);
        }
    }

    #[test]
    fn i13_what_is_remembered_is_bounded_and_what_cannot_be_counted_is_not_let_through() {
        let budgets = Budgets::new(Vec::new(), 100);
        let all: Vec<Count> = (0..101).map(|key| count(key, 5)).collect();
        for one in &all[..100] {
            assert_eq!(budgets.count([one].into_iter(), NOW), Ok(()));
        }
        assert_eq!(budgets.count([&all[100]].into_iter(), NOW), Err(NoRoom::Full));
        // Who is counted already goes on in the same slice of time; and room is made by what is over.
        assert_eq!(budgets.count([&all[0]].into_iter(), NOW), Err(NoRoom::Full));
        let later = NOW.after_ms(11 * MINUTE_MS);
        assert_eq!(budgets.count([&all[100]].into_iter(), later), Ok(()));
        assert_eq!(budgets.kept(), 1);
    }
}
