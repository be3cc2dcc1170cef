//! Taking up again the stream of an answer that ended before the answer. Servers of the legacy era over HTTP end streams
//! on purpose, so that no connection stays open while they work, and say where and when to go on.
//!
//! Nothing is asked twice: what is sent names the last event that came.

use std::time::Duration;

use http::HeaderValue;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use hyper::body::Incoming;
use tokio::time::sleep;

use super::CallErrorKind;
use super::connection::Connection;
use super::outgoing::Outgoing;
use crate::headers::{self, MediaType};
use crate::sse::SseParser;

/// Before a stream is taken up again, if it does not say how long.
const AFTER: Duration = Duration::from_secs(1);
/// The least, whatever it says.
const AFTER_MIN: Duration = Duration::from_millis(100);

impl Connection {
    /// What goes on with the stream that `parser` has read. `None` if there is no such thing. The time limit of the request is
    /// that of all its streams.
    pub(super) async fn resume(
        &self,
        outgoing: &Outgoing,
        parser: &mut SseParser,
    ) -> Result<Option<Incoming>, CallErrorKind> {
        let last = parser.last_id().filter(|_| outgoing.legacy);
        let Some(last) = last.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok()) else {
            return Ok(None);
        };
        sleep(parser.retry().unwrap_or(AFTER).max(AFTER_MIN)).await;
        let mut headers = outgoing.headers.clone();
        headers.remove(CONTENT_TYPE);
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(headers::LAST_EVENT_ID, last);
        let response = self.get(headers).await.map_err(|error| error.kind)?;
        let (parts, body) = response.into_parts();
        let is_stream = headers::media_type(&parts.headers) == Some(MediaType::EventStream);
        match parts.status.as_u16() {
            200 if is_stream && !parts.headers.contains_key(CONTENT_ENCODING) => {
                parser.resume();
                Ok(Some(body))
            }
            401 | 403 => Err(CallErrorKind::Unauthorized),
            _ => Ok(None),
        }
    }
}
