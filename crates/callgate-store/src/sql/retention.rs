//! What was kept for long enough.

use callgate_model::ambient::Timestamp;

use super::{Sql, rows};
use crate::evidence::StoreError;

/// Of a call of which nobody knows yet what it did, everything is needed by whoever finds out: the last that is said of it
/// is its intent, or an outcome that does not tell.
pub(super) const DUE: &str = "SELECT id FROM payloads WHERE kind = $1 AND at_ms < $2 AND NOT COALESCE(( \
     SELECT last.kind = 'intent' OR last.outcome IN ('cancelled', 'indeterminate', 'timed_out') \
     FROM evidence AS own JOIN evidence AS last ON last.call = own.call \
     WHERE own.id = payloads.id AND last.kind IN ('intent', 'outcome', 'settled') \
     ORDER BY last.id DESC LIMIT 1), FALSE) ORDER BY at_ms LIMIT $3";

/// The places of the oldest records of this kind that happened before `before` and whose payloads nobody needs any more.
pub(super) async fn due(
    connection: &mut Sql,
    kind: &str,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<u64>, StoreError> {
    let query = sqlx::query(DUE).bind(kind.to_owned()).bind(before.unix_ms()).bind(i64::from(limit));
    query.fetch_all(connection).await?.iter().map(rows::index).collect()
}
