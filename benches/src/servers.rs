//! The two ends of the comparison: a minimal MCP server, and a forwarder that does not look at what it forwards.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
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
fn tools() -> String {
    let tool = |name: &str| {
        format!(
            r#"{{"name":"{name}","description":"{}","inputSchema":{{"type":"object","properties":{{"cloudId":{{"type":"string"}},"issueIdOrKey":{{"type":"string"}},"fields":{{"type":"object"}}}},"required":["cloudId","issueIdOrKey"],"additionalProperties":false}}}}"#,
            "What the tool does, in a few sentences that a model reads. ".repeat(4)
        )
    };
    format!("[{}]", ["getJiraIssue", "editJiraIssue"].map(tool).join(","))
}

/// Serves until it is killed; prints its address.
pub(crate) async fn upstream() -> Result<(), Failure> {
    let (called, real) = (Bytes::from(tools()), Bytes::from(REAL));
    serve(move |request| {
        let list = if request.uri().path() == "/98" { real.clone() } else { called.clone() };
        let streams = request.uri().path() == "/sse";
        async move {
            let listing = request.headers().get("mcp-method").is_some_and(|m| m == "tools/list");
            let body = request.into_body().collect().await.map(|body| body.to_bytes());
            let id = body.ok().and_then(|body| id_of(&body)).unwrap_or_else(|| "null".to_owned());
            let result = if listing {
                format!(
                    r#"{{"tools":{},"resultType":"complete","ttlMs":0,"cacheScope":"private"}}"#,
                    String::from_utf8_lossy(&list)
                )
            } else {
                CALLED.to_owned()
            };
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
            if streams && !listing { events(&id, &answer) } else { json(Bytes::from(answer)) }
        }
    })
    .await
}

/// The same server on standard input and output.
pub(crate) fn upstream_stdio() -> Result<(), Failure> {
    let tools = tools();
    for line in std::io::stdin().lines() {
        let line = line?;
        let Some(id) = id_of(line.as_bytes()) else { continue };
        let result = if line.contains("tools/list") {
            format!(
                r#"{{"tools":{tools},"resultType":"complete","ttlMs":0,"cacheScope":"private"}}"#
            )
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

fn id_of(body: &[u8]) -> Option<String> {
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
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let kind = http::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

fn json(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}
