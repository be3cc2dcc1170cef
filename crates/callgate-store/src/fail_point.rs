//! Points on the way of a call at which a test can have the process end, as a crash would. In a build without the feature
//! `fail-points`, as every build for users is, passing one does nothing.
//!
//! The variable `CALLGATE_FAIL_POINT` names a file. While there is one, it says at which point and at which passage:
//! `intent_written 1`.

/// A point on the way of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Who calls is known.
    Identified,
    /// What is called is read.
    Read,
    /// It is allowed.
    Decided,
    /// What the intent takes is taken, in its transaction.
    Claimed,
    /// The intent is written and not yet committed.
    IntentWritten,
    /// The intent is committed, and nobody knows.
    IntentCommitted,
    /// There is a permit, and nothing is sent.
    Permitted,
    /// The server's answer is there.
    Answered,
    /// The outcome is written and not yet committed.
    OutcomeWritten,
    /// The outcome is committed, and nobody knows.
    OutcomeCommitted,
}

/// Passes `point`, with so many calls at once.
#[cfg(not(feature = "fail-points"))]
pub const fn pass(_point: Point, _calls: usize) {}

#[cfg(feature = "fail-points")]
pub use armed::pass;

#[cfg(feature = "fail-points")]
mod armed {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::Point;

    /// What must not happen before this point gets so long to happen nevertheless.
    const TEMPTATION: Duration = Duration::from_millis(150);

    /// Calls that have passed the point at which it ends.
    static PASSED: AtomicUsize = AtomicUsize::new(0);

    /// Passes `point`, with so many calls at once; or ends the process, without unwinding or flushing anything.
    pub fn pass(point: Point, calls: usize) {
        let Some((name, passage)) = armed() else { return };
        if calls == 0 || name != name_of(point) {
            return;
        }
        if PASSED.fetch_add(calls, Ordering::Relaxed) + calls >= passage {
            std::thread::sleep(TEMPTATION);
            std::process::abort();
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a test has no configuration to tell by")]
    fn armed() -> Option<(String, usize)> {
        let file = std::env::var("CALLGATE_FAIL_POINT").ok()?;
        let text = std::fs::read_to_string(file).ok()?;
        let (name, passage) = text.trim().split_once(' ')?;
        Some((name.to_owned(), passage.parse().ok()?))
    }

    const fn name_of(point: Point) -> &'static str {
        match point {
            Point::Identified => "identified",
            Point::Read => "read",
            Point::Decided => "decided",
            Point::Claimed => "claimed",
            Point::IntentWritten => "intent_written",
            Point::IntentCommitted => "intent_committed",
            Point::Permitted => "permitted",
            Point::Answered => "answered",
            Point::OutcomeWritten => "outcome_written",
            Point::OutcomeCommitted => "outcome_committed",
        }
    }
}
