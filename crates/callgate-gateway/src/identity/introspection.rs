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
/// Questions to one issuer at one time, and as many about tokens that were good before: whoever makes up tokens must not
/// make us a flood, nor take the room of others.
const ASKING_MAX: usize = 16;
/// How long a token waits for room to be asked about.
const ROOM_WITHIN: Duration = Duration::from_secs(2);

/// Where an issuer is asked, and with what.
#[derive(Debug)]
pub struct Introspection {
    endpoint: Document,
    credential: Credential,
    ownerless: bool,
    room: Semaphore,
    room_for_known: Semaphore,
}

impl Introspection {
    /// The issuer's endpoint, and the credential that the gateway has there.
    #[must_use]
    pub fn new(endpoint: Document, credential: Credential) -> Self {
        let (room, room_for_known) = (Semaphore::new(ASKING_MAX), Semaphore::new(ASKING_MAX));
        Self { endpoint, credential, ownerless: false, room, room_for_known }
    }

    /// A token of which no owner is told is its client's own. RFC 7662 §2.2 does not say so; many issuers mean it.
    #[must_use]
    pub const fn with_ownerless(mut self, ownerless: bool) -> Self {
        self.ownerless = ownerless;
        self
    }

    /// Whether a connection can be made. Nothing is asked by it.
    pub(super) async fn reach(&self) -> Result<(), String> {
        self.endpoint.reach().await.map_err(|error| error.to_string())
    }

    /// What `token` is. Whatever is not plainly active is not (I05).
    pub(super) async fn ask(
        &self,
        token: &str,
        issuer: &str,
        was_accepted: bool,
    ) -> Result<Claims, Unacceptable> {
        // What looks like a JWT is another issuer's, or none.
        if token.len() > TOKEN_BYTES_MAX || token.matches('.').count() > 1 {
            return Err(Unacceptable::Malformed);
        }
        let room = if was_accepted { &self.room_for_known } else { &self.room };
        let room = timeout(ROOM_WITHIN, room.acquire()).await;
        let (Ok(Ok(_room)), Some(credential)) = (room, self.credential.header()) else {
            return Err(Unacceptable::NoAnswer);
        };
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", "access_token")
            .finish();
        let answer = self.endpoint.post_form(Some(credential), form).await.map_err(|error| {
            tracing::warn!(%error, "an issuer cannot be asked about a token");
            Unacceptable::NoAnswer
        })?;
        let Json::Object(mut claims) = answer else { return Err(Unacceptable::NoAnswer) };
        if claims.get("active") != Some(&Json::Bool(true)) {
            return Err(Unacceptable::Inactive);
        }
        let is_owned = ["sub", "username"].iter().any(|name| claims.get(name).is_some());
        let client = claims.get("client_id").filter(|_| self.ownerless && !is_owned);
        if let Some(client) = client.cloned() {
            claims.set("sub", client);
        }
        let claims = Claims(claims);
        if claims.text("iss")?.is_some_and(|said| said != issuer) {
            return Err(Unacceptable::Claim("iss".to_owned()));
        }
        // The second of these is not of the standard; some issuers tell refresh tokens by it only.
        for (name, good) in [("token_type", "bearer"), ("token_use", "access_token")] {
            let is_good = |kind: &str| {
                kind.eq_ignore_ascii_case(good) || kind.eq_ignore_ascii_case("access_token")
            };
            if claims.text(name)?.is_some_and(|kind| !is_good(kind)) {
                return Err(Unacceptable::Type);
            }
        }
        Ok(claims)
    }
}
