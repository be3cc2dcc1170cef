//! What a store has to know of the authority that is in force: tokens, grants, revocations.
//!
//! Nothing here changes it. It changes with the records of [`crate::EvidenceStore::append`], in their transaction.

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::ApprovalState;
use callgate_model::authority::{ApiToken, Grant, Passkey, Revocation, ToolPin, UpstreamSecret};
use callgate_model::budget::Marked;
use callgate_model::digest::Digest;

use crate::evidence::StoreFuture;
use crate::notices::NoticeStore;
use crate::sessions::SessionStore;

/// The most things that a list returns of which some have ended.
pub const THINGS_MAX: u32 = 10_000;
/// The most grants in force that one holder has for one place: so many are looked through for a call.
pub const GRANTS_TOGETHER_MAX: u32 = 64;

/// A token and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenState {
    /// It.
    pub token: ApiToken,
    /// When it ends; earlier than it says of itself, if it was rotated.
    pub ends: Timestamp,
    /// When it was taken back.
    pub revoked: Option<Timestamp>,
    /// When it was last used, as far as that was written down.
    pub used: Option<Timestamp>,
}

/// A grant and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantState {
    /// It.
    pub grant: Grant,
    /// For how many more calls it is.
    pub left: u32,
    /// When it was taken back.
    pub revoked: Option<Timestamp>,
}

/// A passkey, and when it was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyState {
    /// It, with how often it says it was used.
    pub passkey: Passkey,
    /// When it was last used.
    pub used: Option<Timestamp>,
}

/// What is in force.
pub trait AuthorityStore: NoticeStore + SessionStore {
    /// A number that is another one after each change of what is in force.
    fn version(&self) -> StoreFuture<'_, u64>;

    /// The tokens that were not taken back and have not ended at `now`; if it is not given, the newest of all, [`THINGS_MAX`] at
    /// most.
    fn tokens(&self, now: Option<Timestamp>) -> StoreFuture<'_, Vec<TokenState>>;

    /// The token of that id.
    fn token(&self, id: Id) -> StoreFuture<'_, Option<TokenState>>;

    /// The revocations that were not lifted.
    fn revocations(&self) -> StoreFuture<'_, Vec<Revocation>>;

    /// The grants in force at `now` of any of these holders for any of these places, those that end first before others.
    /// See [`callgate_model::authority::Holder::keys_of`] and [`Grant::places_of`].
    fn grants_of<'a>(
        &'a self,
        holders: &'a [String],
        places: &'a [String],
        now: Timestamp,
    ) -> StoreFuture<'a, Vec<Grant>>;

    /// The grant of that id.
    fn grant(&self, id: Id) -> StoreFuture<'_, Option<GrantState>>;

    /// All grants, newest first; with `now`, only those that are in force, or will be.
    fn grants(&self, now: Option<Timestamp>) -> StoreFuture<'_, Vec<GrantState>>;

    /// The secrets that persons have for servers, sealed.
    fn secrets(&self) -> StoreFuture<'_, Vec<UpstreamSecret>>;

    /// The tools that are approved, as they were when they were.
    fn pins(&self) -> StoreFuture<'_, Vec<ToolPin>>;

    /// The newest approval of the call with this binding.
    fn approval_for(&self, binding: Digest) -> StoreFuture<'_, Option<ApprovalState>>;

    /// The approval that this call took, and no later one has taken over.
    fn approval_taken_by(&self, call: Id) -> StoreFuture<'_, Option<ApprovalState>>;

    /// The approval of that id.
    fn approval(&self, id: Id) -> StoreFuture<'_, Option<ApprovalState>>;

    /// What counts at `now` under `key` in a budget that all replicas share.
    fn budget_marks(&self, key: Digest, now: Timestamp) -> StoreFuture<'_, Vec<Marked>>;

    /// The approvals for which somebody broke the glass and that nobody has reviewed, the oldest first, [`THINGS_MAX`] at most.
    fn to_review(&self) -> StoreFuture<'_, Vec<ApprovalState>>;

    /// Approvals, newest first, [`THINGS_MAX`] at most; with `now`, only those that can be decided or used.
    fn approvals(&self, now: Option<Timestamp>) -> StoreFuture<'_, Vec<ApprovalState>>;

    /// Approvals whose time is over at `now`, and of which no record says so yet; [`THINGS_MAX`] at most.
    fn approvals_to_expire(&self, now: Timestamp) -> StoreFuture<'_, Vec<Id>>;

    /// The passkeys of `who`, or of everybody, the oldest first; [`THINGS_MAX`] at most.
    fn passkeys<'a>(&'a self, who: Option<&'a str>) -> StoreFuture<'a, Vec<PasskeyState>>;

    /// Writes down when tokens were last used.
    fn used<'a>(&'a self, uses: &'a [(Id, Timestamp)]) -> StoreFuture<'a, ()>;
}
