//! The schema of the PostgreSQL database, in steps that only go forward. `callgate_schema` counts them.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

use super::PostgresError;

/// The advisory lock of whoever changes the schema: ours alone, among all that use the same database.
const MIGRATING: i64 = 0x6361_6c6c_6761_7465;

/// Step `n` makes version `n + 1`. A step that was released is never edited. Text that is compared is `COLLATE "C"`: a server's own
/// order and equality depend on its locale. What others have said is bytes: PostgreSQL has no text with a zero in it.
pub(super) const STEPS: &[&str] = &["CREATE TABLE cursors (
        name TEXT COLLATE \"C\" PRIMARY KEY,
        next BIGINT NOT NULL,
        holder TEXT COLLATE \"C\",
        held_until_ms BIGINT,
        moved_ms BIGINT,
        error BYTEA,
        error_ms BIGINT
    );"];

/// Brings a database to the latest version, all of it or nothing.
pub(super) async fn migrate(pool: &PgPool) -> Result<(), PostgresError> {
    let mut migrating = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATING)
        .execute(&mut *migrating)
        .await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS callgate_schema (version BIGINT NOT NULL)")
        .execute(&mut *migrating)
        .await?;
    let found: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM callgate_schema")
        .fetch_one(&mut *migrating)
        .await?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(PostgresError::Newer { found, known });
    }
    for (version, step) in (1_i64..).zip(STEPS).filter(|(version, _)| *version > found) {
        // The only dynamic part is a number of ours.
        let step = format!("{step} INSERT INTO callgate_schema VALUES ({version})");
        sqlx::raw_sql(AssertSqlSafe(step)).execute(&mut *migrating).await?;
    }
    migrating.commit().await?;
    Ok(())
}
