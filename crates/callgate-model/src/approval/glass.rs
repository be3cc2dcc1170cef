//! Broken glass: that somebody alone lets a call through that others should have approved, and answers for it afterwards.

use serde::{Deserialize, Serialize};

use super::Known;
use crate::ambient::{Id, Timestamp};
use crate::authority::Proof;
use crate::digest::Digest;

/// How long a call may be made for which the glass was broken, at most, in seconds.
pub const GLASS_S_MAX: u64 = 30 * 60;

/// That somebody broke the glass for a call. It stands for all of its gates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Glass {
    /// The approval that nobody was waited for.
    pub approval: Id,
    /// Who, as policies call them.
    pub by: String,
    /// Why it could not wait, in their words.
    pub reason: String,
    /// The ticket that it belongs to.
    pub ticket: String,
    /// By what it is known that it was them.
    pub proof: Proof,
    /// How they were known beside that; `None` if it was recorded before that was.
    #[serde(default)]
    pub known: Option<Known>,
    /// The digest of what they were shown.
    pub seen: Digest,
    /// When.
    pub at: Timestamp,
}

/// What somebody else says of it afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlassReview {
    /// The approval for which the glass was broken.
    pub approval: Id,
    /// Who, as policies call them.
    pub by: String,
    /// Whether it was right to.
    pub verdict: GlassVerdict,
    /// Why, in their words.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// Whether it was right to break the glass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GlassVerdict {
    /// It was.
    Justified,
    /// It was not.
    NotJustified,
}

/// Broken glass, and what was said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlassState {
    /// It.
    pub glass: Glass,
    /// The review. Until there is one, whoever broke it breaks no other.
    pub review: Option<GlassReview>,
}

impl GlassVerdict {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Justified, Self::NotJustified];

    /// Its name, for people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Justified => "justified",
            Self::NotJustified => "not_justified",
        }
    }

    /// In words.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::Justified => "justified",
            Self::NotJustified => "not justified",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}
