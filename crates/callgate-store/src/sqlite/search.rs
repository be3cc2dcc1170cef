//! Finding records by their links: each link of a record is a row of an index that is ordered by time, so that what is
//! looked for is read from its newest end, however much else there is. The newest records are not linked yet, and looked
//! through one by one.

use std::collections::{BTreeSet, HashMap};

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

/// Records that are linked together: at least, and at most.
pub(super) const LINKED_TOGETHER_MIN: i64 = 512;
const LINKED_TOGETHER_MAX: i64 = 8_192;

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
            "INSERT INTO link_values (link, value) VALUES (?, ?) \
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
    let found = sqlx::query("SELECT id, at_ms, links FROM payloads WHERE id > ? AND id <= ?")
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
    sqlx::query("UPDATE linked SET upto = ?").bind(newest).execute(connection).await?;
    Ok(())
}

/// Numbers as a payload has them.
pub(super) fn joined(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" ")
}

fn parsed(numbers: &str) -> impl Iterator<Item = i64> {
    numbers.split_ascii_whitespace().filter_map(|one| one.parse().ok())
}

/// Whether the row `of` has the value of this number, whether or not it is linked yet.
fn has(number: i64, of: &str) -> String {
    format!(
        "(EXISTS (SELECT 1 FROM links WHERE number = {number} AND at_ms = {of}.at_ms AND id = {of}.id) \
         OR ({of}.id > (SELECT upto FROM linked) AND EXISTS (SELECT 1 FROM payloads AS said \
         WHERE said.id = {of}.id AND ' ' || said.links || ' ' LIKE '% {number} %')))"
    )
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
        let delete = "DELETE FROM payloads WHERE id = ? RETURNING at_ms, links";
        let erased = sqlx::query(delete).bind(id).fetch_optional(&mut *connection).await?;
        // It may have been erased before.
        let Some(row) = erased else { continue };
        let (at_ms, numbers): (i64, Vec<i64>) =
            (row.try_get("at_ms")?, parsed(row.try_get("links")?).collect());
        let unlink = format!(
            "DELETE FROM links WHERE number IN ({}) AND at_ms = ? AND id = ?",
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

/// Numbers of ours, as a statement has them.
fn listed(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
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

    /// From where rows are read, and which of them match: those that are linked by the rarest value, if there is one, and those
    /// that are not linked yet. Each with the table whose order in time it follows.
    fn sources(&self) -> Vec<(&'static str, String)> {
        let said = "LEFT JOIN payloads ON payloads.id = evidence.id";
        let (call, rarest) = (self.filter.call.is_some(), self.with.first());
        let others = |with: &[i64]| {
            let with = with.iter().map(|number| format!(" AND {}", has(*number, "evidence")));
            let without = self.without.iter();
            let without = without.map(|number| format!(" AND NOT {}", has(*number, "evidence")));
            let decided =
                self.filter.decided.then(|| " AND evidence.verdict IS NOT NULL".to_owned());
            with.chain(without).chain(decided).collect::<String>()
        };
        let time = "(?2 IS NULL OR TIME >= ?2) AND (?3 IS NULL OR TIME < ?3)";
        let own = time.replace("TIME", "evidence.at_ms");
        let Some(rarest) = rarest.filter(|_| !call) else {
            let call = if call { "call = ?1" } else { "?1 IS NULL" };
            let has = others(&self.with);
            return vec![("evidence", format!("FROM evidence {said} WHERE {call} AND {own}{has}"))];
        };
        let found = time.replace("TIME", "found.at_ms");
        let rest = self.with.get(1..).unwrap_or_default();
        let linked = format!(
            "FROM links AS found JOIN evidence ON evidence.id = found.id {said} \
             WHERE found.number = {rarest} AND {found} AND ?1 IS NULL{}",
            others(rest)
        );
        // By their numbers, not by time: there are few, and they are the newest.
        let newest = format!(
            "FROM evidence NOT INDEXED {said} WHERE evidence.id > (SELECT upto FROM linked) \
             AND {own} AND ?1 IS NULL{}",
            others(&self.with)
        );
        vec![("found", linked), ("evidence", newest)]
    }

    fn bind<'q>(
        &self,
        query: Query<'q, Sqlite, SqliteArguments>,
    ) -> Query<'q, Sqlite, SqliteArguments> {
        query
            .bind(self.filter.call.map(|call| call.to_string()))
            .bind(self.filter.since.map(|since| since.unix_ms()))
            .bind(self.filter.until.map(|until| until.unix_ms()))
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
    let limit = filter.limit.unwrap_or(LIST_MAX).min(LIST_MAX);
    let newest = |(time, source): (&str, String)| {
        format!(
            "SELECT * FROM (SELECT evidence.*, payloads.text {source} \
             ORDER BY {time}.at_ms DESC, {time}.id DESC LIMIT {limit})"
        )
    };
    let sources: Vec<String> = wanted.sources().into_iter().map(newest).collect();
    // In one statement, or what is linked in between would be in neither.
    let sql = format!("{} ORDER BY at_ms DESC, id DESC LIMIT {limit}", sources.join(" UNION ALL "));
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
        let with = wanted.with.iter().map(|number| format!(" AND {}", has(*number, of)));
        let without = wanted.without.iter();
        let without = without.map(|number| format!(" AND NOT {}", has(*number, of)));
        let decided = filter.decided.then(|| format!(" AND {of}.verdict IS NOT NULL"));
        let all: String = with.chain(without).chain(decided).collect();
        format!("TRUE{all}")
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
    let every_ms = every_ms.max(1);
    let spans = |(_, source): (&str, String)| {
        format!("SELECT evidence.at_ms / {every_ms} * {every_ms} AS span, verdict {source}")
    };
    let sources: Vec<String> = wanted.sources().into_iter().map(spans).collect();
    let sql = format!(
        "SELECT span, verdict, COUNT(*) AS count FROM ({}) \
         WHERE verdict IS NOT NULL GROUP BY span, verdict ORDER BY span, verdict",
        sources.join(" UNION ALL ")
    );
    let query = sqlx::query(AssertSqlSafe(sql));
    let found = wanted.bind(query).fetch_all(connection).await?;
    found.iter().map(rows::tally).collect()
}
