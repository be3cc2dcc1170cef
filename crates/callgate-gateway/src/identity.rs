//! Who is asking: from a credential to a caller. There is no default identity, and no way in without a credential,
//! unless the operator says so with a `danger_` setting.

mod chain;
mod claims;
mod details;
mod introspection;
mod issuer;
mod jwt;
mod keys;
mod login;
mod memory;
mod registry;
mod signed;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use callgate_mcp::http::HeaderMap;
use callgate_model::ambient::Timestamp;
use callgate_model::authority::Presented;
use callgate_model::caller::{Agent, Caller, Workflow};
use callgate_model::digest::Digest;
use callgate_model::evidence::CallerRecord;
use callgate_model::json::{Json, Object};
use callgate_policy::PreparedCaller;
use secrecy::SecretString;
use thiserror::Error;

pub use chain::ChainSpec;
pub use claims::{KnownAgent, Mapping, Profile};
pub use details::DetailRule;
pub use introspection::Introspection;
pub use issuer::{Issuer, IssuerConfig};
pub use keys::{KeyLimits, KeySource};
pub use login::{Answer, Arrival, Departure, LOGIN_LASTS_MS, Login, LoginConfig, LoginError};
pub use registry::{LOOK_EVERY, Registry};
pub(crate) use signed::{Signal, What};

use issuer::Accepted;
use jwt::{Jwt, LEEWAY_S};
use memory::{Memory, Remembered};

/// How far clocks may be apart, in milliseconds.
const LEEWAY_MS: i64 = LEEWAY_S * 1000;

/// A caller whose credential was accepted, with what every one of its calls needs.
#[derive(Debug)]
pub struct Identified {
    /// The chain, ready for the policy.
    pub caller: PreparedCaller,
    /// The chain, ready for the record.
    pub record: Arc<CallerRecord>,
    /// Tells callers apart: sessions and upstream sessions are bound to it. It outlives a token that is renewed.
    pub key: Digest,
    /// When the credential ends, if that is known.
    pub expires: Option<Timestamp>,
    /// The token itself, if it is to be exchanged for others.
    pub(crate) inbound: Option<Arc<Inbound>>,
}

/// A token of an issuer that is kept to be exchanged. It goes to nobody but a token endpoint for this issuer's tokens (I7).
#[derive(Debug)]
pub(crate) struct Inbound {
    /// What the operator calls its issuer.
    pub(crate) issuer: String,
    pub(crate) token: SecretString,
}

impl Identified {
    /// A caller who is known by a credential that is theirs alone.
    #[must_use]
    pub fn new(caller: Caller) -> Self {
        let key = caller.credential.digest;
        Self::with_key(caller, key)
    }

    /// A caller who is known by who they are, whatever their credential is now.
    fn by_chain(caller: Caller, audiences: &[String]) -> Self {
        let id = |agent: &Agent| Json::from(agent.identity.to_string());
        let chain = Object::default()
            .with("kind", caller.accountable.kind.as_str())
            .with("accountable", caller.accountable.identity.to_string())
            .with("agent", caller.agent.as_ref().map_or(Json::Null, id))
            .with("actors", caller.actors.iter().map(id).collect::<Vec<_>>())
            .with("client", caller.client.name.as_str())
            // A token that opens one server does not open the sessions of one that opens all.
            .with("audiences", audiences.to_vec());
        let ends = caller.credential.expires;
        let expires = ends.map(|at| Timestamp::from_unix_ms(at.unix_ms() + LEEWAY_MS));
        Self { expires, ..Self::with_key(caller, Digest::of_object(&chain)) }
    }

    /// The same in a workflow, which has ended at `ends` at the latest.
    pub(crate) fn in_workflow(&self, workflow: Workflow, ends: Timestamp) -> Self {
        let caller = Caller { workflow: Some(workflow), ..Caller::clone(&self.caller) };
        let expires = self.expires.map_or(ends, |expires| expires.min(ends));
        let inbound = self.inbound.clone();
        Self { expires: Some(expires), inbound, ..Self::with_key(caller, self.key) }
    }

    fn with_key(caller: Caller, key: Digest) -> Self {
        let record = Arc::new(CallerRecord::new(&caller));
        let expires = caller.credential.expires;
        Self { caller: PreparedCaller::new(caller), record, key, expires, inbound: None }
    }
}

/// What a credential is presented to, and from where.
#[derive(Clone, Copy, Debug, Default)]
pub struct Visit<'a> {
    /// The address under which what is asked for is known.
    pub resource: &'a str,
    /// The server; nothing for all of them.
    pub server: &'a str,
    /// Where it comes from, if that is known.
    pub peer: Option<IpAddr>,
}

/// Where a request comes from: an extension of its head.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Why a credential is none. The text is for the operator; clients are told no more than [`Unacceptable::for_client`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unacceptable {
    /// There is none.
    #[error("no credential was presented")]
    Absent,
    /// Not the `Authorization` header of one bearer token.
    #[error("it is not one bearer token")]
    NotBearer,
    /// Not a token of this gateway or of an issuer.
    #[error("the token is not known")]
    Unknown,
    /// Not a JSON Web Token as it is to be.
    #[error("the token cannot be read")]
    Malformed,
    /// A header that is not to be followed.
    #[error("the token's header asks for what is not done")]
    Header,
    /// An algorithm that is not accepted.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// The wrong kind of token.
    #[error("it is not a token for access")]
    Type,
    /// No key of its issuer.
    #[error("the issuer has no such key")]
    UnknownKey,
    /// The issuer's keys are not known.
    #[error("the issuer's keys cannot be had")]
    NoKeys,
    /// The issuer cannot be asked about it.
    #[error("the issuer cannot be asked about the token")]
    NoAnswer,
    /// The issuer says that it is not good.
    #[error("the issuer says that the token is not active")]
    Inactive,
    /// Somebody in its chain, or the credential itself, was revoked.
    #[error("the token, or somebody it is for, was revoked")]
    Revoked,
    /// It was not used for too long.
    #[error("the token was not used for too long")]
    Unused,
    /// It comes from elsewhere than it may.
    #[error("the token may not come from there")]
    Network,
    /// What is in force is not known now.
    #[error("it cannot be told what is in force")]
    NoRegistry,
    /// It is good only with a proof.
    #[error("the token is bound to a key, and no proof of that can be taken")]
    Bound,
    /// The signature does not hold.
    #[error("the token's signature does not hold")]
    Signature,
    /// It is for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// It has ended.
    #[error("the token has expired")]
    Expired,
    /// It has not begun.
    #[error("the token is not good yet")]
    NotYet,
    /// It is, or lasts, longer than is allowed.
    #[error("the token is too old, or lasts too long")]
    TooOld,
    /// A claim is missing or of another type.
    #[error("the claim `{0}` is missing or wrong")]
    Claim(String),
    /// The chain of actors cannot be read.
    #[error("the chain of actors cannot be read")]
    Chain,
}

impl Unacceptable {
    /// What the client may know.
    #[must_use]
    pub const fn for_client(&self) -> &'static str {
        match self {
            Self::Absent => "a credential is required",
            Self::Expired => "the token has expired",
            Self::NoAnswer | Self::NoKeys | Self::NoRegistry => "the token cannot be checked now",
            Self::Algorithm
            | Self::Audience
            | Self::Bound
            | Self::Chain
            | Self::Claim(_)
            | Self::Header
            | Self::Inactive
            | Self::Malformed
            | Self::Network
            | Self::NotBearer
            | Self::NotYet
            | Self::Revoked
            | Self::Signature
            | Self::TooOld
            | Self::Type
            | Self::Unknown
            | Self::UnknownKey
            | Self::Unused => "the token is not accepted",
        }
    }

    /// Whether the credential may be good, but that cannot be found out now.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::NoAnswer | Self::NoKeys | Self::NoRegistry)
    }

    /// Whether a credential was presented at all.
    #[must_use]
    pub const fn was_presented(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

/// The credentials this gateway accepts.
#[derive(Debug, Default)]
pub struct Identities {
    by_token: HashMap<Digest, Arc<Identified>>,
    anonymous: Option<Arc<Identified>>,
    issuers: Vec<Issuer>,
    /// The issuers whose tokens are kept, since they are exchanged for others.
    exchanged: BTreeSet<String>,
    memory: Memory,
    registry: Option<Arc<Registry>>,
    login: Option<Login>,
}

impl Identities {
    /// Static development tokens. Each chain's `credential.digest` is the SHA-256 of its token.
    #[must_use]
    pub fn new(chains: Vec<Caller>) -> Self {
        let identified = chains.into_iter().map(Identified::new);
        let by_token = identified.map(|caller| (caller.key, Arc::new(caller))).collect();
        Self { by_token, ..Self::default() }
    }

    /// Requests without any credential are taken for those of the one who holds the token of this digest: for test
    /// programs that can send none.
    #[must_use]
    pub fn with_danger_anonymous(mut self, token: Digest) -> Self {
        self.anonymous = self.by_token.get(&token).cloned();
        self
    }

    /// Tokens of these issuers are accepted.
    #[must_use]
    pub fn with_issuers(mut self, issuers: Vec<Issuer>) -> Self {
        self.issuers = issuers;
        self
    }

    /// Tokens of the gateway's own are accepted, and what was revoked is not.
    #[must_use]
    pub fn with_registry(mut self, registry: Arc<Registry>) -> Self {
        self.registry = Some(registry);
        self
    }

    /// The authority that the store keeps, if there is any.
    #[must_use]
    pub fn registry(&self) -> Option<&Arc<Registry>> {
        self.registry.as_ref()
    }

    /// Whether everybody in the chain of `caller`, who was let in before, still is.
    ///
    /// # Errors
    /// [`Unacceptable`].
    pub async fn admits(&self, caller: &Caller, now: Timestamp) -> Result<(), Unacceptable> {
        let Some(registry) = &self.registry else { return Ok(()) };
        registry.current(now).await?;
        registry.admits(caller)
    }

    /// Whether a caller who was let in a while ago would still be: a request may wait, and nothing is made of it for somebody
    /// who was revoked meanwhile, or whose credential has ended (I8).
    pub async fn still_admits(&self, caller: &Identified, now: Timestamp) -> bool {
        let has_ended = caller.expires.is_some_and(|expires| expires <= now);
        !has_ended && self.admits(&caller.caller, now).await.is_ok()
    }

    /// Tokens of the issuers of these names are kept while they are good: they are exchanged for others.
    #[must_use]
    pub fn keeping_tokens_of(mut self, issuers: BTreeSet<String>) -> Self {
        self.exchanged = issuers;
        self
    }

    /// The addresses of the issuers, and the scopes that clients should ask them for.
    pub fn issuers(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.issuers.iter().map(|issuer| (issuer.issuer.as_str(), issuer.scopes.as_slice()))
    }

    /// What issuers may call the gateway in place of its address.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().flat_map(|issuer| &issuer.audiences).map(String::as_str)
    }

    /// The caller who presents these headers at `now`.
    ///
    /// A credential that is there must be right, also if there need not be one.
    ///
    /// # Errors
    /// [`Unacceptable`] for anything but one valid bearer token (RFC 6750 §2.1) that has not ended.
    pub async fn identify(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
        visit: &Visit<'_>,
    ) -> Result<Arc<Identified>, Unacceptable> {
        match presented(headers)? {
            Some(token) => self.holder(token, now, visit).await,
            None => {
                let anonymous = self.anonymous.clone().ok_or(Unacceptable::Absent)?;
                self.admits(&anonymous.caller, now).await?;
                Ok(anonymous)
            }
        }
    }

    /// The caller who holds `token`, if it is good at `now` for what is visited.
    ///
    /// A token of the gateway is compared by its digest, so the time taken says nothing about how much of it was right.
    ///
    /// # Errors
    /// [`Unacceptable`].
    pub async fn holder(
        &self,
        token: &str,
        now: Timestamp,
        visit: &Visit<'_>,
    ) -> Result<Arc<Identified>, Unacceptable> {
        if let Some(registry) = &self.registry {
            registry.current(now).await?;
        }
        let digest = Digest::of(token.as_bytes());
        let found = match self.by_token.get(&digest) {
            Some(found) => Arc::clone(found),
            None => match (Presented::read(token), &self.registry) {
                (Presented::Known(id), Some(registry)) => {
                    registry.holder(id, digest, now, visit)?
                }
                (Presented::Known(_), None) => return Err(Unacceptable::Unknown),
                (Presented::Damaged, _) => return Err(Unacceptable::Malformed),
                (Presented::Other, _) => self.of_issuer(token, digest, now, visit.resource).await?,
            },
        };
        if found.expires.is_some_and(|expires| expires <= now) {
            return Err(Unacceptable::Expired);
        }
        self.admits(&found.caller, now).await?;
        Ok(found)
    }

    async fn of_issuer(
        &self,
        token: &str,
        digest: Digest,
        now: Timestamp,
        resource: &str,
    ) -> Result<Arc<Identified>, Unacceptable> {
        if self.issuers.is_empty() {
            return Err(Unacceptable::Unknown);
        }
        let known = match self.memory.get(digest) {
            Some(known) if self.is_current(&known) => known,
            // With other keys, or by another answer, it may be good no more. That is found out by one for all.
            Some(_) => {
                let _turn = self.memory.turn(digest).await;
                match self.memory.get(digest).filter(|known| self.is_current(known)) {
                    Some(known) => known,
                    None => self.accept(token, digest, now, true).await?,
                }
            }
            None => self.accept(token, digest, now, false).await?,
        };
        let issuer = self.issuers.get(known.issuer).ok_or(Unacceptable::Unknown)?;
        if issuer.is_for(&known.audiences, resource) {
            Ok(known.identified)
        } else {
            Err(Unacceptable::Audience)
        }
    }

    /// Whether what is remembered need not be looked at again.
    fn is_current(&self, known: &Remembered) -> bool {
        self.issuers.get(known.issuer).is_some_and(|issuer| issuer.still_holds(known.basis))
    }

    fn inbound(&self, issuer: usize, token: &str) -> Option<Inbound> {
        let issuer = self.issuers.get(issuer)?.name();
        self.exchanged
            .contains(issuer)
            .then(|| Inbound { issuer: issuer.to_owned(), token: SecretString::from(token) })
    }

    async fn accept(
        &self,
        token: &str,
        digest: Digest,
        now: Timestamp,
        was_accepted: bool,
    ) -> Result<Remembered, Unacceptable> {
        let mut issuers = self.issuers.iter().enumerate();
        let (issuer, accepted) = match Jwt::read(token) {
            Ok(jwt) => {
                let by = |iss: &str| issuers.find(|(_, issuer)| issuer.issuer == iss);
                let (index, issuer) = jwt.issuer().and_then(by).ok_or(Unacceptable::Unknown)?;
                (index, issuer.accept(jwt, digest, now).await)
            }
            Err(Unacceptable::Malformed) if self.memory.is_refused(digest) => {
                return Err(Unacceptable::Inactive);
            }
            // There is one at most, so that it need not be guessed whose token it is.
            Err(Unacceptable::Malformed) => {
                let asked = issuers.find(|(_, issuer)| issuer.is_asked());
                let (index, issuer) = asked.ok_or(Unacceptable::Malformed)?;
                (index, issuer.ask(token, digest, now, was_accepted).await)
            }
            Err(wrong) => return Err(wrong),
        };
        let Accepted { caller, audiences, basis } = accepted.inspect_err(|wrong| {
            self.memory.forget(digest);
            if *wrong == Unacceptable::Inactive {
                self.memory.refuse(digest);
            }
        })?;
        let mut identified = Identified::by_chain(caller, &audiences);
        identified.inbound = self.inbound(issuer, token).map(Arc::new);
        let identified = Arc::new(identified);
        let known = Remembered { identified, issuer, audiences, basis };
        self.memory.put(digest, known.clone(), |one| self.is_current(one));
        Ok(known)
    }
}

/// The bearer token in `headers`, if there is a credential.
fn presented(headers: &HeaderMap) -> Result<Option<&str>, Unacceptable> {
    let mut presented = headers.get_all("authorization").iter();
    let header = match (presented.next(), presented.next()) {
        (Some(header), None) => header,
        (None, _) => return Ok(None),
        (Some(_), Some(_)) => return Err(Unacceptable::NotBearer),
    };
    let token = header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim_matches(' '))
        .filter(|token| !token.is_empty());
    token.map(Some).ok_or(Unacceptable::NotBearer)
}

#[cfg(test)]
mod tests;
