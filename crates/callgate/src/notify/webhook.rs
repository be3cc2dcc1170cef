//! A signed webhook (Standard Webhooks 1.0), whose body, of what people are told, is a `CloudEvent` (1.0, structured).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use callgate_mcp::document::Document;
use callgate_mcp::http::header::CONTENT_TYPE;
use callgate_mcp::http::{HeaderMap, HeaderName, HeaderValue};
use callgate_model::ambient::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::news::News;
use super::told::PROGRAMS;

/// How many secrets sign at one time: the one that is in use, and the one that takes its place.
pub(crate) const SECRETS_MAX: usize = 2;
/// The shortest and the longest secret, in bytes (Standard Webhooks).
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Of a body that is longer, in bytes, the arguments are left out.
const BODY_BYTES_MAX: usize = 256 << 10;

/// Where events are sent.
pub(crate) struct Webhook {
    document: Document,
    keys: Vec<hmac::Key>,
}

impl Webhook {
    pub(crate) fn new(document: Document, keys: Vec<hmac::Key>) -> Self {
        Self { document, keys }
    }

    pub(super) async fn send(&self, news: &News, arguments: bool) -> Result<(), String> {
        let mut body = event(news, arguments);
        if body.len() > BODY_BYTES_MAX {
            body = event(news, false);
        }
        let kind = "application/cloudevents+json; charset=utf-8";
        self.post(&news.id().to_string(), news.at(), kind, body).await
    }

    /// Posts `body`, signed. Only an answer that says so means that it was taken.
    pub(crate) async fn post(
        &self,
        id: &str,
        at: Timestamp,
        kind: &'static str,
        body: String,
    ) -> Result<(), String> {
        let mut headers = self.headers(id, at, &body);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        self.document.send(headers, body).await.map_err(|error| error.to_string())
    }

    pub(super) async fn reach(&self) -> Result<(), String> {
        self.document.reach().await.map_err(|error| error.to_string())
    }

    fn headers(&self, id: &str, at: Timestamp, body: &str) -> HeaderMap {
        let seconds = at.unix_ms().div_euclid(1_000);
        let signed = format!("{id}.{seconds}.{body}");
        let signatures = self.keys.iter().map(|key| {
            let signature = hmac::sign(key, signed.as_bytes());
            format!("v1,{}", STANDARD.encode(signature))
        });
        let signatures = signatures.collect::<Vec<_>>().join(" ");
        let mut headers = HeaderMap::new();
        let all = [("id", id), ("timestamp", &seconds.to_string()), ("signature", &signatures)];
        for (name, value) in all {
            let name = HeaderName::try_from(format!("webhook-{name}"));
            // Each is plain ASCII.
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        headers
    }
}

/// The key in a secret: `whsec_` and 24 to 64 bytes in Base64.
///
/// # Errors
/// Why there is none.
pub(crate) fn key(secret: &SecretString) -> Result<hmac::Key, String> {
    let bytes = secret.expose_secret().trim().strip_prefix("whsec_");
    let bytes = bytes.and_then(|text| STANDARD.decode(text).ok());
    let bytes = bytes.filter(|bytes| SECRET_BYTES.contains(&bytes.len()));
    let bytes = bytes.ok_or("it is not `whsec_` and 24 to 64 bytes in Base64")?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn event(news: &News, arguments: bool) -> String {
    let source = news.page().and_then(|page| page.split_once("/console/"));
    json!({
        "specversion": "1.0",
        "id": news.id(),
        "source": source.map_or("urn:callgate", |(gateway, _)| gateway),
        "type": news.event(),
        "subject": news.subject(),
        "time": news.at(),
        "datacontenttype": "application/json",
        "data": news.data(arguments, &PROGRAMS),
    })
    .to_string()
}

#[cfg(test)]
mod tests;
