//! How somebody was known who decided about a call: an auditor sees it in what they said, and looks for it nowhere else.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::caller::Caller;

/// By what somebody was known. A passkey that proves it beside that is a [`Proof`](crate::authority::Proof).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The kind of credential.
    pub credential: String,
    /// What whoever made it calls it: of a session of the console, the id with which its beginning is recorded.
    pub id: Option<String>,
    /// How it is known that it is them: `verified` by an issuer, or `configured` by the operator.
    pub assurance: String,
}

impl Known {
    /// How whoever comes is known.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        Self {
            credential: caller.credential.kind.as_str().to_owned(),
            id: caller.credential.id.clone(),
            assurance: caller.accountable.assurance.as_str().to_owned(),
        }
    }
}

/// `session, verified`.
impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.credential, self.assurance)
    }
}
