//! What can go wrong between us and a server, and whether a call may have reached it nevertheless.

use thiserror::Error;

use crate::message::RpcError;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind}{}", if *sent { "" } else { "; the call was not sent" })]
pub struct CallError {
    /// `false` only if provably nothing of the call was sent.
    pub sent: bool,
    /// What happened.
    pub kind: CallErrorKind,
}

/// What can go wrong between us and a server.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallErrorKind {
    /// The connection could not be made, or broke.
    #[error("the connection to the server failed: {0}")]
    Connect(String),
    /// The answer is not one that MCP allows.
    #[error("the server does not answer as MCP says: {0}")]
    NotMcp(String),
    /// An HTTP status that refuses or redirects. Redirects are not followed.
    #[error("the server answers with HTTP status {0}")]
    Status(u16),
    /// The time limit has passed.
    #[error("the server did not answer in time")]
    Timeout,
    /// An answer beyond the limits.
    #[error("the server's answer is too large")]
    TooLarge,
    /// Our credential is not accepted.
    #[error("the server does not accept our credential")]
    Unauthorized,
}

/// Why what a server offers is not known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UpstreamError {
    /// There was no answer.
    #[error(transparent)]
    Failed(#[from] CallErrorKind),
    /// The answer was an error.
    #[error("the server answers a list with {0}")]
    Refused(RpcError),
}

/// Why an [`UpstreamConfig`](super::UpstreamConfig) cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnusableUpstream {
    /// Not `http` or `https` with a host, or with a password in it.
    #[error("the url must be http(s)://host[:port]/path, without user and password")]
    Url,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

impl CallError {
    pub(super) const fn before_sending(kind: CallErrorKind) -> Self {
        Self { sent: false, kind }
    }

    pub(super) const fn after_sending(kind: CallErrorKind) -> Self {
        Self { sent: true, kind }
    }
}
