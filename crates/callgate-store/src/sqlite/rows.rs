//! Rows to and from the table.

use std::sync::{Arc, LazyLock};

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::digest::Digest;
use callgate_model::json::Json;
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};

use super::search;
use crate::evidence::{Applies, Row, StoreError, Tally};

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
pub(super) async fn insert_entries(
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
pub(super) async fn insert_payloads(
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
                query.bind(search::joined(numbers)).bind(row.text.clone())
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

/// A row with its payload, which says more than the columns do.
pub(super) fn row(row: &SqliteRow) -> Result<Row, StoreError> {
    let call: Option<&str> = row.try_get("call")?;
    let text: Option<String> = row.try_get("text")?;
    let mut row = Row {
        index: Some(index(row)?),
        writer: id(row, "writer")?,
        sequence: sequence(row)?,
        hash: hash(row)?,
        at: Timestamp::from_unix_ms(row.try_get("at_ms")?),
        kind: row.try_get("kind")?,
        call: call.map(|_present| id(row, "call")).transpose()?,
        server: None,
        tool: None,
        operation: None,
        verdict: row.try_get("verdict")?,
        outcome: row.try_get("outcome")?,
        accountable: None,
        agent: None,
        entry: row.try_get("entry")?,
        text: text.unwrap_or_default(),
        links: Vec::new(),
        applies: Vec::new(),
    };
    // A change says other things by these names.
    if row.verdict.is_some() {
        let event = row.event();
        let said = |path: &[&str]| {
            let value = path.iter().try_fold(&event, |inner, name| inner.get(name));
            value.and_then(Json::as_str).map(str::to_owned)
        };
        row.server = said(&["server"]);
        row.tool = said(&["tool"]);
        row.operation = said(&["understood", "operation"]);
        row.accountable = said(&["caller", "accountable", "id"]);
        row.agent = said(&["caller", "agent", "id"]);
    }
    Ok(row)
}

/// What is counted is never negative.
pub(super) fn number(row: &SqliteRow, column: &'static str) -> Result<u64, StoreError> {
    let malformed = |_negative| StoreError::Malformed { column };
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(malformed)
}

/// The same as SQLite has numbers.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many decisions of a verdict there were in a span.
pub(super) fn tally(row: &SqliteRow) -> Result<Tally, StoreError> {
    let count: i64 = row.try_get("count")?;
    Ok(Tally {
        at: Timestamp::from_unix_ms(row.try_get("span")?),
        verdict: row.try_get("verdict")?,
        count: u64::try_from(count).unwrap_or_default(),
    })
}

pub(super) fn id(row: &SqliteRow, column: &'static str) -> Result<Id, StoreError> {
    Id::parse(row.try_get(column)?).ok_or(StoreError::Malformed { column })
}

/// The place in the log: ids begin with 1 and have no gaps, for nothing is removed.
pub(super) fn index(row: &SqliteRow) -> Result<u64, StoreError> {
    let malformed = |_negative| StoreError::Malformed { column: "id" };
    u64::try_from(row.try_get::<i64, _>("id")? - 1).map_err(malformed)
}

pub(super) fn sequence(row: &SqliteRow) -> Result<u64, StoreError> {
    let malformed = |_negative| StoreError::Malformed { column: "sequence" };
    u64::try_from(row.try_get::<i64, _>("sequence")?).map_err(malformed)
}

pub(super) fn hash(row: &SqliteRow) -> Result<Digest, StoreError> {
    let malformed = |_length| StoreError::Malformed { column: "hash" };
    let bytes: &[u8] = row.try_get("hash")?;
    <[u8; 32]>::try_from(bytes).map(Digest::new).map_err(malformed)
}
