//! The chain of one writer.

use super::Kind;
use super::entry::{About, Entry};
use crate::ambient::{Id, Timestamp};
use crate::digest::Digest;
use crate::transparency::leaf_hash;

/// An entry ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its place in the chain, from 0.
    pub sequence: u64,
    /// Its canonical JSON.
    pub entry: String,
    /// Its hash: what the next one holds as `previous`, and the leaf of the Merkle tree.
    pub hash: Digest,
}

/// The end of one writer's chain. A clone is for trying: only what was stored may go on.
#[derive(Clone, Debug)]
pub struct Chain {
    writer: Id,
    next: u64,
    head: Digest,
}

impl Chain {
    /// A new writer's empty chain.
    #[must_use]
    pub fn new(writer: Id) -> Self {
        Self { writer, next: 0, head: Digest::default() }
    }

    /// The writer.
    #[must_use]
    pub const fn writer(&self) -> Id {
        self.writer
    }

    /// Makes the next entry of the chain, for a record of that kind whose payload has that digest.
    pub fn seal(&mut self, at: Timestamp, kind: Kind, about: About, payload: Digest) -> Sealed {
        let entry = Entry {
            at,
            kind,
            payload,
            previous: self.head,
            sequence: self.next,
            writer: self.writer,
            about,
        };
        let entry = entry.to_text();
        let sealed = Sealed { sequence: self.next, hash: leaf_hash(entry.as_bytes()), entry };
        self.next += 1;
        self.head = sealed.hash;
        sealed
    }
}
