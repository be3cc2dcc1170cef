//! Who is asking: the delegation chain, each link with how it is known.
//!
//! There is no default identity: a [`Caller`] is only made from a credential.

use std::fmt;

use crate::ambient::Timestamp;
use crate::digest::Digest;
use crate::envelope::{Envelope, Portion};
use crate::json::{Json, Object};

/// How a link is known. Only the first two may ever help to allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assurance {
    /// The client said so.
    Asserted,
    /// The operator's static mapping.
    Configured,
    /// Signed by an issuer.
    Verified,
}

/// A name within its issuer. The pair is the identity, never the subject alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The issuer's configured name; `None` for identities the operator configured here.
    pub issuer: Option<String>,
    /// The subject within the issuer.
    pub subject: String,
}

impl Identity {
    /// Reads what its text form is: what stands before the first slash is the issuer's name.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once('/') {
            Some((issuer, subject)) => {
                Self { issuer: Some(issuer.to_owned()), subject: subject.to_owned() }
            }
            None => Self { issuer: None, subject: text.to_owned() },
        }
    }
}

/// As policies write it: `alice`, or `okta/alice` if an issuer vouches for it. A configured subject has no slash.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.issuer {
            Some(issuer) => write!(f, "{issuer}/{}", self.subject),
            None => f.write_str(&self.subject),
        }
    }
}

/// Whose authority is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accountable {
    /// A person, or a service that answers for itself.
    pub kind: AccountableKind,
    /// Who.
    pub identity: Identity,
    /// The groups the issuer or the operator put them in.
    pub groups: Vec<String>,
    /// How this is known.
    pub assurance: Assurance,
}

/// What kind of identity is accountable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountableKind {
    /// The delegating human.
    Human,
    /// A service account: there is no human in the chain, and that is said.
    ServiceAccount,
}

/// Software that acts for the accountable identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Who.
    pub identity: Identity,
    /// The operator's class for it (`assistant`, `release`), if any.
    pub class: Option<String>,
    /// How this is known.
    pub assurance: Assurance,
}

/// The MCP client software.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its registered name.
    pub name: String,
    /// How this is known.
    pub assurance: Assurance,
}

/// The credential that was presented; never its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// What kind of credential it is.
    pub kind: CredentialKind,
    /// What it is called by whoever made it: `ISSUER/JTI`, or the id of a token of ours.
    pub id: Option<String>,
    /// The digest by which it can be found and revoked.
    pub digest: Digest,
    /// When it was issued, if known.
    pub issued: Option<Timestamp>,
    /// When it ends, if known.
    pub expires: Option<Timestamp>,
    /// What its scopes cover, if they are to count.
    pub scopes: Option<Envelope>,
    /// What it was made for, if that was said.
    pub within: Option<Portion>,
}

/// The kinds of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A token of this gateway's own.
    ApiToken,
    /// A JSON Web Token of an issuer.
    Jwt,
    /// A token that says nothing by itself; its issuer told what it is.
    Opaque,
    /// None was presented: the client started this gateway itself, for a caller that the operator named.
    Process,
    /// A session of the console.
    Session,
    /// A `danger_static_tokens` entry: for development, on loopback.
    StaticToken,
}

impl CredentialKind {
    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::ApiToken, Self::Jwt, Self::Opaque, Self::Process, Self::Session, Self::StaticToken];

    /// Its name in policies and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiToken => "api_token",
            Self::Jwt => "jwt",
            Self::Opaque => "opaque",
            Self::Process => "process",
            Self::Session => "session",
            Self::StaticToken => "static_token",
        }
    }
}

/// The run a call belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workflow {
    /// The run's id.
    pub run: String,
    /// What it is for.
    pub purpose: Option<String>,
    /// The ticket that asks for it.
    pub ticket: Option<String>,
    /// What it may do, if that was said.
    pub within: Option<Portion>,
    /// How this is known.
    pub assurance: Assurance,
}

/// The whole chain behind a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The delegating human, or the service account that answers.
    pub accountable: Accountable,
    /// The current actor; `None` if the human uses a client directly.
    pub agent: Option<Agent>,
    /// Earlier actors, latest first. They may cause denials, never allowances.
    pub actors: Vec<Agent>,
    /// The software.
    pub client: Client,
    /// The credential.
    pub credential: Credential,
    /// The workflow run, if one was named.
    pub workflow: Option<Workflow>,
}

impl Caller {
    /// `alice via release-bot`.
    #[must_use]
    pub fn summary(&self) -> String {
        match &self.agent {
            Some(agent) => format!("{} via {}", self.accountable.identity, agent.identity),
            None => self.accountable.identity.to_string(),
        }
    }

    /// The chain as it is recorded.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let accountable = Object::default()
            .with("kind", self.accountable.kind.as_str())
            .with("id", self.accountable.identity.to_string())
            .with("groups", self.accountable.groups.clone())
            .with("assurance", self.accountable.assurance.as_str());
        let client = Object::default()
            .with("name", self.client.name.as_str())
            .with("assurance", self.client.assurance.as_str());
        let scopes = self
            .credential
            .scopes
            .as_ref()
            .map(|scopes| Json::Array(scopes.held().map(Json::from).collect()));
        let details = self.credential.scopes.as_ref().map(|scopes| {
            Json::Array(scopes.details().iter().map(|one| one.to_string().into()).collect())
        });
        let credential = Object::default()
            .with("kind", self.credential.kind.as_str())
            .with("id", self.credential.id.clone())
            .with("digest", self.credential.digest.to_string())
            .with("issued", self.credential.issued.map(|at| at.to_string()))
            .with("expires", self.credential.expires.map(|at| at.to_string()))
            .with("scopes", scopes)
            .with("details", details);
        let workflow = self.workflow.as_ref().map(|workflow| {
            Object::default()
                .with("run", workflow.run.as_str())
                .with("purpose", workflow.purpose.clone())
                .with("ticket", workflow.ticket.clone())
                .with("assurance", workflow.assurance.as_str())
        });
        Object::default()
            .with("accountable", accountable)
            .with("agent", self.agent.as_ref().map(Agent::to_json))
            .with("actors", self.actors.iter().map(Agent::to_json).collect::<Vec<_>>())
            .with("client", client)
            .with("credential", credential)
            .with("workflow", workflow)
            .into()
    }
}

impl Agent {
    fn to_json(&self) -> Json {
        Object::default()
            .with("id", self.identity.to_string())
            .with("class", self.class.clone())
            .with("assurance", self.assurance.as_str())
            .into()
    }
}

impl Assurance {
    /// Whether it may help to allow.
    #[must_use]
    pub const fn is_assured(self) -> bool {
        match self {
            Self::Asserted => false,
            Self::Configured | Self::Verified => true,
        }
    }

    /// Its name in policies and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asserted => "asserted",
            Self::Configured => "configured",
            Self::Verified => "verified",
        }
    }
}

impl AccountableKind {
    /// Its name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::ServiceAccount => "service_account",
        }
    }
}
