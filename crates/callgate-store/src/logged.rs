//! A store whose records come by a log, for the suites about what is in force.

use std::sync::Arc;

use callgate_model::authority::{Administered, Change};
use callgate_model::evidence::Event;

use crate::engines::{Engine, Opened};
use crate::postgres::server::Database;
use crate::testing::{FaultyStore, Ticking};
use crate::{Durability, EvidenceError, EvidenceLimits, EvidenceLog, Store};

/// A store and a log that writes to it.
pub(crate) struct Logged {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) faulty: Arc<FaultyStore>,
    pub(crate) ambient: Arc<Ticking>,
    pub(crate) log: EvidenceLog,
    _database: Option<Database>,
}

impl Logged {
    pub(crate) async fn new(engine: Engine) -> Self {
        let Opened { store, database } = engine.open().await;
        let faulty = Arc::new(FaultyStore::new(Arc::<dyn Store>::clone(&store)));
        let ambient = Arc::new(Ticking::new(1));
        let opened = EvidenceLog::open(
            Arc::<FaultyStore>::clone(&faulty),
            Arc::<Ticking>::clone(&ambient),
            EvidenceLimits::default(),
        );
        let (log, _) = opened.await.unwrap();
        Self { store, faulty, ambient, log, _database: database }
    }

    /// Makes the change, by its record.
    pub(crate) async fn change(&self, change: Change) -> Result<(), EvidenceError> {
        let administered = Administered { by: "operator".to_owned(), change };
        self.log.record(Event::Administered(Arc::new(administered)), Durability::Durable).await
    }
}
