//! JSON Lines: the record as it is.

use callgate_model::json::Json;

/// The canonical text (RFC 8785), of which a verifier makes the entry and its hash again.
pub(super) fn line(record: &Json) -> String {
    // INVARIANT: canonical text is UTF-8.
    String::from_utf8(record.canonical()).unwrap_or_default()
}
