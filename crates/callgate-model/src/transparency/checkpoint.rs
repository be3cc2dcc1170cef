//! C2SP checkpoints (tlog-checkpoint v1.0.0): what a log was at one size, signed.

use thiserror::Error;

use super::note::{Note, NoteError, Signer, Verifier};
use super::{hash_from_base64, size_from_text, to_base64};
use crate::digest::Digest;

/// The tree of a log at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log it is of: the name of the keys that sign for it.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Digest,
    /// What else the log says; nobody can check it.
    pub extensions: Vec<String>,
}

/// Why a checkpoint is not to be believed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// It is no note, or none that is signed by whom we trust.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The note is not about a log.
    #[error("not a checkpoint: expected lines with origin, size and root")]
    Malformed,
    /// A key has signed for a log that is not its own.
    #[error("the key `{name}` has signed for the log `{origin}`")]
    OfAnotherLog {
        /// The key's name.
        name: String,
        /// The log that the checkpoint is of.
        origin: String,
    },
}

/// A checkpoint whose signature was verified, with the note that it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// The note.
    pub note: Note,
}

impl Checkpoint {
    /// Reads the text of a note.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.strip_suffix('\n').map(|lines| lines.split('\n').collect::<Vec<_>>());
        let Some([origin, size, root, extensions @ ..]) = lines.as_deref() else {
            return Err(CheckpointError::Malformed);
        };
        let checkpoint = size_from_text(size).zip(hash_from_base64(root)).map(|(size, root)| {
            let extensions = extensions.iter().map(|&line| line.to_owned()).collect();
            Self { origin: (*origin).to_owned(), size, root, extensions }
        });
        checkpoint.filter(Self::is_writable).ok_or(CheckpointError::Malformed)
    }

    /// The text of its note.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text =
            format!("{}\n{}\n{}\n", self.origin, self.size, to_base64(self.root.as_bytes()));
        self.extensions.iter().for_each(|line| text.extend([line, "\n"]));
        text
    }

    /// Signs it by each of the keys: a log that changes its key signs by both for a while. `None` if it cannot be
    /// written, there are no keys, or one of them is another log's.
    #[must_use]
    pub fn sign(&self, signers: &[&Signer]) -> Option<Note> {
        let own = signers.iter().all(|signer| signer.name() == self.origin);
        let fits = own && self.is_writable();
        fits.then(|| Note::sign(self.to_text(), signers)).flatten()
    }

    /// Reads a checkpoint that at least one of the keys has signed. Signatures by other keys are not looked at.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn verify(note: &str, keys: &[Verifier]) -> Result<Signed, CheckpointError> {
        let note = Note::parse(note)?;
        let signed_by = note.verify(keys)?;
        let checkpoint = Self::parse(note.text())?;
        match signed_by.iter().find(|key| key.name() != checkpoint.origin) {
            Some(key) => Err(CheckpointError::OfAnotherLog {
                name: key.name().to_owned(),
                origin: checkpoint.origin,
            }),
            None => Ok(Signed { checkpoint, note }),
        }
    }

    fn is_writable(&self) -> bool {
        let mut lines = self.extensions.iter().chain([&self.origin]);
        lines.all(|line| !line.is_empty() && !line.contains(|c: char| c < ' '))
    }
}

#[cfg(test)]
mod tests;
