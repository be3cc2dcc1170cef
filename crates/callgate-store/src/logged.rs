//! A store whose records come by a log, for the suites about what is in force.

use std::sync::Arc;

use callgate_model::authority::{Administered, Change};
use callgate_model::evidence::Event;

use crate::testing::{FaultyStore, Ticking};
use crate::{Durability, EvidenceError, EvidenceLimits, EvidenceLog, SqliteStore};

/// A store and a log that writes to it.
pub(crate) struct Logged {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) faulty: Arc<FaultyStore>,
    pub(crate) ambient: Arc<Ticking>,
    pub(crate) log: EvidenceLog,
}

impl Logged {
    pub(crate) async fn new() -> Self {
        let store = Arc::new(SqliteStore::open_in_memory().await.unwrap());
        let faulty = Arc::new(FaultyStore::new(Arc::<SqliteStore>::clone(&store)));
        let ambient = Arc::new(Ticking::new(1));
        let opened = EvidenceLog::open(
            Arc::<FaultyStore>::clone(&faulty),
            Arc::<Ticking>::clone(&ambient),
            EvidenceLimits::default(),
        );
        let (log, _) = opened.await.unwrap();
        Self { store, faulty, ambient, log }
    }

    /// Makes the change, by its record.
    pub(crate) async fn change(&self, change: Change) -> Result<(), EvidenceError> {
        let administered = Administered { by: "operator".to_owned(), change };
        self.log.record(Event::Administered(Arc::new(administered)), Durability::Durable).await
    }
}
