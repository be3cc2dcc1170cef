//! What commands need that give and take back authority: they change it as a gateway does, by a record in the evidence, and
//! every gateway that uses the same store follows within two looks at it.

use std::sync::Arc;

use callgate_gateway::credential::Broker;
use callgate_gateway::identity::LOOK_EVERY;
use callgate_gateway::sealing::Keyring;
use callgate_model::authority::{Administered, Change};
use callgate_model::evidence::Event;
use callgate_model::vocabulary::Vocabulary;
use callgate_store::{Durability, EvidenceError, EvidenceLimits, EvidenceLog, Store, StoreError};

use crate::ambient::Machine;
use crate::assemble;
use crate::cli::{Failure, WithConfig};
use crate::config::{Config, Roles, ServerConfig, environment};
use crate::database;
use crate::desk::Desk;
use crate::notify::Channels;

/// An operator at the machine of the gateway.
pub(crate) struct Office {
    config: Config,
    vocabulary: Vocabulary,
    pub(crate) store: Arc<dyn Store>,
    /// Who the evidence says it was.
    pub(crate) by: String,
}

impl Office {
    pub(crate) async fn open(options: &WithConfig) -> Result<Self, Failure> {
        let config = options.load()?;
        let vocabulary = assemble::vocabulary(&config)?;
        let store = database::open(&config.store, 0).await?;
        let user = environment("USER").unwrap_or_else(|_none| "unknown".to_owned());
        let by = format!("{user} on the command line");
        Ok(Self { config, vocabulary, store, by })
    }

    /// Who is what in the console.
    pub(crate) const fn roles(&self) -> &Roles {
        &self.config.console.roles
    }

    /// Where people come to the console, if the gateway listens on `port` or on the one that is configured.
    pub(crate) fn origin(&self, port: Option<u16>) -> Result<String, Failure> {
        let port = port.unwrap_or_else(|| self.config.listen.port());
        if port == 0 && self.config.resources.public_url.is_none() {
            return Err(
                "say with `--port` where the gateway listens: the configuration does not".into()
            );
        }
        Ok(assemble::origin(&self.config, port))
    }

    /// The keys that outlive a process.
    pub(crate) fn keys(&self) -> Result<&Keyring, Failure> {
        let keys = self.config.sealing.as_deref();
        Ok(keys.ok_or("there is no `[sealing]`: nothing could be opened later")?)
    }

    /// The servers that are called with persons' own secrets.
    pub(crate) fn personal_servers(&self) -> impl Iterator<Item = &str> {
        let is_personal = |server: &ServerConfig| matches!(server.broker, Broker::Personal(_));
        let servers = self.config.servers.iter();
        servers.filter(move |(_, server)| is_personal(server)).map(|(name, _)| name.as_str())
    }

    /// By which people are told of approvals.
    pub(crate) fn channels(&self) -> &Channels {
        &self.config.channels
    }

    pub(crate) fn desk(&self) -> Desk {
        Desk::new(&self.config, &self.vocabulary, Arc::new(Machine))
    }

    /// Makes the change. When this returns, it holds (I8).
    pub(crate) async fn change(&self, change: Change) -> Result<(), Failure> {
        self.change_all(vec![change]).await
    }

    /// Makes the changes, up to the first that cannot be made.
    pub(crate) async fn change_all(&self, changes: Vec<Change>) -> Result<(), Failure> {
        let failed = |error: EvidenceError| {
            if matches!(error, EvidenceError::Refused) {
                "it was changed meanwhile, or there is no such thing; look at the list".to_owned()
            } else {
                format!("{}: {error}", self.config.store)
            }
        };
        let (log, _) = EvidenceLog::open(
            Arc::<dyn Store>::clone(&self.store),
            Arc::new(Machine),
            EvidenceLimits::default(),
        )
        .await
        .map_err(failed)?;
        let mut recorded = Ok(());
        for change in changes {
            let event = Event::Administered(Arc::new(Administered { by: self.by.clone(), change }));
            recorded = log.record(event, Durability::Durable).await;
            if recorded.is_err() {
                break;
            }
        }
        log.shutdown().await.map_err(failed)?;
        recorded.map_err(failed)?;
        tokio::time::sleep(2 * LOOK_EVERY).await;
        Ok(())
    }
}

/// What a store cannot say.
#[expect(clippy::needless_pass_by_value, reason = "it is what an error is mapped with")]
pub(crate) fn unread(error: StoreError) -> Failure {
    Failure::Other(format!("the store cannot be read: {error}"))
}
