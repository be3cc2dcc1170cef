//! What a client is told first: which versions there are, and what the gateway itself serves.

use callgate_mcp::era::{Era, LegacyVersion, SUPPORTED};
use callgate_mcp::extension;
use callgate_mcp::http::{HeaderValue, StatusCode};
use callgate_mcp::reply;
use callgate_model::digest::{Digest, hex};
use callgate_model::json::Object;

use super::admit::{Entrance, SESSION};
use super::list::LIST_TTL_MS;
use super::{Gateway, Reply, Request};
use crate::answer;
use crate::session::{Agreed, sealed};

impl Gateway {
    /// Opens a session and answers `initialize` with what the gateway itself serves.
    pub(super) fn initialize(&self, request: &Request) -> Reply {
        let Era::Legacy(version) = request.era else { return self.refuse_method(request) };
        let agreed = Agreed {
            version,
            client_says: request.client_says.clone(),
            capabilities: request.capabilities.clone(),
            log_level: None,
        };
        // One that no other gateway can go on with is as good here.
        let id = sealed::seal(&self.keys, request.caller.key, &agreed, &*self.ambient)
            .unwrap_or_else(|| format!("{}{}", self.ambient.id(), hex(&self.ambient.random())));
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

    /// What was agreed on in the session `id` of `caller`, whichever gateway with these keys began it.
    pub(super) fn session(&self, id: &str, caller: Digest) -> Option<Agreed> {
        let now = self.ambient.now();
        self.sessions.find(id, caller, now).or_else(|| {
            let agreed = sealed::open(&self.keys, caller, id, now)?;
            self.sessions.go_on(id, caller, agreed.clone(), now).then_some(agreed)
        })
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
