//! What must survive a crash: evidence, and the authority that it says is in force.
//!
//! [`EvidenceStore`] is what a database has to do, [`SqliteStore`] does it; [`PostgresStore`] is for what replicas share. [`EvidenceLog`] stands before a store: it
//! seals events into its writer's hash chain and commits them in groups, so that waiting for the disk is shared. [`Checkpoints`]
//! makes the Merkle tree over what is committed, and signs it.
//!
//! It must not know MCP, policy or HTTP, and it decides nothing: what a failure means for a call is the gateway's.

#![expect(clippy::duplicate_mod, reason = "one text for both engines: see `sql`")]

#[cfg(test)]
#[macro_use]
mod engines;
#[macro_use]
mod sql;

mod authority;
mod checkpoints;
mod cursors;
mod evidence;
pub mod fail_point;
mod log;
mod notices;
mod postgres;
mod sessions;
mod sqlite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tree;

pub use authority::{
    AuthorityStore, GRANTS_TOGETHER_MAX, GrantState, PasskeyState, THINGS_MAX, TokenState,
};
pub use checkpoints::{CheckpointError, Checkpoints};
pub use cursors::{Cursor, CursorStore, Holder};
pub use evidence::{
    Applies, ERASED_TOGETHER_MAX, EvidenceStore, Filter, LIST_MAX, Row, StoreError, StoreFuture,
    Tally, unsettled_calls,
};
pub use log::{Counters, Durability, EvidenceError, EvidenceLimits, EvidenceLog, Recovery};
pub use notices::{
    ChannelState, ERROR_BYTES_MAX, NOTICES_WAITING_MAX, NoticeStore, RETRIED_MAX, Settled, Taken,
};
pub use postgres::{Address, PostgresError, PostgresStore};
pub use sessions::{LINKS_MAX, SESSIONS_MAX, SESSIONS_OF_ONE_MAX, SessionState, SessionStore};
pub use sqlite::{OpenError, SqliteStore, Vacated, copy, room_for_outcomes};
pub use tree::{KeptCheckpoint, LEVELS, TreeStore, hash_of, prove};

/// All that a gateway keeps, in one database.
pub trait Store: AuthorityStore + CursorStore + TreeStore {}

impl<S: AuthorityStore + CursorStore + TreeStore> Store for S {}

#[cfg(test)]
mod approving;
#[cfg(test)]
mod budgeting;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod finding;
#[cfg(test)]
mod following;
#[cfg(test)]
mod logged;
#[cfg(test)]
mod noticing;
#[cfg(test)]
mod settling;
#[cfg(test)]
mod signing_in;
#[cfg(test)]
mod standing;
