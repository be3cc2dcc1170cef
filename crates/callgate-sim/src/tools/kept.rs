//! What tools do with the things that are only kept: list, get, add, change, remove.

use serde_json::{Map, Value, json};

use super::ToolResult;
pub(super) use crate::site::members;
use crate::site::{Site, ThingKind};

/// `fields` with what else is known about a thing.
pub(super) fn with(mut fields: Map<String, Value>, more: Value) -> Map<String, Value> {
    fields.extend(members(more));
    fields
}

fn missing(kind: ThingKind, id: &str) -> String {
    format!("{kind:?} '{id}' does not exist, or you do not have permission to see it.")
}

/// Every thing of a kind.
pub(super) fn all(site: &Site, kind: ThingKind) -> Vec<Value> {
    let found = site.things.iter().filter(|thing| thing.kind == kind);
    found.map(|thing| site.show_thing(thing)).collect()
}

/// Every thing of a kind that belongs to `of`.
pub(super) fn list(site: &Site, kind: ThingKind, of: &str) -> Vec<Value> {
    site.things_of(kind, of).map(|thing| site.show_thing(thing)).collect()
}

/// One thing.
pub(super) fn get(site: &Site, kind: ThingKind, id: &str) -> ToolResult {
    let thing = site.thing(kind, id).ok_or_else(|| missing(kind, id))?;
    Ok(site.show_thing(thing))
}

/// One thing, if it belongs to `of`.
pub(super) fn get_of(site: &Site, kind: ThingKind, id: &str, of: &str) -> ToolResult {
    match site.thing(kind, id) {
        Some(thing) if thing.of == of => Ok(site.show_thing(thing)),
        Some(_) | None => Err(missing(kind, id)),
    }
}

/// Adds a thing, and shows it.
pub(super) fn add(site: &mut Site, kind: ThingKind, of: &str, fields: Map<String, Value>) -> Value {
    let id = site.add_thing(kind, of, fields);
    site.thing(kind, &id).map_or(Value::Null, |thing| site.show_thing(thing))
}

/// Sets fields of a thing, whatever it belongs to, and shows it.
pub(super) fn set(
    site: &mut Site,
    kind: ThingKind,
    id: &str,
    fields: Map<String, Value>,
) -> ToolResult {
    site.thing_mut(kind, id).ok_or_else(|| missing(kind, id))?.set(fields);
    get(site, kind, id)
}

/// Removes a thing, whatever it belongs to.
pub(super) fn remove(site: &mut Site, kind: ThingKind, id: &str) -> ToolResult {
    let gone = site.remove_thing(kind, id).ok_or_else(|| missing(kind, id))?;
    Ok(json!({ "deleted": gone.id }))
}
