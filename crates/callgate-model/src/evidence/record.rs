//! A record as it is printed and exported, by the gateway and by who verifies.

use crate::digest::Digest;
use crate::json::{Json, Object};

/// All that a record says: what its entry has, the event and its salt (`null`, if they are not there), its hash and its place
/// in the log.
#[must_use]
pub fn record(entry: Object, payload: Option<&Json>, hash: Digest, index: Option<u64>) -> Object {
    let part = |name: &str| payload.and_then(|payload| payload.get(name)).cloned();
    let index = index.and_then(|index| i64::try_from(index).ok());
    entry
        .with("event", part("event"))
        .with("hash", hash.to_string())
        .with("index", index)
        .with("salt", part("salt"))
}
