//! The server half: what a client's request claims, and whether its headers and its body claim the same.
//!
//! Policy is never asked about headers. They are compared with the body, so that whoever read only them on the way
//! here saw the same call, and then forgotten.

mod transport;

use callgate_model::json::{Json, Object};
use http::StatusCode;
use http::header::{HeaderMap, HeaderName};
use thiserror::Error;

use crate::code;
use crate::era::{Era, LegacyVersion, MODERN, SUPPORTED};
use crate::headers::{self, NoValue};
use crate::limits::CLIENT_INFO_CHARS_MAX;
use crate::log_level::LogLevel;
use crate::message::{Message, RequestId, shown};

pub use crate::mirror::{check_param_headers, invalid_param_headers, param_headers};
pub use crate::trace::{SpanContext, TraceContext};
pub use transport::{
    HostRules, check_accept, check_accept_stream, check_content_type, check_origin_host,
};

pub(crate) const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const META_LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";

/// What a message claims about its sender and itself, beside what it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// How the client speaks. For a legacy request without a version header, the oldest version: its session, if it has
    /// one, knows better.
    pub era: Era,
    /// The client's software, `name/version`, as it says itself: for people to read, never for a decision.
    pub client_info: Option<String>,
    /// What the client declared: in the modern era for this request, in the legacy era only with `initialize`.
    pub capabilities: Object,
    /// Where the client wants to hear of progress: a string or an integer.
    pub progress_token: Option<Json>,
    /// From which level on the client wants to hear what the server logs: in the modern era, for this request.
    pub log_level: Option<LogLevel>,
    /// The trace this request belongs to.
    pub trace: TraceContext,
}

/// A request refused before anybody asked what it means.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refused {
    /// Of the HTTP answer.
    pub status: StatusCode,
    /// Of the JSON-RPC error.
    pub code: i64,
    /// For the client.
    pub message: String,
    /// For the client's program.
    pub data: Option<Json>,
}

/// Finds out the era of `message` and checks what that era demands of headers and `_meta`.
///
/// # Errors
/// [`Refused`], with the answer that the era prescribes.
pub fn classify(headers: &HeaderMap, message: &Message) -> Result<Inbound, Refused> {
    let empty = Object::default();
    let (method, params) = asked(message).unwrap_or(("", &empty));
    let meta = meta_of(params)?.unwrap_or(&empty);
    let header = optional(headers, &headers::PROTOCOL_VERSION)?;
    let claims = Claims { headers, header, method, params, meta };
    let era = match (message, meta.get(META_VERSION)) {
        (Message::Request(_), Some(version)) => claims.modern_request(version)?,
        (Message::Request(_), None) if method == "initialize" => claims.initialize()?,
        (Message::Request(_), None) if header == Some(MODERN) => {
            return Err(invalid_params(&format!("`_meta` lacks `{META_VERSION}`")));
        }
        (Message::Response(_), _) if header == Some(MODERN) => {
            return Err(Refused::bad_request(
                code::INVALID_REQUEST,
                "a client sends no responses".to_owned(),
            ));
        }
        (Message::Notification(_), Some(version)) => claims.modern_notification(version)?,
        (Message::Notification(_), None) if header == Some(MODERN) => Era::Modern,
        (Message::Request(_) | Message::Notification(_) | Message::Response(_), _) => {
            claims.legacy()?
        }
    };
    claims.into_inbound(era)
}

/// The same for a message that came through a pipe, where there are no headers and the connection is the session:
/// `negotiated` is what `initialize` agreed on.
///
/// # Errors
/// [`Refused`]; only its code and message matter here.
pub fn classify_line(
    message: &Message,
    negotiated: Option<LegacyVersion>,
) -> Result<Inbound, Refused> {
    let (empty, headers) = (Object::default(), HeaderMap::new());
    let (method, params) = asked(message).unwrap_or(("", &empty));
    let meta = meta_of(params)?.unwrap_or(&empty);
    let claims = Claims { headers: &headers, header: None, method, params, meta };
    let era = match (message, meta.get(META_VERSION), negotiated) {
        (Message::Request(_), Some(version), _) if version.as_str() == Some(MODERN) => {
            claims.capabilities()?;
            Era::Modern
        }
        (Message::Request(_), Some(version), _) => {
            return Err(Refused::unsupported_version(version.as_str().unwrap_or_default()));
        }
        (Message::Request(_), None, _) if method == "initialize" => claims.initialize()?,
        (_, None, Some(version)) => Era::Legacy(version),
        (Message::Request(_), None, None) if method == "ping" => Era::Legacy(LegacyVersion::LATEST),
        (Message::Request(_), None, None) => {
            let text = "initialize first, or say the protocol version in `_meta`";
            return Err(Refused::bad_request(code::INVALID_REQUEST, text.to_owned()));
        }
        (Message::Notification(_) | Message::Response(_), _, _) => Era::Modern,
    };
    claims.into_inbound(era)
}

/// What is asked or told, and with which parameters.
fn asked(message: &Message) -> Option<(&str, &Object)> {
    match message {
        Message::Request(request) => Some((&request.method, &request.params)),
        Message::Notification(told) => Some((&told.method, &told.params)),
        Message::Response(_) => None,
    }
}

fn meta_of(params: &Object) -> Result<Option<&Object>, Refused> {
    match params.get("_meta") {
        None => Ok(None),
        Some(Json::Object(meta)) => Ok(Some(meta)),
        Some(_) => Err(invalid_params("`_meta` must be an object")),
    }
}

/// What stands where in one message.
#[derive(Clone, Copy)]
struct Claims<'a> {
    headers: &'a HeaderMap,
    header: Option<&'a str>,
    method: &'a str,
    params: &'a Object,
    meta: &'a Object,
}

impl Claims<'_> {
    fn modern_request(self, version: &Json) -> Result<Era, Refused> {
        self.modern_version(version)?;
        self.capabilities()?;
        if required(self.headers, &headers::METHOD)? != self.method {
            return Err(Refused::differs(&headers::METHOD));
        }
        let Some(mirrored) = mirrored_member(self.method) else { return Ok(Era::Modern) };
        let Some(name) = self.params.get(mirrored).and_then(Json::as_str) else {
            return Err(invalid_params(&format!("`{mirrored}` must be a string")));
        };
        let header = headers::decode(required(self.headers, &headers::NAME)?).ok_or_else(|| {
            Refused::header_mismatch(
                "the header `mcp-name` is not valid base64 of UTF-8".to_owned(),
            )
        })?;
        if header == name { Ok(Era::Modern) } else { Err(Refused::differs(&headers::NAME)) }
    }

    fn capabilities(self) -> Result<(), Refused> {
        match self.meta.get(META_CAPABILITIES) {
            Some(Json::Object(_)) => Ok(()),
            _ => Err(invalid_params(&format!("`_meta` lacks the object `{META_CAPABILITIES}`"))),
        }
    }

    fn modern_version(self, version: &Json) -> Result<(), Refused> {
        let Some(version) = version.as_str() else {
            return Err(invalid_params(&format!("`{META_VERSION}` must be a string")));
        };
        if required(self.headers, &headers::PROTOCOL_VERSION)? != version {
            return Err(Refused::differs(&headers::PROTOCOL_VERSION));
        }
        if version == MODERN { Ok(()) } else { Err(Refused::unsupported_version(version)) }
    }

    /// Which headers a notification has is not specified; what is there must not contradict.
    fn modern_notification(self, version: &Json) -> Result<Era, Refused> {
        match self.header {
            Some(_) => self.modern_version(version).map(|()| Era::Modern),
            None if version.as_str() == Some(MODERN) => Ok(Era::Modern),
            None => Err(Refused::unsupported_version(version.as_str().unwrap_or_default())),
        }
    }

    fn initialize(self) -> Result<Era, Refused> {
        let requested = self.params.get("protocolVersion").and_then(Json::as_str);
        let requested =
            requested.ok_or_else(|| invalid_params("`protocolVersion` must be a string"))?;
        Ok(Era::Legacy(LegacyVersion::negotiate(requested)))
    }

    fn legacy(self) -> Result<Era, Refused> {
        let version = match self.header {
            Some(version) => LegacyVersion::parse(version)
                .ok_or_else(|| Refused::unsupported_version(version))?,
            // 2025-03-26 has no such header.
            None => LegacyVersion::ASSUMED,
        };
        Ok(Era::Legacy(version))
    }

    fn into_inbound(self, era: Era) -> Result<Inbound, Refused> {
        let (client, capabilities) = match era {
            Era::Modern => (self.meta.get(META_CLIENT), self.meta.get(META_CAPABILITIES)),
            Era::Legacy(_) if self.method == "initialize" => {
                (self.params.get("clientInfo"), self.params.get("capabilities"))
            }
            Era::Legacy(_) => (None, None),
        };
        let progress_token = self.meta.get("progressToken");
        if progress_token.is_some_and(|token| RequestId::from_json(token).is_none()) {
            return Err(invalid_params("`progressToken` must be a short string or an integer"));
        }
        let log_level = match (era, self.meta.get(META_LOG_LEVEL)) {
            (Era::Legacy(_), _) | (Era::Modern, None) => None,
            (Era::Modern, Some(level)) => Some(LogLevel::from_json(level).ok_or_else(|| {
                invalid_params(&format!("`{META_LOG_LEVEL}` must be a level of a log message"))
            })?),
        };
        Ok(Inbound {
            era,
            client_info: client.and_then(client_info),
            capabilities: capabilities.and_then(Json::as_object).cloned().unwrap_or_default(),
            progress_token: progress_token.cloned(),
            log_level,
            trace: TraceContext::of(self.headers, self.meta),
        })
    }
}

/// The parameter that `Mcp-Name` mirrors.
pub(crate) fn mirrored_member(method: &str) -> Option<&'static str> {
    match method {
        "prompts/get" | "tools/call" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/cancel" | "tasks/get" | "tasks/update" => Some("taskId"),
        _ => None,
    }
}

/// `name/version` without what could disturb a terminal or a page.
fn client_info(info: &Json) -> Option<String> {
    let name = info.get("name")?.as_str()?;
    let version = info.get("version").and_then(Json::as_str).unwrap_or("?");
    let visible = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let all = name.chars().chain(['/']).chain(version.chars());
    Some(all.filter(visible).take(CLIENT_INFO_CHARS_MAX).collect())
}

fn optional<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refused> {
    match headers::single(headers, name) {
        Ok(value) => Ok(Some(value)),
        Err(NoValue::Absent) => Ok(None),
        Err(NoValue::Twice) => {
            Err(Refused::header_mismatch(format!("the header `{name}` is there more than once")))
        }
        Err(NoValue::NotAscii) => {
            Err(Refused::header_mismatch(format!("the header `{name}` is not plain ASCII")))
        }
    }
}

fn required<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Refused> {
    optional(headers, name)?.ok_or_else(|| Refused::missing(name))
}

fn invalid_params(message: &str) -> Refused {
    Refused::bad_request(code::INVALID_PARAMS, message.to_owned())
}

impl Refused {
    pub(crate) const fn new(status: StatusCode, code: i64, message: String) -> Self {
        Self { status, code, message, data: None }
    }

    pub(crate) const fn bad_request(code: i64, message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) const fn header_mismatch(message: String) -> Self {
        Self::bad_request(code::HEADER_MISMATCH, message)
    }

    fn missing(name: &HeaderName) -> Self {
        Self::header_mismatch(format!("the header `{name}` is missing"))
    }

    fn differs(name: &HeaderName) -> Self {
        Self::header_mismatch(format!("the header `{name}` differs from the body"))
    }

    /// `supported` leaves out what was requested: a legacy version exists, but not with this shape of request.
    fn unsupported_version(requested: &str) -> Self {
        let supported: Vec<Json> =
            SUPPORTED.into_iter().filter(|version| *version != requested).map(Json::from).collect();
        let data = Object::default()
            .with("supported", supported)
            .with("requested", requested.chars().take(64).collect::<String>());
        let message = format!("the protocol version {} is not served", shown(requested));
        Self { data: Some(data.into()), ..Self::bad_request(code::UNSUPPORTED_VERSION, message) }
    }
}

#[cfg(test)]
mod tests;
