//! What a client is told first: which versions there are, and what the gateway itself serves.

use bytes::Bytes;
use callgate_mcp::era::{Era, LegacyVersion, SUPPORTED};
use callgate_mcp::extension;
use callgate_mcp::http::{HeaderValue, StatusCode};
use callgate_mcp::reply;
use callgate_model::json::Object;

use super::admit::{Entrance, SESSION};
use super::list::LIST_TTL_MS;
use super::{Gateway, Reply, Request};
use crate::answer;
use crate::identity::Unacceptable;
use crate::resource::Resource;
use crate::session::Agreed;

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

    fn has_issuers(&self) -> bool {
        self.identities.issuers().next().is_some()
    }

    /// The metadata of the server of that name, or of all of them if it is nothing: the same for one that does not exist.
    #[must_use]
    pub fn resource_metadata(&self, server: &str) -> Option<Bytes> {
        let metadata = self.settings.resources.of(server).describe(&self.identities)?;
        Some(metadata.to_text().into())
    }

    /// Opens a session and answers `initialize` with what the gateway itself serves.
    pub(super) fn initialize(&self, request: &Request) -> Reply {
        let Era::Legacy(version) = request.era else { return self.refuse_method(request) };
        let id = format!("{}{}", self.ambient.id(), hex(&self.ambient.random()));
        let agreed = Agreed {
            version,
            client_says: request.client_says.clone(),
            capabilities: request.capabilities.clone(),
            log_level: None,
        };
        let now = self.ambient.now();
        if !self.sessions.open(id.clone(), request.caller.key, agreed, now) {
            return Reply::empty(StatusCode::SERVICE_UNAVAILABLE);
        }
        let mut reply = Self::agree(request, version);
        if let Ok(value) = HeaderValue::from_str(&id) {
            reply.headers.push((SESSION, value));
        }
        reply
    }

    /// Answers `initialize` with what the gateway itself serves.
    pub(super) fn agree(request: &Request, version: LegacyVersion) -> Reply {
        let result = Object::default()
            .with("protocolVersion", version.as_str())
            .with("capabilities", capabilities(request))
            .with("serverInfo", answer::server_info());
        Reply::json(StatusCode::OK, reply::result(&request.id, result))
    }

    /// Answers `server/discover` with what the gateway itself serves.
    pub(super) fn discover(&self, request: &Request) -> Reply {
        let versions = SUPPORTED.to_vec();
        let result = Object::default()
            .with("supportedVersions", versions)
            .with("capabilities", capabilities(request))
            .with("ttlMs", LIST_TTL_MS)
            .with("cacheScope", "private");
        Reply::json(StatusCode::OK, answer::finish(request.era, &request.id, result))
    }

    /// Answers `ping`.
    pub(super) fn pong(&self, request: &Request) -> Reply {
        Reply::json(StatusCode::OK, reply::result(&request.id, Object::default()))
    }
}

/// What is served.
fn capabilities(request: &Request) -> Object {
    let told = || Object::default().with("listChanged", true);
    let mut extensions = Object::default().with(extension::UI, Object::default());
    if request.is_modern() {
        extensions.set(extension::TASKS, Object::default());
    }
    if request.entrance != Entrance::Roof {
        let named = request.server.extensions.iter();
        named.for_each(|name| extensions.set(name, Object::default()));
    }
    Object::default()
        .with("completions", Object::default())
        .with(extension::MEMBER, extensions)
        .with("logging", Object::default())
        .with("prompts", told())
        .with("resources", told().with("subscribe", true))
        .with("tools", told())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
