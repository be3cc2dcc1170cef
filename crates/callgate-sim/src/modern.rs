//! MCP 2026-07-28: no session, every request complete in itself, headers that must agree with the body.

use std::convert::Infallible;

use axum::body::Body;
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use crate::answer::{Era, answer_call, empty, failure, reply, typed};
use crate::offers;
use crate::rpc::{self, Exchange, Message, RpcError, VERSION_HEADER, set};
use crate::server::Listening;

pub(crate) const VERSION: &str = "2026-07-28";

const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";
const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";
const HEADER_MISMATCH: i64 = -32020;
const UNSUPPORTED_VERSION: i64 = -32022;

pub(crate) async fn serve(exchange: Exchange, message: Message) -> Response<Body> {
    let id = message.id.clone().unwrap_or(Value::Null);
    if message.id.is_none() {
        return empty(StatusCode::ACCEPTED);
    }
    if let Err(refusal) = check(&exchange, &message) {
        return failure(StatusCode::BAD_REQUEST, &id, refusal);
    }
    let answer = match message.method.as_str() {
        "server/discover" => Ok(discover(&exchange)),
        "subscriptions/listen" if exchange.shared.options.listening == Listening::Served => {
            return listen(&exchange, &id);
        }
        "tools/list" => rpc::list(&exchange, &message),
        "tools/call" => return answer_call(exchange, message, Era::Modern).await,
        _ if offers::asks(&exchange, &message) => {
            return answer_call(exchange, message, Era::Modern).await;
        }
        method => match offers::list(&exchange, &message) {
            Some(answer) => answer,
            None => {
                let refusal = RpcError::method_not_found(method);
                return failure(StatusCode::NOT_FOUND, &id, refusal);
            }
        },
    };
    reply(&id, answer.map(cacheable).map(complete))
}

/// The result of a request for one thing, in the form of this era.
pub(crate) fn finish(method: &str, result: Value) -> Value {
    complete(if method == "resources/read" { cacheable(result) } else { result })
}

/// Tells of changes until the caller goes away. Whatever it asked for, it is told everything.
fn listen(exchange: &Exchange, id: &Value) -> Response<Body> {
    let told = exchange.shared.told.subscribe();
    let event = |method: &str, mut params: Value, id: &Value| {
        set(&mut params, "_meta", json!({ SUBSCRIPTION_KEY: id }));
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        Ok::<_, Infallible>(format!("data: {message}\n\n"))
    };
    let first =
        event("notifications/subscriptions/acknowledged", json!({ "notifications": {} }), id);
    let rest = stream::unfold((told, id.clone()), move |(mut told, id)| async move {
        let (method, params) = told.recv().await.ok()?;
        Some((event(&method, params, &id), (told, id)))
    });
    typed("text/event-stream", Body::from_stream(stream::iter([first]).chain(rest)))
}

/// What every complete result of this era has.
fn complete(mut result: Value) -> Value {
    set(&mut result, "resultType", json!("complete"));
    set(&mut result, "_meta", json!({ SERVER_INFO_KEY: rpc::server_info() }));
    result
}

fn cacheable(mut result: Value) -> Value {
    // Public, as a server with one list for everyone may say; a gateway must not believe it.
    set(&mut result, "ttlMs", json!(60_000));
    set(&mut result, "cacheScope", json!("public"));
    result
}

fn discover(exchange: &Exchange) -> Value {
    let mut versions = vec![VERSION];
    if exchange.shared.options.eras == crate::Eras::Both {
        versions.extend(crate::legacy::VERSIONS);
    }
    json!({ "supportedVersions": versions, "capabilities": offers::capabilities(exchange) })
}

fn check(exchange: &Exchange, message: &Message) -> Result<(), RpcError> {
    let headers = &exchange.headers;
    check_version(headers, message)?;
    if !message.meta(CAPABILITIES_KEY).is_some_and(Value::is_object) {
        return Err(RpcError::invalid_params(format!("_meta must have {CAPABILITIES_KEY}")));
    }
    must_be(headers, "mcp-method", &message.method)?;
    let name = match message.method.as_str() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return Ok(()),
    };
    let wanted = message.text_param(name);
    must_be(headers, "mcp-name", wanted.ok_or_else(|| RpcError::invalid_params("no name"))?)
}

fn check_version(headers: &HeaderMap, message: &Message) -> Result<(), RpcError> {
    // A message of an earlier era has its version elsewhere, or nowhere; it is told what is spoken here.
    let of_initialize = message.text_param("protocolVersion");
    let requested = message.protocol_version().or(of_initialize);
    let header = single(headers, VERSION_HEADER)?;
    match requested.or(header.as_deref()) {
        Some(VERSION) => {}
        other => {
            let data = json!({ "supported": [VERSION], "requested": other });
            let refusal = RpcError::new(UNSUPPORTED_VERSION, "Unsupported protocol version");
            return Err(RpcError { data: Some(data), ..refusal });
        }
    }
    if message.protocol_version().is_none() {
        return Err(RpcError::invalid_params("_meta must have the protocol version"));
    }
    must_be(headers, VERSION_HEADER, VERSION)
}

fn must_be(headers: &HeaderMap, name: &'static str, wanted: &str) -> Result<(), RpcError> {
    match single(headers, name)? {
        Some(value) if value == wanted => Ok(()),
        Some(_) => Err(mismatch(&format!("{name} does not agree with the body"))),
        None => Err(mismatch(&format!("{name} is missing"))),
    }
}

/// The decoded value of a header that may be sent once.
fn single(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, RpcError> {
    let all: Vec<_> = headers.get_all(name).iter().collect();
    match all.as_slice() {
        [] => Ok(None),
        [value] => {
            let text = value.to_str().ok().and_then(decoded);
            text.map(Some).ok_or_else(|| mismatch(&format!("{name} has a malformed value")))
        }
        [_, _, ..] => Err(mismatch(&format!("{name} is sent more than once"))),
    }
}

fn mismatch(message: &str) -> RpcError {
    RpcError::new(HEADER_MISMATCH, message)
}

/// A header value, out of `=?base64?…?=` if it is wrapped.
fn decoded(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="))
    else {
        return Some(value.to_owned());
    };
    String::from_utf8(base64(inner)?).ok()
}

/// Standard base64 with its padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0_u32);
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        held = (held << 6) | u32::try_from(value).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits).ok()?);
            held &= (1 << bits) - 1;
        }
    }
    (held == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_decoded() {
        assert_eq!(decoded("getJiraIssue").as_deref(), Some("getJiraIssue"));
        assert_eq!(decoded("=?base64?w6RiYw==?=").as_deref(), Some("äbc"));
        for malformed in ["=?base64?w6RiYw?=", "=?base64?w6R!Yw==?=", "=?base64?/w==?="] {
            assert_eq!(decoded(malformed), None, "{malformed}");
        }
    }
}
