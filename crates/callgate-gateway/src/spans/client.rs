//! The span of one call of a server.

use std::time::Instant;

use callgate_mcp::era::MODERN;
use callgate_mcp::inbound::{SpanContext, TraceContext};
use callgate_mcp::upstream::{Answer, CallError};
use callgate_model::call::Method;

use super::durations::Labels;
use super::server::{Parent, name, of_failure, of_tool, operation, transport};
use super::{Failure, Span, SpanKind, Value};
use crate::server::Server;

/// The span of one call of a server. It ends when this is dropped: if there is no answer by then, the call was given up.
#[derive(Debug)]
pub(crate) struct ClientSpan {
    part: Parent,
    context: Option<SpanContext>,
    begun: Instant,
    method: &'static str,
    tool: Option<String>,
    server: String,
    /// Where it is, if that is a host and a port.
    address: Option<(String, u16)>,
    is_modern: bool,
    failure: Option<Failure>,
}

impl ClientSpan {
    /// The call of `tool`, or of what else `method` asks for.
    pub(crate) fn begin(part: &Parent, server: &Server, method: Method, tool: &str) -> Self {
        let context = part.context;
        Self {
            part: part.clone(),
            context: context.map(|of| SpanContext { span_id: part.spans.span_id(), ..of }),
            begun: Instant::now(),
            method: method.as_str(),
            tool: (method == Method::ToolsCall).then(|| tool.to_owned()),
            server: server.name.to_string(),
            address: server.upstream.address(),
            is_modern: false,
            failure: Some(Failure::Cancelled),
        }
    }

    /// What the server is told of the trace: that this span called it.
    pub(crate) fn trace(&self, of: &TraceContext) -> TraceContext {
        self.context.map_or_else(|| of.clone(), |context| of.through(context))
    }

    /// What was answered. Only then it is certain in which era the server speaks.
    pub(crate) fn ended(mut self, answered: &Result<Answer, CallError>, server: &Server) {
        self.is_modern = server.upstream.is_modern();
        self.failure = Failure::of(answered);
    }

    fn labels(&self) -> Labels {
        Labels {
            callgate_server: self.server.clone(),
            error_type: self
                .failure
                .map(|failure| failure.label().into_owned())
                .unwrap_or_default(),
            gen_ai_operation_name: operation(self.method),
            gen_ai_tool_name: self.tool.clone().unwrap_or_default(),
            mcp_method_name: self.method,
            mcp_protocol_version: if self.is_modern { MODERN } else { "" },
            network_transport: transport(self.address.is_none()),
        }
    }

    fn span(&mut self, parent: SpanContext, context: SpanContext, ended: Instant) -> Span {
        let mut attributes = vec![
            ("mcp.method.name", Value::from(self.method)),
            ("network.transport", Value::from(transport(self.address.is_none()))),
            ("callgate.server", Value::Text(std::mem::take(&mut self.server))),
        ];
        if self.is_modern {
            attributes.push(("mcp.protocol.version", Value::from(MODERN)));
        }
        if let Some((host, port)) = self.address.take() {
            attributes.push(("server.address", Value::Text(host)));
            attributes.push(("server.port", Value::Number(port.into())));
        }
        attributes.extend(of_tool(self.method, self.tool.as_deref()));
        attributes.extend(self.failure.into_iter().flat_map(of_failure));
        Span {
            context,
            parent: Some(parent.span_id),
            state: self.part.state.take(),
            link: None,
            kind: SpanKind::Client,
            name: name(self.method, self.tool.as_deref()),
            began_ns: self.part.clock.unix_ns_of(self.begun),
            ended_ns: self.part.clock.unix_ns_of(ended),
            attributes,
            is_error: self.failure.is_some(),
        }
    }
}

impl Drop for ClientSpan {
    fn drop(&mut self) {
        let ended = Instant::now();
        if let Some(durations) = self.part.spans.metrics.durations() {
            durations.asked(&self.labels(), ended.duration_since(self.begun).as_secs_f64());
        }
        if let Some((parent, context)) = self.part.kept().zip(self.context) {
            let span = self.span(parent, context, ended);
            self.part.spans.end(span);
        }
    }
}
