//! What a store has to know of notices: what people are to be told, and whether they were.
//!
//! A notice comes to be with the record of the approval or the call that it is about, in its transaction: whatever crashes, nobody is forgotten. It
//! is sent by whoever takes it, and may be sent twice; its id tells.

use std::fmt::Debug;

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::Occasion;

use crate::evidence::StoreFuture;

/// The longest reason that is kept of an attempt that failed, in bytes.
pub const ERROR_BYTES_MAX: usize = 500;

/// The most notices that one channel is still to be sent. A call is let through that obliges to tell of it only while there is room.
pub const NOTICES_WAITING_MAX: u32 = 1_000;

/// The most notices that are sent once more in one go: there is room for others beside them.
pub const RETRIED_MAX: u32 = NOTICES_WAITING_MAX / 2;

/// A notice that somebody is to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its id.
    pub id: Id,
    /// The channel.
    pub channel: String,
    /// The approval that it is about, or the call.
    pub about: Id,
    /// When it is told.
    pub occasion: Occasion,
    /// Where one can decide or look, as whoever asked knew it.
    pub page: Option<String>,
    /// The attempt that this is; the first is 1.
    pub attempt: u32,
    /// Why the attempt before failed, if that is known.
    pub failure: Option<String>,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The channel has it.
    Delivered,
    /// It need not be told any more.
    Needless,
    /// It failed.
    Failed {
        /// Why.
        error: String,
        /// When it is tried again.
        again: Timestamp,
    },
}

/// What became of the notices of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelState {
    /// The channel.
    pub channel: String,
    /// How many it has.
    pub delivered: u64,
    /// How many it should have by now, and does not.
    pub waiting: u64,
    /// How many it will never have.
    pub given_up: u64,
    /// When the last was delivered.
    pub delivered_at: Option<Timestamp>,
    /// The last failure, and when that was.
    pub failure: Option<(String, Timestamp)>,
}

impl ChannelState {
    /// One that was to tell nothing yet.
    #[must_use]
    pub const fn new(channel: String) -> Self {
        Self { channel, delivered: 0, waiting: 0, given_up: 0, delivered_at: None, failure: None }
    }
}

/// What people are to be told.
pub trait NoticeStore: Debug + Send + Sync {
    /// The channels with notices that wait at `now`: how many are to be sent, and how many wait at all, since they failed or are
    /// being sent.
    fn notices_waiting(&self, now: Timestamp) -> StoreFuture<'_, Vec<(String, u32, u32)>>;

    /// Takes up to `limit` notices of `channel` that are to be sent at the first moment of `during`, those of approvals first. Until the second, nobody else gets
    /// them.
    fn take_notices<'a>(
        &'a self,
        channel: &'a str,
        during: (Timestamp, Timestamp),
        limit: u32,
    ) -> StoreFuture<'a, Vec<Taken>>;

    /// Writes down what became of an attempt; nothing, if somebody else has taken it since.
    fn settle_notice<'a>(
        &'a self,
        taken: &'a Taken,
        settled: Settled,
        at: Timestamp,
    ) -> StoreFuture<'a, ()>;

    /// Has what was given up of `channel` sent once more, from `at` on, the newest of it, [`RETRIED_MAX`] at most; how many that are.
    fn retry_notices<'a>(&'a self, channel: &'a str, at: Timestamp) -> StoreFuture<'a, u64>;

    /// What became of all, by channel.
    fn channels(&self, now: Timestamp) -> StoreFuture<'_, Vec<ChannelState>>;
}

/// As much of a reason as is kept.
pub(crate) fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(ERROR_BYTES_MAX)).unwrap_or(text)
}
