//! What every format has to hold, for every kind of record, and for those that somebody made to break it.

mod ecs;
mod ocsf;
mod samples;

use callgate_model::authority::Administered;
use callgate_model::evidence::FIELDS;
use callgate_model::json::{Json, JsonLimits, read};
use clap::ValueEnum as _;

use samples::{EVIL, all, erased, intent, outcome, refusal, with};

use super::facts::{Changed, Facts};
use super::syslog::{Framing, Origin};
use super::{Exported, Format};

/// A record with that of its intent, if it tells what became of one.
struct Sample {
    record: Json,
    intent: Option<Json>,
}

impl Sample {
    fn exported(&self) -> Exported<'_> {
        Exported { record: &self.record, intent: self.intent.as_ref() }
    }

    fn line(&self, format: Format) -> String {
        format.write(&self.exported())
    }

    fn told(&self, format: Format) -> Json {
        parsed(&self.line(format))
    }
}

fn parsed(line: &str) -> Json {
    read(line.as_bytes(), &JsonLimits::default()).unwrap()
}

/// Every change that records can have, from the table that the reference page is made of.
fn changes() -> Vec<&'static str> {
    let (_, _, meaning) = FIELDS.iter().find(|(path, _, _)| *path == "event.change").unwrap();
    meaning.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_change_is_known() {
    assert!(changes().len() > 20);
    for change in changes() {
        assert!(Changed::of(change).does.is_some(), "{change}");
        // The samples are as such records are.
        let event = samples::change(change).record.get("event").unwrap().to_text();
        let read: Result<Administered, _> = serde_json::from_str(&event);
        assert!(read.is_ok(), "{change}: {read:?}");
    }
}

#[test]
fn an_outcome_says_whose_call_it_was() {
    let sample = outcome("succeeded");
    for format in Format::value_variants() {
        let line = sample.line(*format);
        for told in ["alice", "release-bot", "editJiraIssue", "acme/ENG-42", "succeeded"] {
            // The record itself is not made more than it is.
            let is_there = *format != Format::Jsonl || told == "succeeded";
            assert_eq!(line.contains(told), is_there, "{told}: {line}");
        }
    }
}

#[test]
fn a_sentence_says_what_happened() {
    let told = |sample: &Sample| Facts::of(&sample.exported()).sentence();
    let call = "editJiraIssue (jira.issue.edit) on Jira::Issue acme/ENG-42, Jira::Issue unresolved (not_found: 10042) for alice via release-bot";
    for (sample, expected) in [
        (intent(), format!("allowed: {call}")),
        (outcome("timed_out"), format!("timed_out: {call}")),
        (refusal("deny", "guardrail"), format!("denied (guardrail): {call}")),
        (refusal("approval_required", "approval_required"), format!("approval required: {call}")),
        (samples::settled(), format!("carol says took_effect: {call}")),
        (samples::opened(), "Callgate 0.1.0 has started".to_owned()),
        (
            samples::change("tool_pinned"),
            "tool_pinned: atlassian/editJiraIssue by carol".to_owned(),
        ),
        (erased(&intent()), "intent: the content of this record was erased".to_owned()),
    ] {
        assert_eq!(told(&sample), expected);
    }
    let unread = "denied (request_malformed): a request that could not be read for nobody known";
    assert_eq!(told(&samples::unread()), unread);
}

#[test]
fn whoever_asks_for_an_approval_stands_apart_from_their_agent() {
    let told = samples::change("approval_requested").told(Format::Ecs);
    let at = |path: [&str; 2]| told.get(path[0]).and_then(|one| one.get(path[1])).unwrap().clone();
    assert_eq!(at(["user", "name"]).as_str(), Some("alice"));
    assert_eq!(at(["gen_ai", "agent"]).get("id").and_then(Json::as_str), Some("release-bot"));
}

#[test]
fn a_vote_says_what_it_was() {
    let told = samples::change("approval_voted").told(Format::Ecs);
    let own = told.get("callgate").unwrap();
    assert_eq!(own.get("outcome").unwrap().as_str(), Some("approves"));
    let message = told.get("message").unwrap().as_str().unwrap();
    assert!(message.starts_with("approval_voted: approves 019acb5e-"), "{message}");
    let refused = samples::change("sign_in_refused").line(Format::Cef);
    for told in
        ["|Sign in refused|", " outcome=failed ", " reason=the link was used up ", " suser=carol "]
    {
        assert!(refused.contains(told), "{told}: {refused}");
    }
    let review = samples::change("glass_reviewed").line(Format::Cef);
    assert!(review.contains(" outcome=justified "), "{review}");
}

#[test]
fn the_record_itself_is_canonical() {
    for sample in all() {
        let line = sample.line(Format::Jsonl);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&line), value(&sample.record.to_text()));
        assert_eq!(parsed(&line).canonical(), line.as_bytes());
    }
}

/// Whatever a caller says, a record stays on its line, and no terminal and no reader of lines is driven by it.
#[test]
fn e06_a_record_is_one_line_of_plain_text() {
    let origin = Origin { host: "gate".to_owned(), process: 7 };
    for evil in EVIL {
        for sample in samples::everywhere(evil) {
            for format in [Format::Ocsf, Format::Ecs, Format::Cef, Format::Csv] {
                let line = sample.line(format);
                assert!(line.chars().all(crate::print::is_plain), "{format:?}: {line:?}");
                let message = origin.write(&sample.exported(), format, Framing::Lines);
                let plain = message.strip_suffix('\n').unwrap().replacen('\u{feff}', "", 1);
                assert!(plain.chars().all(crate::print::is_plain), "{format:?}: {message:?}");
            }
            // Nothing but what JSON lets stand in a string.
            assert!(!sample.line(Format::Jsonl).contains(|c: char| c < ' '));
        }
    }
}

#[test]
fn e06_no_text_ends_a_field_of_cef() {
    let sample = with("tool", "a|b\\c=d\ne\rf\u{1b}[0m");
    let line = sample.line(Format::Cef);
    assert!(line.contains(r" request=a|b\\c\=d\ne\rf\\u{1b}[0m externalId="), "{line}");
    let (header, _) = line.split_once("rt=").unwrap();
    assert_eq!(header.matches('|').count(), 7, "{header}");

    let reason = samples::refused_for("x|y\\z\nw");
    let line = reason.line(Format::Cef);
    let version = env!("CARGO_PKG_VERSION");
    let header = format!(r"CEF:0|Callgate|callgate|{version}|x\|y\\z\\u{{a}}w|Call denied|5|rt=");
    assert!(line.starts_with(&header), "{line}");
}

#[test]
fn long_texts_of_cef_are_cut() {
    let sample = with("tool", &"=".repeat(5_000));
    let line = sample.line(Format::Cef);
    let request = line.split("request=").nth(1).unwrap().split(" externalId").next().unwrap();
    assert_eq!(request, format!("{}…", "\\=".repeat(1_022)));
}

#[test]
fn e06_no_cell_is_a_formula() {
    let place = Format::Csv.header().unwrap().split(',').position(|name| name == "tool").unwrap();
    for (tool, cell) in [
        ("getJiraIssue", "getJiraIssue"),
        ("=cmd()", "'=cmd()"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\\t=1"),
        ("\r=1", "'\\r=1"),
        ("＝1", "'＝1"),
        ("a=b", "a=b"),
        ("say \"hi\"", "\"say \"\"hi\"\"\""),
        ("=\"x\"", "\"'=\"\"x\"\"\""),
        ("a\nb", "a\\nb"),
    ] {
        let line = with("tool", tool).line(Format::Csv);
        assert_eq!(line.split(',').nth(place).unwrap(), cell, "{line}");
    }
    let line = with("tool", "a,b").line(Format::Csv);
    assert!(line.contains(",\"a,b\","), "{line}");
}

#[test]
fn a_row_has_the_cells_that_its_header_names() {
    let columns = Format::Csv.header().unwrap().split(',').count();
    for sample in all() {
        let line = sample.line(Format::Csv);
        let is_quoted = |text: &str| text.matches('"').count() % 2 == 1;
        let cells = line.split(',').fold((0, false), |(cells, open), part| {
            let open = open ^ is_quoted(part);
            (cells + usize::from(!open), open)
        });
        assert_eq!(cells, (columns, false), "{line}");
    }
}

#[test]
fn the_page_tells_every_column() {
    let page = include_str!("../../../../docs/exports.md");
    for column in Format::Csv.header().unwrap().split(',') {
        assert!(page.contains(&format!("| `{column}` |")), "{column}");
    }
}

#[test]
fn syslog_frames_a_line() {
    let origin = Origin { host: "gate 1\n".to_owned(), process: 42 };
    let sample = with("tool", "a\"b\\c]d\n");
    let message = origin.write(&sample.exported(), Format::Jsonl, Framing::Lines);
    let header = "<109>1 2026-11-27T08:00:00.000Z gate1 callgate 42 intent [callgate@32473 index=\"7\" hash=\"";
    assert!(message.starts_with(header), "{message}");
    assert!(message.contains(r#" tool="a\"b\\c\]d\\n"] "#), "{message}");
    let line = sample.line(Format::Jsonl);
    assert!(message.ends_with(&format!("\"] \u{feff}{line}\n")), "{message}");

    let octets = origin.write(&sample.exported(), Format::Jsonl, Framing::Octets);
    let (length, rest) = octets.split_once(' ').unwrap();
    assert_eq!(length.parse(), Ok(rest.len()));
    assert_eq!(rest, message.trim_end_matches('\n'));

    let nowhere = Origin { host: "\u{e9}".to_owned(), process: 1 };
    let message = nowhere.write(&sample.exported(), Format::Cef, Framing::Lines);
    assert!(message.contains("Z - callgate 1 intent ["), "{message}");
}

/// A denial of what is critical wakes somebody, a read that went well does not.
#[test]
fn severity_follows_risk_and_what_became_of_it() {
    let priority = |sample: &Sample| {
        let origin = Origin { host: String::new(), process: 1 };
        let message = origin.write(&sample.exported(), Format::Cef, Framing::Lines);
        let number: u32 =
            message.strip_prefix('<').unwrap().split('>').next().unwrap().parse().unwrap();
        assert_eq!(number / 8, 13, "it is of the audit log");
        number % 8
    };
    let of = |sample: Sample, risk: &str| priority(&samples::of_risk(sample, risk));
    assert_eq!(of(intent(), "low"), 6);
    assert_eq!(of(intent(), "critical"), 3);
    assert_eq!(of(refusal("deny", "guardrail"), "low"), 5);
    assert_eq!(of(refusal("deny", "guardrail"), "critical"), 2);
    // It waits, as it is meant to.
    assert_eq!(of(refusal("approval_required", "approval_required"), "critical"), 3);
    assert_eq!(of(outcome("succeeded"), "medium"), 5);
    assert_eq!(of(outcome("indeterminate"), "medium"), 4);
    assert_eq!(priority(&samples::unread()), 4, "nobody knows how bad it would have been");
}

/// What was erased is told as erased, in each format, and nothing of it is made up.
#[test]
fn what_is_erased_is_said_to_be() {
    for sample in all() {
        let sample = erased(&sample);
        assert!(Facts::of(&sample.exported()).is_erased());
        let kind = sample.record.get("kind").and_then(Json::as_str).unwrap().to_owned();
        if kind == "refusal" {
            // Whether it waited for somebody is not known any more.
            assert_eq!(Facts::of(&sample.exported()).verdict(), None);
        }
        for format in [Format::Ocsf, Format::Ecs] {
            let told = sample.told(format);
            let place = if format == Format::Ocsf { "unmapped" } else { "callgate" };
            let is_erased = told.get(place).and_then(|own| own.get("erased"));
            assert_eq!(is_erased, Some(&Json::Bool(true)), "{kind}");
        }
        for format in Format::value_variants() {
            let line = sample.line(*format);
            assert!(line.contains(&kind), "{line}");
            for gone in ["alice", "release-bot", "ENG-42", "jira"] {
                assert!(!line.contains(gone), "{gone}: {line}");
            }
        }
    }
}
