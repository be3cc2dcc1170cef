//! Passkeys (WebAuthn): by which somebody proves that it is them who decide, at that moment.

use serde::{Deserialize, Serialize};

use crate::ambient::Timestamp;
use crate::digest::Digest;

/// A passkey of somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passkey {
    /// The credential's id, as its authenticator knows it: base64url.
    pub id: String,
    /// Whose it is, as policies call them.
    pub who: String,
    /// What they call it.
    pub name: String,
    /// When it was added.
    pub added: Timestamp,
    /// The digest of what its proofs are checked by.
    pub key_digest: Digest,
    /// What its proofs are checked by: a public key and what is known of its authenticator. Kept beside the record.
    #[serde(skip)]
    pub key: String,
    /// How often it said it had been used by then. Many always say 0.
    pub counter: u32,
}

impl Passkey {
    /// As many as one person has.
    pub const OF_ONE_MAX: u32 = 10;
}

/// That somebody has proved by a passkey that they are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The passkey's id.
    pub passkey: String,
    /// How often it says that it was used.
    pub counter: u32,
}
