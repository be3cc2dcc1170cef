//! Links of records in the SQLite file: numbers of values, and the index from them to records.

use std::collections::{BTreeSet, HashMap};

use callgate_model::evidence::Link;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Row as _};

use super::rows::listed;
use super::search::{COUNTED_MAX, LINKED_TOGETHER_MAX, Sought};
use crate::evidence::Row;

/// Values whose numbers are remembered; with more it begins anew.
const KNOWN_MAX: usize = 20_000;

/// Links of a statement.
const AT_ONCE: usize = 128;

/// The numbers of values that were used before. What another process does to the database may make them wrong.
#[derive(Debug, Default)]
pub(super) struct Known {
    numbers: HashMap<Link, HashMap<String, i64>>,
    /// How many there are.
    count: usize,
    /// SQLite's own count of what others did.
    version: i64,
}

impl Known {
    /// Forgets all: what was added in a transaction that is no more, or values that were erased.
    pub(super) fn forget(&mut self) {
        self.numbers.clear();
        self.count = 0;
    }

    async fn number(
        &mut self,
        connection: &mut SqliteConnection,
        link: Link,
        value: &str,
    ) -> Result<i64, sqlx::Error> {
        if let Some(number) = self.numbers.get(&link).and_then(|all| all.get(value)) {
            return Ok(*number);
        }
        let number = sqlx::query_scalar(
            "INSERT INTO link_values (link, value) VALUES ($1, $2) \
             ON CONFLICT (link, value) DO UPDATE SET link = link RETURNING number",
        )
        .bind(link.as_str())
        .bind(value)
        .fetch_one(connection)
        .await?;
        if self.count >= KNOWN_MAX {
            self.forget();
        }
        self.count += 1;
        self.numbers.entry(link).or_default().insert(value.to_owned(), number);
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

/// How many records are not linked yet.
pub(super) async fn unlinked(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let query = "SELECT COALESCE((SELECT MAX(id) FROM evidence), 0) - upto FROM linked";
    sqlx::query_scalar(query).fetch_one(connection).await
}

/// Links records that are not linked yet. A commit that adds to the index writes a page for each value, so that is not done with
/// each record.
pub(super) async fn link(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let upto: i64 =
        sqlx::query_scalar("SELECT upto FROM linked").fetch_one(&mut *connection).await?;
    let newest = upto.saturating_add(unlinked(connection).await?.min(LINKED_TOGETHER_MAX));
    let found = sqlx::query("SELECT id, at_ms, links FROM payloads WHERE id > $1 AND id <= $2")
        .bind(upto)
        .bind(newest)
        .fetch_all(&mut *connection)
        .await?;
    let mut links = Vec::new();
    for row in &found {
        let (id, at_ms, numbers): (i64, i64, &str) =
            (row.try_get("id")?, row.try_get("at_ms")?, row.try_get("links")?);
        links.extend(parsed(numbers).map(|number| (number, at_ms, id)));
    }
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
    sqlx::query("UPDATE linked SET upto = $1").bind(newest).execute(connection).await?;
    Ok(())
}

/// Numbers as a payload has them.
pub(super) fn joined(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" ")
}

fn parsed(numbers: &str) -> impl Iterator<Item = i64> {
    numbers.split_ascii_whitespace().filter_map(|one| one.parse().ok())
}

/// Erases the payloads of records and all by which these are found; the values that nothing else has, too.
pub(super) async fn erase(
    connection: &mut SqliteConnection,
    ids: &[i64],
) -> Result<(), sqlx::Error> {
    // Then it is the index alone that tells whether anything else has a value.
    while unlinked(connection).await? > 0 {
        link(connection).await?;
    }
    let mut gone = BTreeSet::new();
    for id in ids {
        let delete = "DELETE FROM payloads WHERE id = $1 RETURNING at_ms, links";
        let erased = sqlx::query(delete).bind(id).fetch_optional(&mut *connection).await?;
        // It may have been erased before.
        let Some(row) = erased else { continue };
        let (at_ms, numbers): (i64, Vec<i64>) =
            (row.try_get("at_ms")?, parsed(row.try_get("links")?).collect());
        let unlink = format!(
            "DELETE FROM links WHERE number IN ({}) AND at_ms = $1 AND id = $2",
            listed(&numbers)
        );
        let unlink = sqlx::query(AssertSqlSafe(unlink)).persistent(false);
        unlink.bind(at_ms).bind(id).execute(&mut *connection).await?;
        gone.extend(numbers);
    }
    let gone: Vec<i64> = gone.into_iter().collect();
    for some in gone.chunks(AT_ONCE) {
        let forget = format!(
            "DELETE FROM link_values WHERE number IN ({}) \
             AND NOT EXISTS (SELECT 1 FROM links WHERE links.number = link_values.number)",
            listed(some)
        );
        sqlx::query(AssertSqlSafe(forget)).persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The value, if any record has it.
pub(super) async fn sought(
    connection: &mut SqliteConnection,
    link: Link,
    value: &str,
) -> Result<Option<Sought>, sqlx::Error> {
    let found: Option<(i64, i64)> = sqlx::query_as(
        "SELECT number, (SELECT COUNT(*) FROM (SELECT 1 FROM links \
         WHERE links.number = link_values.number LIMIT $3)) AS count \
         FROM link_values WHERE link = $1 AND value = $2",
    )
    .bind(link.as_str())
    .bind(value)
    .bind(COUNTED_MAX)
    .fetch_optional(connection)
    .await?;
    let waiting = |number| format!("' ' || said.links || ' ' LIKE '% {number} %'");
    Ok(found.map(|(number, count)| Sought { count, number, waiting: waiting(number) }))
}
