//! Rows into the tables of the SQLite file.

use std::sync::{Arc, LazyLock};

use sqlx::AssertSqlSafe;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};

use super::links;
use crate::evidence::{Applies, Row};

/// How many rows, their entries, and their payloads.
type Insert = (usize, Arc<str>, Arc<str>);

/// The statements that insert 64, 32, … 1 entries, and as many payloads: any number of rows takes few of them, and fourteen
/// stay prepared.
static INSERTS: LazyLock<Vec<Insert>> = LazyLock::new(|| {
    let values = "(?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let columns = "writer, sequence, hash, at_ms, kind, call, verdict, outcome, entry";
    let insert = |size| {
        let entries = vec![values; size].join(", ");
        let payloads = vec!["(?, ?, ?, ?, ?)"; size].join(", ");
        (
            size,
            format!("INSERT INTO evidence ({columns}) VALUES {entries}").into(),
            format!("INSERT INTO payloads (id, kind, at_ms, links, text) VALUES {payloads}").into(),
        )
    };
    [64, 32, 16, 8, 4, 2, 1].map(insert).into()
});

/// Inserts the entries of `rows`, and says which number the first of them has; with none, it changes what can be changed
/// without harm.
pub(super) async fn entries(
    connection: &mut SqliteConnection,
    rows: &[Row],
) -> Result<i64, sqlx::Error> {
    if rows.is_empty() {
        let touch = "UPDATE proof_of_life SET commits = commits + 1";
        sqlx::query(touch).execute(&mut *connection).await?;
        return Ok(0);
    }
    let mut rest = rows;
    let mut last = 0;
    for (size, entries, _) in INSERTS.iter() {
        while let Some((now, later)) = rest.split_at_checked(*size) {
            // Only the number of parameters is dynamic.
            let query = sqlx::query(AssertSqlSafe(Arc::clone(entries)));
            let done = now.iter().fold(query, bind).execute(&mut *connection).await?;
            last = done.last_insert_rowid();
            rest = later;
        }
    }
    Ok(last + 1 - i64::try_from(rows.len()).unwrap_or(0))
}

/// Inserts the payloads of `rows`, the first of which has the number `first`, each with the numbers of its links.
pub(super) async fn payloads(
    connection: &mut SqliteConnection,
    rows: &[Row],
    first: i64,
    numbers: &[Vec<i64>],
) -> Result<(), sqlx::Error> {
    let numbered: Vec<_> = (first..).zip(rows.iter().zip(numbers)).collect();
    let mut rest = &*numbered;
    for (size, _, payloads) in INSERTS.iter() {
        while let Some((now, later)) = rest.split_at_checked(*size) {
            let query = sqlx::query(AssertSqlSafe(Arc::clone(payloads)));
            let query = now.iter().fold(query, |query, (id, (row, numbers))| {
                // What says that something was erased is never erased itself: nobody would know any more.
                let erases = row.applies.iter().any(Applies::erases);
                let kind = if erases { "erasure" } else { &*row.kind };
                let query = query.bind(*id).bind(kind.to_owned()).bind(row.at.unix_ms());
                query.bind(links::joined(numbers)).bind(row.text.clone())
            });
            query.execute(&mut *connection).await?;
            rest = later;
        }
    }
    Ok(())
}

fn bind<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    row: &Row,
) -> Query<'q, Sqlite, SqliteArguments> {
    query
        .bind(row.writer.to_string())
        .bind(i64::try_from(row.sequence).unwrap_or(i64::MAX))
        .bind(row.hash.as_bytes().to_vec())
        .bind(row.at.unix_ms())
        .bind(row.kind.clone())
        .bind(row.call.map(|call| call.to_string()))
        .bind(row.verdict.clone())
        .bind(row.outcome.clone())
        .bind(row.entry.clone())
}
