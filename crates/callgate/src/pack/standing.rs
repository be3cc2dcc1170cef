//! What holds beside the records: the configuration, what tools are, and who may do too much. It is as it was when the pack was
//! made, not as it was in the period.

use std::collections::BTreeMap;
use std::sync::Arc;

use callgate_gateway::catalog::ServerCatalog;
use callgate_gateway::credential::{Broker, Own};
use callgate_gateway::pin::ApprovedBy;
use callgate_model::ambient::{DAY_MS, Timestamp};
use callgate_model::authority::ToolPin;
use callgate_model::vocabulary::{Effect, Vocabulary};
use callgate_policy::Bundle;
use callgate_store::{Store, StoreError};

use super::Gathered;
use super::elsewhere::{Elsewhere, Places};
use super::files::Files;
use crate::assemble::Parts;
use crate::cli::Failure;
use crate::config::{At, Config, ServerConfig};
use crate::keeping::Retention;
use crate::privilege::{Configured, Known, Report, Span, Usage};

pub(super) const TOOLS: &str = "tools.csv";
pub(super) const PRIVILEGE_CSV: &str = "privilege.csv";
pub(super) const PRIVILEGE_JSON: &str = "privilege.json";
/// What laws ask for at least: six months.
const KEPT_DAYS_MIN: u64 = 183;
const COLUMNS: &[&str] = &[
    "server",
    "catalog",
    "version",
    "tool",
    "operation",
    "title",
    "effect",
    "risk",
    "reversibility",
    "runs_others",
    "approved_by",
    "approved_digest",
    "approved_at",
];

/// It.
pub(crate) struct Standing {
    configured: Configured,
    rules: (Arc<Bundle>, Arc<Vocabulary>),
    catalogs: BTreeMap<String, ServerCatalog>,
    files: Vec<(String, Option<Timestamp>)>,
    pub(super) servers: BTreeMap<String, ServerFacts>,
    pub(super) facts: BTreeMap<&'static str, u64>,
    /// By server and tool.
    pins: BTreeMap<(String, String), ToolPin>,
    places: Places,
    pub(super) elsewhere: Elsewhere,
    pub(super) report: Report,
}

/// What the configuration says of a server.
pub(super) struct ServerFacts {
    pub(super) approved_by: ApprovedBy,
    /// Whether it is a command of ours.
    pub(super) is_local: bool,
    /// Whether it is called with a secret that stands.
    pub(super) has_standing_secret: bool,
}

impl Standing {
    /// Of a configuration and what belongs to it, and of the files of its secrets.
    pub(crate) fn of(
        config: &Config,
        parts: Parts,
        files: Vec<(String, Option<Timestamp>)>,
    ) -> Self {
        let Parts { catalogs, vocabulary, bundle, .. } = parts;
        let servers = config.servers.iter();
        let servers = servers.map(|(name, server)| (name.clone(), ServerFacts::of(server)));
        Self {
            configured: Configured::of(config),
            rules: (Arc::new(bundle), Arc::new(vocabulary)),
            catalogs,
            files,
            servers: servers.collect(),
            facts: facts(config),
            pins: BTreeMap::new(),
            places: Places::of(config),
            elsewhere: Elsewhere::default(),
            report: Report { holdings: Vec::new(), findings: Vec::new() },
        }
    }

    /// Looks at what is in force, and at what was used of it.
    pub(super) async fn look(
        &mut self,
        store: &dyn Store,
        usage: Usage,
        gathered: &Gathered,
    ) -> Result<(), Failure> {
        let unread =
            |error: StoreError| Failure::Other(format!("the store cannot be read: {error}"));
        let days = gathered.made.ms_since(gathered.period.from) / DAY_MS + 1;
        let days = u32::try_from(days).unwrap_or(u32::MAX);
        let span = Span { now: gathered.made, days, records_max: None, places_max: None };
        let rules = (Arc::clone(&self.rules.0), Arc::clone(&self.rules.1));
        let known = Known::of(usage, store, &self.configured, rules, span).await;
        let files = std::mem::take(&mut self.files);
        self.report = Known { files, ..known.map_err(unread)? }.report();
        let pins = store.pins().await.map_err(unread)?;
        let key = |pin: &ToolPin| (pin.of.server.clone(), pin.of.tool.clone());
        self.pins = pins.into_iter().map(|pin| (key(&pin), pin)).collect();
        let Gathered { period, counts, signed, .. } = gathered;
        let last = counts.last.map(|(index, _)| index);
        self.elsewhere = self.places.look(store, *period, last, signed.kept.size).await?;
        Ok(())
    }

    pub(super) fn write(&self, files: &Files) -> Result<(), Failure> {
        self.elsewhere.write(files)?;
        files.json(PRIVILEGE_JSON, &self.report.to_json())?;
        let lines = self.report.csv();
        files.text(PRIVILEGE_CSV, &format!("{}\n", lines.join("\n")))?;
        let mut table = files.table(TOOLS, COLUMNS)?;
        for row in self.tools() {
            table.row(&row)?;
        }
        table.flush()
    }

    fn pin(&self, server: &str, tool: &str) -> Option<&ToolPin> {
        self.pins.get(&(server.to_owned(), tool.to_owned()))
    }

    /// Each tool that a catalog knows, and each that was approved and that none knows.
    fn tools(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for (server, catalog) in &self.catalogs {
            let by = self.servers.get(server).map_or("", |facts| approver(facts.approved_by));
            let row = |tool: &str, class: [&str; 5], runs: String| {
                let pin = self.pin(server, tool);
                let about =
                    [server.as_str(), catalog.catalog_name(), &catalog.about().version, tool];
                let mut row: Vec<String> =
                    about.iter().chain(&class).map(|&text| text.to_owned()).collect();
                row.extend([
                    runs,
                    by.to_owned(),
                    pin.map(|pin| pin.digest.to_string()).unwrap_or_default(),
                    pin.map(|pin| pin.at.to_string()).unwrap_or_default(),
                ]);
                row
            };
            for (tool, rule) in catalog.catalog_tools() {
                let is = &rule.operation;
                let class = [
                    is.name.as_str(),
                    is.title.as_str(),
                    is.effect.as_str(),
                    rule.risk.as_str(),
                    is.reversibility.as_str(),
                ];
                rows.push(row(tool, class, String::new()));
            }
            for (tool, effects) in catalog.dispatchers() {
                let effects: Vec<&str> = effects.iter().map(|effect| effect.as_str()).collect();
                rows.push(row(tool, [""; 5], effects.join(" ")));
            }
            let is_unknown = |pin: &&ToolPin| {
                let tool = pin.of.tool.as_str();
                pin.of.server == *server
                    && catalog.rule(tool).is_none()
                    && catalog.dispatches(tool).is_none()
            };
            let unknown = self.pins.values().filter(is_unknown);
            rows.extend(unknown.map(|pin| row(&pin.of.tool, [""; 5], String::new())));
        }
        rows
    }

    /// How many tools are classified, and how many of them do something with more than read.
    pub(super) fn classified(&self) -> (u64, u64) {
        let tools = || self.catalogs.values().flat_map(ServerCatalog::catalog_tools);
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let changing = tools().filter(|(_, rule)| rule.operation.effect != Effect::Read);
        (count(tools().count()), count(changing.count()))
    }

    pub(super) fn pinned(&self) -> usize {
        self.pins.len()
    }

    /// How many things there are to look at, by the code of a finding.
    pub(super) fn findings(&self, code: &str) -> u64 {
        let all = self.report.holdings.iter().flat_map(|one| &one.findings);
        let all = all.chain(&self.report.findings).filter(|finding| finding.code == code);
        u64::try_from(all.count()).unwrap_or(u64::MAX)
    }

    /// Those that say something, of the secrets that servers are called with.
    pub(super) fn old_secrets(&self) -> u64 {
        u64::try_from(self.report.findings.len()).unwrap_or(u64::MAX)
    }
}

impl ServerFacts {
    const fn of(server: &ServerConfig) -> Self {
        Self {
            approved_by: server.approved_by,
            is_local: matches!(server.at, At::Command(_)),
            has_standing_secret: matches!(
                server.broker,
                Broker::Own(Own::Static(_)) | Broker::Personal(_)
            ),
        }
    }
}

const fn approver(by: ApprovedBy) -> &'static str {
    match by {
        ApprovedBy::Operator => "an operator, each tool",
        ApprovedBy::FirstUse => "whoever uses it first; changes by an operator",
        ApprovedBy::Nobody => "nobody",
    }
}

/// What the configuration says, counted.
fn facts(config: &Config) -> BTreeMap<&'static str, u64> {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    BTreeMap::from([
        ("issuers", count(config.issuers.len())),
        ("static_tokens", count(config.tokens.len())),
        ("channels", count(config.channels.keys().count())),
        ("anonymous", u64::from(config.danger_anonymous.is_some())),
        ("telemetry", u64::from(config.telemetry.is_some())),
        ("sealing", u64::from(config.sealing.is_some())),
        ("assertions", u64::from(config.signer.is_some())),
        ("catalogs_unsigned", unsigned(config)),
        ("owners", count(config.approvals.owners.len())),
        ("token_days_max", u64::from(config.token_rules.days_max)),
        ("token_idle_days", u64::from(config.token_rules.idle_days)),
        ("retention_short", short(&config.evidence.retention)),
        ("retention_limited", count(config.evidence.retention.len())),
        ("keys_configured", count(config.evidence.signers.len())),
        (
            "evidence_wait_ms",
            count(
                usize::try_from(config.limits.evidence_time_max.as_millis()).unwrap_or(usize::MAX),
            ),
        ),
        ("calls_in_flight_max", count(config.limits.calls_in_flight_max)),
        ("denied_tools_revealed", u64::from(config.reveal_denied_tools)),
    ])
}

/// The operator's own catalogs that nobody has to have signed.
fn unsigned(config: &Config) -> u64 {
    let files = if config.catalogs.signers.is_empty() { config.catalogs.files.len() } else { 0 };
    u64::try_from(files).unwrap_or(u64::MAX)
}

/// Kinds of records that are erased before laws let them.
fn short(retention: &Retention) -> u64 {
    let is_short = |kept_ms: &&u64| **kept_ms < KEPT_DAYS_MIN * DAY_MS;
    u64::try_from(retention.values().filter(is_short).count()).unwrap_or(u64::MAX)
}
