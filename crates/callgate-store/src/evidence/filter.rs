//! Which records somebody looks for.

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::evidence::{Link, Links};

/// Which rows to list. Text is compared exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only what has each of these.
    pub with: Links,
    /// Only what has none of these.
    pub without: Links,
    /// Only decisions: intents and refusals.
    pub decided: bool,
    /// Only this call.
    pub call: Option<Id>,
    /// Only what happened at this moment or later.
    pub since: Option<Timestamp>,
    /// Only what happened before this moment.
    pub until: Option<Timestamp>,
    /// How many at most; `None` and anything above it is [`super::LIST_MAX`].
    pub limit: Option<u32>,
}

impl Filter {
    /// Only what has `value` as its `link` as well; `None` does not matter.
    #[must_use]
    pub fn with(mut self, link: Link, value: Option<String>) -> Self {
        self.with.extend(value.map(|value| (link, value)));
        self
    }

    /// Only what does not have `value` as its `link`.
    #[must_use]
    pub fn without(mut self, link: Link, value: &str) -> Self {
        self.without.push((link, value.to_owned()));
        self
    }
}
