//! What a store of evidence keeps of the Merkle tree over its entries, and the checkpoints that were signed of it.

use callgate_model::ambient::Timestamp;
use callgate_model::digest::Digest;
use callgate_model::transparency::{Frontier, Path, Subtree};

use crate::evidence::{EvidenceStore, StoreError, StoreFuture};

/// The levels of subtrees that are kept: every eighth, as tiles are.
pub const LEVELS: u8 = 8;

/// A checkpoint that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCheckpoint {
    /// How many entries it is about.
    pub size: u64,
    /// When.
    pub at: Timestamp,
    /// The signed note.
    pub note: String,
}

/// Where the tree is kept.
pub trait TreeStore: EvidenceStore {
    /// The tree, as far as it was made.
    fn tree(&self) -> StoreFuture<'_, Frontier>;

    /// The hashes of entries in the order of the log: up to `limit`, beginning with the index `from`.
    fn hashes(&self, from: u64, limit: u32) -> StoreFuture<'_, Vec<Digest>>;

    /// Puts `to` in the place of the tree of size `from`, with the subtrees that this completes whose level is a multiple of
    /// [`LEVELS`]. `false`: somebody else was faster, and nothing was stored.
    fn grow<'a>(
        &'a self,
        from: u64,
        to: &'a Frontier,
        completed: &'a [(Subtree, Digest)],
    ) -> StoreFuture<'a, bool>;

    /// A subtree that [`Self::grow`] was told of.
    fn subtree(&self, subtree: Subtree) -> StoreFuture<'_, Option<Digest>>;

    /// Keeps a checkpoint, unless there is one of that size: somebody may have cosigned it.
    fn keep_checkpoint<'a>(&'a self, checkpoint: &'a KeptCheckpoint) -> StoreFuture<'a, ()>;

    /// Puts `note`, which has more signatures, in the place of that of `checkpoint`. `false`: it has others by now, and nothing
    /// was stored.
    fn cosign_checkpoint<'a>(
        &'a self,
        checkpoint: &'a KeptCheckpoint,
        note: &'a str,
    ) -> StoreFuture<'a, bool>;

    /// Checkpoints of at least this size, the oldest first.
    fn checkpoints(&self, from: u64, limit: u32) -> StoreFuture<'_, Vec<KeptCheckpoint>>;

    /// The newest checkpoint.
    fn last_checkpoint(&self) -> StoreFuture<'_, Option<KeptCheckpoint>>;
}

/// The hash of any complete subtree of the tree in `store`.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Malformed`] if the tree is not that large.
pub async fn hash_of(store: &dyn TreeStore, subtree: Subtree) -> Result<Digest, StoreError> {
    let kept = subtree.level / LEVELS * LEVELS;
    if kept == subtree.level && kept > 0 {
        let found = store.subtree(subtree).await?;
        return found.ok_or(StoreError::Malformed { column: "subtrees" });
    }
    // It is made of at most 128 of the next level that is kept.
    let (first, count) = (subtree.index << (subtree.level - kept), 1_u64 << (subtree.level - kept));
    let mut leaves = Frontier::new();
    if kept == 0 {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        store.hashes(first, count).await?.into_iter().for_each(|leaf| leaves.push(leaf));
    } else {
        for index in first..first + count {
            let found = store.subtree(Subtree { level: kept, index }).await?;
            leaves.push(found.ok_or(StoreError::Malformed { column: "subtrees" })?);
        }
    }
    if leaves.size() == count {
        Ok(leaves.root())
    } else {
        Err(StoreError::Malformed { column: "hash" })
    }
}

/// The proof along `path`, of the tree in `store`.
///
/// # Errors
/// [`StoreError`].
pub async fn prove(store: &dyn TreeStore, path: &Path) -> Result<Vec<Digest>, StoreError> {
    let mut hashes = Vec::new();
    for subtree in path.subtrees() {
        hashes.push(hash_of(store, subtree).await?);
    }
    // They are asked for in the order in which they were just looked up.
    let mut hashes = hashes.into_iter();
    path.prove(|_| hashes.next().ok_or(StoreError::Malformed { column: "subtrees" }))
}
