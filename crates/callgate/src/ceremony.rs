//! Ceremonies with passkeys (`WebAuthn` level 3): making one, and proving by one that somebody is there. What a ceremony is
//! about is sealed for the browser between its two halves, bound to a session and to what is decided, so that a proof is good
//! for that and nothing else, whichever replica is asked next.

use std::time::Duration;

use callgate_gateway::sealing::Keyring;
use callgate_model::ambient::{Id, Timestamp};
use callgate_model::authority::{Passkey, Proof};
use callgate_model::digest::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use webauthn_rs::prelude::{
    Passkey as Credential, PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Url, Uuid, Webauthn, WebauthnBuilder,
};

/// How long a person has to touch their authenticator.
const WITHIN: Duration = Duration::from_secs(3 * 60);
const MAKING: &str = "passkey made";
const PROVING: &str = "passkey proof";

/// What ceremonies need.
#[derive(Debug)]
pub(crate) struct Ceremonies(Webauthn);

/// With what it is sealed, and for which session and what it is.
pub(crate) struct Sealing<'a> {
    pub(crate) keys: &'a Keyring,
    pub(crate) session: Id,
    /// What is decided by it.
    pub(crate) what: &'a str,
    pub(crate) now: Timestamp,
}

/// What a browser brings back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Brought<T> {
    state: String,
    credential: T,
}

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    until: Timestamp,
    state: T,
}

/// It is no proof, or a late one, or one of something else.
#[derive(Debug)]
pub(crate) struct Unproved;

impl Ceremonies {
    /// Of pages at `origin`. `None` if browsers come under an address: passkeys are of names (`WebAuthn` level 3, 5.1.2).
    pub(crate) fn at(origin: &str) -> Option<Self> {
        let origin = Url::parse(origin).ok()?;
        let name = origin.domain()?;
        let builder = WebauthnBuilder::new(name, &origin).ok()?;
        Some(Self(builder.rp_name("Callgate").timeout(WITHIN).build().ok()?))
    }

    /// Begins to make a passkey of `who`, who has these: what the browser is told.
    pub(crate) fn make(
        &self,
        sealing: &Sealing<'_>,
        who: &str,
        has: &[Passkey],
        random: [u8; 16],
    ) -> Option<Value> {
        // The same for each of one person's, and no name of theirs (`WebAuthn` level 3, 14.6.1).
        let digest = Digest::of(format!("passkeys of\0{who}").as_bytes());
        let handle = Uuid::from_bytes(*digest.as_bytes().first_chunk()?);
        let known = credentials(has).iter().map(|one| one.cred_id().clone()).collect();
        let begun = self.0.start_passkey_registration(handle, who, who, Some(known));
        let (options, state) = begun.map_err(told).ok()?;
        let sealed = sealing.seal::<PasskeyRegistration>(MAKING, state, random)?;
        Some(json!({ "state": sealed, "options": options }))
    }

    /// The passkey that was made, called `name`.
    pub(crate) fn made(
        &self,
        sealing: &Sealing<'_>,
        (who, name): (&str, &str),
        brought: &str,
    ) -> Result<Passkey, Unproved> {
        let brought: Brought<RegisterPublicKeyCredential> =
            serde_json::from_str(brought).map_err(|_unreadable| Unproved)?;
        let state: PasskeyRegistration = sealing.open(MAKING, &brought.state).ok_or(Unproved)?;
        let made = self.0.finish_passkey_registration(&brought.credential, &state);
        let made = made.map_err(told)?;
        let key = serde_json::to_string(&made).map_err(|_unwritable| Unproved)?;
        Ok(Passkey {
            id: id_of(made.cred_id().as_ref()),
            who: who.to_owned(),
            name: name.to_owned(),
            added: sealing.now,
            key_digest: Digest::of(key.as_bytes()),
            key,
            counter: 0,
        })
    }

    /// Begins to prove something by one of `has`: what the browser is told. `None` if there is none.
    pub(crate) fn prove(
        &self,
        sealing: &Sealing<'_>,
        has: &[Passkey],
        random: [u8; 16],
    ) -> Option<Value> {
        let has = credentials(has);
        if has.is_empty() {
            return None;
        }
        let begun = self.0.start_passkey_authentication(&has);
        let (options, state) = begun.map_err(told).ok()?;
        let sealed = sealing.seal::<PasskeyAuthentication>(PROVING, state, random)?;
        Some(json!({ "state": sealed, "options": options }))
    }

    /// By which passkey it was proved.
    pub(crate) fn proved(&self, sealing: &Sealing<'_>, brought: &str) -> Result<Proof, Unproved> {
        let brought: Brought<PublicKeyCredential> =
            serde_json::from_str(brought).map_err(|_unreadable| Unproved)?;
        let state: PasskeyAuthentication = sealing.open(PROVING, &brought.state).ok_or(Unproved)?;
        let proved = self.0.finish_passkey_authentication(&brought.credential, &state);
        let proved = proved.map_err(told)?;
        if !proved.user_verified() {
            return Err(Unproved);
        }
        Ok(Proof { passkey: id_of(proved.cred_id().as_ref()), counter: proved.counter() })
    }
}

impl Sealing<'_> {
    fn seal<T: Serialize>(&self, purpose: &str, state: T, random: [u8; 16]) -> Option<String> {
        let until = self.now.after_ms(u64::try_from(WITHIN.as_millis()).ok()?);
        let plain = serde_json::to_vec(&Sealed { until, state }).ok()?;
        self.keys.seal(purpose, self.bound().as_bytes(), &plain, random)
    }

    fn open<T: DeserializeOwned>(&self, purpose: &str, text: &str) -> Option<T> {
        let plain = self.keys.open(purpose, self.bound().as_bytes(), text)?;
        let Sealed { until, state } = serde_json::from_slice(&plain).ok()?;
        (until > self.now).then_some(state)
    }

    fn bound(&self) -> String {
        format!("{}\n{}", self.session, self.what)
    }
}

/// One that cannot be read proves nothing.
fn credentials(passkeys: &[Passkey]) -> Vec<Credential> {
    passkeys.iter().filter_map(|one| serde_json::from_str(&one.key).ok()).collect()
}

fn id_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an error is mapped with")]
fn told(error: webauthn_rs::prelude::WebauthnError) -> Unproved {
    tracing::info!(%error, "a passkey proves nothing");
    Unproved
}

#[cfg(test)]
mod tests {
    use callgate_model::ambient::Ambient as _;

    use super::*;
    use crate::ambient::Machine;

    #[test]
    fn a10_what_is_sealed_is_of_its_session_its_matter_and_its_time() {
        let keys = Keyring::of_secret("secret");
        let (session, other) = (Machine.id(), Machine.id());
        let now = Timestamp::from_unix_ms(1_000_000);
        let of = |session, what, now| Sealing { keys: &keys, session, what, now };
        let sealed = of(session, "approve", now).seal(PROVING, "state", [7; 16]).unwrap();
        let opened = |sealing: Sealing<'_>, purpose| sealing.open::<String>(purpose, &sealed);
        assert_eq!(opened(of(session, "approve", now), PROVING).as_deref(), Some("state"));
        let late = now.after_ms(u64::try_from(WITHIN.as_millis()).unwrap());
        for (sealing, purpose) in [
            (of(other, "approve", now), PROVING),
            (of(session, "grant", now), PROVING),
            (of(session, "approve", late), PROVING),
            (of(session, "approve", now), MAKING),
        ] {
            assert_eq!(opened(sealing, purpose), None);
        }
    }

    #[test]
    fn passkeys_are_of_names() {
        for good in ["https://gate.example", "http://localhost:8077"] {
            assert!(Ceremonies::at(good).is_some(), "{good}");
        }
        for bad in ["http://127.0.0.1:8077", "http://[::1]:8077", "gate.example", ""] {
            assert!(Ceremonies::at(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn i5_what_is_no_proof_proves_nothing() {
        let ceremonies = Ceremonies::at("https://gate.example").unwrap();
        let keys = Keyring::of_secret("secret");
        let now = Timestamp::from_unix_ms(1_000_000);
        let sealing = Sealing { keys: &keys, session: Machine.id(), what: "x", now };
        assert!(ceremonies.prove(&sealing, &[], [7; 16]).is_none(), "there is none to prove it by");
        for bad in ["", "{}", r#"{"state":"x","credential":{}}"#] {
            assert!(ceremonies.proved(&sealing, bad).is_err(), "{bad}");
            assert!(ceremonies.made(&sealing, ("carol", "key"), bad).is_err(), "{bad}");
        }
    }
}
