//! Cursors in the database. One that is behind sends something twice, so they are written without waiting for the disk where whoever
//! records a call would wait as well.

use callgate_model::ambient::{Id, Timestamp};
use sqlx::Row as _;

use super::dialect::{heard, said};
use super::{SqlRow, Store, rows};
use crate::cursors::{Cursor, CursorStore, Holder};
use crate::evidence::{StoreError, StoreFuture};
use crate::notices::shortened;

impl CursorStore for Store {
    fn cursors(&self) -> StoreFuture<'_, Vec<Cursor>> {
        self.within(async move {
            let found = sqlx::query("SELECT name, next, moved_ms, error, error_ms FROM cursors ORDER BY name")
                .fetch_all(&mut *self.reading().await?)
                .await?;
            found.iter().map(read).collect()
        })
    }

    fn cursor<'a>(&'a self, name: &'a str) -> StoreFuture<'a, Option<Cursor>> {
        self.within(async move {
            let found = sqlx::query("SELECT name, next, moved_ms, error, error_ms FROM cursors WHERE name = $1")
                .bind(name.to_owned())
                .fetch_optional(&mut *self.reading().await?)
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
        self.soon(async move {
            let taken = sqlx::query(
                "INSERT INTO cursors AS kept (name, next, holder, held_until_ms) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (name) DO UPDATE SET holder = $3, held_until_ms = $4 \
                 WHERE kept.holder IS NULL OR kept.holder = $3 OR kept.held_until_ms <= $5 \
                 RETURNING name, next, moved_ms, error, error_ms",
            )
            .bind(name.to_owned())
            .bind(rows::signed(begin))
            .bind(holder.id.to_string())
            .bind(holder.until.unix_ms())
            .bind(holder.since.unix_ms())
            .fetch_optional(&mut *self.unsynced().await?)
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
        self.soon(async move {
            let moved = sqlx::query(
                "UPDATE cursors SET next = $3, moved_ms = $4, error = NULL, error_ms = NULL \
                 WHERE name = $1 AND holder = $2 AND next <= $3",
            )
            .bind(name.to_owned())
            .bind(holder.to_string())
            .bind(rows::signed(next))
            .bind(at.unix_ms())
            .execute(&mut *self.unsynced().await?)
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
        self.soon(async move {
            sqlx::query(
                "UPDATE cursors SET error = $3, error_ms = $4 WHERE name = $1 AND holder = $2",
            )
            .bind(name.to_owned())
            .bind(holder.to_string())
            .bind(said(shortened(error)))
            .bind(at.unix_ms())
            .execute(&mut *self.unsynced().await?)
            .await?;
            Ok(())
        })
    }

    fn leave_cursor<'a>(&'a self, name: &'a str, holder: Id) -> StoreFuture<'a, ()> {
        self.soon(async move {
            sqlx::query(
                "UPDATE cursors SET holder = NULL, held_until_ms = NULL WHERE name = $1 AND holder = $2",
            )
            .bind(name.to_owned())
            .bind(holder.to_string())
            .execute(&mut *self.unsynced().await?)
            .await?;
            Ok(())
        })
    }
}

fn read(row: &SqlRow) -> Result<Cursor, StoreError> {
    let moment = |column| {
        Ok::<_, StoreError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_unix_ms))
    };
    let error = heard(row, "error")?;
    Ok(Cursor {
        name: row.try_get("name")?,
        next: rows::number(row, "next")?,
        moved_at: moment("moved_ms")?,
        failure: error.zip(moment("error_ms")?),
    })
}
