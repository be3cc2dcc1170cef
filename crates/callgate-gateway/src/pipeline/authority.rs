//! Authority that is given and taken back while the gateway runs.

use std::sync::Arc;

use callgate_mcp::http::{HeaderMap, StatusCode};
use callgate_model::authority::{Administered, Change};
use callgate_model::evidence::Event;
use callgate_model::reason::Reason;
use callgate_store::{AuthorityStore, Durability, EvidenceError};

use super::admit::invalid;
use super::{Gateway, Reply, Request};
use crate::identity::{Identified, Unacceptable, Visit};
use crate::workflow::{Run, Said, said};

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

    /// What the store says is in force.
    #[must_use]
    pub fn authority(&self) -> Option<&dyn AuthorityStore> {
        self.identities.registry().map(|registry| registry.store())
    }

    /// The holder of `token`, if it is good for `server`; for all of them, if that is nothing.
    ///
    /// # Errors
    /// [`Unacceptable`].
    pub async fn holder(&self, token: &str, server: &str) -> Result<Arc<Identified>, Unacceptable> {
        let resource = self.settings.resources.of(server);
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
        let opened = match said(headers, &request.params) {
            Said::Nothing => return Ok(()),
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
