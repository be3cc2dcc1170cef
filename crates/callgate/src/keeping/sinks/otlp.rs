//! A collector of OpenTelemetry, which takes records as logs.

use std::collections::BTreeMap;
use std::fmt;

use callgate_mcp::document::Document;
use callgate_mcp::http::HeaderMap;
use callgate_model::ambient::Ambient;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::batch::Batch;
use crate::otlp::{headers, logs, resource};

/// Where logs are taken.
pub(crate) struct Collector {
    document: Document,
    headers: HeaderMap,
    service: String,
    attributes: BTreeMap<String, String>,
    resource: Option<Resource>,
}

impl Collector {
    /// The one at `document`, which is sent `secret` headers, and told that this is `service` with `attributes`.
    pub(crate) fn new(
        document: Document,
        secret: &HeaderMap,
        service: String,
        attributes: BTreeMap<String, String>,
    ) -> Self {
        Self { document, headers: headers(secret), service, attributes, resource: None }
    }

    pub(super) async fn send(
        &mut self,
        batch: &Batch,
        ambient: &dyn Ambient,
    ) -> Result<(), String> {
        let Self { service, attributes, .. } = self;
        let of_us = || resource(service, attributes.clone(), ambient);
        let resource = self.resource.get_or_insert_with(of_us);
        let request = logs::request(resource, batch.exported());
        let asked = self.document.ask(self.headers.clone(), request.encode_to_vec()).await;
        let (status, answer) = asked.map_err(|error| error.to_string())?;
        if !(200..300).contains(&status) {
            return Err(format!("the collector answers with HTTP status {status}"));
        }
        // Some who answer for a collector say yes in words of their own.
        let answer = ExportLogsServiceResponse::decode(&*answer).unwrap_or_default();
        if let Some(partial) =
            answer.partial_success.filter(|partial| partial.rejected_log_records > 0)
        {
            // It is not to be sent again (OTLP): it would be refused again, and hold up what comes after it.
            tracing::error!(
                rejected = partial.rejected_log_records,
                why = partial.error_message,
                from = batch.first,
                to = batch.next,
                "a collector refuses some of the records"
            );
        }
        Ok(())
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its headers are secret.
        f.debug_struct("Collector").field("document", &self.document).finish_non_exhaustive()
    }
}
