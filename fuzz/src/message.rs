//! Messages: what is accepted is the same when it is written and read again, and is what another reader sees.

use callgate_mcp::era::LegacyVersion;
use callgate_mcp::inbound::classify_line;
use callgate_mcp::message::{Malformed, Message, SubjectParams, ToolsCallParams};
use callgate_model::json::{self, Json, JsonLimits};
use serde_json::Value;

use crate::second;

const BATCH_MAX: usize = 4;

pub(crate) fn check(bytes: &[u8]) {
    let limits = JsonLimits::default();
    let read = Message::read(bytes, &limits);
    if let Ok(message) = &read {
        check_accepted(bytes, message, Message::read);
        check_parameters(message);
    }
    let from_server = Message::read_from_server(bytes, &limits);
    match (&read, &from_server) {
        (Ok(_), _) => {
            assert_eq!(read, from_server, "what we accept of a client we accept of a server")
        }
        (Err(_), Ok(message)) => check_accepted(bytes, message, Message::read_from_server),
        (Err(_), Err(_)) => {}
    }
    check_batch(bytes);
}

pub(crate) fn written(message: Message) -> Vec<u8> {
    match message {
        Message::Request(request) => request.into_bytes().into(),
        Message::Notification(notification) => notification.into_bytes().into(),
        Message::Response(response) => response.into_bytes().into(),
    }
}

fn check_accepted(
    bytes: &[u8],
    message: &Message,
    read: fn(&[u8], &JsonLimits) -> Result<Message, Malformed>,
) {
    let written = written(message.clone());
    let again = read(&written, &JsonLimits::default());
    assert_eq!(again.as_ref(), Ok(message), "what is written is what was read");
    let (was, is) = (second::read(bytes), second::read(&written));
    assert!(was.is_some(), "the second reader accepts it too");
    assert_eq!(was.map(full), is.map(full), "it says what it said");
}

/// An envelope with everything that may be left out, and without what is not kept. A server may write the integer 0 as
/// `-0`, which is not kept either.
fn full(mut envelope: Value) -> Value {
    let Value::Object(members) = &mut envelope else { return envelope };
    if members.contains_key("method") {
        members.entry("params").or_insert_with(|| Value::Object(serde_json::Map::default()));
    }
    if let Some(Value::Object(error)) = members.get_mut("error") {
        error.retain(|name, _| ["code", "message", "data"].contains(&name.as_str()));
        error.entry("code").and_modify(plain_zero);
        members.entry("id").or_insert(Value::Null);
    }
    members.entry("id").and_modify(plain_zero);
    envelope
}

fn plain_zero(number: &mut Value) {
    if number.as_f64() == Some(0.0) {
        *number = 0.into();
    }
}

/// Parameters are read from what was accepted; names that are not known are refused.
fn check_parameters(message: &Message) {
    for negotiated in [None, Some(LegacyVersion::LATEST)] {
        classify_line(message, negotiated).ok();
    }
    let Message::Request(request) = message else { return };
    let subjects =
        [SubjectParams::of_prompt, SubjectParams::of_resource, SubjectParams::of_completion];
    subjects.iter().for_each(|read| drop(read(request.params.clone())));
    let Ok(call) = ToolsCallParams::read(request.params.clone()) else { return };
    let given = |name| request.params.get(name).and_then(Json::as_object);
    assert_eq!(request.params.get("name").and_then(Json::as_str), Some(call.name.as_str()));
    assert_eq!(given("arguments").cloned().unwrap_or_default(), call.arguments);
    let known = ["name", "arguments", "_meta", "task", "inputResponses", "requestState"];
    assert!(request.params.iter().all(|(name, _)| known.contains(&name)), "{request:?}");
}

/// Each message of a batch is what it would be alone.
fn check_batch(bytes: &[u8]) {
    let limits = JsonLimits::default();
    let Ok(batch) = Message::read_batch(bytes, &limits, BATCH_MAX) else { return };
    assert!((1..=BATCH_MAX).contains(&batch.len()), "{}", batch.len());
    let Ok(Json::Array(elements)) = json::read(bytes, &limits) else {
        assert!(batch.is_empty(), "a batch is an array");
        return;
    };
    assert_eq!(elements.len(), batch.len());
    for (element, message) in elements.iter().zip(batch) {
        // Within a batch, another batch is no message either; only the words differ.
        if element.as_array().is_some() {
            assert!(message.is_err());
        } else {
            assert_eq!(Message::read(element.to_text().as_bytes(), &limits), message);
        }
    }
}
