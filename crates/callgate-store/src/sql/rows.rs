//! Rows as they are read.

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::digest::Digest;
use callgate_model::json::Json;
use sqlx::Row as _;

use super::SqlRow;
use crate::evidence::{Row, StoreError, Tally};

/// A row with its payload, which says more than the columns do.
pub(super) fn row(row: &SqlRow) -> Result<Row, StoreError> {
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
pub(super) fn number(row: &SqlRow, column: &'static str) -> Result<u64, StoreError> {
    let malformed = |_negative| StoreError::Malformed { column };
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(malformed)
}

/// The same as the database has numbers.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many decisions of a verdict there were in a span.
pub(super) fn tally(row: &SqlRow) -> Result<Tally, StoreError> {
    let count: i64 = row.try_get("count")?;
    Ok(Tally {
        at: Timestamp::from_unix_ms(row.try_get("span")?),
        verdict: row.try_get("verdict")?,
        count: u64::try_from(count).unwrap_or_default(),
    })
}

/// A count that is small.
pub(super) fn count(row: &SqlRow, column: &'static str) -> Result<u32, StoreError> {
    let malformed = |_beyond| StoreError::Malformed { column };
    u32::try_from(row.try_get::<i64, _>(column)?).map_err(malformed)
}

/// Numbers of ours, as a statement has them; none is no number that there is.
pub(super) fn listed(numbers: &[i64]) -> String {
    if numbers.is_empty() {
        return "NULL".to_owned();
    }
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn id(row: &SqlRow, column: &'static str) -> Result<Id, StoreError> {
    Id::parse(row.try_get(column)?).ok_or(StoreError::Malformed { column })
}

/// The place in the log: ids begin with 1 and have no gaps, for nothing is removed.
pub(super) fn index(row: &SqlRow) -> Result<u64, StoreError> {
    let malformed = |_negative| StoreError::Malformed { column: "id" };
    u64::try_from(row.try_get::<i64, _>("id")? - 1).map_err(malformed)
}

pub(super) fn sequence(row: &SqlRow) -> Result<u64, StoreError> {
    let malformed = |_negative| StoreError::Malformed { column: "sequence" };
    u64::try_from(row.try_get::<i64, _>("sequence")?).map_err(malformed)
}

pub(super) fn hash(row: &SqlRow) -> Result<Digest, StoreError> {
    let malformed = |_length| StoreError::Malformed { column: "hash" };
    let bytes: &[u8] = row.try_get("hash")?;
    <[u8; 32]>::try_from(bytes).map(Digest::new).map_err(malformed)
}
