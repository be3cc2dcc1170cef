//! What servers are called with: nothing, a secret, or a token that was issued to the gateway, for itself or in the name of
//! the person who calls.
//!
//! All of it is secret: it has no text form, and only `forward` and the lists use it. The client's own credential never
//! goes to a server (I7); where tokens are exchanged, it goes to the token endpoint that the operator named, and nowhere
//! else.

mod broker;
mod endpoint;
mod issued;
mod personal;

use callgate_mcp::http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

pub use broker::{Broker, ClientCredentials, Exchange, Own, Presented, Unavailable};
pub use endpoint::{TokenEndpoint, Wanted};
pub use personal::{Personal, Vault, open, open_text, seal};

/// How the secret is presented (RFC 6750, RFC 7617).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Basic <secret>`; the secret is the base64 of `user:token`.
    Basic,
    /// `Authorization: Bearer <secret>`.
    Bearer,
}

impl Scheme {
    /// Its name in configurations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Bearer => "bearer",
        }
    }

    /// The scheme of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Basic, Self::Bearer].into_iter().find(|scheme| scheme.as_str() == name)
    }
}

/// A static upstream credential.
#[derive(Clone, Debug)]
pub struct Credential {
    scheme: Scheme,
    secret: SecretString,
}

/// The secret cannot be sent in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret is empty or holds characters that a header cannot")]
pub struct NotSendable;

impl Credential {
    /// A credential from a secret, white space around it removed.
    ///
    /// # Errors
    /// [`NotSendable`] if it could not be sent.
    pub fn new(scheme: Scheme, secret: &SecretString) -> Result<Self, NotSendable> {
        let trimmed = secret.expose_secret().trim();
        if trimmed.is_empty() || !trimmed.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NotSendable);
        }
        Ok(Self { scheme, secret: SecretString::from(trimmed) })
    }

    /// The header's value, marked so that it is never printed.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        let scheme = match self.scheme {
            Scheme::Basic => "Basic",
            Scheme::Bearer => "Bearer",
        };
        let mut value =
            HeaderValue::from_str(&format!("{scheme} {}", self.secret.expose_secret())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i7_a_credential_cannot_be_printed() {
        let credential = Credential::new(Scheme::Bearer, &"canary-secret\n".into()).unwrap();
        assert!(!format!("{credential:?}").contains("canary"));
        let header = credential.header().unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer canary-secret");
        assert!(!format!("{header:?}").contains("canary"));
    }

    #[test]
    fn a_secret_that_cannot_be_sent_is_refused() {
        for secret in ["", " \n", "two words", "line\nbreak", "smörgås"] {
            assert_eq!(Credential::new(Scheme::Bearer, &secret.into()).err(), Some(NotSendable));
        }
    }
}
