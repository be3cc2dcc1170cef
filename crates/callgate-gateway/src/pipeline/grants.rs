//! Grants: looked for only when policy says no without one and could say yes with one. So a use is taken only where it is
//! needed, and a call that is allowed anyway waits for no store.

use callgate_model::authority::{Grant, GrantUse};
use callgate_model::call::Method;
use callgate_model::decision::Decision;
use callgate_model::evidence::Decided;
use callgate_model::reason::Reason;
use callgate_policy::Bundle;

use super::{Gateway, Request};
use crate::name::NamedCall;

impl Gateway {
    /// Decides; if the answer is no, once more with each grant that covers the call. The record says which one made it
    /// allowed: storing the intent takes a use of it (I2).
    pub(super) async fn decide_and_record(
        &self,
        request: &Request,
        named: &NamedCall,
        bundle: &Bundle,
        record: &mut Decided,
    ) {
        record.decision = self.decide(request, named, bundle);
        // Who wants to hear of changes for as long as it likes needs a permit that stands as long.
        let is_once = named.call.method != Method::ResourcesSubscribe;
        if record.decision.is_allow() || !bundle.knows_grants() || !is_once {
            return;
        }
        let Some(registry) = self.identities.registry() else { return };
        let (caller, action) = (&request.caller.caller, named.call.action());
        let found = registry.grants(caller, action, &named.targets, self.ambient.now()).await;
        let grants = found.unwrap_or_else(|error| {
            // Without it, what stands is the denial.
            tracing::error!(%error, "grants cannot be looked up");
            Vec::new()
        });
        for grant in grants {
            let decision = self.decide_with(request, named, bundle, Some(&grant));
            if decision.is_allow() {
                record.decision = decision;
                record.grant = Some(GrantUse { id: grant.id, spends: true });
                return;
            }
        }
    }

    /// Decides about what goes on with a call that was made under a grant: no other use is taken, but if the grant was taken
    /// back or has ended, it allows nothing any more.
    pub(super) async fn decide_on(
        &self,
        request: &Request,
        named: &NamedCall,
        bundle: &Bundle,
        used: Option<GrantUse>,
        record: &mut Decided,
    ) {
        if self.identities.admits(&request.caller.caller, self.ambient.now()).await.is_err() {
            record.decision = Decision::deny(Reason::Unauthenticated, bundle.digest());
            return;
        }
        let grant = self.standing(used).await;
        record.decision = self.decide_with(request, named, bundle, grant.as_ref());
        record.grant = grant.map(|grant| GrantUse { id: grant.id, spends: false });
    }

    async fn standing(&self, used: Option<GrantUse>) -> Option<Grant> {
        let registry = self.identities.registry()?;
        let found = registry.standing_grant(used?.id, self.ambient.now()).await;
        found.unwrap_or_else(|error| {
            tracing::error!(%error, "a grant cannot be looked up");
            None
        })
    }
}
