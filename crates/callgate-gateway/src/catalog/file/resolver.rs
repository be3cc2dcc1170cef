//! The tables of resolvers: how an opaque id of a kind becomes a target.

use std::collections::BTreeMap;

use callgate_model::json::Json;

use super::path;
use crate::catalog::path::Path;
use crate::catalog::resolver::{Ask, Finds, Given, Lookup, Resolver, RestPath};
use crate::catalog::section::Section;

/// By kind, each with its place in the file.
pub(super) fn entries(top: &Section<'_>) -> BTreeMap<String, (String, Resolver)> {
    let tables = top.tables("resolve").into_iter();
    let placed = |(kind, at): (&str, Section<'_>)| {
        let resolver = entry(kind, &at)?;
        Some((kind.to_owned(), (at.path, resolver)))
    };
    tables.filter_map(placed).collect()
}

/// By name, each with its place in the file.
pub(super) fn lookups(top: &Section<'_>) -> BTreeMap<String, (String, Lookup)> {
    let tables = top.tables("lookup").into_iter();
    let placed = |(name, at): (&str, Section<'_>)| {
        let lookup = lookup(&at)?;
        Some((name.to_owned(), (at.path, lookup)))
    };
    tables.filter_map(placed).collect()
}

/// The resolver of `kind`. What contains that is looked up when all kinds are known.
fn entry(kind: &str, at: &Section<'_>) -> Option<Resolver> {
    at.only(&[
        "arguments",
        "container",
        "moves",
        "name",
        "rest",
        "rows",
        "same",
        "title",
        "tool",
        "values",
    ]);
    let asks = asks(at)?;
    let finds = match (at.text("name"), at.has("container")) {
        (Some(text), false) => Finds::Name(path(at, "name", text)?),
        (None, true) => {
            let texts = at.texts("container").into_iter();
            let paths: Option<Vec<Path>> = texts.map(|text| path(at, "container", text)).collect();
            Finds::Containers(paths.filter(|paths| !paths.is_empty())?)
        }
        (None, false) | (Some(_), true) => {
            let message = "write one of `name` and `container`: what the answer gives";
            at.fault("", message, None);
            return None;
        }
    };
    let moves = at.flag("moves");
    if moves && !matches!(finds, Finds::Name(_)) {
        at.fault("moves", "goes with `name` only", None);
    }
    let same = at.texts("same").into_iter().filter_map(|text| path(at, "same", text)).collect();
    let rows = at.text("rows").and_then(|text| path(at, "rows", text));
    let title: Vec<Path> =
        at.texts("title").into_iter().filter_map(|text| path(at, "title", text)).collect();
    let values = at.text("values").and_then(|text| path(at, "values", text));
    if title.is_empty() && values.is_some() {
        at.fault("values", "goes with `title` only", None);
    }
    if !title.is_empty() && rows.is_some() {
        at.fault("title", "does not go with `rows`", None);
    }
    let (kind, container) = (kind.to_owned(), String::new());
    Some(Resolver { kind, container, asks, finds, rows, same, moves, title, values })
}

/// How a value is found that a call names by a number.
fn lookup(at: &Section<'_>) -> Option<Lookup> {
    at.only(&["arguments", "key", "of", "rest", "rows", "tool", "value"]);
    let mut asks = asks(at)?;
    if asks.len() > 1 {
        at.fault("rest", "`tool` and `rest` exclude one another here", None);
    }
    let ask = asks.remove(0);
    let one = |key| path(at, key, at.required_text(key)?);
    let (rows, key, value) = (one("rows"), one("key"), one("value"));
    let kind = at.required_text("of")?.to_owned();
    Some(Lookup { kind, ask, rows: rows?, key: key?, value: value? })
}

/// What is asked, at least one.
fn asks(at: &Section<'_>) -> Option<Vec<Ask>> {
    let mut asks = Vec::new();
    if let Some(tool) = at.text("tool") {
        asks.push(Ask::Tool { name: tool.to_owned(), arguments: arguments(at) });
    } else if at.has("arguments") {
        at.fault("arguments", "goes with `tool` only", None);
    }
    if let Some(rest) = at.text("rest") {
        match RestPath::parse(rest) {
            Ok(path) => asks.push(Ask::Rest(path)),
            Err(why) => at.fault("rest", format!("`{rest}` is no path: {why}"), None),
        }
    }
    if !at.has("tool") && !at.has("rest") {
        at.fault("", "write `tool` or `rest`: what is asked", None);
    }
    (!asks.is_empty()).then_some(asks)
}

fn arguments(at: &Section<'_>) -> Vec<(String, Given)> {
    let Some(table) = at.table("arguments") else {
        at.fault("", "`arguments` is missing", None);
        return Vec::new();
    };
    let mut given = Vec::new();
    for name in table.keys() {
        match table.scalar(name) {
            Some(Json::String(text)) if text == "{id}" => given.push((name.to_owned(), Given::Id)),
            Some(Json::String(text)) if text == "{site}" => {
                given.push((name.to_owned(), Given::Site));
            }
            Some(value) => given.push((name.to_owned(), Given::Constant(value))),
            None => {}
        }
    }
    if !given.iter().any(|(_, given)| *given == Given::Id) {
        at.fault("arguments", "none of them is `{id}`", None);
    }
    given
}
