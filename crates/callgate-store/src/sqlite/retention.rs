//! What was kept for long enough.

use callgate_model::ambient::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::rows;
use crate::evidence::StoreError;

/// Of a call of which nobody knows yet what it did, everything is needed by whoever finds out: the last that is said of it
/// is its intent, or an outcome that does not tell.
const DUE: &str = "SELECT id FROM payloads WHERE kind = ?1 AND at_ms < ?2 AND NOT COALESCE(( \
     SELECT last.kind = 'intent' OR last.outcome IN ('cancelled', 'indeterminate', 'timed_out') \
     FROM evidence AS own JOIN evidence AS last ON last.call = own.call \
     WHERE own.id = payloads.id AND last.kind IN ('intent', 'outcome', 'settled') \
     ORDER BY last.id DESC LIMIT 1), FALSE) ORDER BY at_ms LIMIT ?3";

/// The places of the oldest records of this kind that happened before `before` and whose payloads nobody needs any more.
pub(super) async fn due(
    connection: &mut SqliteConnection,
    kind: &str,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<u64>, StoreError> {
    let query = sqlx::query(DUE).bind(kind.to_owned()).bind(before.unix_ms()).bind(limit);
    query.fetch_all(connection).await?.iter().map(rows::index).collect()
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row as _};

    use super::*;
    use crate::SqliteStore;

    /// However long the log is.
    #[tokio::test]
    async fn what_is_due_is_found_by_indexes() {
        let store = SqliteStore::open_in_memory().await.unwrap();
        let mut connection = store.writing.lock().await;
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {DUE}")));
        let rows = plan.bind("intent").bind(0).bind(1).fetch_all(&mut connection.sqlite).await;
        let steps: Vec<String> =
            rows.unwrap().iter().map(|row| row.try_get("detail").unwrap()).collect();
        assert!(steps[0].contains("INDEX payloads_time (kind=? AND at_ms<?)"), "{steps:?}");
        assert!(steps.iter().any(|step| step.contains("INDEX evidence_call (call=?")), "{steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{steps:?}");
    }
}
