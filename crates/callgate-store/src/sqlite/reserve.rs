//! Room on the disk that is kept free for the outcomes of calls on their way, by a file that takes it meanwhile. When the disk
//! is full, the file is emptied, so that what has already happened can still be recorded; when there is room again, it is
//! filled anew.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;

use crate::evidence::StoreError;

/// SQLite takes the log of its commits from the beginning again when it is so many pages long.
pub(super) const WAL_PAGES: u64 = 4_000;
const PAGE_BYTES: u64 = 4_096;
/// What one outcome takes in that log, if it is committed alone, at most.
const COMMIT_BYTES_MAX: u64 = 24 * PAGE_BYTES;
/// What one outcome takes in the tables and their indexes, at most.
const OUTCOME_BYTES_MAX: u64 = 2 * PAGE_BYTES;
/// Room beside the reserve, without which it is not filled: it must not be what fills the disk.
const BESIDE_BYTES: u64 = 1 << 20;
const PIECE_BYTES: usize = 64 << 10;

/// What has to be free so that the outcomes of so many calls can be recorded, each alone in its commit.
#[must_use]
pub fn room_for_outcomes(calls: usize) -> u64 {
    let calls = u64::try_from(calls).unwrap_or(u64::MAX);
    let commits = calls.saturating_mul(COMMIT_BYTES_MAX).min(WAL_PAGES * PAGE_BYTES);
    calls.saturating_mul(OUTCOME_BYTES_MAX).saturating_add(commits)
}

/// A file that takes the room.
#[derive(Clone, Debug)]
pub(super) struct Reserve {
    pub(super) file: Arc<File>,
    pub(super) bytes: u64,
}

impl Reserve {
    /// Gives up the room.
    ///
    /// # Errors
    /// If the file cannot be emptied.
    pub(super) fn give_up(&self) -> io::Result<()> {
        self.file.set_len(0)
    }

    /// Takes all of the room, or none.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Writers`] if the file cannot be written.
    pub(super) fn take(&self) -> Result<(), StoreError> {
        if self.file.metadata()?.len() == self.bytes {
            return Ok(());
        }
        let disk = rustix::fs::fstatvfs(&*self.file).map_err(io::Error::from)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.bytes.saturating_add(BESIDE_BYTES) {
            return Err(StoreError::Full { wanted: self.bytes });
        }
        let filled = self.fill();
        if filled.is_err() {
            self.give_up()?;
        }
        Ok(filled?)
    }

    /// Fills the file with what a disk that compresses cannot make smaller.
    fn fill(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        let mut file = &*self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut left = self.bytes;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            while piece.len() < wanted {
                // Marsaglia's xorshift.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                piece.extend_from_slice(&state.to_le_bytes());
            }
            piece.truncate(wanted);
            file.write_all(&piece)?;
            left = left.saturating_sub(u64::try_from(wanted).unwrap_or(left));
        }
        Ok(())
    }
}

/// Whether that is for want of room: of blocks, of a quota, of how large a file may be.
pub(super) fn is_for_want_of_room(error: &sqlx::Error) -> bool {
    // SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_SHMSIZE.
    let codes = ["13", "778", "4874"];
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| codes.contains(&&*code))
}
