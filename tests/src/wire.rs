//! HTTP written byte for byte, so that what no client library would send can be sent.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one exchange may take.
const EXCHANGE_MAX: Duration = Duration::from_secs(20);

const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";

/// A request, not yet sent. Headers are sent as they stand here, in this order, twice if they stand here twice.
#[derive(Clone, Debug)]
pub struct Ask {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Ask {
    /// A well-formed POST of `body` by the bearer of `token`, without anything of a protocol era.
    #[must_use]
    pub fn post(server: &str, token: &str, body: impl Into<Vec<u8>>) -> Self {
        let ask = Self {
            method: "POST",
            path: format!("/mcp/{server}"),
            headers: Vec::new(),
            body: body.into(),
        };
        ask.also("content-type", "application/json")
            .also("accept", "application/json, text/event-stream")
            .also("authorization", &format!("Bearer {token}"))
    }

    /// A request to `path` of the gateway's own API; of no body, if that is empty.
    #[must_use]
    pub fn api(method: &'static str, path: &str, token: &str, body: &str) -> Self {
        let ask = Self { path: format!("/api/v1{path}"), ..Self::post("", token, body) };
        ask.by(method)
    }

    /// A pushed event of the issuer of that name.
    #[must_use]
    pub fn event(issuer: &str, token: &str) -> Self {
        let ask = Self { path: format!("/ssf/{issuer}"), ..Self::post("", "", token) };
        ask.without("authorization").with("content-type", "application/secevent+jwt")
    }

    /// A browser that goes to `path`.
    #[must_use]
    pub fn page(path: &str) -> Self {
        let ask = Self { path: path.to_owned(), ..Self::post("", "", "") };
        Self { headers: Vec::new(), ..ask.by("GET") }
    }

    /// A browser that sends a form to `path`.
    #[must_use]
    pub fn form(path: &str, form: &str) -> Self {
        let ask = Self::page(path).by("POST").body(form);
        ask.also("content-type", "application/x-www-form-urlencoded")
    }

    /// A well-formed request of the modern era.
    #[must_use]
    pub fn modern(server: &str, token: &str, method: &str, mut params: Value) -> Self {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        if let Some(params) = params.as_object_mut() {
            params.insert("_meta".to_owned(), meta);
        }
        let mirrored = if method == "resources/read" { "uri" } else { "name" };
        let name = params.get(mirrored).and_then(Value::as_str).map(str::to_owned);
        let ask = Self::post(server, token, message(method, &params))
            .also("mcp-protocol-version", MODERN)
            .also("mcp-method", method);
        match name {
            Some(name) => ask.also("mcp-name", &name),
            None => ask,
        }
    }

    /// A well-formed request of the legacy era, in `session`.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "params are written with `json!` in place")]
    pub fn legacy(server: &str, token: &str, session: &str, method: &str, params: Value) -> Self {
        Self::post(server, token, message(method, &params))
            .also("mcp-protocol-version", LEGACY)
            .also("mcp-session-id", session)
    }

    /// A `tools/call` of the modern era.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "arguments are written with `json!` in place"
    )]
    pub fn call(server: &str, token: &str, tool: &str, arguments: Value) -> Self {
        let params = json!({ "name": tool, "arguments": arguments });
        Self::modern(server, token, "tools/call", params)
    }

    /// With another HTTP method.
    #[must_use]
    pub fn by(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    /// With one more header.
    #[must_use]
    pub fn also(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without this header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// With this header, in place of those of that name.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        self.without(name).also(name, value)
    }

    /// With another body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With `from` in the body replaced by `to`: for bodies that no serialiser writes.
    #[must_use]
    pub fn edit(self, from: &str, to: &str) -> Self {
        let body = String::from_utf8_lossy(&self.body).replace(from, to);
        self.body(body)
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Errors
    /// If the connection fails, the answer is late or is not HTTP.
    pub async fn send(&self, address: SocketAddr) -> io::Result<Heard> {
        let exchange = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(&self.bytes(address)).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Heard::read(&answer).ok_or_else(|| {
                io::Error::other(format!("not HTTP: {}", String::from_utf8_lossy(&answer)))
            })
        };
        tokio::time::timeout(EXCHANGE_MAX, exchange).await?
    }

    /// Sends it and gives the connection, unread.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn begin(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&self.bytes(address)).await?;
        Ok(stream)
    }

    fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            head.push_str(&format!("host: {address}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", self.body.len()));
        [head.as_bytes(), &self.body].concat()
    }
}

fn message(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

/// Asks for something of the gateway itself, such as `/metrics`.
///
/// # Errors
/// As [`Ask::send`].
pub async fn get(address: SocketAddr, path: &str) -> io::Result<Heard> {
    let ask = Ask { method: "GET", path: path.to_owned(), headers: Vec::new(), body: Vec::new() };
    ask.send(address).await
}

/// Opens a session of the legacy era and gives its id.
///
/// # Errors
/// If it is not opened.
pub async fn open_session(address: SocketAddr, server: &str, token: &str) -> io::Result<String> {
    let client = json!({ "name": "raw", "version": "1" });
    let params = json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client });
    let heard = Ask::post(server, token, message("initialize", &params)).send(address).await?;
    let id = heard.header("mcp-session-id").map(str::to_owned);
    id.ok_or_else(|| io::Error::other(format!("no session: {heard:?}")))
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The HTTP status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Heard {
    /// The header `name` (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The last JSON-RPC message, of a document or of a stream; null if there is none.
    #[must_use]
    pub fn message(&self) -> Value {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: ")).next_back();
        serde_json::from_str(data.unwrap_or(&self.body)).unwrap_or(Value::Null)
    }

    /// The code of the JSON-RPC error; 0 if it is none.
    #[must_use]
    pub fn code(&self) -> i64 {
        self.message().pointer("/error/code").and_then(Value::as_i64).unwrap_or_default()
    }

    /// The reason codes of a refusal, joined by `+`; empty if it is none.
    #[must_use]
    pub fn reasons(&self) -> String {
        let message = self.message();
        let reasons = message
            .pointer("/result/_meta/dev.callgate~1decision/reasons")
            .or_else(|| message.pointer("/error/data/dev.callgate~1decision/reasons"));
        let reasons = reasons.and_then(Value::as_array).into_iter().flatten();
        let codes = reasons.filter_map(|reason| reason.get("code").and_then(Value::as_str));
        codes.collect::<Vec<_>>().join("+")
    }

    /// Whether it is the result of a tool that did what was asked.
    #[must_use]
    pub fn is_success(&self) -> bool {
        let message = self.message();
        let result = message.get("result");
        self.status == 200
            && result.is_some_and(|result| result.get("isError") != Some(&Value::Bool(true)))
    }

    /// The text of the tool's result.
    #[must_use]
    pub fn text(&self) -> String {
        let message = self.message();
        let text = message.pointer("/result/content/0/text").and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    }

    fn read(answer: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(answer);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let heard = Self { status, headers, body: body.to_owned() };
        match heard.header("transfer-encoding") {
            Some("chunked") => Some(Self { body: unchunked(body)?, ..heard }),
            Some(_) => None,
            None => Some(heard),
        }
    }
}

fn unchunked(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}
