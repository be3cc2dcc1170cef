//! How products name their things: every spelling of one thing gives one canonical id.

pub mod atlassian;
pub mod mcp;
