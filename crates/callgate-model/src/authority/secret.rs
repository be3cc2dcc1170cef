//! Secrets that servers are called with in the name of one person.

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::ambient::Timestamp;

/// Whose secret it is, for which server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretFor {
    /// The server.
    pub server: String,
    /// The person, or the service account.
    pub holder: Subject,
}

/// A secret as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSecret {
    /// Whose it is, for which server.
    #[serde(rename = "for")]
    pub owner: SecretFor,
    /// How it is presented: `basic` or `bearer`.
    pub scheme: String,
    /// When it was set.
    pub set: Timestamp,
    /// It, sealed. It is no part of the record: whoever reads that needs no key to it.
    #[serde(skip)]
    pub sealed: String,
}

impl SecretFor {
    /// What the secret is sealed for: it opens for nobody else, and for no other server.
    #[must_use]
    pub fn binding(&self) -> Vec<u8> {
        // None of these has a control character.
        format!("{}\0{}\0{}", self.server, self.holder.kind.as_str(), self.holder.name).into_bytes()
    }
}
