//! Ids of sessions that say what was agreed on, sealed for the caller whose session it is: whichever gateway has the keys goes on with
//! a session that another one began.

use callgate_mcp::era::LegacyVersion;
use callgate_model::ambient::{Ambient, Timestamp};
use callgate_model::digest::Digest;
use callgate_model::json::{Json, JsonLimits, Object, read};

use super::Agreed;
use crate::sealing::Keyring;

/// What they are sealed for.
const PURPOSE: &str = "session";
/// The longest that is given out: it comes with every request, among headers that have a limit in all.
const ID_BYTES_MAX: usize = 4_096;
/// How old a session may be that another gateway goes on with, in milliseconds.
const AGE_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// The id of a new session; nothing, if what was agreed on is too much for one.
pub(crate) fn seal(
    keys: &Keyring,
    caller: Digest,
    agreed: &Agreed,
    ambient: &dyn Ambient,
) -> Option<String> {
    let inside = Object::default()
        .with("version", agreed.version.as_str())
        .with("client", agreed.client_says.clone())
        .with("capabilities", agreed.capabilities.clone())
        .with("at", ambient.now().unix_ms());
    let inside = inside.to_text();
    let id = keys.seal(PURPOSE, caller.as_bytes(), inside.as_bytes(), ambient.random())?;
    (id.len() <= ID_BYTES_MAX).then_some(id)
}

/// What was agreed on in the session of `caller` with this id, if it is such a one and not too old.
pub(crate) fn open(keys: &Keyring, caller: Digest, id: &str, now: Timestamp) -> Option<Agreed> {
    if id.len() > ID_BYTES_MAX {
        return None;
    }
    let inside = keys.open(PURPOSE, caller.as_bytes(), id)?;
    let inside = read(&inside, &JsonLimits::of_bytes(inside.len())).ok()?;
    let at = Timestamp::from_unix_ms(inside.get("at")?.as_number()?.as_i64()?);
    if now.ms_since(at) > AGE_MS_MAX {
        return None;
    }
    Some(Agreed {
        version: LegacyVersion::parse(inside.get("version")?.as_str()?)?,
        client_says: inside.get("client").and_then(Json::as_str).map(str::to_owned),
        capabilities: inside.get("capabilities")?.as_object()?.clone(),
        log_level: None,
    })
}

#[cfg(test)]
mod tests {
    use callgate_store::testing::Ticking;

    use super::*;

    fn agreed() -> Agreed {
        Agreed {
            version: LegacyVersion::V2025_06_18,
            client_says: Some("inspector 1".to_owned()),
            capabilities: Object::default().with("sampling", Object::default()),
            log_level: None,
        }
    }

    #[test]
    fn i6_what_is_sealed_is_of_its_caller_its_keys_and_its_time() {
        let (ambient, other) = (Ticking::new(1), Ticking::new(2));
        let keys = Keyring::of_secret("one");
        let (alice, bob) = (Digest::of(b"alice"), Digest::of(b"bob"));
        let id = seal(&keys, alice, &agreed(), &ambient).unwrap();
        let now = ambient.now();
        assert_eq!(open(&Keyring::of_secret("one"), alice, &id, now), Some(agreed()));
        assert_eq!(open(&keys, bob, &id, now), None);
        assert_eq!(open(&Keyring::of_process(&other), alice, &id, now), None);
        assert_eq!(open(&keys, alice, &format!("{id}A"), now), None);
        assert!(open(&keys, alice, &id, now.after_ms(AGE_MS_MAX - 1_000)).is_some());
        assert_eq!(open(&keys, alice, &id, now.after_ms(AGE_MS_MAX + 1)), None);
    }

    #[test]
    fn i13_what_a_client_declares_at_length_is_in_no_id() {
        let capabilities = Object::default().with("experimental", "x".repeat(ID_BYTES_MAX));
        let long = Agreed { capabilities, ..agreed() };
        let keys = Keyring::of_secret("one");
        assert_eq!(seal(&keys, Digest::of(b"alice"), &long, &Ticking::new(1)), None);
    }
}
