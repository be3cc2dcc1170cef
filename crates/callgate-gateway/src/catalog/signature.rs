//! Whether somebody whom the operator trusts has signed a catalog.
//!
//! Signatures are those of OpenSSH (`ssh-keygen -Y sign -n callgate-catalog`), so whoever writes catalogs needs no other tool
//! and no other key than for signing commits.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use ssh_key::public::KeyData;
use ssh_key::{PublicKey, SshSig};
use thiserror::Error;

/// What is signed is said to be, so that a signature for something else does not count.
pub const NAMESPACE: &str = "callgate-catalog";

/// Those whose signature counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signers(Vec<[u8; 32]>);

/// Not the key of a signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it is no public Ed25519 key of OpenSSH")]
pub struct NotASigner;

/// Why a catalog is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Not what `ssh-keygen -Y sign` writes.
    #[error("it is no Ed25519 signature of OpenSSH")]
    Unreadable,
    /// For another purpose than catalogs.
    #[error("it is a signature for something else than catalogs")]
    Namespace,
    /// By somebody else.
    #[error("it was signed by none of the signers")]
    Stranger,
    /// The file is not what was signed.
    #[error("the file is not what was signed")]
    Altered,
}

impl Signers {
    /// Adds a signer by a public key, as in `id_ed25519.pub`.
    ///
    /// # Errors
    /// [`NotASigner`].
    pub fn add(&mut self, key: &str) -> Result<(), NotASigner> {
        let key = PublicKey::from_openssh(key).map_err(|_unreadable| NotASigner)?;
        let key = ed25519(key.key_data()).ok_or(NotASigner)?;
        self.0.push(key);
        Ok(())
    }

    /// Whether nothing needs to be signed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them signed `text`; `signature` is in the armour of OpenSSH.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn check(&self, text: &[u8], signature: &str) -> Result<(), SignatureError> {
        let signature =
            SshSig::from_pem(signature).map_err(|_unreadable| SignatureError::Unreadable)?;
        if signature.namespace() != NAMESPACE {
            return Err(SignatureError::Namespace);
        }
        let key = ed25519(signature.public_key()).filter(|key| self.0.contains(key));
        let key = UnparsedPublicKey::new(&ED25519, key.ok_or(SignatureError::Stranger)?);
        let signed = SshSig::signed_data(NAMESPACE, signature.hash_alg(), text);
        let signed = signed.map_err(|_unreadable| SignatureError::Unreadable)?;
        key.verify(&signed, signature.signature_bytes())
            .map_err(|_unreadable| SignatureError::Altered)
    }
}

fn ed25519(key: &KeyData) -> Option<[u8; 32]> {
    key.ed25519().map(|key| key.0)
}
