//! Authority that is given and taken back while the gateway runs.

use std::sync::Arc;

use callgate_mcp::http::{HeaderMap, StatusCode};
use callgate_model::authority::{Administered, Change, Revocation, Subject, SubjectKind};
use callgate_model::caller::Assurance;
use callgate_model::evidence::Event;
use callgate_model::products::gateway::NAME;
use callgate_model::reason::Reason;
use callgate_store::{AuthorityStore, Durability, EvidenceError, EvidenceStore};

use super::admit::invalid;
use super::{Gateway, Reply, Request};
use crate::evidence::enqueue;
use crate::identity::{Identified, Signal, Unacceptable, Visit, What};
use crate::workflow::{Run, Said, said};

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// It is none of an issuer that is listened to.
    #[error(transparent)]
    Unacceptable(#[from] Unacceptable),
    /// What it asks for could not be recorded.
    #[error(transparent)]
    Unrecorded(#[from] EvidenceError),
}

impl Gateway {
    /// Makes a change in the name of `by`. It is in the record when this returns, and holds for every call that starts
    /// afterwards (I8).
    ///
    /// # Errors
    /// [`EvidenceError`]; of these, [`EvidenceError::Refused`] says that there is nothing any more to be changed so.
    pub async fn administer(&self, by: String, change: Change) -> Result<(), EvidenceError> {
        let event = Event::Administered(Arc::new(Administered { by, change }));
        self.evidence.record(event, Durability::Durable).await?;
        if let Some(registry) = self.identities.registry() {
            registry.refresh(self.ambient.now()).await?;
        }
        Ok(())
    }

    /// Records of the calls that other gateways left open, and that live no more, that nobody knows what became of them: how many.
    ///
    /// # Errors
    /// [`EvidenceError`]; those before are recorded.
    pub async fn close_left(&self) -> Result<usize, EvidenceError> {
        let store = self.evidence.store().ok_or(EvidenceError::Closed)?;
        let left = store.orphans().await?;
        for call in &left {
            self.evidence.close(*call).await?;
        }
        Ok(left.len())
    }

    /// Records that somebody could not sign in to the console: nobody waits for it.
    pub fn not_signed_in(&self, who: Option<String>, reason: String) {
        let change = Change::SignInRefused { who, reason };
        let by = "callgate".to_owned();
        let event = Event::Administered(Arc::new(Administered { by, change }));
        if let Err(error) = enqueue(&self.evidence, event) {
            tracing::error!(%error, "that somebody could not sign in was not recorded");
        }
    }

    /// Takes an event of an issuer (RFC 8935): whoever it is about is let in no more, or only with what they get from now on.
    ///
    /// # Errors
    /// [`EventError`].
    pub async fn take_event(&self, issuer: &str, token: &str) -> Result<(), EventError> {
        let now = self.ambient.now();
        let signals = self.identities.signals(issuer, token, now).await?;
        for Signal { who, what } in signals {
            // An event does not say whether it is about a person.
            for kind in [SubjectKind::Human, SubjectKind::ServiceAccount] {
                self.heed(issuer, &Subject::new(kind, who.clone()), what).await?;
            }
        }
        Ok(())
    }

    async fn heed(&self, issuer: &str, subject: &Subject, what: What) -> Result<(), EventError> {
        let (by, reason) = (format!("events of {issuer}"), format!("an event of {issuer}"));
        let closed = format!("{issuer} closed the account");
        let registry = self.identities.registry().ok_or(EvidenceError::Closed)?;
        let (issued_before, reason) = match what {
            What::Opened => {
                let all = registry.store().revocations().await.map_err(EvidenceError::from)?;
                let is_it = |one: &Revocation| one.subject == *subject && one.reason == closed;
                for one in all.into_iter().filter(is_it) {
                    self.administer(by.clone(), Change::RevocationLifted { id: one.id }).await?;
                }
                return Ok(());
            }
            What::Cut(before) => (Some(before), reason),
            What::Closed => (None, closed),
        };
        if registry.is_revoked(subject, issued_before) {
            // It was told again.
            return Ok(());
        }
        let (id, at) = (self.ambient.id(), self.ambient.now());
        let subject = subject.clone();
        let revocation = Box::new(Revocation { id, subject, issued_before, reason, at });
        Ok(self.administer(by, Change::Revoked { revocation }).await?)
    }

    /// What the store says is in force.
    #[must_use]
    pub fn authority(&self) -> Option<&dyn AuthorityStore> {
        self.identities.registry().map(|registry| registry.store())
    }

    /// What is recorded, to be read.
    #[must_use]
    pub fn recorded(&self) -> Option<Arc<dyn EvidenceStore>> {
        self.evidence.store()
    }

    /// The holder of `token`, if it is good for `server`; for all of them, if that is nothing; for the API, if it is called so.
    ///
    /// # Errors
    /// [`Unacceptable`].
    pub async fn holder(&self, token: &str, server: &str) -> Result<Arc<Identified>, Unacceptable> {
        let of = &self.settings.resources;
        let resource = if server == NAME { of.api() } else { of.of(server) };
        let visit = Visit { resource: &resource.address, server, peer: None };
        self.identities.holder(token, self.ambient.now(), &visit).await
    }

    /// The handle of a run for this caller.
    #[must_use]
    pub fn start_workflow(&self, caller: &Identified, run: &Run) -> Option<String> {
        run.seal(&self.keys, caller, &*self.ambient)
    }

    /// Makes a request one of the run that it says it belongs to. If that is no run of this caller, it is refused.
    pub(super) fn enter_workflow(
        &self,
        headers: Option<&HeaderMap>,
        request: &mut Request,
    ) -> Result<(), Box<Reply>> {
        let is_in_one = request.caller.caller.workflow.as_ref();
        let is_in_one = is_in_one.is_some_and(|run| run.assurance == Assurance::Verified);
        let opened = match said(headers, &request.params) {
            Said::Nothing => return Ok(()),
            // It is in a transaction of its issuer already.
            Said::Handle(_) if is_in_one => None,
            Said::Handle(handle) => {
                Run::open(&self.keys, &request.caller, self.ambient.now(), handle)
            }
            Said::Unclear => None,
        };
        let entered = opened.map(|run| run.of(&request.caller));
        let registry = self.identities.registry();
        let is_admitted = |caller: &Arc<Identified>| {
            registry.is_none_or(|registry| registry.admits(&caller.caller).is_ok())
        };
        match entered.filter(is_admitted) {
            Some(caller) => {
                request.caller = caller;
                Ok(())
            }
            None => {
                let reason = Reason::WorkflowInvalid;
                let record = self.blank_record(request, "", self.bundle.load().digest());
                let refused = invalid(StatusCode::FORBIDDEN, reason.message());
                Err(Box::new(self.refuse_wire(request, record, &refused, reason)))
            }
        }
    }

    /// Keeps what is known of the authority in the store right, for as long as it is polled.
    pub async fn follow_authority(&self) {
        match self.identities.registry() {
            Some(registry) => registry.follow(Arc::clone(&self.ambient)).await,
            None => std::future::pending().await,
        }
    }
}
