//! Revocations: who or what is let in no more, whatever credential says otherwise.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ambient::{Id, Timestamp};
use crate::caller::{AccountableKind, Caller};

/// What kind of link is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A person, and with them all tokens that they own.
    Human,
    /// A service account.
    ServiceAccount,
    /// An agent, now acting or earlier in a chain.
    Agent,
    /// A client.
    Client,
    /// One token of an issuer, by `ISSUER/JTI`.
    Jti,
    /// A workflow run.
    Workflow,
}

/// Who or what is revoked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its kind.
    pub kind: SubjectKind,
    /// Its name, as policies have it.
    pub name: String,
}

/// That somebody or something is let in no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Its id.
    pub id: Id,
    /// Who or what.
    pub subject: Subject,
    /// Only with credentials made before this moment; with none at all, if this is nothing.
    pub issued_before: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// When it was made.
    pub at: Timestamp,
}

impl SubjectKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Human, Self::ServiceAccount, Self::Agent, Self::Client, Self::Jti, Self::Workflow];

    /// Its name in records and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::ServiceAccount => "service_account",
            Self::Agent => "agent",
            Self::Client => "client",
            Self::Jti => "jti",
            Self::Workflow => "workflow",
        }
    }
}

impl Subject {
    /// `name` of `kind`.
    pub fn new(kind: SubjectKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }

    /// Whoever is accountable for the calls of `caller`.
    #[must_use]
    pub fn accountable(caller: &Caller) -> Self {
        let kind = match caller.accountable.kind {
            AccountableKind::Human => SubjectKind::Human,
            AccountableKind::ServiceAccount => SubjectKind::ServiceAccount,
        };
        Self::new(kind, caller.accountable.identity.to_string())
    }

    /// Everybody and everything in the chain of `caller`.
    #[must_use]
    pub fn all_of(caller: &Caller) -> Vec<Self> {
        let agents = caller.agent.iter().chain(&caller.actors);
        let mut all = vec![
            Self::accountable(caller),
            Self::new(SubjectKind::Client, caller.client.name.clone()),
        ];
        all.extend(agents.map(|agent| Self::new(SubjectKind::Agent, agent.identity.to_string())));
        all.extend(caller.workflow.as_ref().map(|run| Self::new(SubjectKind::Workflow, &*run.run)));
        all.extend(caller.credential.id.as_ref().map(|id| Self::new(SubjectKind::Jti, id.clone())));
        all
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

impl Revocation {
    /// Whether it is about a credential that was made at `issued`.
    #[must_use]
    pub fn reaches(&self, issued: Option<Timestamp>) -> bool {
        match (self.issued_before, issued) {
            (None, _) | (Some(_), None) => true,
            (Some(before), Some(issued)) => issued < before,
        }
    }
}
