//! The HTTP endpoint: records what arrives, checks the token, reads the message and asks the era it belongs to.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::routing::any;
use axum::{Extension, Router};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::Value;

use crate::answer::{empty, failure};
use crate::ledger::RequestSeen;
use crate::rpc::{self, Exchange, Message};
use crate::server::{Cut, Eras, Shared};
use crate::{legacy, modern};

/// The longest body that is read.
const BODY_BYTES_MAX: usize = 8 << 20;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().route("/mcp", any(serve)).with_state(shared)
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    Extension(cut): Extension<Cut>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return empty(StatusCode::PAYLOAD_TOO_LARGE);
    };
    shared.ledger.saw(RequestSeen {
        http_method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: headers_of(&parts.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    if !is_authorized(&shared, &parts.headers) {
        return unauthorized();
    }
    let query = parts.uri.query().unwrap_or_default();
    let flat = shared.options.flat_tools || query.split('&').any(|pair| pair == "tools=all");
    let exchange = Exchange { shared, cut, headers: parts.headers, flat };
    if parts.method == Method::POST {
        post(exchange, &body).await
    } else if parts.method == Method::DELETE && exchange.shared.options.eras != Eras::Modern {
        legacy::end_session(&exchange)
    } else {
        empty(StatusCode::METHOD_NOT_ALLOWED)
    }
}

async fn post(exchange: Exchange, body: &Bytes) -> Response<Body> {
    if !is_json(&exchange.headers) {
        return empty(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    if !accepts_both(&exchange.headers) {
        return empty(StatusCode::NOT_ACCEPTABLE);
    }
    let message = match Message::read(body) {
        Ok(message) => message,
        Err(refusal) => return failure(StatusCode::BAD_REQUEST, &Value::Null, refusal),
    };
    if is_modern(&exchange, &message) {
        modern::serve(exchange, message).await
    } else {
        legacy::serve(exchange, message).await
    }
}

/// A site of both eras goes by the body, then by the version header; a site of one era treats everything as its own.
fn is_modern(exchange: &Exchange, message: &Message) -> bool {
    match exchange.shared.options.eras {
        Eras::Modern => true,
        Eras::Legacy => false,
        Eras::Both => {
            let header = exchange.headers.get(rpc::VERSION_HEADER);
            message.protocol_version().is_some()
                || header.is_some_and(|version| version.as_bytes() == modern::VERSION.as_bytes())
        }
    }
}

fn is_authorized(shared: &Shared, headers: &HeaderMap) -> bool {
    let Some(token) = &shared.options.token else { return true };
    let sent: Vec<_> = headers.get_all(header::AUTHORIZATION).iter().collect();
    matches!(sent.as_slice(), [one] if one.as_bytes() == format!("Bearer {token}").as_bytes())
}

fn unauthorized() -> Response<Body> {
    let mut response = empty(StatusCode::UNAUTHORIZED);
    let challenge = http::HeaderValue::from_static("Bearer error=\"invalid_token\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

fn accepts_both(headers: &HeaderMap) -> bool {
    let all = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accepted = all.collect::<Vec<_>>().join(",");
    accepted.contains("application/json") && accepted.contains("text/event-stream")
}

/// The headers as the ledger keeps them.
pub(crate) fn headers_of(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}
