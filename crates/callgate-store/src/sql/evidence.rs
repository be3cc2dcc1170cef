//! The log in the database.

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::digest::Digest;

use super::{Store, retention, rows, search};
use crate::evidence::{EvidenceStore, Filter, Row, StoreError, StoreFuture, Tally};

/// Rows with their payloads, as [`rows::row`] reads them.
macro_rules! rows {
    ($which:literal) => {
        concat!(
            "SELECT evidence.*, payloads.text FROM evidence LEFT JOIN payloads USING (id) ",
            $which
        )
    };
}

impl EvidenceStore for Store {
    fn append<'a>(&'a self, rows: &'a [Row]) -> StoreFuture<'a, ()> {
        self.soon(self.append_rows(rows))
    }

    fn prove(&self) -> StoreFuture<'_, ()> {
        self.soon(self.prove_writable())
    }

    fn head(&self, writer: Id) -> StoreFuture<'_, Option<(u64, Digest)>> {
        self.soon(async move {
            let mut connection = self.after_appends(writer).await?;
            let row = sqlx::query(
                "SELECT sequence, hash FROM evidence WHERE writer = $1 ORDER BY sequence DESC LIMIT 1",
            )
            .bind(writer.to_string())
            .fetch_optional(&mut *connection)
            .await?;
            row.map(|row| Ok((rows::sequence(&row)?, rows::hash(&row)?))).transpose()
        })
    }

    fn last_chain(&self) -> StoreFuture<'_, Option<(Id, Digest)>> {
        self.within(async move {
            let last = "SELECT writer FROM evidence WHERE sequence = 0 ORDER BY id DESC LIMIT 1";
            let found = sqlx::query(last).fetch_optional(&mut *self.reading().await?).await?;
            let Some(row) = found else { return Ok(None) };
            let writer = rows::id(&row, "writer")?;
            Ok(self.head(writer).await?.map(|(_, head)| (writer, head)))
        })
    }

    fn join(&self, writer: Id) -> StoreFuture<'_, ()> {
        self.soon(self.join_as(writer))
    }

    fn orphans(&self) -> StoreFuture<'_, Vec<Id>> {
        self.soon(self.left_by_the_dead())
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<Row>> {
        self.within(async move { search::list(&mut *self.reading().await?, filter).await })
    }

    fn page<'a>(&'a self, filter: &'a Filter, from: u64) -> StoreFuture<'a, Vec<Row>> {
        self.within(async move { search::page(&mut *self.reading().await?, filter, from).await })
    }

    fn tally<'a>(&'a self, filter: &'a Filter, every_ms: i64) -> StoreFuture<'a, Vec<Tally>> {
        self.within(async move { search::tally(&mut *self.reading().await?, filter, every_ms).await })
    }

    fn unsettled(&self, reads: bool, limit: u32) -> StoreFuture<'_, Vec<Row>> {
        self.within(async move { search::unsettled(&mut *self.reading().await?, reads, limit).await })
    }

    fn payloads_before<'a>(
        &'a self,
        kind: &'a str,
        before: Timestamp,
        limit: u32,
    ) -> StoreFuture<'a, Vec<u64>> {
        self.within(async move {
            retention::due(&mut *self.reading().await?, kind, before, limit).await
        })
    }

    fn show(&self, call: Id) -> StoreFuture<'_, Vec<Row>> {
        self.within(async move {
            let found = sqlx::query(rows!("WHERE call = $1 ORDER BY id"))
                .bind(call.to_string())
                .fetch_all(&mut *self.reading().await?)
                .await?;
            found.iter().map(rows::row).collect()
        })
    }

    fn read(&self, from: u64, limit: u32) -> StoreFuture<'_, Vec<Row>> {
        self.within(async move {
            let found = sqlx::query(rows!("WHERE id > $1 ORDER BY id LIMIT $2"))
                .bind(rows::signed(from))
                .bind(i64::from(limit))
                .fetch_all(&mut *self.reading().await?)
                .await?;
            found.iter().map(rows::row).collect()
        })
    }

    fn size(&self) -> StoreFuture<'_, u64> {
        self.within(async move {
            let size: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) FROM evidence")
                .fetch_one(&mut *self.reading().await?)
                .await?;
            u64::try_from(size).map_err(|_negative| StoreError::Malformed { column: "id" })
        })
    }

    fn writers(&self) -> StoreFuture<'_, Vec<Id>> {
        self.within(async move {
            let found = sqlx::query("SELECT writer FROM evidence WHERE sequence = 0 ORDER BY id")
                .fetch_all(&mut *self.reading().await?)
                .await?;
            found.iter().map(|row| rows::id(row, "writer")).collect()
        })
    }
}
