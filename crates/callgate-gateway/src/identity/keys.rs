//! The public keys of an issuer (RFC 7517), fetched when they are needed: by one for all who wait, not more often than
//! every so often, and good for a while if the issuer cannot be reached.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use callgate_mcp::document::Document;
use callgate_model::json::Json;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::Unacceptable;
use super::jwt::algorithm;

/// Keys of one issuer.
const KEYS_MAX: usize = 64;

/// How long keys are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// They are fetched again after this.
    pub fresh: Duration,
    /// They are used no more after this, even if there are no others.
    pub stale_max: Duration,
    /// The issuer is not asked again sooner, whatever keys tokens name.
    pub refetch_min: Duration,
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(3600),
            stale_max: Duration::from_secs(24 * 3600),
            refetch_min: Duration::from_secs(30),
        }
    }
}

/// Where the keys are.
#[derive(Debug)]
pub enum KeySource {
    /// In this document.
    Jwks(Document),
    /// In the one that the issuer's own description names, which must be at one of these origins.
    Metadata {
        /// The description (RFC 8414, or OpenID Connect Discovery).
        document: Document,
        /// The issuer that it must be of.
        issuer: String,
        /// `https://host[:port]` of where its keys may be.
        origins: Vec<String>,
    },
}

/// One key.
#[derive(Clone)]
pub(super) struct Key {
    decoding: Arc<DecodingKey>,
    /// The algorithms that it is for.
    algorithms: Vec<Algorithm>,
    /// When it was fetched.
    pub(super) fetched: Instant,
}

struct Fetched {
    by_id: HashMap<String, Key>,
    /// The one without an id, if it is the only key.
    only: Option<Key>,
    at: Instant,
}

/// The keys of one issuer. Clones share them.
#[derive(Clone)]
pub(super) struct KeyRing(Arc<Ring>);

struct Ring {
    source: KeySource,
    /// What the operator allows.
    algorithms: Vec<Algorithm>,
    limits: KeyLimits,
    current: ArcSwapOption<Fetched>,
    /// Held while keys are fetched: when that was tried last.
    fetching: Arc<Mutex<Option<Instant>>>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing").field("source", &self.0.source).finish_non_exhaustive()
    }
}

impl Key {
    pub(super) fn verifies(&self, alg: Algorithm, signed: &str, signature: &str) -> bool {
        let verify = jsonwebtoken::crypto::verify;
        self.algorithms.contains(&alg)
            && verify(signature, signed.as_bytes(), &self.decoding, alg).unwrap_or(false)
    }
}

impl KeyRing {
    pub(super) fn new(source: KeySource, algorithms: Vec<Algorithm>, limits: KeyLimits) -> Self {
        let (current, fetching) = (ArcSwapOption::empty(), Arc::default());
        Self(Arc::new(Ring { source, algorithms, limits, current, fetching }))
    }

    /// The key that a token names, fetched if it is not known.
    pub(super) async fn key(&self, id: Option<&str>) -> Result<Key, Unacceptable> {
        let known = self.0.known(id);
        if let Some((key, true)) = known {
            return Ok(key);
        }
        // A key that is merely old serves while somebody else fetches.
        let fetching = Arc::clone(&self.0.fetching);
        let tried = match (known, Arc::clone(&fetching).try_lock_owned()) {
            (Some((key, _)), Err(_held)) => return Ok(key),
            (_, Ok(tried)) => tried,
            (None, Err(_held)) => fetching.lock_owned().await,
        };
        // Who held it before may have fetched what is wanted.
        if let Some((key, true)) = self.0.known(id) {
            return Ok(key);
        }
        if tried.is_none_or(|at| at.elapsed() >= self.0.limits.refetch_min) {
            // A task of its own: whoever's request made us ask may go away, and others wait for the same keys.
            let ring = Arc::clone(&self.0);
            tokio::spawn(async move { ring.refresh(tried).await }).await.ok();
        }
        let current = self.0.current.load();
        let has_keys =
            current.as_ref().is_some_and(|keys| keys.at.elapsed() < self.0.limits.stale_max);
        let unknown = if has_keys { Unacceptable::UnknownKey } else { Unacceptable::NoKeys };
        self.0.known(id).map(|(key, _)| key).ok_or(unknown)
    }

    /// Fetches them once, whatever is known of them: how many can be used.
    pub(super) async fn count(&self) -> Result<usize, String> {
        let fetched = self.0.fetch().await?;
        Ok(fetched.by_id.len().max(usize::from(fetched.only.is_some())))
    }

    /// What is asked first for them.
    pub(super) fn place(&self) -> &Document {
        match &self.0.source {
            KeySource::Jwks(document) | KeySource::Metadata { document, .. } => document,
        }
    }

    /// Whether the keys that were fetched then are still those that count, and need not be fetched again.
    pub(super) fn is_current(&self, fetched: Instant) -> bool {
        let current = self.0.current.load();
        current.as_ref().is_some_and(|keys| keys.at == fetched)
            && fetched.elapsed() < self.0.limits.fresh
    }
}

impl Ring {
    async fn refresh(&self, mut tried: OwnedMutexGuard<Option<Instant>>) {
        *tried = Some(Instant::now());
        match self.fetch().await {
            Ok(fetched) => self.current.store(Some(Arc::new(fetched))),
            Err(error) => tracing::warn!(error, "keys of an issuer cannot be fetched"),
        }
    }

    /// The key that is known, and whether it need not be fetched again.
    fn known(&self, id: Option<&str>) -> Option<(Key, bool)> {
        let fetched = self.current.load_full()?;
        let age = fetched.at.elapsed();
        let key = match id {
            Some(id) => fetched.by_id.get(id),
            None => fetched.only.as_ref(),
        };
        let key = key.filter(|_| age < self.limits.stale_max)?;
        Some((key.clone(), age < self.limits.fresh))
    }

    async fn fetch(&self) -> Result<Fetched, String> {
        let fetched = match &self.source {
            KeySource::Jwks(document) => document.fetch().await,
            KeySource::Metadata { document, issuer, origins } => {
                let metadata = document.fetch().await.map_err(|error| error.to_string())?;
                keys_of(&metadata, issuer, origins, document)?.fetch().await
            }
        };
        self.read(&fetched.map_err(|error| error.to_string())?)
    }

    /// Reads a set of keys. Of two with one id neither can be meant (I06).
    fn read(&self, set: &Json) -> Result<Fetched, String> {
        let keys = set.get("keys").and_then(Json::as_array).ok_or("`keys` must be an array")?;
        if keys.len() > KEYS_MAX {
            return Err(format!("more than {KEYS_MAX} keys"));
        }
        let (mut by_id, mut twice, mut nameless) = (HashMap::new(), Vec::new(), Vec::new());
        let at = Instant::now();
        for (key, json) in keys.iter().filter_map(|json| Some((self.read_key(json, at)?, json))) {
            match json.get("kid").and_then(Json::as_str) {
                Some(id) => {
                    if by_id.insert(id.to_owned(), key).is_some() {
                        twice.push(id.to_owned());
                    }
                }
                None => nameless.push(key),
            }
        }
        twice.iter().for_each(|id| drop(by_id.remove(id)));
        let only = match (nameless.pop(), keys.len()) {
            (Some(only), 1) => Some(only),
            // A token need not name the only key there is.
            (None, 1) => by_id.values().next().cloned(),
            (Some(_) | None, _) => None,
        };
        // None at all is an answer, too: they were withdrawn.
        if by_id.is_empty() && only.is_none() {
            tracing::warn!("an issuer has no key that can be used");
        }
        Ok(Fetched { by_id, only, at })
    }

    /// A public key for signatures. Of any other kind nothing is taken.
    fn read_key(&self, json: &Json, fetched: Instant) -> Option<Key> {
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        if text("use").is_some_and(|used| used != "sig") {
            return None;
        }
        let operations = json.get("key_ops").and_then(Json::as_array);
        if operations.is_some_and(|all| !all.iter().any(|one| one.as_str() == Some("verify"))) {
            return None;
        }
        let (decoding, family, curve) = match text("kty")? {
            "RSA" => (
                DecodingKey::from_rsa_components(text("n")?, text("e")?),
                AlgorithmFamily::Rsa,
                None,
            ),
            "EC" => {
                let alg = match text("crv")? {
                    "P-256" => Algorithm::ES256,
                    "P-384" => Algorithm::ES384,
                    _ => return None,
                };
                (
                    DecodingKey::from_ec_components(text("x")?, text("y")?),
                    AlgorithmFamily::Ec,
                    Some(alg),
                )
            }
            "OKP" if text("crv") == Some("Ed25519") => {
                (DecodingKey::from_ed_components(text("x")?), AlgorithmFamily::Ed, None)
            }
            _ => return None,
        };
        let named = match text("alg") {
            Some(name) => Some(algorithm(name)?),
            None => None,
        };
        let is_for = |alg: &&Algorithm| {
            family.algorithms().contains(alg)
                && curve.is_none_or(|curve| curve == **alg)
                && named.is_none_or(|named| named == **alg)
        };
        let algorithms: Vec<_> = self.algorithms.iter().filter(is_for).copied().collect();
        let decoding = Arc::new(decoding.ok()?);
        (!algorithms.is_empty()).then_some(Key { decoding, algorithms, fetched })
    }
}

/// Where an issuer says that its keys are.
fn keys_of(
    metadata: &Json,
    issuer: &str,
    origins: &[String],
    beside: &Document,
) -> Result<Document, String> {
    if metadata.get("issuer").and_then(Json::as_str) != Some(issuer) {
        return Err(format!("it is not the description of {issuer}"));
    }
    let url = metadata.get("jwks_uri").and_then(Json::as_str).ok_or("`jwks_uri` is missing")?;
    let begins = |origin: &String| {
        url.strip_prefix(origin.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    if !origins.iter().any(begins) {
        return Err(format!("{url} is not at the issuer's address: configure `jwks_url`"));
    }
    let parsed = url.parse().map_err(|_unreadable| format!("{url} is no address"))?;
    beside.at(parsed).map_err(|error| error.to_string())
}
