//! Syslog (RFC 5424) around a line of any format, and how messages follow each other on a connection (RFC 6587, RFC 5425).

use super::facts::{Facts, Severity, first};
use super::{Exported, Format};
use crate::print;

/// What the structured data are called: the number is the one that RFC 5612 has for examples.
const STRUCTURED_ID: &str = "callgate@32473";
/// Facility 13, log audit.
const FACILITY: u8 = 13;
/// How long a host's name may be, in characters.
const HOST_CHARS_MAX: usize = 255;

/// How messages follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Framing {
    /// Each ends with a line feed: for files and for TCP without TLS.
    Lines,
    /// Each begins with its length: for TLS (RFC 5425), and for TCP where it is understood.
    Octets,
}

/// Who sends the messages.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The machine; empty if it is not known.
    pub(crate) host: String,
    /// The process.
    pub(crate) process: u32,
}

impl Origin {
    /// The message of a record, in `format`, framed as the next one on a connection.
    pub(crate) fn write(
        &self,
        exported: &Exported<'_>,
        format: Format,
        framing: Framing,
    ) -> String {
        let message = self.message(exported, format);
        match framing {
            Framing::Lines => format!("{message}\n"),
            Framing::Octets => format!("{} {message}", message.len()),
        }
    }

    fn message(&self, exported: &Exported<'_>, format: Format) -> String {
        let facts = Facts::of(exported);
        let severity = match facts.severity() {
            Severity::Informational => 6,
            Severity::Low => 5,
            Severity::Medium => 4,
            Severity::High => 3,
            Severity::Critical => 2,
        };
        let host = printable(&self.host, HOST_CHARS_MAX);
        let kind = printable(facts.own("kind"), 32);
        format!(
            "<{}>1 {} {host} callgate {} {kind} {} \u{feff}{}",
            FACILITY * 8 + severity,
            first(&[facts.own("at"), "-"]),
            self.process,
            structured(&facts),
            format.write(exported)
        )
    }
}

/// What a relay can sort by without reading the message.
fn structured(facts: &Facts<'_>) -> String {
    let index = facts.record.get("index").map(ToString::to_string).unwrap_or_default();
    let decision = facts.verdict().map(super::facts::Verdict::as_str).unwrap_or_default();
    let mut out = format!("[{STRUCTURED_ID}");
    for (name, value) in [
        ("index", &*index),
        ("hash", facts.own("hash")),
        ("call", facts.call()),
        ("decision", decision),
        ("outcome", facts.outcome()),
        ("change", facts.change()),
        ("who", facts.who()),
        ("agent", facts.agent()),
        ("server", facts.server()),
        ("tool", facts.tool()),
    ] {
        if !value.is_empty() {
            out.push_str(&format!(" {name}=\"{}\"", quoted(value)));
        }
    }
    out.push(']');
    out
}

/// A value of the structured data: a quote, a backslash and a bracket would end it.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in print::safe(text).chars() {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A field of the header: printable ASCII, or `-` for nothing.
fn printable(text: &str, chars_max: usize) -> String {
    let text: String = text.chars().filter(char::is_ascii_graphic).take(chars_max).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}
