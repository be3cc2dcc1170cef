//! Approvals: that somebody lets one call through which policy only lets through so.
//!
//! An approval is bound to everything that makes the call what it is, so any other call needs another one. It comes to be, is
//! decided and ends by records in the evidence and in no other way, and is spent in the transaction that stores the intent of its
//! call (I2). It has two clocks: one for those who decide, one for the call.

mod course;
mod glass;
mod known;
mod notice;
mod standing;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ambient::{Id, Timestamp};
use crate::authority::Proof;
use crate::call::ToolCall;
use crate::caller::{AccountableKind, Caller};
use crate::decision::{Allotment, Gate};
use crate::digest::Digest;
use crate::evidence::target_to_json;
use crate::json::{Json, Object};
use crate::redact;
use crate::target::{Resource, Target};

pub use glass::{GLASS_S_MAX, Glass, GlassReview, GlassState, GlassVerdict};
pub use known::Known;
pub use notice::{Notice, Occasion};
pub use standing::{ApprovalState, Ended, Standing};

/// How long a call that was denied is not asked about again, in seconds: nobody is worn down by asking.
pub const COOLS_DOWN_S: u64 = 10 * 60;
/// The most approvals that wait for one chain at one time.
pub const WAITING_MAX: u32 = 10;
/// The most approvals that one chain asks for in an hour.
pub const PER_HOUR_MAX: u32 = 60;

/// A call that waits for somebody to approve it, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Its id.
    pub id: Id,
    /// The digest of everything that it is bound to.
    pub binding: Digest,
    /// Whose call it is.
    pub asker: Asker,
    /// What it is about.
    pub about: About,
    /// The gates that it has to pass: all of them.
    pub gates: Vec<Gate>,
    /// The policies by which it was asked for. Under any others it lets nothing through.
    pub bundle: Digest,
    /// When it was asked for.
    pub at: Timestamp,
    /// Until when it can be decided.
    pub decide_until: Timestamp,
    /// How long it is good for once it is approved, in seconds.
    pub use_within_s: u64,
    /// What whoever approves may grant beside the one call, if every gate lets them.
    #[serde(default)]
    pub offer: Option<Offer>,
    /// The arguments, as canonical JSON: what those who decide see, and what is sent. They are no part of the record, and are
    /// forgotten when the approval ends.
    #[serde(skip)]
    pub arguments: String,
    /// What the gateway has seen of what the call touches: for those who decide, and forgotten as the arguments are.
    #[serde(skip)]
    pub looks: Vec<Look>,
}

/// What something that a call touches is when somebody is asked about the call, as its server says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// Which: its kind and id.
    pub target: String,
    /// What people call it: not the gateway's words.
    pub title: Option<String>,
    /// What arguments would replace, by their paths: `fields.summary`.
    pub now: BTreeMap<String, String>,
}

/// What may be granted in the place of asking about each: calls of the same chain, tool and meaning, with any arguments, on
/// what is in the same containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// How many, and for how long.
    pub most: Allotment,
    /// The containers.
    pub within: BTreeSet<Resource>,
}

impl Offer {
    /// What the gates of a call on `targets` let be granted. `None` if one of them does not, or if something that the call
    /// touches is in nothing that is known.
    #[must_use]
    pub fn of(gates: &[Gate], targets: &[Target]) -> Option<Self> {
        let all: Option<Vec<Allotment>> = gates.iter().map(|gate| gate.grants).collect();
        let all = all?;
        let most = Allotment {
            uses: all.iter().map(|most| most.uses).min()?,
            within_s: all.iter().map(|most| most.within_s).min()?,
        };
        // What is in nothing but the whole site or organization is a container itself: a project, a space.
        let container = |target: &Target| match target {
            Target::Located(located) => match located.containers.as_slice() {
                [] => None,
                [_whole] => Some(located.resource.clone()),
                [inner, ..] => Some(inner.clone()),
            },
            Target::Unresolved(_) => None,
        };
        let within = targets.iter().map(container).collect::<Option<BTreeSet<_>>>()?;
        Some(Self { most, within })
    }
}

/// Whose call waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asker {
    /// The person, or the service account, as policies call them.
    pub accountable: String,
    /// Which of the two.
    pub is_human: bool,
    /// The agent.
    pub agent: Option<String>,
    /// Earlier agents.
    pub actors: Vec<String>,
    /// The client software.
    pub client: String,
    /// The kind of credential that was presented.
    pub credential: String,
    /// The workflow run.
    pub workflow: Option<String>,
    /// People who cannot approve, since the call is theirs: the person, and who answers for the token.
    pub people: Vec<String>,
}

/// What a call is, for those who decide about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The server.
    pub server: String,
    /// The tool as called.
    pub tool: String,
    /// The digest of its definition.
    pub definition: Option<Digest>,
    /// What it means.
    pub operation: String,
    /// In words.
    pub title: String,
    /// Its effect.
    pub effect: String,
    /// Its risk.
    pub risk: String,
    /// Whether it can be taken back.
    pub reversibility: String,
    /// What it touches.
    pub targets: Vec<serde_json::Value>,
    /// The digest of the arguments.
    pub arguments_digest: Digest,
    /// The arguments, redacted as in every record.
    pub arguments: serde_json::Value,
    /// Why the agent says that it calls: asserted, and no part of what is approved.
    #[serde(default)]
    pub why: Option<String>,
}

/// What somebody said to an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// To which.
    pub approval: Id,
    /// Who, as policies call them.
    pub by: String,
    /// Whether they approve.
    pub approves: bool,
    /// The gates for which they may say so, by their policies.
    pub gates: Vec<String>,
    /// Whether they would grant what is offered, too.
    #[serde(default)]
    pub grants: bool,
    /// Why, in their words.
    pub reason: Option<String>,
    /// The digest of what they were shown.
    pub seen: Digest,
    /// By which passkey they have proved that it is them, if a gate wants that.
    #[serde(default)]
    pub proof: Option<Proof>,
    /// How they were known; `None` if it was recorded before that was.
    #[serde(default)]
    pub known: Option<Known>,
    /// When.
    pub at: Timestamp,
}

impl Asker {
    /// The chain of `caller`; `owner` answers for their token.
    #[must_use]
    pub fn of(caller: &Caller, owner: Option<String>) -> Self {
        let accountable = caller.accountable.identity.to_string();
        let is_human = caller.accountable.kind == AccountableKind::Human;
        let mut people: Vec<String> = is_human.then(|| accountable.clone()).into_iter().collect();
        people.extend(owner.filter(|owner| *owner != accountable || !is_human));
        Self {
            accountable,
            is_human,
            agent: caller.agent.as_ref().map(|agent| agent.identity.to_string()),
            actors: caller.actors.iter().map(|agent| agent.identity.to_string()).collect(),
            client: caller.client.name.clone(),
            credential: caller.credential.kind.as_str().to_owned(),
            workflow: caller.workflow.as_ref().map(|workflow| workflow.run.clone()),
            people,
        }
    }

    /// Whether both are of the same chain: all that an approval is bound to.
    #[must_use]
    pub fn is_same_chain(&self, other: &Self) -> bool {
        let chain = |one: &Self| {
            (one.accountable.clone(), one.is_human, one.agent.clone(), one.actors.clone())
        };
        chain(self) == chain(other)
            && (&self.client, &self.workflow) == (&other.client, &other.workflow)
    }

    /// By which a store counts what one chain asks for.
    #[must_use]
    pub fn key(&self) -> String {
        let kind = if self.is_human { "human" } else { "service_account" };
        let agent = self.agent.as_deref().unwrap_or_default();
        // None of these has a line break.
        format!("{kind}\n{}\n{agent}", self.accountable)
    }

    /// `alice via release-bot`.
    #[must_use]
    pub fn summary(&self) -> String {
        match &self.agent {
            Some(agent) => format!("{} via {agent}", self.accountable),
            None => self.accountable.clone(),
        }
    }
}

impl About {
    /// What `call` is, and touches.
    #[must_use]
    pub fn of(call: &ToolCall, targets: &[Target], why: Option<String>) -> Self {
        let operation = &call.operation;
        let value = |json: &Json| serde_json::to_value(json).unwrap_or_default();
        Self {
            server: call.server.to_string(),
            tool: call.tool.clone(),
            definition: call.definition,
            operation: operation.name.clone(),
            title: operation.title.clone(),
            effect: operation.effect.as_str().to_owned(),
            risk: call.risk.as_str().to_owned(),
            reversibility: operation.reversibility.as_str().to_owned(),
            targets: targets.iter().map(|target| value(&target_to_json(target))).collect(),
            arguments_digest: call.arguments_digest,
            arguments: value(&redact::arguments(&call.arguments)),
            why,
        }
    }
}

/// The digest of everything that makes a call what it is: the whole chain but for the token, which is renewed; what it does
/// to what; and the arguments, which are what is sent. Whatever differs is another call.
#[must_use]
pub fn binding(asker: &Asker, call: &ToolCall, targets: &[Target]) -> Digest {
    let texts = |all: &[String]| Json::from(all.to_vec());
    let chain = Object::default()
        .with("accountable", asker.accountable.as_str())
        .with("is_human", asker.is_human)
        .with("agent", asker.agent.clone())
        .with("actors", texts(&asker.actors))
        .with("client", asker.client.as_str())
        .with("workflow", asker.workflow.clone());
    let bound = Object::default()
        .with("format", "callgate approval 1")
        .with("chain", chain)
        .with("server", &*call.server)
        .with("method", call.method.as_str())
        .with("tool", call.tool.as_str())
        .with("definition", call.definition.map(|digest| digest.to_string()))
        .with("operation", call.operation.name.as_str())
        .with("effect", call.operation.effect.as_str())
        .with("risk", call.risk.as_str())
        .with("targets", targets.iter().map(target_to_json).collect::<Vec<_>>())
        .with("arguments", call.arguments_digest.to_string());
    Digest::of_object(&bound)
}

impl Approval {
    /// The digest of what those who decide are shown, the whole arguments included.
    #[must_use]
    pub fn shown(&self) -> Digest {
        let text = crate::authority::to_text(self);
        let looks = crate::authority::to_text(&self.looks);
        Digest::of(format!("{text}\n{}\n{looks}", self.arguments).as_bytes())
    }

    /// When others may decide, if nobody has until then.
    #[must_use]
    pub fn escalates(&self) -> Option<Timestamp> {
        let after = self.gates.iter().filter_map(|gate| Some(gate.escalation.as_ref()?.after_s));
        after.min().map(|after_s| self.at.after_ms(after_s.saturating_mul(1_000)))
    }

    /// By which people tell one from another, in every place where it is shown: the beginning of the binding.
    #[must_use]
    pub fn short_code(&self) -> String {
        let hex = self.binding.to_string();
        let code: String = hex.chars().take(8).collect();
        let (a, b) = code.split_at_checked(4).unwrap_or((&code, ""));
        format!("{a}-{b}")
    }
}

#[cfg(test)]
mod tests;
