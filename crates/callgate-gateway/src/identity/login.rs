//! Signing in at an issuer: OpenID Connect's code flow (Core 1.0 §3.1) with PKCE (RFC 7636), as one client of one issuer.
//!
//! What a sign-in needs to come to its end is kept by the browser that began it, sealed; nothing of it is kept here. The
//! issuer's tokens for access are not asked for and not kept: it is asked who somebody is, and for nothing else.

mod endpoints;

use std::fmt;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use callgate_mcp::document::Document;
use callgate_mcp::http::HeaderValue;
use callgate_mcp::upstream::CallErrorKind;
use callgate_model::ambient::{Ambient, Timestamp};
use callgate_model::digest::Digest;
use callgate_model::json::Json;
use form_urlencoded::Serializer;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};

use super::jwt::Jwt;
use super::{Identities, Issuer, Unacceptable};
use crate::sealing::Keyring;
use endpoints::Endpoints;

/// How long somebody may take at the issuer, in milliseconds.
pub const LOGIN_LASTS_MS: u64 = 10 * 60 * 1000;
/// What a sign-in on its way is sealed for.
const PURPOSE: &str = "console sign-in";
/// How long the issuer's description is good.
const DESCRIPTION_FRESH: Duration = Duration::from_secs(3600);
/// An issuer that cannot be used is not asked again sooner.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Codes that are exchanged at one time, and how long one waits for room.
const EXCHANGES_MAX: usize = 16;
const ROOM_WITHIN: Duration = Duration::from_secs(2);
/// Longest code, and longest word of an issuer that refuses, in bytes.
const CODE_BYTES_MAX: usize = 4 << 10;
const ERROR_BYTES_MAX: usize = 64;

/// How people sign in at an issuer.
#[derive(Debug)]
pub struct Login {
    issuer: String,
    description: Document,
    client: String,
    secret: Option<SecretString>,
    scopes: Vec<String>,
    /// Whether its endpoints may be at addresses that are not encrypted.
    danger_plain_http: bool,
    known: Mutex<Option<(Instant, Result<Endpoints, LoginError>)>>,
    room: Semaphore,
}

/// What an operator says of it.
#[derive(Debug)]
pub struct LoginConfig {
    /// What the operator calls the issuer.
    pub issuer: String,
    /// The issuer's own description (OpenID Connect Discovery 1.0 §4).
    pub description: Document,
    /// As what the issuer knows the console.
    pub client: String,
    /// The console's secret there; a public client has none.
    pub secret: Option<SecretString>,
    /// The scopes that are asked for beside `openid`.
    pub scopes: Vec<String>,
    /// Whether the issuer's endpoints may be at addresses that are not encrypted.
    pub danger_plain_http: bool,
}

/// Somebody on their way to the issuer.
#[derive(Debug)]
pub struct Departure {
    /// Where to send them.
    pub to: String,
    /// What their browser has to bring back.
    pub kept: String,
}

/// What the issuer sends somebody back with (RFC 6749 §4.1.2, RFC 9207). Whatever else it says is not heeded.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    state: String,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// Who has come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Who, as policies call them.
    pub who: String,
    /// Their groups, as policies call them.
    pub groups: Vec<String>,
    /// The console, as the issuer knows it.
    pub client: String,
    /// When the issuer said so.
    pub issued: Timestamp,
    /// When the issuer last made sure that it is them, if it says.
    pub authenticated: Option<Timestamp>,
    /// Where they wanted to go.
    pub next: String,
}

/// Why somebody is not signed in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LoginError {
    /// The answer is none to a question of this browser.
    #[error("it was not begun in this browser, or too long ago, or it is done")]
    NotBegun,
    /// Another issuer answers (RFC 9207 §2.4).
    #[error("the answer is not of the issuer that was asked")]
    Elsewhere,
    /// The issuer says no.
    #[error("the issuer says `{0}`")]
    Refused(String),
    /// The issuer does not take the code, or not from this client.
    #[error("the issuer does not take the code from this client (HTTP {0})")]
    NotTaken(u16),
    /// The issuer cannot be asked.
    #[error("the issuer cannot be asked: {0}")]
    Unreachable(String),
    /// What the issuer says of itself, or answers, cannot be used.
    #[error("the issuer cannot be used: {0}")]
    Unusable(String),
    /// The token that says who it is is none.
    #[error("the issuer's token: {0}")]
    IdToken(#[from] Unacceptable),
}

/// What the browser keeps, sealed.
#[derive(Deserialize, Serialize)]
struct Pending {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
    ends: Timestamp,
}

impl Login {
    /// One, of which nothing is asked before the first comes.
    #[must_use]
    pub fn new(config: LoginConfig) -> Self {
        Self {
            issuer: config.issuer,
            description: config.description,
            client: config.client,
            secret: config.secret,
            scopes: config.scopes,
            danger_plain_http: config.danger_plain_http,
            known: Mutex::default(),
            room: Semaphore::new(EXCHANGES_MAX),
        }
    }

    /// What the operator calls the issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    async fn depart(
        &self,
        issuer: &Issuer,
        keys: &Keyring,
        ambient: &dyn Ambient,
        redirect: &str,
        next: &str,
    ) -> Result<Departure, LoginError> {
        let endpoints = self.endpoints(issuer).await?;
        let random = || URL_SAFE_NO_PAD.encode([ambient.random(), ambient.random()].as_flattened());
        let pending = Pending {
            state: random(),
            nonce: random(),
            verifier: random(),
            next: next.to_owned(),
            ends: ambient.now().after_ms(LOGIN_LASTS_MS),
        };
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(pending.verifier.as_bytes()).as_bytes());
        let scopes = ["openid"].into_iter().chain(self.scopes.iter().map(String::as_str));
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client)
            .append_pair("redirect_uri", redirect)
            .append_pair("scope", &scopes.collect::<Vec<_>>().join(" "))
            .append_pair("state", &pending.state)
            .append_pair("nonce", &pending.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        let and = if endpoints.authorization.contains('?') { '&' } else { '?' };
        let to = format!("{}{and}{query}", endpoints.authorization);
        let plain = serde_json::to_vec(&pending).unwrap_or_default();
        let kept = keys.seal(PURPOSE, redirect.as_bytes(), &plain, ambient.random());
        let kept = kept.ok_or_else(|| LoginError::Unusable("there is no key".to_owned()))?;
        Ok(Departure { to, kept })
    }

    async fn arrive(
        &self,
        issuer: &Issuer,
        pending: Pending,
        answer: Answer,
        redirect: &str,
        now: Timestamp,
    ) -> Result<Arrival, LoginError> {
        let endpoints = self.endpoints(issuer).await?;
        let is_its = match &answer.iss {
            Some(said) => *said == issuer.issuer,
            None => !endpoints.signs_answers,
        };
        if !is_its {
            return Err(LoginError::Elsewhere);
        }
        if let Some(error) = answer.error {
            // A word of the standard, or else nothing that is shown to anybody.
            let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            let is_told = error.len() <= ERROR_BYTES_MAX && error.bytes().all(is_word);
            return Err(LoginError::Refused(if is_told { error } else { "no".to_owned() }));
        }
        let code = answer.code.filter(|code| (1..=CODE_BYTES_MAX).contains(&code.len()));
        let code = code.ok_or(LoginError::NotBegun)?;
        let token = self.exchange(&endpoints, &code, &pending.verifier, redirect).await?;
        let Pending { nonce, next, .. } = pending;
        Ok(Arrival { next, ..issuer.person(&token, &self.client, &nonce, now).await? })
    }

    /// The token that says who somebody is, for the code that they came with (RFC 6749 §4.1.3).
    async fn exchange(
        &self,
        endpoints: &Endpoints,
        code: &str,
        verifier: &str,
        redirect: &str,
    ) -> Result<String, LoginError> {
        let in_form = self.secret.as_ref().filter(|_| endpoints.takes_secret_in_form);
        let authorization = match &self.secret {
            Some(secret) if in_form.is_none() => Some(basic(&self.client, secret)?),
            Some(_) | None => None,
        };
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ];
        if authorization.is_none() {
            form.push(("client_id", &self.client));
            form.extend(in_form.map(|secret| ("client_secret", secret.expose_secret())));
        }
        let form = Serializer::new(String::new()).extend_pairs(form).finish();
        let room = timeout(ROOM_WITHIN, self.room.acquire()).await;
        let Ok(Ok(_room)) = room else {
            return Err(LoginError::Unreachable("too many sign in at one time".to_owned()));
        };
        let answered = endpoints.token.post_form(authorization, form).await;
        let answer = answered.map_err(|error| match error {
            CallErrorKind::Status(status @ 400..=499) => LoginError::NotTaken(status),
            other @ (CallErrorKind::Connect(_)
            | CallErrorKind::NotMcp(_)
            | CallErrorKind::Status(_)
            | CallErrorKind::Timeout
            | CallErrorKind::TooLarge
            | CallErrorKind::Unauthorized) => LoginError::Unreachable(other.to_string()),
        })?;
        let token = answer.get("id_token").and_then(Json::as_str).map(str::to_owned);
        token.ok_or_else(|| LoginError::Unusable("it answers without an `id_token`".to_owned()))
    }

    /// Where the issuer is to be asked: looked up by one for all who wait.
    async fn endpoints(&self, issuer: &Issuer) -> Result<Endpoints, LoginError> {
        let mut known = self.known.lock().await;
        if let Some((at, found)) = &*known {
            let good_for = if found.is_ok() { DESCRIPTION_FRESH } else { RETRY_AFTER };
            if at.elapsed() < good_for {
                return found.clone();
            }
        }
        let found = match self.description.fetch().await {
            Ok(said) => {
                Endpoints::read(&said, &issuer.issuer, &self.description, self.danger_plain_http)
            }
            Err(error) => Err(LoginError::Unreachable(error.to_string())),
        };
        *known = Some((Instant::now(), found.clone()));
        found
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The code is good for whoever has it and the secret.
        f.debug_struct("Answer").field("error", &self.error).finish_non_exhaustive()
    }
}

impl Pending {
    /// What this browser has kept, if `state` is the one that it left with.
    fn open(
        keys: &Keyring,
        kept: Option<&str>,
        redirect: &str,
        state: &str,
        now: Timestamp,
    ) -> Option<Self> {
        let plain = keys.open(PURPOSE, redirect.as_bytes(), kept?)?;
        let pending: Self = serde_json::from_slice(&plain).ok()?;
        let is_same = verify_slices_are_equal(pending.state.as_bytes(), state.as_bytes()).is_ok();
        (is_same && now < pending.ends).then_some(pending)
    }
}

impl Issuer {
    /// Who somebody is, by an ID token of this issuer for `client` in answer to `nonce` (OpenID Connect Core 1.0 §3.1.3.7).
    async fn person(
        &self,
        token: &str,
        client: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Arrival, Unacceptable> {
        let jwt = Jwt::read(token)?;
        if jwt.issuer() != Some(self.issuer.as_str()) {
            return Err(Unacceptable::Unknown);
        }
        // A token for access, or of an event, has a type of its own.
        if jwt.typ.as_deref().is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt")) {
            return Err(Unacceptable::Type);
        }
        let key = self.keys.key(jwt.kid.as_deref()).await?;
        if !key.verifies(jwt.alg, jwt.signed, jwt.signature) {
            return Err(Unacceptable::Signature);
        }
        let claims = jwt.into_claims();
        let is_ours = claims.audiences()? == [client];
        if !is_ours || claims.text("azp")?.is_some_and(|party| party != client) {
            return Err(Unacceptable::Audience);
        }
        let times = claims.times(now, self.age_s_max)?;
        if claims.text("nonce")? != Some(nonce) {
            return Err(Unacceptable::Claim("nonce".to_owned()));
        }
        let (person, groups) = self.mapping.person(&claims, client)?;
        let named = |name: &str| format!("{}/{name}", self.name());
        let at = |seconds: i64| Timestamp::from_unix_ms(seconds.saturating_mul(1000));
        Ok(Arrival {
            who: named(person),
            groups: groups.iter().map(|group| named(group)).collect(),
            client: named(client),
            issued: times.issued.unwrap_or(now),
            authenticated: claims.seconds("auth_time")?.map(at),
            next: String::new(),
        })
    }
}

impl Identities {
    /// People sign in to the console so.
    #[must_use]
    pub fn with_login(mut self, login: Option<Login>) -> Self {
        self.login = login;
        self
    }

    /// How people sign in to the console, if they do at an issuer.
    #[must_use]
    pub const fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Sends somebody to the issuer, who is to come back to `redirect` and then wants to go to `next`.
    pub(crate) async fn depart(
        &self,
        keys: &Keyring,
        ambient: &dyn Ambient,
        redirect: &str,
        next: &str,
    ) -> Result<Departure, LoginError> {
        let (login, issuer) = self.login_at()?;
        login.depart(issuer, keys, ambient, redirect, next).await
    }

    /// Who has come back to `redirect` with `answer`, and what the browser had kept.
    pub(crate) async fn arrive(
        &self,
        keys: &Keyring,
        redirect: &str,
        kept: Option<&str>,
        answer: Answer,
        now: Timestamp,
    ) -> Result<Arrival, LoginError> {
        let (login, issuer) = self.login_at()?;
        let pending = Pending::open(keys, kept, redirect, &answer.state, now);
        let pending = pending.ok_or(LoginError::NotBegun)?;
        login.arrive(issuer, pending, answer, redirect, now).await
    }

    fn login_at(&self) -> Result<(&Login, &Issuer), LoginError> {
        let login = self.login.as_ref();
        let at = |login: &Login| self.issuers.iter().find(|one| one.name() == login.issuer);
        let found = login.and_then(|login| Some((login, at(login)?)));
        found.ok_or_else(|| LoginError::Unusable("none is configured".to_owned()))
    }
}

/// `client_secret_basic` (RFC 6749 §2.3.1).
fn basic(client: &str, secret: &SecretString) -> Result<HeaderValue, LoginError> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = STANDARD.encode(format!("{}:{}", encoded(client), encoded(secret.expose_secret())));
    let value = HeaderValue::try_from(format!("Basic {basic}"));
    let mut value = value.map_err(|error| LoginError::Unusable(error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
