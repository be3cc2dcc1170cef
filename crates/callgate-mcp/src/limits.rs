//! Every limit on what the network may send, by name, with its default.

use std::time::Duration;

use callgate_model::json::JsonLimits;

/// Longest method name, in bytes.
pub const METHOD_BYTES_MAX: usize = 128;
/// Longest tool name, in bytes.
pub const TOOL_NAME_BYTES_MAX: usize = 128;
/// Longest request id, progress token or cursor, in bytes: each is sent back, some of them often.
pub const TOKEN_BYTES_MAX: usize = 1024;
/// Longest `requestState` of a server, in bytes; a client's may be twice as long, for it is sealed.
pub const REQUEST_STATE_BYTES_MAX: usize = 32 << 10;
/// Most things that a server asks a client for in one result.
pub const INPUT_REQUESTS_MAX: usize = 32;
/// Longest description of the client's software that is kept, in characters.
pub const CLIENT_INFO_CHARS_MAX: usize = 100;
/// Longest `tracestate` or `baggage` that is carried on, in bytes.
pub const TRACE_BYTES_MAX: usize = 1024;

/// Limits on one upstream server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// Until a server that is a child process has started and shaken hands.
    pub start: Duration,
    /// One call, or one whole list, from its beginning to its last byte, whatever progress is reported.
    pub total: Duration,
    /// One answer, in bytes, over all events of a stream.
    pub response_bytes_max: usize,
    /// One event of a stream, in bytes.
    pub event_bytes_max: usize,
    /// Most members and elements in one message.
    pub nodes_max: usize,
    /// Headers of one answer, in bytes.
    pub header_bytes_max: usize,
    /// Pages of one list.
    pub pages_max: usize,
    /// Tools of one server; also prompts, resources or templates.
    pub tools_max: usize,
    /// Requests that a legacy server may put to us while it answers one call.
    pub server_requests_max: usize,
    /// Sessions with a legacy server.
    pub sessions_max: usize,
    /// How long an unused session is kept.
    pub session_idle: Duration,
    /// How long a detected era is believed.
    pub era_expiry: Duration,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            start: Duration::from_secs(30),
            total: Duration::from_secs(60),
            response_bytes_max: 8 << 20,
            event_bytes_max: 8 << 20,
            nodes_max: 200_000,
            header_bytes_max: 32 << 10,
            pages_max: 64,
            tools_max: 2000,
            server_requests_max: 16,
            sessions_max: 1024,
            session_idle: Duration::from_secs(600),
            era_expiry: Duration::from_secs(600),
        }
    }
}

impl UpstreamLimits {
    /// What one message may hold.
    #[must_use]
    pub const fn json(&self) -> JsonLimits {
        JsonLimits {
            bytes_max: self.response_bytes_max,
            depth_max: 64,
            nodes_max: self.nodes_max,
            string_bytes_max: self.response_bytes_max,
        }
    }
}
