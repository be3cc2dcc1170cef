//! W3C trace context, carried from the client's request into ours. It is correlation, never authority.

use std::fmt;

use callgate_model::json::{Json, Object};
use http::HeaderMap;
use http::header::HeaderName;

use crate::headers;
use crate::limits::TRACE_BYTES_MAX;

/// The trace a request belongs to. Parts that are too long or not well-formed are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// Version, trace id, parent id, flags.
    pub traceparent: Option<String>,
    /// Vendors' own.
    pub tracestate: Option<String>,
    /// The application's own.
    pub baggage: Option<String>,
    /// The `traceparent` of the HTTP headers, if `_meta` has another. It goes nowhere.
    pub beside: Option<String>,
}

/// A place in a trace: what a `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace, never all zero.
    pub trace_id: [u8; 16],
    /// The span in it, never all zero.
    pub span_id: [u8; 8],
    /// Whether its spans are kept.
    pub is_sampled: bool,
}

impl SpanContext {
    /// Reads a `traceparent`; of a later version, what this one knows of it.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = Some(traceparent).filter(|text| is_traceparent(text))?.split('-').skip(1);
        let mut number = || u128::from_str_radix(parts.next()?, 16).ok();
        let (trace_id, span_id, flags) = (number()?, number()?, number()?);
        let span_id = u64::try_from(span_id).ok()?.to_be_bytes();
        Some(Self { trace_id: trace_id.to_be_bytes(), span_id, is_sampled: flags & 1 == 1 })
    }
}

/// As a `traceparent`.
impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (u128::from_be_bytes(self.trace_id), u64::from_be_bytes(self.span_id));
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", u8::from(self.is_sampled))
    }
}

impl TraceContext {
    /// From `_meta` if it has a `traceparent`, else from the HTTP headers: one source, never a mixture.
    pub(crate) fn of(headers: &HeaderMap, meta: &Object) -> Self {
        let from_meta = |name| meta.get(name).and_then(Json::as_str);
        let from_header = |name| headers::single(headers, &HeaderName::from_static(name)).ok();
        if from_meta("traceparent").is_none() {
            return Self::pick(from_header);
        }
        let trace = Self::pick(from_meta);
        let beside = Self::pick(from_header).traceparent;
        Self { beside: beside.filter(|other| Some(other) != trace.traceparent.as_ref()), ..trace }
    }

    /// The same, gone on with from `span`.
    #[must_use]
    pub fn through(&self, span: SpanContext) -> Self {
        Self { traceparent: Some(span.to_string()), beside: None, ..self.clone() }
    }

    /// Where the client is in its trace.
    #[must_use]
    pub fn parent(&self) -> Option<SpanContext> {
        SpanContext::parse(self.traceparent.as_deref()?)
    }

    fn pick<'a>(part: impl Fn(&'static str) -> Option<&'a str>) -> Self {
        let bounded = |name| part(name).filter(|text| is_carriable(text)).map(str::to_owned);
        let traceparent = bounded("traceparent").filter(|text| is_traceparent(text));
        // Without a parent the state says nothing.
        let tracestate = traceparent.as_ref().and_then(|_| bounded("tracestate"));
        Self { traceparent, tracestate, baggage: bounded("baggage"), beside: None }
    }

    /// Puts the trace into `_meta`.
    pub(crate) fn write(&self, meta: &mut Object) {
        let parts = [
            ("traceparent", &self.traceparent),
            ("tracestate", &self.tracestate),
            ("baggage", &self.baggage),
        ];
        for (name, part) in parts {
            if let Some(part) = part {
                meta.set(name, part.as_str());
            }
        }
    }
}

fn is_carriable(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= TRACE_BYTES_MAX
        && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, lower case, ids not all zero; later versions may append.
fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut hex = |digits: usize| {
        parts.next().filter(|part| {
            part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let (version, trace, parent, flags) = (hex(2), hex(32), hex(16), hex(2));
    let not_zero = |id: Option<&str>| id.is_some_and(|id| id.bytes().any(|b| b != b'0'));
    version.is_some_and(|version| version != "ff")
        && not_zero(trace)
        && not_zero(parent)
        && flags.is_some()
        && (version != Some("00") || parts.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_is_carried() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (text, carried) in [
            (good, true),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736", false),
            ("", false),
        ] {
            let meta = Object::default().with("traceparent", text).with("tracestate", "a=1");
            let trace = TraceContext::of(&HeaderMap::new(), &meta);
            assert_eq!(trace.traceparent.is_some(), carried, "{text}");
            assert_eq!(trace.tracestate.is_some(), carried, "{text}");
        }
    }

    #[test]
    fn meta_wins_over_headers() {
        let mut headers = HeaderMap::new();
        let from_header = "00-11111111111111111111111111111111-1111111111111111-01";
        headers.insert("traceparent", from_header.parse().unwrap());
        headers.insert("baggage", "from=header".parse().unwrap());
        let trace = TraceContext::of(&headers, &Object::default());
        assert_eq!(trace.traceparent.as_deref(), Some(from_header));
        let from_meta = "00-22222222222222222222222222222222-2222222222222222-01";
        let meta = Object::default().with("traceparent", from_meta);
        let trace = TraceContext::of(&headers, &meta);
        assert_eq!(trace.traceparent.as_deref(), Some(from_meta));
        assert_eq!(trace.baggage, None);
        // Not lost, but not passed on either.
        assert_eq!(trace.beside.as_deref(), Some(from_header));
        let mut sent = Object::default();
        trace.write(&mut sent);
        assert_eq!(sent, Object::default().with("traceparent", from_meta));
    }

    #[test]
    fn a_span_context_is_read_as_it_is_written() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = SpanContext::parse(text).unwrap();
        assert!(context.is_sampled);
        assert_eq!((context.trace_id[0], context.span_id[1]), (0x4b, 0xf0));
        assert_eq!(context.to_string(), text);
        let later = "7f-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe-more";
        let read = SpanContext::parse(later).unwrap();
        assert_eq!(read, SpanContext { is_sampled: false, ..context });
        for wrong in ["", "00-0-0-0", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
            assert_eq!(SpanContext::parse(wrong), None, "{wrong}");
        }
    }
}
