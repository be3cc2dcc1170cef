//! The append-only record: an intent before dispatch, an outcome after, every refusal, and every change of authority.
//!
//! Each writer has a hash chain: a record holds the hash of the one before it, and its own hash is SHA-256 over its
//! canonical JSON (RFC 8785). A restart is a new writer whose first record names the head of the last one.

mod fields;
mod write;

use std::sync::Arc;

use thiserror::Error;

pub use fields::FIELDS;
pub use write::{CallerRecord, target_to_json};

use crate::ambient::{Id, Timestamp};
use crate::approval::Notice;
use crate::authority::{Administered, Under};
use crate::decision::{Decision, Verdict};
use crate::digest::Digest;
use crate::json::{CanonicalObject, Json, JsonLimits, read};
use crate::target::Target;
use crate::vocabulary::{Effect, Reversibility, Risk};

/// The format of records written by this version.
pub const FORMAT: u64 = 1;

/// What happened to a call that had an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The client went away and the server was told; whether it took effect is not known.
    Cancelled,
    /// It may or may not have taken effect; a person has to settle it.
    Indeterminate,
    /// The server needs more from the client before it answers; the client asks again, which is another call.
    InputRequired,
    /// The server has made a task of it and goes on; what is asked of the task later continues this call.
    InProgress,
    /// Nothing was sent to the server.
    NotDispatched,
    /// The server answered with a result.
    Succeeded,
    /// No answer in time; whether it took effect is not known.
    TimedOut,
    /// The server answered that the tool failed.
    ToolError,
    /// The server refused the request or answered with what is not MCP.
    UpstreamError,
}

impl Outcome {
    /// Each of them.
    pub const ALL: [Self; 9] = [
        Self::Cancelled,
        Self::Indeterminate,
        Self::InputRequired,
        Self::InProgress,
        Self::NotDispatched,
        Self::Succeeded,
        Self::TimedOut,
        Self::ToolError,
        Self::UpstreamError,
    ];

    /// The one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// Its name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Indeterminate => "indeterminate",
            Self::InputRequired => "input_required",
            Self::InProgress => "in_progress",
            Self::NotDispatched => "not_dispatched",
            Self::Succeeded => "succeeded",
            Self::TimedOut => "timed_out",
            Self::ToolError => "tool_error",
            Self::UpstreamError => "upstream_error",
        }
    }
}

/// What the operation of a call was understood to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Understood {
    /// The operation's name.
    pub operation: String,
    /// Its effect.
    pub effect: Effect,
    /// Its effective risk.
    pub risk: Risk,
    /// Its reversibility.
    pub reversibility: Reversibility,
    /// The digest of the tool's definition, if it is a tool.
    pub definition: Option<Digest>,
    /// The targets located.
    pub targets: Vec<Target>,
}

/// A decision about a request, with what was known when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The call.
    pub call: Id,
    /// The chain; `None` if no credential was accepted.
    pub caller: Option<Arc<CallerRecord>>,
    /// The call that this one goes on with, after the server asked for more.
    pub continues: Option<Id>,
    /// The call for which the gateway reads this, to find what that touches.
    pub resolves: Option<Id>,
    /// What the client says of itself (`clientInfo`): asserted, for the record only.
    pub client_says: Option<String>,
    /// Why the agent says that it calls: asserted, for people.
    pub why: Option<String>,
    /// The MCP method.
    pub method: String,
    /// The server's configured name.
    pub server: String,
    /// The tool as called, the name of the prompt or the URI of the resource, shortened; empty if the request never got
    /// so far.
    pub tool: String,
    /// The operation, if it got so far.
    pub understood: Option<Understood>,
    /// The digest of the arguments as called, if there were any.
    pub arguments_digest: Option<Digest>,
    /// The arguments, redacted ([`crate::redact`]).
    pub arguments: Json,
    /// The digest of what answers the server's questions, if it asked before and they are sent.
    pub responses_digest: Option<Digest>,
    /// What it is made under.
    pub under: Under,
    /// The decision.
    pub decision: Decision,
    /// How long it took to decide, in microseconds.
    pub decided_in_us: u64,
    /// Who is told that it is let through, if some permit obliges to that.
    pub notices: Vec<Notice>,
    /// The W3C trace id: what the client sent, or if it sent none, that of the span that the gateway began.
    pub trace: Option<String>,
}

impl Decided {
    /// Whether this is the intent of a call about to be dispatched; else it is a refusal.
    #[must_use]
    pub fn is_intent(&self) -> bool {
        self.decision.verdict == Verdict::Allow
    }
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concluded {
    /// The call.
    pub call: Id,
    /// What happened.
    pub outcome: Outcome,
    /// How long the server took, in microseconds; `None` if it was not asked or never answered.
    pub upstream_us: Option<u64>,
    /// The digest and length in bytes of the result.
    pub result: Option<(Digest, u64)>,
    /// What went wrong, for the operator; no content of the result.
    pub detail: Option<String>,
}

/// Something worth a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A writer begins its chain.
    Opened {
        /// The version of the program.
        version: String,
        /// The writer before it and the head of its chain, if the store had one.
        after: Option<(Id, Digest)>,
    },
    /// A call was decided: an intent or a refusal.
    Decided(Arc<Decided>),
    /// A call was concluded.
    Concluded(Concluded),
    /// Authority was given or taken back. It is, by this being stored.
    Administered(Arc<Administered>),
}

impl Event {
    /// Its name in records.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Decided(decided) if decided.is_intent() => "intent",
            Self::Decided(_) => "refusal",
            Self::Concluded(_) => "outcome",
            Self::Administered(_) => "change",
        }
    }
}

/// A record ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its place in the chain, from 0.
    pub sequence: u64,
    /// Its canonical JSON.
    pub text: String,
    /// SHA-256 of `text`; what the next record holds as `previous`.
    pub hash: Digest,
}

/// The end of one writer's chain. A clone is for trying: only what was stored may go on.
#[derive(Clone, Debug)]
pub struct Chain {
    writer: Id,
    next: u64,
    head: Digest,
}

impl Chain {
    /// A new writer's empty chain.
    #[must_use]
    pub fn new(writer: Id) -> Self {
        Self { writer, next: 0, head: Digest::default() }
    }

    /// The writer.
    #[must_use]
    pub const fn writer(&self) -> Id {
        self.writer
    }

    /// Makes the next record of the chain, of an event and what [`Event::canonical`] says of it.
    pub fn seal(&mut self, at: Timestamp, kind: &'static str, event: &str) -> Sealed {
        let mut text = String::with_capacity(event.len() + 320);
        CanonicalObject::new(&mut text)
            .plain("at", at)
            .member("event", |out| out.push_str(event))
            .integer("format", FORMAT)
            .text("kind", kind)
            .plain("previous", self.head)
            .integer("sequence", self.next)
            .plain("writer", self.writer)
            .end();
        let sealed = Sealed { sequence: self.next, hash: Digest::of(text.as_bytes()), text };
        self.next += 1;
        self.head = sealed.hash;
        sealed
    }
}

/// The first thing wrong with a chain.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Broken {
    /// The text is not the canonical form of a record.
    #[error("record {index}: not a canonical record")]
    NotCanonical {
        /// Which, from 0.
        index: usize,
    },
    /// The record does not follow the one before it.
    #[error("record {index}: `{field}` is not what the record before it requires")]
    NotNext {
        /// Which, from 0.
        index: usize,
        /// The field that tells.
        field: &'static str,
    },
}

/// Checks one writer's records, from its first.
///
/// # Errors
/// [`Broken`] at the first record that was changed, removed, added or moved.
pub fn verify_chain<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Digest, Broken> {
    let mut head = Digest::default();
    let mut writer: Option<String> = None;
    let limits = JsonLimits { bytes_max: 16 << 20, nodes_max: 1 << 20, ..JsonLimits::default() };
    for (index, text) in texts.into_iter().enumerate() {
        let record = read(text.as_bytes(), &limits)
            .ok()
            .filter(|record| record.canonical() == text.as_bytes())
            .ok_or(Broken::NotCanonical { index })?;
        let field = |name: &str| record.get(name).and_then(Json::as_str).unwrap_or_default();
        let sequence = record.get("sequence").and_then(Json::as_number).and_then(|n| n.as_i64());
        let broken = |field| Broken::NotNext { index, field };
        if sequence != i64::try_from(index).ok() {
            return Err(broken("sequence"));
        }
        if field("previous") != head.to_string() {
            return Err(broken("previous"));
        }
        if *writer.get_or_insert_with(|| field("writer").to_owned()) != field("writer") {
            return Err(broken("writer"));
        }
        head = Digest::of(text.as_bytes());
    }
    Ok(head)
}

#[cfg(test)]
mod tests;
