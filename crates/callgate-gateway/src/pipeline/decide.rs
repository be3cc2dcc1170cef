//! The decision about a call that is named: the same question wherever it is asked.

use callgate_model::authority::Grant;
use callgate_model::decision::Decision;
use callgate_model::reason::Reason;
use callgate_policy::{Bundle, Question, could_allow, decide};

use super::{Gateway, Request};
use crate::name::NamedCall;
use crate::tools::Tool;

impl Gateway {
    /// The decision about a named call, which a list asks for as well (I3).
    pub(crate) fn decide(&self, request: &Request, named: &NamedCall, bundle: &Bundle) -> Decision {
        self.decide_under(request, named, bundle, (None, &[]))
    }

    pub(crate) fn decide_with(
        &self,
        request: &Request,
        named: &NamedCall,
        bundle: &Bundle,
        grant: Option<&Grant>,
    ) -> Decision {
        self.decide_under(request, named, bundle, (grant, &[]))
    }

    /// With a grant, and without the gates of the policies that were passed.
    pub(super) fn decide_under(
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
        let (caller, server) = (&request.caller.caller, &*request.server.name);
        tool.operations
            .iter()
            .any(|(operation, risk)| could_allow(bundle, caller, server, operation, *risk))
    }
}
