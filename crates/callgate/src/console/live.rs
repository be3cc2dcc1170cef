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
use callgate_model::ambient::Id;
use callgate_model::digest::Digest;
use callgate_model::evidence::Link;
use callgate_model::json::Object;
use callgate_model::products::gateway::{Errand, NAME};
use callgate_store::Filter;
use futures_util::future::join_all;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use super::{Console, answer, message, not_understood, query, refused};
use crate::http::events;
use crate::print::call::newest;

/// Streams of one session, and in all.
const LIMITS: StreamLimits = StreamLimits { per_caller_max: 6, streams_max: 200 };
/// How often it is looked whether anything has changed, while anybody listens.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether servers offer other tools.
const TOOLS_EVERY: Duration = Duration::from_secs(5);
/// The least time between two words of one stream.
const QUIET: Duration = Duration::from_secs(3);
/// How often it is looked whether who listens is still signed in and let in.
const CHECK_EVERY: Duration = Duration::from_secs(3);
/// How long a stream lasts. Who still listens then comes again.
const STREAM_MAX: Duration = Duration::from_secs(10 * 60);
/// What a stream says.
const CHANGED: &[u8] = b"changed";

/// Those who listen, and what they are told of.
#[derive(Debug)]
pub(super) struct Live {
    listeners: Arc<Listeners>,
    authority: Arc<Watched>,
    calls: Arc<Watched>,
    tools: Arc<Watched>,
}

/// Something that is looked at for as long as anybody wants to hear of it.
#[derive(Debug, Default)]
struct Watched {
    beat: watch::Sender<Option<Digest>>,
    is_looking: AtomicBool,
}

/// What a page is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// What became of one approval.
    Approval(Id),
    /// What is in force.
    Authority,
    /// The calls, and what is in force.
    Calls,
    /// What servers offer, and what is in force.
    Tools,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The page that is to be fresh.
    page: Page,
    /// Of what it is, if there is one for each.
    #[serde(default)]
    id: String,
    /// What it was made of.
    #[serde(default)]
    seen: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Page {
    Approval,
    Approvals,
    Callers,
    Calls,
    Revocations,
    Tools,
}

impl Page {
    /// What whoever looks at it is permitted to do.
    const fn errand(self) -> Errand {
        match self {
            Self::Approval => Errand::ApprovalShow,
            Self::Approvals => Errand::ApprovalList,
            Self::Callers => Errand::PrivilegeShow,
            Self::Calls => Errand::CallList,
            Self::Revocations => Errand::RevocationList,
            Self::Tools => Errand::ToolList,
        }
    }

    fn source(self, id: &str) -> Option<Source> {
        match self {
            Self::Approval => Id::parse(id).map(Source::Approval),
            Self::Approvals | Self::Calls => Some(Source::Calls),
            Self::Callers | Self::Revocations => Some(Source::Authority),
            Self::Tools => Some(Source::Tools),
        }
    }
}

impl Live {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            listeners: Arc::new(Listeners::new(LIMITS)),
            authority: Arc::default(),
            calls: Arc::default(),
            tools: Arc::default(),
        })
    }

    /// Hears of changes of `source`. Somebody looks for them from now on.
    fn listen(&self, console: &Console, source: Source) -> watch::Receiver<Option<Digest>> {
        let watched = match source {
            // Who looks at one is alone, as a rule.
            Source::Approval(_) => Arc::default(),
            Source::Authority => Arc::clone(&self.authority),
            Source::Calls => Arc::clone(&self.calls),
            Source::Tools => Arc::clone(&self.tools),
        };
        let heard = watched.beat.subscribe();
        if !watched.is_looking.swap(true, Ordering::AcqRel) {
            tokio::spawn(look(watched, console.clone(), source));
        }
        heard
    }
}

/// Looks for changes while anybody listens.
async fn look(watched: Arc<Watched>, console: Console, source: Source) {
    loop {
        while watched.beat.receiver_count() > 0 {
            if let Some(mark) = mark(&console, source).await {
                watched.beat.send_if_modified(|seen| seen.replace(mark) != Some(mark));
            }
            sleep(source.every()).await;
        }
        watched.is_looking.store(false, Ordering::Release);
        // Somebody may have come just before it was said that nobody looks.
        let is_wanted = watched.beat.receiver_count() > 0;
        if !is_wanted || watched.is_looking.swap(true, Ordering::AcqRel) {
            return;
        }
    }
}

impl Source {
    /// How often it is looked at. Servers are asked, if what they told is not fresh any more.
    const fn every(self) -> Duration {
        match self {
            Self::Approval(_) | Self::Authority | Self::Calls => LOOK_EVERY,
            Self::Tools => TOOLS_EVERY,
        }
    }
}

/// What a page has to say that is made now, for the stream that keeps it fresh.
pub(super) async fn seen(console: &Console, source: Source) -> String {
    mark(console, source).await.map(|mark| mark.to_string()).unwrap_or_default()
}

/// Another one whenever the source is.
async fn mark(console: &Console, source: Source) -> Option<Digest> {
    let gateway = &console.front.gateway;
    let store = gateway.authority()?;
    let text = match source {
        Source::Approval(id) => {
            let state = store.approval(id).await.ok()??;
            let standing = state.standing(console.ambient.now());
            format!("{standing:?} {}", state.votes.len())
        }
        Source::Authority => store.version().await.ok()?.to_string(),
        Source::Calls => {
            let version = store.version().await.ok()?;
            format!("{version} {}", newest_call(gateway).await?)
        }
        Source::Tools => {
            let version = store.version().await.ok()?;
            format!("{version} {}", offered(gateway).await)
        }
    };
    Some(Digest::of(text.as_bytes()))
}

/// The call that was decided last or has come to its end; what is asked of the gateway itself does not count, or who looks would always find
/// something new.
async fn newest_call(gateway: &Gateway) -> Option<String> {
    let store = gateway.recorded()?;
    let filter = Filter::default().without(Link::Server, NAME);
    let newest = newest(&*store, filter, 1).await.ok()?;
    let call = newest.first().map(|(row, outcome)| format!("{} {outcome:?}", row.hash));
    Some(call.unwrap_or_default())
}

/// The tools of all servers, as far as these tell them in time.
async fn offered(gateway: &Gateway) -> String {
    let all = gateway.servers().map(|server| async move {
        let told = timeout(LOOK_EVERY, server.tools(None)).await;
        let Ok(Ok(set)) = told else { return format!("{} silent", server.name) };
        let known = set.tools.iter().map(|tool| &tool.definition);
        let unknown = set.unclassified.iter().map(|tool| &tool.definition);
        let digests = known.chain(unknown).map(|definition| definition.digest.to_string());
        format!("{} {}", server.name, digests.collect::<Vec<_>>().join(" "))
    });
    join_all(all).await.join("\n")
}

/// The stream of a page. Whoever may see that may hear that it is another one.
pub(super) async fn listen(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let wanted: Wanted = query(&head).ok_or_else(not_understood)?;
    let source = wanted.page.source(&wanted.id).ok_or_else(not_understood)?;
    let gateway = &console.front.gateway;
    let about = whose(gateway, source).await;
    let (asked, work) = (Object::default().with("live", true), async { Ok(()) });
    let errand = wanted.page.errand();
    let permitted = gateway.run_errand(&visitor.caller, errand, about.as_deref(), asked, work);
    permitted.await.map_err(refused)?;
    // Every session has another one.
    let session = Digest::of(visitor.session.csrf().as_bytes());
    let Ok(place) = console.live.listeners.enter(session) else {
        let text = "Too many pages are open. This one is not kept fresh.";
        return Err(message(StatusCode::SERVICE_UNAVAILABLE, "No room", text));
    };
    let (events_in, events_out) = mpsc::channel(1);
    let heard = console.live.listen(&console, source);
    let seen = wanted.seen.parse().ok();
    tokio::spawn(tell(console, head, heard, seen, (events_in, place)));
    let mut response = answer(StatusCode::OK, "text/event-stream", String::new());
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    *response.body_mut() = Body::from_stream(events(events_out));
    Ok(response)
}

/// On whose account it is, as for the page itself.
async fn whose(gateway: &Gateway, source: Source) -> Option<String> {
    match source {
        Source::Approval(id) => {
            let state = gateway.authority()?.approval(id).await.ok()??;
            Some(state.approval.asker.accountable)
        }
        Source::Authority | Source::Calls | Source::Tools => None,
    }
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
    super::script(include_str!("../../templates/console/live.js"))
}
