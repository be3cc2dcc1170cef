//! The HTTP server: connections, routes, and nothing that decides.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use callgate_gateway::assertion;
use callgate_gateway::identity::{Peer, Unacceptable};
use callgate_gateway::limits::Limit;
use callgate_gateway::pipeline::{EventError, Gateway, Reply, ReplyBody};
use callgate_gateway::resource::{API, WELL_KNOWN};
use callgate_mcp::sse;
use futures_util::stream;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tower::ServiceExt;

use crate::ambient::Machine;
use crate::api::{self, Api};
use crate::config::Roles;
use crate::console::{CONSOLE, Console};
use crate::premises::Premises;
use crate::stop::Stop;

/// A comment that keeps an idle event stream alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// For those who have connected already to be taken when nobody else is.
const LAST_WITHIN: Duration = Duration::from_millis(500);
/// Nobody has, if nobody is there for so long.
const LAST_PAUSE: Duration = Duration::from_millis(20);
/// For those who keep a connection to hear that it ends, when another gateway has taken the place of this one: until then, they are still answered by
/// what was in force.
const MOVED_WITHIN: Duration = Duration::from_secs(1);
/// For a request's headers to arrive, from when the connection is there or the last request was answered.
const HEADERS_MAX: Duration = Duration::from_secs(5);
/// Between the signs of life that a client of HTTP/2 is asked for, and for each of them to come.
const ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// Largest head of a request, in bytes. A token and the handle of a workflow are in it.
const HEAD_BYTES_MAX: u32 = 64 << 10;
/// Requests on one connection of HTTP/2 at one time.
const REQUESTS_PER_CONNECTION_MAX: u32 = 100;
/// What is answered to a connection beyond the limit, if it can be at once.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 30\r\n\r\ntoo many connections are open\n";

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) gateway: Arc<Gateway>,
    body_bytes_max: usize,
    request_time_max: Duration,
    /// Whose word counts about where a request comes from.
    proxies: Arc<[IpNet]>,
}

/// Limits of the listener.
#[derive(Clone, Debug)]
pub(crate) struct ListenLimits {
    pub(crate) connections_max: usize,
    pub(crate) body_bytes_max: usize,
    pub(crate) request_time_max: Duration,
    /// How long others are still served when it was told to stop.
    pub(crate) leave_time: Duration,
    /// How long open calls are waited for after that.
    pub(crate) drain_time_max: Duration,
    pub(crate) proxies: Vec<IpNet>,
    /// The address under which people come to the console, without a path.
    pub(crate) origin: String,
    /// Who is what there.
    pub(crate) roles: Roles,
}

/// Serves until it is told to stop, and for as long after as it takes others to hear of it; then lets open calls finish. Says until when those are waited for that go on.
pub(crate) async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    premises: Premises,
    limits: ListenLimits,
    stop: Stop,
) -> Instant {
    let listening = Arc::clone(&gateway);
    let front = Front {
        gateway,
        body_bytes_max: limits.body_bytes_max,
        request_time_max: limits.request_time_max,
        proxies: limits.proxies.into(),
    };
    let desk = Arc::clone(&premises.desk);
    let entry = (limits.roles, &*limits.origin);
    let console = Console::new(front.clone(), Arc::new(Machine), entry, premises);
    let api = Api { front: front.clone(), desk, ambient: Arc::new(Machine) };
    let router = Router::new()
        .route(&format!("{WELL_KNOWN}{API}"), get(metadata_of_api))
        .route("/mcp", any(roof))
        .route("/mcp/{server}", any(mcp))
        .route(&format!("{WELL_KNOWN}/mcp/{{server}}"), get(metadata))
        .route(&format!("{WELL_KNOWN}/mcp"), get(metadata_of_all))
        .route(WELL_KNOWN, get(metadata_of_all))
        .route(assertion::WELL_KNOWN, get(assertion_keys))
        .route("/ssf/{issuer}", post(event))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(front)
        .nest(API, api::routes(api))
        // People type the slash.
        .route(&format!("{CONSOLE}/"), get(async || Redirect::permanent(CONSOLE)))
        .nest(CONSOLE, console.routes());
    let open = GracefulShutdown::new();
    let doors =
        Doors { slots: Arc::new(Semaphore::new(limits.connections_max)), router, listening };
    let left = doors.left(&stop, limits.leave_time);
    tokio::pin!(left);
    loop {
        tokio::select! {
            accepted = listener.accept() => doors.take(accepted, &open).await,
            () = &mut left => break,
        }
    }
    if stop.is_replaced() {
        // Who comes now is let in by another one. Who is in is told to come anew, or goes by not coming.
        drop(listener);
        sleep(MOVED_WITHIN).await;
    } else {
        doors.take_last(listener, &open).await;
    }
    // These would stay open for as long as their clients like.
    doors.listening.end_listening();
    let until = Instant::now() + limits.drain_time_max;
    timeout_at(until, open.shutdown()).await.ok();
    until
}

/// Where connections come in.
struct Doors {
    slots: Arc<Semaphore>,
    router: Router,
    listening: Arc<Gateway>,
}

impl Doors {
    async fn take(&self, accepted: io::Result<(TcpStream, SocketAddr)>, open: &GracefulShutdown) {
        let Ok((socket, address)) = accepted else {
            // Out of descriptors, most likely: give the open connections time to end.
            sleep(Duration::from_millis(50)).await;
            return;
        };
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.listening.counts().limited(Limit::Connections);
            // Nobody waits for whoever does not read it.
            socket.try_write(NO_ROOM).ok();
            return;
        };
        let (router, gateway) = (self.router.clone(), Arc::clone(&self.listening));
        let connection = connection(socket, address.ip(), (router, gateway), open.watcher());
        tokio::spawn(async move {
            connection.await;
            drop(slot);
        });
    }

    /// Who has connected before is answered; who comes after finds another gateway, and knows at once that this one is none.
    async fn take_last(&self, listener: TcpListener, open: &GracefulShutdown) {
        let last = Instant::now() + LAST_WITHIN;
        while Instant::now() < last
            && let Ok(accepted) = timeout(LAST_PAUSE, listener.accept()).await
        {
            self.take(accepted, open).await;
        }
    }

    /// Ready when nobody is to come in any more.
    async fn left(&self, stop: &Stop, leave_time: Duration) {
        stop.asked().await;
        self.listening.leave();
        let calls = self.listening.calls_in_flight();
        if stop.is_replaced() {
            tracing::info!(
                calls,
                "another process answers from now on: what is on its way is finished"
            );
        } else {
            tracing::info!(
                calls,
                "told to stop: not ready any more; what is on its way is finished"
            );
            sleep(leave_time).await;
        }
    }
}

/// Serves a client for as long as it has requests: who says nothing at first is not waited for.
async fn connection(
    socket: TcpStream,
    peer: IpAddr,
    (router, gateway): (Router, Arc<Gateway>),
    watcher: Watcher,
) {
    socket.set_nodelay(true).ok();
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_MAX)
        .max_buf_size(usize::try_from(HEAD_BYTES_MAX).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(ALIVE.0)
        .keep_alive_timeout(ALIVE.1)
        .max_header_list_size(HEAD_BYTES_MAX)
        .max_concurrent_streams(REQUESTS_PER_CONNECTION_MAX);
    // Neither is there a timer before the version of HTTP is known, nor one for the first request of HTTP/2.
    let begun = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&begun);
    let persists = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&persists);
    let service = router.map_request(move |mut request: http::Request<Incoming>| {
        seen.store(true, Ordering::Relaxed);
        asked.store(request.version() == Version::HTTP_11, Ordering::Relaxed);
        request.extensions_mut().insert(Peer(peer));
        request
    });
    // A client that keeps the connection would send its next request into one that is about to end. HTTP/2 has its own way to say it.
    let service = service.map_response(move |mut response: Response| {
        if gateway.is_leaving() && persists.load(Ordering::Relaxed) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    });
    let service = TowerToHyperService::new(service);
    let connection = builder.serve_connection(TokioIo::new(socket), service).into_owned();
    let mut connection = std::pin::pin!(watcher.watch(connection));
    // A connection that ends badly is the client's business.
    if timeout(HEADERS_MAX, &mut connection).await.is_err() && begun.load(Ordering::Relaxed) {
        connection.await.ok();
    }
}

async fn mcp(State(front): State<Front>, Path(server): Path<String>, request: Request) -> Response {
    let (head, body) = front.open(request);
    respond(match front.read(body).await {
        Ok(body) => front.gateway.handle(&head, &server, body).await,
        Err(status) => front.gateway.refuse_unread(&head, &server, status).await,
    })
}

/// All servers at once.
async fn roof(State(front): State<Front>, request: Request) -> Response {
    let (head, body) = front.open(request);
    respond(match front.read(body).await {
        Ok(body) => front.gateway.handle_roof(&head, body).await,
        Err(status) => front.gateway.refuse_unread(&head, "", status).await,
    })
}

impl Front {
    /// The head of a request, which says where it comes from, and its body.
    pub(crate) fn open(&self, request: Request) -> (Parts, Body) {
        let (mut head, body) = request.into_parts();
        if let Some(Peer(peer)) = head.extensions.get().copied() {
            head.extensions.insert(Peer(origin(peer, &head.headers, &self.proxies)));
        }
        (head, body)
    }

    /// The whole body, or why it was not read.
    pub(crate) async fn read(&self, body: Body) -> Result<Bytes, StatusCode> {
        let read = Limited::new(body, self.body_bytes_max).collect();
        match timeout(self.request_time_max, read).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                self.gateway.counts().limited(Limit::BodyBytes);
                Err(StatusCode::PAYLOAD_TOO_LARGE)
            }
            Ok(Err(_broken_off)) => Err(StatusCode::BAD_REQUEST),
            Err(_elapsed) => {
                self.gateway.counts().limited(Limit::RequestTime);
                Err(StatusCode::REQUEST_TIMEOUT)
            }
        }
    }
}

/// Where a request comes from. Each proxy adds where it had it from to the end of `X-Forwarded-For`; what stands before the
/// first one that is trusted, anybody may have written.
fn origin(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let is_proxy = |address: IpAddr| proxies.iter().any(|net| net.contains(&address));
    let mut origin = peer.to_canonical();
    let forwarded = headers.get_all("x-forwarded-for").iter();
    let mut named: Vec<_> =
        forwarded.filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(',')).collect();
    while is_proxy(origin) {
        let Some(next) = named.pop() else { break };
        let Ok(next) = next.trim().parse::<IpAddr>() else { break };
        origin = next.to_canonical();
    }
    origin
}

pub(crate) fn respond(reply: Reply) -> Response {
    let (body, kind) = match reply.body {
        ReplyBody::Empty => (Body::empty(), None),
        ReplyBody::Whole(bytes) => (Body::from(bytes), Some("application/json")),
        ReplyBody::Listening(messages) | ReplyBody::Stream(messages) => {
            (Body::from_stream(events(messages)), Some("text/event-stream"))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    if let Some(kind) = kind {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    for (name, value) in reply.headers {
        headers.insert(name, value);
    }
    response
}

/// Messages as a stream of events, which is kept alive.
pub(crate) fn events(
    messages: tokio::sync::mpsc::Receiver<Bytes>,
) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(messages, async |mut messages| {
        match timeout(KEEP_ALIVE, messages.recv()).await {
            Ok(Some(message)) => {
                let event = sse::encode_event(&String::from_utf8_lossy(&message));
                Some((Ok(event), messages))
            }
            Ok(None) => None,
            Err(_elapsed) => Some((Ok(Bytes::from_static(sse::KEEP_ALIVE.as_bytes())), messages)),
        }
    })
}

/// An event of an issuer, pushed (RFC 8935 §2). It is signed, so nothing else says who sends it.
async fn event(
    State(front): State<Front>,
    Path(issuer): Path<String>,
    request: Request,
) -> Response {
    let refused = |status: StatusCode, err: &str, description: String| {
        let text = serde_json::json!({ "err": err, "description": description }).to_string();
        (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
    };
    let (head, body) = front.open(request);
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind != Some("application/secevent+jwt") {
        let text = "send `Content-Type: application/secevent+jwt`".to_owned();
        return refused(StatusCode::BAD_REQUEST, "invalid_request", text);
    }
    let body = match front.read(body).await {
        Ok(body) => body,
        Err(status) => return status.into_response(),
    };
    match front.gateway.take_event(&issuer, &String::from_utf8_lossy(&body)).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(EventError::Unacceptable(wrong)) if wrong.is_ours() => {
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Err(EventError::Unacceptable(wrong)) => {
            tracing::warn!(issuer, %wrong, "an event is not taken");
            refused(StatusCode::BAD_REQUEST, err_of(&wrong), wrong.to_string())
        }
        Err(EventError::Unrecorded(error)) => {
            tracing::error!(issuer, %error, "an event cannot be recorded");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// The codes of RFC 8935 §2.4.
const fn err_of(wrong: &Unacceptable) -> &'static str {
    match wrong {
        Unacceptable::Audience => "invalid_audience",
        Unacceptable::Unknown => "invalid_issuer",
        Unacceptable::Signature | Unacceptable::UnknownKey => "invalid_key",
        Unacceptable::Absent
        | Unacceptable::Algorithm
        | Unacceptable::Bound
        | Unacceptable::Chain
        | Unacceptable::Claim(_)
        | Unacceptable::Expired
        | Unacceptable::Header
        | Unacceptable::Inactive
        | Unacceptable::Malformed
        | Unacceptable::Network
        | Unacceptable::NoAnswer
        | Unacceptable::NoKeys
        | Unacceptable::NoRegistry
        | Unacceptable::NotBearer
        | Unacceptable::NotYet
        | Unacceptable::Revoked
        | Unacceptable::TooOld
        | Unacceptable::Type
        | Unacceptable::Unused => "invalid_request",
    }
}

/// Where to get a token for one server. Anybody may ask, also a page.
async fn metadata(State(front): State<Front>, Path(server): Path<String>) -> Response {
    described(front.gateway.resource_metadata(&server))
}

async fn metadata_of_api(State(front): State<Front>) -> Response {
    described(front.gateway.api_metadata())
}

async fn metadata_of_all(State(front): State<Front>) -> Response {
    described(front.gateway.resource_metadata(""))
}

fn described(metadata: Option<Bytes>) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/json"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    match metadata {
        Some(metadata) => (headers, metadata).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// By which keys servers know what the gateway says of calls.
async fn assertion_keys(State(front): State<Front>) -> Response {
    described(front.gateway.assertion_keys())
}

async fn ready(State(front): State<Front>) -> Response {
    if front.gateway.is_leaving() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response()
    } else if front.gateway.is_ready() {
        (StatusCode::OK, "ready\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "evidence cannot be written\n").into_response()
    }
}

async fn metrics(State(front): State<Front>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], front.gateway.metrics()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i09_where_a_request_comes_from_is_what_a_trusted_proxy_says_and_nobody_else() {
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let from = |peer: &str, forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            origin(peer.parse().unwrap(), &headers, &proxies).to_string()
        };
        for (peer, forwarded, is) in [
            ("192.0.2.1", &[][..], "192.0.2.1"),
            ("192.0.2.1", &["198.51.100.7"], "192.0.2.1"),
            ("10.1.2.3", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.1.2.3", &["198.51.100.7"], "198.51.100.7"),
            ("::1", &["203.0.113.9, 198.51.100.7, 10.9.9.9"], "198.51.100.7"),
            ("::1", &["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
            ("::1", &["198.51.100.7, unknown"], "::1"),
            ("::1", &[], "::1"),
        ] {
            assert_eq!(from(peer, forwarded), is, "{peer} {forwarded:?}");
        }
    }
}
