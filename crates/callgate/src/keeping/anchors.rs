//! Anchors: signed checkpoints go where the operator of the gateway cannot change them. Whoever has one of them can tell whether
//! what the gateway shows later goes on from it.
//!
//! A place that was behind is sent the newest checkpoint only: what is in the others follows from it.

use std::fmt;

use callgate_mcp::document::Document;
use callgate_mcp::http::header::{AUTHORIZATION, CONTENT_TYPE};
use callgate_mcp::http::{HeaderMap, HeaderValue};
use callgate_model::ambient::Ambient;
use callgate_model::digest::Digest;
use callgate_model::json::Json;
use callgate_store::{SqliteStore, TreeStore as _};

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
}

impl Anchor {
    /// What kind it is of, as it is configured.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Webhook(_) => "webhook",
            Self::Put { .. } => "put",
        }
    }

    /// Sends the newest checkpoint; how many records it is of.
    pub(super) async fn send(
        &mut self,
        store: &SqliteStore,
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
                let mut headers = HeaderMap::new();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(PLAIN));
                headers.extend(authorization.clone().map(|value| (AUTHORIZATION, value)));
                let put = below.put_below(&format!("/{}", last.size), headers, last.note).await;
                put.map_err(|error| error.to_string())?;
            }
        }
        Ok(last.size)
    }
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What authorizes is secret.
        f.debug_struct("Anchor").field("kind", &self.kind()).finish_non_exhaustive()
    }
}
