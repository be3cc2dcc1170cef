//! Places in a log, kept as runs: those that are side by side cost as much as one.

use std::collections::BTreeMap;

/// A set of places.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    /// The end of each run, by its start.
    runs: BTreeMap<u64, u64>,
}

impl Indexes {
    pub(super) fn insert(&mut self, index: u64) {
        let before = self.runs.range(..=index).next_back().map(|(start, end)| (*start, *end));
        if before.is_some_and(|(_, end)| index < end) {
            return;
        }
        let start = before.filter(|(_, end)| *end == index).map_or(index, |(start, _)| start);
        let end = self.runs.remove(&(index + 1)).unwrap_or(index + 1);
        self.runs.insert(start, end);
    }

    pub(super) fn len(&self) -> u64 {
        self.runs.iter().map(|(start, end)| end - start).sum()
    }

    /// How many are in both.
    pub(super) fn common(&self, other: &Self) -> u64 {
        let shared = |(start, end): (&u64, &u64)| -> u64 {
            let before = other.runs.range(..=*start).next_back();
            let runs = before.into_iter().chain(other.runs.range(start + 1..*end));
            runs.map(|(from, to)| to.min(end).saturating_sub(*from.max(start))).sum()
        };
        self.runs.iter().map(shared).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_a_set(
            one in prop::collection::vec(0_u64..60, 0..60),
            other in prop::collection::vec(0_u64..60, 0..60),
        ) {
            let runs = |indexes: &[u64]| {
                let mut runs = Indexes::default();
                indexes.iter().for_each(|index| runs.insert(*index));
                runs
            };
            let set = |indexes: &[u64]| indexes.iter().copied().collect::<BTreeSet<_>>();
            prop_assert_eq!(runs(&one).len(), set(&one).len() as u64);
            let common = set(&one).intersection(&set(&other)).count() as u64;
            prop_assert_eq!(runs(&one).common(&runs(&other)), common);
        }
    }

    #[test]
    fn a_run_costs_as_much_as_one() {
        let mut runs = Indexes::default();
        (0..1000).for_each(|index| runs.insert(index));
        assert_eq!((runs.runs.len(), runs.len()), (1, 1000));
    }
}
