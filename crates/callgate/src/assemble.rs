//! From a configuration to a running gateway's parts. `check`, `serve`, `explain` and `policy test` go the same way.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use callgate_gateway::catalog::{self, Catalogs, NAMESPACE, ServerCatalog, Signers};
use callgate_gateway::identity::{Identities, Issuer, Registry};
use callgate_gateway::kept::ListLimits;
use callgate_gateway::pipeline::{Gateway, Settings};
use callgate_gateway::server::Server;
use callgate_gateway::shadow::{SHADOW_DAYS_MAX, Shadow};
use callgate_gateway::spans::Telemetry;
use callgate_mcp::inbound::HostRules;
use callgate_mcp::upstream::{Upstream, UpstreamConfig, UpstreamLimits};
use callgate_model::ambient::{Ambient, DAY_MS, Timestamp};
use callgate_model::caller::Caller;
use callgate_model::treatment::Treatments;
use callgate_model::vocabulary::Vocabulary;
use callgate_policy::{Bundle, Source, Tier};
use callgate_store::{EvidenceLimits, EvidenceLog, Store, room_for_outcomes};

use crate::ambient::Machine;
use crate::config::{At, CatalogFiles, Config, Places, Problem, Problems};
use crate::console::CONSOLE;
use crate::database;
use crate::desk::known_actions;
use crate::means::Means;
use crate::print::causes;

/// Everything that is checked before anything is opened.
pub(crate) struct Parts {
    /// The servers' catalogs by the servers' names.
    pub(crate) catalogs: BTreeMap<String, ServerCatalog>,
    /// What policies can name.
    pub(crate) vocabulary: Vocabulary,
    /// The policies.
    pub(crate) bundle: Bundle,
    /// By operation, what happens to fields of arguments on their way into the record, as the catalogs have it.
    pub(crate) records: BTreeMap<String, Treatments>,
}

/// Loads catalogs and policies, and finds every problem in them.
pub(crate) fn parts(config: &Config) -> Result<Parts, Problems> {
    let mut problems = Vec::new();
    let loaded = load_catalogs(&config.catalogs, &mut problems);
    let Some(loaded) = loaded else { return Err(Problems(problems)) };
    let mut catalogs = BTreeMap::new();
    for (name, server) in &config.servers {
        problems.extend(server.shadow.and_then(|shadow| too_long(name, shadow, Machine.now())));
        match loaded.for_server(name, &server.catalog, server.sites.clone()) {
            Ok(catalog) => drop(catalogs.insert(name.clone(), catalog)),
            Err(problem) => problems.push(Problem {
                place: format!("servers.{name}.catalog"),
                text: problem.to_string(),
                hint: None,
            }),
        }
    }
    for override_of in loaded.overrides() {
        tracing::warn!(
            file = override_of.file,
            catalog = override_of.catalog,
            tool = override_of.tool,
            "a catalog file gives a shipped tool or URI another meaning"
        );
    }
    let vocabulary = loaded.vocabulary().clone();
    config.issuers.iter().for_each(|issuer| unknown_names(issuer, &vocabulary, &mut problems));
    for unknown in config.approvals.owners.keys() {
        if !vocabulary.target_kinds.contains_key(&unknown.kind) {
            problems.push(Problem {
                place: "approvals.owners".to_owned(),
                text: format!("no catalog has things of the kind `{}`", unknown.kind),
                hint: None,
            });
        }
    }
    for unknown in config.recording.fields.keys() {
        if !vocabulary.operations.contains_key(unknown) {
            problems.push(Problem {
                place: format!("evidence.fields.{unknown:?}"),
                text: format!("no catalog has an operation `{unknown}`"),
                hint: Some("`callgate policy schema` prints every name".to_owned()),
            });
        }
    }
    let records = loaded.records();
    let loaded = load_bundle(&config.policies, &vocabulary);
    match loaded.and_then(|bundle| Means::of(config).suffice(bundle)) {
        Ok(bundle) if problems.is_empty() => {
            let records = records.clone();
            Ok(Parts { catalogs, vocabulary, bundle, records })
        }
        Ok(_) => Err(Problems(problems)),
        Err(found) => {
            problems.extend(found.0);
            Err(Problems(problems))
        }
    }
}

/// That policies would not be enforced for longer than they may not be. What has ended by now is no problem: they are.
fn too_long(server: &str, shadow: Shadow, now: Timestamp) -> Option<Problem> {
    let most = now.after_ms(SHADOW_DAYS_MAX * DAY_MS);
    (shadow.until > most).then(|| Problem {
        place: format!("servers.{server}.danger_shadow.until"),
        text: format!("it is more than {SHADOW_DAYS_MAX} days ahead"),
        hint: Some(format!("say {most} at the latest, and look again then")),
    })
}

/// What policies can name.
pub(crate) fn vocabulary(config: &Config) -> Result<Vocabulary, Problems> {
    let mut problems = Vec::new();
    let loaded = load_catalogs(&config.catalogs, &mut problems).ok_or(Problems(problems))?;
    Ok(loaded.vocabulary().clone())
}

/// What scopes are said to cover, and no catalog knows.
fn unknown_names(issuer: &Issuer, vocabulary: &Vocabulary, problems: &mut Vec<Problem>) {
    let known = known_actions(vocabulary);
    for (name, rule) in issuer.details() {
        let actions = rule.actions.values().flatten().filter(|action| !known.contains(*action));
        let kinds = Some(&rule.kind).filter(|kind| !vocabulary.target_kinds.contains_key(*kind));
        problems.extend(actions.chain(kinds).map(|unknown| Problem {
            place: format!("issuers.{}.details.{name:?}", issuer.name()),
            text: format!("no catalog knows `{unknown}`"),
            hint: Some("`callgate policy schema` prints every name".to_owned()),
        }));
    }
    for (scope, portion) in issuer.portions() {
        let actions = portion.actions.iter().filter(|action| !known.contains(*action));
        let kinds = portion.within.iter().map(|resource| &resource.kind);
        let kinds = kinds.filter(|kind| !vocabulary.target_kinds.contains_key(*kind));
        problems.extend(actions.chain(kinds).map(|unknown| Problem {
            place: format!("issuers.{}.envelope.{scope:?}", issuer.name()),
            text: format!("no catalog knows `{unknown}`"),
            hint: Some("`callgate policy schema` prints every name".to_owned()),
        }));
    }
}

/// Every problem of catalogs and policies, when the configuration that names them has its own.
pub(crate) fn problems_beside(places: &Places) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(loaded) = load_catalogs(&places.catalogs, &mut problems) {
        let found = load_bundle(&places.policies, loaded.vocabulary()).err();
        problems.extend(found.into_iter().flat_map(|found| found.0));
    }
    problems
}

fn load_catalogs(wanted: &CatalogFiles, problems: &mut Vec<Problem>) -> Option<Catalogs> {
    let mut texts = Vec::new();
    for file in &wanted.files {
        match std::fs::read_to_string(file) {
            Ok(text) => {
                problems.extend(unsigned(file, &text, &wanted.signers));
                texts.push((file.display().to_string(), text));
            }
            Err(error) => problems.push(unreadable(file, &error)),
        }
    }
    let texts: Vec<(&str, &str)> =
        texts.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
    match Catalogs::shipped(&texts) {
        Ok(catalogs) => Some(catalogs),
        Err(found) => {
            problems.extend(found.into_iter().map(|problem: catalog::Problem| Problem {
                place: format!("{}: {}", problem.file, problem.at),
                text: problem.message,
                hint: problem.hint,
            }));
            None
        }
    }
}

/// Why the catalog in `file` does not count, if it has to be signed: its signature is in a file beside it.
fn unsigned(file: &Path, text: &str, signers: &Signers) -> Option<Problem> {
    if signers.is_empty() {
        return None;
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push(".sig");
    let problem = |text: String| Problem {
        place: file.display().to_string(),
        text,
        hint: Some(format!("ssh-keygen -Y sign -n {NAMESPACE} -f KEY {}", file.display())),
    };
    match std::fs::read_to_string(&beside) {
        Ok(signature) => signers.check(text.as_bytes(), &signature).err().map(|error| {
            problem(format!("its signature, {}, does not count: {error}", beside.display()))
        }),
        Err(error) => {
            Some(problem(format!("its signature, {}, cannot be read: {error}", beside.display())))
        }
    }
}

/// Reads the policies of the three folders.
pub(crate) fn load_bundle(folder: &Path, vocabulary: &Vocabulary) -> Result<Bundle, Problems> {
    let sources = read_sources(folder)?;
    Bundle::load(vocabulary, &sources).map_err(|found| {
        let problem = |problem: callgate_policy::Problem| Problem {
            place: match problem.line {
                Some(line) => format!("{}:{line}", problem.source),
                None => problem.source,
            },
            text: problem.message,
            hint: problem.hint,
        };
        Problems(found.into_iter().map(problem).collect())
    })
}

fn read_sources(folder: &Path) -> Result<Vec<Source>, Problems> {
    let mut sources = Vec::new();
    let mut problems = Vec::new();
    if !folder.is_dir() {
        return Err(Problems::one(Problem {
            place: folder.display().to_string(),
            text: "is not a folder".to_owned(),
            hint: Some(
                "policies stand in its folders `guardrails`, `approvals` and `permits`".to_owned(),
            ),
        }));
    }
    for tier in [Tier::Guardrail, Tier::Approval, Tier::Permit] {
        for file in files_in(&folder.join(tier.folder()), "cedar") {
            match std::fs::read_to_string(&file) {
                Ok(text) => {
                    // The bundle puts the tier's folder before it.
                    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    sources.push(Source { tier, name, text });
                }
                Err(error) => problems.push(unreadable(&file, &error)),
            }
        }
    }
    if problems.is_empty() { Ok(sources) } else { Err(Problems(problems)) }
}

/// The files of a folder with this extension, sorted; none if there is no such folder.
pub(crate) fn files_in(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

fn unreadable(file: &Path, error: &std::io::Error) -> Problem {
    Problem {
        place: file.display().to_string(),
        text: format!("cannot be read: {error}"),
        hint: None,
    }
}

/// The servers, not yet asked anything.
pub(crate) fn servers(
    config: &mut Config,
    catalogs: &mut BTreeMap<String, ServerCatalog>,
) -> Result<Vec<Server>, String> {
    let mut servers = Vec::new();
    for (name, server) in std::mem::take(&mut config.servers) {
        let limits = UpstreamLimits {
            total: config.limits.upstream_time_max,
            response_bytes_max: config.limits.upstream_bytes_max,
            ..UpstreamLimits::default()
        };
        let era = server.era;
        let address = server.at.address();
        let upstream = match server.at {
            At::Command(program) => Upstream::of_program(program, limits, era),
            At::Url(url) => {
                let url = url.parse().map_err(|error| format!("servers.{name}.url: {error}"))?;
                Upstream::new(UpstreamConfig { url, limits, era })
                    .map_err(|error| format!("servers.{name}: {error}"))?
            }
        };
        let Some(catalog) = catalogs.remove(&name) else { continue };
        let limits = ListLimits::default();
        let made = Server::new(&name, upstream, catalog, server.broker, limits);
        let made = made
            .with_extensions(server.extensions)
            .approved_by(server.approved_by)
            .confirming_moves(server.confirms_moves)
            .in_shadow(server.shadow)
            .with_rest(server.rest);
        servers.push(match server.signer.zip(address) {
            Some((signer, to)) => made.with_assertion(signer, to),
            None => made,
        });
    }
    Ok(servers)
}

/// Opens the evidence store and makes the gateway with it. `port` is the one it really listens on.
pub(crate) async fn gateway(
    config: Config,
    parts: Parts,
    ambient: Arc<dyn Ambient>,
    port: u16,
) -> Result<(Arc<Gateway>, Arc<dyn Store>), String> {
    watched_gateway(config, parts, ambient, port, Telemetry::default()).await
}

/// The same, of whose requests something is to be known.
pub(crate) async fn watched_gateway(
    mut config: Config,
    parts: Parts,
    ambient: Arc<dyn Ambient>,
    port: u16,
    telemetry: Telemetry,
) -> Result<(Arc<Gateway>, Arc<dyn Store>), String> {
    let Parts { mut catalogs, bundle, records, .. } = parts;
    let servers = servers(&mut config, &mut catalogs)?;
    let exchanged = servers.iter().filter_map(Server::exchanges).map(str::to_owned).collect();
    let room = room_for_outcomes(config.limits.calls_in_flight_max);
    let store = database::open(&config.store, room).await?;
    let limits = EvidenceLimits {
        append_timeout: config.limits.evidence_time_max,
        ..EvidenceLimits::default()
    };
    let failed = |error: &dyn Error| format!("{}: {}", config.store, causes(error));
    let opening = EvidenceLog::open(Arc::<dyn Store>::clone(&store), Arc::clone(&ambient), limits);
    let (evidence, recovery) = opening.await.map_err(|error| failed(&error))?;
    let kept = Arc::clone(&store);
    let registry = Registry::open(store, ambient.now()).await.map_err(|error| failed(&error))?;
    for call in &recovery.indeterminate {
        tracing::warn!(%call, "a call of the last run has no outcome: marked indeterminate");
    }
    let settings = Settings {
        json: config.limits.json,
        resources: config.resources.clone(),
        hosts: hosts(&config, port),
        calls_in_flight_max: config.limits.calls_in_flight_max,
        reveal_denied_tools: config.reveal_denied_tools,
        streams: config.limits.streams,
        sealing: config.sealing.take(),
        signer: config.signer.take(),
        recording: std::mem::take(&mut config.recording).unless_said(records),
        telemetry,
        same_person: std::mem::take(&mut config.approvals.same_person),
        hold: config.approvals.hold,
        page_hold: config.approvals.page_hold,
        owners: std::mem::take(&mut config.approvals.owners),
        break_glass: std::mem::take(&mut config.approvals.break_glass),
        channels: config.channels.values().map(|channel| channel.rule.clone()).collect(),
        console: (port != 0).then(|| format!("{}{CONSOLE}", origin(&config, port))),
    };
    let identities = identities(config.danger_anonymous.as_deref(), config.tokens);
    let identities = identities.with_issuers(config.issuers).with_registry(registry);
    let identities = identities.keeping_tokens_of(exchanged).with_login(config.console.login);
    let gateway = Gateway::new(settings, servers, identities, bundle, evidence, ambient);
    Ok((Arc::new(gateway), kept))
}

pub(crate) fn identities(anonymous: Option<&str>, tokens: BTreeMap<String, Caller>) -> Identities {
    let anonymous = anonymous.and_then(|name| tokens.get(name)).map(|held| held.credential.digest);
    let identities = Identities::new(tokens.into_values().collect());
    match anonymous {
        Some(token) => identities.with_danger_anonymous(token),
        None => identities,
    }
}

/// The address under which people come, without a path.
pub(crate) fn origin(config: &Config, port: u16) -> String {
    let own = || format!("http://{}", SocketAddr::new(config.listen.ip(), port));
    config.resources.public_url.clone().unwrap_or_else(own)
}

/// The authorities under which a loopback listener may be addressed (DNS rebinding uses any other).
fn hosts(config: &Config, port: u16) -> HostRules {
    let loopback = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}"));
    let hosts = loopback.iter().chain(&config.hosts).map(String::as_str);
    HostRules::new(hosts, config.origins.iter().map(String::as_str))
}
