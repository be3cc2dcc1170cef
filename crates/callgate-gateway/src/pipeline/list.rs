//! Lists: what this caller could use. The same question is asked of a call (I3).

use std::sync::Arc;

use callgate_mcp::code;
use callgate_mcp::http::{HeaderValue, StatusCode};
use callgate_mcp::reply;
use callgate_mcp::upstream::List;
use callgate_model::decision::Verdict;
use callgate_model::json::{Json, Object};
use callgate_model::products::mcp;

use super::why::with_why;
use super::{Gateway, Reply, Request};
use crate::answer;
use crate::kept::ListError;
use crate::offers::Offer;
use crate::spans::Failure;
use crate::tools::Tool;

/// How long a client may keep a list. Short: policies change.
pub(super) const LIST_TTL_MS: i64 = 30_000;

/// Most entries of a list that are decided before others get their turn.
const DECISIONS_AT_ONCE: usize = 64;

impl Gateway {
    pub(super) async fn list_tools(&self, request: &Request) -> Reply {
        let tools = match self.tools_shown(request).await {
            Ok(tools) => tools,
            Err(error) => return unavailable(request, &error),
        };
        let bundle = self.bundle.load();
        let tools = tools.iter().map(|tool| with_why(tool, &bundle)).collect();
        listed(request, "tools", tools)
    }

    /// The tools that this caller could use.
    pub(super) async fn tools_shown(&self, request: &Request) -> Result<Vec<Arc<Tool>>, ListError> {
        let set = request.server.tools(None).await?;
        let bundle = self.bundle.load_full();
        let mut tools = self.approved(&request.server, &set.tools).await;
        tools.retain(|tool| self.visible(request, tool, &bundle));
        Ok(tools)
    }

    pub(super) async fn list_entries(&self, request: &Request, list: List) -> Reply {
        match self.entries(request, list).await {
            Ok(entries) => listed(request, list.member(), entries),
            Err(error) => unavailable(request, &error),
        }
    }

    /// What this caller may have of `list`, perhaps after approval. What a template leads to is not known before it is
    /// asked for; so templates are shown to whoever may have something of this server.
    pub(super) async fn entries(
        &self,
        request: &Request,
        list: List,
    ) -> Result<Vec<Json>, ListError> {
        let bundle = self.bundle.load_full();
        let operation = match list {
            List::Prompts => mcp::get_prompt(),
            List::Resources | List::Templates => request.server.catalog.read_resource(),
        };
        if !self.could_have(request, operation, &bundle) {
            return Ok(Vec::new());
        }
        let offers = request.server.offers(list).await?;
        let mut shown = Vec::new();
        for some in offers.chunks(DECISIONS_AT_ONCE) {
            let may_have = |offer: &&Offer| {
                list == List::Templates
                    || self.decide(request, &offer.named, &bundle).verdict != Verdict::Deny
            };
            shown.extend(some.iter().filter(may_have).map(|offer| offer.definition.clone()));
            tokio::task::yield_now().await;
        }
        Ok(shown)
    }
}

pub(super) fn listed(request: &Request, member: &str, entries: Vec<Json>) -> Reply {
    let mut result = Object::default().with(member, Json::Array(entries));
    if request.is_modern() {
        result.set("ttlMs", LIST_TTL_MS);
        result.set("cacheScope", "private");
    }
    request.ends(None);
    let body = answer::finish(request.era, &request.id, result);
    let mut reply = Reply::json(StatusCode::OK, body);
    reply.headers.push(("cache-control", HeaderValue::from_static("no-store")));
    reply
}

fn unavailable(request: &Request, error: &ListError) -> Reply {
    tracing::warn!(server = request.place(), %error, "what the server offers is not known");
    let text = error.reason().message();
    request.ends(Failure::Rpc(code::INTERNAL_ERROR));
    let body = reply::error(Some(&request.id), code::INTERNAL_ERROR, text, None);
    Reply::json(StatusCode::OK, body)
}
