//! What kinds of records there are.

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Authority was given or taken back.
    Change,
    /// A call was allowed and is about to be sent.
    Intent,
    /// A gateway has started.
    Opened,
    /// What became of a call.
    Outcome,
    /// A call was not allowed.
    Refusal,
    /// A person says what became of a call of which the gateway does not know.
    Settled,
}

impl Kind {
    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::Change, Self::Intent, Self::Opened, Self::Outcome, Self::Refusal, Self::Settled];

    /// The one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// Its name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Intent => "intent",
            Self::Opened => "opened",
            Self::Outcome => "outcome",
            Self::Refusal => "refusal",
            Self::Settled => "settled",
        }
    }
}
