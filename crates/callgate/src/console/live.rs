//! Pages that stay fresh. A stream says that something has changed, and nothing else: what has, is on the page, which is asked for and
//! decided about as ever. Without the script that listens, a page says of what moment it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use callgate_gateway::listeners::{Listeners, Place, StreamLimits};
use callgate_gateway::pipeline::Gateway;
use callgate_model::digest::Digest;
use callgate_model::json::Object;
use callgate_model::products::gateway::{Errand, NAME};
use callgate_store::Filter;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep, sleep_until};

use super::{Console, answer, message, not_understood, query, refused};
use crate::http::events;
use crate::print::call::newest;

/// Streams of one session, and in all.
const LIMITS: StreamLimits = StreamLimits { per_caller_max: 6, streams_max: 200 };
/// How often it is looked whether anything has changed, while anybody listens.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The least time between two words of one stream.
const QUIET: Duration = Duration::from_secs(3);
/// How often it is looked whether who listens is still signed in and let in.
const CHECK_EVERY: Duration = Duration::from_secs(3);
/// How long a stream lasts. Who still listens then comes again.
const STREAM_MAX: Duration = Duration::from_secs(10 * 60);
/// Among so many of the newest records the newest call is looked for.
const AMONG: u32 = 1_000;
/// What a stream says.
const CHANGED: &[u8] = b"changed";

/// Those who listen, and what they are told of.
#[derive(Debug)]
pub(super) struct Live {
    listeners: Arc<Listeners>,
    beat: watch::Sender<Option<Digest>>,
    is_looking: AtomicBool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The page that is to be fresh.
    page: Page,
    /// What it was made of.
    #[serde(default)]
    seen: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Page {
    Approvals,
    Calls,
}

impl Live {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            listeners: Arc::new(Listeners::new(LIMITS)),
            beat: watch::Sender::default(),
            is_looking: AtomicBool::default(),
        })
    }

    /// Hears of changes. Somebody looks for them from now on.
    fn listen(self: &Arc<Self>, gateway: &Arc<Gateway>) -> watch::Receiver<Option<Digest>> {
        let heard = self.beat.subscribe();
        if !self.is_looking.swap(true, Ordering::AcqRel) {
            tokio::spawn(look(Arc::clone(self), Arc::clone(gateway)));
        }
        heard
    }
}

/// Looks for changes while anybody listens.
async fn look(live: Arc<Live>, gateway: Arc<Gateway>) {
    loop {
        while live.beat.receiver_count() > 0 {
            if let Some(mark) = mark(&gateway).await {
                live.beat.send_if_modified(|seen| seen.replace(mark) != Some(mark));
            }
            sleep(LOOK_EVERY).await;
        }
        live.is_looking.store(false, Ordering::Release);
        // Somebody may have come just before it was said that nobody looks.
        let is_wanted = live.beat.receiver_count() > 0;
        if !is_wanted || live.is_looking.swap(true, Ordering::AcqRel) {
            return;
        }
    }
}

/// Another one whenever a call is decided or comes to its end, and when anything changes that is in force; what is asked of the gateway
/// itself does not count, or who looks would always find something new.
pub(super) async fn mark(gateway: &Gateway) -> Option<Digest> {
    let version = gateway.authority()?.version().await.ok()?;
    let store = gateway.recorded()?;
    let filter =
        Filter { not_server: Some(NAME.to_owned()), among: Some(AMONG), ..Filter::default() };
    let newest = newest(&*store, filter, 1).await.ok()?;
    let call = newest.first().map(|(row, outcome)| format!("{} {outcome:?}", row.hash));
    Some(Digest::of(format!("{version} {}", call.unwrap_or_default()).as_bytes()))
}

/// The stream of a page. Whoever may see that may hear that it is another one.
pub(super) async fn listen(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let wanted: Wanted = query(&head).ok_or_else(not_understood)?;
    let errand = match wanted.page {
        Page::Approvals => Errand::ApprovalList,
        Page::Calls => Errand::CallList,
    };
    let gateway = &console.front.gateway;
    let (asked, work) = (Object::default().with("live", true), async { Ok(()) });
    gateway.run_errand(&visitor.caller, errand, None, asked, work).await.map_err(refused)?;
    // Every session has another one.
    let session = Digest::of(visitor.session.csrf().as_bytes());
    let Some(place) = console.live.listeners.enter(session) else {
        let text = "Too many pages are open. This one is not kept fresh.";
        return Err(message(StatusCode::SERVICE_UNAVAILABLE, "No room", text));
    };
    let (events_in, events_out) = mpsc::channel(1);
    let heard = console.live.listen(gateway);
    let seen = wanted.seen.parse().ok();
    tokio::spawn(tell(console, head, heard, seen, (events_in, place)));
    let mut response = answer(StatusCode::OK, "text/event-stream", String::new());
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    *response.body_mut() = Body::from_stream(events(events_out));
    Ok(response)
}

/// Tells of changes until whoever listens goes, is let in no more, or has listened for long enough.
async fn tell(
    console: Console,
    head: Parts,
    mut heard: watch::Receiver<Option<Digest>>,
    mut seen: Option<Digest>,
    (events, _place): (mpsc::Sender<Bytes>, Place),
) {
    let until = Instant::now() + STREAM_MAX;
    let mut check = interval(CHECK_EVERY);
    loop {
        let now = *heard.borrow_and_update();
        if now.is_some() && now != seen {
            seen = now;
            if events.send(Bytes::from_static(CHANGED)).await.is_err() {
                return;
            }
            sleep(QUIET).await;
        }
        tokio::select! {
            changed = heard.changed() => if changed.is_err() { return },
            _ = check.tick() => {}
            () = events.closed() => return,
            () = console.front.gateway.listening_ended() => return,
            () = sleep_until(until) => return,
        }
        if console.visitor(&mut head.clone()).await.is_err() {
            return;
        }
    }
}

/// The script that listens.
pub(super) async fn script() -> Response {
    let text = include_str!("../../templates/console/live.js");
    let mut response = answer(StatusCode::OK, "text/javascript; charset=utf-8", text.to_owned());
    let kept = HeaderValue::from_static("no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    response
}
