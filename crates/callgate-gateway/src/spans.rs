//! Spans: one for each request of a client, and within it one for each call of a server. They are for a tracing system:
//! sampled, lost when nobody takes them in time, and never evidence.
//!
//! No call waits for them. They have names, codes and numbers, never arguments, results, credentials or what else people or
//! programs wrote (I7), but for one thing: a request of a client has the JSON-RPC id that this client gave it; a call of a
//! server has none. Names that only a client knows are not in what a span is called, and in no label.

mod client;
mod durations;
mod failure;
mod server;

use std::sync::Arc;
use std::time::Instant;

use callgate_mcp::inbound::{SpanContext, TraceContext};
use callgate_model::ambient::Ambient;
use tokio::sync::mpsc;

use crate::telemetry::Metrics;
pub(crate) use client::ClientSpan;
pub(crate) use durations::Durations;
pub(crate) use failure::Failure;
pub(crate) use server::{Asked, Parent, ServerSpan};

/// What is called with no tool that the gateway knows, by a method that it does not know.
pub(crate) const OTHER: &str = "_OTHER";

/// What is to be known of requests beyond the metrics that there always are. Nothing, if nothing is said.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// Where their spans go.
    pub spans: Option<SpanQueue>,
    /// Whether their durations are counted by method and tool.
    pub durations: bool,
}

/// Spans on their way to whoever takes them. When it is full, more are dropped and counted.
#[derive(Debug)]
pub struct SpanQueue {
    sender: mpsc::Sender<Span>,
    /// Of trace ids, what is below it is kept.
    threshold: u64,
}

impl SpanQueue {
    /// A queue for `waiting_max` spans. Of traces that begin here, the part `sample` (0 to 1) is kept; of those that a
    /// client has begun, what the client keeps.
    #[must_use]
    pub fn new(sample: f64, waiting_max: usize) -> (Self, mpsc::Receiver<Span>) {
        let (sender, receiver) = mpsc::channel(waiting_max);
        // Saturates: 1 is all of them.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 2^63")]
        let threshold = (sample.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64;
        (Self { sender, threshold }, receiver)
    }

    /// By the trace id alone, so that all who see it decide alike.
    fn keeps(&self, trace_id: [u8; 16]) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace_id;
        (u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1) < self.threshold
    }
}

/// Something that was done, from when to when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What it is called in which trace.
    pub context: SpanContext,
    /// The span that it is a part of.
    pub parent: Option<[u8; 8]>,
    /// The `tracestate` of its trace.
    pub state: Option<String>,
    /// Where else its request came from.
    pub link: Option<SpanContext>,
    /// Who did it.
    pub kind: SpanKind,
    /// What was done.
    pub name: String,
    /// In nanoseconds since 1970-01-01T00:00:00Z.
    pub began_ns: u64,
    /// The same.
    pub ended_ns: u64,
    /// What else is known of it, by name.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it failed.
    pub is_error: bool,
}

/// Whose part of a request a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// The gateway's, as the one who is asked.
    Server,
    /// The gateway's, as the one who asks.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// What makes spans and counts how long they took.
pub(crate) struct Spans {
    queue: Option<SpanQueue>,
    metrics: Arc<Metrics>,
    ambient: Arc<dyn Ambient>,
}

impl Spans {
    /// `None` if nobody wants any: then nothing is measured either.
    pub(crate) fn new(
        telemetry: Telemetry,
        metrics: &Arc<Metrics>,
        ambient: &Arc<dyn Ambient>,
    ) -> Option<Arc<Self>> {
        (telemetry.spans.is_some() || telemetry.durations).then(|| {
            let (metrics, ambient) = (Arc::clone(metrics), Arc::clone(ambient));
            Arc::new(Self { queue: telemetry.spans, metrics, ambient })
        })
    }

    /// The span of a request that began at `begun`. From here on the request belongs to it: `trace` says so.
    pub(crate) fn serve(
        self: &Arc<Self>,
        begun: Instant,
        trace: &mut TraceContext,
        asked: Asked,
    ) -> Arc<ServerSpan> {
        let parent = trace.parent();
        let context = self.queue.as_ref().map(|queue| self.context(queue, parent));
        let (state, beside) = (trace.tracestate.clone(), trace.beside.as_deref());
        let link = beside.and_then(SpanContext::parse);
        if let Some(context) = context {
            *trace = trace.through(context);
        }
        let clock = Clock { unix_ns: self.unix_ns(begun), begun };
        let part = Parent { spans: Arc::clone(self), context, state, clock };
        Arc::new(ServerSpan::new(part, parent.map(|parent| parent.span_id), link, asked))
    }

    fn context(&self, queue: &SpanQueue, parent: Option<SpanContext>) -> SpanContext {
        let span_id = self.span_id();
        match parent {
            Some(parent) => SpanContext { span_id, ..parent },
            None => {
                let trace_id = self.ambient.random();
                SpanContext { trace_id, span_id, is_sampled: queue.keeps(trace_id) }
            }
        }
    }

    fn span_id(&self) -> [u8; 8] {
        let random = u128::from_be_bytes(self.ambient.random());
        #[expect(clippy::cast_possible_truncation, reason = "both halves are in it")]
        let id = (random ^ (random >> 64)) as u64;
        // Nought is no id.
        id.max(1).to_be_bytes()
    }

    /// When that was.
    fn unix_ns(&self, begun: Instant) -> u64 {
        let now_ms = u64::try_from(self.ambient.now().unix_ms()).unwrap_or_default();
        now_ms.saturating_mul(1_000_000).saturating_sub(ns(begun.elapsed().as_nanos()))
    }

    fn end(&self, span: Span) {
        let Some(queue) = &self.queue else { return };
        if queue.sender.try_send(span).is_err() {
            self.metrics.spans_dropped(1);
        }
    }
}

/// What tells the time of one request and all its parts by one clock, so that they do not stand beside each other.
#[derive(Clone, Copy, Debug)]
struct Clock {
    unix_ns: u64,
    begun: Instant,
}

impl Clock {
    fn unix_ns_of(&self, moment: Instant) -> u64 {
        self.unix_ns.saturating_add(ns(moment.duration_since(self.begun).as_nanos()))
    }
}

fn ns(nanoseconds: u128) -> u64 {
    u64::try_from(nanoseconds).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_traces_is_kept_by_their_ids() {
        let with = |last: [u8; 8]| {
            let mut id = [7; 16];
            id[8..].copy_from_slice(&last);
            id
        };
        let (lowest, highest) = (with([0; 8]), with([0xff; 8]));
        let half = with([0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        for (sample, kept) in [
            (0.0, [false, false, false]),
            (-3.0, [false, false, false]),
            (0.4, [true, false, false]),
            (0.5, [true, true, false]),
            (1.0, [true, true, true]),
            (9.0, [true, true, true]),
        ] {
            let (queue, _spans) = SpanQueue::new(sample, 1);
            assert_eq!([lowest, half, highest].map(|id| queue.keeps(id)), kept, "{sample}");
        }
    }
}
