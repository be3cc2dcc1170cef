//! The Merkle tree of RFC 6962 §2.1: hashes, the frontier that a log grows by, proofs, and how they are verified
//! (RFC 9162 §2.1.3.2 and §2.1.4.2, which say the same in steps).
//!
//! It must not know where hashes are kept.

use std::ops::Range;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::digest::Digest;

/// Most hashes of any proof: one a level, of a tree that can be counted, and the one that a consistency proof begins with.
pub(crate) const PROOF_HASHES_MAX: usize = 65;

/// The hash of an entry as a leaf. Its prefix keeps a leaf from being taken for a node.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest::new(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
}

/// The hash of the node above two.
#[must_use]
pub(crate) fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let hasher = Sha256::new().chain_update([1]);
    let hasher = hasher.chain_update(left.as_bytes()).chain_update(right.as_bytes());
    Digest::new(hasher.finalize().into())
}

/// The root of the tree without leaves.
#[must_use]
pub(crate) fn empty_root() -> Digest {
    Digest::of(b"")
}

/// A complete subtree: it has 2^level leaves, the first of which is number index · 2^level. Its hash never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// How high it is; a leaf is 0.
    pub level: u8,
    /// Its place among those of its level.
    pub index: u64,
}

/// The complete subtrees that make up a tree, the largest first: all that is needed to go on, and to know the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Digest>,
}

impl Frontier {
    /// That of the tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, hashes: Vec::new() }
    }

    /// The one that was kept as [`Frontier::size`] and [`Frontier::hashes`]; `None` if there are not as many hashes as
    /// a tree of this size has.
    #[must_use]
    pub fn from_parts(size: u64, hashes: Vec<Digest>) -> Option<Self> {
        let fits = u32::try_from(hashes.len()) == Ok(size.count_ones());
        fits.then_some(Self { size, hashes })
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of its subtrees, the largest first.
    #[must_use]
    pub fn hashes(&self) -> &[Digest] {
        &self.hashes
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Digest) {
        self.push_noting(leaf, |_, _| {});
    }

    /// Adds a leaf by its hash, and tells every subtree that this completes, the leaf itself first.
    pub fn push_noting(&mut self, leaf: Digest, mut note: impl FnMut(Subtree, Digest)) {
        let (mut subtree, mut hash) = (Subtree { level: 0, index: self.size }, leaf);
        note(subtree, hash);
        // As in counting: a subtree joins the one on its left as a one carries.
        while subtree.index & 1 == 1
            && let Some(left) = self.hashes.pop()
        {
            hash = node_hash(&left, &hash);
            subtree = Subtree { level: subtree.level + 1, index: subtree.index >> 1 };
            note(subtree, hash);
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Digest {
        join(&self.hashes).unwrap_or_else(empty_root)
    }
}

/// The hash over complete subtrees that stand side by side, the largest first.
fn join(hashes: &[Digest]) -> Option<Digest> {
    let (last, before) = hashes.split_last()?;
    Some(before.iter().rev().fold(*last, |right, left| node_hash(left, &right)))
}

/// What a proof is made of, before the hashes are looked up: for each hash of the proof, the complete subtrees under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Vec<Subtree>>);

impl Path {
    /// That leaf `index` is in the tree of `size` leaves; `None` if it cannot be.
    #[must_use]
    pub fn inclusion(index: u64, size: u64) -> Option<Self> {
        if index >= size {
            return None;
        }
        let (mut at, mut nodes) = (0..size, Vec::new());
        while at.end - at.start > 1 {
            let middle = at.start + split(at.end - at.start);
            let beside = if index < middle { middle..at.end } else { at.start..middle };
            at = if index < middle { at.start..middle } else { middle..at.end };
            nodes.push(complete(beside));
        }
        nodes.reverse();
        Some(Self(nodes))
    }

    /// That the tree of `size` leaves begins with that of `old` leaves; `None` if it cannot.
    #[must_use]
    pub fn consistency(old: u64, size: u64) -> Option<Self> {
        if old > size {
            return None;
        }
        if old == 0 || old == size {
            return Some(Self(Vec::new()));
        }
        let (mut at, mut nodes) = (0..size, Vec::new());
        while at.end != old {
            let middle = at.start + split(at.end - at.start);
            let beside = if old <= middle { middle..at.end } else { at.start..middle };
            at = if old <= middle { at.start..middle } else { middle..at.end };
            nodes.push(complete(beside));
        }
        // Whoever verifies knows the old root already.
        if at.start > 0 {
            nodes.push(complete(at));
        }
        nodes.reverse();
        Some(Self(nodes))
    }

    /// Every subtree whose hash is needed.
    pub fn subtrees(&self) -> impl Iterator<Item = Subtree> {
        self.0.iter().flatten().copied()
    }

    /// The proof, made from the hashes of complete subtrees.
    ///
    /// # Errors
    /// That of `hash_of`.
    pub fn prove<E>(
        &self,
        mut hash_of: impl FnMut(Subtree) -> Result<Digest, E>,
    ) -> Result<Vec<Digest>, E> {
        let mut proof = Vec::with_capacity(self.0.len());
        for node in &self.0 {
            let hashes: Vec<Digest> =
                node.iter().map(|subtree| hash_of(*subtree)).collect::<Result<_, E>>()?;
            // INVARIANT: no node is empty.
            proof.extend(join(&hashes));
        }
        Ok(proof)
    }
}

/// How many leaves are on the left of a node over `leaves`: the largest power of two that is smaller.
fn split(leaves: u64) -> u64 {
    1 << (leaves.saturating_sub(1).max(1).ilog2())
}

/// The complete subtrees in a node's range, the largest first.
fn complete(range: Range<u64>) -> Vec<Subtree> {
    let (mut subtrees, mut start) = (Vec::new(), range.start);
    while start < range.end {
        let level = (range.end - start).ilog2().min(start.trailing_zeros());
        subtrees
            .push(Subtree { level: u8::try_from(level).unwrap_or(u8::MAX), index: start >> level });
        start += 1 << level;
    }
    subtrees
}

/// Why a proof shows nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ProofError {
    /// There is no such leaf, or the older tree is larger.
    #[error("there can be no such proof: the tree is too small")]
    OutOfRange,
    /// It has too many hashes, or too few.
    #[error("the proof has not as many hashes as it must have")]
    WrongLength,
    /// It leads to another root.
    #[error("the proof leads to another root")]
    WrongRoot,
}

/// Verifies that the leaf of this hash is number `index` of the tree of `size` leaves with this root.
///
/// # Errors
/// [`ProofError`] if that is not shown.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    let mut climb = Climb { at: index, last: size - 1 };
    let mut hash = *leaf;
    for beside in proof {
        hash = match climb.step()? {
            Side::Left => node_hash(beside, &hash),
            Side::Right => node_hash(&hash, beside),
        };
    }
    climb.end()?;
    if hash == *root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// Verifies that the tree of `size` leaves with the root `root` begins with the tree of `old` leaves with the root
/// `old_root`.
///
/// # Errors
/// [`ProofError`] if that is not shown.
pub fn verify_consistency(
    old: u64,
    old_root: &Digest,
    size: u64,
    root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if old > size {
        return Err(ProofError::OutOfRange);
    }
    if old == 0 || old == size {
        let same = if old == size { old_root == root } else { *old_root == empty_root() };
        return match (proof.is_empty(), same) {
            (true, true) => Ok(()),
            (true, false) => Err(ProofError::WrongRoot),
            (false, _) => Err(ProofError::WrongLength),
        };
    }
    let mut climb = Climb { at: old - 1, last: size - 1 };
    climb.skip_right();
    // If the older tree is a complete subtree, it is where the proof begins.
    let (first, rest) = match (old.is_power_of_two(), proof.split_first()) {
        (true, _) => (old_root, proof),
        (false, Some(split)) => split,
        (false, None) => return Err(ProofError::WrongLength),
    };
    let (mut old_hash, mut hash) = (*first, *first);
    for beside in rest {
        match climb.step()? {
            Side::Left => {
                old_hash = node_hash(beside, &old_hash);
                hash = node_hash(beside, &hash);
            }
            Side::Right => hash = node_hash(&hash, beside),
        }
    }
    climb.end()?;
    if old_hash == *old_root && hash == *root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// Where the next hash of a proof stands.
enum Side {
    Left,
    Right,
}

/// The way from a node up to the root: its place in its level, and that of the last node there.
struct Climb {
    at: u64,
    last: u64,
}

impl Climb {
    /// Goes up to the next node that has something beside it.
    fn step(&mut self) -> Result<Side, ProofError> {
        if self.last == 0 {
            return Err(ProofError::WrongLength);
        }
        let side = if self.at & 1 == 1 { Side::Left } else { Side::Right };
        let side = if self.at == self.last { Side::Left } else { side };
        // The last node of a level may have nothing on its right, and then is its own parent.
        while self.at == self.last && self.at & 1 == 0 && self.at != 0 {
            self.up();
        }
        self.up();
        Ok(side)
    }

    /// Goes up while the node is the right one of two.
    fn skip_right(&mut self) {
        while self.at & 1 == 1 {
            self.up();
        }
    }

    const fn up(&mut self) {
        self.at >>= 1;
        self.last >>= 1;
    }

    const fn end(&self) -> Result<(), ProofError> {
        if self.last == 0 { Ok(()) } else { Err(ProofError::WrongLength) }
    }
}

#[cfg(test)]
mod tests;
