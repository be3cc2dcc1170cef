//! What HTTP itself must say before a body is read.

use http::StatusCode;
use http::header::{ACCEPT, CONTENT_ENCODING, HOST, HeaderMap, ORIGIN, TRANSFER_ENCODING};
use http::uri::Authority;

use super::Refused;
use crate::code;
use crate::headers::{self, MediaType, NoValue};

/// The authorities under which the gateway may be addressed, and the web origins that may address it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRules {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl HostRules {
    /// `hosts` as in a `Host` header (`gate.example.com`, `localhost:8080`), `origins` as in `Origin`
    /// (`https://app.example.com`). Case makes no difference; a port does.
    #[must_use]
    pub fn new<'a>(
        hosts: impl IntoIterator<Item = &'a str>,
        origins: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            hosts: hosts.into_iter().map(str::to_ascii_lowercase).collect(),
            origins: origins.into_iter().map(str::to_ascii_lowercase).collect(),
        }
    }

    fn has_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|allowed| allowed == &host.to_ascii_lowercase())
    }

    /// A page that the gateway itself serves is of an allowed host.
    fn has_origin(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let own = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        own.is_some_and(|host| self.has_host(host)) || self.origins.contains(&origin)
    }
}

/// Refuses what a page of a rebound DNS name would send. `authority` is that of the request's URI, which HTTP/2 has
/// instead of `Host`.
///
/// # Errors
/// [`Refused`] with 403.
pub fn check_origin_host(
    headers: &HeaderMap,
    authority: Option<&Authority>,
    rules: &HostRules,
) -> Result<(), Refused> {
    let host = match (headers::single(headers, &HOST), authority) {
        (Ok(host), None) => Ok(host),
        (Ok(host), Some(authority)) if host.eq_ignore_ascii_case(authority.as_str()) => Ok(host),
        (Err(NoValue::Absent), Some(authority)) => Ok(authority.as_str()),
        (Ok(_) | Err(_), Some(_)) | (Err(_), None) => Err(forbidden("no one host is addressed")),
    }?;
    if !rules.has_host(host) {
        return Err(forbidden("this host is not served here"));
    }
    match headers::single(headers, &ORIGIN) {
        Err(NoValue::Absent) => Ok(()),
        Ok(origin) if rules.has_origin(origin) => Ok(()),
        Ok(_) | Err(NoValue::Twice | NoValue::NotAscii) => {
            Err(forbidden("requests from this origin are not served"))
        }
    }
}

/// Takes exactly `application/json`, uncompressed, whole or in chunks. Of what is coded in another way, who stands between could
/// have read something else.
///
/// # Errors
/// [`Refused`] with 415.
pub fn check_content_type(headers: &HeaderMap) -> Result<(), Refused> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(unsupported("a body must not be compressed"));
    }
    match headers::single(headers, &TRANSFER_ENCODING) {
        Err(NoValue::Absent) => {}
        Ok(coding) if coding.eq_ignore_ascii_case("chunked") => {}
        Ok(_) | Err(NoValue::Twice | NoValue::NotAscii) => {
            return Err(unsupported("a body may be sent in chunks, and coded in no other way"));
        }
    }
    match headers::media_type(headers) {
        Some(MediaType::Json) => Ok(()),
        Some(MediaType::EventStream) | None => Err(unsupported("a body must be application/json")),
    }
}

/// The client must take both forms of an answer, since the server chooses.
///
/// # Errors
/// [`Refused`] with 406.
pub fn check_accept(headers: &HeaderMap) -> Result<(), Refused> {
    if accepts(headers, "application/*", "application/json") && accepts_stream(headers) {
        return Ok(());
    }
    Err(not_acceptable("`Accept` must list application/json and text/event-stream"))
}

/// The client must take a stream, where there is nothing else.
///
/// # Errors
/// [`Refused`] with 406.
pub fn check_accept_stream(headers: &HeaderMap) -> Result<(), Refused> {
    if accepts_stream(headers) {
        return Ok(());
    }
    Err(not_acceptable("`Accept` must list text/event-stream"))
}

fn accepts_stream(headers: &HeaderMap) -> bool {
    accepts(headers, "text/*", "text/event-stream")
}

fn accepts(headers: &HeaderMap, kind: &str, full: &str) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .map(|range| range.trim_matches([' ', '\t']))
        .any(|range| ["*/*", kind, full].iter().any(|taken| range.eq_ignore_ascii_case(taken)))
}

fn not_acceptable(message: &str) -> Refused {
    Refused::new(StatusCode::NOT_ACCEPTABLE, code::INVALID_REQUEST, message.to_owned())
}

fn forbidden(message: &str) -> Refused {
    Refused::new(StatusCode::FORBIDDEN, code::INVALID_REQUEST, message.to_owned())
}

fn unsupported(message: &str) -> Refused {
    Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::INVALID_REQUEST, message.to_owned())
}
