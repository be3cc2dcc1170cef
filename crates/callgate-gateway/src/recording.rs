//! What of a call's arguments comes into the record, beside their digest: nothing, unless the operator wants it, or a rule
//! names a field. Secrets never do ([`callgate_model::redact`]).

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use callgate_model::call::ToolCall;
use callgate_model::digest::hex;
use callgate_model::evidence::{Decided, Understood};
use callgate_model::json::{Json, Object};
use callgate_model::obligation::Obligations;
use callgate_model::redact;
use callgate_model::treatment::{Treatment, Treatments, stricter};
use callgate_model::vocabulary::{FieldType, FieldValue};

use crate::name::NamedCall;
use crate::pipeline::understood;

/// Characters of a field that is cut.
const CUT_CHARS: usize = 32;
/// Bytes of a key at least.
const KEY_BYTES_MIN: usize = 32;

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
        let name = hex(name.as_ref().get(..4)?);
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
        format!("hmac:{}:{}", self.name, hex(tag.as_ref()))
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
    /// By operation, what happens to fields.
    pub fields: BTreeMap<String, Treatments>,
    /// The keys by which fields are hashed, the current one first.
    pub keys: Vec<HashKey>,
    /// Whether what policies saw of arguments is recorded, so that the decision can be made again.
    pub input: bool,
}

impl Recording {
    /// With the rules of catalogs for fields of which the operator says nothing.
    #[must_use]
    pub fn unless_said(mut self, records: BTreeMap<String, Treatments>) -> Self {
        for (operation, rules) in records {
            let known = self.fields.entry(operation).or_default();
            rules.into_iter().for_each(|(path, rule)| _ = known.entry(path).or_insert(rule));
        }
        self
    }

    /// What is recorded of the arguments of what is not known to be any operation: nothing if there are rules for fields,
    /// since one of them could be for these.
    pub(crate) fn unnamed(&self, arguments: &Object) -> Json {
        if self.fields.is_empty() { self.whole(arguments) } else { Json::Null }
    }

    fn whole(&self, arguments: &Object) -> Json {
        if self.arguments { redact::arguments(arguments) } else { Json::Null }
    }

    /// Completes the record of a call when it is known what it is and what was decided.
    pub(crate) fn name(&self, record: &mut Decided, named: &NamedCall) {
        let obligations = record.decision.obligations();
        let input = self.input(named, obligations);
        (record.arguments, record.hashes) = self.named(&named.call, obligations);
        record.understood = Some(Understood { input, ..understood(named) });
    }

    /// The fields that policies saw. Where there are rules for arguments, nothing of which these could be the text; and nothing
    /// that would not be as they saw it, without its secrets and its end. What was not looked up is not known.
    fn input(&self, named: &NamedCall, obligations: &Obligations) -> Object {
        let call = &named.call;
        let has_rules =
            self.fields.contains_key(&call.operation.name) || !obligations.record.is_empty();
        let mut input = Object::default();
        for (name, value) in call.fields.iter().filter(|_| self.input) {
            let is_unknown = named.looked_up.iter().any(|one| one.field == *name)
                && *value == FieldType::Text.absent();
            let is_text = matches!(value, FieldValue::Text(_) | FieldValue::Names(_));
            if !(is_unknown || (is_text && has_rules)) {
                input.set(name, value.to_json());
            }
        }
        let recorded = redact::arguments(&input);
        let as_seen = |name: &str, value: &Json| recorded.get(name) == Some(value);
        let kept = input.iter().filter(|(name, value)| as_seen(name, value));
        kept.fold(Object::default(), |kept, (name, value)| kept.with(name, value.clone()))
    }

    /// What is recorded of the arguments of a call, and the hashes in it. Rules are for operations, so of what a dispatcher
    /// wraps, what it wraps is recorded. Policies can only make them stricter.
    pub(crate) fn named(&self, call: &ToolCall, obligations: &Obligations) -> (Json, Vec<String>) {
        let rules = self.fields.get(&call.operation.name);
        if obligations.record.is_empty() {
            return match rules {
                Some(rules) => self.ruled(rules, call.effective()),
                None => (self.whole(call.effective()), Vec::new()),
            };
        }
        let mut rules = rules.cloned().unwrap_or_default();
        stricter(&mut rules, &obligations.record);
        self.ruled(&rules, call.effective())
    }

    fn ruled(&self, rules: &Treatments, arguments: &Object) -> (Json, Vec<String>) {
        let mut hashes = Vec::new();
        let whole = Json::from(arguments.clone());
        let mut recorded = Some(&whole).filter(|_| self.arguments).cloned();
        for (path, treatment) in rules {
            let names: Vec<&str> = path.split('.').collect();
            recorded = self.part(recorded, &whole, (&names, *treatment), &mut hashes);
        }
        // Whatever is kept, no secret is.
        let recorded = recorded.as_ref().and_then(Json::as_object).map(redact::arguments);
        (recorded.unwrap_or(Json::Null), hashes)
    }

    /// What is recorded of `value` when what is `recorded` of it so far is treated where `names` lead: in an array, of
    /// every element. What says something else than the rule expects, such as text with JSON in it, is not recorded.
    fn part(
        &self,
        recorded: Option<Json>,
        value: &Json,
        (names, treatment): (&[&str], Treatment),
        hashes: &mut Vec<String>,
    ) -> Option<Json> {
        match (names, value) {
            ([], _) => self.treated(value, treatment, hashes),
            ([name, rest @ ..], Json::Object(object)) => {
                let Some(inner) = object.get(name) else { return recorded };
                let before = recorded.as_ref().and_then(|recorded| recorded.get(name)).cloned();
                let after = self.part(before, inner, (rest, treatment), hashes);
                let members = recorded.as_ref().and_then(Json::as_object).cloned();
                match after {
                    Some(after) => Some(members.unwrap_or_default().with(name, after).into()),
                    None => members.map(|mut members| {
                        members.remove(name);
                        members.into()
                    }),
                }
            }
            (_, Json::Array(elements)) => {
                let before = recorded.as_ref().and_then(Json::as_array).unwrap_or_default();
                let each = elements.iter().enumerate().map(|(at, element)| {
                    let before = before.get(at).cloned();
                    self.part(before, element, (names, treatment), hashes).unwrap_or(Json::Null)
                });
                Some(each.collect::<Vec<_>>().into())
            }
            (_, Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) => None,
        }
    }

    fn treated(
        &self,
        value: &Json,
        treatment: Treatment,
        hashes: &mut Vec<String>,
    ) -> Option<Json> {
        match treatment {
            Treatment::Drop => None,
            Treatment::Keep => Some(value.clone()),
            Treatment::Truncate => Some(cut(value)),
            Treatment::Hash => self.keys.first().map(|key| {
                let hash = key.hash(value);
                hashes.push(hash.clone());
                hash.into()
            }),
        }
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

#[cfg(test)]
mod tests {
    use callgate_model::json::{JsonLimits, read};

    use super::*;

    const EDIT: &str = r#"{"issueIdOrKey":"ENG-42","fields":{"summary":"Roll the release back to the version of last week","assignee":"5b10a2","points":5,"password":"x"}}"#;

    fn object(text: &str) -> Object {
        read(text.as_bytes(), &JsonLimits::default()).unwrap().as_object().unwrap().clone()
    }

    fn recording(arguments: bool, rules: &[(&str, &str)]) -> Recording {
        let rules =
            rules.iter().map(|(path, name)| ((*path).to_owned(), Treatment::parse(name).unwrap()));
        Recording {
            arguments,
            fields: BTreeMap::from([("jira.issue.edit".to_owned(), rules.collect())]),
            keys: vec![HashKey::new(&[1; 32]).unwrap()],
            ..Recording::default()
        }
    }

    const RULES: &[(&str, &str)] = &[
        ("issueIdOrKey", "keep"),
        ("fields.summary", "truncate"),
        ("fields.assignee", "hash"),
        ("fields.password", "keep"),
        ("fields.nothing", "keep"),
    ];

    fn recorded(arguments: bool, rules: &[(&str, &str)], of: &str) -> (String, Vec<String>) {
        let recording = recording(arguments, rules);
        let (recorded, hashes) = recording.ruled(&recording.fields["jira.issue.edit"], &object(of));
        (String::from_utf8(recorded.canonical()).unwrap(), hashes)
    }

    #[test]
    fn what_no_rule_names_is_not_recorded() {
        assert_eq!(Recording::default().unnamed(&object(EDIT)), Json::Null);
        let (recorded, hashes) = recorded(false, RULES, EDIT);
        let [hash] = &*hashes else { panic!("{hashes:?}") };
        let expected = format!(
            r#"{{"fields":{{"assignee":"{hash}","password":"[redacted]","summary":"Roll the release back to the ver…"}},"issueIdOrKey":"ENG-42"}}"#
        );
        assert_eq!(recorded, expected);
    }

    #[test]
    fn what_a_rule_drops_is_not_there_beside_the_rest() {
        let rules = [("fields.summary", "drop"), ("fields.assignee", "hash")];
        let (recorded, hashes) = recorded(true, &rules, EDIT);
        let expected = format!(
            r#"{{"fields":{{"assignee":"{}","password":"[redacted]","points":5}},"issueIdOrKey":"ENG-42"}}"#,
            hashes[0]
        );
        assert_eq!(recorded, expected);
    }

    /// What it is, is not known: so neither which rule is for it.
    #[test]
    fn of_what_is_not_named_nothing_is_recorded_where_there_are_rules() {
        assert_eq!(recording(true, RULES).unnamed(&object(EDIT)), Json::Null);
        let none = Recording { fields: BTreeMap::new(), ..recording(true, RULES) };
        assert_eq!(none.unnamed(&object(r#"{"a":1}"#)).to_text(), r#"{"a":1}"#);
    }

    #[test]
    fn a_rule_is_for_every_element_of_an_array() {
        let of =
            r#"{"reviewers":[{"id":"5b10a2","as":"x"},{"as":"y"},[{"id":"5b10a3"}],"5b10a4"]}"#;
        let (all, hashes) = recorded(true, &[("reviewers.id", "hash")], of);
        let [one, other] = &*hashes else { panic!("{hashes:?}") };
        let expected = format!(
            r#"{{"reviewers":[{{"as":"x","id":"{one}"}},{{"as":"y"}},[{{"id":"{other}"}}],null]}}"#
        );
        assert_eq!(all, expected);
        let dropped = recorded(true, &[("reviewers.id", "drop")], of).0;
        assert_eq!(dropped, r#"{"reviewers":[{"as":"x"},{"as":"y"},[{}],null]}"#);
        let kept = recorded(false, &[("reviewers.as", "keep")], of).0;
        assert_eq!(kept, r#"{"reviewers":[{"as":"x"},{"as":"y"},[null],null]}"#);
    }

    /// Some servers take JSON as text.
    #[test]
    fn i7_text_in_the_place_of_what_a_rule_goes_into_is_not_recorded() {
        let of = r#"{"fields":"{\"description\":\"canary\"}","issueIdOrKey":"ENG-42"}"#;
        let rules = [("fields.description", "drop")];
        assert_eq!(recorded(true, &rules, of).0, r#"{"issueIdOrKey":"ENG-42"}"#);
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
