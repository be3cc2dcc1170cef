//! The limits by which something is refused that would be let through at another time, under the names by which they are counted.

/// A limit that has been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// What is remembered of what was counted in budgets.
    BudgetMarks,
    /// Calls in progress.
    CallsInFlight,
    /// Calls in progress of one caller.
    CallsPerCaller,
    /// Calls in progress at one server.
    ServerCallsInFlight,
    /// Calls that one server did not answer, one after the other.
    ServerFailures,
    /// Open streams of those who listen.
    Streams,
    /// Of these, streams of one caller.
    StreamsPerCaller,
}

impl Limit {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::BudgetMarks,
        Self::CallsInFlight,
        Self::CallsPerCaller,
        Self::ServerCallsInFlight,
        Self::ServerFailures,
        Self::Streams,
        Self::StreamsPerCaller,
    ];

    /// By what it is counted: the key by which it is configured, if it is.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BudgetMarks => "budget_marks_max",
            Self::CallsInFlight => "calls_in_flight_max",
            Self::CallsPerCaller => "calls_per_caller_max",
            Self::ServerCallsInFlight => "servers.calls_in_flight_max",
            Self::ServerFailures => "servers.failures_max",
            Self::Streams => "streams_max",
            Self::StreamsPerCaller => "streams_per_caller_max",
        }
    }

    /// What whoever is refused is told. Nothing of anybody else.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::BudgetMarks => "so much is counted for budgets that no more can be remembered",
            Self::CallsInFlight => "the gateway has as many calls in progress as it takes",
            Self::CallsPerCaller => {
                "you have as many calls in progress as one caller may have: wait for one of them to end"
            }
            Self::ServerCallsInFlight => {
                "as many calls as may be are in progress at this server: others are not held up"
            }
            Self::ServerFailures => {
                "the server did not answer several times, one after the other, and is left alone for a while"
            }
            Self::Streams => "too many streams are open",
            Self::StreamsPerCaller => "you have as many streams open as one caller may have",
        }
    }
}
