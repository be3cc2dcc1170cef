//! The tree over the entries of the log.

use callgate_model::ambient::Timestamp;
use callgate_model::digest::Digest;
use callgate_model::transparency::{Frontier, Subtree};
use sqlx::{Connection as _, Row as _};

use super::{SqlRow, Store, dialect, rows};
use crate::evidence::{StoreError, StoreFuture};
use crate::tree::{KeptCheckpoint, TreeStore};

impl TreeStore for Store {
    fn tree(&self) -> StoreFuture<'_, Frontier> {
        self.within(async move {
            let row = sqlx::query("SELECT size, frontier FROM tree")
                .fetch_one(&mut *self.reading().await?)
                .await?;
            let malformed = || StoreError::Malformed { column: "frontier" };
            let hashes: &[u8] = row.try_get("frontier")?;
            let (hashes, []) = hashes.as_chunks::<32>() else { return Err(malformed()) };
            let hashes = hashes.iter().copied().map(Digest::new).collect();
            Frontier::from_parts(rows::number(&row, "size")?, hashes).ok_or_else(malformed)
        })
    }

    fn hashes(&self, from: u64, limit: u32) -> StoreFuture<'_, Vec<Digest>> {
        self.within(async move {
            dialect::hashes(&mut *self.reading().await?, from, limit).await
        })
    }

    fn grow<'a>(
        &'a self,
        from: u64,
        to: &'a Frontier,
        completed: &'a [(Subtree, Digest)],
    ) -> StoreFuture<'a, bool> {
        self.soon(async move {
            let mut connection = self.writing().await?;
            let mut growing = connection.begin_with(dialect::BEGIN).await?;
            let frontier: Vec<u8> = to.hashes().iter().flat_map(|hash| *hash.as_bytes()).collect();
            let grown = sqlx::query("UPDATE tree SET size = $1, frontier = $2 WHERE size = $3")
                .bind(rows::signed(to.size()))
                .bind(frontier)
                .bind(rows::signed(from))
                .execute(&mut *growing)
                .await?;
            if grown.rows_affected() != 1 {
                growing.rollback().await?;
                return Ok(false);
            }
            for (subtree, hash) in completed {
                sqlx::query("INSERT INTO subtrees (level, place, hash) VALUES ($1, $2, $3)")
                    .bind(i64::from(subtree.level))
                    .bind(rows::signed(subtree.index))
                    .bind(hash.as_bytes().to_vec())
                    .execute(&mut *growing)
                    .await?;
            }
            growing.commit().await?;
            Ok(true)
        })
    }

    fn subtree(&self, subtree: Subtree) -> StoreFuture<'_, Option<Digest>> {
        self.within(async move {
            let found = sqlx::query("SELECT hash FROM subtrees WHERE level = $1 AND place = $2")
                .bind(i64::from(subtree.level))
                .bind(rows::signed(subtree.index))
                .fetch_optional(&mut *self.reading().await?)
                .await?;
            found.as_ref().map(rows::hash).transpose()
        })
    }

    fn keep_checkpoint<'a>(&'a self, checkpoint: &'a KeptCheckpoint) -> StoreFuture<'a, ()> {
        self.soon(async move {
            let insert = "INSERT INTO checkpoints (size, at_ms, note) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            sqlx::query(insert)
                .bind(rows::signed(checkpoint.size))
                .bind(checkpoint.at.unix_ms())
                .bind(checkpoint.note.clone())
                .execute(&mut *self.writing().await?)
                .await?;
            Ok(())
        })
    }

    fn cosign_checkpoint<'a>(
        &'a self,
        checkpoint: &'a KeptCheckpoint,
        note: &'a str,
    ) -> StoreFuture<'a, bool> {
        self.soon(async move {
            let update = "UPDATE checkpoints SET note = $3 WHERE size = $1 AND note = $2";
            let done = sqlx::query(update)
                .bind(rows::signed(checkpoint.size))
                .bind(checkpoint.note.clone())
                .bind(note.to_owned())
                .execute(&mut *self.writing().await?)
                .await?;
            Ok(done.rows_affected() == 1)
        })
    }

    fn checkpoints(&self, from: u64, limit: u32) -> StoreFuture<'_, Vec<KeptCheckpoint>> {
        self.within(async move {
            let found =
                sqlx::query("SELECT size, at_ms, note FROM checkpoints WHERE size >= $1 ORDER BY size LIMIT $2")
                    .bind(rows::signed(from))
                    .bind(i64::from(limit))
                    .fetch_all(&mut *self.reading().await?)
                    .await?;
            found.iter().map(kept).collect()
        })
    }

    fn last_checkpoint(&self) -> StoreFuture<'_, Option<KeptCheckpoint>> {
        self.within(async move {
            let found = sqlx::query("SELECT size, at_ms, note FROM checkpoints ORDER BY size DESC LIMIT 1")
                .fetch_optional(&mut *self.reading().await?)
                .await?;
            found.as_ref().map(kept).transpose()
        })
    }
}

fn kept(row: &SqlRow) -> Result<KeptCheckpoint, StoreError> {
    Ok(KeptCheckpoint {
        size: rows::number(row, "size")?,
        at: Timestamp::from_unix_ms(row.try_get("at_ms")?),
        note: row.try_get("note")?,
    })
}
