//! Tokens, grants and revocations in the database.

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::ApprovalState;
use callgate_model::authority::{
    ApiToken, Change, Grant, Kept, Revocation, SecretFor, ToolOf, ToolPin, UpstreamSecret,
    from_text, to_text,
};
use callgate_model::budget::Marked;
use callgate_model::digest::Digest;
use sqlx::Row as _;

use super::dialect::{grants_of, key, said};
use super::{Sql, SqlRow, Store, approvals, budgets, glass, links, notices, passkeys, rows, sessions};
use crate::authority::{
    AuthorityStore, GRANTS_TOGETHER_MAX, GrantState, PasskeyState, THINGS_MAX, TokenState,
};
use crate::evidence::{Applies, StoreError, StoreFuture};

pub(super) type Applied = Result<bool, StoreError>;

/// Applies what a record says, in its transaction. `false`: it cannot be any more.
pub(super) async fn apply(
    connection: &mut Sql,
    applies: &Applies,
    at: Timestamp,
) -> Applied {
    match applies {
        Applies::Spend(grant) => spend(connection, *grant, at).await,
        Applies::SpendApproval { approval, call, after } => {
            approvals::spend(connection, *approval, (*call, *after), at).await
        }
        Applies::Count(count) => budgets::count(connection, count, at).await,
        Applies::Tell { call, notices } => {
            notices::add_of_call(connection, *call, notices, at).await
        }
        Applies::Close(call) => is_open(connection, *call).await,
        Applies::Settle(call) => settle(connection, *call).await,
        Applies::Change(change) => apply_change(connection, change, at).await,
    }
}

async fn apply_change(
    connection: &mut Sql,
    change: &Change,
    at: Timestamp,
) -> Applied {
    let done = match change {
        Change::TokenIssued { token } => issue_token(connection, token).await,
        Change::TokenRotated { token, old_ends } => {
            rotate_token(connection, token, *old_ends, at).await
        }
        Change::TokenRevoked { id } => {
            let update = "UPDATE tokens SET revoked_ms = $1 WHERE id = $2 AND revoked_ms IS NULL";
            end(connection, update, *id, at).await
        }
        Change::GrantIssued { grant } => issue_grant(connection, grant, at).await,
        Change::GrantRevoked { id } => {
            let update = "UPDATE grants SET revoked_ms = $1 WHERE id = $2 AND revoked_ms IS NULL";
            Ok(end(connection, update, *id, at).await? && forget_places(connection, *id).await?)
        }
        Change::Revoked { revocation } => revoke(connection, revocation).await,
        Change::RevocationLifted { id } => {
            let update = "UPDATE revocations SET lifted_ms = $1 WHERE id = $2 AND lifted_ms IS NULL";
            end(connection, update, *id, at).await
        }
        Change::SecretSet { secret } => set_secret(connection, secret).await,
        Change::SecretRemoved { owner } => remove_secret(connection, owner).await,
        // Approvals are looked for when a call needs one: nothing of them is kept elsewhere.
        Change::ApprovalRequested { approval, notices } => {
            let is_asked = approvals::request(connection, approval, at).await?;
            return Ok(is_asked && notices::add(connection, approval, notices, at).await?);
        }
        Change::ApprovalViewed { id, .. } => return approvals::is_open(connection, *id, at).await,
        Change::ApprovalVoted { vote } => return approvals::vote(connection, vote, at).await,
        Change::ApprovalExpired { id } => return approvals::expire(connection, *id, at).await,
        Change::ApprovalWithdrawn { id, .. } => {
            return approvals::withdraw(connection, *id, at).await;
        }
        // Nor are sessions, which are looked up at each request.
        Change::SignInLinkMade { link } => return sessions::make_link(connection, link, at).await,
        Change::SignedIn { session, link } => {
            return sessions::begin(connection, session, *link, at).await;
        }
        Change::SignedOut { id } => return sessions::end(connection, *id).await,
        // Nor are passkeys.
        Change::PasskeyAdded { passkey, proof } => {
            return passkeys::add(connection, (passkey, proof.as_ref()), at).await;
        }
        Change::GlassBroken { glass, notices } => {
            return glass::break_it(connection, glass, notices, at).await;
        }
        Change::GlassReviewed { review } => return glass::review(connection, review).await,
        Change::PasskeyRemoved { id, who, proof } => {
            return passkeys::remove(connection, (id, who), proof.as_ref(), at).await;
        }
        Change::NoticeGivenUp { id, reason, .. } => {
            return notices::give_up(connection, *id, reason, at).await;
        }
        // What is said of the gateway changes nothing that is in force.
        Change::Configured { .. }
        | Change::PoliciesActivated { .. }
        | Change::Restored { .. }
        | Change::SignInRefused { .. } => return Ok(true),
        Change::PayloadsErased { indexes, .. } => return erase(connection, indexes).await,
        Change::ToolPinned { pin } => pin_tool(connection, pin).await,
        Change::ToolUnpinned { of } => unpin_tool(connection, of).await,
    }?;
    if done {
        let count = "UPDATE authority SET version = version + 1";
        sqlx::query(count).execute(&mut *connection).await?;
    }
    Ok(done)
}

/// A call has one outcome, whoever else would close it.
async fn is_open(connection: &mut Sql, call: Id) -> Applied {
    let is_open = sqlx::query_scalar(
        "SELECT NOT EXISTS (SELECT 1 FROM evidence WHERE call = $1 AND kind = 'outcome')",
    );
    Ok(is_open.bind(call.to_string()).fetch_one(connection).await?)
}

/// A call can be settled once, if it is not known whether it took effect.
async fn settle(connection: &mut Sql, call: Id) -> Applied {
    let is_unknown = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM evidence WHERE call = $1 \
         AND outcome IN ('cancelled', 'indeterminate', 'timed_out') AND NOT EXISTS ( \
         SELECT 1 FROM evidence AS later WHERE later.call = $1 \
         AND later.id > evidence.id AND later.kind IN ('outcome', 'settled')))",
    );
    Ok(is_unknown.bind(call.to_string()).fetch_one(connection).await?)
}

async fn erase(connection: &mut Sql, indexes: &[u64]) -> Applied {
    let id = |index: &u64| i64::try_from(*index).unwrap_or(i64::MAX).saturating_add(1);
    let ids: Vec<i64> = indexes.iter().map(id).collect();
    links::erase(connection, &ids).await?;
    approvals::forget(connection, &ids).await?;
    Ok(true)
}

async fn set_secret(connection: &mut Sql, secret: &UpstreamSecret) -> Applied {
    let set = "INSERT INTO secrets (binding, sealed, text) VALUES ($1, $2, $3) \
               ON CONFLICT (binding) DO UPDATE SET sealed = excluded.sealed, text = excluded.text";
    let query = sqlx::query(set)
        .bind(secret.owner.binding())
        .bind(secret.sealed.clone())
        .bind(to_text(secret));
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

async fn remove_secret(connection: &mut Sql, owner: &SecretFor) -> Applied {
    let query = sqlx::query("DELETE FROM secrets WHERE binding = $1").bind(owner.binding());
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

async fn revoke(connection: &mut Sql, revocation: &Revocation) -> Applied {
    let insert = "INSERT INTO revocations (id, text) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let query = sqlx::query(insert).bind(revocation.id.to_string()).bind(to_text(revocation));
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

async fn unpin_tool(connection: &mut Sql, of: &ToolOf) -> Applied {
    let query = sqlx::query("DELETE FROM pins WHERE server = $1 AND tool = $2");
    let query = query.bind(of.server.clone()).bind(said(&of.tool));
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

/// What is approved takes the place of what it says, and of nothing else.
async fn pin_tool(connection: &mut Sql, pin: &ToolPin) -> Applied {
    let write = match pin.replaces {
        None => {
            "INSERT INTO pins (server, tool, digest, text) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING"
        }
        Some(_) => {
            "UPDATE pins SET digest = $3, text = $4 WHERE server = $1 AND tool = $2 AND digest = $5"
        }
    };
    let mut query = sqlx::query(write)
        .bind(pin.of.server.clone())
        .bind(said(&pin.of.tool))
        .bind(pin.digest.to_string())
        .bind(to_text(pin));
    if let Some(replaces) = pin.replaces {
        query = query.bind(replaces.to_string());
    }
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

async fn spend(connection: &mut Sql, grant: Id, at: Timestamp) -> Applied {
    let left: Option<i64> = sqlx::query_scalar(
        "UPDATE grants SET uses_left = uses_left - 1 WHERE id = $1 AND uses_left > 0 \
         AND revoked_ms IS NULL AND begins_ms <= $2 AND ends_ms > $2 RETURNING uses_left",
    )
    .bind(grant.to_string())
    .bind(at.unix_ms())
    .fetch_optional(&mut *connection)
    .await?;
    match left {
        None => Ok(false),
        Some(0) => forget_places(connection, grant).await,
        Some(_) => Ok(true),
    }
}

async fn end(
    connection: &mut Sql,
    update: &'static str,
    id: Id,
    at: Timestamp,
) -> Applied {
    let query = sqlx::query(update).bind(at.unix_ms()).bind(id.to_string());
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

/// What is not in force is not found by its places.
async fn forget_places(connection: &mut Sql, grant: Id) -> Applied {
    let delete = sqlx::query("DELETE FROM grant_places WHERE grant_id = $1");
    delete.bind(grant.to_string()).execute(connection).await?;
    Ok(true)
}

async fn issue_token(connection: &mut Sql, token: &ApiToken) -> Applied {
    let insert = "INSERT INTO tokens (id, ends_ms, text) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let query = sqlx::query(insert)
        .bind(token.id.to_string())
        .bind(token.ends.unix_ms())
        .bind(to_text(token));
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

async fn rotate_token(
    connection: &mut Sql,
    token: &ApiToken,
    old_ends: Timestamp,
    at: Timestamp,
) -> Applied {
    let Some(old) = token.replaces else { return Ok(false) };
    // One that was rotated before is not rotated again: it would have two successors.
    let shortened = sqlx::query(
        "UPDATE tokens SET ends_ms = CASE WHEN ends_ms < $1 THEN ends_ms ELSE $1 END, replaced = TRUE \
         WHERE id = $2 AND revoked_ms IS NULL AND ends_ms > $3 AND NOT replaced",
    )
    .bind(old_ends.unix_ms())
    .bind(old.to_string())
    .bind(at.unix_ms())
    .execute(&mut *connection)
    .await?;
    Ok(shortened.rows_affected() == 1 && issue_token(connection, token).await?)
}

async fn issue_grant(connection: &mut Sql, grant: &Grant, at: Timestamp) -> Applied {
    let (id, ends, holder) = (grant.id.to_string(), grant.ends.unix_ms(), key(&grant.holder.key()));
    let insert = sqlx::query(
        "INSERT INTO grants (id, uses_left, begins_ms, ends_ms, text) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO NOTHING",
    )
    .bind(&id)
    .bind(i64::from(grant.uses))
    .bind(grant.begins.unix_ms())
    .bind(ends)
    .bind(to_text(grant));
    if insert.execute(&mut *connection).await?.rows_affected() != 1 {
        return Ok(false);
    }
    for place in grant.places() {
        let place = key(&place);
        let together: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM grant_places WHERE holder = $1 AND place = $2 AND ends_ms > $3",
        )
        .bind(&holder)
        .bind(&place)
        .bind(at.unix_ms())
        .fetch_one(&mut *connection)
        .await?;
        if together >= i64::from(GRANTS_TOGETHER_MAX) {
            return Ok(false);
        }
        let insert =
            "INSERT INTO grant_places (holder, place, ends_ms, grant_id) VALUES ($1, $2, $3, $4)";
        let query = sqlx::query(insert).bind(&holder).bind(place).bind(ends).bind(&id);
        query.execute(&mut *connection).await?;
    }
    Ok(true)
}

impl AuthorityStore for Store {
    fn version(&self) -> StoreFuture<'_, u64> {
        self.soon(async move {
            let version: i64 = sqlx::query_scalar("SELECT version FROM authority")
                .fetch_one(&mut *self.deciding().await?)
                .await?;
            Ok(u64::try_from(version).unwrap_or_default())
        })
    }

    fn tokens(&self, now: Option<Timestamp>) -> StoreFuture<'_, Vec<TokenState>> {
        self.within(async move {
            // What is in force is told whole: a token that was left out would be refused.
            let found = sqlx::query(
                "SELECT text, ends_ms, revoked_ms, used_ms FROM tokens \
                 WHERE $1 IS NULL OR (revoked_ms IS NULL AND ends_ms > $1) \
                 ORDER BY id DESC LIMIT $2",
            )
            .bind(now.map(Timestamp::unix_ms))
            .bind(now.map_or(i64::from(THINGS_MAX), |_| i64::MAX))
            .fetch_all(&mut *self.reading().await?)
            .await?;
            found.iter().map(token_state).collect()
        })
    }

    fn token(&self, id: Id) -> StoreFuture<'_, Option<TokenState>> {
        self.within(async move {
            let select = "SELECT text, ends_ms, revoked_ms, used_ms FROM tokens WHERE id = $1";
            let found = sqlx::query(select)
                .bind(id.to_string())
                .fetch_optional(&mut *self.reading().await?)
                .await?;
            found.as_ref().map(token_state).transpose()
        })
    }

    fn revocations(&self) -> StoreFuture<'_, Vec<Revocation>> {
        self.within(async move {
            let found = sqlx::query(
                "SELECT text FROM revocations WHERE lifted_ms IS NULL ORDER BY id DESC",
            )
            .fetch_all(&mut *self.reading().await?)
            .await?;
            found.iter().map(text).collect()
        })
    }

    fn grants_of<'a>(
        &'a self,
        holders: &'a [String],
        places: &'a [String],
        now: Timestamp,
    ) -> StoreFuture<'a, Vec<Grant>> {
        self.soon(async move {
            let mut connection = self.deciding().await?;
            let found = grants_of(&mut connection, holders, places, now.unix_ms()).await?;
            found.iter().map(text).collect()
        })
    }

    fn grant(&self, id: Id) -> StoreFuture<'_, Option<GrantState>> {
        self.soon(async move {
            let found = sqlx::query("SELECT text, uses_left, revoked_ms FROM grants WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(&mut *self.deciding().await?)
                .await?;
            found.as_ref().map(grant_state).transpose()
        })
    }

    fn grants(&self, now: Option<Timestamp>) -> StoreFuture<'_, Vec<GrantState>> {
        self.within(async move {
            let found = sqlx::query(
                "SELECT text, uses_left, revoked_ms FROM grants WHERE $1 IS NULL \
                 OR (revoked_ms IS NULL AND uses_left > 0 AND ends_ms > $1) \
                 ORDER BY id DESC LIMIT $2",
            )
            .bind(now.map(Timestamp::unix_ms))
            .bind(i64::from(THINGS_MAX))
            .fetch_all(&mut *self.reading().await?)
            .await?;
            found.iter().map(grant_state).collect()
        })
    }

    fn secrets(&self) -> StoreFuture<'_, Vec<UpstreamSecret>> {
        self.within(async move {
            let found = sqlx::query("SELECT text, sealed FROM secrets ORDER BY binding")
                .fetch_all(&mut *self.reading().await?)
                .await?;
            let read = |row: &SqlRow| {
                Ok(UpstreamSecret { sealed: row.try_get("sealed")?, ..text(row)? })
            };
            found.iter().map(read).collect()
        })
    }

    fn budget_marks(&self, key: Digest, now: Timestamp) -> StoreFuture<'_, Vec<Marked>> {
        self.soon(async move { budgets::marks(&mut *self.deciding().await?, key, now).await })
    }

    fn to_review(&self) -> StoreFuture<'_, Vec<ApprovalState>> {
        self.within(async move { approvals::to_review(&mut *self.reading().await?).await })
    }

    fn approvals_to_expire(&self, now: Timestamp) -> StoreFuture<'_, Vec<Id>> {
        self.within(
            async move { approvals::to_expire(&mut *self.reading().await?, now).await },
        )
    }

    fn passkeys<'a>(&'a self, who: Option<&'a str>) -> StoreFuture<'a, Vec<PasskeyState>> {
        self.within(async move { passkeys::list(&mut *self.reading().await?, who).await })
    }

    fn pins(&self) -> StoreFuture<'_, Vec<ToolPin>> {
        self.within(async move {
            let found = sqlx::query("SELECT text FROM pins ORDER BY server, tool")
                .fetch_all(&mut *self.reading().await?)
                .await?;
            found.iter().map(text).collect()
        })
    }

    fn approval_for(&self, binding: Digest) -> StoreFuture<'_, Option<ApprovalState>> {
        self.soon(
            async move { approvals::newest(&mut *self.deciding().await?, binding).await },
        )
    }

    fn approval_taken_by(&self, call: Id) -> StoreFuture<'_, Option<ApprovalState>> {
        self.soon(
            async move { approvals::taken_by(&mut *self.deciding().await?, call).await },
        )
    }

    fn approval(&self, id: Id) -> StoreFuture<'_, Option<ApprovalState>> {
        self.soon(async move { approvals::one(&mut *self.deciding().await?, id).await })
    }

    fn approvals(&self, now: Option<Timestamp>) -> StoreFuture<'_, Vec<ApprovalState>> {
        self.within(async move { approvals::all(&mut *self.reading().await?, now).await })
    }

    fn used<'a>(&'a self, uses: &'a [(Id, Timestamp)]) -> StoreFuture<'a, ()> {
        self.soon(async move {
            let mut connection = self.writing().await?;
            for (id, at) in uses {
                let update =
                    "UPDATE tokens SET used_ms = $1 WHERE id = $2 AND COALESCE(used_ms, 0) < $1";
                let query = sqlx::query(update).bind(at.unix_ms()).bind(id.to_string());
                query.execute(&mut *connection).await?;
            }
            Ok(())
        })
    }
}

fn token_state(row: &SqlRow) -> Result<TokenState, StoreError> {
    Ok(TokenState {
        token: text(row)?,
        ends: Timestamp::from_unix_ms(row.try_get("ends_ms")?),
        revoked: moment(row, "revoked_ms")?,
        used: moment(row, "used_ms")?,
    })
}

fn grant_state(row: &SqlRow) -> Result<GrantState, StoreError> {
    Ok(GrantState {
        grant: text(row)?,
        left: rows::count(row, "uses_left")?,
        revoked: moment(row, "revoked_ms")?,
    })
}

pub(super) fn text<T: Kept>(row: &SqlRow) -> Result<T, StoreError> {
    from_text(row.try_get("text")?).ok_or(StoreError::Malformed { column: "text" })
}

fn moment(row: &SqlRow, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_unix_ms))
}
