//! The real clock, the operating system's randomness, and what the machine is called.

use callgate_model::ambient::{Ambient, Timestamp};
use time::OffsetDateTime;

/// The name of this machine.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The machine we run on.
#[derive(Debug)]
pub(crate) struct Machine;

impl Ambient for Machine {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        Timestamp::from_unix_ms(i64::try_from(now).unwrap_or_default())
    }

    #[expect(
        clippy::panic,
        reason = "without randomness nothing can be named or bound safely; the operating system failed"
    )]
    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => bytes,
            Err(error) => panic!("the operating system gives no randomness: {error}"),
        }
    }
}
