//! Evidence, and the authority that it says is in force, in one PostgreSQL database: what replicas share.
//!
//! Any number of replicas write it, one log: whoever appends has the turn until they have committed. A commit is on the server's disk
//! before it is acknowledged. Nothing is asked of a copy that only reads: it may be behind.

mod address;
mod append;
mod dialect;
mod links;
mod pools;
#[cfg(test)]
mod race;
mod schema;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod silent;
#[cfg(test)]
mod tests;
mod writers;

sql!();

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgArguments as Arguments, PgConnection as Sql, PgRow as SqlRow, Postgres as Engine,
};

use self::PostgresStore as Store;
use crate::evidence::{StoreError, StoreFuture};
use append::Time;
use pools::Pools;
use writers::Joined;

pub use address::{Address, PostgresError};

/// Records are linked when there are so many more.
const LINKED_EVERY: usize = 512;

/// A connection of ours.
type Reader = PoolConnection<Engine>;

/// What replicas share, in one PostgreSQL database.
#[derive(Debug)]
pub struct PostgresStore {
    pools: Arc<Pools>,
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
        schema::migrate(&store.pools.writing()).await?;
        Ok(store)
    }

    /// Opens the database at `address` to read, which works while gateways write it.
    ///
    /// # Errors
    /// [`PostgresError`], if it is not of the latest version among others.
    pub async fn open_read_only(address: &Address) -> Result<Self, PostgresError> {
        let store = Self::connect(address).await?;
        schema::check(&store.pools.reading()).await?;
        Ok(store)
    }

    async fn connect(address: &Address) -> Result<Self, PostgresError> {
        let pools = Arc::new(Pools::open(address).await?);
        let (joined, linking) = (Joined::default(), Arc::default());
        Ok(Self { pools, joined, time: Time::Database, linking })
    }

    /// By the clock of whoever records, as tests need it.
    #[cfg(test)]
    pub(crate) fn by_times_told(mut self) -> Self {
        self.time = Time::Told;
        self
    }

    async fn writing(&self) -> Result<Reader, StoreError> {
        Ok(self.pools.writing().acquire().await?)
    }

    async fn deciding(&self) -> Result<Reader, StoreError> {
        Ok(self.pools.deciding().acquire().await?)
    }

    async fn reading(&self) -> Result<Reader, StoreError> {
        Ok(self.pools.reading().acquire().await?)
    }

    /// What a call waits for: the server may have gone without a word, and not come back.
    fn soon<'a, T: Send + 'a>(
        &'a self,
        answer: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(pools::answered(pools::SOON_MAX, answer))
    }

    /// What may take longer.
    fn within<'a, T: Send + 'a>(
        &'a self,
        answer: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(pools::answered(pools::WITHIN_MAX, answer))
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
        let (pool, linking) = (self.pools.reading(), Arc::clone(&self.linking));
        tokio::spawn(async move {
            // What is stored is found, whether or not it is linked now.
            if let Err(error) = links::link_all(&pool, search::LINKED_TOGETHER_MIN).await {
                tracing::warn!(%error, "records could not be linked");
            }
            linking.is_busy.store(false, Ordering::Release);
        });
    }
}
