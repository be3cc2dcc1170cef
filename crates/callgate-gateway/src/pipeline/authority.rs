//! Authority that is given and taken back while the gateway runs.

use std::sync::Arc;

use callgate_model::authority::{Administered, Change};
use callgate_model::evidence::Event;
use callgate_store::{Durability, EvidenceError};

use super::Gateway;

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

    /// Keeps what is known of the authority in the store right, for as long as it is polled.
    pub async fn follow_authority(&self) {
        match self.identities.registry() {
            Some(registry) => registry.follow(Arc::clone(&self.ambient)).await,
            None => std::future::pending().await,
        }
    }
}
