//! What the record says of a request before anything is decided: that it is refused.

use std::sync::Arc;

use callgate_mcp::inbound::TraceContext;
use callgate_model::authority::Under;
use callgate_model::decision::Decision;
use callgate_model::digest::Digest;
use callgate_model::evidence::Decided;
use callgate_model::json::{Json, Object};
use callgate_model::reason::Reason;

use super::{Gateway, Request};

impl Gateway {
    /// What is known of a request for `name` before it is decided: until it is, it is refused.
    pub(super) fn begin_record(
        &self,
        request: &Request,
        name: &str,
        arguments: &Object,
        bundle: Digest,
    ) -> Decided {
        let mut record = self.blank_record(request, name, bundle);
        record.arguments_digest = Some(Digest::of_object(arguments));
        record.arguments = self.settings.recording.unnamed(arguments);
        record
    }

    pub(crate) fn blank_record(&self, request: &Request, tool: &str, bundle: Digest) -> Decided {
        Decided {
            call: self.ambient.id(),
            caller: Some(Arc::clone(&request.caller.record)),
            continues: None,
            resolves: None,
            client_says: request.client_says.clone(),
            why: request.why.clone(),
            method: shorten(&request.method),
            server: request.place().to_owned(),
            tool: shorten(tool),
            understood: None,
            arguments_digest: None,
            arguments: Json::Null,
            hashes: Vec::new(),
            responses_digest: None,
            under: Under::default(),
            decision: Decision::deny(Reason::RequestMalformed, bundle),
            decided_in_us: 0,
            notices: Vec::new(),
            budgets: Vec::new(),
            trace: trace_id(&request.trace),
        }
    }
}

/// The trace id of a W3C `traceparent`.
fn trace_id(trace: &TraceContext) -> Option<String> {
    trace.traceparent.as_deref()?.split('-').nth(1).map(str::to_owned)
}

/// What is kept of a name in the record.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(128).collect()
}
