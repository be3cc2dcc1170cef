//! Rows to and from the table.

use std::sync::{Arc, LazyLock};

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::digest::Digest;
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};

use crate::evidence::{Filter, Row, StoreError, Tally};

/// The statements that insert 64, 32, … 1 rows: any number of rows takes few of them, and seven stay prepared.
static INSERTS: LazyLock<Vec<(usize, Arc<str>)>> = LazyLock::new(|| {
    let values = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let columns = "writer, sequence, hash, at_ms, kind, call, server, tool, operation, verdict, \
                   outcome, accountable, agent, text";
    let insert = |size| {
        let values = vec![values; size].join(", ");
        (size, format!("INSERT INTO evidence ({columns}) VALUES {values}").into())
    };
    [64, 32, 16, 8, 4, 2, 1].map(insert).into()
});

/// Whether [`insert`] takes a single statement for `rows`.
pub(super) fn is_one_statement(rows: &[Row]) -> bool {
    rows.is_empty() || INSERTS.iter().any(|(size, _)| *size == rows.len())
}

/// Inserts `rows`; with none, it changes what can be changed without harm.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    rows: &[Row],
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        let touch = "UPDATE proof_of_life SET commits = commits + 1";
        sqlx::query(touch).execute(&mut *connection).await?;
    }
    let mut rest = rows;
    for (size, statement) in INSERTS.iter() {
        while let Some((now, later)) = rest.split_at_checked(*size) {
            // Only the number of parameters is dynamic.
            let query = sqlx::query(AssertSqlSafe(Arc::clone(statement)));
            now.iter().fold(query, bind).execute(&mut *connection).await?;
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
        .bind(row.server.clone())
        .bind(row.tool.clone())
        .bind(row.operation.clone())
        .bind(row.verdict.clone())
        .bind(row.outcome.clone())
        .bind(row.accountable.clone())
        .bind(row.agent.clone())
        .bind(row.text.clone())
}

pub(super) fn read(row: &SqliteRow) -> Result<Row, StoreError> {
    let call: Option<&str> = row.try_get("call")?;
    Ok(Row {
        writer: id(row, "writer")?,
        sequence: sequence(row)?,
        hash: hash(row)?,
        at: Timestamp::from_unix_ms(row.try_get("at_ms")?),
        kind: row.try_get("kind")?,
        call: call.map(|_present| id(row, "call")).transpose()?,
        server: row.try_get("server")?,
        tool: row.try_get("tool")?,
        operation: row.try_get("operation")?,
        verdict: row.try_get("verdict")?,
        outcome: row.try_get("outcome")?,
        accountable: row.try_get("accountable")?,
        agent: row.try_get("agent")?,
        text: row.try_get("text")?,
        applies: Vec::new(),
    })
}

/// Binds what `filter` names, in the order of the statement that it is for.
pub(super) fn matching<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    filter: &'q Filter,
) -> Query<'q, Sqlite, SqliteArguments> {
    query
        .bind(filter.kind.as_deref())
        .bind(filter.verdict.as_deref())
        .bind(filter.outcome.as_deref())
        .bind(filter.server.as_deref())
        .bind(filter.tool.as_deref())
        .bind(filter.operation.as_deref())
        .bind(filter.accountable.as_deref())
        .bind(filter.agent.as_deref())
        .bind(filter.call.map(|call| call.to_string()))
        .bind(filter.since.map(|since| since.unix_ms()))
        .bind(filter.decided)
        .bind(filter.among)
        .bind(filter.not_server.as_deref())
        .bind(filter.client.as_deref())
        .bind(filter.reason.as_deref())
        .bind(filter.target.as_deref())
        .bind(filter.until.map(|until| until.unix_ms()))
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

pub(super) fn sequence(row: &SqliteRow) -> Result<u64, StoreError> {
    let malformed = |_negative| StoreError::Malformed { column: "sequence" };
    u64::try_from(row.try_get::<i64, _>("sequence")?).map_err(malformed)
}

/// The place in the log, from 0; ids count from 1.
pub(super) fn place(row: &SqliteRow) -> Result<u64, StoreError> {
    let place = row.try_get::<i64, _>("id")?.checked_sub(1).and_then(|id| u64::try_from(id).ok());
    place.ok_or(StoreError::Malformed { column: "id" })
}

pub(super) fn hash(row: &SqliteRow) -> Result<Digest, StoreError> {
    let malformed = |_length| StoreError::Malformed { column: "hash" };
    let bytes: &[u8] = row.try_get("hash")?;
    <[u8; 32]>::try_from(bytes).map(Digest::new).map_err(malformed)
}
