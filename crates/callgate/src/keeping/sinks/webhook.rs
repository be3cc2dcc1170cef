//! A program of the operator's, which takes signed webhooks (Standard Webhooks 1.0), each with some records.

use std::fmt;

use callgate_model::ambient::Timestamp;

use super::batch::Batch;
use crate::export::Format;
use crate::notify::webhook::Webhook;

/// Where records are posted, and how.
pub(crate) struct Hook {
    webhook: Webhook,
    format: Format,
    /// Whether each is on a line of its own, instead of all in one array.
    lines: bool,
}

impl Hook {
    /// `format` is one whose lines are JSON.
    pub(crate) const fn new(webhook: Webhook, format: Format, lines: bool) -> Self {
        Self { webhook, format, lines }
    }

    /// The id says which records they are, so that it is the same if they are sent again.
    pub(super) async fn send(&self, batch: &Batch, now: Timestamp) -> Result<(), String> {
        let hash = batch.last.to_string();
        let id = format!("{}-{}-{hash:.16}", batch.first, batch.next);
        if self.lines {
            let body = batch.lines(self.format);
            return self.webhook.post(&id, now, "application/x-ndjson; charset=utf-8", body).await;
        }
        let all: Vec<String> = batch.exported().map(|one| self.format.write(&one)).collect();
        let body = format!("[{}]", all.join(","));
        self.webhook.post(&id, now, "application/json; charset=utf-8", body).await
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("format", &self.format).finish_non_exhaustive()
    }
}
