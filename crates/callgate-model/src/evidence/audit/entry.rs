//! An entry as the log has it, read strictly: whatever else could be said with the same bytes is refused.

use super::{Breach, Rule};
use crate::ambient::{Id, Timestamp};
use crate::digest::Digest;
use crate::evidence::Outcome;
use crate::json::{Json, JsonLimits, Object, read};
use crate::transparency::ENTRY_BYTES_MAX;

/// The format of entries that are read.
const FORMAT: i64 = 2;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Opened,
    Intent,
    Refusal,
    Outcome,
    Change,
    Settled,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Opened, Self::Intent, Self::Refusal, Self::Outcome, Self::Change, Self::Settled];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Intent => "intent",
            Self::Refusal => "refusal",
            Self::Outcome => "outcome",
            Self::Change => "change",
            Self::Settled => "settled",
        }
    }
}

/// The approval that an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OfApproval {
    pub(super) id: Id,
    pub(super) binding: Option<Digest>,
}

/// What the entry of one record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) writer: Id,
    pub(super) sequence: u64,
    pub(super) previous: Digest,
    pub(super) kind: Kind,
    pub(super) payload: Digest,
    pub(super) call: Option<Id>,
    pub(super) outcome: Option<Outcome>,
    pub(super) change: Option<String>,
    pub(super) approval: Option<OfApproval>,
}

impl Entry {
    pub(super) fn read(text: &[u8]) -> Result<Self, Breach> {
        let json = read(text, &JsonLimits::of_bytes(ENTRY_BYTES_MAX));
        let json = json.map_err(|error| form("an entry", error.to_string()))?;
        if json.canonical() != text {
            return Err(form("canonical JSON (RFC 8785)", "another way to write it"));
        }
        let mut members = match json {
            Json::Object(object) => Members(object),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
                return Err(form("an object", "another value"));
            }
        };
        if members.integer("format")? != FORMAT {
            return Err(form("`format` 2", "another format"));
        }
        members.text("at", |text| Timestamp::parse(text).filter(|at| at.to_string() == text))?;
        let kind = members
            .text("kind", |text| Kind::ALL.into_iter().find(|kind| kind.as_str() == text))?;
        let sequence = u64::try_from(members.integer("sequence")?);
        let mut entry = Self {
            writer: members.text("writer", id)?,
            sequence: sequence.map_err(|_negative| form("`sequence` from 0", "less"))?,
            previous: members.text("previous", digest)?,
            kind,
            payload: members.text("payload", digest)?,
            call: None,
            outcome: None,
            change: None,
            approval: None,
        };
        match kind {
            Kind::Opened => {}
            Kind::Intent | Kind::Refusal | Kind::Settled => {
                entry.call = Some(members.text("call", id)?);
            }
            Kind::Outcome => {
                entry.call = Some(members.text("call", id)?);
                entry.outcome = Some(members.text("outcome", Outcome::parse)?);
            }
            Kind::Change => {
                entry.change = Some(members.text("change", |text| Some(text.to_owned()))?);
            }
        }
        entry.approval = members.approval()?;
        entry.check_approval()?;
        members.end().map(|()| entry)
    }

    /// Which entries name an approval, and which of them its binding.
    fn check_approval(&self) -> Result<(), Breach> {
        let (may, must, binding) = match (self.kind, self.change.as_deref()) {
            (Kind::Intent, _) => (true, false, true),
            (Kind::Change, Some("approval_requested")) => (true, true, true),
            (Kind::Change, Some("approval_voted" | "approval_withdrawn")) => (true, true, false),
            // Of these it is of use, and no more.
            (Kind::Change | Kind::Refusal, _) => (true, false, false),
            (Kind::Opened | Kind::Outcome | Kind::Settled, _) => (false, false, false),
        };
        match self.approval {
            Some(_) if !may => Err(form("no `approval`", "one")),
            None if must => Err(form("`approval`", "none")),
            Some(OfApproval { binding: None, .. }) if binding => {
                Err(form("`approval.binding`", "none"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn form(expected: impl Into<String>, found: impl Into<String>) -> Breach {
    Breach::new(Rule::Form, expected, found)
}

/// An id in its one form.
pub(super) fn id(text: &str) -> Option<Id> {
    Id::parse(text).filter(|id| id.to_string() == text)
}

/// A digest in its one form.
pub(super) fn digest(text: &str) -> Option<Digest> {
    text.parse().ok().filter(|digest: &Digest| digest.to_string() == text)
}

/// The members that were not read yet.
struct Members(Object);

impl Members {
    fn text<T>(&mut self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, Breach> {
        let value = self.0.remove(name);
        let value = value.as_ref().and_then(Json::as_str).and_then(read);
        value.ok_or_else(|| form(format!("`{name}`"), "none that can be read"))
    }

    fn integer(&mut self, name: &str) -> Result<i64, Breach> {
        let value = self.0.remove(name);
        let value = value.as_ref().and_then(Json::as_number).and_then(|number| number.as_i64());
        value.ok_or_else(|| form(format!("`{name}`"), "none that can be read"))
    }

    fn approval(&mut self) -> Result<Option<OfApproval>, Breach> {
        let object = match self.0.remove("approval") {
            None => return Ok(None),
            Some(Json::Object(object)) => object,
            Some(_) => return Err(form("`approval` with `id`", "another value")),
        };
        let mut members = Self(object);
        let id = members.text("id", id)?;
        let binding = members.0.get("binding").is_some();
        let binding = binding.then(|| members.text("binding", digest)).transpose()?;
        members.end()?;
        Ok(Some(OfApproval { id, binding }))
    }

    /// That there are no others.
    fn end(&self) -> Result<(), Breach> {
        match self.0.iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(form("no other members", format!("`{}`", name.escape_debug()))),
        }
    }
}
