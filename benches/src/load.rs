//! The load: a number of connections, each sending its next call when the last one is answered.

use std::time::{Duration, Instant};

use bytes::Bytes;
use callgate_model::json::{Json, Object};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failure;
use crate::child::Child;

const VERSION: &str = "2026-07-28";
const WARM_UP: Duration = Duration::from_millis(500);

/// What to send.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) token: Option<&'static str>,
    /// The tool to call; empty to list the tools.
    pub(crate) tool: &'static str,
    pub(crate) path: &'static str,
    pub(crate) concurrency: usize,
    /// Whether to ask for progress, which makes the answer a stream.
    pub(crate) progress: bool,
}

/// What it took.
pub(crate) struct Measured {
    pub(crate) calls_per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Of the process in the middle.
    pub(crate) cpu_us_per_call: f64,
}

impl Load {
    /// Reads through the gateway.
    pub(crate) const fn of_gateway(concurrency: usize) -> Self {
        let token = Some(crate::gateway::TOKEN);
        Self { token, tool: "getJiraIssue", path: "/mcp/bench", concurrency, progress: false }
    }

    /// Runs against `server`, watching the CPU time of `middle`.
    pub(crate) async fn run(
        self,
        server: &Child,
        middle: Option<&Child>,
        time: Duration,
    ) -> Result<Measured, Failure> {
        self.drive(&server.address, WARM_UP).await?;
        let before = middle.map_or(0.0, Child::cpu_s);
        let begun = Instant::now();
        let mut latencies = self.drive(&server.address, time).await?;
        let elapsed = begun.elapsed().as_secs_f64();
        let cpu = middle.map_or(0.0, Child::cpu_s) - before;
        latencies.sort_unstable();
        let calls = u32::try_from(latencies.len()).map(f64::from)?;
        let at = |share: usize| {
            let index = latencies.len().saturating_mul(share) / 100;
            latencies.get(index).map_or(0.0, |nanos| f64::from(*nanos) / 1000.0)
        };
        Ok(Measured {
            calls_per_s: calls / elapsed,
            p50_us: at(50),
            p99_us: at(99),
            cpu_us_per_call: cpu * 1e6 / calls,
        })
    }

    /// Latencies in nanoseconds.
    async fn drive(self, address: &str, time: Duration) -> Result<Vec<u32>, Failure> {
        let mut connections = JoinSet::new();
        for _ in 0..self.concurrency {
            let address = address.to_owned();
            connections.spawn(async move { self.connection(&address, time).await });
        }
        let mut all = Vec::new();
        while let Some(done) = connections.join_next().await {
            all.extend(done??);
        }
        Ok(all)
    }

    async fn connection(self, address: &str, time: Duration) -> Result<Vec<u32>, Failure> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let (mut sender, connection) = handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        let body = self.body();
        let end = Instant::now() + time;
        let mut latencies = Vec::new();
        while Instant::now() < end {
            let sent = Instant::now();
            self.one(&mut sender, address, body.clone()).await?;
            latencies.push(u32::try_from(sent.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
        Ok(latencies)
    }

    async fn one(
        self,
        sender: &mut SendRequest<Full<Bytes>>,
        address: &str,
        body: Bytes,
    ) -> Result<(), Failure> {
        let method = if self.tool.is_empty() { "tools/list" } else { "tools/call" };
        let mut request = head(self.path, address, method);
        if !self.tool.is_empty() {
            request = request.header("mcp-name", self.tool);
        }
        if let Some(token) = self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = sender.send_request(request.body(Full::new(body))?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let refused = body.windows(14).any(|window| window == b"\"isError\":true");
        if status != StatusCode::OK || refused {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(())
    }

    /// About 450 bytes, as in the published comparison.
    pub(crate) fn body(self) -> Bytes {
        let mut meta = Object::default()
            .with("io.modelcontextprotocol/protocolVersion", VERSION)
            .with("io.modelcontextprotocol/clientCapabilities", Object::default());
        if self.progress {
            meta.set("progressToken", 1);
        }
        let mut params = Object::default().with("_meta", meta);
        let mut method = "tools/list";
        if !self.tool.is_empty() {
            let mut arguments = Object::default()
                .with("cloudId", "https://acme.atlassian.net")
                .with("issueIdOrKey", "ENG-42");
            if self.tool == "editJiraIssue" {
                let fields = Object::default()
                    .with("summary", "The basket is lost when the issuer times out")
                    .with("labels", vec!["checkout", "regression"]);
                arguments.set("fields", fields);
            }
            params.set("name", self.tool);
            params.set("arguments", arguments);
            method = "tools/call";
        }
        let message: Json = Object::default()
            .with("jsonrpc", "2.0")
            .with("id", 1)
            .with("method", method)
            .with("params", params)
            .into();
        Bytes::from(message.to_text())
    }
}

/// The headers that every request has.
pub(crate) fn head(path: &str, address: &str, method: &str) -> http::request::Builder {
    Request::post(path)
        .header("host", address)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", VERSION)
        .header("mcp-method", method)
}
