//! Traces and metrics on their way to a collector, by OTLP over HTTP, as protobuf.
//!
//! A collector that is slow, down or wrong costs no call anything: what waits for it is bounded, what finds no room is dropped
//! and counted, and the gateway ends without it.

mod exposition;
pub(crate) mod logs;
mod metrics;
mod spans;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callgate_gateway::pipeline::Gateway;
use callgate_gateway::spans::{Span, SpanQueue, Telemetry};
use callgate_mcp::document::Document;
use callgate_mcp::http::{HeaderMap, HeaderValue, header};
use callgate_mcp::upstream::CallErrorKind;
use callgate_model::ambient::{Ambient, Timestamp};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

use crate::config::TelemetryConfig;

/// Spans that may wait; more are dropped.
const SPANS_WAITING_MAX: usize = 4_096;
/// Spans that are sent at one time.
const SPANS_AT_ONCE_MAX: usize = 512;
/// How long a span may wait for others to be sent with.
const LINGER: Duration = Duration::from_secs(1);
/// After how long spans are sent again that were not taken. Then they are dropped.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// For the last of it, when the gateway ends.
const LAST_WITHIN: Duration = Duration::from_secs(5);

/// What is to be sent, before there is a gateway.
pub(crate) struct Exporter {
    config: Box<TelemetryConfig>,
    spans: Option<mpsc::Receiver<Span>>,
}

/// What a gateway has to be told to say what `config` wants, and what sends it.
pub(crate) fn prepare(config: Option<Box<TelemetryConfig>>) -> (Telemetry, Option<Exporter>) {
    let Some(config) = config else { return (Telemetry::default(), None) };
    let (queue, spans) = match &config.traces {
        Some(_) => {
            let (queue, spans) = SpanQueue::new(config.sample, SPANS_WAITING_MAX);
            (Some(queue), Some(spans))
        }
        None => (None, None),
    };
    let telemetry = Telemetry { spans: queue, durations: config.metrics.is_some() };
    (telemetry, Some(Exporter { config, spans }))
}

impl Exporter {
    /// Sends from now on what `gateway` has to say.
    pub(crate) fn start(self, gateway: &Arc<Gateway>, ambient: Arc<dyn Ambient>) -> Exporting {
        let config = *self.config;
        let resource = resource(&config.service, config.attributes, &*ambient);
        let (stop, stopping) = watch::channel(false);
        let collector = |document, signal| Collector {
            document,
            headers: headers(&config.headers),
            signal,
            gateway: Arc::clone(gateway),
            fails: false,
        };
        let mut tasks = Vec::new();
        if let Some((document, spans)) = config.traces.zip(self.spans) {
            let collector = collector(document, "traces");
            let (resource, stopping) = (resource.clone(), stopping.clone());
            let sender = SpanSender { collector, spans, resource, stopping };
            tasks.push(tokio::spawn(sender.work()));
        }
        if let Some(document) = config.metrics {
            let collector = collector(document, "metrics");
            let (every, began) = (config.metrics_every, ambient.now());
            let sender = MetricSender { collector, resource, stopping, ambient, every, began };
            tasks.push(tokio::spawn(sender.work()));
        }
        Exporting { stop, tasks }
    }
}

/// The tasks that send.
pub(crate) struct Exporting {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Exporting {
    /// Sends what is left, if that can be done soon.
    pub(crate) async fn finish(self) {
        self.stop.send_replace(true);
        let deadline = Instant::now() + LAST_WITHIN;
        for mut task in self.tasks {
            tokio::select! {
                _ = &mut task => {}
                () = sleep_until(deadline) => {
                    task.abort();
                    tracing::warn!("the last traces or metrics were not taken in time");
                }
            }
        }
    }
}

/// Whoever takes one kind of thing.
struct Collector {
    document: Document,
    headers: HeaderMap,
    signal: &'static str,
    gateway: Arc<Gateway>,
    /// Whether the last attempt failed: it is told once.
    fails: bool,
}

impl Collector {
    /// Whether `message` is taken. If it is not, whether it could be later.
    async fn send(&mut self, message: &impl Message) -> Result<(), Refusal> {
        let sent = self.document.send(self.headers.clone(), message.encode_to_vec()).await;
        self.gateway.counts().exported(self.signal, sent.is_ok());
        let Err(error) = sent else {
            self.fails = false;
            return Ok(());
        };
        if !std::mem::replace(&mut self.fails, true) {
            tracing::warn!(signal = self.signal, %error, "a collector does not take what it is sent");
        }
        let is_passing = match error {
            CallErrorKind::Connect(_) | CallErrorKind::Timeout => true,
            CallErrorKind::Status(status) => matches!(status, 429 | 502 | 503 | 504),
            CallErrorKind::NotMcp(_) | CallErrorKind::TooLarge | CallErrorKind::Unauthorized => {
                false
            }
        };
        Err(Refusal { is_passing })
    }
}

struct Refusal {
    is_passing: bool,
}

struct SpanSender {
    collector: Collector,
    spans: mpsc::Receiver<Span>,
    resource: Resource,
    stopping: watch::Receiver<bool>,
}

impl SpanSender {
    async fn work(mut self) {
        let mut batch = Vec::new();
        while self.gather(&mut batch).await {
            let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            let request = spans::request(&self.resource, std::mem::take(&mut batch));
            if !self.is_taken(&request).await {
                self.collector.gateway.counts().spans_dropped(count);
            }
        }
    }

    /// Some spans to be sent together; `false` if there will be no more.
    async fn gather(&mut self, batch: &mut Vec<Span>) -> bool {
        let first = tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stops| *stops) => self.spans.try_recv().ok(),
            first = self.spans.recv() => first,
        };
        let Some(first) = first else { return false };
        batch.push(first);
        let soon = Instant::now() + LINGER;
        while batch.len() < SPANS_AT_ONCE_MAX {
            let next = tokio::select! {
                biased;
                next = self.spans.recv() => next,
                _ = self.stopping.wait_for(|stops| *stops) => None,
                () = sleep_until(soon) => None,
            };
            match next {
                Some(span) => batch.push(span),
                None => break,
            }
        }
        true
    }

    async fn is_taken(&mut self, request: &impl Message) -> bool {
        for again_after in AGAIN_AFTER {
            match self.collector.send(request).await {
                Ok(()) => return true,
                Err(Refusal { is_passing: false }) => return false,
                Err(Refusal { is_passing: true }) => {}
            }
            tokio::select! {
                _ = self.stopping.wait_for(|stops| *stops) => break,
                () = sleep(again_after) => {}
            }
        }
        self.collector.send(request).await.is_ok()
    }
}

struct MetricSender {
    collector: Collector,
    resource: Resource,
    stopping: watch::Receiver<bool>,
    ambient: Arc<dyn Ambient>,
    every: Duration,
    /// From when on it is counted.
    began: Timestamp,
}

impl MetricSender {
    /// They are sums since the start, so what is not taken once is in what is sent next.
    async fn work(mut self) {
        let mut ticks = interval_at(Instant::now() + self.every, self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut stops = false;
        while !stops {
            stops = tokio::select! {
                _ = self.stopping.wait_for(|stops| *stops) => true,
                _ = ticks.tick() => false,
            };
            let text = self.collector.gateway.metrics();
            let during = (unix_ns(self.began), unix_ns(self.ambient.now()));
            let request = metrics::request(&self.resource, &text, during);
            let _told: Result<(), Refusal> = self.collector.send(&request).await;
        }
    }
}

pub(crate) fn headers(secret: &HeaderMap) -> HeaderMap {
    let mut headers = secret.clone();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    let agent = concat!("callgate/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
    headers
}

/// What sends: each start is another instance, since what it counts begins anew.
pub(crate) fn resource(
    service: &str,
    more: BTreeMap<String, String>,
    ambient: &dyn Ambient,
) -> Resource {
    let mut attributes = BTreeMap::from([
        ("service.instance.id".to_owned(), ambient.id().to_string()),
        ("service.name".to_owned(), service.to_owned()),
        ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    attributes.extend(more);
    let attributes = attributes.into_iter().map(|(name, value)| text(&name, value)).collect();
    Resource { attributes, ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "callgate".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

fn text(name: &str, text: String) -> KeyValue {
    attribute(name, Value::StringValue(text))
}

fn attribute(name: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

fn unix_ns(moment: Timestamp) -> u64 {
    u64::try_from(moment.unix_ms()).unwrap_or_default().saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests;
