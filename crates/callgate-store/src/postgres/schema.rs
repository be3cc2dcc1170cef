//! The schema of the PostgreSQL database, in steps that only go forward. `callgate_schema` counts them.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

use super::PostgresError;

/// The advisory lock of whoever changes the schema: ours alone, among all that use the same database.
const MIGRATING: i64 = 0x6361_6c6c_6761_7465;

/// Step `n` makes version `n + 1`. A step that was released is never edited. Text that is compared is `COLLATE "C"`: a server's own
/// order and equality depend on its locale. What others have said is bytes: PostgreSQL has no text with a zero in it; and where it is only
/// compared, its digest, for what is in an index has to be short.
pub(super) const STEPS: &[&str] = &[include_str!("schema/1.sql")];

/// Brings a database to the latest version, all of it or nothing.
pub(super) async fn migrate(pool: &PgPool) -> Result<(), PostgresError> {
    let mut migrating = pool.begin().await?;
    // It waits for another replica that does the same, and large tables take long.
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *migrating).await?;
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
    refuse_newer(found)?;
    for (version, step) in (1_i64..).zip(STEPS).filter(|(version, _)| *version > found) {
        // The only dynamic part is a number of ours.
        let step = format!("{step} INSERT INTO callgate_schema VALUES ({version})");
        sqlx::raw_sql(AssertSqlSafe(step)).execute(&mut *migrating).await?;
    }
    migrating.commit().await?;
    Ok(())
}

/// Refuses a database that is not of the latest version.
pub(super) async fn check(pool: &PgPool) -> Result<(), PostgresError> {
    let has_any: bool = sqlx::query_scalar("SELECT to_regclass('callgate_schema') IS NOT NULL")
        .fetch_one(pool)
        .await?;
    let found: i64 = if has_any {
        let version = "SELECT COALESCE(MAX(version), 0) FROM callgate_schema";
        sqlx::query_scalar(version).fetch_one(pool).await?
    } else {
        0
    };
    refuse_newer(found)?;
    if found < known() {
        return Err(PostgresError::Older { found, known: known() });
    }
    Ok(())
}

fn refuse_newer(found: i64) -> Result<(), PostgresError> {
    if found > known() {
        return Err(PostgresError::Newer { found, known: known() });
    }
    Ok(())
}

fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}
