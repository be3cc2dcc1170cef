//! MCP 2025-11-25 and 2025-06-18: `initialize`, then a session.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use crate::answer::{Era, answer_call, empty, failure, reply};
use crate::offers;
use crate::rpc::{self, Exchange, Message, RpcError, VERSION_HEADER};

/// The newest first.
pub(crate) const VERSIONS: [&str; 2] = ["2025-11-25", "2025-06-18"];

const SESSION_HEADER: &str = "mcp-session-id";

/// How many sessions are kept.
const SESSIONS_MAX: usize = 1_000;

/// The sessions and the version each has agreed to. Their ids can be guessed, on purpose: a session is no
/// authentication, and who relies on one must be found out.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    opened: u64,
    versions: HashMap<String, String>,
}

impl Sessions {
    fn open(&self, version: &str) -> Option<String> {
        let mut known = self.known();
        if known.versions.len() >= SESSIONS_MAX {
            return None;
        }
        known.opened += 1;
        let id = format!("session-{}", known.opened);
        known.versions.insert(id.clone(), version.to_owned());
        Some(id)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) async fn serve(exchange: Exchange, message: Message) -> Response<Body> {
    let id = message.id.clone().unwrap_or(Value::Null);
    if message.method == "initialize" {
        return initialize(&exchange, &message, &id);
    }
    if let Err((status, refusal)) = check_session(&exchange) {
        return failure(status, &id, refusal);
    }
    if message.id.is_none() {
        return empty(StatusCode::ACCEPTED);
    }
    match message.method.as_str() {
        "ping" => reply(&id, Ok(json!({}))),
        "tools/list" => reply(&id, rpc::list(&exchange, &message)),
        "tools/call" => answer_call(exchange, message, Era::Legacy).await,
        _ if offers::asks(&exchange, &message) => answer_call(exchange, message, Era::Legacy).await,
        method => {
            let answer = offers::list(&exchange, &message);
            reply(&id, answer.unwrap_or_else(|| Err(RpcError::method_not_found(method))))
        }
    }
}

fn initialize(exchange: &Exchange, message: &Message, id: &Value) -> Response<Body> {
    let requested = message.text_param("protocolVersion").unwrap_or_default();
    let [newest, _] = VERSIONS;
    let version = VERSIONS.into_iter().find(|known| *known == requested).unwrap_or(newest);
    let session = exchange.shared.sessions.open(version);
    let Some(session) = session.and_then(|id| HeaderValue::try_from(id).ok()) else {
        return empty(StatusCode::SERVICE_UNAVAILABLE);
    };
    let result = json!({
        "protocolVersion": version,
        "capabilities": offers::capabilities(exchange),
        "serverInfo": rpc::server_info(),
    });
    let mut response = reply(id, Ok(result));
    response.headers_mut().insert(SESSION_HEADER, session);
    response
}

fn check_session(exchange: &Exchange) -> Result<(), (StatusCode, RpcError)> {
    let header =
        |name| exchange.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let bad = |message| (StatusCode::BAD_REQUEST, RpcError::new(-32000, message));
    let session =
        header(SESSION_HEADER).ok_or_else(|| bad("Bad Request: Server not initialized"))?;
    let known = exchange.shared.sessions.known();
    let agreed = known
        .versions
        .get(session)
        .ok_or_else(|| (StatusCode::NOT_FOUND, RpcError::new(-32001, "Session not found")))?;
    match header(VERSION_HEADER) {
        Some(version) if version != agreed => {
            Err(bad("Bad Request: the protocol version is not the one agreed to"))
        }
        Some(_) | None => Ok(()),
    }
}

/// `DELETE`: ends the session.
pub(crate) fn end_session(exchange: &Exchange) -> Response<Body> {
    let session = exchange.headers.get(SESSION_HEADER).and_then(|value| value.to_str().ok());
    let Some(session) = session else { return empty(StatusCode::BAD_REQUEST) };
    let ended = exchange.shared.sessions.known().versions.remove(session);
    empty(if ended.is_some() { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
}
