//! A configured upstream server.

use std::sync::Arc;

use callgate_mcp::http::HeaderValue;
use callgate_mcp::upstream::{SessionKey, Upstream, UpstreamError};
use callgate_model::digest::Digest;

use crate::catalog::ServerCatalog;
use crate::credential::Credential;
use crate::identity::Identified;
use crate::tools::{Source, ToolSet, Tools, ToolsLimits};

/// An upstream server with everything that is known of it.
#[derive(Debug)]
pub struct Server {
    /// Its configured name: `/mcp/{name}`.
    pub name: Arc<str>,
    /// What its tools mean and where their targets stand.
    pub catalog: ServerCatalog,
    pub(crate) upstream: Upstream,
    credential: Option<HeaderValue>,
    tools: Tools,
    own_key: SessionKey,
}

impl Server {
    /// The server `name`.
    #[must_use]
    pub fn new(
        name: &str,
        upstream: Upstream,
        catalog: ServerCatalog,
        credential: Option<&Credential>,
        limits: ToolsLimits,
    ) -> Self {
        Self {
            name: name.into(),
            catalog,
            upstream,
            credential: credential.and_then(Credential::header),
            tools: Tools::new(limits),
            own_key: SessionKey::new(format!("{name} gateway")),
        }
    }

    /// The tools it has.
    ///
    /// # Errors
    /// See [`Tools::get`].
    pub async fn tools(&self, wanted: Option<&str>) -> Result<Arc<ToolSet>, UpstreamError> {
        let source = Source {
            upstream: &self.upstream,
            catalog: &self.catalog,
            key: &self.own_key,
            credential: self.credential.as_ref(),
        };
        self.tools.get(&source, wanted).await
    }

    pub(crate) fn credential(&self) -> Option<&HeaderValue> {
        self.credential.as_ref()
    }

    /// The upstream session of one caller, and of one session of theirs: never shared with another (S06).
    pub(crate) fn session_key(&self, caller: &Identified, session: Option<&str>) -> SessionKey {
        let bound = format!("{}\0{}\0{}", self.name, caller.key, session.unwrap_or_default());
        SessionKey::new(Digest::of(bound.as_bytes()).to_string())
    }
}
