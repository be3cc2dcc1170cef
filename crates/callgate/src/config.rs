//! The configuration file: read whole, checked whole, every problem reported with its place.
//!
//! Only this module reads the environment and secret files.

mod approvals;
mod assertion;
mod budgets;
mod console;
mod credential;
mod elsewhere;
mod evidence;
mod issuer;
mod limits;
mod notify;
mod problems;
mod sealing;
mod section;
mod server;
mod store;
mod telemetry;
mod tokens;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use callgate_gateway::assertion::Signer;
use callgate_gateway::breaker::BreakerLimits;
use callgate_gateway::bulkhead::CallLimits;
use callgate_gateway::catalog::Signers;
use callgate_gateway::credential::Broker;
use callgate_gateway::identity::Issuer;
use callgate_gateway::listeners::StreamLimits;
use callgate_gateway::pin::ApprovedBy;
use callgate_gateway::recording::Recording;
use callgate_gateway::resource::Resources;
use callgate_gateway::sealing::Keyring;
use callgate_gateway::server::Rest;
use callgate_gateway::shadow::Shadow;
use callgate_mcp::upstream::{EraSetting, Program};
use callgate_model::budget::Budget;
use callgate_model::caller::Caller;
use callgate_model::digest::Digest;
use callgate_model::json::JsonLimits;
use callgate_model::products::atlassian::SiteMap;
use ipnet::IpNet;

use crate::notify::Channels;

pub(crate) use approvals::ApprovalRules;
pub(crate) use console::{ConsoleConfig, FIRST, Roles, local};
pub(crate) use evidence::EvidenceRules;
pub(crate) use problems::{Problem, Problems};
pub(crate) use sealing::IN_CONFIGURATION;
pub(crate) use server::{environment, is_protected};
pub(crate) use store::StoreConfig;
pub(crate) use telemetry::TelemetryConfig;

/// A configuration that makes sense.
#[derive(Debug)]
pub(crate) struct Config {
    /// Of the file's bytes.
    pub(crate) digest: Digest,
    /// Where it has something that weakens safety.
    pub(crate) dangers: Vec<String>,
    /// Where the gateway listens. Loopback.
    pub(crate) listen: SocketAddr,
    /// The address under which clients know the gateway.
    pub(crate) resources: Resources,
    /// Further `Host` values under which it may be addressed.
    pub(crate) hosts: Vec<String>,
    /// Web origins that may call it.
    pub(crate) origins: Vec<String>,
    /// The proxies whose word counts about where requests come from.
    pub(crate) proxies: Vec<IpNet>,
    /// The name of the token that requests without a credential are taken to have. Names one of `tokens`.
    pub(crate) danger_anonymous: Option<String>,
    /// Where everything is kept.
    pub(crate) store: StoreConfig,
    /// What is done with the evidence in it.
    pub(crate) evidence: EvidenceRules,
    /// What of arguments comes into it.
    pub(crate) recording: Recording,
    /// The folder with `guardrails`, `approvals`, `permits` and `cases`.
    pub(crate) policies: PathBuf,
    /// The operator's own catalogs.
    pub(crate) catalogs: CatalogFiles,
    /// How calls wait for approvals.
    pub(crate) approvals: ApprovalRules,
    /// The console.
    pub(crate) console: ConsoleConfig,
    /// Limits.
    pub(crate) limits: Limits,
    /// How much may happen within a while.
    pub(crate) budgets: Vec<Budget>,
    /// Whether a caller may learn of tools that it could never use.
    pub(crate) reveal_denied_tools: bool,
    /// The servers by name.
    pub(crate) servers: BTreeMap<String, ServerConfig>,
    /// By whom the gateway's statements are known.
    pub(crate) signer: Option<Arc<Signer>>,
    /// By which people are told of approvals.
    pub(crate) channels: Arc<Channels>,
    /// The keys by which secrets are sealed.
    pub(crate) sealing: Option<Arc<Keyring>>,
    /// Whose tokens are accepted.
    pub(crate) issuers: Vec<Issuer>,
    /// The files that secrets were read from.
    pub(crate) secret_files: Vec<PathBuf>,
    /// What tokens of the gateway's own may be.
    pub(crate) token_rules: TokenRules,
    /// The callers of `danger_static_tokens`, by the token's name.
    pub(crate) tokens: BTreeMap<String, Caller>,
    /// How to log.
    pub(crate) log: LogConfig,
    /// Where traces and metrics go, if anywhere.
    pub(crate) telemetry: Option<Box<TelemetryConfig>>,
}

/// Catalogs beside those that are part of the program.
#[derive(Debug)]
pub(crate) struct CatalogFiles {
    pub(crate) files: Vec<PathBuf>,
    /// If there are any, one of them has to have signed each file.
    pub(crate) signers: Signers,
}

/// Where the things are that have problems of their own.
#[derive(Debug)]
pub(crate) struct Places {
    /// The operator's own catalogs.
    pub(crate) catalogs: CatalogFiles,
    /// The folder of policies.
    pub(crate) policies: PathBuf,
}

/// A server to call.
#[derive(Debug)]
pub(crate) struct ServerConfig {
    /// Where it is.
    pub(crate) at: At,
    /// The catalog that says what its tools do.
    pub(crate) catalog: String,
    /// Its era, if it should not be found out.
    pub(crate) era: EraSetting,
    /// Extensions that it may be told of, beside those that are known.
    pub(crate) extensions: Vec<String>,
    /// What it is called with.
    pub(crate) broker: Broker,
    /// Who tells it that calls went through the gate, if somebody does.
    pub(crate) signer: Option<Arc<Signer>>,
    /// Who approves its tools.
    pub(crate) approved_by: ApprovedBy,
    /// Whether it is asked where an issue is before that is changed, even if its key tells: it may have been moved.
    pub(crate) confirms_moves: bool,
    /// Until when policies are not enforced for it, if they are not.
    pub(crate) shadow: Option<Shadow>,
    /// Where its sites' products can be asked themselves.
    pub(crate) rest: Rest,
    /// The sites behind it.
    pub(crate) sites: SiteMap,
    /// Calls in progress there.
    pub(crate) calls_max: usize,
    /// When it is left alone.
    pub(crate) breaker: BreakerLimits,
}

/// Where a server is.
#[derive(Debug)]
pub(crate) enum At {
    /// A child of ours.
    Command(Program),
    /// At a URL.
    Url(String),
}

impl At {
    /// Its address, if it has one.
    pub(crate) fn address(&self) -> Option<String> {
        match self {
            Self::Command(_) => None,
            Self::Url(url) => Some(url.clone()),
        }
    }
}

/// Limits that an operator may change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of one request body.
    pub(crate) json: JsonLimits,
    /// Calls in progress.
    pub(crate) calls: CallLimits,
    /// Open connections.
    pub(crate) connections_max: usize,
    /// Open streams of those who listen for changes.
    pub(crate) streams: StreamLimits,
    /// For a whole request to arrive.
    pub(crate) request_time_max: Duration,
    /// For a server to answer a call.
    pub(crate) upstream_time_max: Duration,
    /// Longest answer of a server, in bytes.
    pub(crate) upstream_bytes_max: usize,
    /// What is remembered of what was counted in budgets.
    pub(crate) budget_marks_max: usize,
    /// For evidence to become durable.
    pub(crate) evidence_time_max: Duration,
    /// For others to hear that the gateway stops.
    pub(crate) leave_time: Duration,
    /// For calls on their way to finish then.
    pub(crate) drain_time_max: Duration,
}

/// What tokens of the gateway's own may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenRules {
    /// How many days one lasts, if nothing else is said.
    pub(crate) days: u32,
    /// How many days one lasts at most.
    pub(crate) days_max: u32,
    /// After how many days without a use it is good no more, if nothing else is said.
    pub(crate) idle_days: u32,
}

/// How to log.
#[derive(Clone, Debug)]
pub(crate) struct LogConfig {
    /// One JSON object a line, instead of text.
    pub(crate) json: bool,
    /// A filter as `tracing-subscriber` reads it.
    pub(crate) filter: String,
}

impl Config {
    /// Reads the file at `path`.
    pub(crate) fn load(path: &Path) -> Result<Self, Problems> {
        Self::parse(&read(path)?, path)
    }

    /// Where catalogs and policies are, by the file at `path`, however wrong the rest of it is.
    pub(crate) fn places(path: &Path) -> Option<Places> {
        section::Reader::new(&read(path).ok()?, path).ok()?.places()
    }

    /// Reads the file at `path`, in which `command` takes the place of where `server` is: what a client would have started
    /// itself, with all that its configuration put into the environment.
    pub(crate) fn load_around(
        path: &Path,
        server: &str,
        command: &[String],
    ) -> Result<Self, Problems> {
        let text = read(path)?;
        let mut reader = section::Reader::new(&text, path)?;
        reader.narrow(server, command);
        let config = reader.config();
        reader.finish(config)
    }

    /// Reads `text`, which stands in the file at `path`; relative paths are relative to its folder.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, Problems> {
        let mut reader = section::Reader::new(text, path)?;
        let config = reader.config();
        reader.finish(config)
    }
}

fn read(path: &Path) -> Result<String, Problems> {
    std::fs::read_to_string(path).map_err(|error| {
        Problems::one(Problem {
            place: path.display().to_string(),
            text: format!("cannot be read: {error}"),
            hint: Some("name the file with `--config`".to_owned()),
        })
    })
}

#[cfg(test)]
pub(crate) mod tests;
