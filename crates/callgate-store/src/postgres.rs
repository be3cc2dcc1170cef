//! What replicas share, in one PostgreSQL database.
//!
//! A commit is on the server's disk before it is acknowledged. Every statement goes to the server that the address names, and
//! never to a copy of it: a copy is behind, and would let through what was taken back. A connection that was lost is an error for
//! whoever used it; the next statement makes a new one.

mod cursors;
mod schema;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;

use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use thiserror::Error;

/// Connections of one gateway. PostgreSQL has 100 for all, unless it is told otherwise.
const CONNECTIONS_MAX: u32 = 4;

/// How long a statement waits for a connection. Who waits for longer is told that the database failed.
const CONNECTING_MAX: Duration = Duration::from_secs(2);

/// What replicas share, in one PostgreSQL database.
#[derive(Debug)]
pub struct PostgresStore {
    pool: PgPool,
}

impl PostgresStore {
    /// Opens the database at `url` (`postgres://…`), and brings it to the latest version. Replicas that open it at the same time
    /// wait for the one that does so.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn open(url: &str) -> Result<Self, PostgresError> {
        let options: PgConnectOptions = url.parse()?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(CONNECTING_MAX)
            .after_connect(|connection, _| Box::pin(writable(connection)))
            .connect_with(options.application_name("callgate").disable_statement_logging())
            .await?;
        schema::migrate(&pool).await?;
        Ok(Self { pool })
    }
}

/// Refuses a connection to a server that only reads: it is a copy, or was made one while we were away.
async fn writable(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let read_only: String =
        sqlx::query_scalar("SHOW transaction_read_only").fetch_one(connection).await?;
    if read_only == "off" {
        return Ok(());
    }
    Err(sqlx::Error::Protocol("the PostgreSQL server only reads: it may be a copy".to_owned()))
}

/// Why a PostgreSQL database could not be opened.
#[derive(Debug, Error)]
pub enum PostgresError {
    /// It was written by a newer version of this program.
    #[error(
        "the PostgreSQL database has schema version {found}, and this program knows versions up to {known}"
    )]
    Newer {
        /// Its version.
        found: i64,
        /// The latest version known.
        known: i64,
    },
    /// It cannot be reached or used. Its address is not told: there may be a password in it.
    #[error("cannot use the PostgreSQL database")]
    Database(#[from] sqlx::Error),
}
