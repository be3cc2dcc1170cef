//! Records into the PostgreSQL database.
//!
//! INVARIANT: an append whose result nobody knows is over before anybody is told the head of its writer's chain. Each append is of
//! an attempt that the database counts; whoever asks for the head begins the next one, and waits for what is on its way of the
//! last. Whatever comes later of it is refused.

use callgate_model::ambient::{Id, Timestamp};
use sqlx::postgres::PgConnection;
use sqlx::query::Query;
use sqlx::{Connection as _, Row as _};

use super::{Arguments, Engine, PostgresStore, authority, links, rows};
use crate::evidence::{Applies, Row, StoreError};
use crate::fail_point::{Point, pass};

/// How long a writer lives that says nothing.
pub(super) const LEASE_MS: i64 = 10_000;

/// The columns of rows, each as an array: any number of them is one statement.
#[derive(Default)]
struct Columns {
    writers: Vec<String>,
    sequences: Vec<i64>,
    hashes: Vec<Vec<u8>>,
    ats: Vec<i64>,
    kinds: Vec<String>,
    calls: Vec<Option<String>>,
    verdicts: Vec<Option<String>>,
    outcomes: Vec<Option<String>>,
    entries: Vec<String>,
    payload_kinds: Vec<String>,
    links: Vec<String>,
    texts: Vec<String>,
}

impl Columns {
    fn of(rows: &[Row]) -> Self {
        let mut columns = Self::default();
        for row in rows {
            columns.writers.push(row.writer.to_string());
            columns.sequences.push(rows::signed(row.sequence));
            columns.hashes.push(row.hash.as_bytes().to_vec());
            columns.ats.push(row.at.unix_ms());
            columns.kinds.push(row.kind.clone());
            columns.calls.push(row.call.map(|call| call.to_string()));
            columns.verdicts.push(row.verdict.clone());
            columns.outcomes.push(row.outcome.clone());
            columns.entries.push(row.entry.clone());
            // What says that something was erased is never erased itself: nobody would know any more.
            let erases = row.applies.iter().any(Applies::erases);
            let kind = if erases { "erasure" } else { &*row.kind };
            columns.payload_kinds.push(kind.to_owned());
            columns.links.push(links::joined(&row.links));
            columns.texts.push(row.text.clone());
        }
        columns
    }

    fn bind(self, query: Query<'_, Engine, Arguments>) -> Query<'_, Engine, Arguments> {
        query
            .bind(self.writers)
            .bind(self.sequences)
            .bind(self.hashes)
            .bind(self.ats)
            .bind(self.kinds)
            .bind(self.calls)
            .bind(self.verdicts)
            .bind(self.outcomes)
            .bind(self.entries)
            .bind(self.payload_kinds)
            .bind(self.links)
            .bind(self.texts)
    }
}

impl PostgresStore {
    pub(super) async fn append_rows(&self, rows: &[Row]) -> Result<(), StoreError> {
        let Some(first) = rows.first() else { return self.prove_writable().await };
        let mut connection = self.writing().await?;
        // With fail points, there is always something between what is written and what is committed.
        let is_simple = !cfg!(feature = "fail-points");
        if is_simple && rows.iter().all(|row| row.applies.is_empty()) {
            self.append_simply(&mut connection, first.writer, rows).await?;
        } else {
            let mut appending = connection.begin().await?;
            self.append_and_apply(&mut appending, first.writer, rows).await?;
            appending.commit().await?;
        }
        let of_kind = |kind| rows.iter().filter(|row| row.kind == kind).count();
        pass(Point::IntentCommitted, of_kind("intent"));
        pass(Point::OutcomeCommitted, of_kind("outcome"));
        drop(connection);
        self.link_if_due(rows.len());
        Ok(())
    }

    async fn append_simply(
        &self,
        connection: &mut PgConnection,
        writer: Id,
        rows: &[Row],
    ) -> Result<(), StoreError> {
        let append = "SELECT callgate_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
        let query = sqlx::query(append)
            .bind(writer.to_string())
            .bind(self.attempt_of(writer))
            .bind(LEASE_MS);
        let row = Columns::of(rows).bind(query).fetch_one(connection).await?;
        if row.try_get(0)? { Ok(()) } else { Err(StoreError::Overtaken) }
    }

    async fn append_and_apply(
        &self,
        connection: &mut PgConnection,
        writer: Id,
        rows: &[Row],
    ) -> Result<(), StoreError> {
        let turn: Option<(i64, i64)> =
            sqlx::query_as("SELECT before, now_ms FROM callgate_turn($1, $2, $3, $4)")
                .bind(writer.to_string())
                .bind(self.attempt_of(writer))
                .bind(LEASE_MS)
                .bind(i64::try_from(rows.len()).unwrap_or(i64::MAX))
                .fetch_optional(&mut *connection)
                .await?;
        let (before, now_ms) = turn.ok_or(StoreError::Overtaken)?;
        let mut refused = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            let at = match self.time {
                Time::Database => Timestamp::from_unix_ms(now_ms),
                #[cfg(test)]
                Time::Told => row.at,
            };
            for applies in &row.applies {
                if !authority::apply(&mut *connection, applies, at).await? {
                    refused.push(place);
                    break;
                }
            }
        }
        let of_kind = |kind| rows.iter().filter(|row| row.kind == kind).count();
        pass(Point::Claimed, of_kind("intent"));
        if !refused.is_empty() {
            // What was applied goes with it: the rest is tried again without these.
            return Err(StoreError::Refused { rows: refused });
        }
        let record =
            "SELECT callgate_record($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        Columns::of(rows).bind(sqlx::query(record).bind(before)).execute(connection).await?;
        pass(Point::IntentWritten, of_kind("intent"));
        pass(Point::OutcomeWritten, of_kind("outcome"));
        Ok(())
    }

    /// Commits something that changes nothing.
    pub(super) async fn prove_writable(&self) -> Result<(), StoreError> {
        let mut connection = self.writing().await?;
        sqlx::query("UPDATE log SET proofs = proofs + 1").execute(&mut *connection).await?;
        Ok(())
    }
}

/// By whose clock what ends has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// By the database's, which is one for all.
    Database,
    /// By that of whoever records: tests have times of their own.
    #[cfg(test)]
    Told,
}
