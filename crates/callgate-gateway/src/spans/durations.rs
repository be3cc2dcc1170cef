//! How long requests take, by method and tool: the histograms of the conventions.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The buckets that the conventions want, in seconds.
const BUCKETS: [f64; 14] =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// What a duration is counted under. What does not apply is empty, which is to Prometheus as if it were not there.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Labels {
    pub(super) callgate_server: String,
    pub(super) error_type: String,
    pub(super) gen_ai_operation_name: &'static str,
    pub(super) gen_ai_tool_name: String,
    pub(super) mcp_method_name: &'static str,
    pub(super) mcp_protocol_version: &'static str,
    pub(super) network_transport: &'static str,
}

/// How long requests of clients took, and calls of servers.
#[derive(Clone, Debug)]
pub(crate) struct Durations {
    served: Histograms,
    asked: Histograms,
}

impl Durations {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let of = || Histograms::new_with_constructor(|| Histogram::new(BUCKETS));
        let (served, asked) = (of(), of());
        registry.register_with_unit(
            "mcp_server_operation_duration",
            "From a client's request to its answer",
            Unit::Seconds,
            served.clone(),
        );
        registry.register_with_unit(
            "mcp_client_operation_duration",
            "From the call of a server to its answer",
            Unit::Seconds,
            asked.clone(),
        );
        Self { served, asked }
    }

    pub(super) fn served(&self, labels: &Labels, seconds: f64) {
        self.served.get_or_create(labels).observe(seconds);
    }

    pub(super) fn asked(&self, labels: &Labels, seconds: f64) {
        self.asked.get_or_create(labels).observe(seconds);
    }
}
