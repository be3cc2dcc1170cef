//! What a store has to know of those who send evidence elsewhere: how far each has come.
//!
//! A cursor moves after the other side has taken something, so what is sent twice is possible and what is left out is not. Any
//! number of processes may want to send for one cursor: whoever takes it is the one, for a while.

use std::fmt::Debug;

use callgate_model::ambient::{Id, Timestamp};

use crate::evidence::StoreFuture;

/// How far somebody has come who sends evidence elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Whose it is.
    pub name: String,
    /// What is sent next: what is before it was taken.
    pub next: u64,
    /// When it moved.
    pub moved_at: Option<Timestamp>,
    /// Why the last attempt failed, and when that was; nothing, if it did not.
    pub failure: Option<(String, Timestamp)>,
}

/// Who is to send, and from when until when they have the cursor for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub id: Id,
    /// Now.
    pub since: Timestamp,
    /// From then on others may take it, too.
    pub until: Timestamp,
}

/// How far those have come who send evidence elsewhere.
pub trait CursorStore: Debug + Send + Sync {
    /// Every cursor, by name.
    fn cursors(&self) -> StoreFuture<'_, Vec<Cursor>>;

    /// One of them.
    fn cursor<'a>(&'a self, name: &'a str) -> StoreFuture<'a, Option<Cursor>>;

    /// Takes the cursor for `holder`, or holds it for longer; one that is not there yet begins with `begin`. Nothing, if somebody
    /// else has it.
    fn take_cursor<'a>(
        &'a self,
        name: &'a str,
        holder: Holder,
        begin: u64,
    ) -> StoreFuture<'a, Option<Cursor>>;

    /// Moves the cursor to `next`: everything before that was taken. `false`: somebody else has it by now, and it was not moved.
    fn move_cursor<'a>(
        &'a self,
        name: &'a str,
        holder: Id,
        next: u64,
        at: Timestamp,
    ) -> StoreFuture<'a, bool>;

    /// Writes down why an attempt failed; nothing, if somebody else has the cursor by now.
    fn fail_cursor<'a>(
        &'a self,
        name: &'a str,
        holder: Id,
        error: &'a str,
        at: Timestamp,
    ) -> StoreFuture<'a, ()>;

    /// Leaves the cursor to others at once.
    fn leave_cursor<'a>(&'a self, name: &'a str, holder: Id) -> StoreFuture<'a, ()>;
}
