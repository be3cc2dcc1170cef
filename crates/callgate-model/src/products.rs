//! How products name their things: every spelling of one thing gives one canonical id.

pub mod atlassian;
pub mod gateway;
pub mod mcp;

use crate::vocabulary::Vocabulary;

/// What policies can name without any catalog: what any server can have, and the gateway itself.
#[must_use]
pub fn vocabulary() -> Vocabulary {
    let (mut all, gateway) = (mcp::vocabulary(), gateway::vocabulary());
    all.operations.extend(gateway.operations);
    all.target_kinds.extend(gateway.target_kinds);
    all
}

/// Whether `kind` is, or would be taken for one, of what needs no catalog; catalogs can add nothing to it.
#[must_use]
pub fn has_kind(kind: &str) -> bool {
    mcp::has_kind(kind) || kind.starts_with("Callgate::")
}

/// Whether the operation `name` is, or would be taken for one, of what needs no catalog.
#[must_use]
pub fn has_operation(name: &str) -> bool {
    mcp::has_operation(name) || name.starts_with("callgate.")
}
