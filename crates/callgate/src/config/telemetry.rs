//! The section of telemetry: where traces and metrics go, and how much of them.

use std::collections::BTreeMap;
use std::time::Duration;

use callgate_mcp::document::Document;
use callgate_mcp::http::{HeaderMap, HeaderName, HeaderValue};
use callgate_mcp::upstream::UpstreamLimits;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::section::Reader;
use super::server::{RawSecret, is_protected};

/// The most headers, and the most attributes, that can be said.
const SAID_MAX: usize = 32;
/// For a collector to take what it is sent.
const SEND_WITHIN: Duration = Duration::from_secs(10);
const EVERY_S: u64 = 60;
const EVERY_S_MAX: u64 = 3_600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTelemetry {
    otlp: String,
    #[serde(default)]
    headers: BTreeMap<String, RawSecret>,
    #[serde(default = "yes")]
    traces: bool,
    #[serde(default = "yes")]
    metrics: bool,
    #[serde(default = "all")]
    sample: f64,
    #[serde(default = "ours")]
    service: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default = "every")]
    metrics_every_s: u64,
    #[serde(default)]
    danger_plain_http: bool,
}

const fn yes() -> bool {
    true
}

const fn all() -> f64 {
    1.0
}

const fn every() -> u64 {
    EVERY_S
}

fn ours() -> String {
    "callgate".to_owned()
}

/// Where traces and metrics go.
#[derive(Debug)]
pub(crate) struct TelemetryConfig {
    /// Where traces are taken, if they are sent.
    pub(crate) traces: Option<Document>,
    /// Where metrics are taken, if they are sent.
    pub(crate) metrics: Option<Document>,
    /// What a collector is to be sent with everything. All of it is secret.
    pub(crate) headers: HeaderMap,
    /// The part of the traces that begin here which is kept.
    pub(crate) sample: f64,
    /// What the gateway is called.
    pub(crate) service: String,
    /// What else is said of it.
    pub(crate) attributes: BTreeMap<String, String>,
    /// How often metrics are sent.
    pub(crate) metrics_every: Duration,
}

impl Reader {
    /// `None` if the section is wrong; if there is none, nothing is sent.
    #[expect(clippy::option_option, reason = "as with every section that need not be there")]
    pub(super) fn telemetry(&mut self) -> Option<Option<Box<TelemetryConfig>>> {
        let raw: Option<RawTelemetry> = self.optional("telemetry")?;
        let Some(raw) = raw else { return Some(None) };
        if !raw.traces && !raw.metrics {
            let hint = "leave the section out, or say `traces = true` or `metrics = true`";
            self.problem("telemetry", "neither traces nor metrics are sent", Some(hint.to_owned()));
        }
        if !(0.0..=1.0).contains(&raw.sample) {
            let hint = "0.1 keeps one trace of ten";
            self.problem("telemetry.sample", "is not from 0 to 1", Some(hint.to_owned()));
        }
        if !(1..=EVERY_S_MAX).contains(&raw.metrics_every_s) {
            let text = format!("is not from 1 to {EVERY_S_MAX}");
            self.problem("telemetry.metrics_every_s", &text, None);
        }
        for (place, count) in [
            ("telemetry.headers", raw.headers.len()),
            ("telemetry.attributes", raw.attributes.len()),
        ] {
            if count > SAID_MAX {
                self.problem(place, &format!("more than {SAID_MAX}"), None);
            }
        }
        let plain = raw.danger_plain_http;
        let place = "telemetry.otlp";
        let traces = self.collector(place, &raw.otlp, "v1/traces", plain)?;
        let metrics = self.collector(place, &raw.otlp, "v1/metrics", plain)?;
        Some(Some(Box::new(TelemetryConfig {
            traces: raw.traces.then_some(traces),
            metrics: raw.metrics.then_some(metrics),
            headers: self.collector_headers("telemetry.headers", raw.headers),
            sample: raw.sample,
            service: raw.service,
            attributes: raw.attributes,
            metrics_every: Duration::from_secs(raw.metrics_every_s),
        })))
    }

    /// Where a collector takes one kind of thing.
    pub(super) fn collector(
        &mut self,
        place: &str,
        url: &str,
        path: &str,
        danger_plain_http: bool,
    ) -> Option<Document> {
        if !danger_plain_http && !is_protected(url) {
            let hint = "use https, or say `danger_plain_http = true`";
            let text = "who calls what would cross the network unprotected";
            self.problem(place, text, Some(hint.to_owned()));
            return None;
        }
        if url.contains(['?', '#']) {
            let hint = "what a collector wants to know of its sender goes into `headers`";
            self.problem(place, "the address has more than a path", Some(hint.to_owned()));
            return None;
        }
        let limits = UpstreamLimits { total: SEND_WITHIN, ..UpstreamLimits::default() };
        let whole = format!("{}/{path}", url.trim_end_matches('/'));
        let whole = whole.parse().map_err(|_not_shown| "it is no address".to_owned());
        let document =
            whole.and_then(|url| Document::new(url, limits).map_err(|error| error.to_string()));
        document.map_err(|text| self.problem(place, &text, None)).ok()
    }

    /// What whoever is sent something wants to see with it.
    pub(super) fn collector_headers(
        &mut self,
        place: &str,
        raw: BTreeMap<String, RawSecret>,
    ) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, secret) in raw {
            let read = self.secret(secret).and_then(|secret| header(&name, &secret));
            match read {
                Ok((name, value)) => drop(headers.insert(name, value)),
                // No problem tells the value.
                Err(text) => self.problem(&format!("{place}.{name}"), &text, None),
            }
        }
        headers
    }
}

fn header(name: &str, secret: &SecretString) -> Result<(HeaderName, HeaderValue), String> {
    let name = name.parse().map_err(|_same| "is not the name of a header".to_owned())?;
    let value = HeaderValue::from_str(secret.expose_secret());
    let mut value = value.map_err(|_not_shown| "is not the value of a header".to_owned())?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests;
