//! A minimal MCP client of the modern era, and of the API: one request, one answer.

use std::net::SocketAddr;

use bytes::Bytes;
use callgate_model::json::{Json, JsonLimits, Object, read};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::cli::Failure;

const VERSION: &str = "2026-07-28";

/// A client of the gateway at one address.
pub(super) struct Client {
    http: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
    origin: String,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            http: hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http(),
            origin: format!("http://{address}"),
        }
    }

    /// Calls a tool. Any MCP answer will do: what was decided is read from the evidence.
    pub(super) async fn call(
        &self,
        token: &str,
        tool: &str,
        arguments: Object,
    ) -> Result<(), Failure> {
        let meta = Object::default()
            .with("io.modelcontextprotocol/protocolVersion", VERSION)
            .with("io.modelcontextprotocol/clientCapabilities", Object::default())
            .with(
                "io.modelcontextprotocol/clientInfo",
                Object::default()
                    .with("name", "callgate-demo")
                    .with("version", env!("CARGO_PKG_VERSION")),
            );
        let params =
            Object::default().with("name", tool).with("arguments", arguments).with("_meta", meta);
        let message: Json = Object::default()
            .with("jsonrpc", "2.0")
            .with("id", 1)
            .with("method", "tools/call")
            .with("params", params)
            .into();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/mcp/atlassian", self.origin))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header("mcp-protocol-version", VERSION)
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool)
            .body(Full::from(message.to_text()))
            .map_err(|error| error.to_string())?;
        self.send(request).await.map(drop)
    }

    /// Approves what waits, as a lead would: sees that it is there, looks at it, and approves what was shown. How many
    /// requests that took.
    pub(super) async fn approve(&self, token: &str) -> Result<usize, Failure> {
        let id = self.waiting(token).await?;
        let shown = self.api(token, &format!("/{id}"), None).await?;
        let shown = shown.get("shown").and_then(Json::as_str).unwrap_or_default();
        let said = Object::default().with("shown", shown).with("reason", "nobody calls it");
        self.api(token, &format!("/{id}/approve"), Some(said)).await?;
        Ok(3)
    }

    /// The id of what waits.
    pub(super) async fn waiting(&self, token: &str) -> Result<String, Failure> {
        let listed = self.api(token, "", None).await?;
        let first = listed.get("approvals").and_then(Json::as_array).and_then(<[Json]>::first);
        Ok(first.and_then(|one| one.get("id")?.as_str()).ok_or("nothing waits")?.to_owned())
    }

    async fn api(&self, token: &str, path: &str, said: Option<Object>) -> Result<Json, Failure> {
        let request = Request::builder()
            .method(if said.is_some() { Method::POST } else { Method::GET })
            .uri(format!("{}/api/v1/approvals{path}", self.origin))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(said.map(|said| said.to_text()).unwrap_or_default()))
            .map_err(|error| error.to_string())?;
        let body = self.send(request).await?;
        Ok(read(&body, &JsonLimits::default()).map_err(|error| error.to_string())?)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Bytes, Failure> {
        let answer = self.http.request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body =
            answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        if status == StatusCode::OK {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        Err(Failure::Other(format!("the gateway answered {status}: {text}")))
    }
}
