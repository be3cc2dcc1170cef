//! `tools/list`: what this caller could use. The same question is asked of a call (I3).

use callgate_mcp::code;
use callgate_mcp::http::{HeaderValue, StatusCode};
use callgate_mcp::reply;
use callgate_model::json::{Json, Object};
use callgate_model::reason::Reason;

use super::{Gateway, Reply, Request};
use crate::answer;

/// How long a client may keep a list. Short: policies change.
pub(super) const LIST_TTL_MS: i64 = 30_000;

impl Gateway {
    pub(super) async fn list(&self, request: &Request) -> Reply {
        let Ok(set) = request.server.tools(None).await else {
            let text = Reason::UpstreamUnavailable.message();
            let body = reply::error(Some(&request.id), code::INTERNAL_ERROR, text, None);
            return Reply::json(StatusCode::OK, body);
        };
        let bundle = self.bundle.load_full();
        let tools: Vec<Json> = set
            .tools
            .iter()
            .filter(|tool| self.visible(request, tool, &bundle))
            .map(|tool| tool.definition.definition.clone())
            .collect();
        let mut result = Object::default().with("tools", Json::Array(tools));
        if request.is_modern() {
            result.set("ttlMs", LIST_TTL_MS);
            result.set("cacheScope", "private");
        }
        let body = answer::finish(request.era, &request.id, result);
        let mut reply = Reply::json(StatusCode::OK, body);
        reply.headers.push(("cache-control", HeaderValue::from_static("no-store")));
        reply
    }
}
