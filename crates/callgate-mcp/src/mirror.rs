//! `Mcp-Param-*` headers, which mirror the arguments that a tool's schema marks with `x-mcp-header`.
//!
//! The body is the only source of truth. Headers are checked against it coming in and made from it going out.

use std::collections::BTreeSet;

use callgate_model::json::{self, Json, JsonLimits, Object};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::code;
use crate::headers::{self, NoValue};
use crate::inbound::Refused;

const MARK: &str = "x-mcp-header";
const INTEGER_MAX: f64 = 9_007_199_254_740_991.0;

/// Checks that the `Mcp-Param-*` headers of a call say what its arguments say. Headers that the schema does not ask
/// for say nothing, and are ignored.
///
/// # Errors
/// [`Refused`] for a header that is missing, superfluous, repeated, undecodable or different.
pub fn check_param_headers(
    headers: &HeaderMap,
    input_schema: &Json,
    arguments: &Object,
) -> Result<(), Refused> {
    let mirrored = mirrored(input_schema).map_err(|reason| {
        Refused::bad_request(code::INVALID_PARAMS, format!("the tool cannot be called: {reason}"))
    })?;
    mirrored.iter().try_for_each(|param| {
        param.check(headers, arguments).map_err(|problem| {
            Refused::header_mismatch(format!("the header `{}` {problem}", param.header))
        })
    })
}

/// The `Mcp-Param-*` headers for a call.
#[must_use]
pub fn param_headers(input_schema: &Json, arguments: &Object) -> Vec<(HeaderName, HeaderValue)> {
    let mirrored = mirrored(input_schema).unwrap_or_default();
    mirrored
        .into_iter()
        .filter_map(|param| {
            let value = param.value_in(arguments)?.to_header()?;
            Some((param.header, value))
        })
        .collect()
}

/// Why a tool with this schema must not be offered, if its marks are against the rules.
#[must_use]
pub fn invalid_param_headers(input_schema: &Json) -> Option<String> {
    mirrored(input_schema).err()
}

#[derive(Debug)]
struct Mirrored<'a> {
    header: HeaderName,
    path: Vec<&'a str>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Boolean,
    Integer,
    Text,
}

/// An argument as a header can mirror it.
#[derive(Debug, PartialEq)]
enum Value<'a> {
    Boolean(bool),
    Integer(f64),
    Text(&'a str),
    /// The schema's validation will refuse it; until then it equals no header.
    WrongType,
}

impl Mirrored<'_> {
    fn check(&self, headers: &HeaderMap, arguments: &Object) -> Result<(), &'static str> {
        let header = match headers::single(headers, &self.header) {
            Ok(header) => Some(headers::decode(header).ok_or("is not valid base64 of UTF-8")?),
            Err(NoValue::Absent) => None,
            Err(NoValue::Twice) => return Err("is there more than once"),
            Err(NoValue::NotAscii) => return Err("is not plain ASCII"),
        };
        match (self.value_in(arguments), header) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err("mirrors an argument that is not there"),
            (Some(_), None) => Err("is missing"),
            (Some(value), Some(header)) if value.equals(&header) => Ok(()),
            (Some(_), Some(_)) => Err("differs from the argument"),
        }
    }

    fn value_in<'v>(&self, arguments: &'v Object) -> Option<Value<'v>> {
        let (first, rest) = self.path.split_first()?;
        let found = rest.iter().try_fold(arguments.get(first)?, |value, name| value.get(name))?;
        if *found == Json::Null {
            return None;
        }
        let value = match self.kind {
            Kind::Boolean => found.as_bool().map(Value::Boolean),
            Kind::Integer => integer(found).map(Value::Integer),
            Kind::Text => found.as_str().map(Value::Text),
        };
        Some(value.unwrap_or(Value::WrongType))
    }
}

impl Value<'_> {
    fn equals(&self, header: &str) -> bool {
        match self {
            Self::Boolean(value) => header == if *value { "true" } else { "false" },
            Self::Integer(value) => json::read(header.as_bytes(), &JsonLimits::default())
                .is_ok_and(|header| integer(&header) == Some(*value)),
            Self::Text(value) => header == *value,
            Self::WrongType => false,
        }
    }

    fn to_header(&self) -> Option<HeaderValue> {
        match self {
            Self::Boolean(value) => headers::encode(if *value { "true" } else { "false" }),
            // Within ±(2^53 − 1) a double prints as the integer it is.
            Self::Integer(value) => headers::encode(&format!("{value:.0}")),
            Self::Text(value) => headers::encode(value),
            Self::WrongType => None,
        }
    }
}

fn integer(value: &Json) -> Option<f64> {
    let value = value.as_number()?.as_f64();
    (value.fract() == 0.0 && value.abs() <= INTEGER_MAX).then_some(value)
}

fn mirrored(schema: &Json) -> Result<Vec<Mirrored<'_>>, String> {
    let mut found = Vec::new();
    collect(schema, &mut Vec::new(), &mut found)?;
    let mut seen = BTreeSet::new();
    for param in &found {
        if !seen.insert(param.header.as_str()) {
            return Err(format!("{MARK} names `{}` twice", param.header));
        }
    }
    Ok(found)
}

/// Walks the chains of `properties`, the only places where a mark may be.
fn collect<'a>(
    schema: &'a Json,
    path: &mut Vec<&'a str>,
    found: &mut Vec<Mirrored<'a>>,
) -> Result<(), String> {
    let Some(schema) = schema.as_object() else { return Ok(()) };
    for (keyword, value) in schema.iter() {
        match keyword {
            MARK => found.push(marked(schema, value, path)?),
            "properties" => {
                for (name, property) in value.as_object().iter().flat_map(|members| members.iter())
                {
                    path.push(name);
                    collect(property, path, found)?;
                    path.pop();
                }
            }
            _ if holds_mark(keyword, value) => {
                return Err(format!("{MARK} under `{}`", keyword.escape_debug()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn marked<'a>(schema: &Object, mark: &Json, path: &[&'a str]) -> Result<Mirrored<'a>, String> {
    let kind = match schema.get("type").and_then(Json::as_str) {
        Some("boolean") => Kind::Boolean,
        Some("integer") => Kind::Integer,
        Some("string") => Kind::Text,
        _ => return Err(format!("{MARK} on what is not a string, integer or boolean")),
    };
    if path.is_empty() {
        return Err(format!("{MARK} on what is not a property"));
    }
    let name = mark.as_str().filter(|name| !name.is_empty());
    if is_secret(schema) || path.iter().copied().chain(name).any(names_secret) {
        return Err(format!("{MARK} on a secret, which whatever is on the way would log"));
    }
    let header = name
        .and_then(|name| HeaderName::try_from(format!("{}{name}", headers::PARAM_PREFIX)).ok())
        .ok_or_else(|| format!("{MARK} does not make a header name"))?;
    Ok(Mirrored { header, path: path.to_vec(), kind })
}

/// Whether the schema says that its value is not to be shown.
fn is_secret(schema: &Object) -> bool {
    schema.get("format").and_then(Json::as_str) == Some("password")
        || schema.get("writeOnly") == Some(&Json::Bool(true))
}

/// Whether an argument, or a header, of this name would hold a secret (T07).
fn names_secret(name: &str) -> bool {
    const WORDS: &[&str] = &[
        "apikey",
        "authorization",
        "credential",
        "passphrase",
        "passwd",
        "password",
        "privatekey",
        "secret",
    ];
    // Tokens of pages, lines and so on are none.
    const WHOLE: &[&str] = &[
        "accesstoken",
        "apitoken",
        "authtoken",
        "bearertoken",
        "idtoken",
        "refreshtoken",
        "token",
    ];
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let plain: String = letters.map(|c| c.to_ascii_lowercase()).collect();
    WORDS.iter().any(|word| plain.contains(word)) || WHOLE.contains(&plain.as_str())
}

/// Whether there is a mark in a schema that is not statically reachable. Where names are free or values are data, the
/// word is no mark.
fn holds_mark(keyword: &str, value: &Json) -> bool {
    if matches!(keyword, "const" | "default" | "enum" | "examples") {
        return false;
    }
    let names_are_free = matches!(
        keyword,
        "$defs"
            | "definitions"
            | "dependentRequired"
            | "dependentSchemas"
            | "patternProperties"
            | "properties"
    );
    match value {
        Json::Object(members) if names_are_free => {
            members.iter().any(|(_, schema)| holds_mark("", schema))
        }
        Json::Object(members) => {
            members.iter().any(|(name, value)| name == MARK || holds_mark(name, value))
        }
        Json::Array(elements) => elements.iter().any(|element| holds_mark("", element)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

#[cfg(test)]
mod tests;
