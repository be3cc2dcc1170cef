//! How products name their things: every spelling of one thing gives one canonical id.

pub mod atlassian;
pub mod gateway;
pub mod github;
pub mod local;
pub mod mcp;
pub mod net;

use crate::target::Target;
use crate::vocabulary::Vocabulary;

/// What policies can name without any catalog: what any server can have, what is around it, and the gateway itself.
#[must_use]
pub fn vocabulary() -> Vocabulary {
    let mut all = mcp::vocabulary();
    for more in [gateway::vocabulary(), local::vocabulary(), net::vocabulary()] {
        all.operations.extend(more.operations);
        all.target_kinds.extend(more.target_kinds);
        all.nested.extend(more.nested);
    }
    all
}

/// Whether `kind` is, or would be taken for one, of what needs no catalog; catalogs can add nothing to it.
#[must_use]
pub fn has_kind(kind: &str) -> bool {
    mcp::has_kind(kind)
        || local::has_kind(kind)
        || net::has_kind(kind)
        || kind.starts_with("Callgate::")
}

/// Whether `kind` needs no catalog, and yet an argument can name a thing of it.
#[must_use]
pub fn is_in_arguments(kind: &str) -> bool {
    matches!(kind, local::PATH | net::HOST)
}

/// The thing that `parts` spell, if [`is_in_arguments`] is true of `kind`. Its id has one part.
#[must_use]
pub fn locate(kind: &str, parts: &[&str]) -> Option<Target> {
    match (kind, parts) {
        (local::PATH, [path]) => Some(local::path(path)),
        (net::HOST, [url]) => Some(net::host(url)),
        _ => None,
    }
}

/// Whether the operation `name` is, or would be taken for one, of what needs no catalog.
#[must_use]
pub fn has_operation(name: &str) -> bool {
    mcp::has_operation(name) || name.starts_with("callgate.")
}
