//! The options of commands that find records in the evidence, and write them for other tools.

use std::path::PathBuf;

use callgate_model::ambient::Timestamp;
use callgate_store::Filter;
use clap::Args;

use super::WithConfig;
use super::authority::moment;
use crate::export::Format;
use crate::export::syslog::Framing;

/// Which records. What is not named does not matter.
#[derive(Debug, Args)]
pub(crate) struct Filters {
    /// Only this decision: allow, deny or `approval_required`.
    #[arg(long)]
    pub(crate) decision: Option<String>,
    /// Only calls of this tool, as it was called.
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// Only calls for this human or service account.
    #[arg(long)]
    pub(crate) human: Option<String>,
    /// Only calls by this agent.
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Only calls through this client.
    #[arg(long)]
    pub(crate) client: Option<String>,
    /// Only decisions with this reason code.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Only calls on this target, or in this container: `acme/ENG-42`, `acme/ENG`.
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// In place of calls, what was given and taken back: tokens, grants, revocations, secrets.
    #[arg(long, conflicts_with_all = ["decision", "tool", "human", "agent", "client", "reason", "target"])]
    pub(crate) changes: bool,
}

impl From<Filters> for Filter {
    fn from(filters: Filters) -> Self {
        let Filters { decision, tool, human, agent, client, reason, target, changes } = filters;
        Self {
            kind: changes.then(|| "change".to_owned()),
            verdict: decision,
            tool,
            accountable: human,
            agent,
            client,
            reason,
            target,
            ..Self::default()
        }
    }
}

/// How records are written.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Form {
    /// The form of a line; else `jsonl`, or `cef` in syslog messages.
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Put each line into a syslog message (RFC 5424), and frame these so.
    #[arg(long, value_enum, value_name = "FRAMING")]
    pub(crate) syslog: Option<Framing>,
}

/// Options of `evidence export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    #[command(flatten)]
    pub(crate) form: Form,
    /// Only what happened at this moment or later: 2026-11-01T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) from: Option<Timestamp>,
    /// Only what happened before this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) to: Option<Timestamp>,
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// Write to this file, which must not be there yet; else to standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Options of `evidence follow`.
#[derive(Debug, Args)]
pub(crate) struct Follow {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    #[command(flatten)]
    pub(crate) form: Form,
    #[command(flatten)]
    pub(crate) filters: Filters,
}
