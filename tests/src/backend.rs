//! A fake Jira and Confluence, Server edition: as much of REST v2 as `mcp-atlassian` calls, and a log of every
//! request. What is not in the log did not happen.

mod confluence;
mod jira;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const BODY_BYTES_MAX: usize = 1 << 20;

/// A running backend. Dropping it stops it.
#[derive(Debug)]
pub struct Backend {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    shared: Arc<Mutex<Store>>,
    serving: JoinHandle<()>,
}

/// One request that reached the backend.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The `authorization` header.
    pub authorization: Option<String>,
    /// The body, as text.
    pub body: String,
}

/// What the backend holds.
#[derive(Debug, Default)]
struct Store {
    log: Vec<Arrival>,
    jira: jira::Jira,
    confluence: confluence::Confluence,
}

impl Backend {
    /// Starts with issues ENG-1, ENG-2 and HR-1 and pages 101 (DOCS) and 201 (HR).
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Mutex::new(Store::default()));
        let app = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            // Ends when the task is aborted, and has nobody to tell before.
            axum::serve(listener, app).await.unwrap_or_default();
        });
        Ok(Self { url, shared, serving })
    }

    /// Every request so far, oldest first.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        lock(&self.shared).log.clone()
    }

    /// The requests that change something.
    #[must_use]
    pub fn writes(&self) -> Vec<Arrival> {
        let reads = |arrival: &Arrival| arrival.method == "GET" || arrival.path.contains("/search");
        self.arrivals().into_iter().filter(|arrival| !reads(arrival)).collect()
    }

    /// The issue `key` as it is now.
    #[must_use]
    pub fn issue(&self, key: &str) -> Option<Value> {
        lock(&self.shared).jira.issue(key).cloned()
    }

    /// The page `id` as it is now.
    #[must_use]
    pub fn page(&self, id: &str) -> Option<Value> {
        lock(&self.shared).confluence.page(id).cloned()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(shared: &Mutex<Store>) -> MutexGuard<'_, Store> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an area of the API answers; `None` if it has no such path or thing.
type Answer = Option<(StatusCode, Option<Value>)>;

/// Whether the member `name` is this text.
fn has(thing: &Value, name: &str, text: &str) -> bool {
    thing.get(name).is_some_and(|value| value == text)
}

async fn serve(State(shared): State<Arc<Mutex<Store>>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let arrival = Arrival {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        authorization: parts.headers.get(header::AUTHORIZATION).map(text),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut store = lock(&shared);
    store.log.push(arrival);
    respond(route(&mut store, &parts.method, parts.uri.path(), &json))
}

fn route(store: &mut Store, method: &Method, path: &str, body: &Value) -> Answer {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        ["rest", "api", "2", rest @ ..] => store.jira.serve(method, rest, body),
        ["rest", "agile", "1.0", rest @ ..] => jira::Jira::serve_agile(method, rest),
        ["rest", "api", rest @ ..] => store.confluence.serve(method, rest, body),
        _ => None,
    }
}

fn respond(answer: Answer) -> Response<Body> {
    let not_found = || (StatusCode::NOT_FOUND, Some(serde_json::json!({ "message": "not found" })));
    let (status, value) = answer.unwrap_or_else(not_found);
    let body = value.map_or_else(Body::empty, |value| Body::from(value.to_string()));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
