//! A database for one test, of the server that `TEST_POSTGRES_URL` names. It is gone with what is here.

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use super::{Address, PostgresStore};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A database of its own.
pub(crate) struct Database {
    name: String,
}

impl Database {
    pub(crate) async fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("callgate_test_{}_{number}", std::process::id());
        administer(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        administer(&format!("CREATE DATABASE {name}")).await;
        Self { name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/{}", server(), self.name)
    }

    pub(crate) async fn open(&self) -> PostgresStore {
        PostgresStore::open(&Address::new(&self.url(), None).unwrap())
            .await
            .unwrap()
            .by_times_told()
    }

    /// Runs a statement in it, as somebody else.
    pub(crate) async fn run(&self, statement: &str) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    }

    /// A connection to it, of somebody else.
    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// What a statement counts.
    pub(crate) async fn number(&self, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement).fetch_one(&mut self.connect().await).await.unwrap()
    }

    /// Breaks every connection to it; while it is not `back`, nobody can make another one.
    pub(crate) async fn lose(&self, back: bool) {
        let name = &self.name;
        administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {back}")).await;
        administer(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ))
        .await;
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A test's own runtime may be at its end.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(administer(&statement));
        });
        // A test that fails says why by itself.
        dropped.join().ok();
    }
}

/// The server, without a database.
#[expect(clippy::disallowed_methods, reason = "where tests find a server is no configuration")]
fn server() -> String {
    env::var("TEST_POSTGRES_URL").expect("`cargo xtask test` has a PostgreSQL and names it here")
}

async fn administer(statement: &str) {
    let mut connection = PgConnection::connect(&format!("{}/postgres", server())).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
}
