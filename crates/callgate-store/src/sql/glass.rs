//! Broken glass in the database.

use callgate_model::ambient::Timestamp;
use callgate_model::approval::{Glass, GlassReview, GlassState, Notice};
use callgate_model::authority::{from_text, to_text};
use sqlx::Row as _;

use super::authority::Applied;
use super::dialect::key;
use super::{Sql, SqlRow, approvals, notices, passkeys};
use crate::evidence::StoreError;

/// The glass is broken, if the call waits, and whoever does it has been reviewed for the time before.
pub(super) async fn break_it(
    connection: &mut Sql,
    glass: &Glass,
    told: &[Notice],
    at: Timestamp,
) -> Applied {
    let Some(mut state) = approvals::one(connection, glass.approval).await? else {
        return Ok(false);
    };
    if !state.break_glass(glass.clone(), at) {
        return Ok(false);
    }
    let due = "SELECT EXISTS (SELECT 1 FROM glass WHERE breaker = $1 AND review IS NULL)";
    let is_due: bool = sqlx::query_scalar(due).bind(key(&glass.by)).fetch_one(&mut *connection).await?;
    if is_due || !passkeys::prove(connection, (&glass.by, &glass.proof), at).await? {
        return Ok(false);
    }
    let insert = "INSERT INTO glass (approval, breaker, at_ms, text) VALUES ($1, $2, $3, $4) \
                  ON CONFLICT DO NOTHING";
    let insert = sqlx::query(insert)
        .bind(glass.approval.to_string())
        .bind(key(&glass.by))
        .bind(at.unix_ms())
        .bind(to_text(glass));
    if insert.execute(&mut *connection).await?.rows_affected() != 1 {
        return Ok(false);
    }
    if let Some(until) = state.use_until {
        approvals::let_through(connection, (glass.approval, until), at).await?;
    }
    notices::add(connection, &state.approval, told, at).await
}

/// What somebody else says of it, once.
pub(super) async fn review(connection: &mut Sql, review: &GlassReview) -> Applied {
    let update =
        "UPDATE glass SET review = $1 WHERE approval = $2 AND review IS NULL AND breaker <> $3";
    let query = sqlx::query(update)
        .bind(to_text(review))
        .bind(review.approval.to_string())
        .bind(key(&review.by));
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

/// The glass of a row that has `glass` and `review`.
pub(super) fn read(row: &SqlRow) -> Result<Option<GlassState>, StoreError> {
    let malformed = |column| StoreError::Malformed { column };
    let Some(glass) = row.try_get::<Option<&str>, _>("glass")? else { return Ok(None) };
    let glass = from_text(glass).ok_or_else(|| malformed("glass"))?;
    let review = match row.try_get::<Option<&str>, _>("review")? {
        Some(review) => Some(from_text(review).ok_or_else(|| malformed("review"))?),
        None => None,
    };
    Ok(Some(GlassState { glass, review }))
}
