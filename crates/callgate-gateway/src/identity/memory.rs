//! Tokens that were accepted or refused before, so that not every request has them checked, or their issuer asked, again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use callgate_model::digest::Digest;
use tokio::time::Instant;

use super::Identified;
use super::issuer::Basis;

/// Tokens of either kind.
const TOKENS_MAX: usize = 10_000;
/// How long a token that its issuer does not know is not asked about again.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// Between two looks for what is of no use any more.
const SWEEP: Duration = Duration::from_secs(1);
/// Tokens that are looked at again at one time, if they are of one caller.
const TURNS: usize = 64;

/// A token that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    pub(super) identified: Arc<Identified>,
    pub(super) issuer: usize,
    pub(super) audiences: Vec<String>,
    pub(super) basis: Basis,
}

/// By the tokens' digests.
#[derive(Debug)]
pub(super) struct Memory {
    accepted: Mutex<Accepted>,
    refused: Mutex<HashMap<Digest, Instant>>,
    turns: Vec<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Accepted {
    tokens: HashMap<Digest, Remembered>,
    swept: Option<Instant>,
}

impl Default for Memory {
    fn default() -> Self {
        let turns = std::iter::repeat_with(tokio::sync::Mutex::default).take(TURNS).collect();
        Self { accepted: Mutex::default(), refused: Mutex::default(), turns }
    }
}

impl Memory {
    pub(super) fn get(&self, token: Digest) -> Option<Remembered> {
        self.accepted().tokens.get(&token).cloned()
    }

    /// Remembers a token. If there is no room, another is forgotten: first those of which `is_current` is no longer true.
    pub(super) fn put(
        &self,
        token: Digest,
        remembered: Remembered,
        is_current: impl Fn(&Remembered) -> bool,
    ) {
        let mut accepted = self.accepted();
        let is_full = accepted.tokens.len() >= TOKENS_MAX && !accepted.tokens.contains_key(&token);
        if is_full && accepted.swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            accepted.tokens.retain(|_, one| is_current(one));
            accepted.swept = Some(Instant::now());
        }
        if is_full && accepted.tokens.len() >= TOKENS_MAX {
            let any = accepted.tokens.keys().next().copied();
            any.and_then(|any| accepted.tokens.remove(&any));
        }
        accepted.tokens.insert(token, remembered);
    }

    pub(super) fn forget(&self, token: Digest) {
        self.accepted().tokens.remove(&token);
    }

    pub(super) fn is_refused(&self, token: Digest) -> bool {
        self.refused().get(&token).is_some_and(|at| at.elapsed() < REFUSED_FOR)
    }

    pub(super) fn refuse(&self, token: Digest) {
        let mut refused = self.refused();
        if refused.len() >= TOKENS_MAX {
            refused.clear();
        }
        refused.insert(token, Instant::now());
    }

    /// Held by the one who looks at a known token again, while others who come with it wait.
    pub(super) async fn turn(&self, token: Digest) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let first = token.as_bytes().first().copied().unwrap_or_default();
        let turn = self.turns.get(usize::from(first) % TURNS)?;
        Some(turn.lock().await)
    }

    fn accepted(&self) -> MutexGuard<'_, Accepted> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, HashMap<Digest, Instant>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ChainSpec;

    fn remembered() -> Remembered {
        let spec = ChainSpec { human: Some("alice".into()), ..ChainSpec::default() };
        let caller = spec.to_caller(Digest::default()).unwrap();
        Remembered {
            identified: Arc::new(Identified::new(caller)),
            issuer: 0,
            audiences: Vec::new(),
            basis: Basis::Answer(Instant::now()),
        }
    }

    #[test]
    fn i13_what_is_remembered_has_a_bound_and_the_newest_is_always_there() {
        let (memory, one) = (Memory::default(), remembered());
        let token = |number: usize| Digest::of(&number.to_be_bytes());
        for number in 0..TOKENS_MAX + 10 {
            memory.put(token(number), one.clone(), |_| true);
            assert!(memory.get(token(number)).is_some());
            memory.refuse(token(number));
            assert!(memory.is_refused(token(number)));
        }
        assert_eq!(memory.accepted().tokens.len(), TOKENS_MAX);
        assert!(memory.refused().len() <= TOKENS_MAX);
        memory.accepted().swept = None;
        memory.put(token(usize::MAX), one, |_| false);
        assert_eq!(memory.accepted().tokens.len(), 1, "what is of no use goes first");
    }
}
