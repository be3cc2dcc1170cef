//! C2SP witnesses: their cosignatures of checkpoints (tlog-cosignature v1, Ed25519), and what they are asked and answer
//! (tlog-witness v1.0.0, `add-checkpoint`).
//!
//! A cosignature says that the witness has seen this tree grow out of the one that it saw before. It must not know HTTP.

use std::fmt;

use super::checkpoint::Signed;
use super::note::{KeyError, Note, NoteError, PublicKey, Signature};
use super::{size_from_text, to_base64};
use crate::digest::Digest;

/// The algorithm of timestamped cosignatures by Ed25519.
const COSIGNATURE_V1: u8 = 0x04;
/// Longest answer of a witness that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A witness that is trusted, by its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Witness(PublicKey);

impl Witness {
    /// Reads a witness's verifier key: `NAME+HASH+KEY`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        PublicKey::parse(text, COSIGNATURE_V1).map(Self)
    }

    /// The witness's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// When the witness has cosigned it, in seconds since 1970: the last time, if it has several times; `None` if it has
    /// not.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] if what stands there as its signature is not of this text.
    pub fn cosigned(&self, note: &Note) -> Result<Option<u64>, NoteError> {
        let mut last = None;
        for signature in note.signatures().iter().filter(|one| self.0.made(one)) {
            let time = self.verify(note.text(), signature);
            let time = time.ok_or_else(|| NoteError::BadSignature { name: self.name().to_owned() });
            last = last.max(Some(time?));
        }
        Ok(last)
    }

    fn verify(&self, text: &str, signature: &Signature) -> Option<u64> {
        let (time, signature) = signature.bytes.split_first_chunk()?;
        let time = u64::from_be_bytes(*time);
        let message = format!("cosignature/v1\ntime {time}\n{text}");
        let fits = i64::try_from(time).is_ok() && self.0.verify(message.as_bytes(), signature);
        fits.then_some(time)
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Witness({self})")
    }
}

/// What a witness is sent: the size of the last checkpoint that it cosigned, the proof that the new one grows out of it,
/// and the new one.
#[must_use]
pub fn add_checkpoint(old: u64, proof: &[Digest], checkpoint: &Note) -> String {
    let mut body = format!("old {old}\n");
    proof.iter().for_each(|hash| body.extend([&to_base64(hash.as_bytes()), "\n"]));
    body.push('\n');
    body.push_str(&checkpoint.to_string());
    body
}

/// What a witness answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WitnessAnswer {
    /// It has cosigned: these are its signatures, not verified yet.
    Cosigned(Vec<Signature>),
    /// It cosigned a checkpoint of another size last: ask again with a proof from this one.
    LastSaw(u64),
    /// It refuses, or its answer cannot be read.
    Refused {
        /// The HTTP status.
        status: u16,
    },
}

impl WitnessAnswer {
    /// Reads the answer to `add-checkpoint`.
    #[must_use]
    pub fn read(status: u16, body: &str) -> Self {
        let lines = body.strip_suffix('\n').filter(|_| body.len() <= ANSWER_BYTES_MAX);
        let answer = match (status, lines) {
            (200, Some(lines)) => {
                let signatures: Result<Vec<Signature>, NoteError> =
                    lines.split('\n').map(Signature::parse).collect();
                signatures.ok().map(Self::Cosigned)
            }
            (409, Some(size)) => size_from_text(size).map(Self::LastSaw),
            _ => None,
        };
        answer.unwrap_or(Self::Refused { status })
    }
}

/// What came of a witness's signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// The checkpoint with those signatures that are by the witness.
    pub signed: Signed,
    /// When it cosigned, in seconds since 1970.
    pub time: u64,
}

impl Cosigned {
    /// Adds a witness's signatures to the checkpoint that it was sent; `None` if none is by it. Signatures by others that
    /// the witness sends along are left out.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] if one by the witness is not of this checkpoint.
    pub fn add(
        mut signed: Signed,
        witness: &Witness,
        signatures: Vec<Signature>,
    ) -> Result<Option<Self>, NoteError> {
        signatures
            .into_iter()
            .filter(|one| witness.0.made(one))
            .for_each(|one| signed.note.add(one));
        Ok(witness.cosigned(&signed.note)?.map(|time| Self { signed, time }))
    }
}

#[cfg(test)]
mod tests;
