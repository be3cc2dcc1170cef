//! What a server offers beside tools: its resources, templates of resources, and prompts.
//!
//! As with tools, lists are fetched with the gateway's own credential, and what a caller sees of them is decided for each
//! caller, by the very question that asking for the thing would be decided by (I3).

use std::sync::Arc;

use callgate_mcp::code;
use callgate_mcp::lists::ListKind;
use callgate_mcp::message::Subject;
use callgate_mcp::upstream::{List, UpstreamError};
use callgate_model::call::Method;
use callgate_model::json::{Json, Object};

use crate::kept::{Kept, ListError, ListLimits};
use crate::name::{NamedCall, name_subject};
use crate::server::Server;

/// One resource, template or prompt.
#[derive(Debug)]
pub struct Offer {
    /// As the server defines it.
    pub definition: Json,
    /// The request for it; of a template, for the values of its arguments.
    pub named: NamedCall,
}

/// What one server offers, as last fetched.
#[derive(Debug)]
pub struct Offers {
    prompts: Kept<Vec<Offer>>,
    resources: Kept<Vec<Offer>>,
    templates: Kept<Vec<Offer>>,
}

impl Offers {
    /// Nothing fetched yet.
    #[must_use]
    pub fn new(limits: ListLimits) -> Self {
        Self {
            prompts: Kept::new(limits),
            resources: Kept::new(limits),
            templates: Kept::new(limits),
        }
    }

    /// The next who needs a list of this kind fetches it again.
    pub fn expire(&self, kind: ListKind) {
        match kind {
            ListKind::Prompts => self.prompts.expire(),
            ListKind::Resources => {
                self.resources.expire();
                self.templates.expire();
            }
            ListKind::Tools => {}
        }
    }

    /// The entries of `list`, in the server's order, without those that could not be asked for.
    ///
    /// # Errors
    /// See [`Kept::get`].
    pub(crate) async fn get(
        &self,
        list: List,
        server: &Server,
    ) -> Result<Arc<Vec<Offer>>, ListError> {
        let kept = match list {
            List::Prompts => &self.prompts,
            List::Resources => &self.resources,
            List::Templates => &self.templates,
        };
        // Boxed: it is rare, and large.
        kept.get(|_| true, Box::pin(fetch(list, server))).await
    }
}

async fn fetch(list: List, server: &Server) -> Result<Vec<Offer>, ListError> {
    let presented = server.broker.for_gateway().await?;
    let fetched = server.upstream.list_entries(list, &server.own_key, presented.header()).await;
    let fetched = fetched.inspect_err(|error| presented.listed(error));
    let entries = match fetched {
        // It has none of these, and says so.
        Err(UpstreamError::Refused(error)) if error.code == code::METHOD_NOT_FOUND => Vec::new(),
        fetched => fetched?,
    };
    let offers = entries.into_iter().filter_map(|definition| {
        let offer = offer(list, server, definition);
        offer.map_err(|why| tracing::warn!(list = list.method(), why, "entry refused")).ok()
    });
    Ok(offers.collect())
}

fn offer(list: List, server: &Server, definition: Json) -> Result<Offer, String> {
    let (method, member) = match list {
        List::Prompts => (Method::PromptsGet, "name"),
        List::Resources => (Method::ResourcesRead, "uri"),
        List::Templates => (Method::CompletionComplete, "uriTemplate"),
    };
    let name = definition.get(member).and_then(Json::as_str);
    let name = name.ok_or_else(|| format!("`{member}` must be a string"))?.to_owned();
    let params = Object::default().with(member, name.as_str());
    let subject = match list {
        List::Prompts => Subject::Prompt(name),
        List::Resources | List::Templates => Subject::Resource(name),
    };
    let named = name_subject(&server.name, &server.catalog, method, &subject, params);
    let named = named.map_err(|unnameable| unnameable.detail.unwrap_or_default())?;
    Ok(Offer { definition, named })
}
