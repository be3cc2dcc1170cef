//! Why an agent says that it calls: an argument of the gateway's own, which no server sees. It is asserted, so nothing hangs
//! on what it says; but a permit may oblige whoever calls to say something, and people who approve see it apart.

use callgate_model::json::{Json, Object};
use callgate_model::redact;
use callgate_model::vocabulary::Effect;
use callgate_policy::Bundle;

use crate::tools::Tool;

/// The argument.
pub(super) const WHY: &str = "callgate_reason";
/// The longest reason, in characters.
const WHY_CHARS_MAX: usize = 500;

/// Takes the reason out of the arguments: what is left is what is decided, recorded and sent.
///
/// # Errors
/// For the caller, if it is no short text.
pub(super) fn take_why(arguments: &mut Object) -> Result<Option<String>, String> {
    match arguments.remove(WHY) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(why)) if why.chars().count() <= WHY_CHARS_MAX => {
            Ok(Some(redact::text(why.trim())).filter(|why| !why.is_empty()))
        }
        Some(_) => Err(format!("`{WHY}` must be a text of at most {WHY_CHARS_MAX} characters")),
    }
}

/// The definition of `tool` as clients see it: with the reason among its arguments, if some policy could want to know it.
pub(super) fn with_why(tool: &Tool, bundle: &Bundle) -> Json {
    let mut definition = tool.definition.definition.clone();
    let changes = tool.operations.iter().any(|(operation, _)| operation.effect != Effect::Read);
    if !(bundle.needs_reasons() || changes && bundle.has_gates()) {
        return definition;
    }
    let Json::Object(members) = &mut definition else { return definition };
    let Some(Json::Object(mut schema)) = members.remove("inputSchema") else { return definition };
    let mut properties = match schema.remove("properties") {
        Some(Json::Object(properties)) => properties,
        _ => Object::default(),
    };
    let about = "Why you make this call, in a sentence, for the people who approve or review it. It is not sent to the server.";
    let why = Object::default()
        .with("type", "string")
        .with("maxLength", i64::try_from(WHY_CHARS_MAX).unwrap_or(i64::MAX))
        .with("description", about);
    properties.set(WHY, why);
    schema.set("properties", properties);
    members.set("inputSchema", schema);
    definition
}
