//! Streams of those who listen: what one costs that hears nothing, and how soon all have heard of a change.
//!
//! The server is in this process, so that it can be told to change; each stream has a connection of its own, as clients do.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::gateway::{self, Gateway};
use crate::load::{Load, head};
use crate::servers;
use crate::{Failure, say};

const STREAMS: usize = 1_000;
const CALLERS: usize = 20;
const CHANGES: usize = 5;
/// Until nothing moves any more.
const REST: Duration = Duration::from_secs(2);
/// For anything that should come.
const PATIENCE: Duration = Duration::from_secs(30);

const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
const CHANGED: &str = "notifications/tools/list_changed";

/// Measures both.
pub(crate) async fn measure() -> Result<(), Failure> {
    let server = TcpListener::bind("127.0.0.1:0").await?;
    let address = server.local_addr()?.to_string();
    let changes = watch::Sender::new(0_usize);
    let changing = changes.subscribe();
    tokio::spawn(servers::serve_on(server, move |request| answer(request, changing.clone())));
    let gateway = gateway::start(&address, 10, CALLERS, &gateway::Extra::default()).await?;
    // What a first call makes, whoever makes it, is no matter of the streams.
    Load { tool: "", ..Load::of_gateway(4) }.run(&gateway.child, None, REST).await?;
    sleep(REST).await;
    let before = gateway.child.resident_kib();
    let (mut streams, mut told) = open(&gateway).await?;
    sleep(REST).await;
    let with = gateway.child.resident_kib();
    let mut times = Vec::new();
    for _ in 0..CHANGES {
        let begun = Instant::now();
        changes.send_modify(|count| *count += 1);
        for _ in 0..STREAMS {
            timeout(PATIENCE, told.recv()).await?.ok_or("the streams ended")?;
        }
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        sleep(REST).await;
        if told.try_recv().is_ok() {
            return Err("a change was told twice".into());
        }
    }
    streams.abort_all();
    times.sort_unstable_by(f64::total_cmp);
    let each = with.saturating_sub(before) / u64::try_from(STREAMS)?;
    say(&format!(
        "gateway, {STREAMS} idle streams of {CALLERS} callers: {each} KiB each ({} MB, {} MB before)",
        with / 1024,
        before / 1024
    ));
    say(&format!(
        "a change of the tools reaches all of them in {:.0} ms (median of {CHANGES}, {:.0} ms at most)",
        times.get(CHANGES / 2).copied().unwrap_or_default(),
        times.last().copied().unwrap_or_default()
    ));
    Ok(())
}

/// Opens all streams; what is told on any of them is counted in the channel.
async fn open(
    gateway: &Gateway,
) -> Result<(JoinSet<Result<(), Failure>>, mpsc::Receiver<()>), Failure> {
    let (tell, mut told) = mpsc::channel(STREAMS);
    let mut streams = JoinSet::new();
    for index in 0..STREAMS {
        let (address, tell) = (gateway.child.address.clone(), tell.clone());
        streams.spawn(async move { listen(&address, index % CALLERS, &tell).await });
        // One after the other: what opening costs is not measured.
        tokio::select! {
            first = timeout(PATIENCE, told.recv()) => first?.ok_or("no stream")?,
            Some(ended) = streams.join_next() => ended??,
        }
    }
    Ok((streams, told))
}

/// Listens until the stream ends; says so when it is acknowledged and whenever the tools have changed.
async fn listen(address: &str, caller: usize, tell: &mpsc::Sender<()>) -> Result<(), Failure> {
    let (mut sender, connection) =
        handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
    tokio::spawn(connection);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let request = head("/mcp/bench", address, "subscriptions/listen")
        .header("authorization", format!("Bearer {}", gateway::token_of(caller)))
        .body(Full::new(Bytes::from_static(body.as_bytes())))?;
    let mut body = sender.send_request(request).await?.into_body();
    let mut event = Vec::new();
    while let Some(frame) = body.frame().await {
        event.extend_from_slice(&frame?.into_data().unwrap_or_default());
        if event.ends_with(b"\n\n") {
            let text = String::from_utf8(std::mem::take(&mut event))?;
            if text.contains(ACKNOWLEDGED) || text.contains(CHANGED) {
                tell.send(()).await?;
            }
        }
    }
    Err("a stream ended".into())
}

/// A server whose tools are others after each change, and that says so to whom listens.
async fn answer(
    request: Request<Incoming>,
    changes: watch::Receiver<usize>,
) -> Response<Either<Full<Bytes>, Told>> {
    let method = request.headers().get("mcp-method").cloned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes());
    let id = body.ok().and_then(|body| servers::id_of(&body)).unwrap_or_default();
    if method.is_some_and(|method| method == "subscriptions/listen") {
        return servers::of_type("text/event-stream", Either::Right(told(&id, changes)));
    }
    let names =
        if changes.borrow().is_multiple_of(2) { &servers::TOOLS[..] } else { &["getJiraIssue"] };
    let result = servers::listed(&servers::tools(names));
    let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    servers::of_type("application/json", Either::Left(Full::new(Bytes::from(answer))))
}

/// The events of who listens to the server.
struct Told(mpsc::Receiver<Bytes>);

impl Body for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

fn told(id: &str, mut changes: watch::Receiver<usize>) -> Told {
    let meta = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}"#);
    let event = move |method: &str, more: &str| {
        Bytes::from(format!(
            "data: {{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{{{more}{meta}}}}}\n\n"
        ))
    };
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut next = event(ACKNOWLEDGED, r#""notifications":{"toolsListChanged":true},"#);
        while tell.send(next).await.is_ok() && changes.changed().await.is_ok() {
            next = event(CHANGED, "");
        }
    });
    Told(told)
}
