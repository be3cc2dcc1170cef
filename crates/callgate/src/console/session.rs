//! Who has signed in. Sessions are in memory: a restart ends them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use callgate_model::ambient::{Ambient, Timestamp};
use callgate_model::digest::Digest;
use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

/// How long a session lasts, and how long without a request, in milliseconds.
const LASTS_MS: u64 = 8 * 60 * 60 * 1000;
const IDLE_MS: u64 = 30 * 60 * 1000;
/// The most sessions at one time.
const SESSIONS_MAX: usize = 1_000;

/// Everybody who has signed in, by the digest of what their browser has.
#[derive(Debug)]
pub(super) struct Sessions {
    known: Mutex<HashMap<Digest, Known>>,
    is_secure: bool,
}

#[derive(Debug)]
struct Known {
    token: SecretString,
    csrf: String,
    begun: Timestamp,
    seen: Timestamp,
}

/// One of them.
pub(super) struct Session {
    key: Digest,
    token: SecretString,
    csrf: String,
}

impl Sessions {
    pub(super) fn new(is_secure: bool) -> Self {
        Self { known: Mutex::default(), is_secure }
    }

    /// The name of the cookie. The prefix binds it to this host and to `https`, which there is not on loopback.
    const fn name(&self) -> &'static str {
        if self.is_secure { "__Host-callgate" } else { "callgate" }
    }

    fn cookie(&self, value: &str, seconds: u64) -> Option<HeaderValue> {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let name = self.name();
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(text).ok()
    }

    /// Begins a session, and gives the cookie of it. `None`: there is no room.
    pub(super) fn begin(
        &self,
        token: &str,
        now: Timestamp,
        ambient: &dyn Ambient,
    ) -> Option<HeaderValue> {
        let value = hex(&[ambient.random(), ambient.random()]);
        let csrf = hex(&[ambient.random(), ambient.random()]);
        let mut known = self.known();
        known.retain(|_, one| one.is_good(now));
        if known.len() >= SESSIONS_MAX {
            return None;
        }
        let token = SecretString::from(token);
        known.insert(Digest::of(value.as_bytes()), Known { token, csrf, begun: now, seen: now });
        self.cookie(&value, LASTS_MS / 1000)
    }

    /// The session of a request.
    pub(super) fn of(&self, headers: &HeaderMap, now: Timestamp) -> Option<Session> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|all| all.to_str().ok());
        let mut ours = cookies.flat_map(|all| all.split("; ")).filter_map(|one| {
            one.split_once('=').filter(|(name, _)| *name == self.name()).map(|(_, value)| value)
        });
        // Of two, one was put there by somebody else.
        let (Some(value), None) = (ours.next(), ours.next()) else { return None };
        let key = Digest::of(value.as_bytes());
        let mut known = self.known();
        let one = known.get_mut(&key).filter(|one| one.is_good(now))?;
        one.seen = now;
        Some(Session { key, token: one.token.clone(), csrf: one.csrf.clone() })
    }

    /// Ends a session, and gives the cookie that says so.
    pub(super) fn end(&self, session: &Session) -> HeaderValue {
        self.known().remove(&session.key);
        self.cookie("", 0).unwrap_or_else(|| HeaderValue::from_static(""))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_good(&self, now: Timestamp) -> bool {
        now.ms_since(self.begun) < LASTS_MS && now.ms_since(self.seen) < IDLE_MS
    }
}

impl Session {
    pub(super) fn token(&self) -> &str {
        self.token.expose_secret()
    }

    /// What every form of this session carries.
    pub(super) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Compared by digests, which tell nobody how much of it was right.
    pub(super) fn is_guarded_by(&self, csrf: &str) -> bool {
        Digest::of(self.csrf.as_bytes()) == Digest::of(csrf.as_bytes())
    }
}

fn hex(parts: &[[u8; 16]]) -> String {
    parts.iter().flatten().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::Machine;

    fn headers(cookies: &[&str]) -> HeaderMap {
        let value = |text: &&str| (header::COOKIE, HeaderValue::try_from(*text).unwrap());
        cookies.iter().map(value).collect()
    }

    #[test]
    fn s01_a_session_is_its_cookies_alone_and_ends() {
        let (sessions, now) = (Sessions::new(true), Machine.now());
        let cookie = sessions.begin("token", now, &Machine).unwrap();
        let cookie = cookie.to_str().unwrap();
        assert!(
            cookie.starts_with("__Host-callgate=")
                && cookie.ends_with("; HttpOnly; SameSite=Lax; Secure")
        );
        let pair = cookie.split(';').next().unwrap();
        let session = sessions.of(&headers(&[&format!("a=b; {pair}")]), now).unwrap();
        assert_eq!(session.token(), "token");
        assert!(session.is_guarded_by(session.csrf()) && !session.is_guarded_by(""));
        let both = format!("{pair}; __Host-callgate=other");
        for other in ["", "callgate=x", "__Host-callgate=", "__Host-callgate=0000", &both] {
            assert!(sessions.of(&headers(&[other]), now).is_none(), "{other}");
        }
        assert!(
            sessions.of(&headers(&[pair]), now.after_ms(IDLE_MS)).is_none(),
            "nobody was there"
        );
        let mut later = now;
        while later.ms_since(now) + IDLE_MS < LASTS_MS {
            later = later.after_ms(IDLE_MS - 1);
            assert!(sessions.of(&headers(&[pair]), later).is_some());
        }
        assert!(
            sessions.of(&headers(&[pair]), now.after_ms(LASTS_MS)).is_none(),
            "it is eight hours old"
        );
        sessions.end(&session);
        assert!(sessions.of(&headers(&[pair]), now).is_none());
    }

    #[test]
    fn i13_so_many_have_signed_in_at_one_time() {
        let (sessions, now) = (Sessions::new(false), Machine.now());
        for _ in 0..SESSIONS_MAX {
            assert!(sessions.begin("token", now, &Machine).is_some());
        }
        assert!(sessions.begin("token", now, &Machine).is_none());
        assert!(sessions.begin("token", now.after_ms(IDLE_MS), &Machine).is_some());
    }
}
