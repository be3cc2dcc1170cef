//! What those who watch are told: the span of a request, from when it is read, and what is counted.

use std::time::Instant;

use callgate_model::caller::Assurance;
use callgate_model::evidence::Decided;

use super::{Gateway, Request};
use crate::answer;
use crate::spans::{Asked, Failure};
use crate::telemetry::Metrics;

impl Gateway {
    /// What is counted.
    #[must_use]
    pub fn counts(&self) -> &Metrics {
        &self.metrics
    }

    /// The metrics, in text form.
    #[must_use]
    pub fn metrics(&self) -> String {
        let waiting = (self.listeners.count(), self.holds.count());
        self.metrics.at_servers(self.servers.values().map(|server| &**server));
        self.metrics.render(self.evidence.is_healthy(), self.bulkhead.count(), waiting)
    }

    /// From here on somebody may be told of the request, if anybody wants to be.
    pub(super) fn begin_span(&self, request: &mut Request, begun: Instant, is_piped: bool) {
        let Some(spans) = &self.spans else { return };
        // What a client says of itself could be anything.
        let agent = request.caller.caller.agent.as_ref();
        let agent = agent.filter(|agent| agent.assurance != Assurance::Asserted);
        let agent = agent.map(|agent| agent.identity.to_string());
        let asked = (request.method.as_str(), &request.id);
        let version = request.era.version();
        let asked = Asked::new(asked, version, (request.place(), agent), is_piped);
        request.span = Some(spans.serve(begun, &mut request.trace, asked));
    }
}

impl Request {
    /// What was decided of it, for its span. What the gateway asks for itself meanwhile is not what was asked.
    pub(crate) fn decided(&self, record: &Decided) {
        if let Some(span) = self.span.as_ref().filter(|_| record.resolves.is_none()) {
            span.decided(record);
        }
    }

    /// It is refused, or has failed, in the words of [`crate::answer`].
    pub(crate) fn ends_refused(&self) {
        let is_tool = self.subject.is_none();
        self.ends(if is_tool { Failure::Tool } else { Failure::Rpc(answer::REFUSED) });
    }

    /// How it ends, for its span, as far as that is known.
    pub(crate) fn ends(&self, failure: impl Into<Option<Failure>>) {
        if let Some(span) = &self.span {
            span.ends(failure.into());
        }
    }
}
