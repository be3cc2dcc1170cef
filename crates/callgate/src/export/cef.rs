//! Common Event Format: `CEF:0|vendor|product|version|signature id|name|severity|extension`.

use callgate_model::evidence::Kind;

use super::facts::{Facts, Severity, UNKNOWN, Verdict, first};
use crate::print;

/// How long texts may be, in characters: receivers cut or drop what is longer.
const ID_CHARS_MAX: usize = 40;
const SHORT_CHARS_MAX: usize = 63;
const TEXT_CHARS_MAX: usize = 1023;
const CUSTOM_CHARS_MAX: usize = 4000;

/// The line of a record.
pub(super) fn line(facts: &Facts<'_>) -> String {
    let severity = match facts.severity() {
        Severity::Informational => 1,
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
        Severity::Critical => 10,
    };
    let reason = facts.reasons().first().copied().unwrap_or_default();
    let signature = first(&[facts.change(), facts.outcome(), reason, facts.own("kind"), UNKNOWN]);
    let (version, signature) = (header(env!("CARGO_PKG_VERSION")), header(signature));
    let name = header(&name(facts));
    let fields: Vec<String> = extension(facts)
        .into_iter()
        .filter(|(_, _, value)| !value.is_empty())
        .map(|(key, max, value)| field(key, max, &value))
        .collect();
    let extension = fields.join(" ");
    format!("CEF:0|Callgate|callgate|{version}|{signature}|{name}|{severity}|{extension}")
}

/// What happened, in words that are the same for all that are alike.
fn name(facts: &Facts<'_>) -> String {
    let name = match (facts.kind, facts.verdict()) {
        (Kind::Opened, _) => "Gateway started",
        (Kind::Intent, _) => "Call allowed",
        (Kind::Refusal, Some(Verdict::ApprovalRequired)) => "Call needs an approval",
        (Kind::Refusal, Some(Verdict::Allow | Verdict::Deny)) => "Call denied",
        (Kind::Refusal, None) => "Call not let through",
        (Kind::Outcome, _) => "Call concluded",
        (Kind::Settled, _) => "Call settled by a person",
        (Kind::Change, _) => return changed(facts.change()),
    };
    name.to_owned()
}

/// `sign_in_refused` as words: `Sign in refused`.
fn changed(change: &str) -> String {
    let mut rest = change.chars();
    match rest.next() {
        Some(begin) => begin.to_uppercase().chain(rest).collect::<String>().replace('_', " "),
        None => "Something changed".to_owned(),
    }
}

/// The reason codes of a decision; otherwise what whoever did it says.
fn reason(facts: &Facts<'_>) -> String {
    let codes = facts.reasons();
    match facts.kind {
        Kind::Change | Kind::Settled => facts.why().to_owned(),
        Kind::Opened | Kind::Intent | Kind::Refusal | Kind::Outcome => codes.join(", "),
    }
}

/// Keys, how long their texts may be, and texts.
fn extension(facts: &Facts<'_>) -> Vec<(&'static str, usize, String)> {
    let entity = facts.entity();
    let act = first(&[facts.change(), facts.verdict().map(Verdict::as_str).unwrap_or_default()]);
    let index = facts.record.get("index").map(ToString::to_string).unwrap_or_default();
    let ms = facts.upstream_us().map(|us| (us / 1000).to_string()).unwrap_or_default();
    let short = |key, text: &str| (key, SHORT_CHARS_MAX, text.to_owned());
    let text = |key, text: &str| (key, TEXT_CHARS_MAX, text.to_owned());
    let mut fields = vec![
        short("rt", &facts.at_ms().to_string()),
        text("cat", facts.own("kind")),
        short("act", act),
        short("outcome", facts.outcome()),
        text("reason", &reason(facts)),
        text("suser", facts.who()),
        text("duser", facts.whose()),
        text("sourceServiceName", facts.asked("caller.client.name")),
        text("destinationServiceName", facts.server()),
        text("requestMethod", facts.asked("method")),
        text("request", facts.tool()),
        ("externalId", ID_CHARS_MAX, first(&[facts.call(), &entity.id]).to_owned()),
        short("deviceExternalId", facts.own("writer")),
        text("msg", &facts.sentence()),
    ];
    let targets = facts.targets_told().join(", ");
    let operation = facts.understood("operation");
    let agent = facts.agent();
    for (key, label, value) in [
        (["cs1", "cs1Label"], "agent", agent),
        (["cs2", "cs2Label"], "policies", &*facts.policies_told().join(", ")),
        (["cs3", "cs3Label"], "operation", operation),
        (["cs4", "cs4Label"], "targets", &*targets),
        (["cs5", "cs5Label"], "risk", facts.understood("risk")),
        (["cs6", "cs6Label"], "hash", facts.own("hash")),
        (["cn1", "cn1Label"], "index", &*index),
        (["cn2", "cn2Label"], "duration_ms", &*ms),
    ] {
        let [key, label_key] = key;
        if !value.is_empty() {
            fields.push((key, CUSTOM_CHARS_MAX, value.to_owned()));
            fields.push(short(label_key, label));
        }
    }
    fields
}

/// A field of the header: a pipe would end it, and a line cannot be in it.
fn header(text: &str) -> String {
    escaped(text, TEXT_CHARS_MAX, |c| match c {
        '\\' => Some("\\\\"),
        '|' => Some("\\|"),
        _ => None,
    })
}

/// A field of the extension: an equals sign would make its last word a key.
fn field(key: &str, chars_max: usize, text: &str) -> String {
    let text = escaped(text, chars_max, |c| match c {
        '\\' => Some("\\\\"),
        '=' => Some("\\="),
        '\n' => Some("\\n"),
        '\r' => Some("\\r"),
        _ => None,
    });
    format!("{key}={text}")
}

/// `text` with the format's escapes, and what no line may have shown by its number; cut if it is longer than `chars_max`.
fn escaped(text: &str, chars_max: usize, escape: impl Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len());
    let is_long = text.chars().nth(chars_max).is_some();
    let kept = if is_long { chars_max.saturating_sub(1) } else { chars_max };
    for c in text.chars().take(kept) {
        match escape(c) {
            Some(known) => out.push_str(known),
            None if print::is_plain(c) => out.push(c),
            None => out.push_str(&c.escape_unicode().to_string().replace('\\', "\\\\")),
        }
    }
    if is_long {
        out.push('…');
    }
    out
}
