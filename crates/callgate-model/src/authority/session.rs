//! Who has signed in to the console, and the links by which somebody signs in whom no issuer knows.

use serde::{Deserialize, Serialize};

use crate::ambient::{Id, Timestamp};
use crate::caller::{
    Accountable, AccountableKind, Assurance, Caller, Client, Credential, CredentialKind, Identity,
};
use crate::digest::Digest;

/// What stands before the names of those who come by a link. No issuer is called so.
pub const LOCAL: &str = "local";

/// How somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// At an issuer, which says who it is.
    Issuer,
    /// By a link that somebody made who has the configuration.
    Link,
    /// With a token.
    Token,
}

impl Way {
    /// In words, behind a name.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::Issuer => "at the identity provider",
            Self::Link => "by a link",
            Self::Token => "with a token",
        }
    }
}

/// A session of the console as it is kept: nothing of what the browser has but its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleSession {
    /// Its id.
    pub id: Id,
    /// The digest of what the browser has.
    pub digest: Digest,
    /// How it came to be.
    pub way: Way,
    /// Who, as policies call them.
    pub who: String,
    /// Their groups, as the issuer told them.
    pub groups: Vec<String>,
    /// The client that the issuer knows the console as.
    pub client: String,
    /// When the issuer said so: what it takes back later that was made before, ends the session.
    pub issued: Timestamp,
    /// When the issuer had last made sure that it is them, if it says.
    pub authenticated: Option<Timestamp>,
    /// When it began.
    pub begun: Timestamp,
    /// When it ends at the latest.
    pub ends: Timestamp,
    /// The token, if they signed in with one, sealed by what the browser has. It is no part of the record.
    #[serde(skip)]
    pub sealed: Option<String>,
}

/// A link that signs somebody in, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInLink {
    /// Its id.
    pub id: Id,
    /// The digest of what is in it.
    pub digest: Digest,
    /// Whom it signs in, as policies call them.
    pub who: String,
    /// When it was made.
    pub made: Timestamp,
    /// When it is good no more.
    pub ends: Timestamp,
}

impl ConsoleSession {
    /// How long one lasts, in milliseconds.
    pub const LASTS_MS: u64 = 8 * 60 * 60 * 1000;
    /// How long one lasts without a request, in milliseconds.
    pub const IDLE_MS: u64 = 30 * 60 * 1000;

    /// Whether it is good at `now`, if there was a request at `seen` last.
    #[must_use]
    pub fn is_good(&self, seen: Timestamp, now: Timestamp) -> bool {
        now < self.ends && now.ms_since(seen) < Self::IDLE_MS
    }

    /// The chain of who has signed in, without a token, and is in `groups` now: a person, by themselves.
    #[must_use]
    pub fn caller(&self, groups: Vec<String>) -> Caller {
        let assurance = match self.way {
            Way::Issuer => Assurance::Verified,
            Way::Link => Assurance::Configured,
            // Whoever it is, is known by their token.
            Way::Token => Assurance::Asserted,
        };
        Caller {
            accountable: Accountable {
                kind: AccountableKind::Human,
                identity: Identity::parse(&self.who),
                groups,
                assurance,
            },
            agent: None,
            actors: Vec::new(),
            client: Client { name: self.client.clone(), assurance },
            credential: Credential {
                kind: CredentialKind::Session,
                id: Some(self.id.to_string()),
                digest: self.digest,
                issued: Some(self.issued),
                expires: Some(self.ends),
                scopes: None,
                within: None,
            },
            workflow: None,
        }
    }
}

impl SignInLink {
    /// How long one is good, in milliseconds.
    pub const LASTS_MS: u64 = 10 * 60 * 1000;
}
