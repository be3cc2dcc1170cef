//! What a store has to know of those who have signed in to the console.
//!
//! Sessions and links come to be, and end, with the records of [`crate::EvidenceStore::append`], in their transaction.

use std::fmt::Debug;

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::authority::{ConsoleSession, SignInLink};
use callgate_model::digest::Digest;

use crate::evidence::StoreFuture;

/// The most sessions at one time. Who signs in beyond that is turned away.
pub const SESSIONS_MAX: u32 = 10_000;
/// The most sessions of one person. Whoever signs in once more is signed out where they were for longest without a request.
pub const SESSIONS_OF_ONE_MAX: u32 = 10;
/// The most links that are good at one time.
pub const LINKS_MAX: u32 = 100;

/// A session, and when it was last used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionState {
    /// It.
    pub session: ConsoleSession,
    /// When there was a request last, as far as that was written down.
    pub seen: Timestamp,
}

/// Who has signed in.
pub trait SessionStore: Debug + Send + Sync {
    /// The session of a browser, by the digest of what it has. It may have ended by itself.
    fn session(&self, digest: Digest) -> StoreFuture<'_, Option<SessionState>>;

    /// The sessions that are good at `now`, the last used first, without what is sealed in them.
    fn sessions(&self, now: Timestamp) -> StoreFuture<'_, Vec<SessionState>>;

    /// Writes down that there was a request of a session.
    fn seen(&self, id: Id, at: Timestamp) -> StoreFuture<'_, ()>;

    /// The link by the digest of what is in it, if it was not used. It may have ended by itself.
    fn sign_in_link(&self, digest: Digest) -> StoreFuture<'_, Option<SignInLink>>;
}
