//! Finding records by their links: each link of a record is a row of an index that is ordered by time, so that what is
//! looked for is read from its newest end, however much else there is. The newest records are not linked yet, and looked
//! through one by one.

use callgate_model::json::{Json, JsonLimits, read};
use callgate_model::vocabulary::Effect;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Row as _};

use super::dialect::NEWEST;
use super::{Arguments, Engine, Sql, links, rows};
use crate::evidence::{Filter, LIST_MAX, Row, StoreError, Tally};

/// Of a value that more records have than this it is not counted how many: it is no good one to begin with.
pub(super) const COUNTED_MAX: i64 = 2_000;

/// Records that are linked together: at least, and at most.
pub(super) const LINKED_TOGETHER_MIN: i64 = 512;
pub(super) const LINKED_TOGETHER_MAX: i64 = 8_192;

/// A value that is looked for.
#[derive(Debug)]
pub(super) struct Sought {
    /// How many records have it, up to [`COUNTED_MAX`].
    pub(super) count: i64,
    /// Its number in the index.
    pub(super) number: i64,
    /// Whether a payload `said`, whose record is not linked yet, has it: a condition made of nothing that others have said.
    pub(super) waiting: String,
}

impl Sought {
    /// Whether the row `of` has it, whether or not it is linked yet.
    fn is_of(&self, of: &str) -> String {
        let Self { number, waiting, .. } = self;
        format!(
            "(EXISTS (SELECT 1 FROM links WHERE number = {number} AND at_ms = {of}.at_ms AND id = {of}.id) \
             OR ({of}.id > (SELECT upto FROM linked) AND EXISTS (SELECT 1 FROM payloads AS said \
             WHERE said.id = {of}.id AND {waiting})))"
        )
    }
}

/// What is looked for, as far as there is such a thing.
struct Wanted<'f> {
    filter: &'f Filter,
    /// The values that it has to have, the rarest first.
    with: Vec<Sought>,
    without: Vec<Sought>,
}

impl<'f> Wanted<'f> {
    /// `None` if nothing can match.
    async fn of(connection: &mut Sql, filter: &'f Filter) -> Result<Option<Self>, sqlx::Error> {
        let mut with = Vec::new();
        for (link, value) in &filter.with {
            match links::sought(connection, *link, value).await? {
                Some(sought) => with.push(sought),
                None => return Ok(None),
            }
        }
        with.sort_unstable_by_key(|sought| (sought.count, sought.number));
        let mut without = Vec::new();
        for (link, value) in &filter.without {
            without.extend(links::sought(connection, *link, value).await?);
        }
        Ok(Some(Self { filter, with, without }))
    }

    /// What the row `of` has to have of `with`, and of what is not to be there.
    fn others(&self, with: &[Sought], of: &str) -> String {
        let with = with.iter().map(|sought| format!(" AND {}", sought.is_of(of)));
        let without = self.without.iter().map(|sought| format!(" AND NOT {}", sought.is_of(of)));
        let decided = self.filter.decided.then(|| format!(" AND {of}.verdict IS NOT NULL"));
        with.chain(without).chain(decided).collect()
    }

    /// From where rows are read, and which of them match: those that are linked by the rarest value, if there is one, and those
    /// that are not linked yet. Each with the table whose order in time it follows.
    fn sources(&self) -> Vec<(&'static str, String)> {
        let said = "LEFT JOIN payloads ON payloads.id = evidence.id";
        let (call, rarest) = (self.filter.call.is_some(), self.with.first());
        let time = "($2 IS NULL OR TIME >= $2) AND ($3 IS NULL OR TIME < $3)";
        let own = time.replace("TIME", "evidence.at_ms");
        let Some(rarest) = rarest.filter(|_| !call) else {
            let call = if call { "call = $1" } else { "$1 IS NULL" };
            let has = self.others(&self.with, "evidence");
            return vec![("evidence", format!("FROM evidence {said} WHERE {call} AND {own}{has}"))];
        };
        let found = time.replace("TIME", "found.at_ms");
        let rest = self.with.get(1..).unwrap_or_default();
        let linked = format!(
            "FROM links AS found JOIN evidence ON evidence.id = found.id {said} \
             WHERE found.number = {} AND {found} AND $1 IS NULL{}",
            rarest.number,
            self.others(rest, "evidence")
        );
        // By their numbers, not by time: there are few, and they are the newest.
        let newest = format!(
            "FROM {NEWEST} {said} WHERE evidence.id > (SELECT upto FROM linked) \
             AND {own} AND $1 IS NULL{}",
            self.others(&self.with, "evidence")
        );
        vec![("found", linked), ("evidence", newest)]
    }

    fn bind<'q>(&self, query: Query<'q, Engine, Arguments>) -> Query<'q, Engine, Arguments> {
        query
            .persistent(false)
            .bind(self.filter.call.map(|call| call.to_string()))
            .bind(self.filter.since.map(|since| since.unix_ms()))
            .bind(self.filter.until.map(|until| until.unix_ms()))
    }
}

/// The rows that match, newest first.
pub(super) async fn list(
    connection: &mut Sql,
    filter: &Filter,
) -> Result<Vec<Row>, StoreError> {
    let Some(wanted) = Wanted::of(connection, filter).await? else { return Ok(Vec::new()) };
    let limit = filter.limit.unwrap_or(LIST_MAX).min(LIST_MAX);
    let newest = |(time, source): (&str, String)| {
        format!(
            "SELECT * FROM (SELECT evidence.*, payloads.text {source} \
             ORDER BY {time}.at_ms DESC, {time}.id DESC LIMIT {limit}) AS sought"
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
    connection: &mut Sql,
    filter: &Filter,
    from: u64,
) -> Result<Vec<Row>, StoreError> {
    let Some(wanted) = Wanted::of(connection, filter).await? else { return Ok(Vec::new()) };
    // Of the row itself, or else of the intent of its call.
    let matches = |of: &str| format!("TRUE{}", wanted.others(&wanted.with, of));
    let sql = format!(
        "SELECT evidence.*, payloads.text FROM evidence \
         LEFT JOIN payloads ON payloads.id = evidence.id \
         WHERE evidence.id > $4 AND ($1 IS NULL OR evidence.call = $1) \
         AND ($2 IS NULL OR evidence.at_ms >= $2) AND ($3 IS NULL OR evidence.at_ms < $3) \
         AND (({}) OR (evidence.kind IN ('outcome', 'settled') AND EXISTS ( \
         SELECT 1 FROM evidence AS intent WHERE intent.call = evidence.call \
         AND intent.kind = 'intent' AND {}))) ORDER BY evidence.id LIMIT {}",
        matches("evidence"),
        matches("intent"),
        filter.limit.unwrap_or(LIST_MAX).min(LIST_MAX)
    );
    let found = wanted
        .bind(sqlx::query(AssertSqlSafe(sql)))
        .bind(rows::signed(from))
        .fetch_all(connection)
        .await?;
    found.iter().map(rows::row).collect()
}

/// How many decisions there are in each span, by verdict.
pub(super) async fn tally(
    connection: &mut Sql,
    filter: &Filter,
    every_ms: i64,
) -> Result<Vec<Tally>, StoreError> {
    let Some(wanted) = Wanted::of(connection, filter).await? else { return Ok(Vec::new()) };
    let every_ms = every_ms.max(1);
    let spans = |(_, source): (&str, String)| {
        format!("SELECT evidence.at_ms / {every_ms} * {every_ms} AS span, evidence.verdict {source}")
    };
    let sources: Vec<String> = wanted.sources().into_iter().map(spans).collect();
    let sql = format!(
        "SELECT span, verdict, COUNT(*) AS count FROM ({}) AS sought \
         WHERE verdict IS NOT NULL GROUP BY span, verdict ORDER BY span, verdict",
        sources.join(" UNION ALL ")
    );
    let query = sqlx::query(AssertSqlSafe(sql));
    let found = wanted.bind(query).fetch_all(connection).await?;
    found.iter().map(rows::tally).collect()
}

/// The newest outcomes that do not tell whether a call took effect, and after which nothing was said of it.
pub(super) async fn unsettled(
    connection: &mut Sql,
    reads: bool,
    limit: u32,
) -> Result<Vec<Row>, StoreError> {
    let limit = usize::try_from(limit.min(LIST_MAX)).unwrap_or_default();
    let (mut unsettled, mut before) = (Vec::new(), i64::MAX);
    loop {
        let found = sqlx::query(UNSETTLED)
            .bind(before)
            .bind(UNSETTLED_TOGETHER)
            .fetch_all(&mut *connection)
            .await?;
        let Some(last) = found.last() else { return Ok(unsettled) };
        before = last.try_get("id")?;
        for row in &found {
            let intent: Option<&str> = row.try_get("intent")?;
            // What is said there is read here: PostgreSQL cannot read all that JSON can say.
            if reads || !intent.is_some_and(is_of_a_read) {
                unsettled.push(rows::row(row)?);
            }
            if unsettled.len() >= limit {
                return Ok(unsettled);
            }
        }
    }
}

/// They are looked at so many at a time: most calls that end so are no reads.
const UNSETTLED_TOGETHER: i64 = 100;

const UNSETTLED: &str = "SELECT evidence.*, payloads.text, (SELECT said.text FROM evidence AS intent \
     JOIN payloads AS said ON said.id = intent.id \
     WHERE intent.call = evidence.call AND intent.kind = 'intent') AS intent \
     FROM evidence LEFT JOIN payloads ON payloads.id = evidence.id \
     WHERE outcome IN ('cancelled', 'indeterminate', 'timed_out') AND NOT EXISTS ( \
     SELECT 1 FROM evidence AS later WHERE later.call = evidence.call \
     AND later.id > evidence.id AND later.kind IN ('outcome', 'settled')) \
     AND evidence.id < $1 ORDER BY evidence.id DESC LIMIT $2";

/// Whether a payload is that of a call that only reads.
fn is_of_a_read(payload: &str) -> bool {
    let payload = read(payload.as_bytes(), &JsonLimits::of_bytes(payload.len()));
    let path = ["event", "understood", "effect"];
    payload.is_ok_and(|payload| {
        let effect = path.iter().try_fold(&payload, |inner, name| inner.get(name));
        effect.and_then(Json::as_str) == Some(Effect::Read.as_str())
    })
}
