//! The section of limits.

use std::time::Duration;

use callgate_gateway::budgets::MARKS_MAX;
use callgate_gateway::bulkhead::CallLimits;
use callgate_gateway::listeners::StreamLimits;
use callgate_mcp::upstream::UpstreamLimits;
use callgate_model::json::JsonLimits;
use callgate_store::EvidenceLimits;
use serde::Deserialize;

use super::Limits;
use super::section::Reader;

/// Open connections, if nothing else is said.
const CONNECTIONS_MAX: usize = 4096;
/// For a whole request to arrive, if nothing else is said.
const REQUEST_WITHIN: Duration = Duration::from_secs(15);

/// For load balancers to hear that the gateway ends, if nothing else is said.
const LEAVE_WITHIN: Duration = Duration::from_millis(0);
/// For what is on its way when the gateway is told to end, if nothing else is said.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    body_bytes_max: Option<usize>,
    body_depth_max: Option<usize>,
    body_nodes_max: Option<usize>,
    body_string_bytes_max: Option<usize>,
    calls_in_flight_max: Option<usize>,
    calls_per_caller_max: Option<usize>,
    budget_marks_max: Option<usize>,
    connections_max: Option<usize>,
    request_ms_max: Option<u64>,
    upstream_ms_max: Option<u64>,
    upstream_bytes_max: Option<usize>,
    evidence_ms_max: Option<u64>,
    leave_ms: Option<u64>,
    drain_ms_max: Option<u64>,
    streams_max: Option<usize>,
    streams_per_caller_max: Option<usize>,
}

impl Reader {
    pub(super) fn limits(&mut self) -> Option<Limits> {
        let raw: RawLimits = self.optional("limits")?;
        let (json, streams) = (JsonLimits::default(), StreamLimits::default());
        let (calls, upstream) = (CallLimits::default(), UpstreamLimits::default());
        let evidence = EvidenceLimits::default();
        let ms = |value: Option<u64>, usual| value.map_or(usual, Duration::from_millis);
        Some(Limits {
            json: JsonLimits {
                bytes_max: raw.body_bytes_max.unwrap_or(json.bytes_max),
                depth_max: raw.body_depth_max.unwrap_or(json.depth_max),
                nodes_max: raw.body_nodes_max.unwrap_or(json.nodes_max),
                string_bytes_max: raw.body_string_bytes_max.unwrap_or(json.string_bytes_max),
            },
            calls: CallLimits {
                in_flight_max: raw.calls_in_flight_max.unwrap_or(calls.in_flight_max),
                per_caller_max: raw.calls_per_caller_max.unwrap_or(calls.per_caller_max),
            },
            budget_marks_max: raw.budget_marks_max.unwrap_or(MARKS_MAX),
            connections_max: raw.connections_max.unwrap_or(CONNECTIONS_MAX),
            streams: StreamLimits {
                per_caller_max: raw.streams_per_caller_max.unwrap_or(streams.per_caller_max),
                streams_max: raw.streams_max.unwrap_or(streams.streams_max),
            },
            request_time_max: ms(raw.request_ms_max, REQUEST_WITHIN),
            upstream_time_max: ms(raw.upstream_ms_max, upstream.total),
            upstream_bytes_max: raw.upstream_bytes_max.unwrap_or(upstream.response_bytes_max),
            evidence_time_max: ms(raw.evidence_ms_max, evidence.append_timeout),
            leave_time: ms(raw.leave_ms, LEAVE_WITHIN),
            drain_time_max: ms(raw.drain_ms_max.or(raw.upstream_ms_max), DRAIN_WITHIN),
        })
    }
}
