//! The connections of one gateway, and new ones when the server has gone without a word: what is asked of it then is never
//! answered, and the system takes a quarter of an hour to notice.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row as _};
use tokio::time::timeout;

use super::{Address, PostgresError};
use crate::evidence::StoreError;

/// Connections of one gateway, for each of what must not wait for the others. PostgreSQL has 100 for all, unless it is told
/// otherwise.
const WRITING_MAX: u32 = 2;
const DECIDING_MAX: u32 = 4;
const READING_MAX: u32 = 2;

/// How long a statement waits for a connection. Who waits for longer is told that the database failed.
const CONNECTING_MAX: Duration = Duration::from_secs(2);

/// How long a statement of a call takes, and one of whoever searches.
const DECIDING_MS_MAX: u32 = 5_000;
const READING_MS_MAX: u32 = 30_000;

/// How long the server holds for us what we have locked and said nothing of: we may be gone.
const SILENT_MS_MAX: u32 = 5_000;

/// How long an answer is waited for: longer than the server works on what is asked.
pub(super) const SOON_MAX: Duration = Duration::from_secs(7);
pub(super) const WITHIN_MAX: Duration = Duration::from_secs(40);

/// The connections.
#[derive(Debug)]
pub(super) struct Pools {
    options: PgConnectOptions,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    writing: PgPool,
    /// So that a call which needs to look something up waits for no search.
    deciding: PgPool,
    reading: PgPool,
}

impl Pools {
    /// To the database at `address`. One is made now, so that a wrong address is told now; the others when they are needed.
    pub(super) async fn open(address: &Address) -> Result<Self, PostgresError> {
        let options = address.options();
        let current = Current::of(&options);
        current.writing.acquire().await?;
        Ok(Self { options, current: RwLock::new(current) })
    }

    pub(super) fn writing(&self) -> PgPool {
        self.current.read().unwrap_or_else(PoisonError::into_inner).writing.clone()
    }

    pub(super) fn deciding(&self) -> PgPool {
        self.current.read().unwrap_or_else(PoisonError::into_inner).deciding.clone()
    }

    pub(super) fn reading(&self) -> PgPool {
        self.current.read().unwrap_or_else(PoisonError::into_inner).reading.clone()
    }

    /// Whoever asks from now on does so by new connections. What waits for an answer by an old one waits until its time is over.
    pub(super) fn renew(&self) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Current::of(&self.options);
    }
}

impl Current {
    fn of(options: &PgConnectOptions) -> Self {
        let pool = |connections, statement_ms| {
            pool(connections, statement_ms).connect_lazy_with(options.clone())
        };
        Self {
            writing: pool(WRITING_MAX, DECIDING_MS_MAX),
            deciding: pool(DECIDING_MAX, DECIDING_MS_MAX),
            reading: pool(READING_MAX, READING_MS_MAX),
        }
    }
}

/// The answer, if it comes in time.
pub(super) async fn answered<T>(
    within: Duration,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let silent = |_elapsed| StoreError::Database(sqlx::Error::PoolTimedOut);
    timeout(within, answer).await.map_err(silent)?
}

fn pool(connections_max: u32, statement_ms_max: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(CONNECTING_MAX)
        .after_connect(move |connection, _| Box::pin(prepare(connection, statement_ms_max)))
}

/// Refuses a connection to a server that only reads: it is a copy, or was made one while we were away. And has nothing acknowledged that
/// a crash could lose, whatever the server is told otherwise. Nor is there to be a record that cannot be stored.
async fn prepare(connection: &mut PgConnection, statement_ms_max: u32) -> Result<(), sqlx::Error> {
    let said = "SELECT current_setting('transaction_read_only') AS read_only, \
                current_setting('synchronous_commit') AS commits, \
                current_setting('server_encoding') AS encoding";
    let said = sqlx::query(said).fetch_one(&mut *connection).await?;
    if said.try_get::<&str, _>("read_only")? != "off" {
        let refused = "the PostgreSQL server only reads: it may be a copy";
        return Err(sqlx::Error::Protocol(refused.to_owned()));
    }
    if said.try_get::<&str, _>("encoding")? != "UTF8" {
        let refused =
            "the PostgreSQL database is not encoded in UTF8: there is text that it cannot keep";
        return Err(sqlx::Error::Protocol(refused.to_owned()));
    }
    let synchronous = match said.try_get::<&str, _>("commits")? {
        "off" => "SET synchronous_commit = local;",
        _stricter => "",
    };
    // The only dynamic parts are ours.
    let settings = format!(
        "{synchronous} SET statement_timeout = {statement_ms_max}; \
         SET idle_in_transaction_session_timeout = {SILENT_MS_MAX}"
    );
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(connection).await?;
    Ok(())
}
