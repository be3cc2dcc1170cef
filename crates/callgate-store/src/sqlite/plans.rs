//! What SQLite is to look for by its indexes, however long the log is.

use sqlx::{AssertSqlSafe, Row as _};

use super::retention::DUE;
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
