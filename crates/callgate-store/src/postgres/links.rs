//! Links of records in the PostgreSQL database. A payload says by what its record is found, as JSON, and whoever has the time links
//! what is not linked yet: nobody waits for that who records a call.

use callgate_model::evidence::{Link, Links};
use callgate_model::json::{Json, JsonLimits, read};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection as _, Row as _};

use super::search::{COUNTED_MAX, LINKED_TOGETHER_MAX, Sought};

/// The links of one record, as its payload has them.
pub(super) fn joined(links: &Links) -> String {
    let all: Vec<Json> = links.iter().map(|(link, value)| pair(*link, value)).collect();
    Json::from(all).to_text()
}

fn pair(link: Link, value: &str) -> Json {
    Json::from(vec![Json::from(link.as_str().to_owned()), Json::from(value.to_owned())])
}

/// The same apart: the names and the values.
fn parsed(text: &str) -> Vec<(String, Vec<u8>)> {
    let all = read(text.as_bytes(), &JsonLimits::of_bytes(text.len())).unwrap_or(Json::Null);
    let pair = |pair: &Json| {
        let [link, value] = pair.as_array()? else { return None };
        Some((link.as_str()?.to_owned(), value.as_str()?.as_bytes().to_vec()))
    };
    all.as_array().unwrap_or_default().iter().filter_map(pair).collect()
}

const SIZE: &str = "SELECT COALESCE(MAX(id), 0) FROM evidence";

/// Links of records: names and values, and when and which records these are of.
#[derive(Default)]
struct Pairs {
    links: Vec<String>,
    values: Vec<Vec<u8>>,
    ats: Vec<i64>,
    ids: Vec<i64>,
}

impl Pairs {
    fn of(rows: &[sqlx::postgres::PgRow]) -> Result<Self, sqlx::Error> {
        let mut pairs = Self::default();
        for row in rows {
            let (id, at_ms): (i64, i64) = (row.try_get("id")?, row.try_get("at_ms")?);
            for (link, value) in parsed(row.try_get("links")?) {
                pairs.links.push(link);
                pairs.values.push(value);
                pairs.ats.push(at_ms);
                pairs.ids.push(id);
            }
        }
        Ok(pairs)
    }
}

/// Links records that are not linked yet, some at a time, until there are fewer than `least`; nothing, while another replica does.
pub(super) async fn link_all(pool: &PgPool, least: i64) -> Result<(), sqlx::Error> {
    loop {
        let mut connection = pool.acquire().await?;
        let mut linking = connection.begin().await?;
        let locked = "SELECT upto FROM linked FOR UPDATE SKIP LOCKED";
        let upto: Option<i64> = sqlx::query_scalar(locked).fetch_optional(&mut *linking).await?;
        let Some(upto) = upto else { return Ok(()) };
        let size: i64 = sqlx::query_scalar(SIZE).fetch_one(&mut *linking).await?;
        if size.saturating_sub(upto) < least.max(1) {
            return Ok(());
        }
        link(&mut linking, upto, size).await?;
        linking.commit().await?;
    }
}

/// Links what comes after `upto`, whose row is locked, of so many records; up to where.
async fn link(connection: &mut PgConnection, upto: i64, size: i64) -> Result<i64, sqlx::Error> {
    let waiting = "SELECT id, at_ms, links FROM payloads WHERE id > $1 AND id <= $2 ORDER BY id";
    let newest = size.min(upto.saturating_add(LINKED_TOGETHER_MAX));
    let found = sqlx::query(waiting).bind(upto).bind(newest).fetch_all(&mut *connection).await?;
    let pairs = Pairs::of(&found)?;
    sqlx::query(
        "INSERT INTO link_values (link, value) \
         SELECT DISTINCT link, value FROM unnest($1::TEXT[], $2::BYTEA[]) AS one (link, value) \
         ORDER BY link, value ON CONFLICT DO NOTHING",
    )
    .bind(&pairs.links)
    .bind(&pairs.values)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO links (number, at_ms, id) SELECT number, one.at_ms, one.id \
         FROM unnest($1::TEXT[], $2::BYTEA[], $3::BIGINT[], $4::BIGINT[]) \
         AS one (link, value, at_ms, id) JOIN link_values ON link_values.link = one.link \
         AND sha256(link_values.value) = sha256(one.value) \
         ORDER BY number, one.at_ms, one.id ON CONFLICT DO NOTHING",
    )
    .bind(&pairs.links)
    .bind(&pairs.values)
    .bind(&pairs.ats)
    .bind(&pairs.ids)
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE linked SET upto = $1").bind(newest).execute(connection).await?;
    Ok(newest)
}

/// Erases the payloads of records and all by which these are found; the values that nothing else has, too.
pub(super) async fn erase(connection: &mut PgConnection, ids: &[i64]) -> Result<(), sqlx::Error> {
    // Then it is the index alone that tells whether anything else has a value.
    let locked = "SELECT upto FROM linked FOR UPDATE";
    let mut upto: i64 = sqlx::query_scalar(locked).fetch_one(&mut *connection).await?;
    let size: i64 = sqlx::query_scalar(SIZE).fetch_one(&mut *connection).await?;
    while upto < size {
        upto = link(connection, upto, size).await?;
    }
    let delete = "DELETE FROM payloads WHERE id = ANY($1) RETURNING id, at_ms, links";
    let erased = sqlx::query(delete).bind(ids).fetch_all(&mut *connection).await?;
    let pairs = Pairs::of(&erased)?;
    let unlinked: Vec<i64> = sqlx::query_scalar(
        "DELETE FROM links USING unnest($1::TEXT[], $2::BYTEA[], $3::BIGINT[], $4::BIGINT[]) \
         AS one (link, value, at_ms, id), link_values \
         WHERE link_values.link = one.link AND sha256(link_values.value) = sha256(one.value) \
         AND links.number = link_values.number AND links.at_ms = one.at_ms AND links.id = one.id \
         RETURNING links.number",
    )
    .bind(&pairs.links)
    .bind(&pairs.values)
    .bind(&pairs.ats)
    .bind(&pairs.ids)
    .fetch_all(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM link_values WHERE number = ANY($1) \
         AND NOT EXISTS (SELECT 1 FROM links WHERE links.number = link_values.number)",
    )
    .bind(&unlinked)
    .execute(connection)
    .await?;
    Ok(())
}

/// The value, whether or not any record has it: it may be of one that is not linked yet.
pub(super) async fn sought(
    connection: &mut PgConnection,
    link: Link,
    value: &str,
) -> Result<Option<Sought>, sqlx::Error> {
    let found: Option<(i64, i64)> = sqlx::query_as(
        "SELECT number, (SELECT COUNT(*) FROM (SELECT 1 FROM links \
         WHERE links.number = link_values.number LIMIT $3) AS few) AS count \
         FROM link_values WHERE link = $1 AND sha256(value) = sha256($2)",
    )
    .bind(link.as_str())
    .bind(value.as_bytes())
    .bind(COUNTED_MAX)
    .fetch_optional(connection)
    .await?;
    // No value has this number.
    let (number, count) = found.unwrap_or((0, 0));
    let digits: String =
        pair(link, value).to_text().bytes().map(|byte| format!("{byte:02x}")).collect();
    let waiting = format!("strpos(said.links, convert_from('\\x{digits}', 'UTF8')) > 0");
    Ok(Some(Sought { count, number, waiting }))
}
