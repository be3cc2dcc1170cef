//! What it says, and how it ends.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use callgate_model::json::{Json, Object};

use crate::broken::{Broken, Stop};
use crate::export;
use crate::options::Options;
use crate::record::{self, Proven, Record, prove, verify_proof};
use crate::verify::{Report, Trust, Wanted, Witnessed, place, verify};

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is as it was signed, and nothing is missing.
    Verified,
    /// Something is broken.
    Broken,
    /// It cannot be told.
    Unreadable,
    /// All that is there is as it was signed, but not all is there.
    Incomplete,
}

impl Outcome {
    /// The exit status.
    #[must_use]
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Verified => 0,
            Self::Broken => 1,
            Self::Unreadable => 2,
            Self::Incomplete => 3,
        })
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Broken => "broken",
            Self::Unreadable => "unreadable",
            Self::Incomplete => "incomplete",
        }
    }

    const fn of(is_complete: bool) -> Self {
        if is_complete { Self::Verified } else { Self::Incomplete }
    }
}

/// Does what is asked, and says what came of it.
pub fn run(options: &Options, out: &mut dyn Write, err: &mut dyn Write) -> Outcome {
    let trust = Trust { keys: options.keys.clone(), witnesses: options.witnesses.clone() };
    let told = match (&options.folder, &options.proof) {
        (_, Some(proof)) => of_proof(proof, &trust),
        (Some(folder), None) => of_export(folder, options, &trust),
        (None, None) => Err(Stop::Unreadable("there is nothing to check".to_owned())),
    };
    let Told { outcome, words, result, json } = told.unwrap_or_else(|stop| of_stop(&stop));
    // A reader that has gone is not an error of the export: the status says what it is.
    if options.json {
        let json = Json::from(json.with("verdict", outcome.as_str()));
        writeln!(out, "{}", canonical(&json)).ok();
        return outcome;
    }
    let words: Vec<String> = words.iter().map(|line| safe(line)).collect();
    let words = words.join("\n");
    match result {
        Some(result) => {
            writeln!(err, "{words}").ok();
            write!(out, "{result}").ok();
        }
        None => drop(writeln!(out, "{words}")),
    }
    outcome
}

/// What is said, in words and as JSON.
struct Told {
    outcome: Outcome,
    words: Vec<String>,
    /// What goes to standard output alone.
    result: Option<String>,
    json: Object,
}

fn of_export(folder: &Path, options: &Options, trust: &Trust) -> Result<Told, Stop> {
    let wanted = match (options.record, options.call) {
        (Some(index), _) => Wanted::Record(index),
        (None, Some(call)) => Wanted::Call(call),
        (None, None) => Wanted::Nothing,
    };
    let report = verify(folder, trust, &options.against, wanted)?;
    let outcome = Outcome::of(report.is_complete());
    let mut told = Told { outcome, words: words(&report), result: None, json: to_json(&report) };
    if report.records.is_empty() && wanted != Wanted::Nothing {
        return Err(Stop::Unreadable("the export is verified, but has no such record".to_owned()));
    }
    let records: Vec<Json> = report.records.iter().map(Record::to_json).collect();
    for (record, json) in report.records.iter().zip(&records) {
        told.words.extend([record.summary(), canonical(json)]);
    }
    if !records.is_empty() {
        told.json.set("records", records);
    }
    if let (Wanted::Record(_), Some(record)) = (wanted, report.records.first()) {
        let proof = prove(folder, record, &report.signed)?.to_string();
        told.json.set("proof", proof.as_str());
        told.result = Some(proof);
    }
    Ok(told)
}

fn of_proof(path: &Path, trust: &Trust) -> Result<Told, Stop> {
    let text = export::text_file(path, record::BYTES_MAX)?;
    let Proven { record, signed, witnesses } = verify_proof(&text, trust)?;
    let checkpoint = &signed.checkpoint;
    let mut words = vec![
        format!("verified: this record is in the log {}", checkpoint.origin),
        format!("  checkpoint   {} records, root {}", checkpoint.size, checkpoint.root),
    ];
    words.extend(witnesses.iter().map(of_witness));
    words.extend([record.summary(), canonical(&record.to_json())]);
    let json = Object::default()
        .with("origin", checkpoint.origin.as_str())
        .with("size", number(checkpoint.size))
        .with("root", checkpoint.root.to_string())
        .with("witnesses", witnesses.iter().map(witness_to_json).collect::<Vec<_>>())
        .with("records", vec![record.to_json()]);
    let is_complete = witnesses.iter().all(|witness| witness.last.is_some());
    Ok(Told { outcome: Outcome::of(is_complete), words, result: None, json })
}

fn of_stop(stop: &Stop) -> Told {
    match stop {
        Stop::Broken(broken) => Told {
            outcome: Outcome::Broken,
            words: vec![format!("broken: {broken}")],
            result: None,
            json: Object::default().with("broken", broken_to_json(broken)),
        },
        Stop::Unreadable(why) => Told {
            outcome: Outcome::Unreadable,
            words: vec![format!("cannot be checked: {why}")],
            result: None,
            json: Object::default().with("error", why.as_str()),
        },
    }
}

fn words(report: &Report) -> Vec<String> {
    let (checkpoint, found) = (&report.signed.checkpoint, &report.findings);
    let (origin, size) = (&checkpoint.origin, checkpoint.size);
    let first = if report.is_complete() {
        format!("verified: all {size} records of {origin} are as they were signed")
    } else {
        format!(
            "verified, but incomplete: the {size} records of {origin} are as they were signed, and something is missing"
        )
    };
    let mut words = vec![
        first,
        format!("  checkpoint   {size} records, root {}", checkpoint.root),
        format!(
            "  history      {} checkpoints of the export agree, {} noted before",
            report.checkpoints, report.against
        ),
        format!("  writers      {}, each chain whole", found.writers),
        format!("  calls        {} intents, {} outcomes", found.intents, found.outcomes),
        format!("  approvals    {} spent, each by one call", found.approvals_spent),
        format!("  payloads     {} whole, {} erased", found.payloads.whole, found.payloads.erased),
    ];
    words.extend(report.witnesses.iter().map(of_witness));
    for (count, what) in [
        (found.open, "calls without an outcome, so far or for good"),
        (
            found.unsettled,
            "calls of which it is not known what they did, and not settled by anybody",
        ),
        (
            found.payloads.absent,
            "payloads that are not in the export, and not erased by any record",
        ),
        (
            found.payloads.kept,
            "payloads that are there, although a record says that they were erased",
        ),
    ] {
        if count > 0 {
            words.push(format!("  ! {what}: {count}"));
        }
    }
    words.extend(
        found
            .open_calls
            .iter()
            .map(|(call, index)| format!("      call {call}, intent at record {index}")),
    );
    words
}

fn of_witness(witness: &Witnessed) -> String {
    match witness.last {
        Some((size, at)) => {
            format!("  witness      {} has cosigned {size} records at {at}", witness.name)
        }
        None => format!("  ! {} has cosigned nothing of it", witness.name),
    }
}

fn to_json(report: &Report) -> Object {
    let (checkpoint, found) = (&report.signed.checkpoint, &report.findings);
    let open = found.open_calls.iter().map(|(call, index)| {
        Object::default().with("call", call.to_string()).with("index", number(*index))
    });
    let calls = Object::default()
        .with("intents", number(found.intents))
        .with("outcomes", number(found.outcomes))
        .with("open", number(found.open))
        .with("open_calls", open.collect::<Vec<_>>())
        .with("unsettled", number(found.unsettled));
    let approvals = Object::default().with("spent", number(found.approvals_spent));
    let payloads = Object::default()
        .with("whole", number(found.payloads.whole))
        .with("erased", number(found.payloads.erased))
        .with("absent", number(found.payloads.absent))
        .with("kept", number(found.payloads.kept));
    Object::default()
        .with("origin", checkpoint.origin.as_str())
        .with("size", number(checkpoint.size))
        .with("root", checkpoint.root.to_string())
        .with("checkpoints", number(report.checkpoints))
        .with("against", i64::try_from(report.against).unwrap_or(i64::MAX))
        .with("writers", number(found.writers))
        .with("calls", calls)
        .with("approvals", approvals)
        .with("payloads", payloads)
        .with("witnesses", report.witnesses.iter().map(witness_to_json).collect::<Vec<_>>())
}

fn witness_to_json(witness: &Witnessed) -> Object {
    Object::default()
        .with("name", witness.name.as_str())
        .with("size", witness.last.map(|(size, _)| number(size)))
        .with("at", witness.last.map(|(_, at)| at.to_string()))
}

fn broken_to_json(broken: &Broken) -> Object {
    let (index, writer, rule) = place(broken);
    Object::default()
        .with("index", index.map(number))
        .with("writer", writer.map(|writer| writer.to_string()))
        .with("rule", rule)
        .with("message", broken.to_string())
}

fn canonical(json: &Json) -> String {
    String::from_utf8(json.canonical()).unwrap_or_default()
}

fn number(count: u64) -> Json {
    Json::from(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Text from outside, safe on a terminal: control and invisible characters are shown as escapes.
fn safe(text: &str) -> String {
    let is_plain = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars()
        .flat_map(|c| if is_plain(c) { vec![c] } else { c.escape_default().collect() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn r05_a_terminal_cannot_be_driven() {
        assert_eq!(safe("a\u{1b}[2J\u{202e}b\né"), "a\\u{1b}[2J\\u{202e}b\\né");
    }
}
