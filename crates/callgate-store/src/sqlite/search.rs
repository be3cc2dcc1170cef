//! Finding records by their links: each link of a record is a row of an index that is ordered by time, so that what is
//! looked for is read from its newest end, however much else there is.

use std::collections::HashMap;
use std::fmt::Write as _;

use callgate_model::evidence::Link;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::rows;
use crate::evidence::{Filter, LIST_MAX, Row, StoreError, Tally};

/// Values whose numbers are remembered; with more it begins anew.
const KNOWN_MAX: usize = 20_000;

/// Of a value that more records have than this it is not counted how many: it is no good one to begin with.
const COUNTED_MAX: u32 = 2_000;

/// Links of a statement.
const AT_ONCE: usize = 128;

/// The numbers of values that were used before. What another process does to the database may make them wrong.
#[derive(Debug, Default)]
pub(super) struct Known {
    numbers: HashMap<(Link, String), i64>,
    /// SQLite's own count of what others did.
    version: i64,
}

impl Known {
    /// Forgets all: what was added in a transaction that is no more, or values that were erased.
    pub(super) fn forget(&mut self) {
        self.numbers.clear();
    }

    async fn number(
        &mut self,
        connection: &mut SqliteConnection,
        link: Link,
        value: &str,
    ) -> Result<i64, sqlx::Error> {
        let key = (link, value.to_owned());
        if let Some(number) = self.numbers.get(&key) {
            return Ok(*number);
        }
        let number = sqlx::query_scalar(
            "INSERT INTO link_values (link, value) VALUES (?, ?) \
             ON CONFLICT (link, value) DO UPDATE SET link = link RETURNING number",
        )
        .bind(link.as_str())
        .bind(value)
        .fetch_one(connection)
        .await?;
        if self.numbers.len() >= KNOWN_MAX {
            self.numbers.clear();
        }
        self.numbers.insert(key, number);
        Ok(number)
    }
}

/// The numbers of the links of each row.
pub(super) async fn numbers(
    connection: &mut SqliteConnection,
    known: &mut Known,
    rows: &[Row],
) -> Result<Vec<Vec<i64>>, sqlx::Error> {
    let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *connection).await?;
    if known.version != version {
        known.forget();
        known.version = version;
    }
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let mut numbers = Vec::with_capacity(row.links.len());
        for (link, value) in &row.links {
            numbers.push(known.number(&mut *connection, *link, value).await?);
        }
        all.push(numbers);
    }
    Ok(all)
}

/// Makes `rows`, the first of which has the number `first` in the table of evidence, found by their links.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    rows: &[Row],
    first: i64,
    numbers: &[Vec<i64>],
) -> Result<(), sqlx::Error> {
    let numbered = (first..).zip(rows.iter().zip(numbers));
    let links = numbered
        .flat_map(|(id, (row, all))| all.iter().map(move |one| (*one, row.at.unix_ms(), id)));
    let mut links: Vec<(i64, i64, i64)> = links.collect();
    // In the order of the index a page is written once.
    links.sort_unstable();
    for some in links.chunks(AT_ONCE) {
        let places = vec!["(?, ?, ?)"; some.len()].join(", ");
        let statement = format!("INSERT INTO links (number, at_ms, id) VALUES {places}");
        let query = sqlx::query(AssertSqlSafe(statement)).persistent(some.len() == AT_ONCE);
        let bind = |query: Query<'static, Sqlite, SqliteArguments>, one: &(i64, i64, i64)| {
            query.bind(one.0).bind(one.1).bind(one.2)
        };
        some.iter().fold(query, bind).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Numbers as a payload has them.
pub(super) fn joined(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" ")
}

/// Erases the payload of a record and all by which that is found; the values that nothing else has, too.
pub(super) async fn erase(connection: &mut SqliteConnection, id: i64) -> Result<(), sqlx::Error> {
    let delete = "DELETE FROM payloads WHERE id = ? RETURNING at_ms, links";
    let Some(row) = sqlx::query(delete).bind(id).fetch_optional(&mut *connection).await? else {
        // It was erased before.
        return Ok(());
    };
    let at_ms: i64 = row.try_get("at_ms")?;
    let numbers: String = row.try_get("links")?;
    for number in numbers.split_ascii_whitespace().filter_map(|one| one.parse::<i64>().ok()) {
        sqlx::query("DELETE FROM links WHERE number = ? AND at_ms = ? AND id = ?")
            .bind(number)
            .bind(at_ms)
            .bind(id)
            .execute(&mut *connection)
            .await?;
        sqlx::query(
            "DELETE FROM link_values WHERE number = ?1 \
             AND NOT EXISTS (SELECT 1 FROM links WHERE number = ?1)",
        )
        .bind(number)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What is looked for, as far as there is such a thing.
struct Wanted<'f> {
    filter: &'f Filter,
    /// The numbers of the values that it has to have, the rarest first.
    with: Vec<i64>,
    without: Vec<i64>,
}

impl<'f> Wanted<'f> {
    /// `None` if nothing can match.
    async fn of(
        connection: &mut SqliteConnection,
        filter: &'f Filter,
    ) -> Result<Option<Self>, sqlx::Error> {
        let mut with = Vec::new();
        for (link, value) in &filter.with {
            match number(connection, *link, value).await? {
                Some(found) => with.push(found),
                None => return Ok(None),
            }
        }
        with.sort_unstable();
        let with = with.into_iter().map(|(_, number)| number).collect();
        let mut without = Vec::new();
        for (link, value) in &filter.without {
            without.extend(number(connection, *link, value).await?.map(|(_, number)| number));
        }
        Ok(Some(Self { filter, with, without }))
    }

    /// From where rows are read, and which of them match.
    fn condition(&self) -> String {
        // The first place is the call, the next two are the times; then the numbers.
        let mut places = 4_usize..;
        let mut place = || places.next().unwrap_or_default();
        let time = "AND (?2 IS NULL OR TIME >= ?2) AND (?3 IS NULL OR TIME < ?3)";
        let from_links = !self.with.is_empty() && self.filter.call.is_none();
        let mut sql = if from_links {
            let time = time.replace("TIME", "found.at_ms");
            format!(
                "FROM links AS found JOIN evidence ON evidence.id = found.id \
                 LEFT JOIN payloads ON payloads.id = evidence.id \
                 WHERE found.number = ?{} {time} AND ?1 IS NULL",
                place()
            )
        } else {
            let time = time.replace("TIME", "evidence.at_ms");
            let call = if self.filter.call.is_some() { "call = ?1" } else { "?1 IS NULL" };
            format!(
                "FROM evidence LEFT JOIN payloads ON payloads.id = evidence.id WHERE {call} {time}"
            )
        };
        let others = self.with.len() - usize::from(from_links);
        let tests = [("", others), ("NOT ", self.without.len())];
        for (negated, count) in tests {
            for _ in 0..count {
                // Writing to a string cannot fail.
                write!(
                    sql,
                    " AND {negated}EXISTS (SELECT 1 FROM links AS other WHERE other.number = ?{} \
                     AND other.at_ms = evidence.at_ms AND other.id = evidence.id)",
                    place()
                )
                .ok();
            }
        }
        if self.filter.decided {
            sql.push_str(" AND evidence.verdict IS NOT NULL");
        }
        sql
    }

    fn bind<'q>(
        &self,
        query: Query<'q, Sqlite, SqliteArguments>,
    ) -> Query<'q, Sqlite, SqliteArguments> {
        let query = query
            .bind(self.filter.call.map(|call| call.to_string()))
            .bind(self.filter.since.map(|since| since.unix_ms()))
            .bind(self.filter.until.map(|until| until.unix_ms()));
        self.with.iter().chain(&self.without).fold(query, |query, number| query.bind(*number))
    }
}

/// How many records have a value, up to a limit, and its number.
async fn number(
    connection: &mut SqliteConnection,
    link: Link,
    value: &str,
) -> Result<Option<(i64, i64)>, sqlx::Error> {
    let found: Option<SqliteRow> = sqlx::query(
        "SELECT number, (SELECT COUNT(*) FROM (SELECT 1 FROM links \
         WHERE links.number = link_values.number LIMIT ?3)) AS count \
         FROM link_values WHERE link = ?1 AND value = ?2",
    )
    .bind(link.as_str())
    .bind(value)
    .bind(COUNTED_MAX)
    .fetch_optional(connection)
    .await?;
    found.map(|row| Ok((row.try_get("count")?, row.try_get("number")?))).transpose()
}

/// The rows that match, newest first.
pub(super) async fn list(
    connection: &mut SqliteConnection,
    filter: &Filter,
) -> Result<Vec<Row>, StoreError> {
    let Some(wanted) = Wanted::of(connection, filter).await? else { return Ok(Vec::new()) };
    let condition = wanted.condition();
    let time = if condition.starts_with("FROM links") { "found" } else { "evidence" };
    let limit = filter.limit.unwrap_or(LIST_MAX).min(LIST_MAX);
    // Nothing of the filter is in the statement but how many values it names.
    let sql = format!(
        "SELECT evidence.*, payloads.text {condition} ORDER BY {time}.at_ms DESC, {time}.id DESC LIMIT {limit}"
    );
    let query = sqlx::query(AssertSqlSafe(sql));
    let found = wanted.bind(query).fetch_all(connection).await?;
    found.iter().map(rows::row).collect()
}

/// The rows that match, or conclude a call whose intent does, in the order of the log from the index `from` on.
pub(super) async fn page(
    connection: &mut SqliteConnection,
    filter: &Filter,
    from: u64,
) -> Result<Vec<Row>, StoreError> {
    let Some(wanted) = Wanted::of(connection, filter).await? else { return Ok(Vec::new()) };
    // Of the row itself, or else of the intent of its call.
    let matches = |of: &str| {
        let tests = wanted.with.iter().map(|number| ("", number));
        let tests = tests.chain(wanted.without.iter().map(|number| ("NOT ", number)));
        let mut sql = tests.fold("TRUE".to_owned(), |sql, (negated, number)| {
            // A number is one of ours.
            format!(
                "{sql} AND {negated}EXISTS (SELECT 1 FROM links WHERE number = {number} \
                 AND at_ms = {of}.at_ms AND id = {of}.id)"
            )
        });
        if filter.decided {
            sql = format!("{sql} AND {of}.verdict IS NOT NULL");
        }
        sql
    };
    let sql = format!(
        "SELECT evidence.*, payloads.text FROM evidence \
         LEFT JOIN payloads ON payloads.id = evidence.id \
         WHERE evidence.id > ?4 AND (?1 IS NULL OR evidence.call = ?1) \
         AND (?2 IS NULL OR evidence.at_ms >= ?2) AND (?3 IS NULL OR evidence.at_ms < ?3) \
         AND (({}) OR (evidence.kind IN ('outcome', 'settled') AND EXISTS ( \
         SELECT 1 FROM evidence AS intent WHERE intent.call = evidence.call \
         AND intent.kind = 'intent' AND {}))) ORDER BY evidence.id LIMIT {}",
        matches("evidence"),
        matches("intent"),
        filter.limit.unwrap_or(LIST_MAX).min(LIST_MAX)
    );
    let found = sqlx::query(AssertSqlSafe(sql))
        .bind(filter.call.map(|call| call.to_string()))
        .bind(filter.since.map(|since| since.unix_ms()))
        .bind(filter.until.map(|until| until.unix_ms()))
        .bind(i64::try_from(from).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    found.iter().map(rows::row).collect()
}

/// How many decisions there are in each span, by verdict.
pub(super) async fn tally(
    connection: &mut SqliteConnection,
    filter: &Filter,
    every_ms: i64,
) -> Result<Vec<Tally>, StoreError> {
    let Some(wanted) = Wanted::of(connection, filter).await? else { return Ok(Vec::new()) };
    let (condition, every_ms) = (wanted.condition(), every_ms.max(1));
    let sql = format!(
        "SELECT evidence.at_ms / {every_ms} * {every_ms} AS span, verdict, COUNT(*) AS count {condition} \
         AND verdict IS NOT NULL GROUP BY span, verdict ORDER BY span, verdict"
    );
    let query = sqlx::query(AssertSqlSafe(sql));
    let found = wanted.bind(query).fetch_all(connection).await?;
    found.iter().map(rows::tally).collect()
}
