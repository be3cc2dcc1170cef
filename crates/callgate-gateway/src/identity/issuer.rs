//! An issuer whose tokens are accepted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callgate_mcp::document::Document;
use callgate_model::ambient::Timestamp;
use callgate_model::caller::{Caller, Credential, CredentialKind};
use callgate_model::digest::Digest;
use callgate_model::envelope::{Envelope, Portions};
use jsonwebtoken::Algorithm;
use tokio::time::Instant;

use super::Unacceptable;
use super::claims::{KnownAgent, Mapping};
use super::details::{self, DetailRule};
use super::introspection::Introspection;
use super::jwt::{Claims, Jwt, algorithm};
use super::keys::{KeyLimits, KeyRing, KeySource};

/// What is accepted if nothing else is said.
const ALGORITHMS: &[Algorithm] =
    &[Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::PS256, Algorithm::RS256];

/// How long an issuer's answer about a token holds. It may have been withdrawn a moment later.
const ANSWER_HOLDS: Duration = Duration::from_secs(30);

/// What an operator says of an issuer.
#[derive(Debug)]
pub struct IssuerConfig {
    /// What policies and records call it.
    pub name: String,
    /// The `iss` of its tokens, byte for byte.
    pub issuer: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// How long keys are good.
    pub key_limits: KeyLimits,
    /// The algorithms of its tokens, by their names; empty for the usual ones.
    pub algorithms: Vec<String>,
    /// The `aud` of its tokens, one of them, byte for byte; empty if it is the address of what is asked.
    pub audiences: Vec<String>,
    /// How old a token may become, in seconds.
    pub age_s_max: i64,
    /// How its claims become a chain.
    pub mapping: Mapping,
    /// The scopes that clients should ask it for.
    pub scopes: Vec<String>,
    /// What each scope covers; empty, if scopes do not count.
    pub portions: Portions,
    /// Where it is asked about tokens that say nothing by themselves.
    pub introspection: Option<Introspection>,
    /// For whom its events are, if they are taken.
    pub events: Option<String>,
    /// For whom its transaction tokens are, if they are taken.
    pub transactions: Option<String>,
}

/// An issuer whose tokens are accepted.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    pub(super) issuer: String,
    pub(super) keys: KeyRing,
    pub(super) audiences: Vec<String>,
    pub(super) age_s_max: i64,
    pub(super) mapping: Mapping,
    pub(super) scopes: Vec<String>,
    portions: Arc<Portions>,
    introspection: Option<Introspection>,
    pub(super) events: Option<String>,
    pub(super) transactions: Option<String>,
}

/// What a good token says.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) caller: Caller,
    /// For whom it is.
    pub(super) audiences: Vec<String>,
    /// By what that is known.
    pub(super) basis: Basis,
}

/// By what it is known that a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// A key that was fetched then.
    Keys(Instant),
    /// What the issuer answered then.
    Answer(Instant),
}

impl Issuer {
    /// An issuer, whose keys are fetched when the first token comes.
    ///
    /// # Errors
    /// An algorithm that is not known, or is not one of public keys.
    pub fn new(config: IssuerConfig) -> Result<Self, String> {
        let named = config.algorithms.iter().map(|name| {
            algorithm(name).ok_or_else(|| format!("`{name}` is no algorithm of public keys"))
        });
        let mut algorithms = named.collect::<Result<Vec<_>, _>>()?;
        if algorithms.is_empty() {
            algorithms.extend(ALGORITHMS);
        }
        Ok(Self {
            name: config.name,
            issuer: config.issuer,
            keys: KeyRing::new(config.keys, algorithms, config.key_limits),
            audiences: config.audiences,
            age_s_max: config.age_s_max,
            mapping: config.mapping,
            scopes: config.scopes,
            portions: Arc::new(config.portions),
            introspection: config.introspection,
            events: config.events,
            transactions: config.transactions,
        })
    }

    /// Checks a token that says that it is of this issuer.
    pub(super) async fn accept(
        &self,
        jwt: Jwt<'_>,
        token: Digest,
        now: Timestamp,
    ) -> Result<Accepted, Unacceptable> {
        if !self.mapping.profile.is_type(jwt.typ.as_deref()) {
            return Err(Unacceptable::Type);
        }
        let key = self.keys.key(jwt.kid.as_deref()).await?;
        if !key.verifies(jwt.alg, jwt.signed, jwt.signature) {
            return Err(Unacceptable::Signature);
        }
        let basis = Basis::Keys(key.fetched);
        self.accepted(&jwt.into_claims(), CredentialKind::Jwt, token, now, basis)
    }

    /// Whether it is to be asked about tokens that say nothing by themselves.
    pub(super) const fn is_asked(&self) -> bool {
        self.introspection.is_some()
    }

    /// Asks it about a token that says nothing by itself.
    pub(super) async fn ask(
        &self,
        token: &str,
        digest: Digest,
        now: Timestamp,
        was_accepted: bool,
    ) -> Result<Accepted, Unacceptable> {
        let introspection = self.introspection.as_ref().ok_or(Unacceptable::Malformed)?;
        let asked = Instant::now();
        let claims = introspection.ask(token, &self.issuer, was_accepted).await?;
        self.accepted(&claims, CredentialKind::Opaque, digest, now, Basis::Answer(asked))
    }

    fn accepted(
        &self,
        claims: &Claims,
        kind: CredentialKind,
        token: Digest,
        now: Timestamp,
        basis: Basis,
    ) -> Result<Accepted, Unacceptable> {
        let times = claims.times(now, self.age_s_max)?;
        let audiences = claims.audiences()?;
        let (issued, expires) = (times.issued, Some(times.expires));
        let details = details::portions(&self.mapping.details, claims, &audiences)?;
        // Neither counts unless something is said of what one of them covers.
        let counts = !self.portions.is_empty() || !self.mapping.details.is_empty();
        let scopes = match counts {
            true => {
                let held = self.mapping.scopes(claims)?;
                let scopes = Envelope::new(Arc::clone(&self.portions), held);
                Some(scopes.with_details(details))
            }
            false => None,
        };
        let id = claims.text("jti")?.map(|jti| format!("{}/{jti}", self.name));
        let credential =
            Credential { kind, id, digest: token, issued, expires, scopes, within: None };
        let caller = self.mapping.caller(&self.name, claims, credential)?;
        Ok(Accepted { caller, audiences, basis })
    }

    /// Whether what was accepted on that basis need not be looked at again.
    pub(super) fn still_holds(&self, basis: Basis) -> bool {
        match basis {
            Basis::Keys(fetched) => self.keys.is_current(fetched),
            Basis::Answer(asked) => asked.elapsed() < ANSWER_HOLDS,
        }
    }

    /// The agents that the operator knows, by their ids at the issuer.
    #[must_use]
    pub const fn agents(&self) -> &BTreeMap<String, KnownAgent> {
        &self.mapping.agents
    }

    /// What its `authorization_details` mean, by their type.
    #[must_use]
    pub const fn details(&self) -> &BTreeMap<String, DetailRule> {
        &self.mapping.details
    }

    /// What each of its scopes covers; empty, if they do not count.
    #[must_use]
    pub fn portions(&self) -> &Portions {
        &self.portions
    }

    /// Fetches its keys, for whoever wants to know whether that works: how many can be used.
    ///
    /// # Errors
    /// Why they are not had.
    pub async fn try_keys(&self) -> Result<usize, String> {
        self.keys.count().await
    }

    /// What is asked first for its keys.
    #[must_use]
    pub fn keys_at(&self) -> &Document {
        self.keys.place()
    }

    /// Whether a connection can be made to where it is asked about tokens, if it is.
    pub async fn reach_introspection(&self) -> Option<Result<(), String>> {
        Some(self.introspection.as_ref()?.reach().await)
    }

    /// What policies and records call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a token for `audiences` is for `resource`.
    pub(super) fn is_for(&self, audiences: &[String], resource: &str) -> bool {
        audiences.iter().any(|audience| {
            if self.audiences.is_empty() {
                audience == resource && !resource.is_empty()
            } else {
                self.audiences.contains(audience)
            }
        })
    }
}
