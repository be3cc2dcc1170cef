//! The options of `backup` and `restore`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::WithConfig;

/// Options of `backup`.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The file to make. Nothing is overwritten.
    #[arg(value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The backup.
    #[arg(value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// Put it in the place of the database that is there, which is kept beside it.
    #[arg(long)]
    pub(crate) force: bool,
    /// Leave these as they were at the time of the backup: say so only if you know that none was used or taken back since. May be
    /// given again.
    #[arg(long, value_name = "KIND")]
    pub(crate) keep: Vec<Keep>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a restore ends unless it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keep {
    /// Calls that wait, or were approved and not made.
    Approvals,
    /// Grants in force.
    Grants,
    /// Who is signed in to the console.
    Sessions,
    /// The gateway's own tokens.
    Tokens,
}

impl Keep {
    /// Its name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Approvals => "approvals",
            Self::Grants => "grants",
            Self::Sessions => "sessions",
            Self::Tokens => "tokens",
        }
    }
}
