//! Which tools an operator has approved, as their server defines them. A tool that is defined otherwise is another tool (T02).

mod difference;

use callgate_model::digest::Digest;

pub use difference::difference;

/// Who approves the tools of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApprovedBy {
    /// An operator, each of them before it can be called.
    #[default]
    Operator,
    /// Whoever uses it first; what it is then is remembered, and changes wait for an operator.
    FirstUse,
    /// Nobody: the server is trusted whatever it changes.
    Nobody,
}

impl ApprovedBy {
    /// Every way, with its name in the configuration.
    pub const ALL: &'static [(&'static str, Self)] =
        &[("approved", Self::Operator), ("first_use", Self::FirstUse), ("any", Self::Nobody)];
}

/// How a tool stands to what was approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is what was approved.
    Approved,
    /// It is not what was approved.
    Changed,
    /// Nothing was approved.
    New,
}

impl Standing {
    /// The standing of a tool that is defined as `digest`, if `pin` was approved.
    #[must_use]
    pub fn of(digest: Digest, pin: Option<Digest>) -> Self {
        match pin {
            Some(pin) if pin == digest => Self::Approved,
            Some(_) => Self::Changed,
            None => Self::New,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Changed => "changed",
            Self::New => "new",
        }
    }
}
