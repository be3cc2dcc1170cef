//! The second reader: `serde_json`, which shares no code with ours. It must not know what a document is for.

use callgate_model::json::{Json, Number};
use serde_json::Value;

/// As `serde_json` reads it.
pub(crate) fn read(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

/// Whether both readers have seen the same value. A name used twice would be one member there and two here.
pub(crate) fn agrees(ours: &Json, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(ours), Value::Bool(theirs)) => ours == theirs,
        (Json::Number(ours), Value::Number(theirs)) => is_same_number(ours, theirs),
        (Json::String(ours), Value::String(theirs)) => ours == theirs,
        (Json::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| agrees(a, b))
        }
        (Json::Object(ours), Value::Object(theirs)) => {
            let mut members = ours.iter();
            ours.len() == theirs.len()
                && members.all(|(name, a)| theirs.get(name).is_some_and(|b| agrees(a, b)))
        }
        _ => false,
    }
}

fn is_same_number(ours: &Number, theirs: &serde_json::Number) -> bool {
    // Bit by bit, but for the two zeros.
    let is_same_double = theirs.as_f64().is_some_and(|theirs| theirs == ours.as_f64());
    is_same_double && ours.as_i64().is_none_or(|ours| theirs.as_i64().is_none_or(|t| t == ours))
}
