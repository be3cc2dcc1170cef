//! What counts in budgets that all replicas share, in the database: counted with the intent, in its transaction, or the call is not
//! made.

use callgate_model::ambient::Timestamp;
use callgate_model::budget::{Count, Mark, Marked, Tally};
use callgate_model::digest::Digest;
use sqlx::Row as _;

use super::authority::Applied;
use super::{Sql, rows};
use crate::evidence::StoreError;

/// What does not count any more is forgotten by those who count later, so much at a time: more than any of them adds.
const FORGOTTEN_TOGETHER: u32 = 2_000;

/// Counts a call. `false`: there is no room.
pub(super) async fn count(
    connection: &mut Sql,
    count: &Count,
    at: Timestamp,
) -> Applied {
    let mut tally = Tally::of(marks(connection, count.key, at).await?);
    if tally.room(count, at).is_err() {
        return Ok(false);
    }
    let key = count.key.to_string();
    for Marked { mark, count, ends } in tally.add(count, at) {
        let set = "INSERT INTO budget_marks (key, mark, count, ends_ms) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (key, mark) DO UPDATE SET count = excluded.count, ends_ms = excluded.ends_ms";
        let query = sqlx::query(set).bind(&key).bind(mark.to_string()).bind(i64::from(count));
        query.bind(ends.unix_ms()).execute(&mut *connection).await?;
    }
    forget(connection, at).await?;
    Ok(true)
}

/// What counts at `now` under `key`.
pub(super) async fn marks(
    connection: &mut Sql,
    key: Digest,
    now: Timestamp,
) -> Result<Vec<Marked>, StoreError> {
    let select = "SELECT mark, count, ends_ms FROM budget_marks WHERE key = $1 AND ends_ms > $2";
    let query = sqlx::query(select).bind(key.to_string()).bind(now.unix_ms());
    let found = query.fetch_all(connection).await?;
    let marked = found.iter().map(|row| {
        let mark = Mark::parse(row.try_get("mark")?);
        let mark = mark.ok_or(StoreError::Malformed { column: "mark" })?;
        let ends = Timestamp::from_unix_ms(row.try_get("ends_ms")?);
        Ok(Marked { mark, count: rows::count(row, "count")?, ends })
    });
    marked.collect()
}

async fn forget(connection: &mut Sql, at: Timestamp) -> Result<(), StoreError> {
    let over = "DELETE FROM budget_marks WHERE (key, mark) IN \
                (SELECT key, mark FROM budget_marks WHERE ends_ms <= $1 LIMIT $2)";
    let query = sqlx::query(over).bind(at.unix_ms()).bind(i64::from(FORGOTTEN_TOGETHER));
    query.execute(connection).await?;
    Ok(())
}
