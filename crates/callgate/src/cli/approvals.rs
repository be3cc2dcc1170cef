//! The options of `callgate approvals`.

use std::path::PathBuf;

use callgate_model::ambient::Id;
use callgate_model::approval::GlassVerdict;
use clap::{Args, Subcommand};

use super::WithConfig;
use super::authority::{Listing, id};

#[derive(Debug, Subcommand)]
pub(crate) enum Approvals {
    /// List what waits to be approved, or to be used.
    List(Listing),
    /// Show one: who asks for what, with the arguments that would be sent.
    Show(Show),
    /// Approve a call. It is let through once, as it was shown.
    Approve(Decide),
    /// Deny a call. It is not asked about again for a while.
    Deny(Decide),
    /// Say whether it was right that somebody broke the glass.
    Review(Review),
    /// The channels by which people are told: what each has, what waits, and why.
    Channels(Channels),
    /// How people decide: how often they approve, how fast, and which gates nobody ever denies.
    Habits(Habits),
}

/// Options of `approvals channels`.
#[derive(Debug, Args)]
pub(crate) struct Channels {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `approvals habits`.
#[derive(Debug, Args)]
pub(crate) struct Habits {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `approvals show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Its id.
    #[arg(value_name = "ID", value_parser = id)]
    pub(crate) id: Id,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `approvals review`.
#[derive(Debug, Args)]
pub(crate) struct Review {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Its id.
    #[arg(value_name = "ID", value_parser = id)]
    pub(crate) id: Id,
    /// Whether it was right.
    #[arg(long, value_parser = verdict)]
    pub(crate) verdict: GlassVerdict,
    /// What you found: it is recorded.
    #[arg(long)]
    pub(crate) note: String,
    /// A file with your own token; else it is read from standard input. Who reviews has to be known.
    #[arg(long, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn verdict(text: &str) -> Result<GlassVerdict, String> {
    GlassVerdict::parse(text).ok_or_else(|| "say `justified` or `not_justified`".to_owned())
}

/// Options of `approvals approve` and `deny`.
#[derive(Debug, Args)]
pub(crate) struct Decide {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Its id.
    #[arg(value_name = "ID", value_parser = id)]
    pub(crate) id: Id,
    /// The code that stands beside it wherever it is shown: that you decide about what you have seen.
    #[arg(long)]
    pub(crate) code: String,
    /// Grant what is offered beside the one call, too: as `show` spells it out.
    #[arg(long)]
    pub(crate) grant: bool,
    /// Why; it is recorded.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// A file with your own token; else it is read from standard input. Who decides has to be known.
    #[arg(long, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
