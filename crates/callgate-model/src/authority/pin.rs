//! What operators approved of servers' tools.

use serde::{Deserialize, Serialize};

use crate::ambient::Timestamp;
use crate::digest::Digest;

/// A tool of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolOf {
    /// The server.
    pub server: String,
    /// The tool.
    pub tool: String,
}

/// A tool as it was approved. As long as the server defines it so, it can be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolPin {
    /// Which tool.
    pub of: ToolOf,
    /// The digest of its whole definition.
    pub digest: Digest,
    /// Its definition, as canonical JSON: what a later one is compared with.
    pub definition: String,
    /// The digest that was approved before, if one was. If another one was approved meanwhile, this approves nothing.
    pub replaces: Option<Digest>,
    /// When it was approved.
    pub at: Timestamp,
}
