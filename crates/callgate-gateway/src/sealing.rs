//! Small secrets that leave the process: in the store, or with a client who brings them back. They are sealed, so that
//! whoever has them can neither read nor change them, nor use one in another's place.
//!
//! A sealed text is `cgs1.KEY.SEALED`: the id of its key, and the base64url of a nonce with what AES-256-GCM makes of the
//! secret. A nonce is 96 random bits, so one key is good for some billions of texts: more than are ever sealed before it
//! is replaced.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use callgate_model::ambient::Ambient;
use callgate_model::digest::Digest;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

/// Which form and algorithm it is.
const VERSION: &str = "cgs1";
const KEY_BYTES: usize = 32;
/// Of a key's digest, as its id.
const ID_BYTES: usize = 6;
/// What the id of a key is a digest of, before the key: of the key alone one may be known for another use.
const ID_OF: &[u8] = b"callgate sealing key\0";

/// What a key is a digest of that is made of a secret, before that.
const OF_SECRET: &[u8] = b"callgate key of a secret\0";

/// The keys of a gateway. The first one seals; all of them open, so that a key can be replaced while texts are about that
/// it has sealed.
#[derive(Debug)]
pub struct Keyring {
    keys: Vec<SealingKey>,
}

/// One key.
pub struct SealingKey {
    id: String,
    key: LessSafeKey,
}

/// Why there are no such keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnusableKeys {
    /// Not a key.
    #[error("it is no key: the base64 of 32 bytes")]
    NotAKey,
    /// None.
    #[error("there is no key")]
    None,
    /// One that is there already.
    #[error("one key is there twice")]
    Twice,
}

impl SealingKey {
    /// A key from its text: the base64 of 32 bytes.
    ///
    /// # Errors
    /// [`UnusableKeys::NotAKey`].
    pub fn read(text: &SecretString) -> Result<Self, UnusableKeys> {
        let bytes = STANDARD.decode(text.expose_secret().trim());
        bytes.ok().and_then(|bytes| Self::of(&bytes)).ok_or(UnusableKeys::NotAKey)
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != KEY_BYTES {
            return None;
        }
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).ok()?);
        let digest = Digest::of(&[ID_OF, bytes].concat());
        let id = digest.as_bytes().first_chunk::<ID_BYTES>()?;
        Some(Self { id: URL_SAFE_NO_PAD.encode(id), key })
    }
}

impl Keyring {
    /// The keys, the current one first.
    ///
    /// # Errors
    /// [`UnusableKeys`] if there is none, or one twice.
    pub fn new(keys: Vec<SealingKey>) -> Result<Self, UnusableKeys> {
        if keys.is_empty() {
            return Err(UnusableKeys::None);
        }
        let is_there = |(index, key): (usize, &SealingKey)| {
            keys.iter().take(index).any(|other| other.id == key.id)
        };
        if keys.iter().enumerate().any(is_there) {
            return Err(UnusableKeys::Twice);
        }
        Ok(Self { keys })
    }

    /// One key of this process: what it seals cannot be opened after it.
    #[must_use]
    pub fn of_process(ambient: &dyn Ambient) -> Self {
        let key = [ambient.random(), ambient.random()].concat();
        // A key of the wrong length cannot be; without a key nothing is sealed or opened.
        Self { keys: SealingKey::of(&key).into_iter().collect() }
    }

    /// One key that is made of a secret of somebody else: who has that opens what it seals, and nobody else does.
    #[must_use]
    pub fn of_secret(secret: &str) -> Self {
        let key = Digest::of(&[OF_SECRET, secret.as_bytes()].concat());
        Self { keys: SealingKey::of(key.as_bytes()).into_iter().collect() }
    }

    /// Seals `plain` for `purpose`, a word of ours, and `bound_to`, whatever it belongs to: it can be opened for nothing
    /// else. `None` if it is too large to be sealed.
    #[must_use]
    pub fn seal(
        &self,
        purpose: &str,
        bound_to: &[u8],
        plain: &[u8],
        random: [u8; 16],
    ) -> Option<String> {
        let SealingKey { id, key } = self.keys.first()?;
        let nonce = random.first_chunk::<NONCE_LEN>()?;
        let mut sealed = plain.to_vec();
        let aad = associated(id, purpose, bound_to);
        let nonce_of = Nonce::assume_unique_for_key;
        key.seal_in_place_append_tag(nonce_of(*nonce), aad, &mut sealed).ok()?;
        let sealed = URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat());
        Some(format!("{VERSION}.{id}.{sealed}"))
    }

    /// What was sealed, if it was by one of these keys, for this and nothing else.
    #[must_use]
    pub fn open(&self, purpose: &str, bound_to: &[u8], text: &str) -> Option<Vec<u8>> {
        let (id, sealed) = parts(text)?;
        let SealingKey { id, key } = self.keys.iter().find(|key| key.id == id)?;
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let (nonce, mut sealed) = (Nonce::assume_unique_for_key(*nonce), sealed.to_vec());
        let plain =
            key.open_in_place(nonce, associated(id, purpose, bound_to), &mut sealed).ok()?;
        Some(plain.to_vec())
    }

    /// Whether a text was sealed by a key that is to be replaced: it is to be opened and sealed anew while that key is
    /// still here.
    #[must_use]
    pub fn needs_resealing(&self, text: &str) -> bool {
        let current = self.keys.first().map(|key| key.id.as_str());
        parts(text).is_some_and(|(id, _)| Some(id) != current)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn parts(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(VERSION)?.strip_prefix('.')?.split_once('.')
}

/// What a text is bound to, in a form that no two bindings have in common.
fn associated(id: &str, purpose: &str, bound_to: &[u8]) -> Aad<Vec<u8>> {
    let purpose = format!("{VERSION}.{id}.{}.{purpose}.", purpose.len());
    Aad::from([purpose.as_bytes(), bound_to].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> SealingKey {
        SealingKey::read(&STANDARD.encode([byte; KEY_BYTES]).into()).unwrap()
    }

    fn ring(bytes: &[u8]) -> Keyring {
        Keyring::new(bytes.iter().map(|byte| key(*byte)).collect()).unwrap()
    }

    #[test]
    fn i7_a_sealed_secret_is_good_for_its_purpose_and_its_owner_only() {
        let keys = ring(&[1]);
        let text = keys.seal("secret", b"alice", b"canary", [7; 16]).unwrap();
        assert_eq!(keys.open("secret", b"alice", &text).as_deref(), Some(&b"canary"[..]));
        assert!(text.starts_with("cgs1.") && !text.contains("canary"));
        for (purpose, owner) in [
            ("handle", "alice"),
            ("secret", "bob"),
            ("secret", ""),
            ("", "secret.alice"),
            ("secre", "t.alice"),
            ("secret.alice", ""),
        ] {
            assert_eq!(keys.open(purpose, owner.as_bytes(), &text), None, "{purpose} {owner}");
        }
        assert_eq!(ring(&[2]).open("secret", b"alice", &text), None, "another's key");
        assert!(!format!("{keys:?}").contains("[1, 1"));
    }

    #[test]
    fn a_key_is_replaced_while_what_it_sealed_is_about() {
        let text = ring(&[1]).seal("secret", b"alice", b"canary", [7; 16]).unwrap();
        let both = ring(&[2, 1]);
        assert!(both.open("secret", b"alice", &text).is_some() && both.needs_resealing(&text));
        let anew = both.seal("secret", b"alice", b"canary", [8; 16]).unwrap();
        let after = ring(&[2]);
        assert!(after.open("secret", b"alice", &anew).is_some() && !after.needs_resealing(&anew));
        assert!(after.open("secret", b"alice", &text).is_none());
        assert!(!after.needs_resealing("none of ours"));
    }

    #[test]
    fn keys_are_32_bytes_and_each_is_there_once() {
        for bad in ["", "AAAA", &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33])] {
            assert_eq!(SealingKey::read(&bad.into()).err(), Some(UnusableKeys::NotAKey), "{bad}");
        }
        assert_eq!(Keyring::new(Vec::new()).err(), Some(UnusableKeys::None));
        assert_eq!(Keyring::new(vec![key(1), key(2), key(1)]).err(), Some(UnusableKeys::Twice));
        let spaced = format!(" {}\n", STANDARD.encode([1; 32]));
        assert_eq!(SealingKey::read(&spaced.into()).unwrap().id, key(1).id);
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened_again(plain: Vec<u8>, purpose: String, owner: Vec<u8>, random: [u8; 16]) {
            let keys = ring(&[1, 2]);
            let text = keys.seal(&purpose, &owner, &plain, random).unwrap();
            prop_assert_eq!(keys.open(&purpose, &owner, &text), Some(plain));
        }

        #[test]
        fn i13_what_was_changed_or_made_up_is_not_opened(
            plain in proptest::collection::vec(any::<u8>(), 0..20),
            at: proptest::sample::Index,
            with in "[A-Za-z0-9._-]",
            made_up: String,
        ) {
            let keys = ring(&[1, 2]);
            let text = keys.seal("secret", b"alice", &plain, [7; 16]).unwrap();
            let at = at.index(text.len());
            let mut changed = text.clone();
            changed.replace_range(at..=at, &with);
            prop_assert_eq!(keys.open("secret", b"alice", &changed).is_some(), changed == text);
            for made_up in [made_up.clone(), format!("cgs1.{made_up}"), format!("cgs1.{}.{made_up}", key(1).id)] {
                prop_assert_eq!(keys.open("secret", b"alice", &made_up), None);
            }
        }
    }
}
