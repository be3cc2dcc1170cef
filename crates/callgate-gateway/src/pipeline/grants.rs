//! Grants: looked for only when policy says no without one and could say yes with one. So a use is taken only where it is
//! needed, and a call that is allowed anyway waits for no store.

use callgate_model::approval::Asker;
use callgate_model::authority::{Grant, Under, Use};
use callgate_model::call::Method;
use callgate_model::decision::{Decision, Verdict};
use callgate_model::evidence::Decided;
use callgate_model::reason::Reason;
use callgate_policy::Bundle;

use super::{Gateway, Request};
use crate::name::NamedCall;

impl Gateway {
    /// Decides; if the answer is no, once more with each grant that covers the call; and if somebody has to approve it, asks
    /// whether somebody has. The record says what made it allowed: storing the intent takes a use of that (I2).
    pub(super) async fn decide_and_record(
        &self,
        request: &Request,
        named: &NamedCall,
        bundle: &Bundle,
        record: &mut Decided,
    ) {
        record.decision = self.ask_policy(request, named, bundle, (None, &[]));
        // Who wants to hear of changes for as long as it likes needs a permit that stands as long.
        let is_once = named.call.method != Method::ResourcesSubscribe;
        let mut grant = None;
        if is_once && !record.decision.is_allow() {
            grant = self.grant_for(request, named, bundle, record).await;
            // Nobody gives a use for what is let through whatever policies say.
            let in_shadow = self.unless_in_shadow(request, named, record.decision.clone());
            let spends = record.decision.is_allow() || !in_shadow.is_allow();
            record.under.grant = grant.as_ref().map(|grant| Use { id: grant.id, spends });
            record.decision = in_shadow;
        }
        if !is_once {
            record.decision = self.unless_in_shadow(request, named, record.decision.clone());
            return;
        }
        if let Verdict::ApprovalRequired(gates) = &record.decision.verdict {
            let gates = gates.clone();
            self.seek_approval(request, (named, grant.as_ref()), (bundle, gates), record).await;
        }
    }

    /// The grant with which the call is nearer to being allowed; the record's decision is the one with it.
    async fn grant_for(
        &self,
        request: &Request,
        named: &NamedCall,
        bundle: &Bundle,
        record: &mut Decided,
    ) -> Option<Grant> {
        let registry = self.identities.registry().filter(|_| bundle.knows_grants())?;
        let (caller, action) = (&request.caller.caller, named.call.action());
        let found = registry.grants(caller, action, &named.targets, self.ambient.now()).await;
        let grants = found.unwrap_or_else(|error| {
            // Without it, what stands is the denial.
            tracing::error!(%error, "grants cannot be looked up");
            Vec::new()
        });
        let mut nearer = None;
        // Those that were given with an approval are for whoever would be asked.
        for grant in grants.into_iter().filter(|grant| grant.lifts.is_none()) {
            let decision = self.ask_policy(request, named, bundle, (Some(&grant), &[]));
            let is_allow = decision.is_allow();
            let is_denied = record.decision.verdict == Verdict::Deny;
            if is_allow || (is_denied && decision.verdict != Verdict::Deny) {
                record.decision = decision;
                nearer = Some(grant);
            }
            if is_allow {
                break;
            }
        }
        nearer
    }

    /// Decides about what goes on with a call that was made under a grant or an approval: no other use is taken, but if the
    /// grant was taken back or has ended, it allows nothing any more.
    pub(super) async fn decide_on(
        &self,
        request: &Request,
        named: &NamedCall,
        bundle: &Bundle,
        used: Under,
        record: &mut Decided,
    ) {
        if !self.identities.still_admits(&request.caller, self.ambient.now()).await {
            record.decision = Decision::deny(Reason::Unauthenticated, bundle.digest());
            return;
        }
        let grant = self.standing_grant(used.grant).await;
        let mut lifted = self.lifted_by(used.approval, (bundle, named.call.method)).await;
        let given = grant.as_ref().filter(|grant| grant.lifts.is_some());
        if let Some((grant, registry)) = given.zip(self.identities.registry()) {
            let caller = &request.caller.caller;
            let asker = Asker::of(caller, registry.owner(caller));
            lifted.extend_from_slice(self.lifted_by_grant(grant, &asker, named, bundle));
        }
        let seen = grant.as_ref().filter(|_| given.is_none());
        let decision = self.decide_under(request, named, bundle, (seen, &lifted));
        let on = |one: Use| Use { spends: false, ..one };
        record.decision = decision;
        record.under = Under {
            binding: used.binding,
            by_glass: used.by_glass,
            grant: grant.map(|grant| Use { id: grant.id, spends: false }),
            approval: used.approval.map(on),
            after: None,
        };
    }

    pub(super) async fn standing_grant(&self, used: Option<Use>) -> Option<Grant> {
        let registry = self.identities.registry()?;
        let found = registry.standing_grant(used?.id, self.ambient.now()).await;
        found.unwrap_or_else(|error| {
            tracing::error!(%error, "a grant cannot be looked up");
            None
        })
    }
}
