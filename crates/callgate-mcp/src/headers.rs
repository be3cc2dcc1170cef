//! MCP's HTTP headers: their names, and how values that are not plain ASCII are written in them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(crate) const NAME: HeaderName = HeaderName::from_static("mcp-name");
pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What the gateway signs of a call; of no standard.
pub(crate) const ASSERTION: HeaderName = HeaderName::from_static("callgate-assertion");
pub(crate) const PARAM_PREFIX: &str = "mcp-param-";

const ENCODED_START: &str = "=?base64?";
const ENCODED_END: &str = "?=";

/// Why a header has no one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoValue {
    Absent,
    Twice,
    NotAscii,
}

/// The one value of a header, without the blanks around it.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, NoValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(NoValue::Absent)?;
    if values.next().is_some() {
        return Err(NoValue::Twice);
    }
    let text = value.to_str().map_err(|_not_ascii| NoValue::NotAscii)?;
    Ok(text.trim_matches([' ', '\t']))
}

/// The text that a mirroring header stands for. `None` if it is encoded, but wrongly.
pub(crate) fn decode(value: &str) -> Option<String> {
    let Some(encoded) =
        value.strip_prefix(ENCODED_START).and_then(|rest| rest.strip_suffix(ENCODED_END))
    else {
        return Some(value.to_owned());
    };
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

/// `text` as a mirroring header writes it.
pub(crate) fn encode(text: &str) -> Option<HeaderValue> {
    let plain = text.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte))
        && text.trim_matches([' ', '\t']) == text
        && !(text.starts_with(ENCODED_START) && text.ends_with(ENCODED_END));
    if plain {
        return HeaderValue::from_str(text).ok();
    }
    HeaderValue::try_from(format!("{ENCODED_START}{}{ENCODED_END}", STANDARD.encode(text))).ok()
}

/// The media types of MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MediaType {
    Json,
    EventStream,
}

/// The one `Content-Type`. `None` for any other, and for any parameter but `charset=utf-8`.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<MediaType> {
    let value = single(headers, &CONTENT_TYPE).ok()?;
    let mut parts = value.split(';').map(|part| part.trim_matches([' ', '\t']));
    let essence = parts.next()?;
    let utf8 = |part: &str| {
        ["charset=utf-8", "charset=\"utf-8\""].iter().any(|utf8| part.eq_ignore_ascii_case(utf8))
    };
    if !parts.all(utf8) {
        return None;
    }
    [("application/json", MediaType::Json), ("text/event-stream", MediaType::EventStream)]
        .into_iter()
        .find(|(name, _)| essence.eq_ignore_ascii_case(name))
        .map(|(_, media_type)| media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p05_values_survive_the_header() {
        for text in
            ["getJiraIssue", "", "a b", " a", "a\t", "é", "a\nb", "=?base64?x?=", "=?base64?="]
        {
            let header = encode(text).unwrap();
            let written = header.to_str().unwrap();
            assert_eq!(decode(written.trim()).as_deref(), Some(text), "{written}");
        }
    }

    #[test]
    fn p05_wrong_base64_is_no_text() {
        for bad in ["=?base64?!?=", "=?base64?YQ?=", "=?base64?YR==?=", "=?base64?/w==?="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode("=?BASE64?YQ==?=").as_deref(), Some("=?BASE64?YQ==?="));
        assert_eq!(decode("=?base64?YQ==?=").as_deref(), Some("a"));
    }
}
