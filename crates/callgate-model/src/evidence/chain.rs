//! The chain of one writer.

use thiserror::Error;

use super::Kind;
use super::entry::{About, Entry, hash_of};
use crate::ambient::{Id, Timestamp};
use crate::digest::Digest;

/// An entry ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its place in the chain, from 0.
    pub sequence: u64,
    /// Its canonical JSON.
    pub entry: String,
    /// Its hash: what the next one holds as `previous`.
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
        let sealed = Sealed { sequence: self.next, hash: hash_of(&entry), entry };
        self.next += 1;
        self.head = sealed.hash;
        sealed
    }
}

/// The first thing wrong with a chain.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Broken {
    /// The text is not the canonical form of an entry.
    #[error("entry {index}: not a canonical entry of a known format")]
    NotCanonical {
        /// Which, from 0.
        index: usize,
    },
    /// The entry does not follow the one before it.
    #[error("entry {index}: `{field}` is not what the entry before it requires")]
    NotNext {
        /// Which, from 0.
        index: usize,
        /// The field that tells.
        field: &'static str,
    },
}

/// Checks one writer's entries, from its first.
///
/// # Errors
/// [`Broken`] at the first entry that was changed, removed, added or moved.
pub fn verify_chain<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Digest, Broken> {
    let mut head = Digest::default();
    let mut writer: Option<Id> = None;
    for (index, text) in texts.into_iter().enumerate() {
        let entry = Entry::parse(text).ok_or(Broken::NotCanonical { index })?;
        let broken = |field| Broken::NotNext { index, field };
        if Some(entry.sequence) != u64::try_from(index).ok() {
            return Err(broken("sequence"));
        }
        if entry.previous != head {
            return Err(broken("previous"));
        }
        if *writer.get_or_insert(entry.writer) != entry.writer {
            return Err(broken("writer"));
        }
        head = hash_of(text);
    }
    Ok(head)
}
