//! What went wrong, as a driver tells it.

use std::error::Error;
use std::time::Duration;

use rmcp::model::ErrorData;
use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, HttpStatusError, InsufficientScopeError,
};
use serde_json::{Value, json};

/// The `error` of a line.
pub(crate) struct Failure(Value);

impl Failure {
    pub(crate) fn told(&self, op: &str) -> Value {
        json!({ "op": op, "error": self.0 })
    }

    pub(crate) fn late(limit: Duration) -> Self {
        Self(json!({ "code": "timeout", "message": format!("no answer in {limit:?}") }))
    }

    pub(crate) fn other(error: &(dyn Error + 'static)) -> Self {
        let status = status(error);
        let code = if status.is_some() { "http" } else { "other" };
        Self(json!({ "code": code, "status": status, "message": chain(error) }))
    }

    pub(crate) fn plan(message: &str) -> Self {
        Self(json!({ "code": "plan", "message": message }))
    }

    pub(crate) fn protocol(error: &ErrorData) -> Self {
        let ErrorData { code, message, data, .. } = error;
        Self(json!({ "code": code, "message": message, "data": data }))
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        if let ServiceError::McpError(error) = &error {
            return Self::protocol(error);
        }
        Self::other(&error)
    }
}

impl From<ClientInitializeError> for Failure {
    fn from(error: ClientInitializeError) -> Self {
        if let ClientInitializeError::LegacyFallbackFailed { fallback, .. } = error {
            return (*fallback).into();
        }
        if let ClientInitializeError::JsonRpcError(error) = &error {
            return Self::protocol(error);
        }
        // The SDK does not call this the cause of its error.
        if let ClientInitializeError::TransportError { error, .. } = &error {
            return Self::other(error);
        }
        Self::other(&error)
    }
}

/// The status of the HTTP answer that is the cause; the SDK has types for some.
fn status(error: &(dyn Error + 'static)) -> Option<u16> {
    let known = error
        .downcast_ref::<HttpStatusError>()
        .map(|error| error.status)
        .or_else(|| error.is::<AuthRequiredError>().then_some(401))
        .or_else(|| error.is::<InsufficientScopeError>().then_some(403));
    known.or_else(|| error.source().and_then(status))
}

/// The error and its causes: the first alone often says nothing.
fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}
