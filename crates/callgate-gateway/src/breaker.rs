//! A server that does not answer is left alone for a while, so that nobody waits for it, and nothing is spent on calls that come to
//! nothing. After that, one call at a time finds out whether it answers again.
//!
//! Only what is no answer counts: whatever a server says, that a tool failed or that it refuses, it is there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use callgate_mcp::upstream::{CallError, CallErrorKind};

/// When a server is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerLimits {
    /// After how many calls without an answer, one after the other; never, if that is 0.
    pub failures_max: u32,
    /// For how long.
    pub pause: Duration,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self { failures_max: 5, pause: Duration::from_secs(10) }
    }
}

/// What is known of whether one server answers.
#[derive(Debug)]
pub struct Breaker {
    limits: BreakerLimits,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// One after the other.
    failures: u32,
    /// Since when it is left alone.
    left_alone: Option<Instant>,
    /// Whether a call is on its way that finds out.
    is_probed: bool,
}

/// The call that finds out whether a server answers again. When this is dropped, another one may.
#[derive(Debug)]
pub struct Probe(Arc<Mutex<State>>);

/// The server is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftAlone;

impl Breaker {
    /// Nothing is known yet, so it is asked.
    #[must_use]
    pub fn new(limits: BreakerLimits) -> Self {
        Self { limits, state: Arc::default() }
    }

    /// Whether the server may be called; perhaps as the one call that finds out.
    ///
    /// # Errors
    /// [`LeftAlone`].
    pub fn admit(&self) -> Result<Option<Probe>, LeftAlone> {
        self.admit_at(Instant::now())
    }

    /// Takes what came of a call that was sent.
    pub fn heard<T>(&self, answered: &Result<T, CallError>) {
        self.heard_at(Instant::now(), !answered.as_ref().is_err_and(is_silence));
    }

    /// Whether the server is left alone, or only asked by one call at a time.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state().left_alone.is_some()
    }

    fn admit_at(&self, now: Instant) -> Result<Option<Probe>, LeftAlone> {
        let mut state = self.state();
        let Some(since) = state.left_alone else { return Ok(None) };
        if state.is_probed || now.saturating_duration_since(since) < self.limits.pause {
            return Err(LeftAlone);
        }
        state.is_probed = true;
        Ok(Some(Probe(Arc::clone(&self.state))))
    }

    fn heard_at(&self, now: Instant, is_answer: bool) {
        let mut state = self.state();
        if is_answer {
            (state.failures, state.left_alone) = (0, None);
            return;
        }
        state.failures = state.failures.saturating_add(1);
        let is_too_much =
            self.limits.failures_max > 0 && state.failures >= self.limits.failures_max;
        // What was sent before it was left alone says nothing new.
        if is_too_much && (state.left_alone.is_none() || state.is_probed) {
            state.left_alone = Some(now);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_probed = false;
    }
}

/// Whether that is no answer of the server, or that of somebody before it who cannot reach it. What a single call can bring about at
/// a server that works (an answer that is too large, or none of MCP) is not.
fn is_silence(error: &CallError) -> bool {
    match error.kind {
        CallErrorKind::Connect(_) | CallErrorKind::Timeout => true,
        CallErrorKind::Status(status) => (500..=599).contains(&status),
        CallErrorKind::NotMcp(_) | CallErrorKind::TooLarge | CallErrorKind::Unauthorized => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(10);

    fn breaker(failures_max: u32) -> Breaker {
        Breaker::new(BreakerLimits { failures_max, pause: PAUSE })
    }

    #[test]
    fn a_server_is_left_alone_after_so_many_calls_without_an_answer_one_after_the_other() {
        let (breaker, now) = (breaker(3), Instant::now());
        for answered in [false, false, true, false, false] {
            breaker.heard_at(now, answered);
            assert!(breaker.admit_at(now).is_ok());
        }
        breaker.heard_at(now, false);
        assert_eq!(breaker.admit_at(now).unwrap_err(), LeftAlone);
        assert!(breaker.is_open());
        // Those that were on their way neither prolong nor shorten it.
        breaker.heard_at(now + PAUSE / 2, false);
        assert!(breaker.admit_at(now + PAUSE).unwrap().is_some());
    }

    #[test]
    fn one_call_at_a_time_finds_out_whether_it_answers_again() {
        let (breaker, now) = (breaker(1), Instant::now());
        breaker.heard_at(now, false);
        let later = now + PAUSE;
        let probe = breaker.admit_at(later).unwrap().unwrap();
        assert_eq!(breaker.admit_at(later).unwrap_err(), LeftAlone);
        breaker.heard_at(later, false);
        drop(probe);
        // It is left alone for as long again.
        assert!(breaker.admit_at(later + PAUSE / 2).is_err());
        let probe = breaker.admit_at(later + PAUSE).unwrap().unwrap();
        // A call that was given up says nothing: the next one finds out.
        drop(probe);
        let probe = breaker.admit_at(later + PAUSE).unwrap().unwrap();
        breaker.heard_at(later + PAUSE, true);
        assert!(breaker.admit_at(later + PAUSE).unwrap().is_none());
        drop(probe);
        assert!(!breaker.is_open());
    }

    #[test]
    fn what_a_server_says_is_never_silence() {
        let error = |kind| CallError { sent: true, kind };
        for kind in [
            CallErrorKind::NotMcp(String::new()),
            CallErrorKind::Status(404),
            CallErrorKind::Status(429),
            CallErrorKind::TooLarge,
            CallErrorKind::Unauthorized,
        ] {
            assert!(!is_silence(&error(kind.clone())), "{kind:?}");
        }
        let none = [CallErrorKind::Connect(String::new()), CallErrorKind::Timeout];
        for kind in none.into_iter().chain([500, 502, 503, 504].map(CallErrorKind::Status)) {
            assert!(is_silence(&error(kind.clone())), "{kind:?}");
        }
    }

    #[test]
    fn zero_leaves_no_server_alone() {
        let (breaker, now) = (breaker(0), Instant::now());
        (0..100).for_each(|_| breaker.heard_at(now, false));
        assert!(breaker.admit_at(now).unwrap().is_none());
    }
}
