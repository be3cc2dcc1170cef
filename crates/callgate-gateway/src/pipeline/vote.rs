//! Those who decide about calls: what they are shown, and what they say.

use std::collections::BTreeSet;
use std::sync::Arc;

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::{Approval, ApprovalState, Known, Standing, Vote};
use callgate_model::authority::{Change, Grant, Proof, Use};
use callgate_model::caller::{AccountableKind, Caller};
use callgate_model::decision::Gate;
use callgate_model::digest::Digest;
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use callgate_store::EvidenceError;

use super::{ErrandError, Gateway};
use crate::identity::Identified;

/// People who are one, though several accounts say otherwise: none of them approves what another asks for.
pub type SamePerson = Vec<BTreeSet<String>>;

/// What somebody says to an approval.
#[derive(Clone, Debug)]
pub struct Ballot {
    /// Whether they approve.
    pub approves: bool,
    /// Whether they also grant what the approval offers: more calls like this one.
    pub grants: bool,
    /// Why, in their words.
    pub reason: Option<String>,
    /// The digest of what they were shown.
    pub shown: Digest,
    /// By which passkey they have proved that it is them who approve this. Whoever says so has checked it.
    pub proof: Option<Proof>,
}

/// The longest reason, in characters.
pub(super) const REASON_CHARS_MAX: usize = 500;

impl Gateway {
    /// Shows an approval to `viewer`, if policy lets them see it, and records that they saw it.
    ///
    /// # Errors
    /// [`ErrandError`].
    pub async fn show_approval(
        &self,
        viewer: &Arc<Identified>,
        id: Id,
    ) -> Result<ApprovalState, ErrandError> {
        let found = self.approval(id).await;
        let about = asker(&found);
        let asked = Object::default().with("id", id.to_string());
        let work = async {
            let state = found?;
            if state.standing(self.ambient.now()).is_open() {
                let change = Change::ApprovalViewed { id, shown: state.approval.shown() };
                self.administer(viewer.caller.summary(), change).await?;
            }
            Ok(state)
        };
        self.run_errand(viewer, Errand::ApprovalShow, about.as_deref(), asked, work).await
    }

    /// Whether an approval waits for `who`: they are of those whom its gates name, policy lets them decide about such calls, and
    /// they have not yet. Nothing is recorded.
    #[must_use]
    pub fn waits_for(&self, who: &Identified, state: &ApprovalState) -> bool {
        let (approval, now) = (&state.approval, self.ambient.now());
        let name = who.caller.accountable.identity.to_string();
        state.standing(now) == Standing::Waiting
            && state.votes.iter().all(|vote| vote.by != name)
            && gates_of(&who.caller, (approval, now), &self.settings.same_person).is_ok()
            && self.may(who, Errand::ApprovalDecide, Some(&approval.asker.accountable))
    }

    /// Takes what `voter` says, if policy lets them decide about such calls, and they are of those whom a gate names and no
    /// part of the call.
    ///
    /// # Errors
    /// [`ErrandError`].
    pub async fn vote(
        &self,
        voter: &Arc<Identified>,
        id: Id,
        ballot: Ballot,
    ) -> Result<ApprovalState, ErrandError> {
        let found = self.approval(id).await;
        let about = asker(&found);
        let asked = Object::default()
            .with("id", id.to_string())
            .with("approves", ballot.approves)
            .with("grants", ballot.grants)
            .with("shown", ballot.shown.to_string());
        let work = async {
            let state = found?;
            let approval = &state.approval;
            let gates = (approval, self.ambient.now());
            let gates = gates_of(&voter.caller, gates, &self.settings.same_person)
                .map_err(|why| ErrandError::Wrong(why.to_owned()))?;
            if state.standing(self.ambient.now()) != Standing::Waiting {
                return Err(ErrandError::Gone);
            }
            if ballot.shown != approval.shown() {
                let text = "it is not what you were shown: look at it again";
                return Err(ErrandError::Wrong(text.to_owned()));
            }
            if ballot.approves && ballot.proof.is_none() && wants_passkey(approval, &gates) {
                let text = "whoever approves this proves by a passkey that it is them: do it on its page in the console";
                return Err(ErrandError::Wrong(text.to_owned()));
            }
            if ballot.grants && (approval.offer.is_none() || !ballot.approves) {
                let text = "nothing but the one call can be approved here";
                return Err(ErrandError::Wrong(text.to_owned()));
            }
            let by = voter.caller.accountable.identity.to_string();
            let reason = ballot.reason.map(|text| text.chars().take(REASON_CHARS_MAX).collect());
            let (approves, seen, at) = (ballot.approves, ballot.shown, self.ambient.now());
            let Ballot { grants, proof, .. } = ballot;
            let vote = Vote {
                approval: id,
                by: by.clone(),
                approves,
                gates,
                grants,
                reason,
                seen,
                proof,
                known: Some(Known::of(&voter.caller)),
                at,
            };
            self.administer(by.clone(), Change::ApprovalVoted { vote: Box::new(vote) }).await?;
            let state = self.approval(id).await?;
            if let Some(grant) = Grant::beside(&state, self.ambient.now()) {
                self.issue_beside(by, grant).await?;
            }
            Ok(state)
        };
        self.run_errand(voter, Errand::ApprovalDecide, about.as_deref(), asked, work).await
    }

    /// Issues what was granted beside an approval, once: the last two to approve it may come at the same time. Should this fail,
    /// the one call is approved all the same.
    async fn issue_beside(&self, by: String, grant: Grant) -> Result<(), ErrandError> {
        let used = Some(Use { id: grant.id, spends: false });
        match self.administer(by, Change::GrantIssued { grant: Box::new(grant) }).await {
            Err(EvidenceError::Refused) if self.standing_grant(used).await.is_some() => Ok(()),
            Err(EvidenceError::Refused) => {
                let text = "this call is approved, and no others: too many grants of the same place are in force";
                Err(ErrandError::Wrong(text.to_owned()))
            }
            done => Ok(done?),
        }
    }

    /// Takes an approval back that was not used yet.
    ///
    /// # Errors
    /// [`ErrandError`].
    pub async fn withdraw_approval(
        &self,
        caller: &Arc<Identified>,
        id: Id,
        reason: String,
    ) -> Result<(), ErrandError> {
        let found = self.approval(id).await;
        let about = asker(&found);
        let asked = Object::default().with("id", id.to_string()).with("reason", reason.as_str());
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        let change = Change::ApprovalWithdrawn { id, reason };
        let work = async {
            found?;
            Ok(self.administer(caller.caller.summary(), change).await?)
        };
        self.run_errand(caller, Errand::ApprovalWithdraw, about.as_deref(), asked, work).await
    }

    pub(super) async fn approval(&self, id: Id) -> Result<ApprovalState, ErrandError> {
        let store = self.authority().ok_or(ErrandError::Unavailable)?;
        let found = store.approval(id).await.map_err(|error| {
            tracing::error!(%error, "an approval cannot be looked up");
            ErrandError::Unavailable
        })?;
        found.ok_or(ErrandError::Gone)
    }
}

/// On whose account it is decided. Who may do nothing here learns nothing of what there is.
pub(super) fn asker(found: &Result<ApprovalState, ErrandError>) -> Option<String> {
    found.as_ref().ok().map(|state| state.approval.asker.accountable.clone())
}

/// Whether it is a person who comes, with nobody in between.
///
/// # Errors
/// Why not.
pub fn by_themselves(caller: &Caller) -> Result<(), &'static str> {
    let who = &caller.accountable;
    if who.kind != AccountableKind::Human || caller.agent.is_some() || !caller.actors.is_empty() {
        return Err("only a person decides, by themselves: no agent and no service account");
    }
    if !who.assurance.is_assured() {
        return Err("who you are is only said, not known");
    }
    Ok(())
}

/// Whether `name` is an account of one of `people`.
pub(super) fn is_any_of<'p>(
    name: &str,
    people: impl IntoIterator<Item = &'p String>,
    same_person: &SamePerson,
) -> bool {
    let is_same = |accounts: &BTreeSet<String>, one: &String| {
        accounts.contains(name) && accounts.contains(one)
    };
    let mut people = people.into_iter();
    people.any(|one| one == name || same_person.iter().any(|accounts| is_same(accounts, one)))
}

/// Whether one of the gates of these policies wants a passkey.
fn wants_passkey(approval: &Approval, gates: &[String]) -> bool {
    approval.gates.iter().any(|gate| gate.step_up && gates.contains(&gate.policy))
}

/// The gates about which `voter` may decide, by their policies.
///
/// # Errors
/// Why they may decide about none.
fn gates_of(
    voter: &Caller,
    (approval, now): (&Approval, Timestamp),
    same_person: &SamePerson,
) -> Result<Vec<String>, &'static str> {
    by_themselves(voter)?;
    let who = &voter.accountable;
    let name = who.identity.to_string();
    let asker = &approval.asker;
    let is_own = is_any_of(&name, &asker.people, same_person);
    let is_delegate = asker.is_human && asker.accountable == name;
    let may = |approvers: &str| match approvers.strip_prefix("team:") {
        Some(team) => !is_own && who.groups.iter().any(|group| group == team),
        None => approvers == Gate::PERSON && is_delegate,
    };
    let escalated = |gate: &Gate| {
        gate.escalation.as_ref().is_some_and(|also| {
            now.ms_since(approval.at) >= also.after_s.saturating_mul(1_000) && may(&also.approvers)
        })
    };
    let gates = approval.gates.iter().filter(|gate| may(&gate.approvers) || escalated(gate));
    let gates: Vec<String> = gates.map(|gate| gate.policy.clone()).collect();
    match (gates.is_empty(), is_own) {
        (false, _) => Ok(gates),
        (true, true) => Err("it is your own call: somebody else has to decide about it"),
        (true, false) => Err("you are none of those who may approve it"),
    }
}

#[cfg(test)]
mod tests;
