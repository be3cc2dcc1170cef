//! Sessions: what a browser has, and what the store knows of it. The store has digests only, so that whoever reads it is
//! nobody by that; and a token that somebody signed in with is sealed by what their browser has, so that it can be used for
//! them alone.

use std::sync::Arc;
use std::time::Duration;

use callgate_gateway::pipeline::Gateway;
use callgate_gateway::sealing::Keyring;
use callgate_model::ambient::{Ambient, Id, Timestamp};
use callgate_model::authority::{ConsoleSession, Way};
use callgate_model::caller::Caller;
use callgate_model::digest::{Digest, hex};
use callgate_store::{EvidenceError, SessionState};
use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::cookie::{self, Cookie, Cookies};
use crate::config::Roles;

/// What a token is sealed for in a session.
const PURPOSE: &str = "console session";
/// How often it is written down that somebody is there, in milliseconds.
const WRITTEN_EVERY_MS: u64 = 60 * 1000;
/// For the store to say who it is.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Everybody who has signed in.
#[derive(Clone)]
pub(super) struct Sessions {
    gateway: Arc<Gateway>,
    ambient: Arc<dyn Ambient>,
    roles: Arc<Roles>,
    pub(super) cookies: Cookies,
}

/// One of them.
pub(super) struct Session {
    kept: ConsoleSession,
    csrf: String,
    token: Option<SecretString>,
}

/// Somebody who signs in.
pub(super) struct Newcomer<'a> {
    pub(super) way: Way,
    pub(super) who: String,
    pub(super) groups: Vec<String>,
    pub(super) client: String,
    pub(super) issued: Timestamp,
    pub(super) authenticated: Option<Timestamp>,
    /// What they signed in with, if that is a token.
    pub(super) token: Option<&'a str>,
}

/// The store does not say.
pub(super) struct Unknown;

impl Sessions {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        ambient: Arc<dyn Ambient>,
        roles: Roles,
        is_secure: bool,
    ) -> Self {
        Self { gateway, ambient, roles: Arc::new(roles), cookies: Cookies { is_secure } }
    }

    /// A session of `who`, not yet begun, and what their browser is to have.
    pub(super) fn make(&self, newcomer: Newcomer<'_>) -> (ConsoleSession, String) {
        let (value, now) = (self.secret(), self.ambient.now());
        let sealed = newcomer.token.and_then(|token| {
            let keys = Keyring::of_secret(&value);
            keys.seal(PURPOSE, newcomer.who.as_bytes(), token.as_bytes(), self.ambient.random())
        });
        let session = ConsoleSession {
            id: self.ambient.id(),
            digest: Digest::of(value.as_bytes()),
            way: newcomer.way,
            who: newcomer.who,
            groups: newcomer.groups,
            client: newcomer.client,
            issued: newcomer.issued,
            authenticated: newcomer.authenticated,
            begun: now,
            ends: now.after_ms(ConsoleSession::LASTS_MS),
            sealed,
        };
        (session, value)
    }

    /// Begins a session, which uses up `link`, and gives the cookie of it. Whoever had signed in before in this browser has
    /// signed out.
    pub(super) async fn begin(
        &self,
        headers: &HeaderMap,
        (session, value): (ConsoleSession, String),
        link: Option<Id>,
    ) -> Result<Option<HeaderValue>, EvidenceError> {
        self.gateway.sign_in(Box::new(session), link).await?;
        if let Ok(Some(before)) = self.of(headers).await {
            self.end(&before).await;
        }
        Ok(self.cookies.set(Cookie::Session, &value, ConsoleSession::LASTS_MS / 1000))
    }

    /// The session of a request.
    pub(super) async fn of(&self, headers: &HeaderMap) -> Result<Option<Session>, Unknown> {
        let Some(value) = self.cookies.get(Cookie::Session, headers) else { return Ok(None) };
        let store = self.gateway.authority().ok_or(Unknown)?;
        let found = timeout(ANSWER_WITHIN, store.session(Digest::of(value.as_bytes()))).await;
        let found = found.map_err(|_elapsed| Unknown)?.map_err(|error| {
            tracing::error!(%error, "a session cannot be looked up");
            Unknown
        })?;
        let now = self.ambient.now();
        let Some(SessionState { session: kept, seen }) = found else { return Ok(None) };
        let token = kept.sealed.as_ref().and_then(|sealed| {
            let plain = Keyring::of_secret(value).open(PURPOSE, kept.who.as_bytes(), sealed)?;
            String::from_utf8(plain).ok().map(SecretString::from)
        });
        if !kept.is_good(seen, now) || (kept.way == Way::Token && token.is_none()) {
            return Ok(None);
        }
        if now.ms_since(seen) >= WRITTEN_EVERY_MS
            && let Err(error) = store.seen(kept.id, now).await
        {
            // It seems idle, and ends the sooner.
            tracing::warn!(%error, "it cannot be written down that somebody is there");
        }
        Ok(Some(Session { kept, csrf: cookie::csrf(value), token }))
    }

    /// Who has it, if no token says so.
    pub(super) fn caller(&self, session: &Session) -> Caller {
        session.kept.caller(self.roles.groups_of(&session.kept))
    }

    /// Who is what.
    pub(super) fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Ends a session, and gives the cookie that says so.
    pub(super) async fn end(&self, session: &Session) -> Option<HeaderValue> {
        let kept = &session.kept;
        if let Err(error) = self.gateway.sign_out(kept.who.clone(), kept.id).await {
            tracing::error!(%error, "it cannot be recorded that somebody signs out");
        }
        self.cookies.clear(Cookie::Session)
    }

    /// 256 bits that nobody can guess, in letters.
    pub(super) fn secret(&self) -> String {
        hex([self.ambient.random(), self.ambient.random()].as_flattened())
    }
}

impl Session {
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(ExposeSecret::expose_secret)
    }

    /// Whether it is the one of that id.
    pub(super) fn is(&self, id: Id) -> bool {
        self.kept.id == id
    }

    pub(super) const fn id(&self) -> Id {
        self.kept.id
    }

    /// Whether somebody has signed in to it within so many milliseconds, and by which way.
    pub(super) fn since(&self, now: Timestamp, within_ms: u64) -> (bool, Way) {
        (now.ms_since(self.kept.begun) < within_ms, self.kept.way)
    }

    /// What every form of this session carries.
    pub(super) fn csrf(&self) -> &str {
        &self.csrf
    }

    pub(super) fn is_guarded_by(&self, csrf: &str) -> bool {
        cookie::is_same(&self.csrf, csrf)
    }
}

#[cfg(test)]
mod tests;
