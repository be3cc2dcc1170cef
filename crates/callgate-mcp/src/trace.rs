//! W3C trace context, carried from the client's request into ours. It is correlation, never authority.

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
}

impl TraceContext {
    /// From `_meta` if it has a `traceparent`, else from the HTTP headers: one source, never a mixture.
    pub(crate) fn of(headers: &HeaderMap, meta: &Object) -> Self {
        let from_meta = |name| meta.get(name).and_then(Json::as_str);
        let from_header = |name| headers::single(headers, &HeaderName::from_static(name)).ok();
        if from_meta("traceparent").is_some() {
            Self::pick(from_meta)
        } else {
            Self::pick(from_header)
        }
    }

    fn pick<'a>(part: impl Fn(&'static str) -> Option<&'a str>) -> Self {
        let bounded = |name| part(name).filter(|text| is_carriable(text)).map(str::to_owned);
        let traceparent = bounded("traceparent").filter(|text| is_traceparent(text));
        // Without a parent the state says nothing.
        let tracestate = traceparent.as_ref().and_then(|_| bounded("tracestate"));
        Self { traceparent, tracestate, baggage: bounded("baggage") }
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
    }
}
