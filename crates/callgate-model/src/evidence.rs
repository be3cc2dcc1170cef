//! The append-only record: an intent before dispatch, an outcome after, every refusal, and every change of authority.
//!
//! A record is an [`Entry`] and its [`Payload`]. The entries are the log: each writer has a chain of them, in which an entry
//! holds the hash of the one before it, and all together are the leaves of a Merkle tree. Both forms are canonical JSON
//! (RFC 8785). A restart is a new writer whose first record names the head of the last one.

pub mod audit;
mod chain;
mod entry;
mod fields;
mod kind;
mod link;
mod record;
mod recorded;
mod settle;
mod write;

use std::sync::Arc;

pub use chain::{Chain, Sealed};
pub use entry::{About, ByApproval, ENTRY_BYTES_MAX, Entry, FORMAT, Payload};
pub use fields::FIELDS;
pub use kind::Kind;
pub use link::{Link, Links};
pub use record::record;
pub use recorded::{Known, Recorded, Unreadable};
pub use settle::{Finding, Settled};
pub use write::{CallerRecord, target_to_json};

use crate::ambient::Id;
use crate::approval::Notice;
use crate::authority::{Administered, Under};
use crate::decision::{Decision, Verdict};
use crate::digest::Digest;
use crate::json::{Json, Object};
use crate::target::Target;
use crate::vocabulary::{Effect, Reversibility, Risk};

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
    /// The fields that policies saw, as far as they are recorded.
    pub input: Object,
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
    /// The arguments, as far as they are recorded, redacted ([`crate::redact`]).
    pub arguments: Json,
    /// The hashes of fields that stand in them, by which who has the key finds the call.
    pub hashes: Vec<String>,
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
    /// Somebody found out what became of a call.
    Settled(Settled),
}

impl Event {
    /// What its record is about.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Opened { .. } => Kind::Opened,
            Self::Decided(decided) if decided.is_intent() => Kind::Intent,
            Self::Decided(_) => Kind::Refusal,
            Self::Concluded(_) => Kind::Outcome,
            Self::Administered(_) => Kind::Change,
            Self::Settled(_) => Kind::Settled,
        }
    }
}

#[cfg(test)]
mod tests;
