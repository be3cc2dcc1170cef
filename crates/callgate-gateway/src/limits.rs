//! The limits by which something is refused, under the names by which they are counted: where one is configured, its key.

use callgate_model::json::Beyond;

macro_rules! limits {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $told:literal;)+) => {
        /// A limit that was reached.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Limit {
            $($(#[$doc])* $variant),+
        }

        impl Limit {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// By what it is counted.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What whoever is refused is told. Nothing of anybody else.
            #[must_use]
            pub const fn told(self) -> &'static str {
                match self { $(Self::$variant => $told),+ }
            }
        }
    };
}

limits! {
    /// Approvals that wait for one caller, or were asked for lately.
    Approvals = "approvals",
        "too much waits to be approved for you, or too much was asked for lately";
    /// The bytes of one request.
    BodyBytes = "body_bytes_max", "the request is too long";
    /// How deep one request is nested.
    BodyDepth = "body_depth_max", "the request is nested too deep";
    /// Members and elements of one request.
    BodyNodes = "body_nodes_max", "the request has too many members and elements";
    /// The bytes of one string in a request.
    BodyString = "body_string_bytes_max", "a string in the request is too long";
    /// What is remembered of what was counted in budgets.
    BudgetMarks = "budget_marks_max",
        "so much is counted for budgets that no more can be remembered";
    /// Calls in progress.
    CallsInFlight = "calls_in_flight_max", "the gateway has as many calls in progress as it takes";
    /// Calls in progress of one caller.
    CallsPerCaller = "calls_per_caller_max",
        "you have as many calls in progress as one caller may have: wait for one of them to end";
    /// Open connections.
    Connections = "connections_max", "too many connections are open";
    /// Records that wait to be written.
    EvidenceQueue = "evidence_queue", "too many records wait to be written";
    /// For a record to become durable.
    EvidenceTime = "evidence_ms_max", "the record was not written in time";
    /// Questions that clients have not answered.
    Questions = "questions", "too many questions are open";
    /// For a whole request to arrive.
    RequestTime = "request_ms_max", "the request did not arrive in time";
    /// Resources of whose changes one client wants to hear.
    Resources = "resources_followed", "you follow as many resources as one client may";
    /// Calls in progress at one server.
    ServerCallsInFlight = "servers.calls_in_flight_max",
        "as many calls as may be are in progress at this server: others are not held up";
    /// Calls that one server did not answer, one after the other.
    ServerFailures = "servers.failures_max",
        "the server did not answer several times, one after the other, and is left alone for a while";
    /// Open streams of those who listen.
    Streams = "streams_max", "too many streams are open";
    /// Of these, streams of one caller.
    StreamsPerCaller = "streams_per_caller_max",
        "you have as many streams open as one caller may have";
    /// The bytes of one answer of a server.
    UpstreamBytes = "upstream_bytes_max", "the server's answer is too large";
    /// For a server to answer.
    UpstreamTime = "upstream_ms_max", "the server did not answer in time";
}

impl From<Beyond> for Limit {
    fn from(beyond: Beyond) -> Self {
        match beyond {
            Beyond::Bytes => Self::BodyBytes,
            Beyond::Depth => Self::BodyDepth,
            Beyond::Nodes => Self::BodyNodes,
            Beyond::String => Self::BodyString,
        }
    }
}
