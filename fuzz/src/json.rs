//! The JSON reader against `serde_json`, and against its own limits.

use callgate_model::json::{Json, JsonLimits, ReadError, read, read_relayed};

use crate::second;

/// So tight that small documents reach them.
const TIGHT: JsonLimits =
    JsonLimits { bytes_max: 200, depth_max: 3, nodes_max: 12, string_bytes_max: 8 };

pub(crate) fn check(bytes: &[u8]) {
    let limits = JsonLimits::default();
    let (exact, relayed) = (read(bytes, &limits), read_relayed(bytes, &limits));
    match &relayed {
        Ok(value) => check_value(bytes, value),
        Err(
            ReadError::ByteOrderMark
            | ReadError::LoneSurrogate { .. }
            | ReadError::NotUtf8
            | ReadError::Syntax { .. },
        ) => assert!(second::read(bytes).is_none(), "refused as no JSON, but it is"),
        // JSON perhaps, but ambiguous or too much.
        Err(_) => {}
    }
    match &exact {
        Ok(value) => {
            assert_eq!(relayed.as_ref(), Ok(value), "what is exact can be relayed");
            check_canonical(value);
            check_limits(bytes, value);
        }
        Err(ReadError::AmbiguousNumber { .. }) => {}
        Err(error) => assert!(relayed.is_err(), "only numbers are judged differently: {error}"),
    }
}

fn check_value(bytes: &[u8], value: &Json) {
    let theirs = second::read(bytes);
    assert!(theirs.is_some_and(|theirs| second::agrees(value, &theirs)), "the readers disagree");
    let written = value.to_text();
    let again = read_relayed(written.as_bytes(), &JsonLimits::default());
    assert_eq!(again.as_ref(), Ok(value), "what is written is what was read");
}

fn check_canonical(value: &Json) {
    let canonical = value.canonical();
    let theirs = second::read(&canonical);
    assert!(
        theirs.as_ref().is_some_and(|theirs| second::agrees(value, theirs)),
        "the canonical form has another value"
    );
    let theirs = theirs.and_then(|theirs| serde_json_canonicalizer::to_vec(&theirs).ok());
    assert_eq!(theirs.as_ref(), Some(&canonical), "the canonical forms disagree");
    let again = read(&canonical, &JsonLimits::default());
    let again = again.map(|again| again.canonical());
    assert_eq!(again.as_ref(), Ok(&canonical), "the canonical form of it is another one");
}

/// Tighter limits refuse what exceeds them, and nothing else.
fn check_limits(bytes: &[u8], value: &Json) {
    let held = Held::of(value);
    let fits = bytes.len() <= TIGHT.bytes_max
        && held.depth <= TIGHT.depth_max
        && held.nodes <= TIGHT.nodes_max
        && held.string_bytes <= TIGHT.string_bytes_max;
    let tight = read(bytes, &TIGHT);
    assert_eq!(tight.is_ok(), fits, "{held:?}: {tight:?}");
}

/// How much a document holds, counted in another way than the reader does.
#[derive(Debug, Default)]
struct Held {
    depth: usize,
    nodes: usize,
    string_bytes: usize,
}

impl Held {
    fn of(value: &Json) -> Self {
        let mut held = Self { nodes: 1, ..Self::default() };
        match value {
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
            Json::String(text) => held.string_bytes = text.len(),
            Json::Array(elements) => {
                elements.iter().for_each(|element| held.add(&Self::of(element)));
                held.depth += 1;
            }
            Json::Object(members) => {
                for (name, member) in members.iter() {
                    held.add(&Self::of(member));
                    held.string_bytes = held.string_bytes.max(name.len());
                }
                held.depth += 1;
            }
        }
        held
    }

    fn add(&mut self, inner: &Self) {
        self.depth = self.depth.max(inner.depth);
        self.nodes += inner.nodes;
        self.string_bytes = self.string_bytes.max(inner.string_bytes);
    }
}
