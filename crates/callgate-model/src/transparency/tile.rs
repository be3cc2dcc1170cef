//! C2SP tiles (tlog-tiles): the files in which a log's hashes and entries are published, 256 to a file.
//!
//! It must not know where files are; a path here is relative to the log's own place.

use thiserror::Error;

use super::tree::{Frontier, Subtree};
use crate::digest::Digest;

/// Most hashes of a tile, and most entries of a bundle.
pub const TILE_WIDTH: u64 = 256;
/// How many levels of the tree are between one level of tiles and the next.
const TILE_HEIGHT: u8 = 8;
/// The most that one of a bundle can have, in bytes: its length stands in two.
const BUNDLED_BYTES_MAX: usize = 65_535;
const HASH_BYTES: usize = 32;

/// A tile, or the bundle of the entries that are hashed in one of level 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Its level: a hash in it is over 256^level entries.
    pub level: u8,
    /// Its place among those of its level.
    pub index: u64,
    /// How many hashes it has: 256, or fewer if it is the last.
    pub width: u16,
}

impl Tile {
    /// The tile `index` of a level, in a tree of `size` entries; `None` if there is none.
    #[must_use]
    pub fn of(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT))?;
        let left = hashes.checked_sub(index.checked_mul(TILE_WIDTH)?)?;
        let width = u16::try_from(left.min(TILE_WIDTH)).ok().filter(|width| *width > 0)?;
        Some(Self { level, index, width })
    }

    /// All tiles of a level of a tree of `size` entries.
    pub fn of_level(level: u8, size: u64) -> impl Iterator<Item = Self> {
        (0..).map_while(move |index| Self::of(level, index, size))
    }

    /// The tile that says the hash of a subtree, in a tree of `size` entries; `None` if the tree has no such subtree.
    #[must_use]
    pub fn with(subtree: Subtree, size: u64) -> Option<Self> {
        let (_, end) = place(subtree)?;
        let level = subtree.level / TILE_HEIGHT;
        let tile = Self::of(level, first(subtree)? / TILE_WIDTH, size)?;
        (end <= usize::from(tile.width)).then_some(tile)
    }

    /// Where it is: `tile/LEVEL/INDEX`, with `.p/WIDTH` if it is not full.
    #[must_use]
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, self.number())
    }

    /// Where the bundle of its entries is.
    #[must_use]
    pub fn bundle_path(&self) -> String {
        format!("tile/entries/{}", self.number())
    }

    fn number(&self) -> String {
        let mut number = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        if u64::from(self.width) < TILE_WIDTH {
            number.push_str(&format!(".p/{}", self.width));
        }
        number
    }

    /// The hash of a subtree out of this tile's bytes; `None` if these are not as long as they must be, or the subtree
    /// is not in it.
    #[must_use]
    pub fn hash(&self, bytes: &[u8], subtree: Subtree) -> Option<Digest> {
        let in_it =
            subtree.level / TILE_HEIGHT == self.level && first(subtree)? / TILE_WIDTH == self.index;
        let (start, end) = place(subtree).filter(|_| in_it)?;
        let mut frontier = Frontier::new();
        self.hashes(bytes)?.get(start..end)?.iter().for_each(|hash| frontier.push(*hash));
        Some(frontier.root())
    }

    /// The hashes in its bytes; `None` if these are not as long as they must be.
    #[must_use]
    pub fn hashes(&self, bytes: &[u8]) -> Option<Vec<Digest>> {
        let (hashes, []) = bytes.as_chunks::<HASH_BYTES>() else { return None };
        let fits = hashes.len() == usize::from(self.width);
        fits.then(|| hashes.iter().map(|hash| Digest::new(*hash)).collect())
    }
}

/// Makes the tiles of a tree that grows: a full one as soon as it is full, the others at the end.
#[derive(Clone, Debug, Default)]
pub struct Tiling {
    frontier: Frontier,
    /// Of each level, the bytes of the tile that is not full yet.
    open: Vec<Vec<u8>>,
}

impl Tiling {
    /// Adds a leaf by its hash, and tells every tile that is full with it.
    pub fn push(&mut self, leaf: Digest, mut tell: impl FnMut(Tile, &[u8])) {
        let open = &mut self.open;
        self.frontier.push_noting(leaf, |subtree, hash| {
            if subtree.level % TILE_HEIGHT != 0 {
                return;
            }
            let level = subtree.level / TILE_HEIGHT;
            // Levels begin one after the other, as the tree grows.
            if open.len() <= usize::from(level) {
                open.push(Vec::new());
            }
            let Some(bytes) = open.get_mut(usize::from(level)) else { return };
            bytes.extend(hash.as_bytes());
            let index = subtree.index / TILE_WIDTH;
            if subtree.index % TILE_WIDTH == TILE_WIDTH - 1 {
                tell(Tile { level, index, width: 256 }, bytes);
                bytes.clear();
            }
        });
    }

    /// Tells every tile that is not full, of the tree as it is.
    pub fn rest(&self, mut tell: impl FnMut(Tile, &[u8])) {
        for (level, bytes) in (0..).zip(&self.open) {
            let hashes = u16::try_from(bytes.len() / HASH_BYTES);
            let shift = u32::from(level) * u32::from(TILE_HEIGHT);
            let index = self.frontier.size().checked_shr(shift).unwrap_or(0) / TILE_WIDTH;
            if let Ok(width @ 1..) = hashes {
                tell(Tile { level, index, width }, bytes);
            }
        }
    }
}

/// The number of the first hash under a subtree, among all of its level of tiles.
fn first(subtree: Subtree) -> Option<u64> {
    subtree.index.checked_mul(1 << (subtree.level % TILE_HEIGHT))
}

/// Where the hashes under a subtree are in its tile.
fn place(subtree: Subtree) -> Option<(usize, usize)> {
    let start = usize::try_from(first(subtree)? % TILE_WIDTH).ok()?;
    Some((start, start + (1 << (subtree.level % TILE_HEIGHT))))
}

/// What is wrong with a bundle of entries.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BundleError {
    /// It ends within an entry.
    #[error("the bundle is cut off")]
    CutOff,
    /// It has another number of entries than it must have.
    #[error("the bundle has not as many entries as it must have")]
    WrongCount,
    /// An entry is too long to be written.
    #[error("an entry is longer than {BUNDLED_BYTES_MAX} bytes")]
    TooLong,
}

/// Writes entries as a bundle: each after its length in two bytes.
///
/// # Errors
/// [`BundleError::TooLong`].
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).map_err(|_long| BundleError::TooLong)?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle that has `width` of them.
///
/// # Errors
/// [`BundleError`].
pub fn unbundle(mut bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk().ok_or(BundleError::CutOff)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, rest) = rest.split_at_checked(length).ok_or(BundleError::CutOff)?;
        entries.push(entry);
        bytes = rest;
    }
    if entries.len() == usize::from(width) { Ok(entries) } else { Err(BundleError::WrongCount) }
}

#[cfg(test)]
mod tests;
