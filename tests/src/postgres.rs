//! A PostgreSQL database for one test, of the server that `cargo xtask test` starts and names in `TEST_POSTGRES_URL`.

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A database. It is gone with this.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// An empty one.
    ///
    /// # Errors
    /// If there is no server, or it makes none.
    pub async fn new() -> Result<Self, String> {
        let server = server()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("callgate_suite_{}_{number}", std::process::id());
        let made = Self { server, name };
        let name = &made.name;
        made.administer(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        made.administer(&format!("CREATE DATABASE {name}")).await?;
        Ok(made)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// Breaks every connection to it; while it is not `back`, nobody can make another one.
    ///
    /// # Errors
    /// If the server does not do that.
    pub async fn lose(&self, back: bool) -> Result<(), String> {
        let name = &self.name;
        self.administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {back}")).await?;
        let broken = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname";
        self.administer(&format!("{broken} = '{name}'")).await
    }

    async fn administer(&self, statement: &str) -> Result<(), String> {
        administer(&self.server, statement).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let server = self.server.clone();
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A test's own runtime may be at its end.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(administer(&server, &statement)))
        });
        // A test that fails says why by itself.
        dropped.join().ok();
    }
}

async fn administer(server: &str, statement: &str) -> Result<(), String> {
    let failed = |error: sqlx::Error| error.to_string();
    let mut connection =
        PgConnection::connect(&format!("{server}/postgres")).await.map_err(failed)?;
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(&mut connection)
        .await
        .map_err(failed)?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "where tests find a server is no configuration")]
fn server() -> Result<String, String> {
    let none = |_| "`cargo xtask test` has a PostgreSQL, and names it in TEST_POSTGRES_URL";
    Ok(env::var("TEST_POSTGRES_URL").map_err(none)?)
}
