//! One JSON-RPC message: read strictly, written compactly.
//!
//! A message is what its members say by their exact names; whatever another reader might understand differently is
//! refused. It must not know HTTP, and of methods only what [`ToolsCallParams`] and
//! [`SubjectParams`] need.

mod round;
mod salvage;
mod subject;
mod task;
mod tools_call;

use std::fmt;

use bytes::Bytes;
use callgate_model::json::{self, Beyond, Json, JsonLimits, Object, ReadError};
use thiserror::Error;

use crate::code;
use crate::limits::{METHOD_BYTES_MAX, TOKEN_BYTES_MAX};

pub(crate) use round::may_ask;
pub use round::{InputRequired, Round};
pub(crate) use salvage::id_of_answer;
pub use subject::{Subject, SubjectParams};
pub use task::{Task, TaskParams, TaskStatus};
pub use tools_call::{InvalidParams, ToolsCallParams};

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Wants an answer.
    Request(Request),
    /// Wants none.
    Notification(Notification),
    /// Is one.
    Response(Response),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Names the answer.
    pub id: RequestId,
    /// What is asked, never empty.
    pub method: String,
    /// Empty if there were none.
    pub params: Object,
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What is told, never empty.
    pub method: String,
    /// Empty if there were none.
    pub params: Object,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The request it answers. Only an error can have none: the id could not be read.
    pub id: Option<RequestId>,
    /// What came of it.
    pub outcome: Result<Object, RpcError>,
}

/// The error of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("error {code}: {message:?}")]
pub struct RpcError {
    /// What kind of error.
    pub code: i64,
    /// For people.
    pub message: String,
    /// For programs.
    pub data: Option<Json>,
}

/// The id of a request: an integer written as one, or a string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestId {
    /// An integer.
    Number(i64),
    /// A string.
    Text(String),
}

/// Why bytes are not one message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{detail}")]
pub struct Malformed {
    /// [`code::PARSE_ERROR`] or [`code::INVALID_REQUEST`].
    pub code: i64,
    /// The id, if there was one that could be read.
    pub id: Option<RequestId>,
    /// What is wrong.
    pub detail: String,
    /// The limit that it is beyond, if that is wrong.
    pub beyond: Option<Beyond>,
}

impl Message {
    /// Reads one message.
    ///
    /// # Errors
    /// [`Malformed`] for anything else, in particular for batches, unknown members and names used twice.
    pub fn read(bytes: &[u8], limits: &JsonLimits) -> Result<Self, Malformed> {
        Self::from_json(json::read(bytes, limits))
    }

    /// Reads one message of a server: its numbers are relayed, whatever they are.
    ///
    /// # Errors
    /// [`Malformed`] as of [`Message::read`].
    pub fn read_from_server(bytes: &[u8], limits: &JsonLimits) -> Result<Self, Malformed> {
        Self::from_json(json::read_relayed(bytes, limits))
    }

    fn from_json(read: Result<Json, ReadError>) -> Result<Self, Malformed> {
        match read {
            Ok(Json::Object(envelope)) => Self::from_envelope(envelope),
            Ok(Json::Array(_)) => Err(Malformed::request("batches are not served")),
            Ok(Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) => {
                Err(Malformed::request("a message is an object"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a batch, if `bytes` are an array. Only 2025-03-26 has batches; each message in it stands for itself, and is read
    /// or refused for itself.
    ///
    /// # Errors
    /// [`Malformed`] if the whole cannot be read, is empty, or has more than `messages_max` messages.
    pub fn read_batch(
        bytes: &[u8],
        limits: &JsonLimits,
        messages_max: usize,
    ) -> Result<Vec<Result<Self, Malformed>>, Malformed> {
        let Json::Array(messages) = json::read(bytes, limits)? else {
            return Err(Malformed::request("not a batch"));
        };
        if messages.is_empty() || messages.len() > messages_max {
            return Err(Malformed::request(&format!("a batch has 1 to {messages_max} messages")));
        }
        let read = |message| match message {
            Json::Object(envelope) => Self::from_envelope(envelope),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
                Err(Malformed::request("a message is an object"))
            }
        };
        Ok(messages.into_iter().map(read).collect())
    }

    fn from_envelope(mut envelope: Object) -> Result<Self, Malformed> {
        let id = match envelope.remove("id") {
            None => IdMember::Absent,
            Some(Json::Null) => IdMember::Null,
            Some(id) => RequestId::from_json(&id).map_or(IdMember::Unusable, IdMember::Given),
        };
        let readable = if let IdMember::Given(id) = &id { Some(id.clone()) } else { None };
        classify(envelope, id)
            .map_err(|detail| Malformed { id: readable, ..Malformed::request(&detail) })
    }
}

enum IdMember {
    Absent,
    Null,
    Unusable,
    Given(RequestId),
}

/// Classifies by which members are there, never by what they hold.
fn classify(mut envelope: Object, id: IdMember) -> Result<Message, String> {
    if envelope.remove("jsonrpc").as_ref().and_then(Json::as_str) != Some("2.0") {
        return Err("`jsonrpc` must be \"2.0\"".to_owned());
    }
    let [method, params, result, error] =
        ["method", "params", "result", "error"].map(|name| envelope.remove(name));
    if let Some((name, _)) = envelope.iter().next() {
        return Err(format!("{} is not a member of a message", shown(name)));
    }
    match (method, params, result, error) {
        (Some(method), params, None, None) => call(method, params, id),
        (None, None, Some(result), None) => {
            let (IdMember::Given(id), Json::Object(result)) = (id, result) else {
                return Err("a result is an object and names the request by its id".to_owned());
            };
            Ok(Message::Response(Response { id: Some(id), outcome: Ok(result) }))
        }
        (None, None, None, Some(error)) => {
            let id = match id {
                IdMember::Given(id) => Some(id),
                IdMember::Absent | IdMember::Null => None,
                IdMember::Unusable => return Err(BAD_ID.to_owned()),
            };
            Ok(Message::Response(Response { id, outcome: Err(rpc_error(error)?) }))
        }
        _ => Err("a message has one of `method`, `result` and `error`".to_owned()),
    }
}

const BAD_ID: &str = "an `id` is a string or an integer, written without fraction or exponent";

fn call(method: Json, params: Option<Json>, id: IdMember) -> Result<Message, String> {
    let Json::String(method) = method else {
        return Err("`method` must be a string".to_owned());
    };
    if method.is_empty() || method.len() > METHOD_BYTES_MAX {
        return Err(format!("`method` must have 1 to {METHOD_BYTES_MAX} bytes"));
    }
    let params = match params {
        None => Object::default(),
        Some(Json::Object(params)) => params,
        Some(_) => return Err("`params` must be an object".to_owned()),
    };
    match id {
        IdMember::Given(id) => Ok(Message::Request(Request { id, method, params })),
        IdMember::Absent => Ok(Message::Notification(Notification { method, params })),
        IdMember::Null | IdMember::Unusable => Err(BAD_ID.to_owned()),
    }
}

fn rpc_error(error: Json) -> Result<RpcError, String> {
    let Json::Object(mut error) = error else {
        return Err("`error` must be an object".to_owned());
    };
    let code = error.get("code").and_then(Json::as_number).and_then(json::Number::as_i64);
    let (Some(code), Some(Json::String(message))) = (code, error.remove("message")) else {
        return Err("an error has an integer `code` and a string `message`".to_owned());
    };
    Ok(RpcError { code, message, data: error.remove("data") })
}

impl Request {
    /// The bytes of this request.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        let envelope = envelope(Some(self.id.to_json()))
            .with("method", self.method)
            .with("params", self.params);
        Json::from(envelope).to_text().into()
    }
}

impl Notification {
    /// The request it cancels, if that is what it says.
    #[must_use]
    pub fn cancels(&self) -> Option<RequestId> {
        let is_it = self.method == "notifications/cancelled";
        self.params.get("requestId").filter(|_| is_it).and_then(RequestId::from_json)
    }

    /// The bytes of this notification.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        let envelope = envelope(None).with("method", self.method).with("params", self.params);
        Json::from(envelope).to_text().into()
    }
}

impl Response {
    /// The bytes of this answer.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        let envelope = envelope(Some(self.id.map_or(Json::Null, |id| id.to_json())));
        let envelope = match self.outcome {
            Ok(result) => envelope.with("result", result),
            Err(error) => envelope.with("error", error.into_json()),
        };
        Json::from(envelope).to_text().into()
    }
}

impl RpcError {
    fn into_json(self) -> Object {
        let error = Object::default().with("code", self.code).with("message", self.message);
        match self.data {
            Some(data) => error.with("data", data),
            None => error,
        }
    }
}

fn envelope(id: Option<Json>) -> Object {
    let envelope = Object::default().with("jsonrpc", "2.0");
    match id {
        Some(id) => envelope.with("id", id),
        None => envelope,
    }
}

impl RequestId {
    /// Reads an id. `None` for anything but a string of bounded length or an integer literal.
    #[must_use]
    pub fn from_json(id: &Json) -> Option<Self> {
        match id {
            Json::Number(number) => number.as_i64().map(Self::Number),
            Json::String(text) if text.len() <= TOKEN_BYTES_MAX => Some(Self::Text(text.clone())),
            Json::Null | Json::Bool(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => None,
        }
    }

    /// The id as it is written.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Number(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl Malformed {
    fn request(detail: &str) -> Self {
        Self { code: code::INVALID_REQUEST, id: None, detail: detail.to_owned(), beyond: None }
    }
}

impl From<ReadError> for Malformed {
    fn from(error: ReadError) -> Self {
        let code = match &error {
            ReadError::ByteOrderMark
            | ReadError::LoneSurrogate { .. }
            | ReadError::NotUtf8
            | ReadError::Syntax { .. } => code::PARSE_ERROR,
            ReadError::AmbiguousNumber { .. }
            | ReadError::DuplicateName { .. }
            | ReadError::StringTooLong { .. }
            | ReadError::TooDeep { .. }
            | ReadError::TooLong { .. }
            | ReadError::TooManyNodes { .. } => code::INVALID_REQUEST,
        };
        Self { code, id: None, detail: error.to_string(), beyond: error.beyond() }
    }
}

/// A name from the network as a text may repeat it: quoted, escaped and short.
pub(crate) fn shown(name: &str) -> String {
    let short: String = name.chars().take(64).collect();
    format!("`{}`", short.escape_debug())
}

#[cfg(test)]
mod tests;
