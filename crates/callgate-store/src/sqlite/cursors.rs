//! Cursors in the SQLite file. One that is behind sends something twice, so they are written without waiting for the disk: whoever
//! records a call waits for the same lock.

use callgate_model::ambient::{Id, Timestamp};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{SqliteStore, rows};
use crate::cursors::{Cursor, CursorStore, Holder};
use crate::evidence::{StoreError, StoreFuture};
use crate::notices::shortened;

impl CursorStore for SqliteStore {
    fn cursors(&self) -> StoreFuture<'_, Vec<Cursor>> {
        Box::pin(async move {
            let found = sqlx::query("SELECT * FROM cursors ORDER BY name")
                .fetch_all(self.reading().await.settled().await)
                .await?;
            found.iter().map(read).collect()
        })
    }

    fn cursor<'a>(&'a self, name: &'a str) -> StoreFuture<'a, Option<Cursor>> {
        Box::pin(async move {
            let found = sqlx::query("SELECT * FROM cursors WHERE name = ?")
                .bind(name.to_owned())
                .fetch_optional(self.reading().await.settled().await)
                .await?;
            found.as_ref().map(read).transpose()
        })
    }

    fn take_cursor<'a>(
        &'a self,
        name: &'a str,
        holder: Holder,
        begin: u64,
    ) -> StoreFuture<'a, Option<Cursor>> {
        Box::pin(async move {
            let taken = sqlx::query(
                "INSERT INTO cursors (name, next, holder, held_until_ms) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (name) DO UPDATE SET holder = ?3, held_until_ms = ?4 \
                 WHERE holder IS NULL OR holder = ?3 OR held_until_ms <= ?5 RETURNING *",
            )
            .bind(name.to_owned())
            .bind(rows::signed(begin))
            .bind(holder.id.to_string())
            .bind(holder.until.unix_ms())
            .bind(holder.since.unix_ms())
            .fetch_optional(self.writing.lock().await.unsynced().await)
            .await?;
            taken.as_ref().map(read).transpose()
        })
    }

    fn move_cursor<'a>(
        &'a self,
        name: &'a str,
        holder: Id,
        next: u64,
        at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let moved = sqlx::query(
                "UPDATE cursors SET next = ?3, moved_ms = ?4, error = NULL, error_ms = NULL \
                 WHERE name = ?1 AND holder = ?2 AND next <= ?3",
            )
            .bind(name.to_owned())
            .bind(holder.to_string())
            .bind(rows::signed(next))
            .bind(at.unix_ms())
            .execute(self.writing.lock().await.unsynced().await)
            .await?;
            Ok(moved.rows_affected() == 1)
        })
    }

    fn fail_cursor<'a>(
        &'a self,
        name: &'a str,
        holder: Id,
        error: &'a str,
        at: Timestamp,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            sqlx::query(
                "UPDATE cursors SET error = ?3, error_ms = ?4 WHERE name = ?1 AND holder = ?2",
            )
            .bind(name.to_owned())
            .bind(holder.to_string())
            .bind(shortened(error).to_owned())
            .bind(at.unix_ms())
            .execute(self.writing.lock().await.unsynced().await)
            .await?;
            Ok(())
        })
    }

    fn leave_cursor<'a>(&'a self, name: &'a str, holder: Id) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            sqlx::query(
                "UPDATE cursors SET holder = NULL, held_until_ms = NULL WHERE name = ?1 AND holder = ?2",
            )
            .bind(name.to_owned())
            .bind(holder.to_string())
            .execute(self.writing.lock().await.unsynced().await)
            .await?;
            Ok(())
        })
    }
}

fn read(row: &SqliteRow) -> Result<Cursor, StoreError> {
    let moment = |column| {
        Ok::<_, StoreError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_unix_ms))
    };
    let error: Option<String> = row.try_get("error")?;
    Ok(Cursor {
        name: row.try_get("name")?,
        next: rows::number(row, "next")?,
        moved_at: moment("moved_ms")?,
        failure: error.zip(moment("error_ms")?),
    })
}
