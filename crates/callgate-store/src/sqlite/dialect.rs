//! What SQLite says in other words than PostgreSQL.

use callgate_model::digest::Digest;
use callgate_model::json::Json;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::rows;
use crate::evidence::StoreError;

/// How a transaction begins that writes: with the lock that it needs, or not at all.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

/// Records, read by their numbers.
pub(super) const NEWEST: &str = "evidence NOT INDEXED";

/// What somebody else has said and is only compared, as it is kept.
pub(super) fn key(text: &str) -> String {
    text.to_owned()
}

/// What somebody else has said, as it is kept.
pub(super) fn said(text: &str) -> String {
    text.to_owned()
}

/// The same, as it is read.
pub(super) fn heard(row: &SqliteRow, column: &'static str) -> Result<Option<String>, StoreError> {
    Ok(row.try_get(column)?)
}

/// The grants in force of any of these holders for any of these places, those that end first before others. Each pair is one look
/// into the index: no others are touched.
pub(super) async fn grants_of(
    connection: &mut SqliteConnection,
    holders: &[String],
    places: &[String],
    now_ms: i64,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let list = |all: &[String]| Json::from(all.to_vec()).to_text();
    sqlx::query(
        "SELECT DISTINCT grants.text, grants.ends_ms, grants.id FROM json_each($1) AS holders \
         CROSS JOIN json_each($2) AS places \
         CROSS JOIN grant_places ON holder = holders.value AND place = places.value \
         AND grant_places.ends_ms > $3 \
         CROSS JOIN grants ON grants.id = grant_id \
         WHERE begins_ms <= $3 AND uses_left > 0 AND revoked_ms IS NULL \
         ORDER BY grants.ends_ms, grants.id",
    )
    .bind(list(holders))
    .bind(list(places))
    .bind(now_ms)
    .fetch_all(connection)
    .await
}

/// The hashes of entries, out of an index that has nothing else, for entries are many times as large; and as one text, for a row
/// of its own costs more than the hash in it.
pub(super) async fn hashes(
    connection: &mut SqliteConnection,
    from: u64,
    limit: u32,
) -> Result<Vec<Digest>, StoreError> {
    let found: Option<String> = sqlx::query_scalar(
        "SELECT group_concat(hex(hash), '' ORDER BY id) FROM ( \
         SELECT id, hash FROM evidence INDEXED BY evidence_hashes WHERE id > $1 ORDER BY id LIMIT $2)",
    )
    .bind(rows::signed(from))
    .bind(limit)
    .fetch_one(connection)
    .await?;
    digests(&found.unwrap_or_default()).ok_or(StoreError::Malformed { column: "hash" })
}

/// Digests whose digits stand one after the other.
fn digests(digits: &str) -> Option<Vec<Digest>> {
    let (all, []) = digits.as_bytes().as_chunks::<64>() else { return None };
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let digest = |digits: &[u8; 64]| {
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Digest::new(bytes))
    };
    all.iter().map(digest).collect()
}
