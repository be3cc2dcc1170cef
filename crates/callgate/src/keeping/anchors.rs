//! Anchors: signed checkpoints go where the operator of the gateway cannot change them. Whoever has one of them can tell whether
//! what the gateway shows later goes on from it.
//!
//! A place that was behind is sent the newest checkpoint only: what is in the others follows from it.

pub(crate) mod bucket;

use std::fmt;

use callgate_mcp::document::Document;
use callgate_mcp::http::header::{AUTHORIZATION, CONTENT_TYPE};
use callgate_mcp::http::{HeaderMap, HeaderValue};
use callgate_mcp::upstream::CallErrorKind;
use callgate_model::ambient::Ambient;
use callgate_model::digest::Digest;
use callgate_model::json::Json;
use callgate_store::Store;

use self::bucket::Bucket;
use super::sinks::file::Appender;
use crate::notify::webhook::Webhook;

/// How a checkpoint is sent: it is a text.
const PLAIN: &str = "text/plain; charset=utf-8";

/// Where checkpoints go.
pub(crate) enum Anchor {
    /// To a file elsewhere, each on a line: a JSON string.
    File(Appender),
    /// To a program, signed.
    Webhook(Webhook),
    /// To a server that keeps what is put there.
    Put {
        /// What they are put below.
        below: Document,
        /// Who puts them there.
        authorization: Option<HeaderValue>,
    },
    /// To an object store.
    Bucket {
        /// The store.
        store: Document,
        /// The bucket.
        bucket: Box<Bucket>,
    },
}

impl Anchor {
    /// What kind it is of, as it is configured.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Webhook(_) => "webhook",
            Self::Put { .. } => "put",
            Self::Bucket { .. } => "s3",
        }
    }

    /// Sends the newest checkpoint; how many records it is of.
    pub(super) async fn send(
        &mut self,
        store: &dyn Store,
        ambient: &dyn Ambient,
    ) -> Result<u64, String> {
        let last = store.last_checkpoint().await.map_err(|error| error.to_string())?;
        let last = last.ok_or("there is no checkpoint any more")?;
        match self {
            Self::File(file) => {
                let line = Json::from(last.note.as_str()).to_text();
                file.append(format!("{line}\n")).await?;
            }
            Self::Webhook(webhook) => {
                let digest = Digest::of(last.note.as_bytes()).to_string();
                let id = format!("checkpoint-{}-{digest:.16}", last.size);
                webhook.post(&id, ambient.now(), PLAIN, last.note).await?;
            }
            Self::Put { below, authorization } => {
                let headers = authorization.iter().map(|value| (AUTHORIZATION, value.clone()));
                let path = format!("/{}", last.size);
                let put_at = (&*path, headers.collect());
                put(below, put_at, (&path, authorization.as_ref()), &last.note).await?;
            }
            Self::Bucket { store, bucket } => {
                let (name, now) = (last.size.to_string(), ambient.now());
                let ways = bucket.put(&name, &last.note, now).zip(bucket.get(&name, now));
                let ((path, headers), get) = ways.ok_or("no such object can be named")?;
                put(store, (&path, headers), (&get, None), &last.note).await?;
            }
        }
        Ok(last.size)
    }
}

/// Puts `note` at a path with headers. Who keeps for good what is put there refuses it if it has it already, since the answer to an
/// earlier attempt was lost: then it is looked what is there.
async fn put(
    below: &Document,
    (path, mut headers): (&str, HeaderMap),
    (get, authorization): (&str, Option<&HeaderValue>),
    note: &str,
) -> Result<(), String> {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PLAIN));
    let Err(refused) = below.put_below(path, headers, note.to_owned()).await else { return Ok(()) };
    // Not all of them say 409 or 412.
    let CallErrorKind::Status(400..=499) = refused else { return Err(refused.to_string()) };
    match below.bytes_below(get, authorization).await {
        Ok(there) if is_of(&there, note) => Ok(()),
        Ok(_) => Err(format!("{refused}, and what is there is another one")),
        Err(_) => Err(refused.to_string()),
    }
}

/// Whether what is `there` is `note`, with all its signatures or with those that it had before it was cosigned.
fn is_of(there: &[u8], note: &str) -> bool {
    let there = str::from_utf8(there).unwrap_or_default();
    note.starts_with(there) && there.contains("\n\n\u{2014} ") && there.ends_with('\n')
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What authorizes is secret.
        f.debug_struct("Anchor").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
