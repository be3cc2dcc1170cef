//! The wire: MCP envelopes, headers, event streams and both protocol eras, inbound and outbound.
//!
//! Floor 1. It reads strictly and writes only what it has read. It must not know policy, identity, catalogs, stores
//! or what a tool means: it says what a message *is* and carries it, nothing more.

pub mod code;
pub mod document;
pub mod era;
pub mod extension;
mod headers;
pub mod inbound;
pub mod limits;
pub mod lines;
pub mod lists;
pub mod log_level;
pub mod message;
mod mirror;
pub mod reply;
pub mod sse;
pub mod tool;
mod trace;
pub mod upstream;

pub use http;
