//! Answers on the wire: plain JSON or an event stream, right or, if a fault waits, wrong.

use std::future::pending;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::rpc::{self, Exchange, Message, Reply, RpcError, set};
use crate::{modern, offers};

/// The era whose form an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    Modern,
    Legacy,
}

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A JSON-RPC error under an HTTP error status.
pub(crate) fn failure(status: StatusCode, id: &Value, error: RpcError) -> Response<Body> {
    let mut response = reply(id, Err(error));
    *response.status_mut() = status;
    response
}

/// A JSON-RPC answer as JSON.
pub(crate) fn reply(id: &Value, answer: Reply) -> Response<Body> {
    typed("application/json", Body::from(envelope(id, answer).to_string()))
}

pub(crate) fn typed(media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn envelope(id: &Value, answer: Reply) -> Value {
    match answer {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => {
            let mut body = json!({ "code": error.code, "message": error.message });
            if let Some(data) = error.data {
                set(&mut body, "data", data);
            }
            json!({ "jsonrpc": "2.0", "id": id, "error": body })
        }
    }
}

/// Answers a `tools/call`, or a request for another thing, with the fault that waits for it.
pub(crate) async fn answer_call(exchange: Exchange, message: Message, era: Era) -> Response<Body> {
    let fault = exchange.shared.faults.take_for_call();
    match &fault {
        Some(Fault::Hang) => return pending().await,
        Some(Fault::DropBefore) => return exchange.cut.now().await,
        Some(Fault::ServerError) => return empty(StatusCode::INTERNAL_SERVER_ERROR),
        Some(Fault::Unauthorized) => return empty(StatusCode::UNAUTHORIZED),
        Some(Fault::Redirect(to)) => return redirect(to),
        Some(Fault::MissingCapability) => return missing_capability(&message),
        Some(_) | None => {}
    }
    let as_stream = exchange.shared.options.sse || fault == Some(Fault::TwoMessagesInOneEvent);
    let meanwhile = progress_of(&message).into_iter().chain(log_of(&message));
    let meanwhile: Vec<_> = meanwhile.map(|message| event(&[message])).collect();
    let work =
        uncancelled_if_legacy(era, async move { execute(&exchange, &message, era, fault).await });
    if !as_stream {
        return typed("application/json", Body::from(work.await.concat()));
    }
    let events = stream::iter(meanwhile)
        .chain(stream::once(async move { event(&work.await) }))
        .map(Ok::<_, std::convert::Infallible>);
    let mut response = typed("text/event-stream", Body::from_stream(events));
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A caller that goes away cancels a modern call; a legacy call goes on without it.
async fn uncancelled_if_legacy(
    era: Era,
    work: impl Future<Output = Vec<String>> + Send + 'static,
) -> Vec<String> {
    match era {
        Era::Modern => work.await,
        Era::Legacy => tokio::spawn(work).await.unwrap_or_default(),
    }
}

fn missing_capability(message: &Message) -> Response<Body> {
    let data = Some(json!({ "requiredCapabilities": { "sampling": {} } }));
    let error = RpcError { data, ..RpcError::new(-32021, "Missing required client capability") };
    failure(StatusCode::BAD_REQUEST, message.id.as_ref().unwrap_or(&Value::Null), error)
}

fn redirect(to: &str) -> Response<Body> {
    let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
    if let Ok(location) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn progress_of(message: &Message) -> Option<String> {
    let token = message.meta("progressToken")?;
    let params = json!({ "progressToken": token, "progress": 1, "total": 2, "message": "Working" });
    let notification =
        json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
    Some(notification.to_string())
}

/// A warning about this call, for who wants to hear of any.
fn log_of(message: &Message) -> Option<String> {
    message.meta("io.modelcontextprotocol/logLevel")?;
    let about = message.params.get("arguments").cloned().unwrap_or_default();
    let params = json!({ "level": "warning", "logger": "site", "data": about });
    let notification =
        json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params });
    Some(notification.to_string())
}

/// One event that holds these texts, a line each.
fn event(lines: &[String]) -> Bytes {
    let data: String = lines.iter().map(|line| format!("data: {line}\n")).collect();
    Bytes::from(format!("event: message\n{data}\n"))
}

/// Waits, executes, and gives the messages to send; more than one only for a fault.
async fn execute(
    exchange: &Exchange,
    message: &Message,
    era: Era,
    fault: Option<Fault>,
) -> Vec<String> {
    if let Some(latency) = exchange.shared.options.latency {
        tokio::time::sleep(latency).await;
    }
    let mut result =
        offers::ask(exchange, message, era).unwrap_or_else(|| rpc::call(exchange, message));
    if let Some(Fault::OversizedBody(bytes)) = fault {
        result = result.map(|result| padded(result, bytes));
    }
    if era == Era::Modern {
        result = result.map(|result| modern::finish(&message.method, result));
    }
    let mut answer = envelope(&message.id.clone().unwrap_or(Value::Null), result);
    match fault {
        Some(Fault::HangAfterExecuting) => pending().await,
        Some(Fault::DropAfterExecuting) => exchange.cut.now().await,
        Some(Fault::WrongResponseId) => set(&mut answer, "id", json!("nobody-asked-for-this")),
        Some(Fault::ResultAndError) => {
            set(&mut answer, "error", json!({ "code": -32603, "message": "Internal error" }));
        }
        Some(Fault::TwoMessagesInOneEvent) => return vec![answer.to_string(), answer.to_string()],
        Some(_) | None => {}
    }
    vec![answer.to_string()]
}

fn padded(mut result: Value, bytes: usize) -> Value {
    let padding = json!({ "type": "text", "text": "x".repeat(bytes) });
    if let Some(content) = result.get_mut("content").and_then(Value::as_array_mut) {
        content.push(padding);
    }
    result
}
