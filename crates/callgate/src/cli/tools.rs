//! The options of commands about servers' tools.

use clap::{Args, Subcommand};

use super::WithConfig;

#[derive(Debug, Subcommand)]
pub(crate) enum Tools {
    /// List every tool of every server: what it does, how bad a wrong call is, what it touches, and whether it is approved.
    List(List),
    /// Show one tool: who classified it and why, where its targets are, what the server says of it.
    Show(OneTool),
    /// Say in words what has changed since tools were approved.
    Diff(List),
    /// Propose what tools do that no catalog knows, as a start for a catalog of your own. A proposal is never in force.
    Classify(Classify),
    /// Approve tools as their server defines them now.
    Pin(Pin),
    /// Approve tools no more.
    Unpin(Unpin),
}

/// Options of `tools list` and `tools diff`.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The server; else all of them.
    #[arg(value_name = "SERVER")]
    pub(crate) server: Option<String>,
    /// Print JSON, a line for each tool.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `tools show`.
#[derive(Debug, Args)]
pub(crate) struct OneTool {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The server.
    #[arg(value_name = "SERVER")]
    pub(crate) server: String,
    /// The tool.
    #[arg(value_name = "TOOL")]
    pub(crate) tool: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `tools classify`.
#[derive(Debug, Args)]
pub(crate) struct Classify {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The server.
    #[arg(value_name = "SERVER")]
    pub(crate) server: String,
    /// Tools; else all that no catalog knows.
    #[arg(value_name = "TOOL")]
    pub(crate) tools: Vec<String>,
}

/// Options of `tools pin`.
#[derive(Debug, Args)]
pub(crate) struct Pin {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The server.
    #[arg(value_name = "SERVER")]
    pub(crate) server: String,
    /// The tools. One that has changed has to be named.
    #[arg(value_name = "TOOL", required_unless_present = "new")]
    pub(crate) tools: Vec<String>,
    /// Every tool that was never approved.
    #[arg(long, conflicts_with = "tools")]
    pub(crate) new: bool,
}

/// Options of `tools unpin`.
#[derive(Debug, Args)]
pub(crate) struct Unpin {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The server.
    #[arg(value_name = "SERVER")]
    pub(crate) server: String,
    /// The tools.
    #[arg(value_name = "TOOL", required = true)]
    pub(crate) tools: Vec<String>,
}
