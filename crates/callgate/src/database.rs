//! The database of a configuration, opened.

use std::sync::Arc;

use callgate_store::{PostgresStore, SqliteStore, Store};

use crate::config::StoreConfig;
use crate::print::causes;

/// To write, with so many bytes kept free on its disk, if that is ours.
pub(crate) async fn open(place: &StoreConfig, room: u64) -> Result<Arc<dyn Store>, String> {
    match place {
        StoreConfig::Postgres(address) => {
            let opened = Box::pin(PostgresStore::open(address)).await;
            Ok(Arc::new(opened.map_err(|error| format!("{address}: {}", causes(&error)))?))
        }
        StoreConfig::Sqlite(path) => {
            let opened = Box::pin(SqliteStore::open(path)).await.map_err(|error| causes(&error))?;
            Ok(Arc::new(opened.with_room(room)))
        }
    }
}

/// To read, also while gateways write it.
pub(crate) async fn open_read_only(place: &StoreConfig) -> Result<Arc<dyn Store>, String> {
    match place {
        StoreConfig::Postgres(address) => {
            let opened = Box::pin(PostgresStore::open_read_only(address)).await;
            Ok(Arc::new(opened.map_err(|error| format!("{address}: {}", causes(&error)))?))
        }
        StoreConfig::Sqlite(path) => {
            let opened = Box::pin(SqliteStore::open_read_only(path)).await;
            Ok(Arc::new(opened.map_err(|error| causes(&error))?))
        }
    }
}
