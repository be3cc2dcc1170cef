//! The options of commands about what would have been decided.

use std::path::PathBuf;

use callgate_model::ambient::Timestamp;
use clap::{Args, Subcommand, ValueEnum};

use super::WithConfig;
use super::authority::moment;

#[derive(Debug, Subcommand)]
pub(crate) enum Shadow {
    /// Sum up what would have been decided otherwise if nothing were in shadow: by caller, tool and policy.
    Report(ShadowReport),
}

/// Options of `replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The folder of the policies that recorded calls are decided by again, as `policies` in the configuration is.
    #[arg(long, value_name = "DIR")]
    pub(crate) candidate: PathBuf,
    #[command(flatten)]
    pub(crate) which: Period,
    /// End with exit code 1 if any call would be decided so.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    pub(crate) fail_on: Vec<FailOn>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a pipeline does not want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Calls that are newly denied.
    Denied,
    /// Calls that are newly allowed.
    Allowed,
    /// Calls that newly need an approval.
    Approval,
    /// Calls that others would be asked about.
    Others,
    /// Calls that could not be decided again.
    Unknown,
}

/// Options of `shadow report`.
#[derive(Debug, Args)]
pub(crate) struct ShadowReport {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    #[command(flatten)]
    pub(crate) which: Period,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which records.
#[derive(Debug, Args)]
pub(crate) struct Period {
    /// Only what was decided at this moment or later: `2026-11-25T09:00:00Z`, or a day.
    #[arg(long, value_parser = moment)]
    pub(crate) since: Option<Timestamp>,
    /// Only what was decided before this moment.
    #[arg(long, value_parser = moment)]
    pub(crate) until: Option<Timestamp>,
    /// Only the newest so many records of the log.
    #[arg(long, value_name = "RECORDS")]
    pub(crate) limit: Option<u64>,
    /// Records that `callgate evidence export --format jsonl` wrote, in place of those in the store; `-` for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "limit")]
    pub(crate) records: Option<PathBuf>,
}
