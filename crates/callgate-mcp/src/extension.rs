//! Extensions of the protocol that are known by name. Of any other a server learns only if the operator says so.

use callgate_model::json::{Json, Object};

/// Where a client and a server say which extensions they know.
pub const MEMBER: &str = "extensions";
/// Tasks: a server takes a call on instead of answering it. Only in the modern era.
pub const TASKS: &str = "io.modelcontextprotocol/tasks";
/// MCP Apps: tools that have pages. What these call are tools, what they are is resources.
pub const UI: &str = "io.modelcontextprotocol/ui";

/// The media type of the pages of MCP Apps.
const PAGE: &str = "text/html;profile=mcp-app";

/// Whether a client that declared `capabilities` knows the extension `name`.
#[must_use]
pub fn is_declared(capabilities: &Object, name: &str) -> bool {
    capabilities.get(MEMBER).is_some_and(|extensions| extensions.get(name).is_some())
}

/// What is declared when lists are asked for: they are the same for all callers, with everything that any client can use.
pub(crate) fn of_lists() -> Object {
    let page: Json = PAGE.into();
    let ui = Object::default().with("mimeTypes", vec![page]);
    Object::default().with(MEMBER, Object::default().with(UI, ui))
}
