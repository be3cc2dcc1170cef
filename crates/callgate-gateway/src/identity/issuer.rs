//! An issuer whose tokens are accepted.

use callgate_model::ambient::Timestamp;
use callgate_model::caller::Caller;
use callgate_model::digest::Digest;
use jsonwebtoken::Algorithm;
use tokio::time::Instant;

use super::Unacceptable;
use super::claims::Mapping;
use super::jwt::{Jwt, algorithm};
use super::keys::{KeyLimits, KeyRing, KeySource};

/// What is accepted if nothing else is said.
const ALGORITHMS: &[Algorithm] =
    &[Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::PS256, Algorithm::RS256];

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
}

/// An issuer whose tokens are accepted.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    pub(super) issuer: String,
    keys: KeyRing,
    pub(super) audiences: Vec<String>,
    age_s_max: i64,
    mapping: Mapping,
    pub(super) scopes: Vec<String>,
}

/// What a good token says.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) caller: Caller,
    /// For whom it is.
    pub(super) audiences: Vec<String>,
    /// When the key was fetched by which that is known.
    pub(super) keys_of: Instant,
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
        let keys_of = key.fetched;
        let claims = jwt.into_claims();
        let times = claims.times(now, self.age_s_max)?;
        let audiences = claims.audiences()?;
        let caller = self.mapping.caller(&self.name, &claims, token, times)?;
        Ok(Accepted { caller, audiences, keys_of })
    }

    /// Whether what was accepted by its keys of then need not be looked at again.
    pub(super) fn still_has(&self, keys_of: Instant) -> bool {
        self.keys.is_current(keys_of)
    }

    /// Whether a token for `audiences` is for `resource`.
    pub(super) fn is_for(&self, audiences: &[String], resource: &str) -> bool {
        audiences.iter().any(|audience| {
            if self.audiences.is_empty() {
                audience == resource
            } else {
                self.audiences.contains(audience)
            }
        })
    }
}
