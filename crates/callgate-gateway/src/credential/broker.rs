//! What a server is called with, by server and caller.

use std::sync::Arc;
use std::time::Duration;

use callgate_mcp::http::HeaderValue;
use callgate_mcp::upstream::{CallErrorKind, UpstreamError};
use callgate_model::ambient::Ambient;
use callgate_model::caller::Caller;
use callgate_model::json::Json;
use secrecy::ExposeSecret;
use thiserror::Error;

use super::Credential;
use super::endpoint::{Token, TokenEndpoint, access_token};
use super::issued::{Issued, Slot};
use super::personal::{Personal, Vault};
use crate::assertion::Signer;
use crate::identity::{Identified, Inbound};

const CLIENT_CREDENTIALS: &str = "client_credentials";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// What a server is called with. What a caller's calls are made with and what the gateway asks for lists with are told
/// apart: a list is shown to everybody who may see it, so it is never fetched in the name of one (I6).
#[derive(Debug)]
pub enum Broker {
    /// The same for all callers, and for the gateway.
    Own(Own),
    /// A token in the name of whoever calls.
    Exchange(Box<Exchange>),
    /// The secret that whoever calls has for the server.
    Personal(Personal),
}

/// What the gateway has for itself.
#[derive(Debug, Default)]
pub enum Own {
    /// Nothing.
    #[default]
    None,
    /// A secret.
    Static(Credential),
    /// A token that is issued to the gateway.
    ClientCredentials(Box<ClientCredentials>),
}

/// Tokens that are issued to the gateway as a client (RFC 6749 §4.4).
#[derive(Debug)]
pub struct ClientCredentials {
    endpoint: TokenEndpoint,
    slot: Arc<Slot>,
}

/// Tokens that are given for those of callers (RFC 8693).
#[derive(Debug)]
pub struct Exchange {
    issuer: String,
    endpoint: TokenEndpoint,
    issued: Issued,
    lists: Own,
    /// Who names the agent to the endpoint.
    actor: Option<Arc<Signer>>,
}

/// What a server is presented, and where that came from.
#[derive(Clone, Debug, Default)]
pub struct Presented {
    pub(super) header: Option<HeaderValue>,
    pub(super) slot: Option<Arc<Slot>>,
}

/// Why there is nothing to call a server with. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unavailable {
    /// The caller has no token that could be exchanged.
    #[error("the caller has no token of the issuer whose tokens are exchanged")]
    NotOfIssuer,
    /// The caller has no secret for the server.
    #[error("{0} has no secret for the server: `callgate secret set` keeps one")]
    NoSecret(String),
    /// The caller's secret is sealed with a key that is not there.
    #[error("the caller's secret cannot be opened: its key is not among `sealing.keys`")]
    Sealed,
    /// The caller's token has ended meanwhile.
    #[error("the caller's token has ended")]
    Ended,
    /// Too many ask.
    #[error("the token endpoint is asked too much at one time")]
    Busy,
    /// The token endpoint did not give one.
    #[error("the token endpoint does not give a token: {0}")]
    Endpoint(CallErrorKind),
    /// What it gave is none.
    #[error("the token endpoint's answer is not taken: {0}")]
    Answer(&'static str),
}

impl Broker {
    /// What `caller` calls the server with.
    ///
    /// # Errors
    /// [`Unavailable`]; the call may not be made then.
    pub async fn for_caller(
        &self,
        caller: &Identified,
        ambient: &dyn Ambient,
        vault: Vault<'_>,
    ) -> Result<Presented, Unavailable> {
        match self {
            Self::Personal(personal) => personal.presented(&caller.caller, vault),
            Self::Own(own) => own.presented().await,
            Self::Exchange(exchange) => Box::pin(exchange.presented(caller, ambient)).await,
        }
    }

    /// What the gateway asks for lists and changes with, which it does for nobody in particular.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn for_gateway(&self) -> Result<Presented, Unavailable> {
        match self {
            Self::Own(own) => own.presented().await,
            Self::Exchange(exchange) => exchange.lists.presented().await,
            Self::Personal(personal) => personal.lists.presented().await,
        }
    }

    /// The issuer whose callers' tokens are exchanged.
    #[must_use]
    pub fn exchanges(&self) -> Option<&str> {
        match self {
            Self::Own(_) | Self::Personal(_) => None,
            Self::Exchange(exchange) => Some(&exchange.issuer),
        }
    }
}

impl Own {
    async fn presented(&self) -> Result<Presented, Unavailable> {
        match self {
            Self::None => Ok(Presented::default()),
            Self::Static(credential) => Ok(Presented { header: credential.header(), slot: None }),
            Self::ClientCredentials(client) => Box::pin(client.presented()).await,
        }
    }
}

impl ClientCredentials {
    /// Tokens of this endpoint.
    #[must_use]
    pub fn new(endpoint: TokenEndpoint) -> Self {
        Self { endpoint, slot: Arc::default() }
    }

    async fn presented(&self) -> Result<Presented, Unavailable> {
        let ask = async {
            let form = self.endpoint.form(CLIENT_CREDENTIALS).finish();
            Token::read(&self.endpoint.ask(form).await?)
        };
        self.slot.get(Duration::MAX, ask).await
    }
}

impl Exchange {
    /// Tokens of this endpoint for those of the issuer of that name. Lists are asked for with `lists`.
    #[must_use]
    pub fn new(issuer: String, endpoint: TokenEndpoint, lists: Own) -> Self {
        Self { issuer, endpoint, issued: Issued::default(), lists, actor: None }
    }

    /// The same, with the agent that acts named by `signer`. Without it, the issuer's own `act` is all that is said of it.
    #[must_use]
    pub fn with_actor(self, signer: Arc<Signer>) -> Self {
        Self { actor: Some(signer), ..self }
    }

    async fn presented(
        &self,
        caller: &Identified,
        ambient: &dyn Ambient,
    ) -> Result<Presented, Unavailable> {
        let inbound = caller.inbound.as_ref().filter(|inbound| inbound.issuer == self.issuer);
        let inbound = inbound.ok_or(Unavailable::NotOfIssuer)?;
        let left = caller.expires.map_or(0, |ends| ends.ms_since(ambient.now()));
        if left == 0 {
            return Err(Unavailable::Ended);
        }
        // By the token and not by who holds it: two tokens of one person may not open the same.
        let slot = self.issued.slot(caller.caller.credential.digest);
        slot.get(Duration::from_millis(left), self.ask(inbound, &caller.caller, ambient)).await
    }

    async fn ask(
        &self,
        inbound: &Inbound,
        caller: &Caller,
        ambient: &dyn Ambient,
    ) -> Result<Token, Unavailable> {
        let subject = inbound.token.expose_secret();
        let answer = self.endpoint.ask(self.form(subject, caller, ambient)).await?;
        // RFC 8693 §2.2.1 requires it. Without it nothing says that the token is not one that gets others, such as a
        // refresh token.
        if answer.get("issued_token_type").and_then(Json::as_str) != Some(ACCESS_TOKEN) {
            return Err(Unavailable::Answer(
                "its `issued_token_type` is not that of access tokens",
            ));
        }
        // I7, whatever the endpoint thinks of it.
        if access_token(&answer) == Some(subject) {
            return Err(Unavailable::Answer("it gives the caller's own token back"));
        }
        Token::read(&answer)
    }

    fn form(&self, subject: &str, caller: &Caller, ambient: &dyn Ambient) -> String {
        let mut form = self.endpoint.form(EXCHANGE);
        form.append_pair("subject_token", subject)
            .append_pair("subject_token_type", ACCESS_TOKEN)
            .append_pair("requested_token_type", ACCESS_TOKEN);
        let signed = |actor: &Arc<Signer>| actor.actor_token(caller, self.endpoint.url(), ambient);
        if let Some(token) = self.actor.as_ref().and_then(signed) {
            form.append_pair("actor_token", &token).append_pair("actor_token_type", JWT);
        }
        form.finish()
    }
}

impl Presented {
    /// The value of `Authorization`.
    pub(crate) const fn header(&self) -> Option<&HeaderValue> {
        self.header.as_ref()
    }

    /// Takes notice of how the server took it.
    pub(crate) fn took(&self, failed: &CallErrorKind) {
        match failed {
            CallErrorKind::Unauthorized => self.rejected(),
            CallErrorKind::Connect(_)
            | CallErrorKind::NotMcp(_)
            | CallErrorKind::Status(_)
            | CallErrorKind::Timeout
            | CallErrorKind::TooLarge => {}
        }
    }

    /// The same, of a list.
    pub(crate) fn listed(&self, failed: &UpstreamError) {
        match failed {
            UpstreamError::Failed(failed) => self.took(failed),
            UpstreamError::Refused(_) => {}
        }
    }

    /// The server does not take it: the next call gets another, if there can be another.
    pub(super) fn rejected(&self) {
        if let Some((slot, header)) = self.slot.as_ref().zip(self.header.as_ref()) {
            slot.forget(header);
        }
    }
}
