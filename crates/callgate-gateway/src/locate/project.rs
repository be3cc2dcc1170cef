//! The fields that policies see, taken from arguments.

use callgate_model::json::{Json, Object};
use callgate_model::vocabulary::{FieldType, FieldValue};

use crate::catalog::select::{Leaf, walk};
use crate::catalog::{FieldRule, Reading};

/// A field of a call.
pub(super) struct Projected {
    /// Its value, as far as it could be read.
    pub(super) value: FieldValue,
    /// Whether all of it could be read.
    pub(super) is_readable: bool,
}

/// The field that `rule` finds in `arguments`.
pub(super) fn project(rule: &FieldRule, field: FieldType, arguments: &Object) -> Projected {
    let mut gathered = Gathered::default();
    if rule.lookup.is_some() {
        // Only the server knows.
        return gathered.into_field(field);
    }
    for path in &rule.paths {
        walk(path, arguments, &mut |leaf| match leaf {
            Leaf::Absent => {}
            Leaf::Unreadable => gathered.unreadable = true,
            Leaf::Found(value) => {
                let taken = match (field, rule.reading) {
                    (FieldType::Text | FieldType::Flag, Reading::Value) => gathered.scalar(value),
                    (FieldType::Count, Reading::Value) => gathered.number(value),
                    (FieldType::Names, Reading::Value) => gathered.names(value, rule.split),
                    (_, Reading::Keys) => gathered.keys(value),
                    (_, Reading::Count) => gathered.count(value, rule.split),
                    (_, Reading::Present) => gathered.scalar(&Json::Bool(true)),
                };
                gathered.unreadable |= taken.is_none();
            }
        });
    }
    gathered.into_field(field)
}

/// What was found at the paths of a rule.
#[derive(Default)]
struct Gathered {
    texts: Vec<String>,
    total: i64,
    unreadable: bool,
}

impl Gathered {
    /// Takes one text, flag or number.
    fn scalar(&mut self, value: &Json) -> Option<()> {
        let text = match value {
            Json::String(text) => text.clone(),
            Json::Bool(flag) => flag.to_string(),
            Json::Number(number) => number.literal().to_owned(),
            Json::Null | Json::Array(_) | Json::Object(_) => return None,
        };
        self.texts.push(text);
        Some(())
    }

    fn number(&mut self, value: &Json) -> Option<()> {
        self.total = self.total.saturating_add(value.as_number()?.as_i64()?);
        Some(())
    }

    fn names(&mut self, value: &Json, split: Option<char>) -> Option<()> {
        match (value, split) {
            (Json::Array(elements), _) => elements.iter().try_for_each(|element| match element {
                Json::String(_) | Json::Number(_) => self.scalar(element),
                Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
            }),
            (Json::String(text), Some(separator)) => {
                self.texts.extend(listed(text, separator).map(str::to_owned));
                Some(())
            }
            (value, _) => self.scalar(value),
        }
    }

    fn keys(&mut self, value: &Json) -> Option<()> {
        self.texts.extend(value.as_object()?.iter().map(|(name, _)| name.to_owned()));
        Some(())
    }

    fn count(&mut self, value: &Json, split: Option<char>) -> Option<()> {
        let count = match (value, split) {
            (Json::Array(elements), _) => elements.len(),
            (Json::String(text), Some(separator)) => listed(text, separator).count(),
            _ => 1,
        };
        self.total = self.total.saturating_add(i64::try_from(count).ok()?);
        Some(())
    }

    fn into_field(mut self, field: FieldType) -> Projected {
        self.texts.sort();
        self.texts.dedup();
        let value = match field {
            // One field, two values: a policy must not see only one of them.
            FieldType::Text if self.texts.len() > 1 => {
                self.unreadable = true;
                FieldValue::Text(self.texts.join(" "))
            }
            FieldType::Text => FieldValue::Text(self.texts.pop().unwrap_or_default()),
            FieldType::Flag => {
                self.unreadable |= self.texts.iter().any(|text| text != "true" && text != "false");
                FieldValue::Flag(self.texts.iter().any(|text| text == "true"))
            }
            FieldType::Count => FieldValue::Count(self.total),
            FieldType::Names => FieldValue::Names(self.texts),
        };
        Projected { value, is_readable: !self.unreadable }
    }
}

fn listed(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separator).map(|part| part.trim_matches(' ')).filter(|part| !part.is_empty())
}
