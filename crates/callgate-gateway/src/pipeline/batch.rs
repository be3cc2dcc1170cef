//! Batches, which only 2025-03-26 has. Each message in one is admitted, decided and recorded as if it had come alone (P03).

use std::sync::Arc;

use bytes::Bytes;
use callgate_mcp::code;
use callgate_mcp::era::LegacyVersion;
use callgate_mcp::http::request::Parts;
use callgate_mcp::http::{HeaderMap, StatusCode};
use callgate_mcp::message::{Malformed, Message};
use callgate_model::json::Object;

use super::admit::{Entered, Request, session_in};
use super::{Gateway, Reply, ReplyBody};
use crate::identity::Identified;

/// Messages in one batch.
const MESSAGES_MAX: usize = 50;
/// The header of every version but the one that has batches.
const VERSION: &str = "mcp-protocol-version";

/// Whether a body is an array, whatever is in it.
pub(super) fn is_batch(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

impl Gateway {
    /// Answers a batch with the answers to its requests, in their order.
    pub(super) async fn batch(self: &Arc<Self>, http: &Parts, server: &str, body: Bytes) -> Reply {
        let messages = self.enter(http, server).await.and_then(|entered| {
            let messages = self.messages_of(http, &entered, &body);
            let messages = messages.map_err(|unread| self.refuse_malformed(&entered, unread))?;
            Ok((entered, messages))
        });
        let (entered, messages) = match messages {
            Ok(read) => read,
            Err(reply) => return *reply,
        };
        let mut answers = Vec::new();
        for message in messages {
            let reply = match self.receive(&entered, &http.headers, message) {
                Ok(request) => self.one_of_batch(request).await,
                Err(reply) => *reply,
            };
            answers.extend(whole(reply).await);
        }
        if answers.is_empty() {
            return Reply::empty(StatusCode::ACCEPTED);
        }
        Reply::json(StatusCode::OK, [&b"["[..], &answers.join(&b','), b"]"].concat().into())
    }

    /// The version that a request without a version of its own speaks: that of its session, or 2025-03-26.
    fn legacy_version(&self, headers: &HeaderMap, caller: &Identified) -> LegacyVersion {
        let found = session_in(headers).and_then(|id| self.session(id, caller.key));
        found.map_or(LegacyVersion::ASSUMED, |found| found.version)
    }

    fn messages_of(
        &self,
        http: &Parts,
        entered: &Entered,
        body: &[u8],
    ) -> Result<Vec<Result<Message, Malformed>>, Malformed> {
        let says = http.headers.get(VERSION).map(|version| version.as_bytes());
        let version = self.legacy_version(&http.headers, &entered.caller);
        let has_batches = version == LegacyVersion::V2025_03_26
            && says.is_none_or(|says| says == version.as_str().as_bytes());
        if !has_batches {
            let detail = "batches are only in 2025-03-26".to_owned();
            let code = code::INVALID_REQUEST;
            return Err(Malformed { code, id: None, detail, beyond: None });
        }
        Message::read_batch(body, &self.settings.json, MESSAGES_MAX)
    }

    /// A batch has one answer, so nothing is streamed, and none of it waits for anybody; and no session begins in it.
    async fn one_of_batch(self: &Arc<Self>, mut request: Request) -> Reply {
        (request.progress_token, request.log_level) = (None, None);
        request.capabilities = Object::default();
        request.can_be_held = false;
        if request.method == "initialize" {
            return self.refuse_params(&request, "`initialize` is sent alone".to_owned());
        }
        self.serve(request, None).await
    }
}

/// The one message of an answer; of several the last, which is it.
pub(super) async fn whole(reply: Reply) -> Option<Bytes> {
    match reply.body {
        ReplyBody::Empty => None,
        ReplyBody::Whole(answer) => Some(answer),
        ReplyBody::Listening(mut messages) | ReplyBody::Stream(mut messages) => {
            let mut last = None;
            while let Some(message) = messages.recv().await {
                last = Some(message);
            }
            last
        }
    }
}
