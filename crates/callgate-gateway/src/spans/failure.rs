//! How requests and calls fail, as tracing systems call it.

use std::borrow::Cow;

use callgate_mcp::code;
use callgate_mcp::upstream::{Answer, CallError, CallErrorKind};

use super::OTHER;
use crate::answer::{REFUSED, UNAUTHENTICATED};

/// The codes that may become a label: any other is a server's own.
const KNOWN: [i64; 11] = [
    code::PARSE_ERROR,
    code::INVALID_REQUEST,
    code::METHOD_NOT_FOUND,
    code::INVALID_PARAMS,
    code::INTERNAL_ERROR,
    code::RESOURCE_NOT_FOUND,
    code::URL_ELICITATION_REQUIRED,
    code::HEADER_MISMATCH,
    code::MISSING_CAPABILITY,
    REFUSED,
    UNAUTHENTICATED,
];

/// What was answered instead of a result that is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody waited for the answer any more.
    Cancelled,
    /// There was none.
    NoAnswer(&'static str),
    /// A JSON-RPC error.
    Rpc(i64),
    /// An HTTP status.
    Status(u16),
    /// A result that says `isError`.
    Tool,
}

impl Failure {
    /// What went wrong with what a server was asked, if something did.
    pub(crate) fn of(answered: &Result<Answer, CallError>) -> Option<Self> {
        match answered {
            Ok(Answer::Result { is_error: true, .. }) => Some(Self::Tool),
            Ok(
                Answer::Result { is_error: false, .. } | Answer::InputRequired(_) | Answer::Task(_),
            ) => None,
            Ok(Answer::RpcError { code, .. }) => Some(Self::Rpc(*code)),
            Err(error) => Some(match &error.kind {
                CallErrorKind::Connect(_) => Self::NoAnswer("connect"),
                CallErrorKind::NotMcp(_) => Self::NoAnswer("not_mcp"),
                CallErrorKind::Status(status) => Self::Status(*status),
                CallErrorKind::Timeout => Self::NoAnswer("timeout"),
                CallErrorKind::TooLarge => Self::NoAnswer("too_large"),
                CallErrorKind::Unauthorized => Self::NoAnswer("unauthorized"),
            }),
        }
    }

    /// For the attribute `error.type`.
    pub(crate) fn kind(self) -> Cow<'static, str> {
        match self {
            Self::Cancelled => "cancelled".into(),
            Self::NoAnswer(why) => why.into(),
            Self::Rpc(code) => code.to_string().into(),
            Self::Status(status) => status.to_string().into(),
            Self::Tool => "tool_error".into(),
        }
    }

    /// The same as a label, of which a server cannot make any number.
    pub(super) fn label(self) -> Cow<'static, str> {
        let is_known = match self {
            Self::Cancelled | Self::NoAnswer(_) | Self::Tool => true,
            Self::Rpc(code) => KNOWN.contains(&code),
            Self::Status(status) => (300..600).contains(&status),
        };
        if is_known { self.kind() } else { OTHER.into() }
    }

    /// The code, if it is a JSON-RPC error.
    pub(super) const fn code(self) -> Option<i64> {
        match self {
            Self::Rpc(code) => Some(code),
            Self::Cancelled | Self::NoAnswer(_) | Self::Status(_) | Self::Tool => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i13_a_server_cannot_make_labels() {
        assert_eq!(Failure::Rpc(-32602).label(), "-32602");
        for other in [Failure::Rpc(-1), Failure::Rpc(i64::MAX), Failure::Status(999)] {
            assert_eq!(other.label(), "_OTHER");
            assert_ne!(other.kind(), "_OTHER");
        }
        assert_eq!(
            (Failure::Status(503).label(), Failure::Tool.label()),
            ("503".into(), "tool_error".into())
        );
    }
}
