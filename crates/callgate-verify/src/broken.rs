//! Why it stops: what is broken, or cannot be read.

use callgate_model::evidence::audit;
use callgate_model::transparency::ProofError;
use thiserror::Error;

/// What is broken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Broken {
    /// The log itself.
    #[error(transparent)]
    Log(#[from] audit::Broken),
    /// A file is not what the others say that it is.
    #[error("{path}: expected {expected}, found {found}")]
    File {
        /// Its path in the export.
        path: String,
        /// The record that it is about, if it is about one.
        index: Option<u64>,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The end of the log is not there.
    #[error(
        "the log had {before} records when {path} was signed, and this export has {size}: its end was cut off, or it is an older export"
    )]
    CutOff {
        /// The checkpoint that was noted.
        path: String,
        /// How many records it is over.
        before: u64,
        /// How many there are.
        size: u64,
    },
    /// The same log was signed with two contents.
    #[error(
        "the log was rewritten: {path} was signed over its first {size} records, and they are others now; both are signed by the log, so the two together prove it ({expected} expected, {found} found)"
    )]
    Rewritten {
        /// The checkpoint that was noted.
        path: String,
        /// How many records it is over.
        size: u64,
        /// The root that was signed.
        expected: String,
        /// The root of the export.
        found: String,
    },
    /// A proof that shows nothing.
    #[error("the proof of record {index}: {error}")]
    Proof {
        /// The record.
        index: u64,
        /// Why.
        error: ProofError,
    },
}

impl Broken {
    /// A file that is not as it should be.
    pub(crate) fn file(path: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        let (expected, found) = (expected.into(), found.into());
        Self::File { path: path.to_owned(), index: None, expected, found }
    }
}

/// Why there is no report.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Stop {
    /// Something is broken.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It cannot be told, for something cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

impl From<audit::Broken> for Stop {
    fn from(broken: audit::Broken) -> Self {
        Self::Broken(broken.into())
    }
}
