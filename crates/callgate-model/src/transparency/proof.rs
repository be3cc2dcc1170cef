//! C2SP proofs (tlog-proof): one text that shows, to whoever has the log's key, that an entry is in the log.

use std::fmt;

use thiserror::Error;

use super::note::NOTE_BYTES_MAX;
use super::{PROOF_HASHES_MAX, from_base64, hash_from_base64, size_from_text, to_base64};
use crate::digest::Digest;

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// Longest proof, in bytes, with what is told beside it.
pub const PROOF_BYTES_MAX: usize = 64 << 20;

/// The text is no proof.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a proof: {0}")]
pub struct ProofTextError(&'static str);

/// That an entry is in a log, as far as its checkpoint is to be believed. Nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What is told beside it, such as the entry itself. Nobody has signed it.
    pub extra: Option<Vec<u8>>,
    /// The entry's place in the log, from 0.
    pub index: u64,
    /// The hashes from the entry to the root.
    pub hashes: Vec<Digest>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

impl Proof {
    /// Reads a proof.
    ///
    /// # Errors
    /// [`ProofTextError`].
    pub fn parse(text: &str) -> Result<Self, ProofTextError> {
        if text.len() > PROOF_BYTES_MAX {
            return Err(ProofTextError("it is too long"));
        }
        let (head, checkpoint) = text
            .split_once("\n\n")
            .filter(|(_, checkpoint)| checkpoint.len() <= NOTE_BYTES_MAX)
            .ok_or(ProofTextError("it has no checkpoint after an empty line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(ProofTextError("its first line is not that of a proof"));
        }
        let extra = lines.next_if(|line| line.starts_with("extra "));
        let extra = extra
            .and_then(|line| line.strip_prefix("extra "))
            .map(|extra| from_base64(extra).ok_or(ProofTextError("its `extra` is not Base 64")));
        let index = lines.next().and_then(|line| size_from_text(line.strip_prefix("index ")?));
        let index = index.ok_or(ProofTextError("it has no `index`"))?;
        let hashes: Option<Vec<Digest>> =
            lines.map(hash_from_base64).take(PROOF_HASHES_MAX + 1).collect();
        let hashes = hashes
            .filter(|hashes| hashes.len() <= PROOF_HASHES_MAX)
            .ok_or(ProofTextError("one of its hashes is none"))?;
        Ok(Self { extra: extra.transpose()?, index, hashes, checkpoint: checkpoint.to_owned() })
    }
}

/// The proof as it is kept and sent.
impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", to_base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", to_base64(hash.as_bytes()))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof() -> Proof {
        let hashes = vec![Digest::of(b"a"), Digest::of(b"b")];
        Proof { extra: Some(b"{}".to_vec()), index: 7, hashes, checkpoint: "log\n9\n\n".to_owned() }
    }

    #[test]
    fn what_is_written_is_read() {
        let proof = proof();
        assert_eq!(Proof::parse(&proof.to_string()), Ok(proof.clone()));
        let bare = Proof { extra: None, hashes: Vec::new(), ..proof };
        assert_eq!(bare.to_string(), "c2sp.org/tlog-proof@v1\nindex 7\n\nlog\n9\n\n");
        assert_eq!(Proof::parse(&bare.to_string()), Ok(bare));
    }

    #[test]
    fn other_texts_are_refused() {
        let text = proof().to_string();
        for (from, to) in [
            ("@v1", "@v2"),
            ("index 7", "index 07"),
            ("index 7", "index -7"),
            ("index 7\n", ""),
            ("extra ", "extra  "),
            ("\n\n", "\n"),
            ("=\n", "\n"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            assert!(Proof::parse(&changed).is_err(), "{from} → {to}");
        }
        let many = format!("{}\n", to_base64(&[0; 32])).repeat(PROOF_HASHES_MAX + 1);
        assert!(Proof::parse(&format!("{HEADER}\nindex 0\n{many}\nlog")).is_err());
    }
}
