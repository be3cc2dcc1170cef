//! What a client is told that needs another token: where to get it, and with which scopes.

use bytes::Bytes;
use callgate_mcp::http::HeaderValue;
use callgate_model::envelope::Action;
use callgate_model::evidence::{Decided, Understood};
use callgate_model::reason::Reason;

use super::admit::Entrance;
use super::{Gateway, Request};
use crate::identity::Unacceptable;
use crate::resource::Resource;

impl Gateway {
    /// What a client without a good token is told: where to get one (RFC 6750 §3, RFC 9728 §5.1).
    pub(super) fn challenge(
        &self,
        resource: &Resource,
        wrong: &Unacceptable,
    ) -> Option<HeaderValue> {
        let mut parts = Vec::new();
        if let Some(metadata) = resource.metadata.as_ref().filter(|_| self.has_issuers()) {
            parts.push(format!("resource_metadata=\"{metadata}\""));
            let scopes: Vec<_> = self.identities.issuers().flat_map(|(_, scopes)| scopes).collect();
            if !scopes.is_empty() {
                let scopes = scopes.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ");
                parts.push(format!("scope=\"{scopes}\""));
            }
        }
        if wrong.was_presented() {
            parts.push("error=\"invalid_token\"".to_owned());
            parts.push(format!("error_description=\"{}\"", wrong.for_client()));
        }
        let challenge = format!("Bearer {}", parts.join(", "));
        HeaderValue::from_str(challenge.trim_end()).ok()
    }

    /// What a client is told whose token could have a scope for what it wants, if that is all that is missing (RFC 6750 §3.1).
    pub(super) fn scopes_wanted(&self, request: &Request, record: &Decided) -> Option<HeaderValue> {
        let understood = record.understood.as_ref()?;
        if record.decision.reasons != [Reason::ScopeInsufficient] {
            return None;
        }
        let Understood { operation, effect, risk, targets, .. } = understood;
        let server = &*request.server.name;
        let action = Action { server, operation, effect: *effect, risk: *risk };
        let scopes = request.caller.caller.credential.scopes.as_ref()?.wanted(action, targets)?;
        let server = if request.entrance == Entrance::Server { request.place() } else { "" };
        let metadata = self.settings.resources.of(server).metadata?;
        let scopes = scopes.into_iter().collect::<Vec<_>>().join(" ");
        let challenge = format!(
            "Bearer error=\"insufficient_scope\", scope=\"{scopes}\", resource_metadata=\"{metadata}\""
        );
        HeaderValue::from_str(&challenge).ok()
    }

    fn has_issuers(&self) -> bool {
        self.identities.issuers().next().is_some()
    }

    /// The metadata of the gateway's own API.
    #[must_use]
    pub fn api_metadata(&self) -> Option<Bytes> {
        let metadata = self.settings.resources.api().describe(&self.identities)?;
        Some(metadata.to_text().into())
    }

    /// The metadata of the server of that name, or of all of them if it is nothing: the same for one that does not exist.
    #[must_use]
    pub fn resource_metadata(&self, server: &str) -> Option<Bytes> {
        let metadata = self.settings.resources.of(server).describe(&self.identities)?;
        Some(metadata.to_text().into())
    }
}
