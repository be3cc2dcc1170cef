//! The JSON-RPC error codes that MCP gives a meaning.

/// Not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// JSON, but not one JSON-RPC message.
pub const INVALID_REQUEST: i64 = -32600;
/// A method that is not served.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// Parameters that the method does not take; also an unknown tool.
pub const INVALID_PARAMS: i64 = -32602;
/// The fault is ours.
pub const INTERNAL_ERROR: i64 = -32603;
/// A resource that does not exist, in the legacy era; the modern one has [`INVALID_PARAMS`] for it.
pub const RESOURCE_NOT_FOUND: i64 = -32002;
/// A person has to open a page first; only in 2025-11-25.
pub const URL_ELICITATION_REQUIRED: i64 = -32042;
/// Headers that do not say what the body says.
pub const HEADER_MISMATCH: i64 = -32020;
/// The client did not declare a capability that the answer needs.
pub const MISSING_CAPABILITY: i64 = -32021;
/// A protocol version that is not served.
pub const UNSUPPORTED_VERSION: i64 = -32022;
