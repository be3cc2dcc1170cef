//! How much of a server's log a client wants to hear.

use callgate_model::json::{Json, Object};

use crate::message::Notification;

/// The level of a log message, from the least to the most severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For whoever debugs.
    Debug,
    /// What happens.
    Info,
    /// What happens and matters.
    Notice,
    /// What may go wrong.
    Warning,
    /// What went wrong.
    Error,
    /// What went wrong and stops something.
    Critical,
    /// What somebody must see to.
    Alert,
    /// What stops everything.
    Emergency,
}

impl LogLevel {
    const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// As the wire writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// Reads a level.
    #[must_use]
    pub fn from_json(level: &Json) -> Option<Self> {
        let text = level.as_str()?;
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }

    /// What `told` says to who wants to hear of this level, if it is a log message and severe enough.
    pub(crate) fn passes(self, told: Notification) -> Option<Object> {
        let is_log = told.method == "notifications/message";
        (is_log && self.includes(&told.params)).then_some(told.params)
    }

    /// Whether who wants to hear of this level wants to hear of a log message with these parameters.
    #[must_use]
    pub fn includes(self, log: &Object) -> bool {
        log.get("level").and_then(Self::from_json).is_some_and(|level| level >= self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_passes_if_it_is_severe_enough_and_says_how_severe_it_is() {
        let told = |method: &str, level: &str| Notification {
            method: method.to_owned(),
            params: Object::default().with("level", level).with("data", "x"),
        };
        let log = "notifications/message";
        assert!(LogLevel::Warning.passes(told(log, "warning")).is_some());
        assert!(LogLevel::Warning.passes(told(log, "emergency")).is_some());
        for (method, level) in [(log, "notice"), (log, "Warning"), (log, ""), ("message", "error")]
        {
            assert_eq!(LogLevel::Warning.passes(told(method, level)), None, "{method} {level}");
        }
    }
}
