//! What the gateway says over its own signature: that a call went through the gate, and for whom it acts.
//!
//! A server that asks for the first refuses calls that went around the gate, whatever credential they come with.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use callgate_mcp::http::HeaderValue;
use callgate_model::ambient::{Ambient, Id, Timestamp};
use callgate_model::call::ToolCall;
use callgate_model::caller::{Agent, Caller};
use callgate_model::digest::Digest;
use callgate_model::json::{Json, Object};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::pipeline::shorten;

/// Where the keys are published.
pub const WELL_KNOWN: &str = "/.well-known/callgate-jwks.json";

/// How long a signed statement is good, in seconds: for the clocks of two machines, and to be on its way.
const GOOD_FOR_S: i64 = 60;

/// The gateway's key, by which its statements are known.
pub struct Signer {
    issuer: String,
    key: Ed25519KeyPair,
    /// The key's thumbprint (RFC 7638).
    id: String,
}

/// Not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it is no Ed25519 key: PKCS#8 in PEM, or the base64 of its 32 bytes")]
pub struct NotAKey;

/// For whom and to whom a call is made. What the call is, is the permit's to say.
#[derive(Clone, Copy, Debug)]
pub struct Voucher<'a> {
    /// Who signs.
    pub signer: &'a Signer,
    /// The server's address.
    pub server: &'a str,
    /// Who calls.
    pub caller: &'a Caller,
    /// The policies by which it was allowed.
    pub bundle: Digest,
    /// The time.
    pub now: Timestamp,
}

impl Signer {
    /// A signer who calls itself `issuer`, the gateway's address.
    ///
    /// # Errors
    /// [`NotAKey`].
    pub fn new(issuer: String, key: &SecretString) -> Result<Self, NotAKey> {
        let key = read_key(key.expose_secret()).ok_or(NotAKey)?;
        let id = Digest::of(&jwk(&key).canonical());
        Ok(Self { issuer, key, id: URL_SAFE_NO_PAD.encode(id.as_bytes()) })
    }

    /// The public key, as it is published (RFC 7517).
    #[must_use]
    pub fn published(&self) -> Object {
        let key =
            jwk(&self.key).with("kid", self.id.as_str()).with("use", "sig").with("alg", "EdDSA");
        Object::default().with("keys", vec![Json::from(key)])
    }

    /// Names the agent that acts, and those before it, to a token endpoint (RFC 8693 §2.1). `None` if no agent acts.
    pub(crate) fn actor_token(
        &self,
        caller: &Caller,
        endpoint: &str,
        ambient: &dyn Ambient,
    ) -> Option<String> {
        let mut claims = acting(caller.agent.as_ref()?, &caller.actors);
        let id = ambient.id();
        self.state(&mut claims, endpoint, id, ambient.now());
        Some(self.sign("JWT", &claims))
    }

    fn state(&self, claims: &mut Object, to: &str, id: Id, now: Timestamp) {
        let now = now.unix_ms() / 1000;
        claims.set("iss", self.issuer.as_str());
        claims.set("aud", to);
        claims.set("iat", now);
        claims.set("exp", now + GOOD_FOR_S);
        claims.set("jti", id.to_string());
    }

    /// A JSON Web Token in its compact form.
    fn sign(&self, typ: &str, claims: &Object) -> String {
        let header =
            Object::default().with("alg", "EdDSA").with("kid", self.id.as_str()).with("typ", typ);
        let encoded = |part: &Object| URL_SAFE_NO_PAD.encode(part.to_text());
        let signed = format!("{}.{}", encoded(&header), encoded(claims));
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Voucher<'_> {
    /// Says that `call` went through the gate under the name `id`. Only a permit that is spent has both.
    pub(crate) fn header(&self, id: Id, call: &ToolCall) -> Option<HeaderValue> {
        let accountable = &self.caller.accountable;
        let mut claims = Object::default()
            .with("sub", accountable.identity.to_string())
            .with("sub_kind", accountable.kind.as_str())
            .with("method", call.method.as_str())
            // As the record has it: a URI may be longer than a header.
            .with("tool", shorten(&call.tool))
            .with("args", URL_SAFE_NO_PAD.encode(call.arguments_digest.as_bytes()))
            .with("bundle", self.bundle.to_string());
        if let Some(agent) = &self.caller.agent {
            claims.set("act", acting(agent, &self.caller.actors));
        }
        self.signer.state(&mut claims, self.server, id, self.now);
        let mut value = HeaderValue::from_str(&self.signer.sign("callgate+jwt", &claims)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("issuer", &self.issuer)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Who acts, and within that who acted before, as tokens have it (RFC 8693 §4.1).
fn acting(agent: &Agent, earlier: &[Agent]) -> Object {
    let named = |agent: &Agent| Object::default().with("sub", agent.identity.to_string());
    let before = earlier.iter().rev().fold(None, |within: Option<Object>, agent| {
        let mut actor = named(agent);
        if let Some(within) = within {
            actor.set("act", within);
        }
        Some(actor)
    });
    let mut actor = named(agent);
    if let Some(before) = before {
        actor.set("act", before);
    }
    actor
}

/// What of a key makes its thumbprint (RFC 8037 §2, RFC 7638 §3.2).
fn jwk(key: &Ed25519KeyPair) -> Object {
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    Object::default().with("crv", "Ed25519").with("kty", "OKP").with("x", x)
}

fn read_key(text: &str) -> Option<Ed25519KeyPair> {
    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    const END: &str = "-----END PRIVATE KEY-----";
    let text = text.trim();
    if let Some(rest) = text.strip_prefix(BEGIN) {
        let body: String = rest.strip_suffix(END)?.split_ascii_whitespace().collect();
        return Ed25519KeyPair::from_pkcs8(&STANDARD.decode(body).ok()?).ok();
    }
    Ed25519KeyPair::from_seed_unchecked(&STANDARD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests;
