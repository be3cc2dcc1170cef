//! From TOML to a configuration, section by section, so that a fault in one does not hide those of the others.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use callgate_gateway::catalog::Signers;
use callgate_gateway::identity::{ChainSpec, Issuer};
use callgate_gateway::resource::Resources;
use callgate_gateway::sealing::Keyring;
use callgate_model::caller::Caller;
use callgate_model::digest::Digest;
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problems::place_in;
use super::server::is_protected;
use super::{CatalogFiles, Config, LogConfig, Places, Problem, Problems};

const SECTIONS: &[&str] = &[
    "answers",
    "approvals",
    "assertion",
    "budgets",
    "catalogs",
    "console",
    "danger_static_tokens",
    "evidence",
    "issuers",
    "limits",
    "listen",
    "log",
    "notify",
    "policies",
    "sealing",
    "servers",
    "store",
    "telemetry",
    "tokens",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listen {
    address: SocketAddr,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    origins: Vec<String>,
    #[serde(default)]
    proxies: Vec<String>,
    danger_anonymous: Option<String>,
    public_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answers {
    #[serde(default)]
    reveal_denied_tools: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policies {
    folder: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogs {
    #[serde(default)]
    files: Vec<PathBuf>,
    #[serde(default)]
    signers: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    format: Option<String>,
    filter: Option<String>,
}

#[derive(Deserialize)]
struct RawToken {
    name: String,
    sha256: String,
    #[serde(flatten)]
    rest: toml::Table,
}

/// A configuration file being read.
pub(super) struct Reader {
    file: String,
    folder: PathBuf,
    digest: Digest,
    table: toml::Table,
    problems: Vec<Problem>,
    /// The files that secrets were read from.
    pub(super) secret_files: RefCell<Vec<PathBuf>>,
    /// What opens those that are sealed.
    pub(super) keys: Option<Arc<Keyring>>,
}

impl Reader {
    pub(super) fn new(text: &str, path: &Path) -> Result<Self, Problems> {
        let file = path.display().to_string();
        let table = toml::from_str::<toml::Table>(text).map_err(|error| {
            Problems::one(Problem {
                place: place_in(&file, text, &error),
                text: format!("not TOML: {}", error.message()),
                hint: None,
            })
        })?;
        let folder = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        Ok(Self {
            file,
            folder,
            digest: Digest::of(text.as_bytes()),
            table,
            problems: Vec::new(),
            secret_files: RefCell::default(),
            keys: None,
        })
    }

    /// Leaves only `server`, and replaces where it is by `command`, if there is one, with our whole environment. The secrets
    /// of the others are not even read.
    pub(super) fn narrow(&mut self, server: &str, command: &[String]) {
        let servers = self.table.get_mut("servers").and_then(toml::Value::as_table_mut);
        // A server that is not there is found missing later.
        let Some(servers) = servers.filter(|servers| servers.contains_key(server)) else { return };
        servers.retain(|name, _| name == server);
        let section = servers.get_mut(server).and_then(toml::Value::as_table_mut);
        if let Some(section) = section.filter(|_| !command.is_empty()) {
            section.remove("url");
            section.remove("credential");
            section.remove("assertion");
            section.insert("command".to_owned(), command.to_vec().into());
            section.insert("inherit".to_owned(), vec!["*"].into());
        }
    }

    /// The configuration, if every section could be read.
    pub(super) fn config(&mut self) -> Option<Config> {
        self.unknown_sections();
        let listen: Option<Listen> =
            self.required("listen", "[listen]\n  address = \"127.0.0.1:8077\"");
        let policies: Option<Policies> =
            self.required("policies", "[policies]\n  folder = \"policies\"");
        let catalogs: Option<Catalogs> = self.optional("catalogs");
        let answers: Option<Answers> = self.optional("answers");
        let limits = self.limits();
        let log = self.log();
        let public_url = listen.as_ref().and_then(|listen| self.public_url(listen));
        let sealing = self.sealing();
        self.keys.clone_from(&sealing);
        let store = self.store();
        let signer = self.signer(public_url.as_deref());
        let telemetry = self.telemetry();
        let channels = self.channels();
        let (evidence, recording) = self.evidence().unzip();
        let approvals = self.approvals(&channels);
        let servers = self.servers(signer.as_ref());
        let budgets = self.budgets();
        let token_rules = self.token_rules();
        let (listen, tokens) = (listen?, self.tokens());
        let issuers = self.issuers(public_url.is_some());
        self.anybody(&tokens, &issuers);
        let console = self.console(&issuers, public_url.as_deref());
        let proxies = self.networks("listen.proxies", &listen.proxies);
        let listen = self.loopback(listen, &tokens, public_url.as_deref());
        self.anonymous(&listen, &tokens);
        let mut dangers = Vec::new();
        dangers_in(&self.table, "", &mut dangers);
        Some(Config {
            digest: self.digest,
            dangers,
            listen: listen.address,
            resources: Resources { public_url },
            hosts: listen.hosts,
            origins: listen.origins,
            proxies,
            danger_anonymous: listen.danger_anonymous,
            store: store?,
            evidence: evidence?,
            recording: recording?,
            policies: self.relative(&policies?.folder),
            catalogs: self.catalogs(&catalogs?),
            approvals: approvals?,
            console: console?,
            limits: limits?,
            budgets,
            reveal_denied_tools: answers?.reveal_denied_tools,
            servers,
            signer,
            channels: Arc::new(channels),
            sealing,
            issuers,
            secret_files: self.secret_files.take(),
            token_rules: token_rules?,
            tokens,
            log: log?,
            telemetry: telemetry?,
        })
    }

    pub(super) fn places(&mut self) -> Option<Places> {
        let catalogs: Catalogs = self.optional("catalogs")?;
        let policies: Policies = self.required("policies", "")?;
        Some(Places {
            catalogs: self.catalogs(&catalogs),
            policies: self.relative(&policies.folder),
        })
    }

    pub(super) fn finish(self, config: Option<Config>) -> Result<Config, Problems> {
        match config {
            Some(config) if self.problems.is_empty() => Ok(config),
            Some(_) | None => Err(Problems(self.problems)),
        }
    }

    fn unknown_sections(&mut self) {
        let unknown: Vec<String> =
            self.table.keys().filter(|key| !SECTIONS.contains(&key.as_str())).cloned().collect();
        for key in unknown {
            self.problem(
                &key,
                "there is no such section",
                Some(format!("known: {}", SECTIONS.join(", "))),
            );
        }
    }

    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &str, example: &str) -> Option<T> {
        if !self.table.contains_key(name) {
            self.problem(name, "this section is missing", Some(example.to_owned()));
            return None;
        }
        self.read(name, self.table.get(name).cloned()?)
    }

    pub(super) fn optional<T: DeserializeOwned + Default>(&mut self, name: &str) -> Option<T> {
        match self.table.get(name).cloned() {
            Some(value) => self.read(name, value),
            None => Some(T::default()),
        }
    }

    pub(super) fn read<T: DeserializeOwned>(
        &mut self,
        place: &str,
        value: toml::Value,
    ) -> Option<T> {
        match value.try_into::<T>() {
            Ok(read) => Some(read),
            Err(error) => {
                self.problem(place, error.message(), None);
                None
            }
        }
    }

    /// Static tokens are for development: they may not be reachable from elsewhere, be it through a proxy. Nor may anything
    /// be that is not behind TLS.
    fn loopback(
        &mut self,
        mut listen: Listen,
        tokens: &BTreeMap<String, Caller>,
        public_url: Option<&str>,
    ) -> Listen {
        let is_https = public_url.is_some_and(|url| url.starts_with("https://"));
        if !listen.address.ip().is_loopback() && (!tokens.is_empty() || !is_https) {
            let hint = "listen on 127.0.0.1 or [::1]; or have no `danger_static_tokens`, and a `public_url` with https, where TLS ends before the gateway";
            self.problem("listen.address", "is not a loopback address", Some(hint.to_owned()));
        }
        let is_elsewhere = public_url
            .and_then(|url| url.split_once("://"))
            .is_some_and(|(_, host)| !is_protected(&format!("http://{host}")));
        if is_elsewhere && (!tokens.is_empty() || !is_https) {
            let hint = "have no `danger_static_tokens`, and a `public_url` with https; or one of this machine: http://127.0.0.1:8077";
            self.problem("listen.public_url", "is not of this machine", Some(hint.to_owned()));
        }
        let host =
            public_url.and_then(|url| url.split_once("://")).map(|(_, host)| host.to_owned());
        listen.hosts.extend(host);
        listen
    }

    /// `https://host[:port]` under which clients know the gateway.
    fn public_url(&mut self, listen: &Listen) -> Option<String> {
        let url = listen.public_url.as_ref()?;
        let parsed = url.parse::<http::Uri>().ok();
        let is_origin = parsed.is_some_and(|url| {
            let known = matches!(url.scheme_str(), Some("http" | "https"));
            known && url.authority().is_some_and(|host| !host.as_str().contains('@'))
        });
        if !is_origin || url.matches('/').count() != 2 {
            let text = format!("`{url}` is not `https://host` or `https://host:port`");
            self.problem("listen.public_url", &text, None);
            return None;
        }
        Some(url.clone())
    }

    fn catalogs(&mut self, said: &Catalogs) -> CatalogFiles {
        let mut signers = Signers::default();
        for key in &said.signers {
            if let Err(error) = signers.add(key) {
                let hint = "the line of an `id_ed25519.pub`: `ssh-ed25519 AAAA… name`";
                self.problem("catalogs.signers", &error.to_string(), Some(hint.to_owned()));
            }
        }
        let files = said.files.iter().map(|file| self.relative(file)).collect();
        CatalogFiles { files, signers }
    }

    fn networks(&mut self, place: &str, texts: &[String]) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for text in texts {
            match text.parse() {
                Ok(network) => networks.push(network),
                Err(_) => {
                    let hint = "as in `10.0.0.0/8`, or `192.0.2.7/32` for one address";
                    let what = format!("`{text}` is no network");
                    self.problem(place, &what, Some(hint.to_owned()));
                }
            }
        }
        networks
    }

    fn anybody(&mut self, tokens: &BTreeMap<String, Caller>, issuers: &[Issuer]) {
        let is_said = self.is_said("issuers") || self.is_said("tokens");
        if !tokens.is_empty() || !issuers.is_empty() || is_said {
            return;
        }
        let hint = "[[danger_static_tokens]]\n  name = \"alice\"\n  sha256 = \"…\"  # printf %s TOKEN | sha256sum\n  human = \"alice\"";
        let text = "nobody could call: there is no token, no issuer of tokens, and no section `tokens` for those that `callgate token create` makes";
        self.problem("danger_static_tokens", text, Some(hint.to_owned()));
    }

    fn anonymous(&mut self, listen: &Listen, tokens: &BTreeMap<String, Caller>) {
        let Some(name) =
            listen.danger_anonymous.as_ref().filter(|name| !tokens.contains_key(*name))
        else {
            return;
        };
        let hint = "name one of the `danger_static_tokens`";
        let text = format!("no token is called `{name}`");
        self.problem("listen.danger_anonymous", &text, Some(hint.to_owned()));
    }

    fn log(&mut self) -> Option<LogConfig> {
        let log: Log = self.optional("log")?;
        let json = match log.format.as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => {
                self.problem(
                    "log.format",
                    &format!("`{other}` is neither `text` nor `json`"),
                    None,
                );
                return None;
            }
        };
        Some(LogConfig { json, filter: log.filter.unwrap_or_else(|| "info".to_owned()) })
    }

    fn tokens(&mut self) -> BTreeMap<String, Caller> {
        let mut tokens = BTreeMap::new();
        let raw: Vec<toml::Value> = self.optional("danger_static_tokens").unwrap_or_default();
        for (index, value) in raw.into_iter().enumerate() {
            let place = format!("danger_static_tokens[{index}]");
            let Some(token) = self.read::<RawToken>(&place, value) else { continue };
            let Some(chain) = self.read::<ChainSpec>(&place, token.rest.into()) else { continue };
            let caller = token
                .sha256
                .parse::<Digest>()
                .map_err(|error| format!("sha256: {error}"))
                .and_then(|digest| chain.to_caller(digest));
            match caller {
                Ok(caller) if !tokens.contains_key(&token.name) => {
                    tokens.insert(token.name, caller);
                }
                Ok(_) => self.problem(&place, &format!("`{}` is named twice", token.name), None),
                Err(text) => self.problem(&place, &text, None),
            }
        }
        tokens
    }

    pub(super) fn is_said(&self, section: &str) -> bool {
        self.table.contains_key(section)
    }

    /// Whether the file has a section of that name among those.
    pub(super) fn has(&self, sections: &str, name: &str) -> bool {
        let sections = self.table.get(sections).and_then(toml::Value::as_table);
        sections.is_some_and(|sections| sections.contains_key(name))
    }

    pub(super) fn relative(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    pub(super) fn problem(&mut self, place: &str, text: &str, hint: Option<String>) {
        self.problems.push(Problem {
            place: format!("{}: {place}", self.file),
            text: text.to_owned(),
            hint,
        });
    }
}

/// Where a table has settings whose name says that they weaken safety, unless they are off.
fn dangers_in(table: &toml::Table, at: &str, found: &mut Vec<String>) {
    for (name, value) in table {
        let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        let is_off = value.as_bool() == Some(false);
        match value {
            _ if name.starts_with("danger_") && !is_off => found.push(path),
            toml::Value::Table(inner) => dangers_in(inner, &path, found),
            toml::Value::Array(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Float(_)
            | toml::Value::Integer(_)
            | toml::Value::String(_) => {}
        }
    }
}
