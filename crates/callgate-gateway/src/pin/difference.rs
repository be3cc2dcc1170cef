//! What is different between two definitions of a tool, in words. Texts of a server are shown as data: shortened, and without
//! anything that could move a cursor.

use callgate_model::json::{Json, Object};

/// Most of a text that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 160;

/// The differences, one for each part, those that matter most first. Empty if the definitions are the same.
#[must_use]
pub fn difference(before: &Json, after: &Json) -> Vec<String> {
    let mut all = Vec::new();
    let part = |name: &str| (before.get(name), after.get(name));
    arguments(part("inputSchema"), &mut all);
    for (name, said) in [("annotations", "hint"), ("outputSchema", "result"), ("_meta", "`_meta`")]
    {
        let (before, after) = part(name);
        below(said, before, after, &mut all);
    }
    for (name, said) in [("description", "description"), ("title", "title"), ("name", "name")] {
        let (before, after) = part(name);
        below(said, before, after, &mut all);
    }
    const SEEN: &[&str] =
        &["_meta", "annotations", "description", "inputSchema", "name", "outputSchema", "title"];
    let names = |of: &Json| of.as_object().cloned().unwrap_or_default();
    let (old, new) = (names(before), names(after));
    for name in members(&old, &new).into_iter().filter(|name| !SEEN.contains(&name.as_str())) {
        below(&format!("`{}`", shown(&name)), old.get(&name), new.get(&name), &mut all);
    }
    if all.is_empty() && before != after {
        all.push("the definition is written otherwise".to_owned());
    }
    all
}

/// The arguments that came, went, are required now or not any more, and what else is another in the schema.
fn arguments((before, after): (Option<&Json>, Option<&Json>), all: &mut Vec<String>) {
    let properties = |schema: Option<&Json>| {
        schema.and_then(|schema| schema.get("properties")?.as_object().cloned()).unwrap_or_default()
    };
    let required = |schema: Option<&Json>, name: &str| {
        let listed = schema.and_then(|schema| schema.get("required")?.as_array());
        listed.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)))
    };
    let (old, new) = (properties(before), properties(after));
    for name in members(&old, &new) {
        let (must, must_now) = (required(before, &name), required(after, &name));
        let said = format!("argument `{}`", shown(&name));
        match (old.get(&name), new.get(&name)) {
            (None, _) if must_now => all.push(format!("{said} is new, and required")),
            (None, _) => all.push(format!("{said} is new")),
            (Some(_), None) => all.push(format!("{said} is gone")),
            (Some(was), Some(is)) => {
                match (must, must_now) {
                    (false, true) => all.push(format!("{said} is required now")),
                    (true, false) => all.push(format!("{said} is not required any more")),
                    (true, true) | (false, false) => {}
                }
                below(&said, Some(was), Some(is), all);
            }
        }
    }
    let rest = |schema: Option<&Json>| {
        let mut rest = schema.and_then(Json::as_object).cloned().unwrap_or_default();
        rest.remove("properties");
        rest.remove("required");
        Json::Object(rest)
    };
    below("arguments", Some(&rest(before)), Some(&rest(after)), all);
}

/// What is different at `said` and below it.
fn below(said: &str, before: Option<&Json>, after: Option<&Json>, all: &mut Vec<String>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Json::Object(old)), Some(Json::Object(new))) => {
            for name in members(old, new) {
                let inner = format!("{said}, `{}`", shown(&name));
                below(&inner, old.get(&name), new.get(&name), all);
            }
        }
        (None, Some(is)) => all.push(format!("{said} is new: {}", value(is))),
        (Some(was), None) => all.push(format!("{said} is gone; it was {}", value(was))),
        (Some(was), Some(is)) => {
            all.push(format!("{said} was {}, is {}", value(was), value(is)));
        }
        (None, None) => {}
    }
}

/// The names of all members of both, in the order of the newer.
fn members(before: &Object, after: &Object) -> Vec<String> {
    let gone = before.iter().filter(|(name, _)| after.get(name).is_none());
    after.iter().chain(gone).map(|(name, _)| name.to_owned()).collect()
}

fn value(value: &Json) -> String {
    match value {
        Json::String(text) => format!("\"{}\"", shown(text)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            shown(&value.to_text())
        }
    }
}

/// A text of the server, for people.
fn shown(text: &str) -> String {
    let mut kept: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

#[cfg(test)]
mod tests;
