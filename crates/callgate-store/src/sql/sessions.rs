//! Sessions of the console in the database.

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::authority::{ConsoleSession, SignInLink, to_text};
use callgate_model::digest::Digest;
use sqlx::Row as _;

use super::authority::{Applied, text};
use super::dialect::key;
use super::{Sql, SqlRow, Store};
use crate::evidence::StoreFuture;
use crate::sessions::{LINKS_MAX, SESSIONS_MAX, SESSIONS_OF_ONE_MAX, SessionState, SessionStore};

/// Begins a session, and uses up the link that it comes by. `false`: the link is good no more, or there is no room.
pub(super) async fn begin(
    connection: &mut Sql,
    session: &ConsoleSession,
    link: Option<Id>,
    at: Timestamp,
) -> Applied {
    if let Some(link) = link {
        let update = "UPDATE sign_in_links SET used_ms = $1 \
                      WHERE id = $2 AND used_ms IS NULL AND ends_ms > $1";
        let query = sqlx::query(update).bind(at.unix_ms()).bind(link.to_string());
        if query.execute(&mut *connection).await?.rows_affected() != 1 {
            return Ok(false);
        }
    }
    // What has ended makes room; so does what the same person has forgotten elsewhere.
    sqlx::query("DELETE FROM sessions WHERE ends_ms <= $1 OR seen_ms <= $2")
        .bind(at.unix_ms())
        .bind(idle_since(at))
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "DELETE FROM sessions WHERE id IN \
         (SELECT id FROM sessions WHERE who = $1 ORDER BY seen_ms DESC, id DESC LIMIT 9223372036854775807 OFFSET $2)",
    )
    .bind(key(&session.who))
    .bind(i64::from(SESSIONS_OF_ONE_MAX.saturating_sub(1)))
    .execute(&mut *connection)
    .await?;
    let insert = "INSERT INTO sessions (id, digest, who, ends_ms, seen_ms, sealed, text) \
                  SELECT $1, $2, $3, $4, $5, $6, $7 \
                  WHERE (SELECT COUNT(*) FROM sessions) < $8 ON CONFLICT DO NOTHING";
    let query = sqlx::query(insert)
        .bind(session.id.to_string())
        .bind(session.digest.to_string())
        .bind(key(&session.who))
        .bind(session.ends.unix_ms())
        .bind(session.begun.unix_ms())
        .bind(session.sealed.clone())
        .bind(to_text(session))
        .bind(i64::from(SESSIONS_MAX));
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

/// Who was last seen then is there no more at `now`.
fn idle_since(now: Timestamp) -> i64 {
    now.unix_ms().saturating_sub_unsigned(ConsoleSession::IDLE_MS)
}

/// Ends a session. `false`: it has ended.
pub(super) async fn end(connection: &mut Sql, id: Id) -> Applied {
    let query = sqlx::query("DELETE FROM sessions WHERE id = $1").bind(id.to_string());
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

/// Keeps a link. `false`: there are too many that are good.
pub(super) async fn make_link(
    connection: &mut Sql,
    link: &SignInLink,
    at: Timestamp,
) -> Applied {
    // One that was used says so until it would have ended.
    let ended = sqlx::query("DELETE FROM sign_in_links WHERE ends_ms <= $1").bind(at.unix_ms());
    ended.execute(&mut *connection).await?;
    let insert = "INSERT INTO sign_in_links (id, digest, ends_ms, text) SELECT $1, $2, $3, $4 \
                  WHERE (SELECT COUNT(*) FROM sign_in_links WHERE used_ms IS NULL) < $5 \
                  ON CONFLICT DO NOTHING";
    let query = sqlx::query(insert)
        .bind(link.id.to_string())
        .bind(link.digest.to_string())
        .bind(link.ends.unix_ms())
        .bind(to_text(link))
        .bind(i64::from(LINKS_MAX));
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

impl SessionStore for Store {
    fn session(&self, digest: Digest) -> StoreFuture<'_, Option<SessionState>> {
        self.soon(async move {
            let select = "SELECT text, sealed, seen_ms FROM sessions WHERE digest = $1";
            let found = sqlx::query(select)
                .bind(digest.to_string())
                .fetch_optional(&mut *self.deciding().await?)
                .await?;
            let Some(row) = found else { return Ok(None) };
            let session = ConsoleSession { sealed: row.try_get("sealed")?, ..text(&row)? };
            let seen = Timestamp::from_unix_ms(row.try_get("seen_ms")?);
            Ok(Some(SessionState { session, seen }))
        })
    }

    fn sessions(&self, now: Timestamp) -> StoreFuture<'_, Vec<SessionState>> {
        self.within(async move {
            let select = "SELECT text, seen_ms FROM sessions WHERE ends_ms > $1 AND seen_ms > $2 \
                          ORDER BY seen_ms DESC, id DESC";
            let found = sqlx::query(select)
                .bind(now.unix_ms())
                .bind(idle_since(now))
                .fetch_all(&mut *self.reading().await?)
                .await?;
            let state = |row| {
                let seen = Timestamp::from_unix_ms(SqlRow::try_get(row, "seen_ms")?);
                Ok(SessionState { session: text(row)?, seen })
            };
            found.iter().map(state).collect()
        })
    }

    fn seen(&self, id: Id, at: Timestamp) -> StoreFuture<'_, ()> {
        self.soon(async move {
            sqlx::query("UPDATE sessions SET seen_ms = $1 WHERE id = $2 AND seen_ms < $1")
                .bind(at.unix_ms())
                .bind(id.to_string())
                .execute(&mut *self.writing().await?)
                .await?;
            Ok(())
        })
    }

    fn sign_in_link(&self, digest: Digest) -> StoreFuture<'_, Option<SignInLink>> {
        self.soon(async move {
            let select = "SELECT text FROM sign_in_links WHERE digest = $1 AND used_ms IS NULL";
            let found = sqlx::query(select)
                .bind(digest.to_string())
                .fetch_optional(&mut *self.deciding().await?)
                .await?;
            found.as_ref().map(text).transpose()
        })
    }
}
