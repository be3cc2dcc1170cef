//! Metrics and the one log line of each call. Neither is evidence: both may be sampled or lost.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;

use callgate_model::evidence::{Decided, Outcome};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::spans::Durations;

/// What is counted. Labels take only values of the operator's or of ours, never a client's.
#[derive(Debug)]
pub struct Metrics {
    /// The names of servers that may become labels: any other is a client's.
    servers: BTreeSet<String>,
    registry: Registry,
    decisions: Family<DecisionLabels, Counter>,
    would: Family<WouldLabels, Counter>,
    outcomes: Family<OutcomeLabels, Counter>,
    notices: Family<NoticeLabels, Counter>,
    notices_waiting: Family<ChannelLabel, Gauge>,
    decided_in: Histogram,
    upstream: Histogram,
    in_flight: Gauge,
    streams: Gauge,
    held: Gauge,
    evidence_healthy: Gauge<u64, AtomicU64>,
    spans_dropped: Counter,
    exports: Family<ExportLabels, Counter>,
    sink_lag: Family<SinkLabel, Gauge>,
    sink_failures: Family<SinkLabel, Counter>,
    durations: Option<Durations>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabels {
    server: String,
    verdict: &'static str,
    reason: &'static str,
    effect: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WouldLabels {
    server: String,
    verdict: &'static str,
    would: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    server: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct NoticeLabels {
    channel: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ChannelLabel {
    channel: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ExportLabels {
    signal: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SinkLabel {
    sink: String,
}

impl Metrics {
    /// Nothing counted yet, of servers of these names; if `durations` are wanted, those by method and tool, too.
    pub fn new(servers: impl Iterator<Item = String>, durations: bool) -> Self {
        let mut all = Registry::default();
        let durations = durations.then(|| Durations::register(&mut all));
        let registry = all.sub_registry_with_prefix("callgate");
        let metrics = Self {
            servers: servers.collect(),
            decisions: Family::default(),
            would: Family::default(),
            outcomes: Family::default(),
            notices: Family::default(),
            notices_waiting: Family::default(),
            decided_in: Histogram::new(exponential_buckets(0.000_02, 2.0, 16)),
            upstream: Histogram::new(exponential_buckets(0.001, 2.0, 17)),
            in_flight: Gauge::default(),
            streams: Gauge::default(),
            held: Gauge::default(),
            evidence_healthy: Gauge::default(),
            spans_dropped: Counter::default(),
            exports: Family::default(),
            sink_lag: Family::default(),
            sink_failures: Family::default(),
            durations,
            registry: Registry::default(),
        };
        registry.register("decisions", "Decisions made", metrics.decisions.clone());
        registry.register(
            "would",
            "Decisions that would be others if nothing were in shadow",
            metrics.would.clone(),
        );
        registry.register("outcomes", "Outcomes of dispatched calls", metrics.outcomes.clone());
        registry.register("notices", "Attempts to tell people", metrics.notices.clone());
        registry.register(
            "notices_waiting",
            "What people should have been told by now",
            metrics.notices_waiting.clone(),
        );
        registry.register_with_unit(
            "decision_duration",
            "From the request read to the decision",
            Unit::Seconds,
            metrics.decided_in.clone(),
        );
        registry.register_with_unit(
            "upstream_duration",
            "From the call sent to the server's answer",
            Unit::Seconds,
            metrics.upstream.clone(),
        );
        registry.register("calls_in_flight", "Calls in progress", metrics.in_flight.clone());
        registry.register(
            "streams_open",
            "Open streams of those who listen for changes",
            metrics.streams.clone(),
        );
        registry.register(
            "requests_held",
            "Requests that wait for somebody to approve their call",
            metrics.held.clone(),
        );
        registry.register(
            "evidence_healthy",
            "1 while evidence can be written",
            metrics.evidence_healthy.clone(),
        );
        metrics.register_sent(registry);
        Self { registry: all, ..metrics }
    }

    /// What is told of things that are sent elsewhere.
    fn register_sent(&self, registry: &mut Registry) {
        registry.register(
            "spans_dropped",
            "Spans that nobody took in time",
            self.spans_dropped.clone(),
        );
        registry.register(
            "telemetry_exports",
            "Attempts to send traces and metrics",
            self.exports.clone(),
        );
        registry.register(
            "sink_lag",
            "Records that somebody elsewhere does not have yet",
            self.sink_lag.clone(),
        );
        registry.register(
            "sink_failures",
            "Attempts to send evidence elsewhere that failed",
            self.sink_failures.clone(),
        );
    }
}

impl Metrics {
    /// Counts and logs a decision.
    pub fn decided(&self, decided: &Decided) {
        let understood = decided.understood.as_ref();
        let labels = DecisionLabels {
            server: self.servers.get(&decided.server).cloned().unwrap_or_default(),
            verdict: decided.decision.verdict.as_str(),
            reason: decided.decision.codes().next().unwrap_or_default(),
            effect: understood.map_or("", |u| u.effect.as_str()),
        };
        if let Some(would) = &decided.decision.would {
            let (server, verdict) = (labels.server.clone(), labels.verdict);
            let would = WouldLabels { server, verdict, would: would.verdict.as_str() };
            self.would.get_or_create(&would).inc();
        }
        self.decisions.get_or_create(&labels).inc();
        #[expect(clippy::cast_precision_loss, reason = "a duration for a histogram")]
        self.decided_in.observe(decided.decided_in_us as f64 / 1e6);
        if !tracing::enabled!(target: "callgate::call", tracing::Level::INFO) {
            return;
        }
        let mut targets = String::new();
        for target in understood.iter().flat_map(|u| &u.targets).take(5) {
            // Writing to a string cannot fail.
            write!(targets, "{}{target}", if targets.is_empty() { "" } else { ", " }).ok();
        }
        tracing::info!(
            target: "callgate::call",
            call = %decided.call,
            server = decided.server,
            method = decided.method,
            tool = decided.tool,
            operation = understood.map_or("", |u| u.operation.as_str()),
            targets,
            decision = decided.decision.verdict.as_str(),
            reasons = decided.decision.codes().collect::<Vec<_>>().join(","),
            decided_in_us = decided.decided_in_us,
            trace = decided.trace.as_deref().unwrap_or_default(),
            "decided"
        );
    }

    /// Counts and logs an outcome.
    pub fn concluded(&self, server: &str, call: &str, outcome: Outcome, upstream_us: u64) {
        let labels = OutcomeLabels { server: server.to_owned(), outcome: outcome.as_str() };
        self.outcomes.get_or_create(&labels).inc();
        #[expect(clippy::cast_precision_loss, reason = "a duration for a histogram")]
        self.upstream.observe(upstream_us as f64 / 1e6);
        tracing::info!(
            target: "callgate::call",
            call, server, outcome = outcome.as_str(), upstream_us, "concluded"
        );
    }

    /// Counts spans that are lost.
    pub fn spans_dropped(&self, count: u64) {
        self.spans_dropped.inc_by(count);
    }

    /// Counts an attempt to send `signal` to whoever collects it.
    pub fn exported(&self, signal: &'static str, is_taken: bool) {
        let outcome = if is_taken { "taken" } else { "failed" };
        self.exports.get_or_create(&ExportLabels { signal, outcome }).inc();
    }

    /// How many records `sink` does not have yet.
    pub fn sink_lags(&self, sink: &str, records: u64) {
        let lag = i64::try_from(records).unwrap_or(i64::MAX);
        self.sink_lag.get_or_create(&SinkLabel { sink: sink.to_owned() }).set(lag);
    }

    /// Counts an attempt to send evidence to `sink` that failed.
    pub fn sink_failed(&self, sink: &str) {
        self.sink_failures.get_or_create(&SinkLabel { sink: sink.to_owned() }).inc();
    }

    /// Where durations are counted, if they are.
    pub(crate) const fn durations(&self) -> Option<&Durations> {
        self.durations.as_ref()
    }

    /// Counts an attempt to tell people, or that there will be no more.
    pub fn noticed(&self, channel: &str, outcome: &'static str) {
        let labels = NoticeLabels { channel: channel.to_owned(), outcome };
        self.notices.get_or_create(&labels).inc();
    }

    /// What waits in each channel.
    pub fn notices_wait(&self, waiting: impl Iterator<Item = (String, u32)>) {
        for (channel, count) in waiting {
            self.notices_waiting.get_or_create(&ChannelLabel { channel }).set(i64::from(count));
        }
    }

    /// The metrics in the text form of `OpenMetrics`.
    #[must_use]
    pub fn render(
        &self,
        evidence_healthy: bool,
        in_flight: usize,
        (streams, held): (usize, usize),
    ) -> String {
        let gauge = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.in_flight.set(gauge(in_flight));
        self.streams.set(gauge(streams));
        self.held.set(gauge(held));
        self.evidence_healthy.set(u64::from(evidence_healthy));
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(std::fmt::Error) => String::new(),
        }
    }
}
