//! From a decision to a permit: the intent is durable before anything is sent (I1).
//!
//! A [`Permit`] has one constructor site, here, and is consumed by [`crate::forward::forward`]:
//!
//! ```compile_fail,E0451
//! # use callgate_gateway::evidence::Permit;
//! # use callgate_model::{ambient::Id, call::ToolCall};
//! fn forge(call: ToolCall, id: Id) -> Permit {
//!     Permit { call, id }
//! }
//! ```
//!
//! It cannot be copied to send a call twice:
//!
//! ```compile_fail,E0599
//! fn twice(permit: callgate_gateway::evidence::Permit) {
//!     let again = permit.clone();
//! }
//! ```

use std::sync::Arc;

use callgate_model::ambient::Id;
use callgate_model::call::ToolCall;
use callgate_model::evidence::{Concluded, Decided, Event, Outcome};
use callgate_model::vocabulary::Effect;
use callgate_store::{Durability, EvidenceError, EvidenceLog};
use futures_util::FutureExt;

/// The proof that a call was allowed and its intent recorded. Sending a call consumes one.
#[derive(Debug)]
#[must_use = "a permit that is not spent leaves an intent without a call"]
pub struct Permit {
    call: ToolCall,
    id: Id,
}

impl Permit {
    /// The permitted call; the permit is spent.
    pub(crate) fn spend(self) -> (Id, ToolCall) {
        (self.id, self.call)
    }
}

/// An intent that has no outcome yet. Dropping it records that the outcome is not known.
#[derive(Debug)]
#[must_use = "an intent has to be concluded"]
pub struct OpenEvidence {
    log: Arc<EvidenceLog>,
    id: Id,
    durability: Durability,
    /// What is true if nobody says more.
    unless_told: Option<Outcome>,
}

/// Why a call that was allowed may not be made after all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The decision is not to allow, or is about another call.
    #[error("the decision does not allow this call")]
    NotAllowed,
    /// The intent could not be recorded.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
}

/// Reads are promised less: their records are queued for the next group commit, not waited for.
fn durability(effect: Effect) -> Durability {
    match effect {
        Effect::Read => Durability::Queued,
        Effect::Write | Effect::Share | Effect::Delete | Effect::Admin => Durability::Durable,
    }
}

/// Records the intent to make `call`, as `decided`.
///
/// # Errors
/// [`OpenError`]; nothing may be sent then.
pub async fn open(
    log: &Arc<EvidenceLog>,
    decided: Arc<Decided>,
    call: ToolCall,
) -> Result<(Permit, OpenEvidence), OpenError> {
    if !decided.is_intent() || decided.arguments_digest != Some(call.arguments_digest) {
        return Err(OpenError::NotAllowed);
    }
    let id = decided.call;
    // A use that is taken must be known to be, and so must be that people are told.
    let counts = decided.budgets.iter().any(|count| count.exact);
    let takes = decided.under.spends() || counts || !decided.notices.is_empty();
    let durability = if takes { Durability::Durable } else { durability(call.operation.effect) };
    log.record(Event::Decided(decided), durability).await?;
    let evidence = OpenEvidence {
        log: Arc::clone(log),
        id,
        durability,
        unless_told: Some(Outcome::NotDispatched),
    };
    Ok((Permit { call, id }, evidence))
}

/// Records what nobody waits for: the next group commit takes it along.
///
/// # Errors
/// [`EvidenceError`] if it cannot even be queued.
pub fn enqueue(log: &EvidenceLog, event: Event) -> Result<(), EvidenceError> {
    // A queued record is taken, or refused, at once.
    log.record(event, Durability::Queued).now_or_never().unwrap_or(Err(EvidenceError::Closed))
}

impl OpenEvidence {
    /// The call.
    #[must_use]
    pub const fn id(&self) -> Id {
        self.id
    }

    /// From here on the call may have reached the server.
    pub fn dispatched(&mut self) {
        self.unless_told = Some(Outcome::Indeterminate);
    }

    /// Records the outcome: durable when this returns, unless the call is a read.
    ///
    /// # Errors
    /// [`EvidenceError`] if it could not be recorded; the outcome is then not known to the record.
    pub async fn conclude(mut self, concluded: Concluded) -> Result<(), EvidenceError> {
        self.unless_told = None;
        self.log.record(Event::Concluded(concluded), self.durability).await
    }
}

impl Drop for OpenEvidence {
    fn drop(&mut self) {
        if let Some(outcome) = self.unless_told.take() {
            let concluded = Concluded {
                call: self.id,
                outcome,
                upstream_us: None,
                result: None,
                detail: Some("the call was abandoned".to_owned()),
            };
            if let Err(error) = enqueue(&self.log, Event::Concluded(concluded)) {
                tracing::error!(call = %self.id, %error, "an outcome could not be recorded");
            }
        }
    }
}
