//! Which writers of one database live. Each has a lease, by the clock of the database, and says again and again that it lives; who
//! has not for as long as that may still come back, and goes on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use callgate_model::ambient::Id;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::append::LEASE_MS;
use super::pools::{Pools, answered};
use super::{PostgresStore, Reader, rows};
use crate::evidence::StoreError;

/// How often a writer says that it lives.
const SAY_EVERY: Duration = Duration::from_millis(2_500);

/// For that to be heard.
const HEARD_MAX: Duration = Duration::from_secs(3);

/// The writer of this process.
#[derive(Debug, Default)]
pub(super) struct Joined(Mutex<Option<Writer>>);

#[derive(Debug)]
struct Writer {
    id: Id,
    /// Which attempt its appends are of.
    attempt: i64,
    saying: JoinHandle<()>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.saying.abort();
    }
}

impl Joined {
    fn attempt_of(&self, writer: Id) -> Option<i64> {
        let joined = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        joined.as_ref().filter(|joined| joined.id == writer).map(|joined| joined.attempt)
    }

    fn set(&self, writer: Option<Writer>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = writer;
    }

    fn set_attempt(&self, writer: Id, attempt: i64) {
        let mut joined = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(joined) = joined.as_mut().filter(|joined| joined.id == writer) {
            joined.attempt = attempt;
        }
    }
}

impl PostgresStore {
    /// Which attempt an append of `writer` is of; nothing, if it has not joined here: then it is not known to live.
    pub(super) fn attempt_of(&self, writer: Id) -> Option<i64> {
        self.joined.attempt_of(writer)
    }

    pub(super) async fn join_as(&self, writer: Id) -> Result<(), StoreError> {
        let join = "INSERT INTO writers (writer, attempt, lives_until_ms) \
                    VALUES ($1, 1, callgate_now_ms() + $2)";
        sqlx::query(join)
            .bind(writer.to_string())
            .bind(LEASE_MS)
            .execute(&mut *self.deciding().await?)
            .await?;
        let saying = tokio::spawn(say(Arc::clone(&self.pools), writer));
        self.joined.set(Some(Writer { id: writer, attempt: 1, saying }));
        Ok(())
    }

    /// A connection, after whatever was begun of an append of `writer` has ended: see [`super::append`].
    pub(super) async fn after_appends(&self, writer: Id) -> Result<Reader, StoreError> {
        let mut connection = self.writing().await?;
        if self.attempt_of(writer).is_some() {
            let next =
                "UPDATE writers SET attempt = attempt + 1 WHERE writer = $1 RETURNING attempt";
            let attempt = sqlx::query_scalar(next)
                .bind(writer.to_string())
                .fetch_one(&mut *connection)
                .await?;
            self.joined.set_attempt(writer, attempt);
        }
        Ok(connection)
    }

    /// The calls that writers left open who live no more.
    pub(super) async fn left_by_the_dead(&self) -> Result<Vec<Id>, StoreError> {
        let open = "SELECT call FROM open_calls JOIN writers USING (writer) \
                    WHERE lives_until_ms < callgate_now_ms() ORDER BY call";
        let found = sqlx::query(open).fetch_all(&mut *self.deciding().await?).await?;
        found.iter().map(|row| rows::id(row, "call")).collect()
    }
}

/// Says that `writer` lives, until this is aborted; and finds out in time whether anybody hears that.
async fn say(pools: Arc<Pools>, writer: Id) {
    let mut ticks = interval(SAY_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let said = answered(HEARD_MAX, async {
            let lives =
                "UPDATE writers SET lives_until_ms = callgate_now_ms() + $2 WHERE writer = $1";
            let query = sqlx::query(lives).bind(writer.to_string()).bind(LEASE_MS);
            Ok(query.execute(&pools.deciding()).await?)
        });
        match said.await {
            Ok(_) => {}
            Err(StoreError::Database(sqlx::Error::PoolTimedOut)) => {
                tracing::warn!("the database does not answer: it is asked by new connections");
                pools.renew();
            }
            Err(error) => {
                tracing::debug!(%error, "the database does not know that this writer lives");
            }
        }
    }
}
