//! Calls in several rounds: a server that needs more gives a state, and the client brings it back with what was asked for.
//!
//! The server cannot tell whose state it is, for every caller's calls come with the same credential. So the client is
//! given it sealed, for this caller and this very call, for a while; and every round is decided anew.

use std::sync::Arc;

use callgate_mcp::limits::REQUEST_STATE_BYTES_MAX;
use callgate_mcp::message::{InputRequired, Round};
use callgate_model::ambient::{Ambient, Id, Timestamp};
use callgate_model::digest::Digest;
use callgate_model::json::{Json, JsonLimits, Object, read};

use crate::sealing::Keyring;

/// How long a client may take for what it was asked, in milliseconds.
const ROUND_MS_MAX: u64 = 15 * 60 * 1000;
/// Rounds of one call; clients give up before.
const ROUNDS_MAX: i64 = 16;

/// What the states of rounds are sealed for.
const PURPOSE: &str = "round";

/// Seals states. With a key of the process, a call begins anew after a restart.
#[derive(Debug)]
pub struct Sealer(Arc<Keyring>);

/// Whose call it is, and which. A state is good for no other.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The caller.
    pub caller: Digest,
    /// The server.
    pub server: &'a str,
    /// The method.
    pub method: &'a str,
    /// The tool, prompt or resource.
    pub name: &'a str,
    /// The arguments.
    pub arguments: Digest,
}

/// A round that goes on from another one, or the first.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// The call of the first round.
    pub first: Option<Id>,
    /// The call of the round before this one.
    pub last: Option<Id>,
    count: i64,
}

impl Sealer {
    /// A sealer with these keys.
    #[must_use]
    pub const fn new(keys: Arc<Keyring>) -> Self {
        Self(keys)
    }

    /// Opens the state that a client brings back, and gives what the server is to be sent instead.
    ///
    /// # Errors
    /// For the caller, if it is not one of ours, not theirs, for another call, too old, or of one round too many.
    pub fn open(
        &self,
        binding: &Binding<'_>,
        now: Timestamp,
        round: Round,
    ) -> Result<(Round, Opened), &'static str> {
        let Some(sealed) = &round.state else { return Ok((round, Opened::default())) };
        let opened = self
            .0
            .open(PURPOSE, binding.to_text().as_bytes(), sealed)
            .and_then(|inside| Inside::read(&inside));
        let inside = opened.ok_or("`requestState` was not given to this caller for this call")?;
        if now.ms_since(inside.at) > ROUND_MS_MAX {
            return Err("`requestState` is too old: call again without it");
        }
        if inside.count >= ROUNDS_MAX {
            return Err("the call has taken too many rounds");
        }
        let round = Round { state: inside.state, responses: round.responses };
        Ok((
            round,
            Opened { first: Some(inside.first), last: Some(inside.last), count: inside.count },
        ))
    }

    /// What the client is asked for, with a sealed state whether or not the server gave one: so that every later round is
    /// bound.
    pub fn seal(
        &self,
        binding: &Binding<'_>,
        ambient: &dyn Ambient,
        opened: &Opened,
        call: Id,
        required: InputRequired,
    ) -> Option<InputRequired> {
        let first = opened.first.unwrap_or(call);
        let inside = Inside {
            state: required.state,
            first,
            last: call,
            count: opened.count + 1,
            at: ambient.now(),
        };
        let (binding, inside) = (binding.to_text(), inside.to_text());
        let state =
            self.0.seal(PURPOSE, binding.as_bytes(), inside.as_bytes(), ambient.random())?;
        // Longer than what would be taken back.
        (state.len() <= 2 * REQUEST_STATE_BYTES_MAX)
            .then_some(InputRequired { state: Some(state), requests: required.requests })
    }
}

impl Binding<'_> {
    fn to_text(self) -> String {
        Object::default()
            .with("caller", self.caller.to_string())
            .with("server", self.server)
            .with("method", self.method)
            .with("name", self.name)
            .with("arguments", self.arguments.to_string())
            .to_text()
    }
}

/// What a sealed state holds.
struct Inside {
    state: Option<String>,
    first: Id,
    last: Id,
    count: i64,
    at: Timestamp,
}

impl Inside {
    fn to_text(&self) -> String {
        Object::default()
            .with("state", self.state.clone())
            .with("first", self.first.to_string())
            .with("last", self.last.to_string())
            .with("count", self.count)
            .with("at", self.at.unix_ms())
            .to_text()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let inside = read(bytes, &JsonLimits::default()).ok()?;
        let id = |name| Id::parse(inside.get(name)?.as_str()?);
        let number = |name| inside.get(name).and_then(Json::as_number).and_then(|n| n.as_i64());
        Some(Self {
            state: inside.get("state")?.as_str().map(str::to_owned),
            first: id("first")?,
            last: id("last")?,
            count: number("count")?,
            at: Timestamp::from_unix_ms(number("at")?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_store::testing::Ticking;

    const BINDING: Binding<'static> = Binding {
        caller: Digest::new([1; 32]),
        server: "s",
        method: "tools/call",
        name: "t",
        arguments: Digest::new([2; 32]),
    };

    fn with_key(ambient: &Ticking) -> Sealer {
        Sealer::new(Arc::new(Keyring::of_process(ambient)))
    }

    fn round(state: &str) -> Round {
        Round { state: Some(state.to_owned()), responses: None }
    }

    fn sealed(sealer: &Sealer, ambient: &Ticking, opened: &Opened) -> String {
        let required = InputRequired { requests: None, state: Some("upstream's".into()) };
        let required = sealer.seal(&BINDING, ambient, opened, ambient.id(), required);
        required.unwrap().state.unwrap()
    }

    #[test]
    fn i6_a_state_is_good_for_its_caller_and_its_call_only() {
        let ambient = Ticking::new(1);
        let sealer = with_key(&ambient);
        let state = sealed(&sealer, &ambient, &Opened::default());
        assert!(!state.contains("upstream"));
        let (sent, opened) = sealer.open(&BINDING, ambient.now(), round(&state)).unwrap();
        assert_eq!(sent.state.as_deref(), Some("upstream's"));
        assert!(opened.first.is_some());
        for other in [
            Binding { caller: Digest::default(), ..BINDING },
            Binding { server: "other", ..BINDING },
            Binding { method: "prompts/get", ..BINDING },
            Binding { name: "other", ..BINDING },
            Binding { arguments: Digest::default(), ..BINDING },
        ] {
            assert!(sealer.open(&other, ambient.now(), round(&state)).is_err(), "{other:?}");
        }
        let another = with_key(&Ticking::new(2));
        assert!(another.open(&BINDING, ambient.now(), round(&state)).is_err());
    }

    #[test]
    fn a_state_that_was_changed_is_none() {
        let ambient = Ticking::new(1);
        let sealer = with_key(&ambient);
        let state = sealed(&sealer, &ambient, &Opened::default());
        for index in 0..state.len() {
            let mut changed = state.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(sealer.open(&BINDING, ambient.now(), round(&changed)).is_err(), "{index}");
        }
        for none in ["", "x", "upstream's", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(sealer.open(&BINDING, ambient.now(), round(none)).is_err(), "{none}");
        }
    }

    #[test]
    fn i13_a_state_ends_and_so_do_rounds() {
        let ambient = Ticking::new(1);
        let sealer = with_key(&ambient);
        let state = sealed(&sealer, &ambient, &Opened::default());
        let later =
            |ms: u64| Timestamp::from_unix_ms(ambient.now().unix_ms() + i64::try_from(ms).unwrap());
        assert!(sealer.open(&BINDING, later(ROUND_MS_MAX - 60_000), round(&state)).is_ok());
        let late = sealer.open(&BINDING, later(ROUND_MS_MAX + 60_000), round(&state));
        assert!(late.unwrap_err().contains("too old"));
        let mut opened = Opened::default();
        let first = loop {
            let state = sealed(&sealer, &ambient, &opened);
            match sealer.open(&BINDING, ambient.now(), round(&state)) {
                Ok((_, next)) => opened = next,
                Err(text) => break text,
            }
        };
        assert!(first.contains("too many rounds"));
        assert_eq!(opened.count, ROUNDS_MAX - 1);
    }
}
