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
    /// It goes on from no server, but from the gateway, where it waits for an approval.
    pub waited: Option<Waited>,
    count: i64,
}

/// How a client was told that its call waits for an approval, if that takes rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waited {
    /// Whether it was to show the page where the call can be approved.
    pub page: bool,
    /// Whether that was declined. That it was accepted means nothing (A06).
    pub declined: bool,
    /// How often it was sent to come back since.
    pub returns: i64,
}

/// The key under which a client is to show the page.
pub const PAGE: &str = "approval";

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
        let Inside { state, responses, first, last, count, waited, .. } = inside;
        let waited = waited.map(|waited| Waited { declined: declines(&round), ..waited });
        // What the client brings back is for the gateway then; what the server is to be given it brought before.
        let responses = if waited.is_some() { responses } else { round.responses };
        let opened = Opened { first: Some(first), last: Some(last), waited, count };
        Ok((Round { state, responses }, opened))
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
        let round = Round { state: required.state, responses: None };
        let state = self.seal_inside(binding, ambient, (opened, call), (&round, None))?;
        Some(InputRequired { state: Some(state), requests: required.requests })
    }

    /// The state of a call that waits for an approval; `round` is what its server is to be given once it is approved.
    pub fn seal_wait(
        &self,
        binding: &Binding<'_>,
        ambient: &dyn Ambient,
        at: (&Opened, Id),
        round: &Round,
        waited: Waited,
    ) -> Option<String> {
        self.seal_inside(binding, ambient, at, (round, Some(waited)))
    }

    fn seal_inside(
        &self,
        binding: &Binding<'_>,
        ambient: &dyn Ambient,
        (opened, call): (&Opened, Id),
        (round, waited): (&Round, Option<Waited>),
    ) -> Option<String> {
        let inside = Inside {
            state: round.state.clone(),
            responses: round.responses.clone(),
            first: opened.first.unwrap_or(call),
            last: call,
            count: opened.count + 1,
            at: ambient.now(),
            waited,
        };
        let (binding, inside) = (binding.to_text(), inside.to_text());
        let state =
            self.0.seal(PURPOSE, binding.as_bytes(), inside.as_bytes(), ambient.random())?;
        // Longer than what would be taken back.
        (state.len() <= 2 * REQUEST_STATE_BYTES_MAX).then_some(state)
    }
}

/// Whether the page was not shown.
fn declines(round: &Round) -> bool {
    let answer = round.responses.as_ref().and_then(|responses| responses.get(PAGE)?.get("action"));
    matches!(answer.and_then(Json::as_str), Some("cancel" | "decline"))
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
    responses: Option<Object>,
    first: Id,
    last: Id,
    count: i64,
    at: Timestamp,
    waited: Option<Waited>,
}

impl Inside {
    fn to_text(&self) -> String {
        let waited = self.waited.map(|waited| {
            Object::default().with("page", waited.page).with("returns", waited.returns)
        });
        Object::default()
            .with("state", self.state.clone())
            .with("responses", self.responses.clone())
            .with("first", self.first.to_string())
            .with("last", self.last.to_string())
            .with("count", self.count)
            .with("at", self.at.unix_ms())
            .with("waited", waited)
            .to_text()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let inside = read(bytes, &JsonLimits::default()).ok()?;
        let id = |name| Id::parse(inside.get(name)?.as_str()?);
        let number = |from: &Json, name| from.get(name).and_then(Json::as_number)?.as_i64();
        let waited = inside.get("waited").filter(|waited| waited.as_object().is_some());
        let waited = waited.and_then(|waited| {
            let page = waited.get("page")?.as_bool()?;
            Some(Waited { page, declined: false, returns: number(waited, "returns")? })
        });
        Some(Self {
            state: inside.get("state")?.as_str().map(str::to_owned),
            responses: inside.get("responses")?.as_object().cloned(),
            first: id("first")?,
            last: id("last")?,
            count: number(&inside, "count")?,
            at: Timestamp::from_unix_ms(number(&inside, "at")?),
            waited,
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
