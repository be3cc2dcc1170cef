//! Tokens that the gateway makes itself, for agents and jobs that no identity provider knows.

use serde::{Deserialize, Serialize};

use crate::ambient::{Id, Timestamp};
use crate::caller::{
    Accountable, AccountableKind, Agent, Assurance, Caller, Client, Credential, CredentialKind,
    Identity,
};
use crate::digest::{Digest, hex};
use crate::envelope::Portion;

/// By which such a token is known at sight: to scanners for secrets, too.
const PREFIX: &str = "cgt_";
/// Digits of an id, a secret, and the sum that finds slips of the pen.
const ID_DIGITS: usize = 32;
const SECRET_DIGITS: usize = 64;
const SUM_DIGITS: usize = 8;

/// A token as it is kept: everything but the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiToken {
    /// Its id, which is part of it.
    pub id: Id,
    /// What people call it.
    pub name: String,
    /// The digest of the whole token.
    pub digest: Digest,
    /// The person who answers for it, as policies call them. It is good for as long as they are.
    pub owner: String,
    /// The service account that is accountable in place of the owner, if one is.
    pub service_account: Option<String>,
    /// The groups of whoever is accountable.
    pub groups: Vec<String>,
    /// The agent that has it.
    pub agent: String,
    /// The agent's class.
    pub class: Option<String>,
    /// The servers, operations and places that it is for.
    pub scope: Portion,
    /// The networks it may come from (`10.0.0.0/8`); anywhere, if there are none.
    pub networks: Vec<String>,
    /// When it was made.
    pub issued: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
    /// It is good no more after so many seconds without a use; never, if this is nothing.
    pub idle_s: Option<u64>,
    /// The one it replaces.
    pub replaces: Option<Id>,
    /// The first of those that replaced each other.
    pub first: Id,
}

impl ApiToken {
    /// The chain of whoever holds it.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let (kind, who) = match &self.service_account {
            Some(service) => (AccountableKind::ServiceAccount, service),
            None => (AccountableKind::Human, &self.owner),
        };
        let assurance = Assurance::Configured;
        Caller {
            accountable: Accountable {
                kind,
                identity: Identity::parse(who),
                groups: self.groups.clone(),
                assurance,
            },
            agent: Some(Agent {
                identity: Identity::parse(&self.agent),
                class: self.class.clone(),
                assurance,
            }),
            actors: Vec::new(),
            client: Client { name: self.agent.clone(), assurance },
            credential: Credential {
                kind: CredentialKind::ApiToken,
                id: Some(self.id.to_string()),
                digest: self.digest,
                issued: Some(self.issued),
                expires: Some(self.ends),
                scopes: None,
                within: Some(self.scope.clone()),
            },
            workflow: None,
        }
    }
}

/// The text of a token: shown once, kept nowhere.
pub struct Secret(String);

impl Secret {
    /// The token `id` with these 256 random bits.
    #[must_use]
    pub fn new(id: Id, random: [[u8; 16]; 2]) -> Self {
        let random = hex(random.as_flattened());
        let mut text = format!("{PREFIX}{}{random}", id.to_string().replace('-', ""));
        let sum = sum(&text);
        text.push_str(&sum);
        Self(text)
    }

    /// It, to be shown.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// By which it is known again.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What a presented text says before anything is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented {
    /// It may be the token of this id.
    Known(Id),
    /// It begins like one of ours, and is none: mistyped or cut short.
    Damaged,
    /// It is none of ours.
    Other,
}

impl Presented {
    /// Reads `token`.
    #[must_use]
    pub fn read(token: &str) -> Self {
        let Some(rest) = token.strip_prefix(PREFIX) else { return Self::Other };
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if rest.len() != ID_DIGITS + SECRET_DIGITS + SUM_DIGITS || !rest.bytes().all(is_hex) {
            return Self::Damaged;
        }
        let parts = rest.split_at_checked(ID_DIGITS);
        let whole = token.split_at_checked(token.len() - SUM_DIGITS);
        match (parts, whole) {
            (Some((id, _)), Some((before, told))) if sum(before) == told => {
                Id::parse(id).map_or(Self::Damaged, Self::Known)
            }
            _ => Self::Damaged,
        }
    }
}

fn sum(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string().chars().take(SUM_DIGITS).collect()
}
