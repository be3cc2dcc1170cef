mod logs;

use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};

use super::exposition::{Kind, read};
use super::*;

const EXPOSITION: &str = r#"# HELP callgate_decisions Decisions made.
# TYPE callgate_decisions counter
callgate_decisions_total{server="atlassian",verdict="allow",reason="",effect="read"} 3
callgate_decisions_total{server="a\"b\\c\nd",verdict="deny",reason="x, y",effect=""} 1
# HELP callgate_calls_in_flight Calls in progress.
# TYPE callgate_calls_in_flight gauge
callgate_calls_in_flight 2
# HELP mcp_server_operation_duration_seconds From a client's request to its answer.
# TYPE mcp_server_operation_duration_seconds histogram
# UNIT mcp_server_operation_duration_seconds seconds
mcp_server_operation_duration_seconds_sum{gen_ai_tool_name="t",error_type=""} 1.5
mcp_server_operation_duration_seconds_count{gen_ai_tool_name="t",error_type=""} 4
mcp_server_operation_duration_seconds_bucket{le="0.01",gen_ai_tool_name="t",error_type=""} 1
mcp_server_operation_duration_seconds_bucket{le="300.0",gen_ai_tool_name="t",error_type=""} 3
mcp_server_operation_duration_seconds_bucket{le="+Inf",gen_ai_tool_name="t",error_type=""} 4
# HELP callgate_outcomes Outcomes of dispatched calls.
# TYPE callgate_outcomes counter
# EOF
"#;

fn metrics_of(text: &str) -> Vec<Metric> {
    let mut request = metrics::request(&Resource::default(), text, (5, 9));
    request.resource_metrics.remove(0).scope_metrics.remove(0).metrics
}

fn said(attributes: &[KeyValue]) -> Vec<(&str, &str)> {
    attributes.iter().map(|one| (&*one.key, text_of(one))).collect()
}

fn text_of(one: &KeyValue) -> &str {
    match &one.value.as_ref().unwrap().value {
        Some(Value::StringValue(text)) => text,
        _ => panic!("{one:?}"),
    }
}

#[test]
fn the_metrics_are_read_as_they_are_written() {
    let all = metrics_of(EXPOSITION);
    let names: Vec<_> = all.iter().map(|one| (&*one.name, &*one.unit)).collect();
    assert_eq!(
        names,
        [
            ("callgate.decisions", ""),
            ("callgate.calls_in_flight", ""),
            ("mcp.server.operation.duration", "s")
        ]
    );
    let Some(metric::Data::Sum(sum)) = &all[0].data else { panic!("{all:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    let [odd, read] = &sum.data_points[..] else { panic!("{sum:?}") };
    assert_eq!(said(&odd.attributes)[0], ("server", "a\"b\\c\nd"));
    assert_eq!(said(&odd.attributes)[2], ("reason", "x, y"));
    assert_eq!(said(&read.attributes).len(), 3, "what is empty is not said");
    assert_eq!(read.value, Some(number_data_point::Value::AsDouble(3.0)));
    assert_eq!((read.start_time_unix_nano, read.time_unix_nano), (5, 9));
    let Some(metric::Data::Histogram(histogram)) = &all[2].data else { panic!("{all:?}") };
    let [point] = &histogram.data_points[..] else { panic!("{histogram:?}") };
    assert_eq!(said(&point.attributes), [("gen_ai.tool.name", "t")]);
    assert_eq!((point.count, point.sum), (4, Some(1.5)));
    assert_eq!(point.explicit_bounds, [0.01, 300.0]);
    assert_eq!(point.bucket_counts, [1, 2, 1], "each alone");
}

#[test]
fn what_is_no_metric_is_left_out() {
    for text in [
        "",
        "x",
        "x 1\n# TYPE x counter",
        "# TYPE x summary\nx 1",
        "# TYPE x counter\nx_total{a=\"b 1",
    ] {
        assert_eq!(read(text), [], "{text}");
    }
    let some = read("# TYPE x gauge\nx nothing\nx{a=\"1\"} 7\ny 3\n");
    assert_eq!(some[0].kind, Some(Kind::Gauge));
    assert_eq!(some[0].series.values().map(|one| one.value).sum::<f64>(), 7.0);
}
