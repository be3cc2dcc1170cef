//! What is done with evidence once it is stored, behind the path of calls: checkpoints are signed, time takes its course, and
//! copies go elsewhere.

pub(crate) mod anchors;
mod basis;
mod courier;
pub(crate) mod sinks;
mod sweep;
pub(crate) mod witnesses;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use callgate_gateway::pipeline::Gateway;
use callgate_model::ambient::Ambient;
use callgate_model::authority::Setup;
use callgate_model::transparency::{Signer, Verifier};
use callgate_model::treatment::Treatments;
use callgate_store::{Checkpoints, Store};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) use basis::record_policies;
pub(crate) use sweep::Retention;

use crate::config::StoreConfig;
use crate::config::{Config, EvidenceRules};
use anchors::Anchor;
use courier::{Couriers, Errand};
use sinks::Sink;
use witnesses::{Asked, WitnessConfig};

/// It, until it is told to end.
#[must_use = "what is not ended makes no last checkpoint"]
pub(crate) struct Keeping {
    stop: oneshot::Sender<()>,
    checkpoints: JoinHandle<()>,
    sweep: JoinHandle<()>,
    couriers: Couriers,
}

/// What it needs to know of the configuration, which the gateway takes for itself.
pub(crate) struct Plan {
    signers: Vec<Signer>,
    setup: Setup,
    rules: EvidenceRules,
}

/// Where copies of the evidence go, by their names in the configuration.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    /// Who gets records.
    pub(crate) sinks: BTreeMap<String, Sink>,
    /// Where checkpoints are noted.
    pub(crate) anchors: BTreeMap<String, Anchor>,
    /// Who cosigns them.
    pub(crate) witnesses: BTreeMap<String, WitnessConfig>,
}

/// What places are called in the store, in metrics and in the log.
fn anchor_name(name: &str) -> String {
    format!("anchors.{name}")
}

/// The same of a witness. A sink has its name alone: no name has a full stop.
pub(crate) fn witness_name(name: &str) -> String {
    format!("witnesses.{name}")
}

impl Elsewhere {
    /// Each place with its kind, by its name in the store.
    pub(crate) fn places(&self) -> Vec<(String, &'static str)> {
        let sinks = self.sinks.iter().map(|(name, sink)| (name.clone(), sink.kind()));
        let anchors = self.anchors.iter();
        let anchors = anchors.map(|(name, anchor)| (anchor_name(name), anchor.kind()));
        let witnesses = self.witnesses.keys().map(|name| (witness_name(name), "witness"));
        sinks.chain(anchors).chain(witnesses).collect()
    }

    /// What there is to do for each; `keys` are the log's.
    fn errands(self, keys: &[Verifier]) -> Vec<(String, Errand)> {
        let sinks = self.sinks.into_iter().map(|(name, sink)| (name, Errand::Sink(Box::new(sink))));
        let anchors = self.anchors.into_iter();
        let anchors =
            anchors.map(|(name, anchor)| (anchor_name(&name), Errand::Anchor(Box::new(anchor))));
        let witnesses = self.witnesses.into_iter().map(|(name, witness)| {
            let asked = Asked { witness, keys: keys.to_vec() };
            (witness_name(&name), Errand::Witness(Box::new(asked)))
        });
        sinks.chain(anchors).chain(witnesses).collect()
    }
}

impl Plan {
    /// That of `config`, where catalogs have the rules `records` for fields of arguments. The key beside the store is made if there is none and none is configured.
    pub(crate) fn of(
        config: &mut Config,
        records: &BTreeMap<String, Treatments>,
        ambient: &dyn Ambient,
    ) -> Result<Self, String> {
        let mut rules = std::mem::take(&mut config.evidence);
        let signers = signers(std::mem::take(&mut rules.signers), &config.store, ambient)?;
        let setup = basis::setup(config, (&rules, records), &signers);
        Ok(Self { signers, setup, rules })
    }
}

impl Keeping {
    /// Begins with what `gateway` records in `store`.
    pub(crate) async fn start(
        plan: Plan,
        gateway: &Arc<Gateway>,
        store: Arc<dyn Store>,
        ambient: Arc<dyn Ambient>,
    ) -> Self {
        let Plan { signers, setup, rules } = plan;
        basis::record(gateway, setup).await;
        let EvidenceRules { checkpoint_every, retention, elsewhere, .. } = rules;
        let keys: Vec<Verifier> = signers.iter().map(Signer::verifier).collect();
        let couriers = Couriers::start(elsewhere.errands(&keys), gateway, &store, &ambient).await;
        let checkpoints = Arc::new(Checkpoints::new(store, Arc::clone(&ambient), signers));
        let (stop, stopped) = oneshot::channel();
        let stopped = async move {
            // If nobody can say it any more, it is the end as well.
            stopped.await.ok();
        };
        let checkpoints = tokio::spawn(checkpoints.run(checkpoint_every, stopped));
        let sweep = tokio::spawn(sweep::run(Arc::clone(gateway), retention, ambient));
        Self { stop, checkpoints, sweep, couriers }
    }

    /// Stops what records: to be called before the log is closed.
    pub(crate) fn quiet(&self) {
        self.sweep.abort();
    }

    /// Makes the last checkpoint, and sends what is left. The log has to be closed before.
    pub(crate) async fn end(self) {
        self.stop.send(()).ok();
        if let Err(error) = self.checkpoints.await {
            tracing::error!(%error, "the last checkpoint was not made");
        }
        self.couriers.finish().await;
    }
}

/// Those that are configured, or else the one whose key is beside the store; it is made if there is none.
fn signers(
    configured: Vec<Signer>,
    store: &StoreConfig,
    ambient: &dyn Ambient,
) -> Result<Vec<Signer>, String> {
    if !configured.is_empty() {
        return Ok(configured);
    }
    let StoreConfig::Sqlite(store) = store else {
        // The configuration was not read without one.
        return Err("there is no key that all replicas sign checkpoints with".to_owned());
    };
    if let Some(signer) = signer_beside(store)? {
        return Ok(vec![signer]);
    }
    let name = u128::from_be_bytes(ambient.random()) >> 64;
    let random = [ambient.random(), ambient.random()];
    let signer = new_signer(&format!("callgate.local/{name:016x}"), random)?;
    let path = beside(store);
    make(&path, &signer.to_secret_text()).map_err(|error| {
        let hint =
            if error.kind() == io::ErrorKind::StorageFull { ": make room on its disk" } else { "" };
        format!("the key `{}` cannot be made: {error}{hint}", path.display())
    })?;
    tracing::info!(key = %path.display(), "made a key that signs checkpoints of the evidence");
    Ok(signer_beside(store)?.into_iter().collect())
}

/// By what checkpoints are verified: nothing, if nobody has signed any.
pub(crate) fn verifiers(config: &Config) -> Result<Vec<Verifier>, String> {
    let mut keys: Vec<Verifier> = config.evidence.signers.iter().map(Signer::verifier).collect();
    if keys.is_empty()
        && let StoreConfig::Sqlite(store) = &config.store
    {
        keys.extend(signer_beside(store)?.map(|signer| signer.verifier()));
    }
    Ok(keys)
}

/// The key beside `store`, if there is one.
fn signer_beside(store: &Path) -> Result<Option<Signer>, String> {
    let path = beside(store);
    match fs::read_to_string(&path) {
        Ok(text) => Signer::parse(text.trim())
            .map(Some)
            .map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Where the key is that is used if none is configured.
fn beside(store: &Path) -> PathBuf {
    let mut path = store.as_os_str().to_owned();
    path.push(".key");
    path.into()
}

/// A new key of that name.
pub(crate) fn new_signer(name: &str, random: [[u8; 16]; 2]) -> Result<Signer, String> {
    let mut seed = [0; 32];
    seed.iter_mut().zip(random.as_flattened()).for_each(|(to, from)| *to = *from);
    Signer::new(name, &seed).map_err(|error| error.to_string())
}

/// Makes the file whole or not at all: another gateway may make it at the same time, and then that one's is used.
fn make(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    writeln!(file, "{text}")?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(other) if other.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
        Ok(_) => Ok(()),
    }
}
