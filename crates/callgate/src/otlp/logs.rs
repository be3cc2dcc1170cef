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

/// Where the attributes come from: their name, and the place of it in a record.
const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("callgate.approval.id", &["event", "approved_by", "id"]),
    ("callgate.change", &["event", "change"]),
    ("callgate.decision", &["event", "decision", "verdict"]),
    ("callgate.effect", &["event", "understood", "effect"]),
    ("callgate.grant.id", &["event", "granted_by", "id"]),
    ("callgate.operation", &["event", "understood", "operation"]),
    ("callgate.outcome", &["event", "outcome"]),
    ("callgate.policy.version", &["event", "decision", "bundle"]),
    ("callgate.risk", &["event", "understood", "risk"]),
    ("callgate.server", &["event", "server"]),
    ("gen_ai.agent.name", &["event", "caller", "agent", "id"]),
    ("mcp.method.name", &["event", "method"]),
    ("user.id", &["event", "caller", "accountable", "id"]),
];

/// A record, as it is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded<'a> {
    pub(crate) record: &'a Json,
    /// If it is about a call that was let through: the record of that. What the one does not say is taken from the other.
    pub(crate) intent: Option<&'a Json>,
}

/// `records` in one message.
pub(crate) fn request(resource: &Resource, records: &[Recorded<'_>]) -> ExportLogsServiceRequest {
    let log_records = records.iter().map(|recorded| recorded.sent()).collect();
    let scope_logs =
        vec![ScopeLogs { scope: Some(scope()), log_records, schema_url: String::new() }];
    let resource = Some(resource.clone());
    let all = ResourceLogs { resource, scope_logs, schema_url: String::new() };
    ExportLogsServiceRequest { resource_logs: vec![all] }
}

impl<'a> Recorded<'a> {
    fn sent(self) -> LogRecord {
        let kind = self.of_record(&["kind"]).unwrap_or_default();
        let at = self.of_record(&["at"]).and_then(Timestamp::parse).unwrap_or_default();
        let severity = self.severity(kind);
        let body = String::from_utf8(self.record.canonical()).unwrap_or_default();
        LogRecord {
            time_unix_nano: unix_ns(at),
            observed_time_unix_nano: unix_ns(at),
            severity_number: severity.into(),
            severity_text: severity.as_str_name().trim_start_matches("SEVERITY_NUMBER_").to_owned(),
            event_name: format!("callgate.{kind}"),
            body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
            attributes: self.attributes(kind),
            trace_id: self.text(&["event", "trace"]).and_then(trace_id).unwrap_or_default(),
            ..LogRecord::default()
        }
    }

    fn attributes(self, kind: &str) -> Vec<KeyValue> {
        let (category, types) = classes(kind);
        let mut all = vec![
            text("event.kind", "event".to_owned()),
            list("event.category", [category]),
            list("event.type", types.iter().copied()),
            text("event.outcome", self.outcome(kind).to_owned()),
        ];
        let called = ATTRIBUTES.iter().filter_map(|(name, place)| Some((*name, self.text(place)?)));
        all.extend(called.map(|(name, said)| text(name, said.to_owned())));
        let call = self.of_record(&["call"]).or_else(|| self.of_record(&["event", "call"]));
        all.extend(call.map(|call| text("callgate.call", call.to_owned())));
        all.extend(self.of_record(&["hash"]).map(|hash| text("event.id", hash.to_owned())));
        let index = self.record.get("index").and_then(Json::as_number);
        let index = index.and_then(|index| index.as_i64());
        all.extend(index.map(|index| attribute("event.sequence", Value::IntValue(index))));
        // Only a tool is one: of other methods it is a prompt's name or a URI.
        if self.text(&["event", "method"]) == Some("tools/call") {
            let tool = self.text(&["event", "tool"]).filter(|tool| !tool.is_empty());
            all.extend(tool.map(|tool| text("gen_ai.tool.name", tool.to_owned())));
            all.push(text("gen_ai.operation.name", "execute_tool".to_owned()));
        }
        let decision = |member| self.value(&["event", "decision", member]).and_then(Json::as_array);
        if let Some(reasons) = decision("reasons").filter(|reasons| !reasons.is_empty()) {
            all.push(list("callgate.reason_code", reasons.iter().filter_map(Json::as_str)));
        }
        if let Some(policies) = decision("policies").filter(|policies| !policies.is_empty()) {
            all.push(list("rule.id", policies.iter().filter_map(|one| one.get("id")?.as_str())));
        }
        all
    }

    /// How much somebody should look at it.
    fn severity(self, kind: &str) -> SeverityNumber {
        let said = match kind {
            "outcome" => self.of_record(&["event", "outcome"]),
            "refusal" => self.of_record(&["event", "decision", "verdict"]),
            "change" => self.of_record(&["event", "change"]),
            _ => None,
        };
        match said {
            Some("indeterminate" | "timed_out" | "upstream_error") => SeverityNumber::Error,
            Some(
                "cancelled" | "deny" | "glass_broken" | "not_dispatched" | "notice_given_up"
                | "tool_error",
            ) => SeverityNumber::Warn,
            Some(_) | None => SeverityNumber::Info,
        }
    }

    /// In the words of the Elastic Common Schema.
    fn outcome(self, kind: &str) -> &'static str {
        match (kind, self.of_record(&["event", "outcome"])) {
            ("refusal", _)
            | ("outcome", Some("not_dispatched" | "tool_error" | "upstream_error")) => "failure",
            ("change" | "opened" | "settled", _) | ("outcome", Some("succeeded")) => "success",
            _ => "unknown",
        }
    }

    fn of_record(self, place: &[&str]) -> Option<&'a str> {
        at(self.record, place).and_then(Json::as_str)
    }

    fn value(self, place: &[&str]) -> Option<&'a Json> {
        at(self.record, place).or_else(|| at(self.intent?, place))
    }

    fn text(self, place: &[&str]) -> Option<&'a str> {
        self.value(place).and_then(Json::as_str)
    }
}

/// The category and the types of the Elastic Common Schema.
fn classes(kind: &str) -> (&'static str, &'static [&'static str]) {
    match kind {
        "intent" => ("api", &["access", "allowed"]),
        "refusal" => ("api", &["access", "denied"]),
        "outcome" => ("api", &["access", "end"]),
        "change" => ("iam", &["change"]),
        "opened" => ("process", &["start"]),
        _ => ("api", &["info"]),
    }
}

fn at<'a>(json: &'a Json, place: &[&str]) -> Option<&'a Json> {
    place.iter().try_fold(json, |json, name| json.get(name))
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
