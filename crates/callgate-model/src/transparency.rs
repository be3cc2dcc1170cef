//! Transparency logs: the Merkle tree of RFC 6962, its proofs, and the texts in which a log shows itself to others
//! (C2SP signed notes, checkpoints, cosignatures, tiles and proofs).
//!
//! It must not know evidence: an entry is bytes, and what they say is for others.

mod checkpoint;
mod cosignature;
mod note;
mod proof;
mod tile;
mod tree;

pub use checkpoint::{Checkpoint, CheckpointError, Signed};
pub use cosignature::{Cosigned, Witness, WitnessAnswer, add_checkpoint};
pub use note::{KeyError, NOTE_BYTES_MAX, Note, NoteError, Signature, Signer, Verifier};
pub use proof::{PROOF_BYTES_MAX, Proof, ProofTextError};
pub use tile::{BundleError, TILE_WIDTH, Tile, Tiling, bundle, unbundle};
pub(crate) use tree::PROOF_HASHES_MAX;
#[cfg(test)]
pub(crate) use tree::empty_root;
pub use tree::{
    Frontier, Path, ProofError, Subtree, leaf_hash, verify_consistency, verify_inclusion,
};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::Digest;

/// Standard Base 64 (RFC 4648 §4), which is how all of these texts write bytes.
fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads what [`to_base64`] writes, and no other spelling of it.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// A hash as these texts write it.
fn hash_from_base64(text: &str) -> Option<Digest> {
    from_base64(text)?.try_into().ok().map(Digest::new)
}

/// A decimal number without leading zeros.
fn size_from_text(text: &str) -> Option<u64> {
    text.parse().ok().filter(|size: &u64| size.to_string() == text)
}
