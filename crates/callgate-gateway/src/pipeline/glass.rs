//! Breaking the glass: when nobody is there who may approve a call and it cannot wait, a person whom policy permits lets it through
//! alone, and answers for it: with a passkey, a reason and a ticket; others are told at once, and somebody else reviews it.

use std::sync::Arc;

use callgate_model::ambient::Id;
use callgate_model::approval::{
    Approval, ApprovalState, Glass, GlassReview, GlassVerdict, Known, Notice, Occasion, Standing,
};
use callgate_model::authority::{Change, Proof};
use callgate_model::digest::Digest;
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;

use super::vote::{REASON_CHARS_MAX, asker, by_themselves, is_any_of};
use super::{ErrandError, Gateway};
use crate::identity::Identified;

/// The longest ticket, in characters.
const TICKET_CHARS_MAX: usize = 100;

/// What somebody says who breaks the glass.
#[derive(Clone, Debug)]
pub struct Breaking {
    /// Why it cannot wait.
    pub reason: String,
    /// The ticket that it belongs to.
    pub ticket: String,
    /// The digest of what they were shown.
    pub shown: Digest,
    /// By which passkey they have proved that they say all of this. Whoever says so has checked it.
    pub proof: Proof,
}

impl Gateway {
    /// Whether `who` may break the glass for this call: so that nobody else is shown how.
    #[must_use]
    pub fn may_break_glass(&self, who: &Identified, state: &ApprovalState) -> bool {
        let about = Some(&*state.approval.asker.accountable);
        state.standing(self.ambient.now()) == Standing::Waiting
            && !self.settings.break_glass.is_empty()
            && self.may(who, Errand::ApprovalBreakGlass, about)
            && self.is_for_others(who, &state.approval).is_ok()
    }

    /// Whether `who` may review that the glass was broken for this call.
    #[must_use]
    pub fn may_review_glass(&self, who: &Identified, state: &ApprovalState) -> bool {
        let about = Some(&*state.approval.asker.accountable);
        self.may(who, Errand::ApprovalReview, about) && self.may_judge(who, state).is_ok()
    }

    /// Breaks the glass for a call that waits, if policy lets `who` do so about such calls and it is not their own.
    ///
    /// # Errors
    /// [`ErrandError`].
    pub async fn break_glass(
        &self,
        who: &Arc<Identified>,
        id: Id,
        breaking: Breaking,
    ) -> Result<ApprovalState, ErrandError> {
        let found = self.approval(id).await;
        let about = asker(&found);
        let (reason, ticket) = said(&breaking.reason, &breaking.ticket);
        let asked = Object::default()
            .with("id", id.to_string())
            .with("reason", &*reason)
            .with("ticket", &*ticket)
            .with("shown", breaking.shown.to_string());
        let work = async {
            let state = found?;
            self.can_be_broken(who, &state, &breaking).await?;
            let (approval, seen, by) = (&state.approval, breaking.shown, name_of(who));
            let (proof, at) = (breaking.proof.clone(), self.ambient.now());
            let known = Some(Known::of(&who.caller));
            let glass =
                Glass { approval: id, by: by.clone(), reason, ticket, proof, known, seen, at };
            let notices = self.told_of_glass(approval);
            let change = Change::GlassBroken { glass: Box::new(glass), notices };
            self.administer(by, change).await?;
            self.approval(id).await
        };
        let errand = Errand::ApprovalBreakGlass;
        self.run_errand(who, errand, about.as_deref(), asked, work).await
    }

    /// Takes what somebody else says of broken glass.
    ///
    /// # Errors
    /// [`ErrandError`].
    pub async fn review_glass(
        &self,
        who: &Arc<Identified>,
        id: Id,
        (verdict, note): (GlassVerdict, &str),
    ) -> Result<ApprovalState, ErrandError> {
        let found = self.approval(id).await;
        let about = asker(&found);
        let note: String = note.trim().chars().take(REASON_CHARS_MAX).collect();
        let asked = Object::default()
            .with("id", id.to_string())
            .with("verdict", verdict.as_str())
            .with("note", &*note);
        let work = async {
            let state = found?;
            self.may_judge(who, &state).map_err(wrong)?;
            if note.is_empty() {
                return Err(wrong("say why: it is recorded"));
            }
            let (by, at) = (name_of(who), self.ambient.now());
            let review = GlassReview { approval: id, by: by.clone(), verdict, note, at };
            self.administer(by, Change::GlassReviewed { review: Box::new(review) }).await?;
            self.approval(id).await
        };
        self.run_errand(who, Errand::ApprovalReview, about.as_deref(), asked, work).await
    }

    async fn can_be_broken(
        &self,
        who: &Identified,
        state: &ApprovalState,
        breaking: &Breaking,
    ) -> Result<(), ErrandError> {
        if self.settings.break_glass.is_empty() {
            return Err(wrong("nobody breaks the glass here: nobody would be told"));
        }
        self.is_for_others(who, &state.approval).map_err(wrong)?;
        if state.standing(self.ambient.now()) != Standing::Waiting {
            return Err(ErrandError::Gone);
        }
        if breaking.shown != state.approval.shown() {
            return Err(wrong("it is not what you were shown: look at it again"));
        }
        let (reason, ticket) = said(&breaking.reason, &breaking.ticket);
        if reason.is_empty() || ticket.is_empty() {
            return Err(wrong("say why it cannot wait, and for which ticket: both are recorded"));
        }
        let name = name_of(who);
        let store = self.authority().ok_or(ErrandError::Unavailable)?;
        let due = store.to_review().await.map_err(|error| {
            tracing::error!(%error, "broken glass cannot be looked up");
            ErrandError::Unavailable
        })?;
        let mut breakers = due.iter().filter_map(|state| Some(&state.glass.as_ref()?.glass.by));
        if breakers.any(|by| is_any_of(&name, [by], &self.settings.same_person)) {
            let text = "you have broken the glass before, and nobody has reviewed that yet";
            return Err(wrong(text));
        }
        Ok(())
    }

    /// Nobody lets a call of their own through, by any of their accounts; nor does any program.
    fn is_for_others(&self, who: &Identified, approval: &Approval) -> Result<(), &'static str> {
        by_themselves(&who.caller)?;
        let people = &approval.asker.people;
        if is_any_of(&name_of(who), people, &self.settings.same_person) {
            return Err("it is your own call: nobody breaks the glass for themselves");
        }
        Ok(())
    }

    /// Whether it is for `who` to say whether it was right.
    fn may_judge(&self, who: &Identified, state: &ApprovalState) -> Result<(), &'static str> {
        let Some(glass) = state.glass.as_ref().filter(|glass| glass.review.is_none()) else {
            return Err("there is no broken glass to be reviewed");
        };
        by_themselves(&who.caller)?;
        let people = state.approval.asker.people.iter().chain([&glass.glass.by]);
        if is_any_of(&name_of(who), people, &self.settings.same_person) {
            return Err("it was for your own call, or by yourself: somebody else has to review it");
        }
        Ok(())
    }

    fn told_of_glass(&self, approval: &Approval) -> Vec<Notice> {
        let notice = |channel: &String| Notice {
            id: self.ambient.id(),
            channel: channel.clone(),
            occasion: Occasion::GlassBroken,
            page: self.page_of(approval.id),
        };
        self.settings.break_glass.iter().map(notice).collect()
    }
}

fn name_of(who: &Identified) -> String {
    who.caller.accountable.identity.to_string()
}

fn wrong(why: &str) -> ErrandError {
    ErrandError::Wrong(why.to_owned())
}

/// What is recorded of what somebody says.
fn said(reason: &str, ticket: &str) -> (String, String) {
    let kept = |text: &str, most| text.trim().chars().take(most).collect();
    (kept(reason, REASON_CHARS_MAX), kept(ticket, TICKET_CHARS_MAX))
}
