//! The engines that every suite is run with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::postgres::server::Database;
use crate::{SqliteStore, Store};

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    Postgres,
    Sqlite,
}

/// An empty store, for as long as this is there.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    /// Where it is, if that does not end with it.
    pub(crate) database: Option<Database>,
}

impl Engine {
    pub(crate) async fn open(self) -> Opened {
        match self {
            Self::Postgres => {
                let database = Database::new().await;
                Opened { store: Arc::new(database.open().await), database: Some(database) }
            }
            Self::Sqlite => {
                let store = SqliteStore::open_in_memory().await.unwrap();
                Opened { store: Arc::new(store), database: None }
            }
        }
    }
}

/// Stores in files, as many as are opened, for as long as this is there.
pub(crate) struct Files {
    directory: TempDir,
    next: AtomicU32,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), next: AtomicU32::new(0) }
    }

    pub(crate) async fn open(&self) -> Opened {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.path().join(format!("{number}.db"));
        Opened { store: Arc::new(SqliteStore::open(path).await.unwrap()), database: None }
    }
}

/// Runs each of these with each engine.
macro_rules! with_each_engine {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(crate::engines::Engine::Sqlite).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
                async fn $test() {
                    super::$test(crate::engines::Engine::Postgres).await;
                }
            )+
        }
    };
}
