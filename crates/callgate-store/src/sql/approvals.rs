//! Approvals in the database.

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::{
    Approval, ApprovalState, COOLS_DOWN_S, Ended, PER_HOUR_MAX, Standing, Vote, WAITING_MAX,
};
use callgate_model::authority::{from_text, to_text};
use callgate_model::digest::Digest;
use callgate_model::json::{self, JsonLimits};
use sqlx::{AssertSqlSafe, Row as _};

use super::authority::Applied;
use super::dialect::key;
use super::{Sql, SqlRow, glass, notices, passkeys, rows};
use crate::authority::THINGS_MAX;
use crate::evidence::StoreError;

/// Approvals with what was said to each.
macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT id, use_until_ms, ended, ended_ms, spent_by, text, arguments, looks, \
             (SELECT string_agg(text, ',' ORDER BY at_ms) FROM votes WHERE approval = approvals.id) \
             AS votes, \
             (SELECT text FROM glass WHERE approval = approvals.id) AS glass, \
             (SELECT review FROM glass WHERE approval = approvals.id) AS review FROM approvals ",
            $which
        )
    };
}

/// The approval of that id.
pub(super) async fn one(
    connection: &mut Sql,
    id: Id,
) -> Result<Option<ApprovalState>, StoreError> {
    let query = sqlx::query(select!("WHERE id = $1")).bind(id.to_string());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// The one that this call took.
pub(super) async fn taken_by(
    connection: &mut Sql,
    call: Id,
) -> Result<Option<ApprovalState>, StoreError> {
    let query = sqlx::query(select!("WHERE spent_by = $1")).bind(call.to_string());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// The newest with this binding.
pub(super) async fn newest(
    connection: &mut Sql,
    binding: Digest,
) -> Result<Option<ApprovalState>, StoreError> {
    let query = select!("WHERE binding = $1 ORDER BY at_ms DESC, id DESC LIMIT 1");
    let query = sqlx::query(query).bind(binding.to_string());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// All, newest first; with `now`, those that can still be decided or used.
pub(super) async fn all(
    connection: &mut Sql,
    now: Option<Timestamp>,
) -> Result<Vec<ApprovalState>, StoreError> {
    let query = select!(
        "WHERE $1 IS NULL OR (ended IS NULL AND COALESCE(use_until_ms, decide_until_ms) > $1) \
         ORDER BY at_ms DESC, id DESC LIMIT $2"
    );
    let query = sqlx::query(query).bind(now.map(Timestamp::unix_ms)).bind(i64::from(THINGS_MAX));
    query.fetch_all(connection).await?.iter().map(read).collect()
}

/// Those for which the glass was broken and that nobody has reviewed, the oldest first.
pub(super) async fn to_review(
    connection: &mut Sql,
) -> Result<Vec<ApprovalState>, StoreError> {
    let query = select!(
        "WHERE id IN (SELECT approval FROM glass WHERE review IS NULL) ORDER BY at_ms, id LIMIT $1"
    );
    sqlx::query(query).bind(i64::from(THINGS_MAX)).fetch_all(connection).await?.iter().map(read).collect()
}

/// Those whose time is over, and of which no record says so yet.
pub(super) async fn to_expire(
    connection: &mut Sql,
    now: Timestamp,
) -> Result<Vec<Id>, StoreError> {
    let query = "SELECT id FROM approvals WHERE ended IS NULL \
                 AND COALESCE(use_until_ms, decide_until_ms) <= $1 LIMIT $2";
    let query = sqlx::query(query).bind(now.unix_ms()).bind(i64::from(THINGS_MAX));
    query.fetch_all(connection).await?.iter().map(|row| rows::id(row, "id")).collect()
}

/// That its time is over is recorded: from then on nobody decides it and no call takes it, also by a clock that is behind.
pub(super) async fn expire(connection: &mut Sql, id: Id, at: Timestamp) -> Applied {
    let update = "UPDATE approvals SET ended = 'expired', ended_ms = $1, arguments = NULL, looks = NULL \
                  WHERE id = $2 AND ended IS NULL AND COALESCE(use_until_ms, decide_until_ms) <= $1";
    let query = sqlx::query(update).bind(at.unix_ms()).bind(id.to_string());
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

fn read(row: &SqlRow) -> Result<ApprovalState, StoreError> {
    let malformed = |column| StoreError::Malformed { column };
    let approval: Option<Approval> = from_text(row.try_get("text")?);
    let arguments: Option<String> = row.try_get("arguments")?;
    let looks = row.try_get::<Option<&str>, _>("looks")?.map_or(Some(Vec::new()), from_text);
    let ended: Option<&str> = row.try_get("ended")?;
    let is_over = ended == Some("expired");
    let ended = match ended {
        None | Some("expired") => None,
        Some("denied") => Some(Ended::Denied),
        Some("withdrawn") => Some(Ended::Withdrawn),
        Some("spent") => Some(Ended::Spent { call: rows::id(row, "spent_by")? }),
        Some(_) => return Err(malformed("ended")),
    };
    let at = row.try_get::<Option<i64>, _>("ended_ms")?.map(Timestamp::from_unix_ms);
    let votes: Option<&str> = row.try_get("votes")?;
    let votes: Option<Vec<Vote>> = from_text(&format!("[{}]", votes.unwrap_or_default()));
    Ok(ApprovalState {
        approval: Approval {
            arguments: arguments.unwrap_or_default(),
            looks: looks.ok_or_else(|| malformed("looks"))?,
            ..approval.ok_or_else(|| malformed("text"))?
        },
        votes: votes.ok_or_else(|| malformed("votes"))?,
        glass: glass::read(row)?,
        use_until: row.try_get::<Option<i64>, _>("use_until_ms")?.map(Timestamp::from_unix_ms),
        is_over,
        ended: ended.zip(at),
    })
}

/// Somebody is asked, unless somebody is already, said no a short while ago, or too much is asked.
pub(super) async fn request(
    connection: &mut Sql,
    approval: &Approval,
    at: Timestamp,
) -> Applied {
    let now = at.unix_ms();
    let (cooled, hour) =
        (now - i64::try_from(COOLS_DOWN_S).unwrap_or(i64::MAX) * 1_000, now - 3_600_000);
    let known: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM approvals WHERE binding = $2 AND ( \
           (ended IS NULL AND COALESCE(use_until_ms, decide_until_ms) > $1) \
           OR (ended = 'denied' AND ended_ms > $3)))",
    )
    .bind(now)
    .bind(approval.binding.to_string())
    .bind(cooled)
    .fetch_one(&mut *connection)
    .await?;
    let (waiting, lately): (i64, i64) = sqlx::query_as(
        "SELECT COUNT(*) FILTER (WHERE ended IS NULL AND use_until_ms IS NULL AND decide_until_ms > $1), \
         COUNT(*) FILTER (WHERE at_ms > $3) FROM approvals WHERE asker = $2 AND (at_ms > $3 OR ended IS NULL)",
    )
    .bind(now)
    .bind(key(&approval.asker.key()))
    .bind(hour)
    .fetch_one(&mut *connection)
    .await?;
    if known || waiting >= i64::from(WAITING_MAX) || lately >= i64::from(PER_HOUR_MAX) {
        return Ok(false);
    }
    let insert = sqlx::query(
        "INSERT INTO approvals (id, binding, asker, at_ms, decide_until_ms, text, arguments, looks) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(approval.id.to_string())
    .bind(approval.binding.to_string())
    .bind(key(&approval.asker.key()))
    .bind(now)
    .bind(approval.decide_until.unix_ms())
    .bind(to_text(approval))
    .bind(approval.arguments.clone())
    .bind(to_text(&approval.looks));
    Ok(insert.execute(connection).await?.rows_affected() == 1)
}

/// A vote counts if the approval waits, and its voter has not voted. With it, the approval may be denied or approved.
pub(super) async fn vote(connection: &mut Sql, vote: &Vote, at: Timestamp) -> Applied {
    let Some(mut state) = one(connection, vote.approval).await? else { return Ok(false) };
    if state.standing(at) != Standing::Waiting {
        return Ok(false);
    }
    if let Some(proof) = &vote.proof
        && !passkeys::prove(connection, (&vote.by, proof), at).await?
    {
        return Ok(false);
    }
    let insert = sqlx::query(
        "INSERT INTO votes (approval, voter, at_ms, text) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(vote.approval.to_string())
    .bind(key(&vote.by))
    .bind(at.unix_ms())
    .bind(to_text(vote));
    if insert.execute(&mut *connection).await?.rows_affected() != 1 {
        return Ok(false);
    }
    if !state.vote(vote.clone(), at) {
        return Ok(false);
    }
    if state.is_denied() {
        return end(connection, vote.approval, "denied", at).await;
    }
    if let Some(until) = state.use_until {
        let_through(connection, (vote.approval, until), at).await?;
    }
    Ok(true)
}

/// The call may be made until then.
pub(super) async fn let_through(
    connection: &mut Sql,
    (approval, until): (Id, Timestamp),
    at: Timestamp,
) -> Result<(), StoreError> {
    let update = "UPDATE approvals SET use_until_ms = $1 WHERE id = $2";
    let query = sqlx::query(update).bind(until.unix_ms()).bind(approval.to_string());
    query.execute(&mut *connection).await?;
    notices::close(connection, approval, at).await
}

/// A call takes it, if it is approved and nobody has; or goes on with the call that did, and takes its place.
pub(super) async fn spend(
    connection: &mut Sql,
    approval: Id,
    (call, after): (Id, Option<Id>),
    at: Timestamp,
) -> Applied {
    let update = match after {
        None => {
            "UPDATE approvals SET ended = 'spent', ended_ms = $1, spent_by = $2, arguments = NULL, looks = NULL \
             WHERE id = $3 AND ended IS NULL AND use_until_ms > $1"
        }
        Some(_) => {
            "UPDATE approvals SET ended_ms = $1, spent_by = $2 \
             WHERE id = $3 AND ended = 'spent' AND spent_by = $4"
        }
    };
    let mut query =
        sqlx::query(update).bind(at.unix_ms()).bind(call.to_string()).bind(approval.to_string());
    if let Some(after) = after {
        query = query.bind(after.to_string());
    }
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

pub(super) async fn withdraw(
    connection: &mut Sql,
    approval: Id,
    at: Timestamp,
) -> Applied {
    if !is_open(connection, approval, at).await? {
        return Ok(false);
    }
    end(connection, approval, "withdrawn", at).await
}

pub(super) async fn is_open(
    connection: &mut Sql,
    approval: Id,
    at: Timestamp,
) -> Applied {
    let found = one(connection, approval).await?;
    Ok(found.is_some_and(|state| state.standing(at).is_open()))
}

/// Forgets the approvals that ended and whose requests are among these records, with all that was said to them. Not while somebody
/// still has to review why the glass was broken.
pub(super) async fn forget(
    connection: &mut Sql,
    ids: &[i64],
) -> Result<(), StoreError> {
    // The only dynamic part is numbers of ours.
    let requests = format!(
        "SELECT entry FROM evidence WHERE id IN ({}) AND kind = 'change'",
        rows::listed(ids)
    );
    let requests = sqlx::query(AssertSqlSafe(requests)).persistent(false);
    let mut asked = Vec::new();
    for row in requests.fetch_all(&mut *connection).await? {
        asked.extend(requested(row.try_get("entry")?));
    }
    let mut forgotten = Vec::new();
    for id in asked {
        let delete = "DELETE FROM approvals WHERE ended IS NOT NULL AND id = $1 \
             AND NOT EXISTS (SELECT 1 FROM glass WHERE approval = approvals.id AND review IS NULL)";
        let deleted = sqlx::query(delete).bind(id.clone()).execute(&mut *connection).await?;
        forgotten.extend(Some(id).filter(|_| deleted.rows_affected() == 1));
    }
    for id in forgotten {
        for delete in
            ["DELETE FROM votes WHERE approval = $1", "DELETE FROM glass WHERE approval = $1"]
        {
            sqlx::query(delete).bind(id.clone()).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// The approval that this entry is the request for, if it is one.
fn requested(entry: &str) -> Option<String> {
    let entry = json::read(entry.as_bytes(), &JsonLimits::of_bytes(entry.len())).ok()?;
    let is_request = entry.get("change")?.as_str()? == "approval_requested";
    let id = entry.get("approval")?.get("id")?.as_str()?;
    is_request.then(|| id.to_owned())
}

async fn end(
    connection: &mut Sql,
    approval: Id,
    how: &'static str,
    at: Timestamp,
) -> Applied {
    let update = "UPDATE approvals SET ended = $1, ended_ms = $2, arguments = NULL, looks = NULL \
                  WHERE id = $3 AND ended IS NULL";
    let query = sqlx::query(update).bind(how).bind(at.unix_ms()).bind(approval.to_string());
    let ended = query.execute(&mut *connection).await?.rows_affected() == 1;
    if ended {
        notices::close(connection, approval, at).await?;
    }
    Ok(ended)
}
