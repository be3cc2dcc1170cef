//! A payload: what an entry is the digest of. It must say the same as its entry, as far as both say it.

use super::entry::{Entry, Kind};
use super::{Breach, PAYLOAD_LIMITS, Rule};
use crate::ambient::Id;
use crate::digest::Digest;
use crate::json::{Json, read};

const SALT_DIGITS: usize = 32;

/// The event of a payload that belongs to its entry.
#[derive(Debug)]
pub(super) struct Payload(Json);

impl Payload {
    pub(super) fn read(text: &[u8], entry: &Entry) -> Result<Self, Breach> {
        let digest = Digest::of(text);
        if digest != entry.payload {
            let expected = format!("the payload with the digest {}", entry.payload);
            return Err(breach(expected, digest.to_string()));
        }
        let json = read(text, &PAYLOAD_LIMITS);
        let json = json.map_err(|error| breach("a payload", error.to_string()))?;
        let is_salt = |salt: &str| {
            salt.len() == SALT_DIGITS
                && salt.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let members = json.as_object().map_or(0, |object| object.len());
        let event = json.get("event").filter(|event| event.as_object().is_some());
        let has_salt = json.get("salt").and_then(Json::as_str).is_some_and(is_salt);
        let Some(event) = event.filter(|_| has_salt && members == 2) else {
            return Err(breach("`event` and `salt`", "something else"));
        };
        if json.canonical() != text {
            return Err(breach("canonical JSON (RFC 8785)", "another way to write it"));
        }
        let payload = Self(event.clone());
        payload.agrees(entry).map(|()| payload)
    }

    fn agrees(&self, entry: &Entry) -> Result<(), Breach> {
        let call = entry.call.map(|call| call.to_string());
        let outcome = entry.outcome.map(|outcome| outcome.as_str().to_owned());
        for (name, value) in
            [("call", call), ("outcome", outcome), ("change", entry.change.clone())]
        {
            let says = self.text(&[name]);
            if says.is_some() && value.is_some() && says != value.as_deref() {
                return Err(breach(
                    format!("`{name}` {}", value.unwrap_or_default()),
                    says.unwrap_or_default(),
                ));
            }
        }
        let says = match (entry.kind, entry.change.as_deref()) {
            (Kind::Intent, _) => self.text(&["approved_by", "id"]),
            (Kind::Change, Some("approval_requested")) => self.text(&["approval", "id"]),
            (Kind::Change, Some("approval_voted")) => self.text(&["vote", "approval"]),
            (Kind::Change, Some("approval_withdrawn")) => self.text(&["id"]),
            _ => return Ok(()),
        };
        let id = entry.approval.map(|approval| approval.id.to_string());
        if says != id.as_deref() {
            let named = |id: Option<&str>| {
                id.map_or("no approval".to_owned(), |id| format!("the approval {id}"))
            };
            return Err(breach(named(id.as_deref()), named(says)));
        }
        let binding = entry.approval.and_then(|approval| approval.binding);
        let says = self.text(&["approval", "binding"]).zip(binding);
        match says {
            Some((says, binding)) if says != binding.to_string() => {
                Err(breach(format!("the binding {binding}"), says))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The text at a path.
    fn text(&self, path: &[&str]) -> Option<&str> {
        path.iter().try_fold(&self.0, |json, name| json.get(name)).and_then(Json::as_str)
    }

    /// The first call of several, if this is a later one.
    pub(super) fn continues(&self) -> Option<Id> {
        self.text(&["continues"]).and_then(Id::parse)
    }

    /// The approval for which the glass was broken.
    pub(super) fn glass(&self) -> Option<Id> {
        self.text(&["glass", "approval"]).and_then(Id::parse)
    }

    /// Whether a vote is against it.
    pub(super) fn denies(&self) -> bool {
        let approves = self.0.get("vote").and_then(|vote| vote.get("approves"));
        approves.and_then(Json::as_bool) == Some(false)
    }

    /// The records whose payloads this says to be erased.
    pub(super) fn erased(&self) -> impl Iterator<Item = Result<u64, Breach>> {
        let is_erasure = self.text(&["change"]) == Some("payloads_erased");
        let indexes = self.0.get("indexes").filter(|_| is_erasure).and_then(Json::as_array);
        indexes.unwrap_or_default().iter().map(|index| {
            let index = index.as_number().and_then(|index| u64::try_from(index.as_i64()?).ok());
            index.ok_or_else(|| breach("places of records in `indexes`", "something else"))
        })
    }
}

fn breach(expected: impl Into<String>, found: impl Into<String>) -> Breach {
    Breach::new(Rule::Payload, expected, found)
}
