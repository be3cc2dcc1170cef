//! A minimal MCP client of the modern era: one request, one answer.

use std::net::SocketAddr;

use bytes::Bytes;
use callgate_model::json::{Json, Object};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::cli::Failure;

const VERSION: &str = "2026-07-28";

/// A client of the gateway at one address.
pub(super) struct Client {
    http: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
    url: String,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            http: hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http(),
            url: format!("http://{address}/mcp/atlassian"),
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
            .uri(&self.url)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header("mcp-protocol-version", VERSION)
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool)
            .body(Full::from(message.to_text()))
            .map_err(|error| error.to_string())?;
        let answer = self.http.request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body =
            answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        if status == StatusCode::OK {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        Err(Failure::Other(format!("the gateway answered {status}: {text}")))
    }
}
