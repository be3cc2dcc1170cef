//! The tree over the entries of one SQLite file.

use callgate_model::ambient::Timestamp;
use callgate_model::digest::Digest;
use callgate_model::transparency::{Frontier, Subtree};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{SqliteStore, rows};
use crate::evidence::{StoreError, StoreFuture};
use crate::tree::{KeptCheckpoint, TreeStore};

/// Out of an index that has nothing else, for entries are many times as large; and as one text, for a row of its own costs
/// more than the hash in it.
const HASHES: &str = "SELECT group_concat(hex(hash), '' ORDER BY id) FROM ( \
     SELECT id, hash FROM evidence INDEXED BY evidence_hashes WHERE id > ? ORDER BY id LIMIT ?)";

impl TreeStore for SqliteStore {
    fn tree(&self) -> StoreFuture<'_, Frontier> {
        Box::pin(async move {
            let row = sqlx::query("SELECT size, frontier FROM tree")
                .fetch_one(self.reading().await.settled().await)
                .await?;
            let malformed = || StoreError::Malformed { column: "frontier" };
            let hashes: &[u8] = row.try_get("frontier")?;
            let (hashes, []) = hashes.as_chunks::<32>() else { return Err(malformed()) };
            let hashes = hashes.iter().copied().map(Digest::new).collect();
            Frontier::from_parts(rows::number(&row, "size")?, hashes).ok_or_else(malformed)
        })
    }

    fn hashes(&self, from: u64, limit: u32) -> StoreFuture<'_, Vec<Digest>> {
        Box::pin(async move {
            let found: Option<String> = sqlx::query_scalar(HASHES)
                .bind(rows::signed(from))
                .bind(limit)
                .fetch_one(self.reading().await.settled().await)
                .await?;
            digests(&found.unwrap_or_default()).ok_or(StoreError::Malformed { column: "hash" })
        })
    }

    fn grow<'a>(
        &'a self,
        from: u64,
        to: &'a Frontier,
        completed: &'a [(Subtree, Digest)],
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut connection = self.writing.lock().await;
            connection.settled().await;
            connection.unfinished = true;
            let sqlite = &mut connection.sqlite;
            sqlx::query("BEGIN IMMEDIATE").execute(&mut *sqlite).await?;
            let frontier: Vec<u8> = to.hashes().iter().flat_map(|hash| *hash.as_bytes()).collect();
            let grown = sqlx::query("UPDATE tree SET size = ?, frontier = ? WHERE size = ?")
                .bind(rows::signed(to.size()))
                .bind(frontier)
                .bind(rows::signed(from))
                .execute(&mut *sqlite)
                .await?;
            if grown.rows_affected() != 1 {
                connection.settled().await;
                return Ok(false);
            }
            for (subtree, hash) in completed {
                sqlx::query("INSERT INTO subtrees (level, place, hash) VALUES (?, ?, ?)")
                    .bind(subtree.level)
                    .bind(rows::signed(subtree.index))
                    .bind(hash.as_bytes().to_vec())
                    .execute(&mut *sqlite)
                    .await?;
            }
            sqlx::query("COMMIT").execute(&mut *sqlite).await?;
            connection.unfinished = false;
            Ok(true)
        })
    }

    fn subtree(&self, subtree: Subtree) -> StoreFuture<'_, Option<Digest>> {
        Box::pin(async move {
            let found = sqlx::query("SELECT hash FROM subtrees WHERE level = ? AND place = ?")
                .bind(subtree.level)
                .bind(rows::signed(subtree.index))
                .fetch_optional(self.reading().await.settled().await)
                .await?;
            found.as_ref().map(rows::hash).transpose()
        })
    }

    fn keep_checkpoint<'a>(&'a self, checkpoint: &'a KeptCheckpoint) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let insert = "INSERT INTO checkpoints (size, at_ms, note) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
            sqlx::query(insert)
                .bind(rows::signed(checkpoint.size))
                .bind(checkpoint.at.unix_ms())
                .bind(checkpoint.note.clone())
                .execute(self.writing.lock().await.settled().await)
                .await?;
            Ok(())
        })
    }

    fn cosign_checkpoint<'a>(
        &'a self,
        checkpoint: &'a KeptCheckpoint,
        note: &'a str,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let update = "UPDATE checkpoints SET note = ?3 WHERE size = ?1 AND note = ?2";
            let done = sqlx::query(update)
                .bind(rows::signed(checkpoint.size))
                .bind(checkpoint.note.clone())
                .bind(note.to_owned())
                .execute(self.writing.lock().await.settled().await)
                .await?;
            Ok(done.rows_affected() == 1)
        })
    }

    fn checkpoints(&self, from: u64, limit: u32) -> StoreFuture<'_, Vec<KeptCheckpoint>> {
        Box::pin(async move {
            let found =
                sqlx::query("SELECT * FROM checkpoints WHERE size >= ? ORDER BY size LIMIT ?")
                    .bind(rows::signed(from))
                    .bind(limit)
                    .fetch_all(self.reading().await.settled().await)
                    .await?;
            found.iter().map(kept).collect()
        })
    }

    fn last_checkpoint(&self) -> StoreFuture<'_, Option<KeptCheckpoint>> {
        Box::pin(async move {
            let found = sqlx::query("SELECT * FROM checkpoints ORDER BY size DESC LIMIT 1")
                .fetch_optional(self.reading().await.settled().await)
                .await?;
            found.as_ref().map(kept).transpose()
        })
    }
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

fn kept(row: &SqliteRow) -> Result<KeptCheckpoint, StoreError> {
    Ok(KeptCheckpoint {
        size: rows::number(row, "size")?,
        at: Timestamp::from_unix_ms(row.try_get("at_ms")?),
        note: row.try_get("note")?,
    })
}
