//! How far something is that takes long: on standard error, if that is a terminal, and only when it does take long.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// What is done sooner needs no word.
const PATIENCE: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(200);

/// How far it is.
pub(crate) struct Progress {
    of_what: &'static str,
    next: Instant,
    /// Whether anybody would see it.
    is_seen: bool,
    is_shown: bool,
}

impl Progress {
    /// It begins now.
    pub(crate) fn new(of_what: &'static str) -> Self {
        let is_seen = io::stderr().is_terminal();
        Self { of_what, next: Instant::now() + PATIENCE, is_seen, is_shown: false }
    }

    /// So many are done.
    pub(crate) fn tell(&mut self, done: u64, of: u64) {
        let now = Instant::now();
        if !self.is_seen || now < self.next {
            return;
        }
        self.next = now + EVERY;
        self.is_shown = true;
        let percent = done.saturating_mul(100) / of.max(1);
        write!(io::stderr().lock(), "\r{done} of {of} {}, {percent} % ", self.of_what).ok();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            writeln!(io::stderr().lock()).ok();
        }
    }
}
