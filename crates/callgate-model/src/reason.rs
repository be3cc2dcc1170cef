//! The reason codes: one table. The reference page is generated from it.

/// Who has to act for the refusal to go away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request itself.
    Caller,
    /// The operator of this gateway: catalog or configuration.
    Operator,
    /// The owner of the policies; the refusal may be just right.
    Policy,
    /// This gateway or its surroundings.
    Service,
    /// Nobody: the call was let through.
    Nobody,
    /// The upstream server.
    Upstream,
}

macro_rules! reasons {
    ($($variant:ident = $code:literal, $fault:ident, $message:literal, $remedy:literal;)+) => {
        /// Why a decision was made. The codes are stable: programs may compare them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $message] $variant),+
        }

        impl Reason {
            /// Every reason, in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// Who has to act.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault),+ }
            }

            /// One sentence for the caller.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message),+ }
            }

            /// What would help.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy),+ }
            }
        }
    };
}

reasons! {
    ActorForbidden = "actor_forbidden", Policy,
        "A policy forbids this to an earlier actor in the delegation chain.",
        "Start the work without that actor.";
    AgentNotPermitted = "agent_not_permitted", Policy,
        "No policy permits this agent to do this here.",
        "Use an agent that may, or ask the policy's owner.";
    ApprovalDenied = "approval_denied", Policy,
        "Somebody who may decide about this call has denied it.",
        "Do not ask for it again for a while; do something else, or talk to them.";
    ApprovalExpired = "approval_expired", Policy,
        "Nobody has approved this call in time, or it was not made in time after that. Silence is denial.",
        "Call again if it is still wanted; somebody has to approve it again.";
    ApprovalOwnerless = "approval_ownerless", Policy,
        "Whoever owns what this call touches has to approve it, and nobody does.",
        "Touch things of one owner at a time, or ask the operator to name one (`approvals.owners`).";
    ApprovalRequired = "approval_required", Policy,
        "A person has to approve exactly this call first.",
        "Ask an approver. After approval, repeat the same call with the same arguments; it is let through once.";
    ApprovalSpent = "approval_spent", Caller,
        "The approval of this call was used, withdrawn or has ended meanwhile.",
        "Call again; somebody has to approve it again.";
    ApprovalWithdrawn = "approval_withdrawn", Policy,
        "The approval of this call was taken back, or the policies have changed since it was asked for.",
        "Call again if it is still wanted; somebody has to approve it again.";
    ApprovalsTooMany = "approvals_too_many", Caller,
        "Too much waits to be approved for this caller, or too much was asked for lately.",
        "Wait until some of it is decided, and ask for less.";
    ArgumentsInvalid = "arguments_invalid", Caller,
        "The arguments do not fit what was called.",
        "Correct the arguments named and call again.";
    CredentialUnavailable = "credential_unavailable", Operator,
        "There is nothing to call the server with for this caller, so the call was not made.",
        "Call again later, or with a token that the operator says will do; the operator has to look at the server's credential.";
    DispatchConflict = "dispatch_conflict", Caller,
        "The dispatcher's own arguments and those of the operation it wraps disagree.",
        "Name the site in one place, or the same in both.";
    DispatchTierMismatch = "dispatch_tier_mismatch", Caller,
        "The operation does not belong to the dispatcher it was called through.",
        "Call it through the dispatcher for its effect.";
    DispatchUnknown = "dispatch_unknown", Caller,
        "The dispatcher was asked for an operation that no catalog knows.",
        "Use an operation from the catalog, or ask the operator to classify this one.";
    EvidenceUnavailable = "evidence_unavailable", Service,
        "The call cannot be recorded, so it was not made.",
        "Call again later; the operator has to look at the evidence store.";
    GatewayRead = "gateway_read", Nobody,
        "The gateway reads this itself, to find what a call touches.",
        "";
    GrantSpent = "grant_spent", Caller,
        "The grant that would have covered this was used up, ended or was taken back meanwhile.",
        "Ask for another grant.";
    Guardrail = "guardrail", Policy,
        "A guardrail forbids this.",
        "Do something else: approval does not lift a guardrail.";
    HumanNotPermitted = "human_not_permitted", Policy,
        "No policy permits this person to do this here.",
        "Ask somebody who may, or the policy's owner.";
    MethodUnsupported = "method_unsupported", Caller,
        "This gateway does not serve that method.",
        "Use the methods that its capabilities name.";
    Overloaded = "overloaded", Service,
        "Too many calls are in progress.",
        "Call again after a pause.";
    Permitted = "permitted", Nobody,
        "Every link of the chain may do this to every target.",
        "";
    PolicyError = "policy_error", Policy,
        "A policy could not be evaluated, so the call was not made.",
        "The policy's owner has to mend it.";
    QueryUnbounded = "query_unbounded", Policy,
        "The reach of the query is not known, and no policy permits queries without bounds.",
        "Name one thing by its key instead, or ask the policy's owner.";
    ReasonRequired = "reason_required", Caller,
        "A policy lets this through only for a reason, and none was given.",
        "Call again and say why in the argument `callgate_reason`, in a sentence.";
    RequestMalformed = "request_malformed", Caller,
        "The request is not unambiguous MCP.",
        "Correct the request.";
    ScopeInsufficient = "scope_insufficient", Caller,
        "No scope of the credential covers this.",
        "Get a token with the scope that does, if you may have it.";
    ServerUnknown = "server_unknown", Caller,
        "This gateway has no server of that name.",
        "Use the address of a server that it has.";
    ServiceAccountNotPermitted = "service_account_not_permitted", Policy,
        "No policy permits this service account to do this here.",
        "Use an identity that may, or ask the policy's owner.";
    SessionUnknown = "session_unknown", Caller,
        "There is no such session of this caller.",
        "Initialize again.";
    ShadowServer = "shadow_server", Nobody,
        "The server is in shadow: what policies say to this is recorded, and not enforced.",
        "";
    TargetConflict = "target_conflict", Caller,
        "Two arguments that name the target disagree.",
        "Name the target once, or the same in both.";
    TargetUnresolved = "target_unresolved", Caller,
        "What the call would touch cannot be determined.",
        "Name the target by a key or URL that says where it belongs.";
    TaskUnknown = "task_unknown", Caller,
        "There is no such task of this caller.",
        "Call the tool again; look first whether the task had an effect.";
    TokenExceeded = "token_exceeded", Caller,
        "The token was not made for this.",
        "Use a token that was, or have one made.";
    TooManyTargets = "too_many_targets", Caller,
        "The call touches more things than one call may.",
        "Split it into smaller calls.";
    ToolChanged = "tool_changed", Operator,
        "The server has changed this tool since it was approved.",
        "The operator has to look at the difference (`callgate tools diff`) and approve it.";
    ToolUnapproved = "tool_unapproved", Operator,
        "Nobody has approved this tool yet.",
        "The operator has to look at it (`callgate tools show`) and approve it (`callgate tools pin`).";
    ToolUnclassified = "tool_unclassified", Operator,
        "No catalog says what this tool does.",
        "The operator has to classify it in a catalog.";
    ToolUnknown = "tool_unknown", Caller,
        "The server has no such tool.",
        "List the tools and use one of them.";
    Unauthenticated = "unauthenticated", Caller,
        "No valid credential was presented.",
        "Send a valid bearer token.";
    UpstreamUnavailable = "upstream_unavailable", Upstream,
        "The server could not be asked for what it offers.",
        "Call again later; the operator has to look at the server.";
    WorkflowExceeded = "workflow_exceeded", Caller,
        "The workflow was not started for this.",
        "Start a workflow that says what it is for, or go on without one.";
    WorkflowInvalid = "workflow_invalid", Caller,
        "There is no such workflow of this caller, or it has ended.",
        "Start another workflow, or go on without one.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_unique() {
        assert!(Reason::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
    }

    #[test]
    fn every_refusal_says_what_would_help() {
        for reason in Reason::ALL.iter().filter(|reason| reason.fault() != Fault::Nobody) {
            assert!(!reason.remedy().is_empty(), "{}", reason.code());
            assert!(reason.message().ends_with('.') && reason.remedy().ends_with('.'));
        }
    }
}
