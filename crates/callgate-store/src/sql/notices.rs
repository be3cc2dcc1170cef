//! Notices in the database.

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::{Approval, Notice, Occasion};
use sqlx::Row as _;

use super::authority::Applied;
use super::dialect::{heard, said};
use super::{Sql, SqlRow, Store, rows};
use crate::evidence::{StoreError, StoreFuture};
use crate::notices::{
    ChannelState, NOTICES_WAITING_MAX, NoticeStore, RETRIED_MAX, Settled, Taken, shortened,
};

/// Somebody is to be told: at once, and again when nobody can decide any more, or earlier: see [`close`].
pub(super) async fn add(
    connection: &mut Sql,
    approval: &Approval,
    notices: &[Notice],
    at: Timestamp,
) -> Applied {
    for notice in notices {
        let due = match notice.occasion {
            Occasion::Requested | Occasion::LetThrough | Occasion::GlassBroken => at,
            Occasion::Escalated => approval.escalates().unwrap_or(approval.decide_until),
            Occasion::Closed => approval.decide_until,
        };
        if !insert(connection, approval.id, notice, due).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Somebody is to be told of a call that is let through, at once. `false`: too many are to be told of others before.
pub(super) async fn add_of_call(
    connection: &mut Sql,
    call: Id,
    notices: &[Notice],
    at: Timestamp,
) -> Applied {
    for notice in notices {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM (SELECT 1 FROM notices WHERE channel = $1 AND ended IS NULL LIMIT $2) AS few",
        )
        .bind(notice.channel.clone())
        .bind(i64::from(NOTICES_WAITING_MAX))
        .fetch_one(&mut *connection)
        .await?;
        if waiting >= i64::from(NOTICES_WAITING_MAX) || !insert(connection, call, notice, at).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn insert(
    connection: &mut Sql,
    about: Id,
    notice: &Notice,
    due: Timestamp,
) -> Applied {
    let insert = sqlx::query(
        "INSERT INTO notices (id, channel, about, occasion, page, due_ms) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT DO NOTHING",
    )
    .bind(notice.id.to_string())
    .bind(notice.channel.clone())
    .bind(about.to_string())
    .bind(notice.occasion.as_str())
    .bind(notice.page.clone())
    .bind(due.unix_ms());
    Ok(insert.execute(connection).await?.rows_affected() == 1)
}

/// It was decided, or need not be any more: those who are told of that are told now.
pub(super) async fn close(
    connection: &mut Sql,
    approval: Id,
    at: Timestamp,
) -> Result<(), StoreError> {
    let update = "UPDATE notices SET due_ms = $1 \
                  WHERE about = $2 AND occasion = $3 AND attempts = 0 AND ended IS NULL AND due_ms > $1";
    let query = sqlx::query(update)
        .bind(at.unix_ms())
        .bind(approval.to_string())
        .bind(Occasion::Closed.as_str());
    query.execute(connection).await?;
    Ok(())
}

pub(super) async fn give_up(
    connection: &mut Sql,
    notice: Id,
    reason: &str,
    at: Timestamp,
) -> Applied {
    let update = "UPDATE notices SET ended = 'given_up', ended_ms = $1, error = $2, error_ms = $1 \
                  WHERE id = $3 AND ended IS NULL";
    let query = sqlx::query(update)
        .bind(at.unix_ms())
        .bind(said(shortened(reason)))
        .bind(notice.to_string());
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

impl NoticeStore for Store {
    fn notices_waiting(&self, now: Timestamp) -> StoreFuture<'_, Vec<(String, u32, u32)>> {
        self.within(async move {
            let waiting = sqlx::query(
                "SELECT channel, COUNT(*) FILTER (WHERE due_ms <= $1) AS due, COUNT(*) AS waiting FROM notices \
                 WHERE ended IS NULL AND (due_ms <= $1 OR attempts > 0) GROUP BY channel",
            )
            .bind(now.unix_ms())
            .fetch_all(&mut *self.reading().await?)
            .await?;
            let read = |row| {
                let channel = SqlRow::try_get(row, "channel")?;
                Ok((channel, rows::count(row, "due")?, rows::count(row, "waiting")?))
            };
            waiting.iter().map(read).collect()
        })
    }

    fn take_notices<'a>(
        &'a self,
        channel: &'a str,
        during: (Timestamp, Timestamp),
        limit: u32,
    ) -> StoreFuture<'a, Vec<Taken>> {
        self.soon(async move {
            let taken = sqlx::query(
                "UPDATE notices SET due_ms = $3, attempts = attempts + 1 WHERE id IN ( \
                   SELECT id FROM notices WHERE channel = $1 AND due_ms <= $2 AND ended IS NULL \
                   ORDER BY occasion = 'let_through', due_ms, id LIMIT $4) \
                 AND due_ms <= $2 AND ended IS NULL \
                 RETURNING id, channel, about, occasion, page, attempts, error",
            )
            .bind(channel.to_owned())
            .bind(during.0.unix_ms())
            .bind(during.1.unix_ms())
            .bind(i64::from(limit))
            .fetch_all(&mut *self.writing().await?)
            .await?;
            taken.iter().map(read).collect()
        })
    }

    fn settle_notice<'a>(
        &'a self,
        taken: &'a Taken,
        settled: Settled,
        at: Timestamp,
    ) -> StoreFuture<'a, ()> {
        self.soon(async move {
            let end = |how: &'static str| {
                let update =
                    "UPDATE notices SET ended = $2, ended_ms = $3 WHERE id = $1 AND ended IS NULL";
                sqlx::query(update).bind(taken.id.to_string()).bind(how).bind(at.unix_ms())
            };
            let query = match settled {
                Settled::Delivered => end("delivered"),
                Settled::Needless => end("needless"),
                Settled::Failed { error, again } => sqlx::query(
                    "UPDATE notices SET due_ms = $3, error = $4, error_ms = $5 \
                     WHERE id = $1 AND attempts = $2 AND ended IS NULL",
                )
                .bind(taken.id.to_string())
                .bind(i64::from(taken.attempt))
                .bind(again.unix_ms())
                .bind(said(shortened(&error)))
                .bind(at.unix_ms()),
            };
            query.execute(&mut *self.writing().await?).await?;
            Ok(())
        })
    }

    fn retry_notices<'a>(&'a self, channel: &'a str, at: Timestamp) -> StoreFuture<'a, u64> {
        self.soon(async move {
            let update = sqlx::query(
                "UPDATE notices SET ended = NULL, ended_ms = NULL, attempts = 0, due_ms = $1 WHERE id IN ( \
                   SELECT id FROM notices WHERE channel = $2 AND ended = 'given_up' \
                   ORDER BY ended_ms DESC, id DESC LIMIT $3)",
            )
            .bind(at.unix_ms())
            .bind(channel.to_owned())
            .bind(i64::from(RETRIED_MAX));
            let done = update.execute(&mut *self.writing().await?).await?;
            Ok(done.rows_affected())
        })
    }

    fn channels(&self, now: Timestamp) -> StoreFuture<'_, Vec<ChannelState>> {
        self.within(async move {
            let found = sqlx::query(
                "SELECT channel, \
                   COUNT(*) FILTER (WHERE ended = 'delivered') AS delivered, \
                   COUNT(*) FILTER (WHERE ended = 'given_up') AS given_up, \
                   COUNT(*) FILTER (WHERE ended IS NULL AND (due_ms <= $1 OR attempts > 0)) AS waiting, \
                   MAX(CASE WHEN ended = 'delivered' THEN ended_ms END) AS delivered_ms, \
                   (SELECT error FROM notices AS failed WHERE failed.channel = notices.channel \
                    AND error IS NOT NULL ORDER BY error_ms DESC, id DESC LIMIT 1) AS error, \
                   MAX(error_ms) AS error_ms \
                 FROM notices GROUP BY channel ORDER BY channel",
            )
            .bind(now.unix_ms())
            .fetch_all(&mut *self.reading().await?)
            .await?;
            found.iter().map(state).collect()
        })
    }
}

fn read(row: &SqlRow) -> Result<Taken, StoreError> {
    let occasion = Occasion::parse(row.try_get("occasion")?);
    Ok(Taken {
        id: rows::id(row, "id")?,
        channel: row.try_get("channel")?,
        about: rows::id(row, "about")?,
        occasion: occasion.ok_or(StoreError::Malformed { column: "occasion" })?,
        page: row.try_get("page")?,
        attempt: rows::count(row, "attempts")?,
        failure: heard(row, "error")?,
    })
}

fn state(row: &SqlRow) -> Result<ChannelState, StoreError> {
    let count = |column| row.try_get::<i64, _>(column).map(|n| u64::try_from(n).unwrap_or(0));
    let moment = |column| {
        Ok::<_, StoreError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_unix_ms))
    };
    let error = heard(row, "error")?;
    Ok(ChannelState {
        channel: row.try_get("channel")?,
        delivered: count("delivered")?,
        waiting: count("waiting")?,
        given_up: count("given_up")?,
        delivered_at: moment("delivered_ms")?,
        failure: error.zip(moment("error_ms")?),
    })
}
