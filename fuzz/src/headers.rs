//! Headers that claim what a body says: those that we would write are accepted, and no others.

use std::collections::HashSet;

use callgate_mcp::code::HEADER_MISMATCH;
use callgate_mcp::era::{Era, MODERN};
use callgate_mcp::http::{HeaderMap, HeaderName, HeaderValue};
use callgate_mcp::inbound::{
    HostRules, Inbound, Refused, check_accept, check_accept_stream, check_content_type,
    check_origin_host, check_param_headers, classify, invalid_param_headers, param_headers,
};
use callgate_mcp::message::{Message, Request};
use callgate_model::json::{Json, JsonLimits, Object, read};

const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Lines of headers, an empty line, a message; perhaps another empty line and a schema.
pub(crate) fn check(bytes: &[u8]) {
    let mut parts = split(bytes);
    let headers = headers(parts.next().unwrap_or_default());
    check_transport(&headers);
    let Ok(message) = Message::read(parts.next().unwrap_or_default(), &JsonLimits::default())
    else {
        return;
    };
    let classified = classify(&headers, &message);
    if let Message::Request(request) = &message {
        check_own(request, &message);
        if let Ok(Inbound { era: Era::Modern, .. }) = classified {
            check_claims(&headers, request);
        }
    }
    let Message::Request(Request { params, .. }) = message else { return };
    let Some(arguments) = params.get("arguments").and_then(Json::as_object) else { return };
    check_marked(&headers, arguments);
    let schema = read(parts.next().unwrap_or_default(), &JsonLimits::default());
    if let Ok(schema) = schema {
        check_any_schema(&headers, &schema, arguments);
    }
}

fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let all = rest.take()?;
        let Some(at) = all.windows(2).position(|pair| pair == b"\n\n") else { return Some(all) };
        let (part, after) = all.split_at_checked(at)?;
        rest = after.get(2..);
        Some(part)
    })
}

/// Those that a server of HTTP would let through.
fn headers(text: &[u8]) -> HeaderMap {
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(at)?;
        let value = value.get(1..)?.trim_ascii();
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, value);
    }
    headers
}

fn check_transport(headers: &HeaderMap) {
    check_accept(headers).ok();
    check_accept_stream(headers).ok();
    check_content_type(headers).ok();
    let rules = HostRules::new(["localhost:8080", "a.example"], ["https://b.example"]);
    check_origin_host(headers, None, &rules).ok();
}

/// What is accepted has one header of each kind, and each says what the body says.
fn check_claims(headers: &HeaderMap, request: &Request) {
    let says = |name: &HeaderName| {
        let values: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(values.len(), 1, "{name}");
        values.concat()
    };
    assert_eq!(says(&VERSION), MODERN.as_bytes());
    assert_eq!(says(&METHOD).trim_ascii(), request.method.as_bytes());
    if let Some(name) = mirrored(request) {
        let said = says(&NAME);
        let is_plain = said.trim_ascii() == name.as_bytes();
        assert!(is_plain || said.starts_with(b"=?base64?"), "{said:?} is not {name:?}");
    }
}

/// The parameter that `Mcp-Name` is to mirror, by the text of the specification.
fn mirrored(request: &Request) -> Option<&str> {
    let member = match request.method.as_str() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    };
    request.params.get(member).and_then(Json::as_str)
}

/// Our own headers for this request are accepted, and not if anything about one of them is changed.
fn check_own(request: &Request, message: &Message) {
    let (Some(own), Some(Json::Object(meta))) = (own(request), request.params.get("_meta")) else {
        return;
    };
    let version = meta.get("io.modelcontextprotocol/protocolVersion");
    if version.and_then(Json::as_str) != Some(MODERN) {
        return;
    }
    let accepted = classify(&own, message);
    if let Err(refused) = &accepted {
        // Something else is wrong, then: our headers are not.
        assert_ne!(refused.code, HEADER_MISMATCH, "{refused}");
        return;
    }
    check_changed(&own, |changed| classify(changed, message).map(drop));
}

fn own(request: &Request) -> Option<HeaderMap> {
    let mut own = HeaderMap::new();
    own.insert(VERSION, HeaderValue::from_static(MODERN));
    // A method that is no header value can have no headers that say so.
    own.insert(METHOD, HeaderValue::from_str(&request.method).ok()?);
    if request.method.trim() != request.method || !request.method.is_ascii() {
        return None;
    }
    if let Some(name) = mirrored(request) {
        own.insert(NAME, encode(name)?);
    }
    Some(own)
}

/// As a header writes `text`.
fn encode(text: &str) -> Option<HeaderValue> {
    let schema = marked_schema(["text"].into_iter().zip(["string"]));
    let mut own = param_headers(&schema, &Object::default().with("text", text));
    assert_eq!(own.len(), 1, "{text:?} is not mirrored");
    own.pop().map(|(_, value)| value)
}

/// A header that is left out, there twice or longer by a letter is refused.
fn check_changed(own: &HeaderMap, accepts: impl Fn(&HeaderMap) -> Result<(), Refused>) {
    let refuses = |changed: HeaderMap, name: &HeaderName, how: &str| {
        let refused = accepts(&changed).err();
        assert_eq!(refused.map(|refused| refused.code), Some(HEADER_MISMATCH), "{name} {how}");
    };
    for (name, value) in own {
        let mut changed = own.clone();
        changed.remove(name);
        refuses(changed.clone(), name, "left out");
        if let Ok(longer) = HeaderValue::from_bytes(&[value.as_bytes(), b"x"].concat()) {
            changed.insert(name, longer);
            refuses(changed, name, "longer");
        }
        let mut changed = own.clone();
        changed.append(name, value.clone());
        refuses(changed, name, "twice");
    }
}

/// A schema that marks every argument that can be mirrored.
fn check_marked(headers: &HeaderMap, arguments: &Object) {
    let mut seen = HashSet::new();
    let marked: Vec<(&str, &str)> = arguments
        .iter()
        .filter_map(|(name, value)| {
            let kind = match value {
                Json::Bool(_) => "boolean",
                Json::String(_) => "string",
                Json::Number(number) => number.as_i64().map(|_| "integer")?,
                Json::Null | Json::Array(_) | Json::Object(_) => return None,
            };
            let header = HeaderName::try_from(format!("mcp-param-{name}")).ok()?;
            (!name.is_empty() && seen.insert(header)).then_some((name, kind))
        })
        // What would be a secret is mirrored nowhere; which names are, `mirror` has tests for.
        .filter(|one| {
            let why = invalid_param_headers(&marked_schema(std::iter::once(*one)));
            !why.is_some_and(|why| why.contains("on a secret"))
        })
        .collect();
    let schema = marked_schema(marked.iter().copied());
    assert_eq!(invalid_param_headers(&schema), None, "{schema}");
    let own: HeaderMap = param_headers(&schema, arguments).into_iter().collect();
    assert_eq!(own.len(), marked.len(), "{own:?}");
    let accepts = |headers: &HeaderMap| check_param_headers(headers, &schema, arguments);
    assert_eq!(accepts(&own), Ok(()), "{own:?}");
    check_changed(&own, accepts);
    // Nobody's headers are accepted that are not of the same names as ours.
    if accepts(headers).is_ok() {
        assert!(own.keys().all(|name| headers.contains_key(name)), "{headers:?}");
    }
    // What is not there is not mirrored.
    let none = check_param_headers(&own, &schema, &Object::default());
    assert_eq!(none.is_ok(), own.is_empty(), "{own:?}");
}

/// Properties of these names and types, each with a mark.
fn marked_schema<'a>(properties: impl Iterator<Item = (&'a str, &'a str)>) -> Json {
    let properties = properties.fold(Object::default(), |properties, (name, kind)| {
        properties.with(name, Object::default().with("type", kind).with("x-mcp-header", name))
    });
    Object::default().with("type", "object").with("properties", properties).into()
}

/// A tool whose marks are against the rules can be called with no headers, and mirrors nothing.
fn check_any_schema(headers: &HeaderMap, schema: &Json, arguments: &Object) {
    let own = param_headers(schema, arguments);
    let accepted = check_param_headers(headers, schema, arguments);
    if invalid_param_headers(schema).is_some() {
        assert!(own.is_empty() && accepted.is_err(), "{schema}");
    }
    if accepted.is_ok() {
        assert!(own.iter().all(|(name, _)| headers.get_all(name).iter().count() == 1), "{own:?}");
    }
}
