//! Sessions of clients of the legacy era. A session remembers the negotiated version; it is never authentication:
//! every request brings its credential, and a session answers only to the caller that opened it (S01).

pub(crate) mod sealed;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use callgate_mcp::era::LegacyVersion;
use callgate_mcp::log_level::LogLevel;
use callgate_mcp::message::RequestId;
use callgate_model::ambient::Timestamp;
use callgate_model::digest::Digest;
use callgate_model::json::Object;
use tokio::sync::{mpsc, oneshot, watch};

use crate::follow::Interests;

/// Between two looks for idle sessions, in milliseconds: what they hold is not to be held for ever.
const SWEEP_MS: u64 = 60_000;

/// How many sessions may be open, in all and for one caller, and how long an idle one lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Sessions in all.
    pub sessions_max: usize,
    /// Sessions of one caller; the one idle longest makes room.
    pub sessions_per_caller_max: usize,
    /// Milliseconds after which an idle session may be closed.
    pub idle_ms_max: u64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { sessions_max: 10_000, sessions_per_caller_max: 100, idle_ms_max: 3_600_000 }
    }
}

/// The open sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    limits: SessionLimits,
    open: Mutex<HashMap<String, Session>>,
    /// When idle ones were closed last.
    swept: Mutex<Timestamp>,
    /// The digests of the ids of those that were closed, and when: nobody goes on with them.
    closed: Mutex<HashMap<Digest, Timestamp>>,
}

/// What `initialize` agreed on, and what was said since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// What was negotiated.
    pub version: LegacyVersion,
    /// What the client said that it is.
    pub client_says: Option<String>,
    /// What it declared that it can be asked for.
    pub capabilities: Object,
    /// From which level on it wants to hear what the server logs.
    pub log_level: Option<LogLevel>,
}

/// A request in a session, of the caller whose session it is: by its id alone nobody reaches it (I6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InSession {
    /// The caller.
    pub caller: Digest,
    /// Their session.
    pub session: String,
    /// What the request is called by whoever made it.
    pub id: RequestId,
}

#[derive(Debug)]
struct Session {
    caller: Digest,
    agreed: Agreed,
    used: Timestamp,
    /// The resources whose changes are told in it.
    interests: watch::Sender<Interests>,
    /// The stream of the one who listens in this session. Dropping it ends the stream.
    stream: Option<oneshot::Sender<()>>,
    /// Where it is told; it may have ended.
    says: Option<mpsc::WeakSender<Bytes>>,
}

impl Session {
    /// A session in which somebody listens is not idle.
    fn is_idle(&self, now: Timestamp, idle_ms_max: u64) -> bool {
        let listens = self.stream.as_ref().is_some_and(|stream| !stream.is_closed());
        !listens && now.ms_since(self.used) >= idle_ms_max
    }
}

impl Sessions {
    /// No sessions yet.
    #[must_use]
    pub fn new(limits: SessionLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Opens a session under `id`. `false` if there is no room.
    pub fn open(&self, id: String, caller: Digest, agreed: Agreed, now: Timestamp) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.sweep(&mut open, now);
        let own = open.values().filter(|session| session.caller == caller).count();
        if own >= self.limits.sessions_per_caller_max {
            let idle = open
                .iter()
                .filter(|(_, session)| session.caller == caller)
                .min_by_key(|(_, session)| session.used)
                .map(|(id, _)| id.clone());
            if let Some(id) = idle {
                open.remove(&id);
                self.note_closed(&id, now);
            }
        }
        if open.len() >= self.limits.sessions_max {
            return false;
        }
        let interests = watch::Sender::default();
        open.insert(id, Session { caller, agreed, used: now, interests, stream: None, says: None });
        true
    }

    /// Closes idle sessions, now and then.
    fn sweep(&self, open: &mut HashMap<String, Session>, now: Timestamp) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.limits.sessions_max || now.ms_since(*swept) >= SWEEP_MS {
            *swept = now;
            let idle =
                |_: &String, session: &mut Session| session.is_idle(now, self.limits.idle_ms_max);
            open.extract_if(idle).for_each(|(id, _)| self.note_closed(&id, now));
        }
    }

    /// Remembers that `id` was closed; of so many as may be open, those that were closed last.
    fn note_closed(&self, id: &str, now: Timestamp) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.len() >= self.limits.sessions_max {
            let oldest = closed.iter().min_by_key(|(_, at)| **at).map(|(digest, _)| *digest);
            oldest.and_then(|digest| closed.remove(&digest));
        }
        closed.insert(Digest::of(id.as_bytes()), now);
    }

    /// Goes on under `id` with a session that another gateway began. `false` if it was closed here, or there is no room.
    pub fn go_on(&self, id: &str, caller: Digest, agreed: Agreed, now: Timestamp) -> bool {
        let is_closed = {
            let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
            closed.contains_key(&Digest::of(id.as_bytes()))
        };
        !is_closed && self.open(id.to_owned(), caller, agreed, now)
    }

    /// What was agreed on in the session `id` of this caller. `None` if there is none: also for another caller's.
    pub fn find(&self, id: &str, caller: Digest, now: Timestamp) -> Option<Agreed> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let session = open.get_mut(id).filter(|session| session.caller == caller)?;
        if session.is_idle(now, self.limits.idle_ms_max) {
            open.remove(id);
            self.note_closed(id, now);
            return None;
        }
        session.used = now;
        Some(session.agreed.clone())
    }

    /// Sets from which level on the session `id` of this caller hears what the server logs.
    pub fn set_log_level(&self, id: &str, caller: Digest, level: LogLevel) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = open.get_mut(id).filter(|session| session.caller == caller) {
            session.agreed.log_level = Some(level);
        }
    }

    /// The resources whose changes are told in the session `id` of this caller.
    pub fn interests(&self, id: &str, caller: Digest) -> Option<watch::Sender<Interests>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let session = open.get(id).filter(|session| session.caller == caller)?;
        Some(session.interests.clone())
    }

    /// Opens the stream of the session `id` of this caller, in place of an older one: a client that lost its connection
    /// comes back before the loss is noticed. Ready when the stream is to end. `None` if there is no such session.
    pub fn listen(&self, id: &str, caller: Digest) -> Option<oneshot::Receiver<()>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let session = open.get_mut(id).filter(|session| session.caller == caller)?;
        let (stream, ended) = oneshot::channel();
        session.stream = Some(stream);
        Some(ended)
    }

    /// Says where the stream of the session `id` of this caller is told.
    pub fn speak(&self, id: &str, caller: Digest, says: &mpsc::Sender<Bytes>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = open.get_mut(id).filter(|session| session.caller == caller) {
            session.says = Some(says.downgrade());
        }
    }

    /// Where the stream of the session `id` of this caller is told, if it is open.
    pub fn stream(&self, id: &str, caller: Digest) -> Option<mpsc::Sender<Bytes>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(id).filter(|session| session.caller == caller)?.says.as_ref()?.upgrade()
    }

    /// Closes the session `id` of this caller; whether there was one.
    pub fn close(&self, id: &str, caller: Digest, now: Timestamp) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(id).is_none_or(|session| session.caller != caller) {
            return false;
        }
        self.note_closed(id, now);
        open.remove(id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    fn agreed() -> Agreed {
        Agreed {
            version: LegacyVersion::V2025_11_25,
            client_says: None,
            capabilities: Object::default(),
            log_level: None,
        }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    #[test]
    fn i6_a_session_answers_only_to_its_caller() {
        let sessions = Sessions::default();
        let (alice, bob) = (Digest::of(b"alice"), Digest::of(b"bob"));
        assert!(sessions.open("s".into(), alice, agreed(), at(0)));
        assert!(sessions.find("s", bob, at(1)).is_none());
        assert!(!sessions.close("s", bob, at(1)));
        assert!(sessions.find("s", alice, at(1)).is_some());
        assert!(sessions.close("s", alice, at(1)));
        assert!(sessions.find("s", alice, at(2)).is_none());
        assert!(!sessions.go_on("s", alice, agreed(), at(3)), "it was closed");
        assert!(sessions.go_on("of another gateway", alice, agreed(), at(3)));
        assert!(sessions.find("of another gateway", alice, at(4)).is_some());
    }

    #[test]
    fn i6_a_session_has_one_stream_and_it_ends_with_the_session() {
        let limits = SessionLimits { idle_ms_max: 1000, ..SessionLimits::default() };
        let sessions = Sessions::new(limits);
        let (alice, bob) = (Digest::of(b"alice"), Digest::of(b"bob"));
        assert!(sessions.open("s".into(), alice, agreed(), at(0)));
        assert!(sessions.listen("s", bob).is_none());
        let mut first = sessions.listen("s", alice).unwrap();
        assert_eq!(first.try_recv(), Err(TryRecvError::Empty));
        let mut second = sessions.listen("s", alice).unwrap();
        assert_eq!(first.try_recv(), Err(TryRecvError::Closed), "the second took its place");
        assert!(sessions.find("s", alice, at(5000)).is_some(), "who listens is not idle");
        assert!(sessions.close("s", alice, at(1)));
        assert_eq!(second.try_recv(), Err(TryRecvError::Closed));
        assert!(sessions.open("t".into(), alice, agreed(), at(0)));
        drop(sessions.listen("t", alice));
        assert!(sessions.find("t", alice, at(5000)).is_none(), "nobody listens any more");
    }

    #[test]
    fn i13_sessions_are_bounded() {
        let limits =
            SessionLimits { sessions_max: 3, sessions_per_caller_max: 2, idle_ms_max: 1000 };
        let sessions = Sessions::new(limits);
        let (alice, bob, carol) = (Digest::of(b"a"), Digest::of(b"b"), Digest::of(b"c"));
        for (index, id) in ["1", "2", "3"].into_iter().enumerate() {
            let now = at(i64::try_from(index).unwrap());
            assert!(sessions.open(id.into(), alice, agreed(), now));
        }
        assert!(sessions.find("1", alice, at(4)).is_none(), "the oldest made room");
        assert!(sessions.open("b".into(), bob, agreed(), at(5)));
        assert!(!sessions.open("c".into(), carol, agreed(), at(6)), "no room");
        assert!(sessions.open("c".into(), carol, agreed(), at(5000)), "idle ones made room");
    }
}
