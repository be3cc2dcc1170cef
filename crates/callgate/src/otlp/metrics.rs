//! Metrics in the form of OTLP.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::exposition::{Family, Kind, Labels, Series, read};
use super::{scope, text};

/// What is called otherwise in Prometheus, where a name has no dots. What is not here is our own, or the same.
const NAMES: &[(&str, &str)] = &[
    ("callgate_server", "callgate.server"),
    ("error_type", "error.type"),
    ("gen_ai_operation_name", "gen_ai.operation.name"),
    ("gen_ai_tool_name", "gen_ai.tool.name"),
    ("mcp_client_operation_duration", "mcp.client.operation.duration"),
    ("mcp_method_name", "mcp.method.name"),
    ("mcp_protocol_version", "mcp.protocol.version"),
    ("mcp_server_operation_duration", "mcp.server.operation.duration"),
    ("network_transport", "network.transport"),
];

/// From when to when is counted, in nanoseconds since 1970-01-01T00:00:00Z.
type During = (u64, u64);

/// What `/metrics` says in `exposition`.
pub(super) fn request(
    resource: &Resource,
    exposition: &str,
    during: During,
) -> ExportMetricsServiceRequest {
    let metrics = read(exposition).into_iter().filter_map(|family| sent(family, during)).collect();
    let scope_metrics =
        vec![ScopeMetrics { scope: Some(scope()), metrics, schema_url: String::new() }];
    let resource = Some(resource.clone());
    let all = ResourceMetrics { resource, scope_metrics, schema_url: String::new() };
    ExportMetricsServiceRequest { resource_metrics: vec![all] }
}

fn sent(family: Family, during: During) -> Option<Metric> {
    let Family { name, help, unit, kind, series } = family;
    let numbers = |series: Vec<(Labels, Series)>, during: During| {
        series.into_iter().map(|(labels, series)| number(labels, &series, during)).collect()
    };
    let (all, temporality) =
        (series.into_iter().collect(), AggregationTemporality::Cumulative.into());
    let data = match kind? {
        Kind::Counter => metric::Data::Sum(Sum {
            data_points: numbers(all, during),
            aggregation_temporality: temporality,
            is_monotonic: true,
        }),
        // A gauge is only now.
        Kind::Gauge => metric::Data::Gauge(Gauge { data_points: numbers(all, (0, during.1)) }),
        Kind::Histogram => metric::Data::Histogram(Histogram {
            data_points: all.into_iter().map(|(of, series)| buckets(of, &series, during)).collect(),
            aggregation_temporality: temporality,
        }),
    };
    let bare = name.strip_suffix(&format!("_{unit}")).unwrap_or(&name);
    let unit = if unit == "seconds" { "s".to_owned() } else { unit };
    let name = NAMES.iter().find(|(known, _)| *known == bare).map(|(_, name)| (*name).to_owned());
    let name = name.unwrap_or_else(|| match bare.split_once('_') {
        Some((first, rest)) => format!("{first}.{rest}"),
        None => bare.to_owned(),
    });
    Some(Metric { name, description: help, unit, data: Some(data), metadata: Vec::new() })
}

fn number(labels: Labels, series: &Series, (began, now): During) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: began,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(series.value)),
        ..NumberDataPoint::default()
    }
}

/// There, each bucket is what is in it alone; in the text, it is all up to its bound.
fn buckets(labels: Labels, series: &Series, (began, now): During) -> HistogramDataPoint {
    let mut below = 0;
    let up_to = series.up_to.iter().map(|(_, count)| *count).chain([series.count]);
    let bucket_counts =
        up_to.map(|up_to| up_to.saturating_sub(std::mem::replace(&mut below, up_to)));
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: began,
        time_unix_nano: now,
        count: series.count,
        sum: Some(series.sum),
        bucket_counts: bucket_counts.collect(),
        explicit_bounds: series.up_to.iter().map(|(bound, _)| *bound).collect(),
        ..HistogramDataPoint::default()
    }
}

/// What is empty does not apply.
fn attributes(labels: Labels) -> Vec<KeyValue> {
    let said = labels.into_iter().filter(|(_, value)| !value.is_empty());
    let called = |(name, value): (String, String)| {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        text(known.map_or(&name, |(_, name)| name), value)
    };
    said.map(called).collect()
}
