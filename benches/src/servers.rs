//! The two ends of the comparison: a minimal MCP server, and a forwarder that does not look at what it forwards.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::{Failure, say};

/// The 98 tools of a real server, listed at `/98`.
const REAL: &str = include_str!("../../crates/callgate-gateway/tests/data/mcp-atlassian-0.23.json");

/// The result of a call.
const CALLED: &str = r#"{"content":[{"type":"text","text":"{\"key\":\"ENG-42\",\"summary\":\"The basket is lost\"}"}],"isError":false,"resultType":"complete"}"#;
/// Reports of progress before an answer that comes as a stream.
const REPORTS: usize = 10;

/// The two tools that are called.
pub(crate) const TOOLS: [&str; 2] = ["getJiraIssue", "editJiraIssue"];

/// Tools of these names, as a list has them.
pub(crate) fn tools(names: &[&str]) -> String {
    let tool = |name| {
        format!(
            r#"{{"name":"{name}","description":"{}","inputSchema":{{"type":"object","properties":{{"cloudId":{{"type":"string"}},"issueIdOrKey":{{"type":"string"}},"fields":{{"type":"object"}}}},"required":["cloudId","issueIdOrKey"],"additionalProperties":false}}}}"#,
            "What the tool does, in a few sentences that a model reads. ".repeat(4)
        )
    };
    let tools: Vec<String> = names.iter().map(tool).collect();
    format!("[{}]", tools.join(","))
}

/// Serves until it is killed; prints its address.
pub(crate) async fn upstream() -> Result<(), Failure> {
    let (called, real) = (Bytes::from(tools(&TOOLS)), Bytes::from(REAL));
    serve(move |request| {
        let list = if request.uri().path() == "/98" { real.clone() } else { called.clone() };
        let streams = request.uri().path() == "/sse";
        async move {
            let listing = request.headers().get("mcp-method").is_some_and(|m| m == "tools/list");
            let body = request.into_body().collect().await.map(|body| body.to_bytes());
            let id = body.ok().and_then(|body| id_of(&body)).unwrap_or_else(|| "null".to_owned());
            let result =
                if listing { listed(&String::from_utf8_lossy(&list)) } else { CALLED.to_owned() };
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
            if streams && !listing { events(&id, &answer) } else { json(Bytes::from(answer)) }
        }
    })
    .await
}

/// The same server on standard input and output.
pub(crate) fn upstream_stdio() -> Result<(), Failure> {
    let tools = tools(&TOOLS);
    for line in std::io::stdin().lines() {
        let line = line?;
        let Some(id) = id_of(line.as_bytes()) else { continue };
        let result = if line.contains("tools/list") {
            listed(&tools)
        } else if line.contains("server/discover") {
            r#"{"supportedVersions":["2026-07-28"],"capabilities":{},"resultType":"complete"}"#
                .to_owned()
        } else {
            CALLED.to_owned()
        };
        say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#));
    }
    Ok(())
}

/// The result of a request for these tools.
pub(crate) fn listed(tools: &str) -> String {
    format!(r#"{{"tools":{tools},"resultType":"complete","ttlMs":0,"cacheScope":"private"}}"#)
}

pub(crate) fn id_of(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    value.get("id").map(ToString::to_string)
}

/// Forwards everything to `to`; prints its address.
pub(crate) async fn forward(to: &str) -> Result<(), Failure> {
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let to = Arc::new(to.to_owned());
    serve(move |request| {
        let (client, to) = (client.clone(), Arc::clone(&to));
        async move {
            let (mut head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            head.uri = Uri::try_from(format!("http://{to}{}", head.uri.path())).unwrap_or_default();
            let request = Request::from_parts(head, Full::new(body));
            match client.request(request).await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                    Response::from_parts(head, Full::new(body))
                }
                Err(_) => Response::default(),
            }
        }
    })
    .await
}

async fn serve<F, A>(answer: F) -> Result<(), Failure>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&listener.local_addr()?.to_string());
    serve_on(listener, answer).await
}

/// Answers whatever comes in.
pub(crate) async fn serve_on<F, A, B>(listener: TcpListener, answer: F) -> Result<(), Failure>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<B>> + Send,
    B: Body<Data = Bytes, Error: Into<Failure>> + Send + 'static,
{
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            // A connection that ends is the end of a measurement.
            http1::Builder::new().serve_connection(TokioIo::new(socket), service).await.ok();
        });
    }
}

/// The answer after some progress, as a stream.
fn events(id: &str, answer: &str) -> Response<Full<Bytes>> {
    let report = |n: usize| {
        format!(
            "event: message\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":{id},\"progress\":{n}}}}}\n\n"
        )
    };
    let mut body: String = (1..=REPORTS).map(report).collect();
    body.push_str(&format!("event: message\ndata: {answer}\n\n"));
    of_type("text/event-stream", Full::new(Bytes::from(body)))
}

fn json(body: Bytes) -> Response<Full<Bytes>> {
    of_type("application/json", Full::new(body))
}

/// An answer of the media type `kind`.
pub(crate) fn of_type<B>(kind: &'static str, body: B) -> Response<B> {
    let mut response = Response::new(body);
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}
