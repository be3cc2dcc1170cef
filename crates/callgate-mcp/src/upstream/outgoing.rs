//! A request to a server, built from nothing: every header and every member is put here by name.

use bytes::Bytes;
use callgate_model::json::{Json, Object};
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::session::Session;
use crate::era::MODERN;
use crate::extension;
use crate::headers;
use crate::log_level::LogLevel;
use crate::message::{Notification, Request, RequestId, Round};
use crate::trace::TraceContext;

const AGENT: &str = concat!("callgate/", env!("CARGO_PKG_VERSION"));

/// The way to a server.
#[derive(Clone, Debug)]
pub(super) enum Route {
    Modern,
    Legacy(Session),
}

/// What is asked, in either era.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: &'static str,
    pub(super) credential: Option<&'a HeaderValue>,
    /// Only of a call, and of nothing that prepares one.
    pub(super) assertion: Option<&'a HeaderValue>,
    /// Without `_meta`, which the era decides.
    pub(super) params: Object,
    /// For `Mcp-Name`.
    pub(super) name: Option<&'a str>,
    /// `Mcp-Param-*`.
    pub(super) mirrored: Vec<(HeaderName, HeaderValue)>,
    pub(super) trace: Option<&'a TraceContext>,
    pub(super) progress: bool,
    pub(super) log_level: Option<LogLevel>,
    /// What the server may ask for.
    pub(super) capabilities: Object,
    /// Whether it can while it works, as in the legacy era.
    pub(super) is_interactive: bool,
    /// What answers a server that asked; only in the modern era.
    pub(super) round: Round,
}

/// A request ready to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) id: RequestId,
    /// Those of whatever belongs to it, too: what takes its answer up again, answers what it is asked, or cancels it.
    pub(super) headers: HeaderMap,
    /// Of it alone.
    pub(super) assertion: Option<HeaderValue>,
    pub(super) body: Bytes,
    /// A legacy server may put requests to us meanwhile.
    pub(super) legacy: bool,
    /// Of these, the ones that the client answers.
    pub(super) capabilities: Object,
    /// A legacy server over HTTP has to be told that nobody waits any more; closing the connection does not say it.
    pub(super) cancel: bool,
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: &'static str, credential: Option<&'a HeaderValue>) -> Self {
        Self {
            method,
            credential,
            assertion: None,
            params: Object::default(),
            name: None,
            mirrored: Vec::new(),
            trace: None,
            progress: false,
            log_level: None,
            capabilities: Object::default(),
            is_interactive: false,
            round: Round::default(),
        }
    }

    /// What the gateway asks for all callers.
    pub(super) fn of_gateway(method: &'static str, credential: Option<&'a HeaderValue>) -> Self {
        let (capabilities, is_interactive) = (extension::of_lists(), true);
        Self { capabilities, is_interactive, ..Self::new(method, credential) }
    }

    /// What a server of the legacy era is told with `initialize`.
    pub(super) fn session_capabilities(&self) -> Object {
        if self.is_interactive { self.capabilities.clone() } else { Object::default() }
    }

    pub(super) fn outgoing(&self, id: RequestId, route: &Route) -> Outgoing {
        let meta = self.meta(&id, route);
        let mut params = self.params.clone();
        if matches!(route, Route::Modern) {
            self.round.write(&mut params);
        }
        if !meta.is_empty() {
            params.set("_meta", meta);
        }
        let request = Request { id: id.clone(), method: self.method.to_owned(), params };
        Outgoing {
            id,
            headers: self.headers(route),
            assertion: self.assertion.cloned(),
            body: request.into_bytes(),
            legacy: matches!(route, Route::Legacy(_)),
            capabilities: self.asking(),
            cancel: matches!(route, Route::Legacy(_)),
        }
    }

    /// What of the capabilities a server can ask for.
    fn asking(&self) -> Object {
        let mut asking = self.session_capabilities();
        asking.remove(extension::MEMBER);
        asking
    }

    fn headers(&self, route: &Route) -> HeaderMap {
        let mut headers = base_headers(self.credential);
        match route {
            Route::Modern => {
                headers.insert(headers::PROTOCOL_VERSION, HeaderValue::from_static(MODERN));
                headers.insert(headers::METHOD, HeaderValue::from_static(self.method));
                if let Some(name) = self.name.and_then(headers::encode) {
                    headers.insert(headers::NAME, name);
                }
                headers.extend(self.mirrored.iter().cloned());
            }
            Route::Legacy(session) => session.write(&mut headers),
        }
        headers
    }

    fn meta(&self, id: &RequestId, route: &Route) -> Object {
        let mut meta = Object::default();
        if matches!(route, Route::Modern) {
            meta.set("io.modelcontextprotocol/protocolVersion", MODERN);
            meta.set("io.modelcontextprotocol/clientCapabilities", self.capabilities.clone());
            meta.set("io.modelcontextprotocol/clientInfo", client_info());
            if let Some(level) = self.log_level {
                meta.set("io.modelcontextprotocol/logLevel", level.as_str());
            }
        }
        if self.progress {
            meta.set("progressToken", id.to_json());
        }
        if let Some(trace) = self.trace {
            trace.write(&mut meta);
        }
        meta
    }
}

/// Says that nobody waits for the answer to request `id` any more.
pub(super) fn cancelled(id: &RequestId) -> Notification {
    let params = Object::default().with("requestId", id.to_json());
    Notification { method: "notifications/cancelled".to_owned(), params }
}

/// What every request has, in both eras.
pub(super) fn base_headers(credential: Option<&HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(credential) = credential {
        let mut credential = credential.clone();
        credential.set_sensitive(true);
        headers.insert(AUTHORIZATION, credential);
    }
    headers
}

/// Who we are.
pub(super) fn client_info() -> Json {
    Object::default().with("name", "callgate").with("version", env!("CARGO_PKG_VERSION")).into()
}
