//! A table (RFC 4180) for a spreadsheet, in which no cell is a formula.

use callgate_model::json::Json;

use super::facts::{Changed, Facts, Kind, Verdict, text_at};
use crate::print;

/// What begins a formula, or what a spreadsheet takes away before one. The full-width ones are taken for the others by some.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

const COLUMNS: usize = 32;

/// The names of the columns.
pub(super) fn header() -> String {
    [
        "index",
        "at",
        "kind",
        "call",
        "decision",
        "reasons",
        "outcome",
        "human",
        "human_kind",
        "agent",
        "actors",
        "client",
        "server",
        "method",
        "tool",
        "operation",
        "effect",
        "risk",
        "targets",
        "policies",
        "approval",
        "grant",
        "workflow",
        "ticket",
        "why",
        "change",
        "by",
        "thing",
        "duration_ms",
        "detail",
        "hash",
        "erased",
    ]
    .join(",")
}

/// The row of a record.
pub(super) fn row(facts: &Facts<'_>) -> String {
    let text = |text: &str| cell(text);
    let number = |value: Option<i64>| value.map(|number| number.to_string()).unwrap_or_default();
    let policies: Vec<String> =
        facts.policies().iter().map(|(id, owner)| format!("{id} ({owner})")).collect();
    let actors = facts.decided("caller.actors").as_array().unwrap_or_default();
    let actors: Vec<&str> = actors.iter().map(|actor| text_at(actor, "id")).collect();
    let by = if facts.kind == Kind::Change { facts.told("by") } else { facts.settled_by() };
    let cells: [String; COLUMNS] = [
        number(
            facts
                .record
                .get("index")
                .and_then(Json::as_number)
                .and_then(callgate_model::json::Number::as_i64),
        ),
        text(facts.own("at")),
        text(facts.own("kind")),
        text(facts.call()),
        text(facts.verdict().map(Verdict::as_str).unwrap_or_default()),
        text(&facts.reasons().join(" ")),
        text(facts.outcome()),
        text(facts.asked("caller.accountable.id")),
        text(facts.asked("caller.accountable.kind")),
        text(facts.agent()),
        text(&actors.join(" ")),
        text(facts.asked("caller.client.name")),
        text(facts.asked("server")),
        text(facts.asked("method")),
        text(facts.asked("tool")),
        text(facts.asked("understood.operation")),
        text(facts.asked("understood.effect")),
        text(facts.asked("understood.risk")),
        text(&facts.targets_told().join("; ")),
        text(&policies.join("; ")),
        text(facts.approval()),
        text(facts.asked("granted_by.id")),
        text(facts.asked("caller.workflow.run")),
        text(facts.ticket()),
        text(facts.why()),
        text(facts.change()),
        text(by),
        text(&thing(facts)),
        number(facts.upstream_us().map(|us| us / 1000)),
        text(facts.told("detail")),
        text(facts.own("hash")),
        text(if facts.is_erased() { "true" } else { "" }),
    ];
    cells.join(",")
}

/// What a change is about: `token release-bot 019acb5e-…`.
fn thing(facts: &Facts<'_>) -> String {
    match facts.kind {
        Kind::Change => {
            let entity = facts.entity();
            let parts = [Changed::of(facts.change()).thing, &entity.name, &entity.id];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
        }
        Kind::Opened | Kind::Intent | Kind::Refusal | Kind::Outcome | Kind::Settled => {
            String::new()
        }
    }
}

/// A cell of text. A quote before what would be a formula shows it as text; a record stays on one line.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(FORMULA) { "'" } else { "" };
    let text = format!("{guard}{}", print::safe(text));
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}
