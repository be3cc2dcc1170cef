//! The auditor of the evidence against the rules written another way, and the texts of transparency logs against themselves.

use callgate_model::digest::Digest;
use callgate_model::evidence::audit::{Auditor, Broken, Place, Rule};
use callgate_model::transparency::{Note, Proof, bundle, leaf_hash, unbundle};
use serde_json::{Value, json};

use crate::take;

/// Most records of one log.
const RECORDS_MAX: usize = 24;

pub(crate) fn check(bytes: &[u8]) {
    check_texts(bytes);
    let mut script = bytes;
    let mut said = vec![Said::Opened];
    while !script.is_empty() && said.len() < RECORDS_MAX {
        said.push(Said::take(&mut script));
    }
    // What breaks a rule is left out then, so that there is always more to be told of the rest.
    while let Some(at) = check_rules(&said) {
        said.remove(at);
    }
}

/// Tells the first record that breaks a rule.
fn check_rules(said: &[Said]) -> Option<usize> {
    let expected = (0..said.len()).find_map(|last| Some((last, broken(said.get(..=last)?)?)));
    let found = audit(said).err().map(|broken| match broken.place {
        Place::Record { index, .. } => (usize::try_from(index).unwrap_or(usize::MAX), broken.rule),
        Place::Tree { .. } => (usize::MAX, broken.rule),
    });
    assert_eq!(found, expected, "{said:?}");
    expected.map(|(at, _)| at)
}

/// Whatever can be read is written as it was.
fn check_texts(bytes: &[u8]) {
    assert!(Auditor::new().entry(bytes, Some(bytes)).is_err(), "no log begins with this");
    for width in 0..4 {
        if let Ok(entries) = unbundle(bytes, width) {
            assert_eq!(bundle(entries).as_deref(), Ok(bytes));
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(note) = Note::parse(text) {
        assert_eq!(note.to_string(), text);
    }
    if let Ok(proof) = Proof::parse(text) {
        assert_eq!(proof.to_string(), text);
    }
}

/// What one record says. Calls and approvals are few, so that they meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Opened,
    Intent { call: usize },
    Outcome { call: usize, outcome: &'static str },
    Settled { call: usize },
    Requested { approval: usize, binding: usize },
    Voted { approval: usize, approves: bool },
    Glass { approval: usize },
    Withdrawn { approval: usize, in_time: bool },
    Spent { call: usize, approval: usize, binding: usize, spends: bool, continues: usize },
}

const OUTCOMES: [&str; 5] =
    ["succeeded", "indeterminate", "timed_out", "in_progress", "input_required"];

impl Said {
    fn take(script: &mut &[u8]) -> Self {
        let (what, of) = (take(script), take(script));
        let (call, approval, more) = (of % 8, of / 8 % 2, of / 16);
        match what % 9 {
            0 => Self::Intent { call },
            1 | 2 => {
                let outcome = OUTCOMES.get(more % OUTCOMES.len()).copied().unwrap_or_default();
                Self::Outcome { call, outcome }
            }
            3 => Self::Settled { call },
            4 => Self::Requested { approval, binding: more % 2 },
            5 => Self::Voted { approval, approves: more % 4 != 0 },
            6 => Self::Glass { approval },
            7 => Self::Withdrawn { approval, in_time: more % 2 == 0 },
            _ => Self::Spent {
                call,
                approval,
                binding: more % 2,
                spends: more / 2 % 2 == 0,
                // 8 is none.
                continues: (what / 9).min(8),
            },
        }
    }

    const fn call(self) -> Option<usize> {
        match self {
            Self::Intent { call }
            | Self::Outcome { call, .. }
            | Self::Settled { call }
            | Self::Spent { call, .. } => Some(call),
            Self::Opened
            | Self::Requested { .. }
            | Self::Voted { .. }
            | Self::Glass { .. }
            | Self::Withdrawn { .. } => None,
        }
    }

    const fn approval(self) -> Option<usize> {
        match self {
            Self::Requested { approval, .. }
            | Self::Voted { approval, .. }
            | Self::Glass { approval }
            | Self::Withdrawn { approval, .. }
            | Self::Spent { approval, .. } => Some(approval),
            Self::Opened | Self::Intent { .. } | Self::Outcome { .. } | Self::Settled { .. } => {
                None
            }
        }
    }

    /// The call that takes an approval, and the one that it continues.
    const fn spends(self) -> Option<(usize, usize)> {
        let Self::Spent { call, spends: true, continues, .. } = self else { return None };
        Some((call, continues))
    }

    /// One letter for what is said of a call: intent, known outcome, lost one, unknown one, settled.
    fn letter(self) -> char {
        match self {
            Self::Outcome { outcome: "indeterminate", .. } => 'l',
            Self::Outcome { outcome: "timed_out", .. } => 'u',
            Self::Outcome { .. } => 'k',
            Self::Settled { .. } => 's',
            Self::Intent { .. } | Self::Spent { .. } => 'i',
            Self::Opened
            | Self::Requested { .. }
            | Self::Voted { .. }
            | Self::Glass { .. }
            | Self::Withdrawn { .. } => ' ',
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Intent { .. } | Self::Spent { .. } => "intent",
            Self::Outcome { .. } => "outcome",
            Self::Settled { .. } => "settled",
            Self::Requested { .. }
            | Self::Voted { .. }
            | Self::Glass { .. }
            | Self::Withdrawn { .. } => "change",
        }
    }

    /// What the entry says, and the event.
    fn members(self) -> (Value, Value) {
        let names = |approval: usize| json!({"id": id(16 + approval), "spends": false});
        match self {
            Self::Opened => (json!({}), json!({})),
            Self::Intent { call } | Self::Settled { call } => {
                (json!({"call": id(call)}), json!({"call": id(call)}))
            }
            Self::Outcome { call, outcome } => {
                let of = json!({"call": id(call), "outcome": outcome});
                (of.clone(), of)
            }
            Self::Requested { approval, binding } => {
                let of =
                    json!({"binding": bind(binding), "id": id(16 + approval), "spends": false});
                changed("approval_requested", &of, json!({"approval": of}))
            }
            Self::Voted { approval, approves } => {
                let vote = json!({"approval": id(16 + approval), "approves": approves});
                changed("approval_voted", &names(approval), json!({"vote": vote}))
            }
            Self::Glass { approval } => {
                let glass = json!({"glass": {"approval": id(16 + approval)}});
                changed("glass_broken", &names(approval), glass)
            }
            Self::Withdrawn { approval, in_time: true } => {
                changed("approval_withdrawn", &names(approval), json!({"id": id(16 + approval)}))
            }
            Self::Withdrawn { approval, in_time: false } => {
                let change = "approval_expired";
                changed(change, &names(approval), json!({"id": id(16 + approval)}))
            }
            Self::Spent { call, approval, binding, spends, continues } => {
                let of = id(16 + approval);
                let by = json!({"binding": bind(binding), "id": of, "spends": spends});
                let continues = (continues < 8).then(|| id(continues));
                let event =
                    json!({"approved_by": {"id": of}, "call": id(call), "continues": continues});
                let mut entry = json!({"approval": by, "call": id(call)});
                if let Some((continues, entry)) = continues.zip(entry.as_object_mut()) {
                    entry.insert("continues".to_owned(), continues.into());
                }
                (entry, event)
            }
        }
    }
}

fn changed(change: &str, approval: &Value, mut event: Value) -> (Value, Value) {
    if let Some(event) = event.as_object_mut() {
        event.insert("change".to_owned(), change.into());
    }
    (json!({"approval": approval, "change": change}), event)
}

fn id(number: usize) -> String {
    format!("019acb5e-8b1c-7d5e-a1c4-{number:012x}")
}

fn bind(binding: usize) -> String {
    Digest::of(&[u8::from(binding == 0)]).to_string()
}

/// What the auditor says of a log of one writer in which this is said.
fn audit(said: &[Said]) -> Result<(), Broken> {
    let (mut auditor, mut previous) = (Auditor::new(), Digest::default());
    for (sequence, said) in said.iter().enumerate() {
        let (mut entry, event) = said.members();
        let payload = canonical(&json!({"event": event, "salt": "0".repeat(32)}));
        let rest = json!({
            "at": "2026-11-28T01:00:00.000Z",
            "format": 2,
            "kind": said.kind(),
            "payload": Digest::of(&payload).to_string(),
            "previous": previous.to_string(),
            "sequence": sequence,
            "writer": id(99),
        });
        if let (Some(entry), Value::Object(rest)) = (entry.as_object_mut(), rest) {
            entry.extend(rest);
        }
        let entry = canonical(&entry);
        previous = leaf_hash(&entry);
        auditor.entry(&entry, Some(&payload))?;
    }
    Ok(())
}

fn canonical(value: &Value) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).unwrap_or_default()
}

/// The rule that the last of these breaks, if those before it break none: told from all that was said of its call and of
/// its approval.
fn broken(said: &[Said]) -> Option<Rule> {
    let last = said.last()?;
    if let Some(call) = last.call() {
        let of_call = said.iter().filter(|said| said.call() == Some(call));
        let letters: String = of_call.map(|said| said.letter()).collect();
        if !is_life(&letters) {
            return Some(Rule::Call);
        }
    }
    let approval = last.approval()?;
    (!is_approval(said, approval)).then_some(Rule::Approval)
}

/// Whether this may be the life of a call: `(ik)*(i(us?|l+(sl*)?(k|us?)?)?)?`.
fn is_life(mut letters: &str) -> bool {
    while let Some(rest) = letters.strip_prefix("ik") {
        letters = rest;
    }
    let Some(rest) = letters.strip_prefix('i') else { return letters.is_empty() };
    let Some(rest) = rest.strip_prefix('l') else { return matches!(rest, "" | "u" | "us") };
    let rest = rest.trim_start_matches('l');
    let rest = rest.strip_prefix('s').map_or(rest, |rest| rest.trim_start_matches('l'));
    matches!(rest, "" | "k" | "u" | "us")
}

fn is_approval(all: &[Said], approval: usize) -> bool {
    let of_it = all.iter().enumerate().filter(|(_, said)| said.approval() == Some(approval));
    let of_it: Vec<(usize, Said)> = of_it.map(|(at, said)| (at, *said)).collect();
    let Some(((_, Said::Requested { binding: asked, .. }), rest)) = of_it.split_first() else {
        return false;
    };
    rest.iter().enumerate().all(|(place, (at, said))| {
        let before = rest.get(..place).unwrap_or_default();
        let is_there = |is: fn(&Said) -> bool| before.iter().any(|(_, said)| is(said));
        let holder = before.iter().rev().find_map(|(at, said)| Some((*at, said.spends()?)));
        if let Said::Spent { call, binding, spends, continues, .. } = *said {
            let is_gone = is_there(|said| matches!(said, Said::Withdrawn { .. }));
            let is_given = is_there(|said| {
                matches!(said, Said::Voted { approves: true, .. } | Said::Glass { .. })
            });
            let may = holder.map_or(spends, |(spent_at, (holder, root))| {
                let between = all.get(spent_at..*at).unwrap_or_default();
                let goes_on = root_of(call, continues) == root_of(holder, root);
                goes_on && (!spends || is_asked_for_more(between, holder))
            });
            return binding == *asked && is_given && !is_gone && may;
        }
        if matches!(said, Said::Withdrawn { .. }) {
            return holder.is_none();
        }
        !matches!(said, Said::Requested { .. })
    })
}

/// The first of the calls that are one with this one. 8 is none.
const fn root_of(call: usize, continues: usize) -> usize {
    if continues < 8 { continues } else { call }
}

/// Whether the first that is known to have come of a call is a question.
fn is_asked_for_more(said: &[Said], of: usize) -> bool {
    let mut outcomes = said.iter().filter_map(|said| {
        let Said::Outcome { call, outcome } = *said else { return None };
        (call == of).then_some(outcome)
    });
    outcomes.find(|outcome| *outcome != "indeterminate") == Some("input_required")
}
