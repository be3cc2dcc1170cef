//! Evidence, and the authority that it says is in force, in one PostgreSQL database: what replicas share.
//!
//! Any number of replicas write it, one log: whoever appends has the turn until they have committed. A commit is on the server's disk
//! before it is acknowledged. Nothing is asked of a copy that only reads: it may be behind.

mod address;
mod append;
mod dialect;
mod links;
#[cfg(test)]
mod race;
mod schema;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;
mod writers;

sql!();

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgArguments as Arguments, PgConnection as Sql, PgPool, PgPoolOptions, PgRow as SqlRow,
    Postgres as Engine,
};
use sqlx::{AssertSqlSafe, Row as _};

use self::PostgresStore as Store;
use crate::evidence::StoreError;
use append::Time;
use writers::Joined;

pub use address::{Address, PostgresError};

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

/// Records are linked when there are so many more.
const LINKED_EVERY: usize = 512;

/// A connection of ours.
type Reader = PoolConnection<Engine>;

/// What replicas share, in one PostgreSQL database.
#[derive(Debug)]
pub struct PostgresStore {
    writing: PgPool,
    /// So that a call which needs to look something up waits for no search.
    deciding: PgPool,
    reading: PgPool,
    joined: Joined,
    time: Time,
    linking: Arc<Linking>,
}

/// How many records this replica has stored since it linked some.
#[derive(Debug, Default)]
struct Linking {
    unlinked: AtomicUsize,
    is_busy: AtomicBool,
}

impl PostgresStore {
    /// Opens the database at `address`, and brings it to the latest version. Replicas that open it at the same time
    /// wait for the one that does so.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn open(address: &Address) -> Result<Self, PostgresError> {
        let store = Self::connect(address).await?;
        schema::migrate(&store.writing).await?;
        Ok(store)
    }

    /// Opens the database at `address` to read, which works while gateways write it.
    ///
    /// # Errors
    /// [`PostgresError`], if it is not of the latest version among others.
    pub async fn open_read_only(address: &Address) -> Result<Self, PostgresError> {
        let store = Self::connect(address).await?;
        schema::check(&store.reading).await?;
        Ok(store)
    }

    async fn connect(address: &Address) -> Result<Self, PostgresError> {
        let options = address.options();
        // One is made now, so that a wrong address is told now; the others when they are needed.
        let writing = pool(WRITING_MAX, DECIDING_MS_MAX).connect_with(options.clone()).await?;
        let deciding = pool(DECIDING_MAX, DECIDING_MS_MAX).connect_lazy_with(options.clone());
        let reading = pool(READING_MAX, READING_MS_MAX).connect_lazy_with(options);
        Ok(Self {
            writing,
            deciding,
            reading,
            joined: Joined::default(),
            time: Time::Database,
            linking: Arc::default(),
        })
    }

    /// By the clock of whoever records, as tests need it.
    #[cfg(test)]
    pub(crate) fn by_times_told(mut self) -> Self {
        self.time = Time::Told;
        self
    }

    async fn writing(&self) -> Result<Reader, StoreError> {
        Ok(self.writing.acquire().await?)
    }

    async fn deciding(&self) -> Result<Reader, StoreError> {
        Ok(self.deciding.acquire().await?)
    }

    async fn reading(&self) -> Result<Reader, StoreError> {
        Ok(self.reading.acquire().await?)
    }

    /// For what a crash may take back: nothing here waits for those who record.
    async fn unsynced(&self) -> Result<Reader, StoreError> {
        self.deciding().await
    }

    /// Links what is stored, behind whoever stores, if there is enough that is not linked yet, now that there are so many more.
    fn link_if_due(&self, more: usize) {
        let unlinked = self.linking.unlinked.fetch_add(more, Ordering::Relaxed) + more;
        if unlinked < LINKED_EVERY || self.linking.is_busy.swap(true, Ordering::AcqRel) {
            return;
        }
        self.linking.unlinked.store(0, Ordering::Relaxed);
        let (pool, linking) = (self.reading.clone(), Arc::clone(&self.linking));
        tokio::spawn(async move {
            // What is stored is found, whether or not it is linked now.
            if let Err(error) = links::link_all(&pool, search::LINKED_TOGETHER_MIN).await {
                tracing::warn!(%error, "records could not be linked");
            }
            linking.is_busy.store(false, Ordering::Release);
        });
    }
}

fn pool(connections_max: u32, statement_ms_max: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(CONNECTING_MAX)
        .after_connect(move |connection, _| Box::pin(prepare(connection, statement_ms_max)))
}

/// Refuses a connection to a server that only reads: it is a copy, or was made one while we were away. And has nothing acknowledged that
/// a crash could lose, whatever the server is told otherwise.
async fn prepare(connection: &mut Sql, statement_ms_max: u32) -> Result<(), sqlx::Error> {
    let said = "SELECT current_setting('transaction_read_only') AS read_only, \
                current_setting('synchronous_commit') AS commits";
    let said = sqlx::query(said).fetch_one(&mut *connection).await?;
    if said.try_get::<&str, _>("read_only")? != "off" {
        let refused = "the PostgreSQL server only reads: it may be a copy";
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
