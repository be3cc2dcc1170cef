//! The task that makes the Merkle tree over the log and signs checkpoints of it. It is not on the path of a call: it reads
//! what is committed. Any number of processes do it for one store; the tree grows by whoever is first.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use callgate_model::ambient::Ambient;
use callgate_model::transparency::{Checkpoint, Frontier, Signer};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::evidence::StoreError;
use crate::tree::{KeptCheckpoint, LEVELS, TreeStore};

/// Entries that are added to the tree in one transaction.
const ENTRIES_AT_ONCE: u32 = 65_536;

/// Why there is no checkpoint.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys cannot sign it: they are not of the log's name.
    #[error("the keys of the checkpoints are not all of one name")]
    Unsigned,
}

/// Signs checkpoints of the log in a store.
pub struct Checkpoints {
    store: Arc<dyn TreeStore>,
    ambient: Arc<dyn Ambient>,
    signers: Vec<Signer>,
    newest: watch::Sender<Option<KeptCheckpoint>>,
}

impl Checkpoints {
    /// By each of `signers`, whose name is the log's: while one key takes the place of another, both sign.
    #[must_use]
    pub fn new(store: Arc<dyn TreeStore>, ambient: Arc<dyn Ambient>, signers: Vec<Signer>) -> Self {
        Self { store, ambient, signers, newest: watch::Sender::new(None) }
    }

    /// Makes the tree of all that is committed, and signs its checkpoint unless there is one of that size.
    ///
    /// # Errors
    /// [`CheckpointError`]; what was done of the tree stays.
    pub async fn make(&self) -> Result<(), CheckpointError> {
        let tree = self.grow().await?;
        let last = self.store.last_checkpoint().await?;
        if tree.size() == 0 || last.as_ref().is_some_and(|last| last.size >= tree.size()) {
            self.newest.send_if_modified(|newest| std::mem::replace(newest, last.clone()) != last);
            return Ok(());
        }
        let origin = self.signers.first().map(|signer| signer.name().to_owned());
        let checkpoint = Checkpoint {
            origin: origin.ok_or(CheckpointError::Unsigned)?,
            size: tree.size(),
            root: tree.root(),
            extensions: Vec::new(),
        };
        let signers: Vec<&Signer> = self.signers.iter().collect();
        let note = checkpoint.sign(&signers).ok_or(CheckpointError::Unsigned)?.to_string();
        let kept = KeptCheckpoint { size: tree.size(), at: self.ambient.now(), note };
        self.store.keep_checkpoint(&kept).await?;
        self.newest.send_replace(Some(kept));
        Ok(())
    }

    /// Adds to the tree what was committed since.
    async fn grow(&self) -> Result<Frontier, StoreError> {
        let mut tree = self.store.tree().await?;
        loop {
            let from = tree.size();
            let hashes = self.store.hashes(from, ENTRIES_AT_ONCE).await?;
            if hashes.is_empty() {
                return Ok(tree);
            }
            let mut completed = Vec::new();
            for hash in hashes {
                tree.push_noting(hash, |subtree, hash| {
                    if subtree.level > 0 && subtree.level % LEVELS == 0 {
                        completed.push((subtree, hash));
                    }
                });
            }
            if !self.store.grow(from, &tree, &completed).await? {
                tree = self.store.tree().await?;
            }
        }
    }

    /// The newest checkpoint, to be watched.
    #[must_use]
    pub fn newest(&self) -> watch::Receiver<Option<KeptCheckpoint>> {
        self.newest.subscribe()
    }

    /// Makes one every so often. It ends with `stop`, after a last one.
    pub async fn run(self: Arc<Self>, every: Duration, stop: impl Future<Output = ()>) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        let mut stop = std::pin::pin!(stop);
        loop {
            let ends = tokio::select! {
                _ = ticks.tick() => false,
                () = &mut stop => true,
            };
            match self.make().await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::error!(%error, "no checkpoint of the evidence can be made");
                    }
                    failing = true;
                }
            }
            if ends {
                return;
            }
        }
    }
}

impl fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoints").field("signers", &self.signers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
