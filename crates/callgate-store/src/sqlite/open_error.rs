//! Why a database could not be opened, and what an operator can do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::reserve::is_for_want_of_room;

/// Why a file could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file or its lock file cannot be made or read.
    #[error("cannot open `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process opens it and does not get done.
    #[error("`{}` is being opened by another process, which holds `{}`", path.display(), lock.display())]
    InUse {
        /// The database.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// Somebody has it open who would lose it.
    #[error("`{}` is in use: a gateway or another command has it open", path.display())]
    Written {
        /// Which.
        path: PathBuf,
    },
    /// There is no room for it.
    #[error("there is no room for `{}`: make room on its disk", path.display())]
    Full {
        /// Which.
        path: PathBuf,
    },
    /// It was written by a newer version of this program.
    #[error("`{}` has schema version {found}, and this program knows versions up to {known}", path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest version known.
        known: i64,
    },
    /// It is to be read, and has no evidence or an older version's.
    #[error("`{}` has schema version {found}, and only a gateway may bring it to version {known}", path.display())]
    Older {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// SQLite cannot use it.
    #[error("cannot use `{}` as an evidence database", path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
}

impl OpenError {
    /// What `source` says of the file `path`.
    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        if full.contains(&source.kind()) {
            Self::Full { path }
        } else {
            Self::File { path, source }
        }
    }

    /// What `source` says of the file whose lock whoever opens `path` has to have.
    pub(super) fn lock(path: &Path, lock: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::WouldBlock {
            Self::InUse { path: path.to_owned(), lock: lock.to_owned() }
        } else {
            Self::file(lock, source)
        }
    }

    /// What `source` says of the database `path`.
    pub(super) fn database(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        if is_for_want_of_room(&source) {
            Self::Full { path }
        } else {
            Self::Database { path, source }
        }
    }
}
