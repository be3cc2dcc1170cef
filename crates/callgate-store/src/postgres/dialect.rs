//! What PostgreSQL says in other words than SQLite.

use callgate_model::digest::Digest;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::rows;
use crate::evidence::StoreError;

/// How a transaction begins that writes.
pub(super) const BEGIN: &str = "BEGIN";

/// Records, read by their numbers.
pub(super) const NEWEST: &str = "evidence";

/// What somebody else has said and is only compared, as it is kept: short, for it is in an index.
pub(super) fn key(text: &str) -> Vec<u8> {
    Digest::of(text.as_bytes()).as_bytes().to_vec()
}

/// What somebody else has said, as it is kept: PostgreSQL has no text with a zero in it.
pub(super) fn said(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// The same, as it is read.
pub(super) fn heard(row: &PgRow, column: &'static str) -> Result<Option<String>, StoreError> {
    let text = row.try_get::<Option<Vec<u8>>, _>(column)?.map(String::from_utf8).transpose();
    text.map_err(|_bytes| StoreError::Malformed { column })
}

/// The grants in force of any of these holders for any of these places, those that end first before others. Each pair is one look
/// into the index: no others are touched.
pub(super) async fn grants_of(
    connection: &mut PgConnection,
    holders: &[String],
    places: &[String],
    now_ms: i64,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let keys = |all: &[String]| all.iter().map(|one| key(one)).collect::<Vec<_>>();
    sqlx::query(
        "SELECT DISTINCT grants.text, grants.ends_ms, grants.id \
         FROM grant_places JOIN grants ON grants.id = grant_id \
         WHERE holder = ANY($1) AND place = ANY($2) AND grant_places.ends_ms > $3 \
         AND begins_ms <= $3 AND uses_left > 0 AND revoked_ms IS NULL \
         ORDER BY grants.ends_ms, grants.id",
    )
    .bind(keys(holders))
    .bind(keys(places))
    .bind(now_ms)
    .fetch_all(connection)
    .await
}

/// The hashes of entries, out of an index that has nothing else.
pub(super) async fn hashes(
    connection: &mut PgConnection,
    from: u64,
    limit: u32,
) -> Result<Vec<Digest>, StoreError> {
    let found: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT string_agg(hash, ''::BYTEA ORDER BY id) FROM ( \
         SELECT id, hash FROM evidence WHERE id > $1 ORDER BY id LIMIT $2) AS some_hashes",
    )
    .bind(rows::signed(from))
    .bind(i64::from(limit))
    .fetch_one(connection)
    .await?;
    let found = found.unwrap_or_default();
    let (all, []) = found.as_chunks::<32>() else {
        return Err(StoreError::Malformed { column: "hash" });
    };
    Ok(all.iter().copied().map(Digest::new).collect())
}
