//! Approvals in the SQLite file.

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::{
    Approval, ApprovalState, COOLS_DOWN_S, Ended, PER_HOUR_MAX, Standing, Vote, WAITING_MAX,
};
use callgate_model::authority::{from_text, to_text};
use callgate_model::digest::Digest;
use callgate_model::json::{self, Json, JsonLimits};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::authority::Applied;
use super::{glass, notices, passkeys, rows};
use crate::authority::THINGS_MAX;
use crate::evidence::StoreError;

/// Approvals with what was said to each.
macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT id, use_until_ms, ended, ended_ms, spent_by, text, arguments, looks, \
             (SELECT json_group_array(text ORDER BY at_ms) FROM votes WHERE approval = approvals.id) \
             AS votes, \
             (SELECT text FROM glass WHERE approval = approvals.id) AS glass, \
             (SELECT review FROM glass WHERE approval = approvals.id) AS review FROM approvals ",
            $which
        )
    };
}

/// The approval of that id.
pub(super) async fn one(
    connection: &mut SqliteConnection,
    id: Id,
) -> Result<Option<ApprovalState>, StoreError> {
    let query = sqlx::query(select!("WHERE id = ?")).bind(id.to_string());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// The one that this call took.
pub(super) async fn taken_by(
    connection: &mut SqliteConnection,
    call: Id,
) -> Result<Option<ApprovalState>, StoreError> {
    let query = sqlx::query(select!("WHERE spent_by = ?")).bind(call.to_string());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// The newest with this binding.
pub(super) async fn newest(
    connection: &mut SqliteConnection,
    binding: Digest,
) -> Result<Option<ApprovalState>, StoreError> {
    let query = select!("WHERE binding = ? ORDER BY at_ms DESC, id DESC LIMIT 1");
    let query = sqlx::query(query).bind(binding.to_string());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// All, newest first; with `now`, those that can still be decided or used.
pub(super) async fn all(
    connection: &mut SqliteConnection,
    now: Option<Timestamp>,
) -> Result<Vec<ApprovalState>, StoreError> {
    let query = select!(
        "WHERE ?1 IS NULL OR (ended IS NULL AND COALESCE(use_until_ms, decide_until_ms) > ?1) \
         ORDER BY at_ms DESC, id DESC LIMIT ?2"
    );
    let query = sqlx::query(query).bind(now.map(Timestamp::unix_ms)).bind(THINGS_MAX);
    query.fetch_all(connection).await?.iter().map(read).collect()
}

/// Those for which the glass was broken and that nobody has reviewed, the oldest first.
pub(super) async fn to_review(
    connection: &mut SqliteConnection,
) -> Result<Vec<ApprovalState>, StoreError> {
    let query = select!(
        "WHERE id IN (SELECT approval FROM glass WHERE review IS NULL) ORDER BY at_ms, id LIMIT ?"
    );
    sqlx::query(query).bind(THINGS_MAX).fetch_all(connection).await?.iter().map(read).collect()
}

/// Those whose time is over, and of which no record says so yet.
pub(super) async fn to_expire(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<Vec<Id>, StoreError> {
    let query = "SELECT id FROM approvals WHERE ended IS NULL \
                 AND COALESCE(use_until_ms, decide_until_ms) <= ? LIMIT ?";
    let query = sqlx::query(query).bind(now.unix_ms()).bind(THINGS_MAX);
    query.fetch_all(connection).await?.iter().map(|row| rows::id(row, "id")).collect()
}

/// That its time is over is recorded: from then on nobody decides it and no call takes it, also by a clock that is behind.
pub(super) async fn expire(connection: &mut SqliteConnection, id: Id, at: Timestamp) -> Applied {
    let update = "UPDATE approvals SET ended = 'expired', ended_ms = ?1, arguments = NULL, looks = NULL \
                  WHERE id = ?2 AND ended IS NULL AND COALESCE(use_until_ms, decide_until_ms) <= ?1";
    let query = sqlx::query(update).bind(at.unix_ms()).bind(id.to_string());
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

fn read(row: &SqliteRow) -> Result<ApprovalState, StoreError> {
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
    let votes = json::read(row.try_get::<&str, _>("votes")?.as_bytes(), &JsonLimits::default());
    let votes = votes.ok().ok_or_else(|| malformed("votes"))?;
    let vote = |text: &Json| from_text(text.as_str()?);
    let votes: Option<Vec<Vote>> = votes.as_array().unwrap_or_default().iter().map(vote).collect();
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
    connection: &mut SqliteConnection,
    approval: &Approval,
    at: Timestamp,
) -> Applied {
    let now = at.unix_ms();
    let (cooled, hour) =
        (now - i64::try_from(COOLS_DOWN_S).unwrap_or(i64::MAX) * 1_000, now - 3_600_000);
    let known: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM approvals WHERE binding = ?2 AND ( \
           (ended IS NULL AND COALESCE(use_until_ms, decide_until_ms) > ?1) \
           OR (ended = 'denied' AND ended_ms > ?3)))",
    )
    .bind(now)
    .bind(approval.binding.to_string())
    .bind(cooled)
    .fetch_one(&mut *connection)
    .await?;
    let (waiting, lately): (u32, u32) = sqlx::query_as(
        "SELECT COALESCE(SUM(ended IS NULL AND use_until_ms IS NULL AND decide_until_ms > ?1), 0), \
         COALESCE(SUM(at_ms > ?3), 0) FROM approvals WHERE asker = ?2 AND (at_ms > ?3 OR ended IS NULL)",
    )
    .bind(now)
    .bind(approval.asker.key())
    .bind(hour)
    .fetch_one(&mut *connection)
    .await?;
    if known || waiting >= WAITING_MAX || lately >= PER_HOUR_MAX {
        return Ok(false);
    }
    let insert = sqlx::query(
        "INSERT INTO approvals (id, binding, asker, at_ms, decide_until_ms, text, arguments, looks) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(approval.id.to_string())
    .bind(approval.binding.to_string())
    .bind(approval.asker.key())
    .bind(now)
    .bind(approval.decide_until.unix_ms())
    .bind(to_text(approval))
    .bind(approval.arguments.clone())
    .bind(to_text(&approval.looks));
    Ok(insert.execute(connection).await?.rows_affected() == 1)
}

/// A vote counts if the approval waits, and its voter has not voted. With it, the approval may be denied or approved.
pub(super) async fn vote(connection: &mut SqliteConnection, vote: &Vote, at: Timestamp) -> Applied {
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
        "INSERT INTO votes (approval, voter, at_ms, text) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(vote.approval.to_string())
    .bind(vote.by.clone())
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
    connection: &mut SqliteConnection,
    (approval, until): (Id, Timestamp),
    at: Timestamp,
) -> Result<(), StoreError> {
    let update = "UPDATE approvals SET use_until_ms = ? WHERE id = ?";
    let query = sqlx::query(update).bind(until.unix_ms()).bind(approval.to_string());
    query.execute(&mut *connection).await?;
    notices::close(connection, approval, at).await
}

/// A call takes it, if it is approved and nobody has; or goes on with the call that did, and takes its place.
pub(super) async fn spend(
    connection: &mut SqliteConnection,
    approval: Id,
    (call, after): (Id, Option<Id>),
    at: Timestamp,
) -> Applied {
    let update = match after {
        None => {
            "UPDATE approvals SET ended = 'spent', ended_ms = ?1, spent_by = ?2, arguments = NULL, looks = NULL \
             WHERE id = ?3 AND ended IS NULL AND use_until_ms > ?1"
        }
        Some(_) => {
            "UPDATE approvals SET ended_ms = ?1, spent_by = ?2 \
             WHERE id = ?3 AND ended = 'spent' AND spent_by = ?4"
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
    connection: &mut SqliteConnection,
    approval: Id,
    at: Timestamp,
) -> Applied {
    if !is_open(connection, approval, at).await? {
        return Ok(false);
    }
    end(connection, approval, "withdrawn", at).await
}

pub(super) async fn is_open(
    connection: &mut SqliteConnection,
    approval: Id,
    at: Timestamp,
) -> Applied {
    let found = one(connection, approval).await?;
    Ok(found.is_some_and(|state| state.standing(at).is_open()))
}

/// Forgets the approvals that ended and whose requests are among these records, with all that was said to them. Not while somebody
/// still has to review why the glass was broken.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    ids: &[i64],
) -> Result<(), StoreError> {
    let ids: Vec<Json> = ids.iter().map(|id| Json::from(*id)).collect();
    let forgotten: Vec<String> = sqlx::query_scalar(
        "DELETE FROM approvals WHERE ended IS NOT NULL AND id IN ( \
           SELECT json_extract(entry, '$.approval.id') FROM evidence \
           WHERE id IN (SELECT value FROM json_each(?)) AND kind = 'change' \
           AND json_extract(entry, '$.change') = 'approval_requested') \
         AND NOT EXISTS (SELECT 1 FROM glass WHERE approval = approvals.id AND review IS NULL) \
         RETURNING id",
    )
    .bind(Json::from(ids).to_text())
    .fetch_all(&mut *connection)
    .await?;
    for id in forgotten {
        for delete in
            ["DELETE FROM votes WHERE approval = ?", "DELETE FROM glass WHERE approval = ?"]
        {
            sqlx::query(delete).bind(id.clone()).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

async fn end(
    connection: &mut SqliteConnection,
    approval: Id,
    how: &'static str,
    at: Timestamp,
) -> Applied {
    let update = "UPDATE approvals SET ended = ?, ended_ms = ?, arguments = NULL, looks = NULL \
                  WHERE id = ? AND ended IS NULL";
    let query = sqlx::query(update).bind(how).bind(at.unix_ms()).bind(approval.to_string());
    let ended = query.execute(&mut *connection).await?.rows_affected() == 1;
    if ended {
        notices::close(connection, approval, at).await?;
    }
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use callgate_model::authority::Change;

    use super::*;
    use crate::approving::{World, at};
    use crate::{AuthorityStore as _, EvidenceStore as _};

    impl World {
        /// Erases what the request for an approval says.
        async fn erase_request(&self, id: Id) {
            let rows = self.store.read(0, 100).await.unwrap();
            let is_it = |entry: &str| {
                entry.contains("approval_requested") && entry.contains(&id.to_string())
            };
            let index = rows.iter().find(|row| is_it(&row.entry)).unwrap().index.unwrap();
            let reason = "asked for".to_owned();
            let change = Change::PayloadsErased { indexes: vec![index], reason };
            assert!(self.change(change, at(9)).await);
        }

        async fn glass(&self, statement: &'static str, id: Id) {
            let mut connection = self.store.writing.lock().await;
            let query = sqlx::query(statement).bind(id.to_string());
            query.execute(&mut connection.sqlite).await.unwrap();
        }

        /// How many approvals, votes and broken glasses there are.
        async fn kept(&self) -> (i64, i64, i64) {
            let count = "SELECT (SELECT COUNT(*) FROM approvals), (SELECT COUNT(*) FROM votes), \
                         (SELECT COUNT(*) FROM glass)";
            let mut connection = self.store.writing.lock().await;
            sqlx::query_as(count).fetch_one(&mut connection.sqlite).await.unwrap()
        }
    }

    #[tokio::test]
    async fn what_an_approval_said_is_forgotten_with_its_request_once_it_has_ended() {
        let world = World::new().await;
        let spent = world.approved("one", at(0)).await;
        world.spend(spent, None, at(1)).await.unwrap();
        let in_force = world.approved("two", at(0)).await;
        let broken = world.approved("three", at(0)).await;
        world.spend(broken, None, at(1)).await.unwrap();
        let glass = "INSERT INTO glass (approval, breaker, at_ms, text) VALUES (?, 'bob', 0, '{}')";
        world.glass(glass, broken).await;
        assert_eq!(world.kept().await, (3, 6, 1));

        world.erase_request(spent).await;
        assert_eq!(world.kept().await, (2, 4, 1));
        assert!(world.store.approval(spent).await.unwrap().is_none());
        // What is in force still is, and what somebody has to look at is there.
        world.erase_request(in_force).await;
        world.erase_request(broken).await;
        assert_eq!(world.kept().await, (2, 4, 1));
        assert!(world.spend(in_force, None, at(2)).await.is_some());
        world.glass("UPDATE glass SET review = '{}' WHERE approval = ?", broken).await;
        world.erase_request(broken).await;
        assert_eq!(world.kept().await, (1, 2, 0));
    }
}
