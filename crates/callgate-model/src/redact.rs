//! Arguments as they may be recorded: secrets out, long text cut. The digest over the whole stands beside it.

use crate::json::{Json, Object};

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

const TEXT_CHARS_MAX: usize = 200;
const ELEMENTS_MAX: usize = 20;
const MEMBERS_MAX: usize = 50;
const DEPTH_MAX: usize = 8;

/// Parts of member names whose values are secrets, lower case and without separators.
const SECRET_NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "authorization",
    "credential",
    "privatekey",
    "cookie",
];

/// Names that contain one of the above and are no secrets.
const HARMLESS_NAMES: &[&str] = &["nextpagetoken", "pagetoken", "snapshottoken", "progresstoken"];

/// How well-known secrets begin.
const SECRET_PREFIXES: &[&str] = &[
    "ATATT",
    "ATCTT",
    "AKIA",
    "Basic ",
    "Bearer ",
    "eyJ",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "sk-",
    "xoxb-",
    "xoxp-",
    "-----BEGIN",
];

/// The recordable form of `arguments`.
#[must_use]
pub fn arguments(arguments: &Object) -> Json {
    object(arguments, 0)
}

/// The recordable form of one text, which is short.
#[must_use]
pub fn text(text: &str) -> String {
    if holds_secret(text) { REDACTED.to_owned() } else { text.to_owned() }
}

fn object(object: &Object, depth: usize) -> Json {
    let mut kept = Object::default();
    for (name, member) in object.iter().take(MEMBERS_MAX) {
        kept.set(
            &cut(name),
            if is_secret_name(name) { REDACTED.into() } else { value(member, depth + 1) },
        );
    }
    if object.len() > MEMBERS_MAX {
        kept.set("…", format!("{} more members", object.len() - MEMBERS_MAX));
    }
    kept.into()
}

fn value(value: &Json, depth: usize) -> Json {
    match value {
        Json::Array(_) | Json::Object(_) if depth >= DEPTH_MAX => "…".into(),
        Json::Object(members) => object(members, depth),
        Json::Array(elements) => {
            let mut kept: Vec<Json> = elements
                .iter()
                .take(ELEMENTS_MAX)
                .map(|element| self::value(element, depth + 1))
                .collect();
            if elements.len() > ELEMENTS_MAX {
                kept.push(format!("… {} more", elements.len() - ELEMENTS_MAX).into());
            }
            Json::Array(kept)
        }
        Json::String(text) if holds_secret(text) => REDACTED.into(),
        Json::String(text) => cut(text).into(),
        Json::Null | Json::Bool(_) | Json::Number(_) => value.clone(),
    }
}

/// Whether what has this name is most likely a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| plain.contains(secret))
        && !HARMLESS_NAMES.contains(&plain.as_str())
}

fn holds_secret(text: &str) -> bool {
    text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '=' | ',' | '(' | '<')).any(
        |word| word.len() >= 16 && SECRET_PREFIXES.iter().any(|prefix| word.starts_with(prefix)),
    ) || SECRET_PREFIXES.iter().any(|prefix| prefix.contains(' ') && text.starts_with(prefix))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => {
            format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{JsonLimits, read};

    #[test]
    fn i7_secrets_are_taken_out() {
        let text = r#"{"password":"x","api-key":"y","nested":{"Client_Secret":{"a":1}},"note":"use ATATT3xFfGF0aaaaaaaaaaaa now",
            "header":"Bearer abc","nextPageToken":"p","list":["ghp_0123456789abcdefghij"],"key":"ENG-42"}"#;
        let parsed = read(text.as_bytes(), &JsonLimits::default()).unwrap();
        assert_eq!(
            arguments(parsed.as_object().unwrap()).to_text(),
            r#"{"password":"[redacted]","api-key":"[redacted]","nested":{"Client_Secret":"[redacted]"},"note":"[redacted]","header":"[redacted]","nextPageToken":"p","list":["[redacted]"],"key":"ENG-42"}"#
        );
    }

    #[test]
    fn i7_a_text_with_a_secret_is_none() {
        assert_eq!(text("the token is ATATT3xFfGF0aaaaaaaaaaaa"), REDACTED);
        assert_eq!(text("ENG-42 says so"), "ENG-42 says so");
    }

    #[test]
    fn i13_the_recorded_form_is_small() {
        let long = Json::from("é".repeat(100_000));
        let big = Object::default().with("a", vec![long; 1000]);
        assert!(arguments(&big).to_text().len() < 20_000);
    }
}
