//! Those who listen for changes: a stream that tells when a list is another one for this caller, and nothing of what
//! others may see.
//!
//! Each stream has a task of its own that looks at the caller's lists whenever they may have changed. What waits for a
//! slow reader is merged, so it takes no room; and no call waits for any of it.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callgate_mcp::code;
use callgate_mcp::era::{Era, LegacyVersion};
use callgate_mcp::http::{HeaderMap, HeaderValue, StatusCode};
use callgate_mcp::inbound::{self, Refused};
use callgate_mcp::lists::{ListKind, PerList};
use callgate_mcp::message::Notification;
use callgate_mcp::upstream::UpstreamError;
use callgate_model::ambient::Timestamp;
use callgate_model::digest::Digest;
use callgate_model::json::{Json, Object};
use callgate_model::reason::Reason;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::{Gateway, Reply, ReplyBody, Request};
use crate::answer;
use crate::follow::Beat;
use crate::identity::Identified;
use crate::listeners::Place;
use crate::server::{Server, lists_of};

/// Messages that may wait for a slow reader. More changes than that are merged.
const MESSAGES_WAITING_MAX: usize = 4;
/// For the first look at the lists, and for the server to attend, before the client is told that changes are told.
const READY_WITHIN: Duration = Duration::from_secs(2);
/// For the last message to be taken by a slow reader.
const LAST_WITHIN: Duration = Duration::from_secs(1);

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// What a caller could see of one kind of list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sight {
    digest: Digest,
    is_empty: bool,
}

/// One open stream.
struct Listener {
    gateway: Arc<Gateway>,
    /// Who listens to what, and what the stream is called.
    request: Request,
    wanted: PerList<bool>,
    pulse: watch::Receiver<PerList<Beat>>,
    heard: PerList<Beat>,
    /// What was seen last. `None` if nothing could be.
    seen: PerList<Option<Sight>>,
    /// What is to be told.
    due: PerList<bool>,
    _place: Place,
}

impl Gateway {
    /// Ends the streams of all who listen, in good order. No other is opened.
    pub fn end_listening(&self) {
        self.listeners.end();
    }

    /// How many streams are open for those who listen.
    #[must_use]
    pub fn streams_open(&self) -> usize {
        self.listeners.count()
    }

    /// Answers `subscriptions/listen` with a stream.
    pub(super) fn listen(self: &Arc<Self>, request: Request) -> Reply {
        let wanted = match wanted(&request.params) {
            Ok(wanted) => wanted,
            Err(message) => return self.refuse_params(&request, message),
        };
        self.open_stream(request, wanted, None)
    }

    /// Answers a GET in a session of the legacy era: all changes are told. An older stream of the session ends.
    pub(super) fn listen_in_session(
        self: &Arc<Self>,
        headers: &HeaderMap,
        caller: Arc<Identified>,
        server: Arc<Server>,
    ) -> Result<Reply, Box<Reply>> {
        inbound::check_accept_stream(headers).map_err(|refused| {
            self.turn_away(Some(&caller), &server.name, &refused, Reason::RequestMalformed)
        })?;
        let mut request = Request::unasked(server, caller, Era::Legacy(LegacyVersion::ASSUMED));
        self.resume_session(headers, &mut request)?;
        let session = request.session.as_deref().unwrap_or_default();
        let Some(ended) = self.sessions.listen(session, request.caller.key) else {
            // It was closed just now.
            return Ok(Reply::empty(StatusCode::NOT_FOUND));
        };
        Ok(self.open_stream(request, PerList::all(true), Some(ended)))
    }

    /// A stream for `request`, which ends when `session` does, if it is of one.
    pub(super) fn open_stream(
        self: &Arc<Self>,
        request: Request,
        wanted: PerList<bool>,
        session: Option<oneshot::Receiver<()>>,
    ) -> Reply {
        let Some(place) = self.listeners.enter(request.caller.key) else {
            let refused = Refused {
                status: StatusCode::SERVICE_UNAVAILABLE,
                code: code::INTERNAL_ERROR,
                message: "too many streams are open".to_owned(),
                data: None,
            };
            let record = self.blank_record(&request, "", self.bundle.load().digest());
            return self.refuse_wire(&request, record, &refused, Reason::Overloaded);
        };
        let mut pulse = request.server.listen();
        let heard = *pulse.borrow_and_update();
        let listener = Listener {
            gateway: Arc::clone(self),
            request,
            wanted,
            pulse,
            heard,
            seen: PerList::default(),
            due: PerList::default(),
            _place: place,
        };
        let (events, body) = mpsc::channel(MESSAGES_WAITING_MAX);
        tokio::spawn(listener.run(events, session));
        let headers = vec![("cache-control", HeaderValue::from_static("no-store"))];
        Reply { status: StatusCode::OK, headers, body: ReplyBody::Listening(body) }
    }

    /// What the caller of `request` may see of the lists of `kind`: what a list would show (I3).
    async fn sight(&self, request: &Request, kind: ListKind) -> Result<Sight, UpstreamError> {
        let mut shown = Vec::new();
        match kind {
            ListKind::Tools => {
                for tool in self.tools_shown(request).await? {
                    shown.extend(tool.definition.digest.as_bytes());
                }
            }
            ListKind::Prompts | ListKind::Resources => {
                for list in lists_of(kind) {
                    for entry in self.entries(request, *list).await? {
                        shown.extend(entry.to_text().bytes());
                    }
                }
            }
        }
        Ok(Sight { digest: Digest::of(&shown), is_empty: shown.is_empty() })
    }
}

/// Which changes are asked for. What is not known here is not honoured.
fn wanted(params: &Object) -> Result<PerList<bool>, String> {
    let Some(Json::Object(filter)) = params.get("notifications") else {
        return Err("`notifications` must be an object".to_owned());
    };
    let mut wanted = PerList::default();
    for kind in ListKind::ALL {
        *wanted.of_mut(kind) = match filter.get(kind.filter()) {
            None => false,
            Some(Json::Bool(asked)) => *asked,
            Some(_) => return Err(format!("`{}` must be a boolean", kind.filter())),
        };
    }
    Ok(wanted)
}

impl Listener {
    /// Until the client leaves, or there is a reason to end. The client is told of that.
    async fn run(mut self, events: mpsc::Sender<Bytes>, session: Option<oneshot::Receiver<()>>) {
        let gateway = Arc::clone(&self.gateway);
        let expired = expiry(&gateway, self.request.caller.expires);
        tokio::select! {
            () = events.closed() => return,
            () = self.tell(&events) => {}
            () = gateway.listeners.ended() => {}
            () = expired => {}
            () = gone(session) => {}
        }
        if self.request.is_modern() {
            timeout(LAST_WITHIN, events.send(self.last())).await.ok();
        }
    }

    /// Tells of changes until this caller may see nothing any more.
    async fn tell(&mut self, events: &mpsc::Sender<Bytes>) {
        timeout(READY_WITHIN, self.prepare()).await.ok();
        // What was found first is no change.
        self.due = PerList::default();
        if self.request.is_modern() && events.send(self.acknowledgement()).await.is_err() {
            return;
        }
        let mut is_last = false;
        loop {
            let due = self.due.kinds().next();
            tokio::select! {
                room = events.reserve(), if due.is_some() => {
                    let (Ok(room), Some(kind)) = (room, due) else { return };
                    *self.due.of_mut(kind) = false;
                    room.send(self.notification(kind.notification(), Object::default()));
                }
                beat = self.pulse.changed(), if !is_last => {
                    if beat.is_err() { return }
                    is_last = self.look_again().await;
                }
                else => return,
            }
        }
    }

    async fn prepare(&mut self) {
        for kind in self.wanted.kinds() {
            self.look(kind, false).await;
        }
        self.request.server.changes.attentive().await;
    }

    /// Looks at what may have changed. Whether this caller may see nothing any more of what it could see.
    async fn look_again(&mut self) -> bool {
        let now = *self.pulse.borrow_and_update();
        let before = std::mem::replace(&mut self.heard, now);
        let saw = self.wanted.kinds().any(|kind| self.seen.of(kind).is_some_and(|s| !s.is_empty));
        for kind in self.wanted.kinds() {
            if now.of(kind) != before.of(kind) {
                self.look(kind, now.of(kind).said != before.of(kind).said).await;
            }
        }
        saw && self.wanted.kinds().all(|kind| self.seen.of(kind).is_some_and(|s| s.is_empty))
    }

    /// Looks at one kind of list. A change is due if it is another one for this caller; or if the server said so, to whom
    /// it shows anything.
    async fn look(&mut self, kind: ListKind, said: bool) {
        let changes = &self.request.server.changes;
        let Ok(_turn) = changes.looking.acquire().await else { return };
        let Ok(now) = self.gateway.sight(&self.request, kind).await else { return };
        let before = self.seen.of_mut(kind).replace(now);
        if before != Some(now) || (said && !now.is_empty) {
            *self.due.of_mut(kind) = true;
        }
    }

    fn acknowledgement(&self) -> Bytes {
        let honoured = self.wanted.kinds().fold(Object::default(), |honoured, kind| {
            honoured.with(kind.filter(), Json::Bool(true))
        });
        let params = Object::default().with("notifications", honoured);
        self.notification("notifications/subscriptions/acknowledged", params)
    }

    fn notification(&self, method: &str, params: Object) -> Bytes {
        let params = match self.request.era {
            Era::Modern => params.with("_meta", self.meta()),
            Era::Legacy(_) => params,
        };
        Notification { method: method.to_owned(), params }.into_bytes()
    }

    /// The answer to the request.
    fn last(&self) -> Bytes {
        let result = Object::default().with("_meta", self.meta());
        answer::finish(self.request.era, &self.request.id, result)
    }

    fn meta(&self) -> Object {
        Object::default().with(SUBSCRIPTION, self.request.id.to_json())
    }
}

/// Ready when the caller's credential ends.
async fn expiry(gateway: &Gateway, expires: Option<Timestamp>) {
    match expires {
        Some(at) => {
            let left = Duration::from_millis(at.ms_since(gateway.ambient.now()));
            tokio::time::sleep(left).await;
        }
        None => pending().await,
    }
}

/// Ready when the session is closed, or another stream has taken the place of this one.
async fn gone(session: Option<oneshot::Receiver<()>>) {
    match session {
        Some(session) => drop(session.await),
        None => pending().await,
    }
}
