//! A token endpoint (RFC 6749 §3.2) at which the gateway is a client.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use callgate_mcp::document::Document;
use callgate_mcp::http::HeaderValue;
use callgate_model::json::Json;
use form_urlencoded::Serializer;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::broker::Unavailable;
use super::{Credential, NotSendable, Scheme};

/// Questions to one endpoint at one time.
const ASKING_MAX: usize = 16;
/// How long a call waits for room to ask.
const ROOM_WITHIN: Duration = Duration::from_secs(5);
/// Longest token that is taken, in bytes: it has to fit into a header.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// How long a token is good of which that is not told.
const LASTS_UNTOLD: Duration = Duration::from_secs(60);
/// How long any token is kept at most: whoever withdraws what it stands for is not told to us.
const LASTS_MAX: Duration = Duration::from_secs(3600);

/// What is asked for, whatever the grant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The scopes; none, if the endpoint knows by itself.
    pub scopes: Vec<String>,
    /// The server, by the name that the endpoint has for it (RFC 8693 §2.1).
    pub audience: Option<String>,
    /// The server, by its address (RFC 8707).
    pub resource: Option<String>,
}

/// Where tokens are had, and what the gateway has to present there.
#[derive(Debug)]
pub struct TokenEndpoint {
    document: Document,
    url: String,
    client: Credential,
    wanted: Wanted,
    room: Semaphore,
}

/// A token that was issued.
#[derive(Debug)]
pub(super) struct Token {
    /// As it is presented.
    pub(super) header: HeaderValue,
    /// For how long it is good, from when it was asked for.
    pub(super) lasts: Duration,
}

/// The parameters of one question.
pub(super) type Form = Serializer<'static, String>;

impl TokenEndpoint {
    /// The endpoint at `document`, whose address is `url`, where the gateway is the client `id` (`client_secret_basic`, RFC 6749 §2.3.1).
    ///
    /// # Errors
    /// [`NotSendable`] if there is no secret.
    pub fn new(
        document: Document,
        url: String,
        id: &str,
        secret: &SecretString,
        wanted: Wanted,
    ) -> Result<Self, NotSendable> {
        let secret = secret.expose_secret().trim();
        if id.is_empty() || secret.is_empty() {
            return Err(NotSendable);
        }
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let basic = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
        let client = Credential::new(Scheme::Basic, &basic.into())?;
        Ok(Self { document, url, client, wanted, room: Semaphore::new(ASKING_MAX) })
    }

    /// Its address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A form for this grant, with what is wanted.
    pub(super) fn form(&self, grant: &str) -> Form {
        let mut form = Form::new(String::new());
        form.append_pair("grant_type", grant);
        if !self.wanted.scopes.is_empty() {
            form.append_pair("scope", &self.wanted.scopes.join(" "));
        }
        let Wanted { audience, resource, .. } = &self.wanted;
        for (name, value) in [("audience", audience), ("resource", resource)] {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        form
    }

    /// What is answered to a form.
    pub(super) async fn ask(&self, form: String) -> Result<Json, Unavailable> {
        let room = timeout(ROOM_WITHIN, self.room.acquire()).await;
        let Ok(Ok(_room)) = room else { return Err(Unavailable::Busy) };
        let client = self.client.header().ok_or(Unavailable::Answer("no client"))?;
        self.document.post_form(Some(client), form).await.map_err(Unavailable::Endpoint)
    }
}

impl Token {
    /// The bearer token in an answer (RFC 6749 §5.1). Whatever is not plainly one is none.
    pub(super) fn read(answer: &Json) -> Result<Self, Unavailable> {
        let wrong = |what| Err(Unavailable::Answer(what));
        let Some(token) = access_token(answer) else {
            return wrong("it has no `access_token` that could be sent");
        };
        // Another type would need more than the token, such as a proof.
        let kind = answer.get("token_type").and_then(Json::as_str);
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return wrong("its `token_type` is not bearer");
        }
        let told = answer.get("expires_in").and_then(Json::as_number);
        let lasts = match told.map(|told| told.as_i64().map(u64::try_from)) {
            Some(Some(Ok(seconds))) if seconds > 0 => Duration::from_secs(seconds),
            Some(Some(_)) => return wrong("its token has ended"),
            Some(None) | None => LASTS_UNTOLD,
        };
        let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_not_a_header| Unavailable::Answer("its token cannot be sent"))?;
        header.set_sensitive(true);
        Ok(Self { header, lasts: lasts.min(LASTS_MAX) })
    }
}

/// The token in an answer, if it has the form of one (RFC 6750 §2.1).
pub(super) fn access_token(answer: &Json) -> Option<&str> {
    let token = answer.get("access_token").and_then(Json::as_str)?;
    let is_sendable = (1..=TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_sendable.then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_model::json::{JsonLimits, read};

    fn token(answer: &str) -> Result<Duration, Unavailable> {
        let answer = read(answer.as_bytes(), &JsonLimits::default()).unwrap();
        Token::read(&answer).map(|token| {
            assert!(token.header.is_sensitive());
            token.lasts
        })
    }

    #[test]
    fn how_long_a_token_lasts_is_told_or_short_and_never_long() {
        let with =
            |more: &str| token(&format!(r#"{{"access_token":"t","token_type":"Bearer"{more}}}"#));
        for (more, seconds) in [
            (r#","expires_in":300"#, 300),
            (r#","expires_in":86400"#, 3600),
            ("", 60),
            (r#","expires_in":"300""#, 60),
            (r#","expires_in":1.5"#, 60),
            (r#","expires_in":null"#, 60),
        ] {
            assert_eq!(with(more), Ok(Duration::from_secs(seconds)), "{more}");
        }
        for ended in ["0", "-1"] {
            assert!(with(&format!(r#","expires_in":{ended}"#)).is_err(), "{ended}");
        }
    }

    #[test]
    fn what_is_not_plainly_a_bearer_token_is_none() {
        let long = format!(r#"{{"access_token":"{}","token_type":"bearer"}}"#, "x".repeat(8193));
        for answer in [
            "{}",
            "[]",
            r#"{"access_token":"t"}"#,
            r#"{"access_token":"t","token_type":"DPoP"}"#,
            r#"{"access_token":"t","token_type":"N_A"}"#,
            r#"{"access_token":"t","token_type":1}"#,
            r#"{"access_token":"","token_type":"bearer"}"#,
            r#"{"access_token":"two words","token_type":"bearer"}"#,
            r#"{"access_token":"line\nbreak","token_type":"bearer"}"#,
            r#"{"access_token":["t"],"token_type":"bearer"}"#,
            &long,
        ] {
            assert!(token(answer).is_err(), "{answer}");
        }
    }
}
