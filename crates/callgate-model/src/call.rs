//! One `tools/call` after strict parsing, with its meaning.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::digest::Digest;
use crate::json::Object;
use crate::vocabulary::{FieldValue, Operation, Risk};

/// A call whose operation is known. What is sent upstream is `arguments`, as they are; what is decided is `effective`,
/// which is the same, or what a dispatcher tool wraps.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// The configured name of the server.
    pub server: Arc<str>,
    /// The tool as the client called it.
    pub tool: String,
    /// What it means.
    pub operation: Arc<Operation>,
    /// The operation's risk, or more if the tool, or its annotations, raise it.
    pub risk: Risk,
    /// The digest of the tool's whole definition, as the server gave it.
    pub definition: Digest,
    /// The arguments as called.
    pub arguments: Object,
    /// The arguments of the operation, if a dispatcher wrapped them.
    pub unwrapped: Option<Object>,
    /// The digest of `arguments`.
    pub arguments_digest: Digest,
    /// The projected fields, every one that the operation has.
    pub fields: BTreeMap<String, FieldValue>,
}

impl ToolCall {
    /// The arguments of the operation itself.
    #[must_use]
    pub fn effective(&self) -> &Object {
        self.unwrapped.as_ref().unwrap_or(&self.arguments)
    }
}
