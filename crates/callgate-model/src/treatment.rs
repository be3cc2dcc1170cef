//! What happens to a field of the arguments on its way into the record.

use std::collections::BTreeMap;

/// What happens to a field, the stricter the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Treatment {
    /// It is recorded, without secrets and with long text cut.
    Keep,
    /// Its beginning is recorded.
    Truncate,
    /// It is recorded as a hash with a key, by which whoever has the key finds it again.
    Hash,
    /// It is not recorded.
    Drop,
}

/// What happens to which fields: by the names of the members that lead there, with dots between.
pub type Treatments = BTreeMap<String, Treatment>;

impl Treatment {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Keep, Self::Truncate, Self::Hash, Self::Drop];

    /// The one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Truncate => "truncate",
            Self::Hash => "hash",
            Self::Drop => "drop",
        }
    }
}

/// Adds what others want of fields: of two, the stricter holds, also for what is within a field.
pub fn stricter(rules: &mut Treatments, others: &Treatments) {
    for (path, treatment) in others {
        let rule = rules.entry(path.clone()).or_insert(*treatment);
        *rule = (*rule).max(*treatment);
    }
    for (path, treatment) in others {
        let within = format!("{path}.");
        let inner = rules.iter_mut().filter(|(inner, _)| inner.starts_with(&within));
        inner.for_each(|(_, rule)| *rule = (*rule).max(*treatment));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(all: &[(&str, Treatment)]) -> Treatments {
        all.iter().map(|(path, treatment)| ((*path).to_owned(), *treatment)).collect()
    }

    #[test]
    fn names_are_those_of_their_treatments() {
        for (treatment, name) in
            Treatment::ALL.into_iter().zip(["keep", "truncate", "hash", "drop"])
        {
            assert_eq!((Treatment::parse(name), treatment.as_str()), (Some(treatment), name));
        }
        assert_eq!(Treatment::parse("Keep"), None);
    }

    #[test]
    fn i9_of_two_treatments_the_stricter_holds_in_any_order() {
        use Treatment::{Drop, Hash, Keep, Truncate};
        let one = rules(&[("fields", Drop), ("issue", Keep), ("who", Hash)]);
        let other = rules(&[("fields.summary", Keep), ("issue", Truncate), ("who", Truncate)]);
        let both = rules(&[
            ("fields", Drop),
            ("fields.summary", Drop),
            ("issue", Truncate),
            ("who", Hash),
        ]);
        let mut added = other.clone();
        stricter(&mut added, &one);
        assert_eq!(added, both);
        // What is said of a field within another by the same is as meant.
        let mut own = rules(&[("fields", Drop), ("fields.summary", Keep)]);
        stricter(&mut own, &rules(&[("issue", Keep)]));
        assert_eq!(own["fields.summary"], Keep);
    }
}
