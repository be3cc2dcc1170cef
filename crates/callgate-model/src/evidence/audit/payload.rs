//! A payload: what an entry is the digest of. It must say the same as its entry, as far as both say it.

use super::{Breach, PAYLOAD_LIMITS, Rule};
use crate::ambient::Id;
use crate::digest::Digest;
use crate::evidence::{Entry, Kind};
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
        let about = &entry.about;
        let call = about.call.map(|call| call.to_string());
        let outcome = about.outcome.map(|outcome| outcome.as_str().to_owned());
        let continues = about.continues.map(|call| call.to_string());
        if entry.kind == Kind::Intent && self.text(&["continues"]) != continues.as_deref() {
            let text = |call: Option<&str>| format!("`continues` {}", call.unwrap_or("null"));
            return Err(breach(text(continues.as_deref()), text(self.text(&["continues"]))));
        }
        for (name, value) in
            [("call", call), ("outcome", outcome), ("change", about.change.clone())]
        {
            let says = self.text(&[name]);
            if says != value.as_deref() {
                let named = |value: Option<&str>| format!("`{name}` {}", value.unwrap_or("null"));
                return Err(breach(named(value.as_deref()), named(says)));
            }
        }
        let path: &[&str] = match (entry.kind, about.change.as_deref()) {
            (Kind::Intent, _) => &["approved_by", "id"],
            (_, Some("approval_requested")) => &["approval", "id"],
            (_, Some("approval_voted")) => &["vote", "approval"],
            (_, Some("approval_expired" | "approval_withdrawn")) => &["id"],
            (_, Some("glass_broken")) => &["glass", "approval"],
            (_, _) => return Ok(()),
        };
        let (says, id) = (self.text(path), about.approval.map(|approval| approval.id.to_string()));
        if says != id.as_deref() {
            let named = |id: Option<&str>| format!("the approval {}", id.unwrap_or("null"));
            return Err(breach(named(id.as_deref()), named(says)));
        }
        let binding = about.approval.and_then(|approval| approval.binding);
        match self.text(&["approval", "binding"]).zip(binding) {
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

    /// The writer before one that opens its chain, and the end of its chain.
    pub(super) fn after(&self) -> Option<(Id, Digest)> {
        let (writer, head) = (self.text(&["after", "writer"])?, self.text(&["after", "head"])?);
        Some((Id::parse(writer)?, head.parse().ok()?))
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
