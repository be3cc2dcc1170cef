//! C2SP signed notes (v1.0.0): a text and who has signed it, and the keys of Ed25519 by which that is done and checked.
//!
//! It must not know what the text says.

use std::fmt;

use ed25519_dalek::{Signature as Ed25519Signature, Signer as _, SigningKey, VerifyingKey};
use thiserror::Error;

use super::{from_base64, to_base64};
use crate::digest::Digest;

/// Longest note, in bytes. Signatures that we do not know may be long, and there may be several.
pub const NOTE_BYTES_MAX: usize = 256 << 10;
/// Most signatures of a note.
const SIGNATURES_MAX: usize = 32;
/// What a line of a signature begins with.
const SIGNATURE_MARK: &str = "\u{2014} ";
/// What the text of a private key begins with.
const PRIVATE_MARK: &str = "PRIVATE+KEY+";
/// The algorithm of plain Ed25519 signatures.
const ED25519: u8 = 0x01;

/// Why a text is no note, or one that nobody whom we trust has signed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoteError {
    /// Not in the form of a note.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// A known key's signature does not fit the text.
    #[error(
        "the signature by `{name}` is not of this text: it was changed, or signed by another key"
    )]
    BadSignature {
        /// The key's name.
        name: String,
    },
    /// None of the keys has signed it.
    #[error("not signed by any of the keys that were given")]
    NotSigned,
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// The name is empty, or has spaces, plus signs or control characters.
    #[error("a key's name must not be empty, nor have spaces, `+` or control characters")]
    Name,
    /// Not `NAME+HASH+KEY`.
    #[error("not a key: expected `NAME+HASH+KEY`")]
    Form,
    /// The hash in the middle is that of another name or key.
    #[error("the key's hash does not fit its name and key: it was mistyped or changed")]
    Hash,
    /// The key is of another kind.
    #[error("the key is not of the kind that is used here")]
    Algorithm,
}

/// A signature, by whichever key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The key's name.
    pub name: String,
    /// The key's id.
    pub id: u32,
    /// What the key's algorithm made.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// Reads a line, without its end.
    pub(super) fn parse(line: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed("a signature is not `— NAME SIGNATURE`");
        let parts = line.strip_prefix(SIGNATURE_MARK).and_then(|rest| rest.split_once(' '));
        let (name, signature) = parts.ok_or_else(|| malformed.clone())?;
        let bytes = from_base64(signature).ok_or_else(|| malformed.clone())?;
        match bytes.split_first_chunk() {
            Some((id, bytes)) if is_key_name(name) && !bytes.is_empty() => Ok(Self {
                name: name.to_owned(),
                id: u32::from_be_bytes(*id),
                bytes: bytes.to_owned(),
            }),
            _ => Err(malformed),
        }
    }

    /// The line, with its end.
    pub(super) fn to_line(&self) -> String {
        let bytes = [&self.id.to_be_bytes()[..], &self.bytes].concat();
        format!("{SIGNATURE_MARK}{} {}\n", self.name, to_base64(&bytes))
    }
}

/// A text and its signatures. What it says must not be believed before some of them were verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError::Malformed`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Malformed("it is too long"));
        }
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::Malformed("it has control characters"));
        }
        let parts = note.rsplit_once("\n\n").and_then(|(text, signatures)| {
            Some((text, signatures.strip_suffix('\n').filter(|lines| !lines.is_empty())?))
        });
        let (text, lines) =
            parts.ok_or(NoteError::Malformed("it has no signatures after an empty line"))?;
        if lines.split('\n').count() > SIGNATURES_MAX {
            return Err(NoteError::Malformed("it has too many signatures"));
        }
        let signatures = lines.split('\n').map(Signature::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// The text with a signature by each of `signers`; `None` if it is none that can be signed, or nobody signs it.
    #[must_use]
    pub fn sign(text: String, signers: &[&Signer]) -> Option<Self> {
        let is_text = text.ends_with('\n') && !text.bytes().any(|b| b < b' ' && b != b'\n');
        let signatures: Vec<Signature> = signers.iter().map(|signer| signer.sign(&text)).collect();
        let fits = is_text && (1..=SIGNATURES_MAX).contains(&signatures.len());
        fits.then_some(Self { text, signatures })
    }

    /// The text, with the end of its last line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, verified or not.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a signature of the same text.
    pub(super) fn add(&mut self, signature: Signature) {
        if !self.signatures.contains(&signature) && self.signatures.len() < SIGNATURES_MAX {
            self.signatures.push(signature);
        }
    }

    /// Those of the keys that have signed it. Signatures by other keys are not looked at.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`] if none has, [`NoteError::BadSignature`] if one of them has not signed this text.
    pub fn verify<'a>(&self, keys: &'a [Verifier]) -> Result<Vec<&'a Verifier>, NoteError> {
        let mut signed = Vec::new();
        for key in keys {
            let mut by_key = self.signatures.iter().filter(|one| key.0.made(one)).peekable();
            if by_key.peek().is_some() {
                signed.push(key);
            }
            for signature in by_key {
                if !key.0.verify(self.text.as_bytes(), &signature.bytes) {
                    return Err(NoteError::BadSignature { name: key.name().to_owned() });
                }
            }
        }
        if signed.is_empty() { Err(NoteError::NotSigned) } else { Ok(signed) }
    }
}

/// The note as it is kept and sent.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| f.write_str(&signature.to_line()))
    }
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// A public key with its name, for one algorithm.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PublicKey {
    name: String,
    algorithm: u8,
    key: VerifyingKey,
    id: u32,
}

impl PublicKey {
    fn new(name: &str, algorithm: u8, key: VerifyingKey) -> Result<Self, KeyError> {
        if !is_key_name(name) {
            return Err(KeyError::Name);
        }
        let hashed = [name.as_bytes(), &[b'\n', algorithm], key.as_bytes()].concat();
        let [a, b, c, d, ..] = *Digest::of(&hashed).as_bytes();
        let id = u32::from_be_bytes([a, b, c, d]);
        Ok(Self { name: name.to_owned(), algorithm, key, id })
    }

    /// Reads `NAME+HASH+KEY` of this algorithm.
    pub(super) fn parse(text: &str, algorithm: u8) -> Result<Self, KeyError> {
        let (name, id, bytes) = parts(text)?;
        let key = match bytes.split_first() {
            Some((first, key)) if *first == algorithm => key.try_into().ok(),
            _ => return Err(KeyError::Algorithm),
        };
        let key = key.and_then(|key| VerifyingKey::from_bytes(key).ok()).ok_or(KeyError::Form)?;
        let key = Self::new(name, algorithm, key)?;
        // Its hash is what shows that it was copied right.
        if id == format!("{:08x}", key.id) { Ok(key) } else { Err(KeyError::Hash) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether this key says to have made the signature.
    pub(super) fn made(&self, signature: &Signature) -> bool {
        signature.id == self.id && signature.name == self.name
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Ed25519Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm][..], self.key.as_bytes()].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id, to_base64(&key))
    }
}

/// The three parts of a key's text. The last may have plus signs of its own.
fn parts(text: &str) -> Result<(&str, &str, Vec<u8>), KeyError> {
    let mut parts = text.splitn(3, '+');
    match (parts.next(), parts.next(), parts.next().and_then(from_base64)) {
        (Some(name), Some(id), Some(key)) => Ok((name, id, key)),
        _ => Err(KeyError::Form),
    }
}

/// A key by which notes of one signer are verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier(PublicKey);

impl Verifier {
    /// Reads a verifier key: `NAME+HASH+KEY`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        PublicKey::parse(text, ED25519).map(Self)
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }
}

/// The verifier key as a text, which anybody may know.
impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({self})")
    }
}

/// A private key by which notes are signed. It cannot be printed.
pub struct Signer {
    key: SigningKey,
    public: PublicKey,
}

impl Signer {
    /// The key made from 32 bytes that nobody can guess.
    ///
    /// # Errors
    /// [`KeyError::Name`].
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(seed);
        let public = PublicKey::new(name, ED25519, key.verifying_key())?;
        Ok(Self { key, public })
    }

    /// Reads a private key: `PRIVATE+KEY+NAME+HASH+KEY`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, id, bytes) = parts(text.strip_prefix(PRIVATE_MARK).ok_or(KeyError::Form)?)?;
        let seed = match bytes.split_first() {
            Some((&ED25519, seed)) => seed.try_into().map_err(|_length| KeyError::Form)?,
            _ => return Err(KeyError::Algorithm),
        };
        let signer = Self::new(name, seed)?;
        if id == format!("{:08x}", signer.public.id) { Ok(signer) } else { Err(KeyError::Hash) }
    }

    /// The private key as a text, to be kept where only the signer reads it.
    #[must_use]
    pub fn to_secret_text(&self) -> String {
        let key = [&[ED25519][..], self.key.as_bytes()].concat();
        format!("{PRIVATE_MARK}{}+{:08x}+{}", self.name(), self.public.id, to_base64(&key))
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.public.name()
    }

    /// The key by which its signatures are verified.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier(self.public.clone())
    }

    fn sign(&self, text: &str) -> Signature {
        let bytes = self.key.sign(text.as_bytes()).to_bytes().to_vec();
        Signature { name: self.name().to_owned(), id: self.public.id, bytes }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public)
    }
}

#[cfg(test)]
mod tests;
