//! Following a path into arguments.

use callgate_model::json::{Json, JsonLimits, Object, read};

use super::path::{Path, Step};
use super::rule::Split;

/// What is at the end of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaf<'a> {
    /// A value, not `null`.
    Found(&'a Json),
    /// Nothing: a member is not there, or is `null`.
    Absent,
    /// Something on the way is not what the path says: not an object, not an array, not JSON in a string.
    Unreadable,
}

impl<'a> Leaf<'a> {
    /// What is there, if it is something.
    pub(crate) const fn value(self) -> Option<&'a Json> {
        match self {
            Self::Found(value) => Some(value),
            Self::Absent | Self::Unreadable => None,
        }
    }
}

/// Shows `visit` everything at `path`, once for each element if it is plural.
pub(crate) fn walk(path: &Path, arguments: &Object, visit: &mut dyn FnMut(Leaf<'_>)) {
    let Some((Step::Member(name), rest)) = path.steps().split_first() else { return };
    member(arguments.get(name), rest, visit);
}

fn member(value: Option<&Json>, rest: &[Step], visit: &mut dyn FnMut(Leaf<'_>)) {
    match value {
        None | Some(Json::Null) => visit(Leaf::Absent),
        Some(value) => follow(value, rest, visit),
    }
}

fn follow(value: &Json, steps: &[Step], visit: &mut dyn FnMut(Leaf<'_>)) {
    let Some((step, rest)) = steps.split_first() else { return visit(Leaf::Found(value)) };
    match (step, value) {
        (Step::Member(name), Json::Object(object)) => member(object.get(name), rest, visit),
        (Step::Each, Json::Array(elements)) => {
            for element in elements {
                follow(element, rest, visit);
            }
        }
        (Step::Parse, Json::String(text)) => {
            // The strict reader: JSON that readers disagree about is as good as none.
            match read(text.as_bytes(), &JsonLimits::default()) {
                Ok(parsed) => member(Some(&parsed), rest, visit),
                Err(_) => visit(Leaf::Unreadable),
            }
        }
        (Step::Member(_) | Step::Each | Step::Parse, _) => visit(Leaf::Unreadable),
    }
}

/// The text of an id: a string, a whole number, or an object that is nothing but a reference, `{"key": "ENG-1"}` or
/// `{"id": "10042"}`.
pub(crate) fn spelling(value: &Json) -> Option<&str> {
    match value {
        Json::String(text) => Some(text),
        Json::Number(number) => number.as_i64().map(|_| number.literal()),
        Json::Object(reference) if reference.len() == 1 => {
            match reference.get("key").or_else(|| reference.get("id"))? {
                Json::String(text) => Some(text),
                Json::Number(number) => number.as_i64().map(|_| number.literal()),
                Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
            }
        }
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// The ids in one string. Nothing, if it begins as a JSON array and is none of strings: servers that take both try JSON
/// first.
pub(crate) fn listed(text: &str, split: Split) -> Option<Vec<String>> {
    let is_array = text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('[');
    if split.or_json && is_array {
        let array = read(text.as_bytes(), &JsonLimits::default()).ok()?;
        return array.as_array()?.iter().map(|id| id.as_str().map(str::to_owned)).collect();
    }
    // Servers trim blanks around the elements of such lists.
    Some(text.split(split.separator).map(|id| id.trim_matches(' ').to_owned()).collect())
}
