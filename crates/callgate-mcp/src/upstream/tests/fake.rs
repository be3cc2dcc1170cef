//! A server that answers as a test says and remembers what it saw.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use callgate_model::json::{Json, JsonLimits, read};
use http::{HeaderMap, Uri};
use tokio::net::TcpListener;

#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) headers: HeaderMap,
    pub(super) body: Json,
}

impl Seen {
    pub(super) fn method(&self) -> &str {
        let otherwise = if self.body == Json::Null { "a GET" } else { "a response" };
        self.body.get("method").and_then(Json::as_str).unwrap_or(otherwise)
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn params(&self) -> &Json {
        self.body.get("params").unwrap()
    }

    fn id(&self) -> String {
        self.body.get("id").unwrap().to_text()
    }

    /// A result for this request, as text.
    pub(super) fn result(&self, result: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.id())
    }

    pub(super) fn error(&self, code: i64, data: &str) -> String {
        let error = format!(r#"{{"code":{code},"message":"m","data":{data}}}"#);
        format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, self.id())
    }

    /// The answer of a well-behaved modern server to `server/discover`.
    pub(super) fn discover(&self) -> Option<Response> {
        (self.method() == "server/discover")
            .then(|| json(200, self.result(r#"{"supportedVersions":["2026-07-28"]}"#)))
    }

    /// The answers of a well-behaved legacy server to all but the real question.
    pub(super) fn legacy(&self, session: &str) -> Option<Response> {
        let mut response = match self.method() {
            "server/discover" => {
                json(400, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"m"}}"#)
            }
            "initialize" => json(200, self.result(r#"{"protocolVersion":"2025-06-18"}"#)),
            "notifications/initialized" => json(202, ""),
            _ => return None,
        };
        if self.method() == "initialize" {
            response.headers_mut().insert("mcp-session-id", session.parse().unwrap());
        }
        Some(response)
    }
}

pub(super) struct Fake {
    pub(super) url: Uri,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    /// `answer` is given the request and how many came before it.
    pub(super) async fn start(
        answer: impl Fn(&Seen, usize) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let remember = Arc::clone(&seen);
        let app = Router::new().fallback(move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let body = match bytes.as_ref() {
                b"" => Json::Null,
                bytes => read(bytes, &JsonLimits::default()).unwrap(),
            };
            let this = Seen { headers: parts.headers, body };
            let before = {
                let mut seen = remember.lock().unwrap();
                seen.push(this.clone());
                seen.len() - 1
            };
            answer(&this, before)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn methods(&self) -> Vec<String> {
        self.seen().iter().map(|seen| seen.method().to_owned()).collect()
    }
}

pub(super) fn json(status: u16, text: impl Into<String>) -> Response {
    typed(status, "application/json", Body::from(text.into()))
}

pub(super) fn events(text: impl Into<String>) -> Response {
    typed(200, "text/event-stream", Body::from(text.into()))
}

pub(super) fn typed(status: u16, media_type: &str, body: Body) -> Response {
    Response::builder().status(status).header("content-type", media_type).body(body).unwrap()
}
