//! The answer to a call. A decision is a value; a denial is never an error.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::json::{Json, Object};
use crate::obligation::{self, Obligations};
use crate::reason::Reason;

/// What is to happen with the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be made, now, once.
    Allow,
    /// It may be made after every one of these gates is passed. Never empty.
    ApprovalRequired(Vec<Gate>),
    /// It must not be made.
    Deny,
}

impl Verdict {
    /// Its name on the wire and in records.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::ApprovalRequired(_) => "approval_required",
            Self::Deny => "deny",
        }
    }
}

/// A policy that lets a call through only with an approval.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The policy's id.
    pub policy: String,
    /// Who may approve: a team (`team:leads`), [`Gate::PERSON`], or [`Gate::OWNER`]; of an approval never the last, but the
    /// owner's team.
    pub approvers: String,
    /// How many of them have to.
    pub quorum: u32,
    /// How long they have, in seconds.
    pub decide_within_s: u64,
    /// How long the approval is good for, in seconds.
    pub use_within_s: u64,
    /// How many of them have to deny it for it to be denied.
    #[serde(default = "one")]
    pub denials: u32,
    /// Who else may approve, if nobody has after a while.
    #[serde(default)]
    pub escalation: Option<Escalation>,
    /// What whoever approves may grant beside the one call.
    #[serde(default)]
    pub grants: Option<Allotment>,
    /// Whether whoever approves has to prove by a passkey that they are there.
    #[serde(default)]
    pub step_up: bool,
}

const fn one() -> u32 {
    1
}

/// Who else may approve, and from when on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// Who: a team, as of a gate.
    pub approvers: String,
    /// From how many seconds after it was asked for.
    pub after_s: u64,
}

/// So many calls, within so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allotment {
    /// How many.
    pub uses: u32,
    /// For how long, in seconds.
    pub within_s: u64,
}

impl Gate {
    /// What stands for the person in whose name the call is made: they confirm it themselves.
    pub const PERSON: &str = "human";
    /// What stands for the team that owns what the call touches.
    pub const OWNER: &str = "owner";

    /// Who may approve, and who else from when on, as people and records are told.
    #[must_use]
    pub fn told(&self) -> String {
        let mut told = format!("{} by {} of {}", self.policy, self.quorum, self.approvers);
        if self.step_up {
            told.push_str(", with a passkey");
        }
        if self.denials > 1 {
            told.push_str(&format!(", denied by {}", self.denials));
        }
        if let Some(Escalation { approvers, after_s }) = &self.escalation {
            told.push_str(&format!(", after {} minutes also of {approvers}", after_s.div_ceil(60)));
        }
        told
    }
}

/// A policy that had a part in a decision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyRef {
    /// Its `@id`.
    pub id: String,
    /// Its `@reason`: why it exists, for people.
    pub reason: String,
    /// Its `@owner`.
    pub owner: String,
}

/// A permit that would have applied but for its condition or one part of its scope: shown by `explain`, never to
/// callers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NearMiss {
    /// The permit's id.
    pub policy: String,
    /// Which part did not match: `principal`, `action`, `resource` or `condition`.
    pub missed: &'static str,
}

/// The decision about one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is to happen.
    pub verdict: Verdict,
    /// Why. Never empty, sorted, without repetition.
    pub reasons: Vec<Reason>,
    /// The policies that determined it, by id.
    pub policies: Vec<PolicyRef>,
    /// What has to be done if it is made, now or once it is approved. None of a denial.
    pub obliges: Option<Box<Obligations>>,
    /// What it would be if nothing were in shadow, if the verdict would be another one.
    pub would: Option<Box<Self>>,
    /// The digest of the policy bundle.
    pub bundle: Digest,
}

impl Decision {
    /// A denial that needed no policy.
    #[must_use]
    pub fn deny(reason: Reason, bundle: Digest) -> Self {
        Self::without_policy(Verdict::Deny, reason, bundle)
    }

    /// That the gateway may read what it needs to decide about a call. No policy is asked: it is nobody's call.
    #[must_use]
    pub fn own_read(bundle: Digest) -> Self {
        Self::without_policy(Verdict::Allow, Reason::GatewayRead, bundle)
    }

    fn without_policy(verdict: Verdict, reason: Reason, bundle: Digest) -> Self {
        Self {
            verdict,
            reasons: vec![reason],
            policies: Vec::new(),
            obliges: None,
            would: None,
            bundle,
        }
    }

    /// Whether the call may be made.
    #[must_use]
    pub fn is_allow(&self) -> bool {
        self.verdict == Verdict::Allow
    }

    /// What has to be done if it is made.
    #[must_use]
    pub fn obligations(&self) -> &Obligations {
        self.obliges.as_deref().unwrap_or(&obligation::NONE)
    }

    /// The codes of the reasons.
    pub fn codes(&self) -> impl Iterator<Item = &'static str> {
        self.reasons.iter().map(|reason| reason.code())
    }

    /// The decision as it is recorded.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let policies: Vec<Json> = self
            .policies
            .iter()
            .map(|policy| {
                Object::default()
                    .with("id", policy.id.as_str())
                    .with("owner", policy.owner.as_str())
                    .into()
            })
            .collect();
        let gates: Vec<Json> = match &self.verdict {
            Verdict::Allow | Verdict::Deny => Vec::new(),
            Verdict::ApprovalRequired(gates) => gates.iter().map(Gate::to_json).collect(),
        };
        let mut decision = Object::default()
            .with("verdict", self.verdict.as_str())
            .with("reasons", self.codes().collect::<Vec<_>>())
            .with("policies", policies)
            .with("gates", gates);
        if let Some(obligations) = &self.obliges {
            decision.set("obligations", obligations.to_json());
        }
        if let Some(would) = &self.would {
            decision.set("would", would.to_json());
        }
        decision.with("bundle", self.bundle.to_string())
    }
}

impl Gate {
    fn to_json(&self) -> Json {
        let seconds = |value: u64| i64::try_from(value).unwrap_or(i64::MAX >> 11);
        let escalation = self.escalation.as_ref().map(|also| {
            Object::default()
                .with("approvers", also.approvers.as_str())
                .with("after_s", seconds(also.after_s))
        });
        let grants = self.grants.map(|most| {
            Object::default()
                .with("uses", i64::from(most.uses))
                .with("within_s", seconds(most.within_s))
        });
        Object::default()
            .with("policy", self.policy.as_str())
            .with("approvers", self.approvers.as_str())
            .with("quorum", i64::from(self.quorum))
            .with("decide_within_s", seconds(self.decide_within_s))
            .with("use_within_s", seconds(self.use_within_s))
            .with("step_up", self.step_up)
            .with("denials", i64::from(self.denials))
            .with("escalation", escalation)
            .with("grants", grants)
            .into()
    }
}
