//! Approvals: whether somebody has let exactly this call through; if nobody was asked, somebody is.

use std::time::Instant;

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::{
    About, Approval, ApprovalState, Asker, COOLS_DOWN_S, Ended, Offer, Standing, binding,
};
use callgate_model::authority::{Change, Grant, Subject, SubjectKind, Use};
use callgate_model::call::Method;
use callgate_model::decision::{Decision, Gate, Verdict};
use callgate_model::digest::Digest;
use callgate_model::evidence::Decided;
use callgate_model::reason::Reason;
use callgate_policy::Bundle;
use callgate_store::{EvidenceError, StoreError};
use tokio::time::sleep;

use super::{Gateway, Request};
use crate::identity::{LOOK_EVERY, Registry};
use crate::limits::Limit;
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
        let after = record.under.after;
        let is_decided = known.as_ref().is_some_and(|state| self.is_decided(state, after));
        if !is_decided && self.pass_by_grant(request, call, bundle, &asker, record).await {
            return;
        }
        if let Some(state) = &known
            && self.follow(request, call, bundle, state, record).await
        {
            return;
        }
        let Some(gates) = self.owned(gates, &call.0.targets) else {
            record.decision = Decision::deny(Reason::ApprovalOwnerless, bundle.digest());
            return;
        };
        let mut wanted = self.request_for(
            (asker, request.why.clone()),
            bound,
            (call.0, &record.decision),
            gates,
        );
        wanted.looks = self.look(request, call.0, (bundle.digest(), record.call)).await;
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

    /// Whether somebody has said what becomes of this very call, which counts more than what was granted for others like it;
    /// a later round goes on with what the round before took.
    fn is_decided(&self, state: &ApprovalState, after: Option<Id>) -> bool {
        match state.standing(self.ambient.now()) {
            Standing::Approved { .. } => true,
            Standing::Ended(Ended::Spent { call }) if after == Some(call) => true,
            Standing::Ended(Ended::Denied) => state.ended.is_some_and(|(_, at)| self.cools(at)),
            Standing::Ended(Ended::Spent { .. } | Ended::Withdrawn)
            | Standing::Waiting
            | Standing::Expired
            | Standing::Unused => false,
        }
    }

    fn cools(&self, denied: Timestamp) -> bool {
        self.ambient.now().ms_since(denied) < COOLS_DOWN_S * 1_000
    }

    /// Allows the call, if whoever approved another one has granted this one with it.
    async fn pass_by_grant(
        &self,
        request: &Request,
        (named, grant): Call<'_>,
        bundle: &Bundle,
        asker: &Asker,
        record: &mut Decided,
    ) -> bool {
        // A call takes a use of one grant.
        let Some(registry) = self.identities.registry().filter(|_| grant.is_none()) else {
            return false;
        };
        let (caller, action, now) =
            (&request.caller.caller, named.call.action(), self.ambient.now());
        let found = registry.grants(caller, action, &named.targets, now).await;
        let found = found.unwrap_or_else(|error| {
            // Without one, somebody is asked.
            tracing::error!(%error, "grants cannot be looked up");
            Vec::new()
        });
        for grant in found {
            let lifted = self.lifted_by_grant(&grant, asker, named, bundle);
            if lifted.is_empty() {
                continue;
            }
            let decision = self.decide_under(request, named, bundle, (None, lifted));
            if decision.is_allow() {
                record.decision = decision;
                record.under.grant = Some(Use { id: grant.id, spends: true });
                return true;
            }
        }
        false
    }

    /// The gates that a grant lifts for this call: none, if it is not for it, or not any more.
    pub(super) fn lifted_by_grant<'g>(
        &self,
        grant: &'g Grant,
        asker: &Asker,
        named: &NamedCall,
        bundle: &Bundle,
    ) -> &'g [String] {
        let lifts = grant.lifts.as_ref();
        let lifts = lifts.filter(|lifts| lifts.covers(asker, &named.call, bundle.digest()));
        match lifts {
            Some(lifts) if self.are_let_in(lifts.approvers.iter()) => &lifts.policies,
            Some(_) | None => &[],
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
        let still_counts = self.still_counts(state, bundle);
        if standing.is_open() && !still_counts {
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
            Standing::Ended(Ended::Spent { call: by }) if after == Some(by) && still_counts => {
                self.pass(request, call, bundle, state, record)
            }
            Standing::Ended(Ended::Denied) => {
                let cools = state.ended.is_some_and(|(_, at)| self.cools(at));
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
        record.under.binding = Some(state.approval.binding).filter(|_| is_allow);
        record.under.by_glass = is_allow && state.glass.is_some();
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
        let now = self.ambient.now();
        let refused = match registry.store().approval_for(bound).await {
            Ok(Some(state)) if state.standing(now).is_open() => {
                record.under.approval = Some(Use { id: state.approval.id, spends: false });
                return;
            }
            Ok(_) => {
                self.metrics.limited(Limit::Approvals);
                Reason::ApprovalsTooMany
            }
            Err(error) => {
                tracing::error!(%error, "approvals cannot be looked up");
                Reason::EvidenceUnavailable
            }
        };
        record.decision = Decision::deny(refused, bundle.digest());
    }

    fn request_for(
        &self,
        (asker, why): (Asker, Option<String>),
        binding: Digest,
        (named, decision): (&NamedCall, &Decision),
        gates: Vec<Gate>,
    ) -> Approval {
        let at = self.ambient.now();
        // Of several gates, the clocks that end first.
        let decide_within_s =
            gates.iter().map(|gate| gate.decide_within_s).min().unwrap_or_default();
        let use_within_s = gates.iter().map(|gate| gate.use_within_s).min().unwrap_or_default();
        let arguments = String::from_utf8(named.call.arguments.canonical()).unwrap_or_default();
        let mut about = About::of(&named.call, &named.targets, why);
        let (recorded, _) = self.settings.recording.named(&named.call, decision.obligations());
        about.arguments = serde_json::to_value(&recorded).unwrap_or_default();
        Approval {
            offer: Offer::of(&gates, &named.targets),
            id: self.ambient.id(),
            binding,
            asker,
            about,
            gates,
            bundle: decision.bundle,
            at,
            decide_until: at.after_ms(decide_within_s.saturating_mul(1_000)),
            use_within_s,
            arguments,
            looks: Vec::new(),
        }
    }

    /// What an approval is once it waits no more, or at `until`. `None` if nobody knows.
    pub(super) async fn decided(&self, approval: Id, until: Instant) -> Option<Standing> {
        let store = self.authority()?;
        loop {
            let state = store.approval(approval).await.ok().flatten()?;
            let standing = state.standing(self.ambient.now());
            let left = until.saturating_duration_since(Instant::now());
            if standing != Standing::Waiting || left.is_zero() || self.holds.is_ending() {
                return Some(standing);
            }
            sleep(LOOK_EVERY.min(left)).await;
        }
    }

    /// Where somebody can decide about what waits. The page asks who comes: the address alone lets nobody do anything.
    pub(super) fn approval_page(&self, record: &Decided) -> Option<String> {
        self.page_of(waits_for(record)?)
    }

    /// The page about an approval.
    #[must_use]
    pub fn page_of(&self, approval: Id) -> Option<String> {
        self.settings.console.as_ref().map(|console| format!("{console}/approvals/{approval}"))
    }

    /// Whether the policies are those that it was asked for by, and everybody who approved it is still let in.
    fn still_counts(&self, state: &ApprovalState, bundle: &Bundle) -> bool {
        let approvers = state.votes.iter().filter(|vote| vote.approves).map(|vote| &vote.by);
        let approvers = approvers.chain(state.glass.iter().map(|glass| &glass.glass.by));
        state.approval.bundle == bundle.digest() && self.are_let_in(approvers)
    }

    fn are_let_in<'p>(&self, mut people: impl Iterator<Item = &'p String>) -> bool {
        let Some(registry) = self.identities.registry() else { return false };
        !people.any(|who| registry.is_revoked(&Subject::new(SubjectKind::Human, who), None))
    }

    /// The policies whose gates a call has passed, so that what goes on with it passes them as well: under the policies that it
    /// was approved by, for as long as whoever approved it is let in (I8). To ask what came of it lets nothing through.
    pub(super) async fn lifted_by(
        &self,
        used: Option<Use>,
        (bundle, method): (&Bundle, Method),
    ) -> Vec<String> {
        let (Some(used), Some(registry)) = (used, self.identities.registry()) else {
            return Vec::new();
        };
        match registry.store().approval(used.id).await {
            Ok(Some(state))
                if matches!(state.ended, Some((Ended::Spent { .. }, _)))
                    && (method == Method::TasksGet || self.still_counts(&state, bundle)) =>
            {
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

/// The approval that a call waits for, if it does.
pub(super) fn waits_for(record: &Decided) -> Option<Id> {
    let waits = matches!(record.decision.verdict, Verdict::ApprovalRequired(_));
    record.under.approval.filter(|_| waits).map(|approval| approval.id)
}
