//! What the evidence says, read from what `callgate evidence list` prints.

use std::collections::HashMap;
use std::io;

use serde_json::Value;

/// The decisions in the evidence, oldest first.
#[derive(Clone, Debug)]
pub struct Evidence(pub Vec<Decision>);

/// One decision and what came of it.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The call's id.
    pub call: String,
    /// `intent` or `refusal`.
    pub kind: String,
    /// The outcome of an intent, if there is one yet.
    pub outcome: Option<String>,
    /// The whole record.
    pub record: Value,
}

impl Evidence {
    /// Reads the list in both its forms: records as JSON, newest first, and lines, which have the outcomes.
    pub(crate) fn read(records: &[Value], lines: &str) -> io::Result<Self> {
        let outcomes: HashMap<&str, &str> = lines.lines().filter_map(outcome).collect();
        let decisions = records.iter().rev().map(|record| {
            let text = |pointer| record.pointer(pointer).and_then(Value::as_str);
            let (Some(call), Some(kind)) = (text("/event/call"), text("/kind")) else {
                return Err(io::Error::other(format!("not a decision: {record}")));
            };
            Ok(Decision {
                call: call.to_owned(),
                kind: kind.to_owned(),
                outcome: outcomes.get(call).map(|outcome| (*outcome).to_owned()),
                record: record.clone(),
            })
        });
        Ok(Self(decisions.collect::<io::Result<_>>()?))
    }

    /// The calls that were let through, without what the gateway itself reads for them.
    #[must_use]
    pub fn intents(&self) -> Vec<&Decision> {
        self.dispatched().filter(|intent| intent.text("/resolves").is_empty()).collect()
    }

    /// Everything that was let through, also what the gateway itself reads.
    pub fn dispatched(&self) -> impl Iterator<Item = &Decision> {
        self.0.iter().filter(|decision| decision.kind == "intent")
    }

    /// What was refused.
    #[must_use]
    pub fn refusals(&self) -> Vec<&Decision> {
        self.0.iter().filter(|decision| decision.kind == "refusal").collect()
    }

    /// Whether every call that was let through has an outcome.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.dispatched().all(|intent| intent.outcome.is_some())
    }

    /// `tool: reason` of each refusal, in order; the reasons joined by `+`.
    #[must_use]
    pub fn refused(&self) -> Vec<String> {
        self.refusals().iter().map(|one| format!("{}: {}", one.tool(), one.reasons())).collect()
    }
}

impl Decision {
    /// The tool as it was called.
    #[must_use]
    pub fn tool(&self) -> &str {
        self.text("/tool")
    }

    /// The reason codes, joined by `+`.
    #[must_use]
    pub fn reasons(&self) -> String {
        let reasons = self.record.pointer("/event/decision/reasons").and_then(Value::as_array);
        let reasons = reasons.into_iter().flatten().filter_map(Value::as_str);
        reasons.collect::<Vec<_>>().join("+")
    }

    /// The accountable human; empty if nobody was identified.
    #[must_use]
    pub fn human(&self) -> &str {
        self.text("/caller/accountable/id")
    }

    /// The text at a pointer into the event; empty if there is none.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        let found = self.record.pointer(&format!("/event{pointer}"));
        found.and_then(Value::as_str).unwrap_or_default()
    }
}

/// Call and outcome of a line such as `… 0.3 ms -> succeeded  019a…`.
fn outcome(line: &str) -> Option<(&str, &str)> {
    let (_, end) = line.rsplit_once(" -> ")?;
    let (outcome, call) = end.split_once("  ")?;
    Some((call, outcome))
}
