//! The nouns and rules of Callgate: calls, callers, targets, decisions, reasons, evidence.
//!
//! Floor 0. Pure: it must not know I/O, async, the clock, randomness, Cedar, SQL or MCP's envelopes. Time, ids and
//! random bytes are arguments. Everything above builds on it, so it stays small and quiet.

pub mod ambient;
pub mod approval;
pub mod authority;
pub mod budget;
pub mod call;
pub mod caller;
pub mod decision;
pub mod digest;
pub mod envelope;
pub mod evidence;
pub mod json;
pub mod lookalike;
pub mod obligation;
pub mod products;
pub mod reason;
pub mod redact;
pub mod target;
pub mod transparency;
pub mod treatment;
pub mod vocabulary;
