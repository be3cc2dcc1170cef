//! Approvals: whether somebody has let exactly this call through; if nobody was asked, somebody is.

use std::time::Instant;

use callgate_model::ambient::Id;
use callgate_model::approval::{
    About, Approval, ApprovalState, Asker, COOLS_DOWN_S, Ended, Standing, binding,
};
use callgate_model::authority::{Change, Grant, Subject, SubjectKind, Use};
use callgate_model::decision::{Decision, Gate, Verdict};
use callgate_model::digest::Digest;
use callgate_model::evidence::Decided;
use callgate_model::reason::Reason;
use callgate_policy::Bundle;
use callgate_store::{EvidenceError, StoreError};
use tokio::time::sleep;

use super::{Gateway, Request};
use crate::identity::{LOOK_EVERY, Registry};
use crate::name::NamedCall;

/// A call, and the grant that it is made under.
type Call<'a> = (&'a NamedCall, Option<&'a Grant>);

impl Gateway {
    /// Allows the call if it was approved; else asks for that, and the record says what is waited for.
    pub(super) async fn seek_approval(
        &self,
        request: &Request,
        call: Call<'_>,
        (bundle, gates): (&Bundle, Vec<Gate>),
        record: &mut Decided,
    ) {
        let Some(registry) = self.identities.registry() else { return };
        let caller = &request.caller.caller;
        let asker = Asker::of(caller, registry.owner(caller));
        let bound = binding(&asker, &call.0.call, &call.0.targets);
        let known = match known(registry, bound, record.under.after).await {
            Ok(known) => known,
            Err(error) => {
                tracing::error!(%error, "approvals cannot be looked up");
                record.decision = Decision::deny(Reason::EvidenceUnavailable, bundle.digest());
                return;
            }
        };
        if let Some(state) = &known
            && self.follow(request, call, bundle, state, record).await
        {
            return;
        }
        let wanted = self.request_for(asker, bound, call.0, (bundle.digest(), gates));
        let (id, notices) = (wanted.id, self.notices(bundle, &wanted));
        let change = Change::ApprovalRequested { approval: Box::new(wanted), notices };
        match self.administer(caller.summary(), change).await {
            Ok(()) => record.under.approval = Some(Use { id, spends: false }),
            Err(EvidenceError::Refused) => self.join(registry, bound, bundle, record).await,
            Err(error) => {
                tracing::error!(%error, "nobody can be asked to approve a call");
                record.decision = Decision::deny(Reason::EvidenceUnavailable, bundle.digest());
            }
        }
    }

    /// What follows from an approval of this very call. `false`: nothing, it has ended.
    async fn follow(
        &self,
        request: &Request,
        call: Call<'_>,
        bundle: &Bundle,
        state: &ApprovalState,
        record: &mut Decided,
    ) -> bool {
        let now = self.ambient.now();
        let (id, standing) = (state.approval.id, state.standing(now));
        let is_as_it_was = state.approval.bundle == bundle.digest() && self.voters_stand(state);
        if standing.is_open() && !is_as_it_was {
            let reason =
                "the policies are others now, or who approved it is let in no more".to_owned();
            let change = Change::ApprovalWithdrawn { id, reason };
            // If that is no more to be withdrawn, it has ended all the same.
            let withdrawn = self.administer("callgate".to_owned(), change).await;
            return !matches!(withdrawn, Ok(()) | Err(EvidenceError::Refused));
        }
        let after = record.under.after;
        match standing {
            Standing::Waiting => {
                record.under.approval = Some(Use { id, spends: false });
                true
            }
            Standing::Approved { .. } => self.pass(request, call, bundle, state, record),
            // A round after the one that took it.
            Standing::Ended(Ended::Spent { call: by }) if after == Some(by) && is_as_it_was => {
                self.pass(request, call, bundle, state, record)
            }
            Standing::Ended(Ended::Denied) => {
                let cools =
                    state.ended.is_some_and(|(_, at)| now.ms_since(at) < COOLS_DOWN_S * 1_000);
                if cools {
                    record.decision = Decision::deny(Reason::ApprovalDenied, bundle.digest());
                    record.under.approval = Some(Use { id, spends: false });
                }
                cools
            }
            Standing::Ended(Ended::Spent { .. } | Ended::Withdrawn)
            | Standing::Expired
            | Standing::Unused => false,
        }
    }

    /// Decides again without the gates that were passed. The intent spends the approval.
    fn pass(
        &self,
        request: &Request,
        (named, grant): Call<'_>,
        bundle: &Bundle,
        state: &ApprovalState,
        record: &mut Decided,
    ) -> bool {
        let decision = self.decide_under(request, named, bundle, (grant, &passed(state)));
        let is_allow = decision.is_allow();
        record.decision = decision;
        record.under.approval = Some(Use { id: state.approval.id, spends: is_allow });
        if !matches!(state.ended, Some((Ended::Spent { .. }, _))) {
            record.under.after = None;
        }
        true
    }

    /// Somebody else has asked meanwhile; or too much is asked.
    async fn join(
        &self,
        registry: &Registry,
        bound: Digest,
        bundle: &Bundle,
        record: &mut Decided,
    ) {
        let known = registry.store().approval_for(bound).await.ok().flatten();
        let waiting = known.filter(|state| state.standing(self.ambient.now()).is_open());
        match waiting {
            Some(state) => {
                record.under.approval = Some(Use { id: state.approval.id, spends: false });
            }
            None => record.decision = Decision::deny(Reason::ApprovalsTooMany, bundle.digest()),
        }
    }

    fn request_for(
        &self,
        asker: Asker,
        binding: Digest,
        named: &NamedCall,
        (bundle, gates): (Digest, Vec<Gate>),
    ) -> Approval {
        let at = self.ambient.now();
        // Of several gates, the clocks that end first.
        let decide_within_s =
            gates.iter().map(|gate| gate.decide_within_s).min().unwrap_or_default();
        let use_within_s = gates.iter().map(|gate| gate.use_within_s).min().unwrap_or_default();
        let arguments = String::from_utf8(named.call.arguments.canonical()).unwrap_or_default();
        Approval {
            id: self.ambient.id(),
            binding,
            asker,
            about: About::of(&named.call, &named.targets),
            gates,
            bundle,
            at,
            decide_until: at.after_ms(decide_within_s.saturating_mul(1_000)),
            use_within_s,
            arguments,
        }
    }

    /// Whether the call waits for an approval, and its request may be held for that.
    pub(super) fn waits(&self, record: &Decided) -> bool {
        let waits = matches!(record.decision.verdict, Verdict::ApprovalRequired(_));
        waits && record.under.approval.is_some() && !self.settings.hold.is_zero()
    }

    /// Holds a request until the approval that it waits for was decided; `false` if nobody did in time, or there is no room
    /// for another one.
    pub(super) async fn is_decided(&self, waits: Option<Use>, until: Instant) -> bool {
        let (Some(waits), Ok(_slot)) = (waits, self.holds.try_acquire()) else { return false };
        let Some(store) = self.authority() else { return false };
        while Instant::now() < until && !self.holds.is_closed() {
            sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now()))).await;
            match store.approval(waits.id).await {
                Ok(Some(state)) if state.standing(self.ambient.now()) == Standing::Waiting => {}
                Ok(Some(_)) => return true,
                Ok(None) | Err(_) => return false,
            }
        }
        false
    }

    /// Where somebody can decide about what waits. The page asks who comes: the address alone lets nobody do anything.
    pub(super) fn approval_page(&self, record: &Decided) -> Option<String> {
        let waits = matches!(record.decision.verdict, Verdict::ApprovalRequired(_));
        let id = record.under.approval.filter(|_| waits)?.id;
        self.page_of(id)
    }

    /// The page about an approval.
    #[must_use]
    pub fn page_of(&self, approval: Id) -> Option<String> {
        self.settings.approval_pages.as_ref().map(|pages| format!("{pages}{approval}"))
    }

    /// Whether everybody who approved is still let in.
    fn voters_stand(&self, state: &ApprovalState) -> bool {
        let Some(registry) = self.identities.registry() else { return false };
        let is_revoked =
            |who: &str| registry.is_revoked(&Subject::new(SubjectKind::Human, who), None);
        !state.votes.iter().any(|vote| vote.approves && is_revoked(&vote.by))
    }

    /// The policies whose gates a call has passed, so that what goes on with it passes them as well.
    pub(super) async fn lifted_by(&self, used: Option<Use>) -> Vec<String> {
        let (Some(used), Some(registry)) = (used, self.identities.registry()) else {
            return Vec::new();
        };
        match registry.store().approval(used.id).await {
            Ok(Some(state)) if matches!(state.ended, Some((Ended::Spent { .. }, _))) => {
                passed(&state)
            }
            Ok(_) => Vec::new(),
            Err(error) => {
                tracing::error!(%error, "an approval cannot be looked up");
                Vec::new()
            }
        }
    }
}

/// The approval of the call `bound`: of a later round that which the round before took, if it took one, else the newest.
async fn known(
    registry: &Registry,
    bound: Digest,
    after: Option<Id>,
) -> Result<Option<ApprovalState>, StoreError> {
    if let Some(before) = after {
        let taken = registry.store().approval_taken_by(before).await?;
        if let Some(taken) = taken.filter(|state| state.approval.binding == bound) {
            return Ok(Some(taken));
        }
    }
    registry.store().approval_for(bound).await
}

fn passed(state: &ApprovalState) -> Vec<String> {
    state.approval.gates.iter().map(|gate| gate.policy.clone()).collect()
}
