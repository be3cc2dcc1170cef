//! Authority that is given and taken back while the gateway runs.

use std::sync::Arc;

use callgate_model::authority::{Administered, Change};
use callgate_model::evidence::Event;
use callgate_store::{AuthorityStore, Durability, EvidenceError};

use super::Gateway;
use crate::identity::{Identified, Unacceptable, Visit};

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

    /// Keeps what is known of the authority in the store right, for as long as it is polled.
    pub async fn follow_authority(&self) {
        match self.identities.registry() {
            Some(registry) => registry.follow(Arc::clone(&self.ambient)).await,
            None => std::future::pending().await,
        }
    }
}
