//! Those who listen for changes: a stream that tells when a list is another one for this caller, or a resource that they
//! want to hear of has changed, and nothing of what others may see.
//!
//! Each stream has a task of its own. What waits for a slow reader is merged, so it takes no room; and no call waits for
//! any of it.

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
use callgate_model::ambient::Timestamp;
use callgate_model::json::{Json, Object};
use callgate_model::reason::Reason;
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::admit::{Entered, Entrance};
use super::subscribe::INTERESTS_MAX;
use super::watch::Watch;
use super::{Gateway, Reply, ReplyBody, Request};
use crate::answer;
use crate::follow::Interests;
use crate::identity::{Identified, Unacceptable};
use crate::listeners::Place;

/// Messages that may wait for a slow reader. More changes than that are merged.
const MESSAGES_WAITING_MAX: usize = 4;
/// For the first look at the lists, and for the servers to attend, before the client is told that changes are told.
const READY_WITHIN: Duration = Duration::from_secs(2);
/// For the last message to be taken by a slow reader.
const LAST_WITHIN: Duration = Duration::from_secs(1);
/// How long a stream may stay open for a credential that ends; its client opens another.
const STREAM_MAX: Duration = Duration::from_secs(900);

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// What a client wants to hear of.
pub(super) struct Wanted {
    pub(super) lists: PerList<bool>,
    pub(super) interests: watch::Receiver<Interests>,
}

/// One open stream.
struct Listener {
    gateway: Arc<Gateway>,
    /// Who listens, and what the stream is called.
    request: Request,
    wanted: Wanted,
    /// One for each server.
    watches: Vec<Watch>,
    _place: Place,
}

impl Gateway {
    /// Ends the streams of all who listen, in good order, and answers what is held. No other is opened.
    pub fn end_listening(&self) {
        self.listeners.end();
        self.holds.end();
    }

    /// Ready when the streams of all who listen are to end.
    pub async fn listening_ended(&self) {
        self.listeners.ended().await;
    }

    /// How many streams are open for those who listen.
    #[must_use]
    pub fn streams_open(&self) -> usize {
        self.listeners.count()
    }

    /// Answers `subscriptions/listen` with a stream.
    pub(super) async fn listen(self: &Arc<Self>, mut request: Request) -> Reply {
        let (lists, uris) = match wanted(&request.params) {
            Ok(wanted) => wanted,
            Err(message) => return self.refuse_params(&request, message),
        };
        let place = match self.enter_stream(&request) {
            Ok(place) => place,
            Err(refusal) => return *refusal,
        };
        let interests = watch::Sender::new(self.interests(&request, uris).await);
        let wanted = Wanted { lists, interests: interests.subscribe() };
        // That it may listen is the answer; what it hears later is none.
        request.span = None;
        self.open_stream(request, wanted, place, None)
    }

    /// Room for a stream, or the refusal.
    pub(super) fn enter_stream(&self, request: &Request) -> Result<Place, Box<Reply>> {
        self.listeners.enter(request.caller.key).map_err(|limit| {
            self.metrics.limited(limit);
            let refused = Refused {
                status: StatusCode::SERVICE_UNAVAILABLE,
                code: code::INTERNAL_ERROR,
                message: limit.told().to_owned(),
                data: None,
            };
            let record = self.blank_record(request, "", self.bundle.load().digest());
            Box::new(self.refuse_wire(request, record, &refused, Reason::Overloaded))
        })
    }

    /// Answers a GET in a session of the legacy era: all changes are told. An older stream of the session ends.
    pub(super) fn listen_in_session(
        self: &Arc<Self>,
        headers: &HeaderMap,
        entered: Entered,
    ) -> Result<Reply, Box<Reply>> {
        inbound::check_accept_stream(headers).map_err(|refused| {
            let reason = Reason::RequestMalformed;
            self.turn_away(Some(&entered.caller), entered.place(), &refused, reason)
        })?;
        let Entered { server, caller, entrance, .. } = entered;
        let era = Era::Legacy(LegacyVersion::ASSUMED);
        let mut request = Request { entrance, ..Request::unasked(server, caller, era) };
        self.resume_session(headers, &mut request)?;
        let place = self.enter_stream(&request)?;
        let session = request.session.as_deref().unwrap_or_default();
        let ended = self.sessions.listen(session, request.caller.key);
        let Some((ended, interests)) = ended.zip(request.interests.as_ref()) else {
            // It was closed just now.
            return Ok(Reply::empty(StatusCode::NOT_FOUND));
        };
        let wanted = Wanted { lists: PerList::all(true), interests: interests.subscribe() };
        Ok(self.open_stream(request, wanted, place, Some(ended)))
    }

    /// A stream for `request`, which ends when `session` does, if it is of one.
    pub(super) fn open_stream(
        self: &Arc<Self>,
        request: Request,
        wanted: Wanted,
        place: Place,
        session: Option<oneshot::Receiver<()>>,
    ) -> Reply {
        let of_each = match request.entrance {
            Entrance::Server | Entrance::UnderRoof => vec![request.aside()],
            Entrance::Roof => self.each(&request).collect(),
        };
        let watches = of_each.into_iter().map(|one| Watch::new(self, one, wanted.lists));
        let watches = watches.collect();
        let gateway = Arc::clone(self);
        let listener = Listener { gateway, request, wanted, watches, _place: place };
        let (events, body) = mpsc::channel(MESSAGES_WAITING_MAX);
        if let Some(session) = &listener.request.session {
            self.sessions.speak(session, listener.request.caller.key, &events);
        }
        tokio::spawn(listener.run(events, session));
        let headers = vec![("cache-control", HeaderValue::from_static("no-store"))];
        Reply { status: StatusCode::OK, headers, body: ReplyBody::Listening(body) }
    }
}

/// Which changes are asked for. What is not known here is not honoured.
fn wanted(params: &Object) -> Result<(PerList<bool>, Vec<String>), String> {
    let Some(Json::Object(filter)) = params.get("notifications") else {
        return Err("`notifications` must be an object".to_owned());
    };
    let mut lists = PerList::default();
    for kind in ListKind::ALL {
        *lists.of_mut(kind) = match filter.get(kind.filter()) {
            None => false,
            Some(Json::Bool(asked)) => *asked,
            Some(_) => return Err(format!("`{}` must be a boolean", kind.filter())),
        };
    }
    let uris = match filter.get("resourceSubscriptions") {
        None => Some(Vec::new()),
        Some(uris) => uris.as_array().and_then(|uris| {
            uris.iter().map(|uri| uri.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        }),
    };
    let uris = uris.filter(|uris| uris.len() <= INTERESTS_MAX).ok_or_else(|| {
        format!("`resourceSubscriptions` must be an array of at most {INTERESTS_MAX} strings")
    })?;
    Ok((lists, uris))
}

impl Listener {
    /// Until the client leaves, or there is a reason to end. The client is told of that.
    async fn run(mut self, events: mpsc::Sender<Bytes>, session: Option<oneshot::Receiver<()>>) {
        let gateway = Arc::clone(&self.gateway);
        let caller = Arc::clone(&self.request.caller);
        let expired = expiry(&gateway, caller.expires);
        tokio::select! {
            () = events.closed() => return,
            () = self.tell(&events) => {}
            () = gateway.listeners.ended() => {}
            () = expired => {}
            () = revoked(&gateway, &caller) => {}
            () = gone(session) => {}
        }
        if self.request.is_modern() {
            timeout(LAST_WITHIN, events.send(self.last())).await.ok();
        }
    }

    /// Tells of changes until this caller may see nothing any more.
    async fn tell(&mut self, events: &mpsc::Sender<Bytes>) {
        let (request, wanted) = (&self.request, &self.wanted);
        let preparing = join_all(self.watches.iter_mut().map(Watch::prepare));
        timeout(READY_WITHIN, preparing).await.ok();
        if request.is_modern() && events.send(acknowledgement(request, wanted)).await.is_err() {
            return;
        }
        let say = |method: &str, params| notification(request, method, params);
        let watching =
            self.watches.iter_mut().map(|watch| watch.tell(events, wanted.interests.clone(), say));
        join_all(watching).await;
    }

    /// The answer to the request.
    fn last(&self) -> Bytes {
        let result = Object::default().with("_meta", meta(&self.request));
        answer::finish(self.request.era, &self.request.id, result)
    }
}

/// What is honoured of what was asked for.
fn acknowledgement(request: &Request, wanted: &Wanted) -> Bytes {
    let mut honoured = wanted
        .lists
        .kinds()
        .fold(Object::default(), |honoured, kind| honoured.with(kind.filter(), Json::Bool(true)));
    let uris: Vec<Json> = wanted.interests.borrow().keys().map(|uri| Json::from(&**uri)).collect();
    if !uris.is_empty() {
        honoured.set("resourceSubscriptions", uris);
    }
    let params = Object::default().with("notifications", honoured);
    notification(request, "notifications/subscriptions/acknowledged", params)
}

fn notification(request: &Request, method: &str, params: Object) -> Bytes {
    let params = match request.era {
        Era::Modern => params.with("_meta", meta(request)),
        Era::Legacy(_) => params,
    };
    Notification { method: method.to_owned(), params }.into_bytes()
}

fn meta(request: &Request) -> Object {
    Object::default().with(SUBSCRIPTION, request.id.to_json())
}

/// Ready when the caller's credential ends, or is to be looked at again: its issuer may have withdrawn it.
async fn expiry(gateway: &Gateway, expires: Option<Timestamp>) {
    let Some(at) = expires else { return pending().await };
    let left = Duration::from_millis(at.ms_since(gateway.ambient.now()));
    tokio::time::sleep(left.min(STREAM_MAX)).await;
}

/// Ready when the caller is let in no more (I8).
async fn revoked(gateway: &Gateway, caller: &Identified) {
    let Some(registry) = gateway.identities.registry() else { return pending().await };
    let mut changes = registry.changes();
    while registry.admits(&caller.caller) != Err(Unacceptable::Revoked) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Ready when the session is closed, or another stream has taken the place of this one.
async fn gone(session: Option<oneshot::Receiver<()>>) {
    match session {
        Some(session) => drop(session.await),
        None => pending().await,
    }
}
