//! A server in shadow: for a time, what policies say to its calls is recorded and not enforced.
//!
//! It must let nothing through of which the gateway does not know what it is (I5), nor what a credential was not made for (I10):
//! only what policies said no to, knowing what they were asked.

use callgate_model::ambient::Timestamp;
use callgate_model::decision::{Decision, Verdict};
use callgate_model::reason::Reason;
use callgate_model::target::{Obstacle, Target};
use callgate_model::vocabulary::Effect;

/// For how long at most policies are not enforced, in days.
pub const SHADOW_DAYS_MAX: u64 = 30;

/// Of which calls, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Policies are enforced from then on.
    pub until: Timestamp,
    /// Whether also calls are let through that are no reads.
    pub writes: bool,
}

impl Shadow {
    /// Whether what policies say to calls of this effect is not enforced.
    pub(crate) fn covers(&self, effect: Effect, now: Timestamp) -> bool {
        now < self.until && (effect == Effect::Read || self.writes)
    }

    /// `decision`, or that the call is let through all the same, with what it would have been.
    pub(crate) fn lets_through(
        &self,
        (effect, targets): (Effect, &[Target]),
        decision: Decision,
        now: Timestamp,
    ) -> Decision {
        let is_elsewhere = |target: &Target| match target {
            Target::Located(_) => false,
            Target::Unresolved(open) => open.obstacle == Obstacle::UnknownSite,
        };
        let is_open = decision.verdict != Verdict::Allow
            && self.covers(effect, now)
            && decision.reasons.iter().all(|reason| is_lifted(*reason, effect))
            && !targets.iter().any(is_elsewhere);
        if !is_open {
            return decision;
        }
        Decision {
            verdict: Verdict::Allow,
            reasons: vec![Reason::ShadowServer],
            policies: Vec::new(),
            obliges: decision.obliges.clone(),
            bundle: decision.bundle,
            would: Some(Box::new(decision)),
        }
    }
}

/// Whether a call of this effect is let through that is refused for `reason`.
const fn is_lifted(reason: Reason, effect: Effect) -> bool {
    match reason {
        Reason::ActorForbidden
        | Reason::AgentNotPermitted
        | Reason::ApprovalRequired
        | Reason::Guardrail
        | Reason::HumanNotPermitted
        | Reason::ReasonRequired
        | Reason::ServiceAccountNotPermitted => true,
        // What it touches, or what policies say, is not known: a read may be, for all that.
        Reason::PolicyError | Reason::QueryUnbounded | Reason::TargetUnresolved => {
            matches!(effect, Effect::Read)
        }
        Reason::ApprovalDenied
        | Reason::ApprovalExpired
        | Reason::ApprovalOwnerless
        | Reason::ApprovalSpent
        | Reason::ApprovalWithdrawn
        | Reason::ApprovalsTooMany
        | Reason::ArgumentsInvalid
        | Reason::CredentialUnavailable
        | Reason::DispatchConflict
        | Reason::DispatchTierMismatch
        | Reason::DispatchUnknown
        | Reason::EvidenceUnavailable
        | Reason::GatewayRead
        | Reason::GrantSpent
        | Reason::MethodUnsupported
        | Reason::Overloaded
        | Reason::Permitted
        | Reason::RequestMalformed
        | Reason::ScopeInsufficient
        | Reason::ServerUnknown
        | Reason::SessionUnknown
        | Reason::ShadowServer
        | Reason::TargetConflict
        | Reason::TaskUnknown
        | Reason::TokenExceeded
        | Reason::TooManyTargets
        | Reason::ToolChanged
        | Reason::ToolUnapproved
        | Reason::ToolUnclassified
        | Reason::ToolUnknown
        | Reason::Unauthenticated
        | Reason::UpstreamUnavailable
        | Reason::WorkflowExceeded
        | Reason::WorkflowInvalid => false,
    }
}
