//! Secrets that each person has for a server: API tokens, mostly. The store keeps them sealed, and one is opened only for a
//! call of whose it is.

use callgate_model::authority::{SecretFor, Subject, UpstreamSecret};
use callgate_model::caller::Caller;
use secrecy::{ExposeSecret, SecretString};

use super::{Credential, Own, Presented, Scheme, Unavailable};
use crate::identity::Registry;
use crate::sealing::Keyring;

/// What a secret is sealed for.
const PURPOSE: &str = "upstream";

/// Where such secrets are, and the keys to them.
#[derive(Clone, Copy, Debug)]
pub struct Vault<'a> {
    pub(crate) registry: Option<&'a Registry>,
    pub(crate) keys: &'a Keyring,
}

/// The secrets that persons have for one server.
#[derive(Debug)]
pub struct Personal {
    server: String,
    pub(super) lists: Own,
}

impl Personal {
    /// Those for `server`. Lists are asked for with `lists`.
    #[must_use]
    pub const fn new(server: String, lists: Own) -> Self {
        Self { server, lists }
    }

    pub(super) fn presented(
        &self,
        caller: &Caller,
        vault: Vault<'_>,
    ) -> Result<Presented, Unavailable> {
        let owner = SecretFor { server: self.server.clone(), holder: Subject::accountable(caller) };
        let kept = vault.registry.and_then(|registry| registry.secret(&owner));
        let kept = kept.ok_or_else(|| Unavailable::NoSecret(owner.holder.to_string()))?;
        let credential = open(&kept, vault.keys).ok_or(Unavailable::Sealed)?;
        Ok(Presented { header: credential.header(), slot: None })
    }
}

/// Seals `secret`, which is then good for `owner` and nobody else.
#[must_use]
pub fn seal(
    keys: &Keyring,
    owner: &SecretFor,
    secret: &SecretString,
    random: [u8; 16],
) -> Option<String> {
    keys.seal(PURPOSE, &owner.binding(), secret.expose_secret().trim().as_bytes(), random)
}

/// What `kept` is, if these keys open it.
#[must_use]
pub fn open(kept: &UpstreamSecret, keys: &Keyring) -> Option<Credential> {
    let scheme = Scheme::parse(&kept.scheme)?;
    Credential::new(scheme, &open_text(kept, keys)?).ok()
}

/// The secret itself, to be sealed anew.
#[must_use]
pub fn open_text(kept: &UpstreamSecret, keys: &Keyring) -> Option<SecretString> {
    let plain = keys.open(PURPOSE, &kept.owner.binding(), &kept.sealed)?;
    String::from_utf8(plain).ok().map(SecretString::from)
}
