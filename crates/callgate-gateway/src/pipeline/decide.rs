//! The decision about a call that is named: the same question wherever it is asked.

use callgate_model::authority::Grant;
use callgate_model::caller::Caller;
use callgate_model::decision::Decision;
use callgate_model::reason::Reason;
use callgate_model::vocabulary::{Operation, Risk};
use callgate_policy::{Bundle, Question, could_allow, could_cover, decide};

use super::{Gateway, Request};
use crate::name::NamedCall;
use crate::tools::Tool;

impl Gateway {
    /// The decision about a named call, which a list asks for as well (I3).
    pub(crate) fn decide(&self, request: &Request, named: &NamedCall, bundle: &Bundle) -> Decision {
        self.decide_under(request, named, bundle, (None, &[]))
    }

    /// With a grant, and without the gates of the policies that were passed.
    pub(super) fn decide_under(
        &self,
        request: &Request,
        named: &NamedCall,
        bundle: &Bundle,
        under: (Option<&Grant>, &[String]),
    ) -> Decision {
        self.unless_in_shadow(request, named, self.ask_policy(request, named, bundle, under))
    }

    /// `decision`, or if the server is in shadow, that the call is let through all the same.
    pub(super) fn unless_in_shadow(
        &self,
        request: &Request,
        named: &NamedCall,
        decision: Decision,
    ) -> Decision {
        // What is only asserted is nobody whom the gateway knows.
        let is_known = is_assured(&request.caller.caller);
        let Some(shadow) = request.server.shadow.filter(|_| is_known) else { return decision };
        let about = (named.call.operation.effect, &*named.targets);
        shadow.lets_through(about, decision, self.ambient.now())
    }

    /// What policies say, whether it is enforced or not.
    pub(super) fn ask_policy(
        &self,
        request: &Request,
        named: &NamedCall,
        bundle: &Bundle,
        (grant, lifted): (Option<&Grant>, &[String]),
    ) -> Decision {
        let (caller, call, targets) = (&request.caller.caller, &named.call, &*named.targets);
        let now = self.ambient.now();
        let decision = decide(bundle, &Question { caller, call, targets, now, grant, lifted });
        if decision.obligations().needs_reason && request.why.is_none() {
            let denied = Decision::deny(Reason::ReasonRequired, decision.bundle);
            return Decision { policies: decision.policies, ..denied };
        }
        decision
    }

    /// Whether any arguments could be allowed, perhaps after approval: the same question that filters the list (I3).
    pub(crate) fn visible(&self, request: &Request, tool: &Tool, bundle: &Bundle) -> bool {
        let could = |operation, risk| self.could_allow(request, (operation, risk), bundle);
        tool.operations.iter().any(|(operation, risk)| could(operation, *risk))
    }

    /// Whether any call of an operation could be let through, perhaps after approval.
    pub(crate) fn could_allow(
        &self,
        request: &Request,
        (operation, risk): (&Operation, Risk),
        bundle: &Bundle,
    ) -> bool {
        let (caller, server) = (&request.caller.caller, &*request.server.name);
        could_allow(bundle, caller, server, operation, risk)
            || (self.is_in_shadow(request, operation)
                && could_cover(caller, server, operation, risk))
    }

    /// Whether policies are not enforced for calls of an operation.
    pub(super) fn is_in_shadow(&self, request: &Request, operation: &Operation) -> bool {
        let shadow = request.server.shadow.filter(|_| is_assured(&request.caller.caller));
        shadow.is_some_and(|shadow| shadow.covers(operation.effect, self.ambient.now()))
    }
}

fn is_assured(caller: &Caller) -> bool {
    let agent = caller.agent.as_ref();
    caller.accountable.assurance.is_assured()
        && agent.is_none_or(|agent| agent.assurance.is_assured())
}
