//! The options of commands about the evidence.

use std::path::PathBuf;

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::evidence::{Finding, Link};
use callgate_store::{Filter, LIST_MAX};
use clap::{Args, Subcommand};

use super::authority::{id, moment};
use super::{Check, WithConfig};
use crate::export::Format;
use crate::export::syslog::Framing;

#[derive(Debug, Subcommand)]
pub(crate) enum Evidence {
    /// List the newest calls, each with its outcome.
    List(Box<List>),
    /// Show all records of one call, and of the approval that it waited for or went by.
    Show(Show),
    /// Check all of the evidence in the store: every chain, every payload, every checkpoint, every call.
    Verify(Check),
    /// Write the whole log to a folder that `callgate-verify` checks, wherever it is and whoever has it.
    Tiles(Tiles),
    /// Write a folder for an auditor: the log that proves itself, the records of a period as tables, and a report that says what
    /// of it answers which control.
    Pack(Box<Pack>),
    /// List calls of which it is not known whether they took effect, and that nobody has settled.
    Open(Open),
    /// Say what became of such a call, when you have looked at the server. It is recorded beside the outcome.
    Settle(Settle),
    /// Erase what records say of somebody. That the records were there is proved all the same.
    Erase(Erase),
    /// Write records in a form that other tools read, oldest first.
    Export(Box<Export>),
    /// Write records in such a form as they come to be, until interrupted.
    Follow(Box<Follow>),
    /// Print the hashes of a value, by which `evidence list --hash` finds calls that had it. It is stored nowhere.
    Hash(Hash),
    /// Show how far those are to whom evidence goes: sinks, anchors and witnesses.
    Sinks(Check),
    /// Print the public keys by which checkpoints of the evidence are verified, or make a new key.
    Key(Key),
}

/// Options of `evidence list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// How many calls to list: the newest.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(LIST_MAX)))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Print JSON, one record a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which records: those that have everything that is named. Names are compared exactly.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Which {
    /// Only this decision: allow, deny or `approval_required`.
    #[arg(long)]
    pub(crate) decision: Option<String>,
    /// Only calls of this tool, as it was called.
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// Only calls that mean this operation.
    #[arg(long)]
    pub(crate) operation: Option<String>,
    /// Only calls to this server.
    #[arg(long)]
    pub(crate) server: Option<String>,
    /// Only calls for this human or service account; changes about them.
    #[arg(long)]
    pub(crate) human: Option<String>,
    /// Only calls by this agent, now or earlier in the chain.
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Only calls through this client.
    #[arg(long)]
    pub(crate) client: Option<String>,
    /// Only calls with this credential, by its id or its digest.
    #[arg(long)]
    pub(crate) credential: Option<String>,
    /// Only calls of this workflow run.
    #[arg(long)]
    pub(crate) workflow: Option<String>,
    /// Only calls for this ticket.
    #[arg(long)]
    pub(crate) ticket: Option<String>,
    /// Only decisions with this reason code.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Only decisions that this policy determined.
    #[arg(long)]
    pub(crate) policy: Option<String>,
    /// Only decisions that would be this if nothing were in shadow (allow, deny or `approval_required`), or that this policy
    /// would determine.
    #[arg(long)]
    pub(crate) would: Option<String>,
    /// Only calls on this target, or in this container: `acme/ENG-42`, `acme/ENG`.
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// Only what this approval is about.
    #[arg(long)]
    pub(crate) approval: Option<String>,
    /// Only what this grant is about.
    #[arg(long)]
    pub(crate) grant: Option<String>,
    /// Only changes by this operator or caller.
    #[arg(long)]
    pub(crate) by: Option<String>,
    /// Only calls that had a field of this hash.
    #[arg(long)]
    pub(crate) hash: Option<String>,
    /// Only calls of this W3C trace.
    #[arg(long)]
    pub(crate) trace: Option<String>,
    /// Only what happened at this moment or later: `2026-11-25T09:00:00Z`, or a day.
    #[arg(long, value_parser = moment)]
    pub(crate) from: Option<Timestamp>,
    /// Only what happened before this moment.
    #[arg(long, value_parser = moment)]
    pub(crate) to: Option<Timestamp>,
    /// In place of calls, what was given and taken back: tokens, grants, revocations, secrets.
    #[arg(long, conflicts_with_all = ["decision", "reason", "target"])]
    pub(crate) changes: bool,
}

impl Which {
    /// What a store understands of it.
    pub(crate) fn filter(&self) -> Filter {
        let with = [
            (Link::Verdict, &self.decision),
            (Link::Tool, &self.tool),
            (Link::Operation, &self.operation),
            (Link::Server, &self.server),
            (Link::Human, &self.human),
            (Link::Agent, &self.agent),
            (Link::Client, &self.client),
            (Link::Credential, &self.credential),
            (Link::Workflow, &self.workflow),
            (Link::Ticket, &self.ticket),
            (Link::Reason, &self.reason),
            (Link::Policy, &self.policy),
            (Link::Would, &self.would),
            (Link::Target, &self.target),
            (Link::Approval, &self.approval),
            (Link::Grant, &self.grant),
            (Link::By, &self.by),
            (Link::Hash, &self.hash),
            (Link::Trace, &self.trace),
            (Link::Kind, &self.changes.then(|| "change".to_owned())),
        ];
        let filter = Filter { since: self.from, until: self.to, ..Filter::default() };
        with.into_iter().fold(filter, |filter, (link, value)| filter.with(link, value.clone()))
    }
}

/// Options of `evidence show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The call's id.
    pub(crate) call: String,
    /// Print JSON, one record a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `evidence key`.
#[derive(Debug, Args)]
pub(crate) struct Key {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Print a new secret key for `evidence.keys`, for the log of this name: a web address without its scheme, that nobody
    /// else uses.
    #[arg(long, value_name = "NAME")]
    pub(crate) new: Option<String>,
}

/// Options of `evidence tiles`.
#[derive(Debug, Args)]
pub(crate) struct Tiles {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The folder; it must not be there yet.
    pub(crate) folder: PathBuf,
    /// Write the payloads only of what happened at this moment or later. All entries are written in any case.
    #[arg(long, value_parser = moment)]
    pub(crate) from: Option<Timestamp>,
    /// Write the payloads only of what happened before this moment.
    #[arg(long, value_parser = moment)]
    pub(crate) to: Option<Timestamp>,
}

/// Options of `evidence pack`.
#[derive(Debug, Args)]
pub(crate) struct Pack {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The folder; it must not be there yet.
    pub(crate) folder: PathBuf,
    /// When the period begins: `2026-11-01T00:00:00Z`, or a day.
    #[arg(long, value_parser = moment)]
    pub(crate) from: Timestamp,
    /// When it ends: what happened before this moment.
    #[arg(long, value_parser = moment)]
    pub(crate) to: Timestamp,
    /// How many decisions, and how many changes, are drawn and proved one by one.
    #[arg(long, value_name = "COUNT", default_value_t = 25, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(crate) sample: u32,
    /// By what they are drawn, in the place of the log's root: a text that the auditor chose, and nobody could know before.
    #[arg(long, value_name = "TEXT")]
    pub(crate) seed: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `evidence open`.
#[derive(Debug, Args)]
pub(crate) struct Open {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// How many calls to list: the newest.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(LIST_MAX)))]
    pub(crate) limit: u32,
    /// Reads as well, which took no effect in any case.
    #[arg(long)]
    pub(crate) all: bool,
    /// Print JSON, one record a line: the intent of each.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `evidence settle`.
#[derive(Debug, Args)]
pub(crate) struct Settle {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The call's id.
    #[arg(value_parser = id)]
    pub(crate) call: Id,
    /// What you found: `took_effect`, `no_effect` or `unknowable`.
    #[arg(long, value_parser = finding)]
    pub(crate) finding: Finding,
    /// How you know.
    #[arg(long)]
    pub(crate) note: String,
    /// A file with your own token; else it is read from standard input. Who settles has to be known.
    #[arg(long, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
}

fn finding(text: &str) -> Result<Finding, String> {
    Finding::parse(text).ok_or_else(|| "say `took_effect`, `no_effect` or `unknowable`".to_owned())
}

/// Options of `evidence erase`.
#[derive(Debug, Args)]
pub(crate) struct Erase {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Whose records: a human, a service account or whoever made a change, as they stand in records.
    #[arg(long)]
    pub(crate) subject: String,
    /// Why, without saying who it is: it is recorded.
    #[arg(long)]
    pub(crate) reason: String,
    /// Do it. Without it, only tell how many records there are.
    #[arg(long)]
    pub(crate) yes: bool,
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
    #[command(flatten)]
    pub(crate) which: Which,
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
    pub(crate) which: Which,
}

/// Options of `evidence hash`.
#[derive(Debug, Args)]
pub(crate) struct Hash {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The value; `-` reads it from standard input, so that it is in no history.
    pub(crate) value: String,
    /// It is JSON: a number, `true`, an object. Else it is a text.
    #[arg(long)]
    pub(crate) json: bool,
}
