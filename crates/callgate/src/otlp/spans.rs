//! Spans in the form of OTLP.

use callgate_gateway::spans::{Span, SpanKind, Value};
use callgate_mcp::inbound::SpanContext;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as Sent, Status, span, status,
};

use super::{attribute, scope};

/// The flags of a context: whether it is kept, and that what is known of it came from elsewhere, or did not.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

pub(super) fn request(resource: &Resource, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let spans = spans.into_iter().map(sent).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, schema_url: String::new() }];
    let resource = Some(resource.clone());
    let all = ResourceSpans { resource, scope_spans, schema_url: String::new() };
    ExportTraceServiceRequest { resource_spans: vec![all] }
}

fn sent(span: Span) -> Sent {
    let (kind, remote) = match span.kind {
        SpanKind::Server => (span::SpanKind::Server, IS_REMOTE),
        SpanKind::Client => (span::SpanKind::Client, 0),
    };
    let remote = if span.parent.is_some() { HAS_IS_REMOTE | remote } else { 0 };
    let attributes = span.attributes.into_iter().map(|(name, value)| match value {
        Value::Number(number) => attribute(name, any_value::Value::IntValue(number)),
        Value::Text(text) => attribute(name, any_value::Value::StringValue(text)),
    });
    // What exactly went wrong is in the evidence: nobody's words are here.
    let code = if span.is_error { status::StatusCode::Error } else { status::StatusCode::Unset };
    Sent {
        trace_id: span.context.trace_id.to_vec(),
        span_id: span.context.span_id.to_vec(),
        trace_state: span.state.unwrap_or_default(),
        parent_span_id: span.parent.map(Vec::from).unwrap_or_default(),
        flags: u32::from(span.context.is_sampled) | remote,
        name: span.name,
        kind: kind.into(),
        start_time_unix_nano: span.began_ns,
        end_time_unix_nano: span.ended_ns,
        attributes: attributes.collect(),
        links: span.link.map(link).into_iter().collect(),
        status: Some(Status { message: String::new(), code: code.into() }),
        ..Sent::default()
    }
}

fn link(context: SpanContext) -> span::Link {
    span::Link {
        trace_id: context.trace_id.to_vec(),
        span_id: context.span_id.to_vec(),
        flags: u32::from(context.is_sampled) | HAS_IS_REMOTE | IS_REMOTE,
        ..span::Link::default()
    }
}
