//! The forms in which evidence leaves for the tools that auditors and security operations have.
//!
//! A record becomes one line, whatever is in it: what a caller chose cannot begin another line, another field or a formula (E06).
//! What these lines say is taken from the record and never the other way round: only [`Format::Jsonl`] is evidence that can be verified.
//! It must not read, write or look at the time.

mod cef;
mod csv;
mod ecs;
mod facts;
mod jsonl;
mod ocsf;
pub(crate) mod syslog;
#[cfg(test)]
mod tests;

use callgate_model::json::{Json, Object};

pub(crate) use csv::cell;
pub(crate) use ecs::{Classes, classes};
pub(crate) use facts::{Facts, Severity, Verdict, at, text_at, texts};

use crate::print;

/// What is exported on one line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exported<'a> {
    /// The record, with its event, or without if that was erased.
    pub(crate) record: &'a Json,
    /// Of a record that tells what became of a call: the record of its intent, so that whoever reads the line knows whose call it was.
    pub(crate) intent: Option<&'a Json>,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Open Cybersecurity Schema Framework 1.8, one JSON event a line.
    Ocsf,
    /// Elastic Common Schema 9.4, one JSON document a line.
    Ecs,
    /// Common Event Format.
    Cef,
    /// A table (RFC 4180) with a header.
    Csv,
    /// The records themselves, one a line; the only form that can still be verified.
    Jsonl,
}

impl Format {
    /// The line that comes before all others, if there is one.
    pub(crate) fn header(self) -> Option<String> {
        match self {
            Self::Csv => Some(csv::header()),
            Self::Ocsf | Self::Ecs | Self::Cef | Self::Jsonl => None,
        }
    }

    /// The line of a record, without its end.
    pub(crate) fn write(self, exported: &Exported<'_>) -> String {
        let facts = Facts::of(exported);
        match self {
            Self::Ocsf => plain_json(&ocsf::event(&facts)),
            Self::Ecs => plain_json(&ecs::document(&facts)),
            Self::Cef => cef::line(&facts),
            Self::Csv => csv::row(&facts),
            Self::Jsonl => jsonl::line(exported.record),
        }
    }
}

/// An object of those members that say something: what is `null` or empty is left out, since schemas take neither for *not known*.
fn said<const N: usize>(members: [(&str, Json); N]) -> Object {
    let mut object = Object::default();
    for (name, value) in members {
        if says_something(&value) {
            object.set(name, value);
        }
    }
    object
}

fn says_something(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(elements) => !elements.is_empty(),
        Json::Object(members) => !members.is_empty(),
        Json::Bool(_) | Json::Number(_) => true,
    }
}

/// Compact JSON in which control and invisible characters are escaped, too, that JSON does not want escaped: some readers end a
/// line at U+2028, and terminals obey U+009B. They can only be in strings.
fn plain_json(object: &Object) -> String {
    let mut out = String::with_capacity(1024);
    for c in object.to_text().chars() {
        if print::is_plain(c) {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}
