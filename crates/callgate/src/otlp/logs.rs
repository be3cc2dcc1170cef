//! Records of the evidence in the form of OTLP logs: the record itself is the body, to the letter, and what one looks for is
//! beside it under the names of OpenTelemetry and of the Elastic Common Schema. What was erased is in neither.

use callgate_model::ambient::Timestamp;
use callgate_model::json::Json;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::{attribute, scope, text, unix_ns};
use crate::export::{Classes, Exported, Facts, Severity, Verdict, classes, text_at};

/// `records` in one message.
pub(crate) fn request<'a>(
    resource: &Resource,
    records: impl Iterator<Item = Exported<'a>>,
) -> ExportLogsServiceRequest {
    let log_records = records.map(|exported| sent(&Facts::of(&exported))).collect();
    let scope_logs =
        vec![ScopeLogs { scope: Some(scope()), log_records, schema_url: String::new() }];
    let resource = Some(resource.clone());
    let all = ResourceLogs { resource, scope_logs, schema_url: String::new() };
    ExportLogsServiceRequest { resource_logs: vec![all] }
}

fn sent(facts: &Facts<'_>) -> LogRecord {
    let at = unix_ns(Timestamp::from_unix_ms(facts.at_ms()));
    let severity = severity(facts.severity());
    let body = String::from_utf8(facts.record.canonical()).unwrap_or_default();
    LogRecord {
        time_unix_nano: at,
        observed_time_unix_nano: at,
        severity_number: severity.into(),
        severity_text: severity.as_str_name().trim_start_matches("SEVERITY_NUMBER_").to_owned(),
        event_name: format!("callgate.{}", facts.own("kind")),
        body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
        attributes: attributes(facts),
        trace_id: trace_id(facts.asked("trace")).unwrap_or_default(),
        ..LogRecord::default()
    }
}

/// As OpenTelemetry has those of syslog, which each record has as well.
const fn severity(severity: Severity) -> SeverityNumber {
    match severity {
        Severity::Informational => SeverityNumber::Info,
        Severity::Low => SeverityNumber::Info2,
        Severity::Medium => SeverityNumber::Warn,
        Severity::High => SeverityNumber::Error,
        Severity::Critical => SeverityNumber::Error2,
    }
}

fn attributes(facts: &Facts<'_>) -> Vec<KeyValue> {
    let Classes { category, types, outcome } = classes(facts);
    let mut all = vec![
        text("event.kind", "event".to_owned()),
        list("event.category", [category]),
        list("event.type", types),
        text("event.outcome", outcome.to_owned()),
    ];
    let is_tool = facts.asked("method") == "tools/call";
    // Only a tool is one: of other methods it is a prompt's name or a URI.
    let tool = if is_tool || facts.asked("method").is_empty() { facts.tool() } else { "" };
    for (name, said) in [
        ("callgate.approval.id", facts.approval()),
        ("callgate.call", facts.call()),
        ("callgate.change", facts.change()),
        ("callgate.decision", facts.verdict().map(Verdict::as_str).unwrap_or_default()),
        ("callgate.effect", facts.understood("effect")),
        ("callgate.grant.id", text_at(facts.decided("granted_by"), "id")),
        ("callgate.operation", facts.understood("operation")),
        ("callgate.outcome", facts.outcome()),
        ("callgate.policy.version", facts.asked("decision.bundle")),
        ("callgate.risk", facts.understood("risk")),
        ("callgate.server", facts.server()),
        ("event.id", facts.own("hash")),
        ("gen_ai.agent.name", facts.agent()),
        ("gen_ai.operation.name", if is_tool { "execute_tool" } else { "" }),
        ("gen_ai.tool.name", tool),
        ("mcp.method.name", facts.asked("method")),
        ("user.id", facts.who()),
    ] {
        if !said.is_empty() {
            all.push(text(name, said.to_owned()));
        }
    }
    let index = facts.record.get("index").and_then(Json::as_number);
    let index = index.and_then(|index| index.as_i64());
    all.extend(index.map(|index| attribute("event.sequence", Value::IntValue(index))));
    let policies = facts.policies().into_iter().map(|(id, _)| id).collect();
    for (name, said) in [("callgate.reason_code", facts.reasons()), ("rule.id", policies)] {
        if !said.is_empty() {
            all.push(list(name, said));
        }
    }
    all
}

fn trace_id(hex: &str) -> Option<Vec<u8>> {
    let number = u128::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 32)?;
    Some(number.to_be_bytes().to_vec())
}

fn list<'a>(name: &str, texts: impl IntoIterator<Item = &'a str>) -> KeyValue {
    let value = |text: &str| AnyValue { value: Some(Value::StringValue(text.to_owned())) };
    let values = texts.into_iter().map(value).collect();
    attribute(name, Value::ArrayValue(ArrayValue { values }))
}
