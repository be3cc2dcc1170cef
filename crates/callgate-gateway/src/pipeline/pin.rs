//! Whether a tool is still what was approved. A tool that nobody approved, or that was changed since, is in no list, and
//! cannot be called.

use std::sync::Arc;

use callgate_model::ambient::Timestamp;
use callgate_model::authority::{Administered, Change, ToolOf, ToolPin};
use callgate_model::digest::Digest;
use callgate_model::evidence::Event;
use callgate_model::json::Object;
use callgate_model::reason::Reason;
use callgate_store::{Durability, EvidenceError};
use futures_util::future::join_all;

use super::Gateway;
use crate::pin::{ApprovedBy, Standing};
use crate::server::Server;
use crate::tools::{Tool, ToolSet};

/// Who the record says approved what is approved by its first use.
const FIRST_USE: &str = "first use";

impl Gateway {
    /// Why `tool`, or the one that it is to run, cannot be called, if that is because of what was approved.
    pub(super) async fn unapproved(
        &self,
        server: &Server,
        (set, tool): (&ToolSet, &Arc<Tool>),
        arguments: &Object,
    ) -> Option<Reason> {
        let inner = server.catalog.inner(&tool.definition.name, arguments);
        for tool in std::iter::once(tool).chain(inner.and_then(|name| set.get(name))) {
            if let Some(reason) = self.not_approved(server, tool).await {
                return Some(reason);
            }
        }
        None
    }

    async fn not_approved(&self, server: &Server, tool: &Arc<Tool>) -> Option<Reason> {
        if self.standing_of(server, tool) == Standing::New
            && server.approved_by == ApprovedBy::FirstUse
        {
            self.approve_first(server, &[Arc::clone(tool)]).await;
        }
        match self.standing_of(server, tool) {
            Standing::Approved => None,
            Standing::Changed => Some(Reason::ToolChanged),
            Standing::New => Some(Reason::ToolUnapproved),
        }
    }

    /// The tools of `all` that can be called as far as it depends on what was approved.
    pub(super) async fn approved(&self, server: &Server, all: &[Arc<Tool>]) -> Vec<Arc<Tool>> {
        if server.approved_by == ApprovedBy::FirstUse {
            let is_new = |tool: &&Arc<Tool>| self.standing_of(server, tool) == Standing::New;
            let new: Vec<Arc<Tool>> = all.iter().filter(is_new).cloned().collect();
            self.approve_first(server, &new).await;
        }
        let is_approved = |tool: &&Arc<Tool>| self.standing_of(server, tool) == Standing::Approved;
        all.iter().filter(is_approved).cloned().collect()
    }

    /// How `tool` stands to what was approved of it.
    pub(crate) fn standing_of(&self, server: &Server, tool: &Tool) -> Standing {
        if server.approved_by == ApprovedBy::Nobody {
            return Standing::Approved;
        }
        let registry = self.identities.registry();
        let pin = registry.and_then(|all| all.pin(&server.name, &tool.definition.name));
        Standing::of(tool.definition.digest, pin)
    }

    /// Remembers what tools are when they are used first. What another gateway remembered meanwhile stays.
    async fn approve_first(&self, server: &Server, tools: &[Arc<Tool>]) {
        let Some(registry) = self.identities.registry().filter(|_| !tools.is_empty()) else {
            return;
        };
        let now = self.ambient.now();
        let remember = |tool: &Arc<Tool>| {
            let pin = tool.pin(&server.name, None, now);
            let (by, change) = (FIRST_USE.to_owned(), Change::ToolPinned { pin: Box::new(pin) });
            let event = Event::Administered(Arc::new(Administered { by, change }));
            self.evidence.record(event, Durability::Durable)
        };
        for remembered in join_all(tools.iter().map(remember)).await {
            match remembered {
                Ok(()) | Err(EvidenceError::Refused) => {}
                Err(error) => tracing::error!(%error, "what a tool is cannot be remembered"),
            }
        }
        if let Err(error) = registry.refresh(now).await {
            tracing::error!(%error, "what is in force cannot be read");
        }
    }
}

impl Tool {
    /// The approval of this tool of `server`, as it is defined now.
    #[must_use]
    pub fn pin(&self, server: &str, replaces: Option<Digest>, at: Timestamp) -> ToolPin {
        let of = ToolOf { server: server.to_owned(), tool: self.definition.name.clone() };
        let definition = self.definition.definition.canonical();
        let definition = String::from_utf8(definition).unwrap_or_default();
        ToolPin { of, digest: self.definition.digest, definition, replaces, at }
    }
}
