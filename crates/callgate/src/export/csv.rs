//! A table (RFC 4180) for a spreadsheet, in which no cell is a formula.

use callgate_model::json::{Json, Number};

use callgate_model::evidence::Kind;

use super::facts::{Changed, Facts, Verdict, first, text_at};
use crate::print;

/// What begins a formula, or what a spreadsheet takes away before one. The full-width ones are taken for the others by some.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// What a cell says of a record.
type Cell = fn(&Facts<'_>) -> String;

/// The columns in their order.
const COLUMNS: &[(&str, Cell)] = &[
    ("index", |of| number(of.record.get("index"))),
    ("at", |of| cell(of.own("at"))),
    ("kind", |of| cell(of.own("kind"))),
    ("call", |of| cell(of.call())),
    ("decision", |of| cell(of.verdict().map(Verdict::as_str).unwrap_or_default())),
    ("reasons", |of| cell(&of.reasons().join(" "))),
    ("outcome", |of| cell(of.outcome())),
    ("human", |of| cell(first(&[of.asked("caller.accountable.id"), of.whose()]))),
    ("human_kind", |of| cell(of.asked("caller.accountable.kind"))),
    ("agent", |of| cell(of.agent())),
    ("actors", |of| cell(&actors(of))),
    ("client", |of| cell(of.asked("caller.client.name"))),
    ("server", |of| cell(of.server())),
    ("method", |of| cell(of.asked("method"))),
    ("tool", |of| cell(of.tool())),
    ("operation", |of| cell(of.understood("operation"))),
    ("effect", |of| cell(of.understood("effect"))),
    ("risk", |of| cell(of.understood("risk"))),
    ("targets", |of| cell(&of.targets_told().join("; "))),
    ("policies", |of| cell(&of.policies_told().join("; "))),
    ("approval", |of| cell(of.approval())),
    ("grant", |of| cell(of.asked("granted_by.id"))),
    ("workflow", |of| cell(of.asked("caller.workflow.run"))),
    ("ticket", |of| cell(of.ticket())),
    ("why", |of| cell(of.why())),
    ("change", |of| cell(of.change())),
    ("by", |of| cell(if of.kind == Kind::Change { of.told("by") } else { of.settled_by() })),
    ("thing", |of| cell(&thing(of))),
    ("duration_ms", |of| {
        of.upstream_us().map(|us| us / 1000).map_or_else(String::new, |ms| ms.to_string())
    }),
    ("detail", |of| cell(of.told("detail"))),
    ("hash", |of| cell(of.own("hash"))),
    ("erased", |of| cell(if of.is_erased() { "true" } else { "" })),
];

/// The names of the columns.
pub(super) fn header() -> String {
    COLUMNS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",")
}

/// The row of a record.
pub(super) fn row(facts: &Facts<'_>) -> String {
    COLUMNS.iter().map(|(_, cell)| cell(facts)).collect::<Vec<_>>().join(",")
}

fn actors(facts: &Facts<'_>) -> String {
    let actors = facts.decided("caller.actors").as_array().unwrap_or_default();
    actors.iter().map(|actor| text_at(actor, "id")).collect::<Vec<_>>().join(" ")
}

/// What a change is about: `token release-bot 019acb5e-…`.
fn thing(facts: &Facts<'_>) -> String {
    if facts.kind != Kind::Change {
        return String::new();
    }
    let entity = facts.entity();
    let parts = [Changed::of(facts.change()).thing, &entity.name, &entity.id];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn number(value: Option<&Json>) -> String {
    let number = value.and_then(Json::as_number).and_then(Number::as_i64);
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// A cell of text. A quote before what would be a formula shows it as text; a record stays on one line.
pub(crate) fn cell(text: &str) -> String {
    let guard = if text.starts_with(FORMULA) { "'" } else { "" };
    let text = format!("{guard}{}", print::safe(text));
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}
