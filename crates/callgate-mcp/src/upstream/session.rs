//! Sessions with a legacy server: one for each key, opened when first needed, never shared between keys (I6).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use callgate_model::json::{Json, Object};
use http::{HeaderMap, HeaderValue};
use tokio::time::{Instant, timeout};

use super::exchange::Reply;
use super::outgoing::{Ask, Outgoing, Route, base_headers, client_info};
use super::question::Patience;
use super::standing::Calls;
use super::{CallErrorKind, SessionKey, Upstream};
use crate::era::LegacyVersion;
use crate::headers;
use crate::log_level::LogLevel;
use crate::message::{Notification, Request, RequestId};

/// For a server to take a log level.
const LOG_LEVEL_WITHIN: Duration = Duration::from_secs(5);
const SESSION_ID_BYTES_MAX: usize = 1024;

/// A session that the server opened for one key.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// `None` if the server keeps no sessions.
    id: Option<HeaderValue>,
    version: LegacyVersion,
    /// Whether the server logs to its clients.
    logs: bool,
    /// From which level on it was told to, last.
    level: Arc<Mutex<Option<LogLevel>>>,
    /// The calls of clients that can be asked.
    pub(super) calls: Calls,
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, self.version) == (&other.id, other.version)
    }
}

impl Session {
    pub(super) const fn has_id(&self) -> bool {
        self.id.is_some()
    }

    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let version = HeaderValue::from_static(self.version.as_str());
        headers.insert(headers::PROTOCOL_VERSION, version);
        if let Some(id) = &self.id {
            headers.insert(headers::SESSION_ID, id.clone());
        }
    }
}

/// The sessions of all keys. The one unused longest makes room; the server is left to forget it by itself.
#[derive(Debug)]
pub(super) struct Sessions {
    max: usize,
    idle: Duration,
    slots: Mutex<HashMap<SessionKey, Slot>>,
}

#[derive(Debug)]
struct Slot {
    used: Instant,
    /// Locked while a session is being opened, so that one key opens one.
    session: Arc<tokio::sync::Mutex<Option<Session>>>,
}

impl Sessions {
    pub(super) fn new(max: usize, idle: Duration) -> Self {
        Self { max, idle, slots: Mutex::default() }
    }

    fn slot(&self, key: &SessionKey) -> Arc<tokio::sync::Mutex<Option<Session>>> {
        let now = Instant::now();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if !slots.contains_key(key) && slots.len() >= self.max {
            slots.retain(|_, slot| now.duration_since(slot.used) < self.idle);
            if slots.len() >= self.max {
                let oldest =
                    slots.iter().min_by_key(|(_, slot)| slot.used).map(|(key, _)| key.clone());
                oldest.and_then(|key| slots.remove(&key));
            }
        }
        let slot =
            slots.entry(key.clone()).or_insert_with(|| Slot { used: now, session: Arc::default() });
        if now.duration_since(slot.used) >= self.idle {
            slot.session = Arc::default();
        }
        slot.used = now;
        Arc::clone(&slot.session)
    }

    /// Forgets `session`, unless another one has taken its place already.
    pub(super) async fn forget(&self, key: &SessionKey, session: &Session) {
        let slot = self.slot(key);
        let mut current = slot.lock().await;
        if current.as_ref() == Some(session) {
            *current = None;
        }
    }
}

impl Upstream {
    /// The session of `key`, opened if there is none.
    pub(super) async fn session(
        &self,
        key: &SessionKey,
        ask: &Ask<'_>,
    ) -> Result<Session, CallErrorKind> {
        let slot = self.sessions.slot(key);
        let mut session = slot.lock().await;
        if let Some(session) = &*session {
            return Ok(session.clone());
        }
        match self.initialize(ask).await {
            Ok(opened) => Ok(session.insert(opened).clone()),
            Err(error) => {
                self.detected.forget();
                Err(error)
            }
        }
    }

    /// Tells the server from which level on to log in `session`, if it logs and was not told so last. A server that does
    /// not take it logs as it likes.
    pub(super) async fn set_log_level(
        &self,
        session: &Session,
        level: LogLevel,
        credential: Option<&HeaderValue>,
    ) {
        let told = || session.level.lock().unwrap_or_else(PoisonError::into_inner);
        if !session.logs || *told() == Some(level) {
            return;
        }
        let mut ask = Ask::new("logging/setLevel", credential);
        ask.params.set("level", level.as_str());
        let outgoing = ask.outgoing(self.next_id(), &Route::Legacy(session.clone()));
        let said = timeout(
            LOG_LEVEL_WITHIN,
            self.exchange(outgoing, &Patience::default(), &mut |_, _| {}),
        )
        .await;
        if !matches!(said, Ok(Ok(_))) {
            tracing::debug!(?said, "the log level could not be set");
        }
        // Also if it was not taken: a server that does not is not asked before every call.
        *told() = Some(level);
    }

    async fn initialize(&self, ask: &Ask<'_>) -> Result<Session, CallErrorKind> {
        let credential = ask.credential;
        let opening = opening(self.next_id(), credential, ask.session_capabilities());
        let reply = self
            .exchange(opening, &Patience::default(), &mut |_, _| {})
            .await
            .map_err(|error| error.kind)?;
        let session = opened(reply)?;
        let mut headers = base_headers(credential);
        session.write(&mut headers);
        self.confirm(headers, initialized()).await?;
        Ok(session)
    }
}

/// The request that opens a session, in which the server may ask for what is in `capabilities`.
pub(super) fn opening(
    id: RequestId,
    credential: Option<&HeaderValue>,
    capabilities: Object,
) -> Outgoing {
    let params = Object::default()
        .with("protocolVersion", LegacyVersion::LATEST.as_str())
        .with("capabilities", capabilities)
        .with("clientInfo", client_info());
    let request = Request { id: id.clone(), method: "initialize".to_owned(), params };
    let (headers, body) = (base_headers(credential), request.into_bytes());
    // The protocol forbids to cancel it.
    let capabilities = Object::default();
    Outgoing { id, headers, assertion: None, body, legacy: true, capabilities, cancel: false }
}

/// The session that was opened.
pub(super) fn opened(reply: Reply) -> Result<Session, CallErrorKind> {
    let result = reply
        .outcome
        .map_err(|error| CallErrorKind::NotMcp(format!("`initialize` fails with {error}")))?;
    let version = result.get("protocolVersion").and_then(Json::as_str);
    let version = version
        .and_then(LegacyVersion::parse)
        .ok_or_else(|| CallErrorKind::NotMcp("no protocol version in common".to_owned()))?;
    let logs = result.get("capabilities").is_some_and(|declared| declared.get("logging").is_some());
    let id = reply.session_id.map(usable_id).transpose()?;
    Ok(Session { id, version, logs, level: Arc::default(), calls: Calls::default() })
}

/// What confirms it.
pub(super) fn initialized() -> Notification {
    Notification { method: "notifications/initialized".to_owned(), params: Object::default() }
}

fn usable_id(mut id: HeaderValue) -> Result<HeaderValue, CallErrorKind> {
    let visible = id.as_bytes().iter().all(u8::is_ascii_graphic);
    if id.is_empty() || id.len() > SESSION_ID_BYTES_MAX || !visible {
        return Err(CallErrorKind::NotMcp("the session id is not usable".to_owned()));
    }
    id.set_sensitive(true);
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unnamed() -> Session {
        let (level, calls) = (Arc::default(), Calls::default());
        Session { id: None, version: LegacyVersion::LATEST, logs: false, level, calls }
    }

    #[tokio::test]
    async fn i13_sessions_are_bounded_and_the_one_unused_longest_makes_room() {
        let sessions = Sessions::new(2, Duration::from_secs(600));
        let session = unnamed();
        let [a, b, c] = ["a", "b", "c"].map(SessionKey::new);
        for key in [&a, &b, &a, &c] {
            *sessions.slot(key).lock().await = Some(session.clone());
        }
        assert_eq!(sessions.slots.lock().unwrap().len(), 2);
        assert!(sessions.slot(&a).lock().await.is_some());
        assert!(sessions.slot(&c).lock().await.is_some());
        assert!(sessions.slot(&b).lock().await.is_none());
    }

    #[tokio::test]
    async fn an_idle_session_is_not_used_again() {
        let sessions = Sessions::new(2, Duration::ZERO);
        let key = SessionKey::new("a");
        let session = unnamed();
        *sessions.slot(&key).lock().await = Some(session);
        assert!(sessions.slot(&key).lock().await.is_none());
    }
}
