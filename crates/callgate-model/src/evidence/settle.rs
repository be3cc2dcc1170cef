//! What a person says of a call of which it is not known whether it took effect.

use crate::ambient::Id;
use crate::json::CanonicalObject;

/// What somebody found out at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It did not take effect.
    NoEffect,
    /// It took effect.
    TookEffect,
    /// It cannot be found out any more.
    Unknowable,
}

impl Finding {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::NoEffect, Self::TookEffect, Self::Unknowable];

    /// The one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// Its name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoEffect => "no_effect",
            Self::TookEffect => "took_effect",
            Self::Unknowable => "unknowable",
        }
    }
}

/// A call is settled: beside its outcome, which stays what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The call.
    pub call: Id,
    /// Who says so.
    pub by: String,
    /// What they found.
    pub finding: Finding,
    /// How they know.
    pub note: String,
}

impl Settled {
    /// Longest note, in bytes.
    pub const NOTE_BYTES_MAX: usize = 4_096;

    pub(super) fn write(&self, out: &mut String) {
        CanonicalObject::new(out)
            .text("by", &self.by)
            .plain("call", self.call)
            .text("finding", self.finding.as_str())
            .text("note", &self.note)
            .end();
    }
}
