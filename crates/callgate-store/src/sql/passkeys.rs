//! Passkeys in the database.

use callgate_model::ambient::Timestamp;
use callgate_model::authority::{Passkey, Proof, from_text, to_text};
use sqlx::Row as _;

use super::authority::Applied;
use super::dialect::said;
use super::{Sql, SqlRow, rows};
use crate::authority::{PasskeyState, THINGS_MAX};
use crate::evidence::StoreError;

/// Adds a passkey. Whoever has one proves by it that it is them. `false`: they did not, it is there, or they have too many.
pub(super) async fn add(
    connection: &mut Sql,
    (passkey, proof): (&Passkey, Option<&Proof>),
    at: Timestamp,
) -> Applied {
    let has: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM passkeys WHERE who = $1")
        .bind(said(&passkey.who))
        .fetch_one(&mut *connection)
        .await?;
    let is_proved = match proof {
        Some(proof) => prove(connection, (&passkey.who, proof), at).await?,
        None => has == 0,
    };
    if !is_proved || has >= i64::from(Passkey::OF_ONE_MAX) {
        return Ok(false);
    }
    let insert = "INSERT INTO passkeys (id, who, added_ms, counter, key, text) \
                  VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let query = sqlx::query(insert)
        .bind(&passkey.id)
        .bind(said(&passkey.who))
        .bind(passkey.added.unix_ms())
        .bind(i64::from(passkey.counter))
        .bind(&passkey.key)
        .bind(to_text(passkey));
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

/// Removes a passkey of `who`. `false`: there is none, or it is them and they did not prove that.
pub(super) async fn remove(
    connection: &mut Sql,
    (id, who): (&str, &str),
    proof: Option<&Proof>,
    at: Timestamp,
) -> Applied {
    if let Some(proof) = proof
        && !prove(connection, (who, proof), at).await?
    {
        return Ok(false);
    }
    let query = sqlx::query("DELETE FROM passkeys WHERE id = $1 AND who = $2").bind(id).bind(said(who));
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

/// Counts a proof. `false`: it is of no passkey that `who` has any more, or an older one than was seen, so that somebody may
/// have copied it. An authenticator that does not count always says 0 (`WebAuthn` level 3, 6.1.1).
pub(super) async fn prove(
    connection: &mut Sql,
    (who, proof): (&str, &Proof),
    at: Timestamp,
) -> Applied {
    let update = "UPDATE passkeys SET counter = $3, used_ms = $4 \
                  WHERE id = $1 AND who = $2 AND (counter < $3 OR (counter = 0 AND $3 = 0))";
    let query =
        sqlx::query(update).bind(&proof.passkey).bind(said(who)).bind(i64::from(proof.counter)).bind(at.unix_ms());
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

/// Those of `who`, or of everybody, the oldest first.
pub(super) async fn list(
    connection: &mut Sql,
    who: Option<&str>,
) -> Result<Vec<PasskeyState>, StoreError> {
    let select = "SELECT counter, used_ms, key, text FROM passkeys WHERE $1 IS NULL OR who = $1 \
                  ORDER BY who, added_ms, id LIMIT $2";
    let query = sqlx::query(select).bind(who.map(said)).bind(i64::from(THINGS_MAX));
    query.fetch_all(connection).await?.iter().map(read).collect()
}

fn read(row: &SqlRow) -> Result<PasskeyState, StoreError> {
    let passkey: Option<Passkey> = from_text(row.try_get("text")?);
    let passkey = passkey.ok_or(StoreError::Malformed { column: "text" })?;
    let used: Option<i64> = row.try_get("used_ms")?;
    Ok(PasskeyState {
        passkey: Passkey { key: row.try_get("key")?, counter: rows::count(row, "counter")?, ..passkey },
        used: used.map(Timestamp::from_unix_ms),
    })
}
