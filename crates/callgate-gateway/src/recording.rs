//! What of a call's arguments comes into the record, beside their digest: nothing, unless the operator wants it, or a rule
//! names a field. Secrets never do ([`callgate_model::redact`]).

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use callgate_model::evidence::Decided;
use callgate_model::json::{Json, Object};
use callgate_model::redact;

use crate::name::NamedCall;
use crate::pipeline::understood;

/// Characters of a field that is cut.
const CUT_CHARS: usize = 32;
/// Bytes of a key at least.
const KEY_BYTES_MIN: usize = 32;

/// What happens to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It is not recorded.
    Drop,
    /// It is recorded as a hash with a key, by which whoever has the key finds it again.
    Hash,
    /// It is recorded, without secrets and with long text cut.
    Keep,
    /// Its beginning is recorded.
    Truncate,
}

impl Treatment {
    /// The one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "drop" => Some(Self::Drop),
            "hash" => Some(Self::Hash),
            "keep" => Some(Self::Keep),
            "truncate" => Some(Self::Truncate),
            _ => None,
        }
    }
}

/// A key by which fields are hashed, so that nobody without it can try what a hash is of.
#[derive(Clone)]
pub struct HashKey {
    name: String,
    key: Key,
}

impl HashKey {
    /// A key of these bytes, at least 32.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < KEY_BYTES_MIN {
            return None;
        }
        // By its name it can be told which key made a hash; it says nothing of the key.
        let name = digest(&SHA256, &[b"callgate hash key\0", bytes].concat());
        let name = name.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Some(Self { name, key: Key::new(HMAC_SHA256, bytes) })
    }

    /// `hmac:KEY:HASH` of a value and of its type: a number is not the text of the same digits.
    #[must_use]
    pub fn hash(&self, value: &Json) -> String {
        let kind = match value {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        };
        let text = [kind.as_bytes(), b"\0", &value.canonical()].concat();
        let tag = sign(&self.key, &text);
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("hmac:{}:{hex}", self.name)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What is recorded of arguments.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Whether arguments are recorded, without secrets and with long text cut.
    pub arguments: bool,
    /// By operation, what happens to fields: the names of the members that lead there, with dots between.
    pub fields: BTreeMap<String, BTreeMap<String, Treatment>>,
    /// The keys by which fields are hashed, the current one first.
    pub keys: Vec<HashKey>,
}

impl Recording {
    /// What is recorded of the arguments of what is not known to be any operation.
    pub(crate) fn unnamed(&self, arguments: &Object) -> Json {
        if self.arguments { redact::arguments(arguments) } else { Json::Null }
    }

    /// Completes the record of a call when it is known what it is.
    pub(crate) fn name(&self, record: &mut Decided, named: &NamedCall) {
        let call = &named.call;
        (record.arguments, record.hashes) = self.named(&call.operation.name, &call.arguments);
        record.understood = Some(understood(named));
    }

    /// What is recorded of the arguments of an operation, and the hashes in it.
    pub(crate) fn named(&self, operation: &str, arguments: &Object) -> (Json, Vec<String>) {
        let mut hashes = Vec::new();
        let Some(rules) = self.fields.get(operation) else {
            return (self.unnamed(arguments), hashes);
        };
        let mut kept = Object::default();
        if self.arguments {
            kept = arguments.clone();
        }
        for (path, treatment) in rules {
            let names: Vec<&str> = path.split('.').collect();
            let found = names.iter().try_fold(None::<&Json>, |inner, name| {
                inner.map_or_else(|| arguments.get(name), |inner| inner.get(name)).map(Some)
            });
            let Some(Some(value)) = found else { continue };
            let recorded = match treatment {
                Treatment::Drop => None,
                Treatment::Keep => Some(value.clone()),
                Treatment::Truncate => Some(cut(value)),
                Treatment::Hash => self.keys.first().map(|key| {
                    let hash = key.hash(value);
                    hashes.push(hash.clone());
                    hash.into()
                }),
            };
            put(&mut kept, &names, recorded);
        }
        // Whatever is kept, no secret is.
        let recorded = redact::arguments(&kept);
        (if kept.is_empty() && !self.arguments { Json::Null } else { recorded }, hashes)
    }
}

/// The beginning of a value's text.
fn cut(value: &Json) -> Json {
    let text = value.as_str().map_or_else(|| value.to_text(), str::to_owned);
    match text.char_indices().nth(CUT_CHARS) {
        None => text.into(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
    }
}

/// Puts a value where `names` lead, or takes away what is there.
fn put(object: &mut Object, names: &[&str], value: Option<Json>) {
    match (names, value) {
        ([], _) => {}
        ([name], Some(value)) => object.set(name, value),
        ([name], None) => drop(object.remove(name)),
        ([name, rest @ ..], value) => {
            let inner = object.get(name).and_then(Json::as_object).cloned();
            let Some(mut inner) = inner.or_else(|| value.is_some().then(Object::default)) else {
                return;
            };
            put(&mut inner, rest, value);
            object.set(name, inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use callgate_model::json::{JsonLimits, read};

    use super::*;

    fn arguments() -> Object {
        let text = r#"{"issueIdOrKey":"ENG-42","fields":{"summary":"Roll the release back to the version of last week","assignee":"5b10a2","points":5,"password":"x"}}"#;
        read(text.as_bytes(), &JsonLimits::default()).unwrap().as_object().unwrap().clone()
    }

    fn recording(arguments: bool, rules: &[(&str, &str)]) -> Recording {
        let rules =
            rules.iter().map(|(path, name)| ((*path).to_owned(), Treatment::parse(name).unwrap()));
        Recording {
            arguments,
            fields: BTreeMap::from([("jira.issue.edit".to_owned(), rules.collect())]),
            keys: vec![HashKey::new(&[1; 32]).unwrap()],
        }
    }

    const RULES: &[(&str, &str)] = &[
        ("issueIdOrKey", "keep"),
        ("fields.summary", "truncate"),
        ("fields.assignee", "hash"),
        ("fields.password", "keep"),
        ("fields.nothing", "keep"),
    ];

    #[test]
    fn nothing_is_recorded_unless_a_rule_names_it() {
        assert_eq!(Recording::default().unnamed(&arguments()), Json::Null);
        let (recorded, hashes) = recording(false, RULES).named("jira.issue.view", &arguments());
        assert_eq!((recorded, hashes.len()), (Json::Null, 0));
        let (recorded, hashes) = recording(false, RULES).named("jira.issue.edit", &arguments());
        let [hash] = &*hashes else { panic!("{hashes:?}") };
        let expected = format!(
            r#"{{"fields":{{"assignee":"{hash}","password":"[redacted]","summary":"Roll the release back to the ver…"}},"issueIdOrKey":"ENG-42"}}"#
        );
        assert_eq!(String::from_utf8(recorded.canonical()).unwrap(), expected);
    }

    #[test]
    fn what_a_rule_drops_is_not_there_beside_the_rest() {
        let rules = [("fields.summary", "drop"), ("fields.assignee", "hash")];
        let (recorded, hashes) = recording(true, &rules).named("jira.issue.edit", &arguments());
        let fields = recorded.get("fields").unwrap();
        assert_eq!(fields.get("summary"), None);
        assert_eq!(fields.get("assignee").unwrap().as_str(), hashes.first().map(String::as_str));
        assert_eq!(fields.get("points").unwrap().to_text(), "5");
    }

    #[test]
    fn i7_a_hash_is_of_a_key_and_a_type() {
        let (one, other) = (HashKey::new(&[1; 32]).unwrap(), HashKey::new(&[2; 32]).unwrap());
        let text = |text: &str| Json::from(text);
        assert_eq!(one.hash(&text("5")), one.hash(&text("5")));
        assert_ne!(one.hash(&text("5")), other.hash(&text("5")));
        assert_ne!(one.hash(&text("5")), one.hash(&Json::from(5_i64)));
        assert_ne!(one.hash(&text("true")), one.hash(&true.into()));
        assert!(one.hash(&text("5")).starts_with("hmac:"));
        assert!(HashKey::new(&[1; 31]).is_none());
        assert_eq!(format!("{one:?}"), format!(r#"HashKey {{ name: "{}", .. }}"#, one.name));
    }
}
