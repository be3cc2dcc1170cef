//! Tokens that say nothing by themselves: their issuer is asked what they are (RFC 7662).

use std::time::Duration;

use callgate_mcp::document::Document;
use callgate_model::json::Json;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Unacceptable;
use super::jwt::Claims;
use crate::credential::Credential;

/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 4 << 10;
/// Questions to one issuer at one time: whoever makes up tokens must not make us a flood.
const ASKING_MAX: usize = 16;
/// How long a token waits for room to be asked about.
const ROOM_WITHIN: Duration = Duration::from_secs(2);

/// Where an issuer is asked, and with what.
#[derive(Debug)]
pub struct Introspection {
    endpoint: Document,
    credential: Credential,
    room: Semaphore,
}

impl Introspection {
    /// The issuer's endpoint, and the credential that the gateway has there.
    #[must_use]
    pub fn new(endpoint: Document, credential: Credential) -> Self {
        Self { endpoint, credential, room: Semaphore::new(ASKING_MAX) }
    }

    /// What `token` is. Whatever is not plainly active is not (I05).
    pub(super) async fn ask(&self, token: &str, issuer: &str) -> Result<Claims, Unacceptable> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Unacceptable::Malformed);
        }
        let room = timeout(ROOM_WITHIN, self.room.acquire()).await;
        let (Ok(Ok(_room)), Some(credential)) = (room, self.credential.header()) else {
            return Err(Unacceptable::NoAnswer);
        };
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", "access_token")
            .finish();
        let answer = self.endpoint.post_form(credential, form).await.map_err(|error| {
            tracing::warn!(%error, "an issuer cannot be asked about a token");
            Unacceptable::NoAnswer
        })?;
        let Json::Object(mut claims) = answer else { return Err(Unacceptable::NoAnswer) };
        if claims.get("active") != Some(&Json::Bool(true)) {
            return Err(Unacceptable::Inactive);
        }
        // Nobody but its client owns a token that no owner is told of (RFC 7662 §2.2).
        let is_owned = ["sub", "username"].iter().any(|name| claims.get(name).is_some());
        if let Some(client) = claims.get("client_id").filter(|_| !is_owned).cloned() {
            claims.set("sub", client);
        }
        let claims = Claims(claims);
        if claims.text("iss")?.is_some_and(|said| said != issuer) {
            return Err(Unacceptable::Claim("iss".to_owned()));
        }
        let kind = claims.text("token_type")?;
        if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(Unacceptable::Type);
        }
        Ok(claims)
    }
}
