//! What policies said and would say, and what a reason is of.

use callgate_model::decision::{Decision, Verdict};
use callgate_model::json::Json;
use callgate_model::reason::Reason;

/// What policies say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// Yes.
    Allow,
    /// Only with an approval.
    Ask,
    /// No.
    Deny,
}

/// How an answer changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It does not.
    Same,
    /// It was allowed, or asked about.
    NewlyDenied,
    /// It was denied, or asked about.
    NewlyAllowed,
    /// It was allowed or denied.
    NewlyNeedsApproval,
    /// It needs an approval, as it did, by other gates.
    NewlyAsksOthers,
}

/// Why a call cannot be decided again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknown {
    /// What the record said is erased.
    Erased,
    /// No catalog knows the operation as it was.
    OperationUnknown,
    /// A target is of a kind that is none any more.
    TargetUnknown,
    /// A policy looks at something of the call that is not in the record.
    FieldsNotRecorded,
    /// It was denied before the server was asked where things are.
    PlaceNotAsked,
    /// It depends on whether a grant would have counted.
    GrantUnknown,
    /// It was refused for something that is no question of policy.
    DecidedOtherwise,
    /// The record is of a form that is not known here.
    Strange,
}

impl Answer {
    /// Its name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "approval_required",
            Self::Deny => "deny",
        }
    }

    pub(super) const fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Allow => Self::Allow,
            Verdict::ApprovalRequired(_) => Self::Ask,
            Verdict::Deny => Self::Deny,
        }
    }
}

impl Change {
    /// From what policies said, with these gates, to what they would say.
    pub(super) fn of(was: Answer, decision: &Decision, gates: &Json) -> Self {
        match (was, Answer::of(&decision.verdict)) {
            (Answer::Allow, Answer::Allow) | (Answer::Deny, Answer::Deny) => Self::Same,
            (Answer::Ask, Answer::Ask) => {
                // What was let through does not say which gates it passed.
                let is_said = gates.as_array().is_some_and(|all| !all.is_empty());
                let now = decision.to_json().get("gates").map(Json::canonical);
                let is_same = !is_said || now == Some(gates.canonical());
                if is_same { Self::Same } else { Self::NewlyAsksOthers }
            }
            (Answer::Allow | Answer::Ask, Answer::Deny) => Self::NewlyDenied,
            (Answer::Ask | Answer::Deny, Answer::Allow) => Self::NewlyAllowed,
            (Answer::Allow | Answer::Deny, Answer::Ask) => Self::NewlyNeedsApproval,
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::NewlyDenied => "newly_denied",
            Self::NewlyAllowed => "newly_allowed",
            Self::NewlyNeedsApproval => "newly_needs_approval",
            Self::NewlyAsksOthers => "newly_asks_others",
        }
    }
}

impl Unknown {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Erased => "erased",
            Self::OperationUnknown => "operation_unknown",
            Self::TargetUnknown => "target_unknown",
            Self::FieldsNotRecorded => "fields_not_recorded",
            Self::PlaceNotAsked => "place_not_asked",
            Self::GrantUnknown => "grant_unknown",
            Self::DecidedOtherwise => "decided_otherwise",
            Self::Strange => "strange",
        }
    }
}

/// What a reason is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An approval that policies asked for.
    Approval,
    /// What the credential, or the workflow, was made for.
    Bound,
    /// Something that policies do not know.
    Elsewhere,
    /// The policies.
    Policy,
}

pub(super) const fn kind(reason: Reason) -> Kind {
    match reason {
        Reason::ApprovalDenied
        | Reason::ApprovalExpired
        | Reason::ApprovalOwnerless
        | Reason::ApprovalSpent
        | Reason::ApprovalWithdrawn
        | Reason::ApprovalsTooMany => Kind::Approval,
        Reason::ScopeInsufficient | Reason::TokenExceeded | Reason::WorkflowExceeded => Kind::Bound,
        Reason::ActorForbidden
        | Reason::AgentNotPermitted
        | Reason::ApprovalRequired
        | Reason::Guardrail
        | Reason::HumanNotPermitted
        | Reason::Permitted
        | Reason::PolicyError
        | Reason::QueryUnbounded
        | Reason::ReasonRequired
        | Reason::ServiceAccountNotPermitted
        | Reason::ShadowServer
        | Reason::TargetConflict
        | Reason::TargetUnresolved => Kind::Policy,
        Reason::ArgumentsInvalid
        | Reason::CredentialUnavailable
        | Reason::DispatchConflict
        | Reason::DispatchTierMismatch
        | Reason::DispatchUnknown
        | Reason::EvidenceUnavailable
        | Reason::GatewayRead
        | Reason::GrantSpent
        | Reason::MethodUnsupported
        | Reason::Overloaded
        | Reason::RequestMalformed
        | Reason::ServerUnknown
        | Reason::SessionUnknown
        | Reason::TaskUnknown
        | Reason::TooManyTargets
        | Reason::ToolChanged
        | Reason::ToolUnapproved
        | Reason::ToolUnclassified
        | Reason::ToolUnknown
        | Reason::Unauthenticated
        | Reason::UpstreamUnavailable
        | Reason::WorkflowInvalid => Kind::Elsewhere,
    }
}
