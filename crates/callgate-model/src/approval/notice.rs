//! Notices: that people are told that a call waits for them, or waits no more, or was let through.

use serde::{Deserialize, Serialize};

use crate::ambient::Id;

/// When people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// Somebody is asked.
    Requested,
    /// Nobody has decided for a while, and others may now.
    Escalated,
    /// Nobody needs to look any more: it was decided, withdrawn, or nobody decided in time.
    Closed,
    /// A call was let through by a permit that obliges to tell of it.
    LetThrough,
    /// Somebody broke the glass: the call waits for nobody any more.
    GlassBroken,
}

/// One message of one channel about one approval, or one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// By which whoever gets it twice knows that it is the same.
    pub id: Id,
    /// The channel, as the configuration calls it.
    pub channel: String,
    /// When it is told.
    pub occasion: Occasion,
    /// Where one can decide, or look, if whoever asks has such a page: another gateway may send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
}

impl Occasion {
    /// Each of them.
    pub const ALL: [Self; 5] =
        [Self::Requested, Self::Escalated, Self::Closed, Self::LetThrough, Self::GlassBroken];
    /// Those that are about an approval: of which of them a channel tells, it says itself.
    pub const OF_APPROVALS: [Self; 3] = [Self::Requested, Self::Escalated, Self::Closed];

    /// Its name, for people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Escalated => "escalated",
            Self::Closed => "closed",
            Self::LetThrough => "let_through",
            Self::GlassBroken => "glass_broken",
        }
    }

    /// Whether it asks somebody to decide: then it is of no use any more once that was done.
    #[must_use]
    pub const fn asks(self) -> bool {
        match self {
            Self::Requested | Self::Escalated => true,
            Self::Closed | Self::LetThrough | Self::GlassBroken => false,
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}
