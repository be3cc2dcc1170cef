//! The sections of servers: where each is, what its tools mean, and what it is called with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use callgate_gateway::assertion::Signer;
use callgate_gateway::credential::{Broker, Own};
use callgate_gateway::pin::ApprovedBy;
use callgate_gateway::server::Rest;
use callgate_gateway::shadow::Shadow;
use callgate_mcp::upstream::{EraSetting, Program};
use callgate_model::ambient::Timestamp;
use callgate_model::lookalike::skeleton;
use callgate_model::products::atlassian::{SiteEntry, SiteMap};
use callgate_model::products::gateway;
use callgate_model::redact::is_secret_name;
use secrecy::SecretString;
use serde::Deserialize;

use super::section::Reader;
use super::{At, ServerConfig};

/// What a child inherits if nothing else is said: without these most programs do not find what they need.
const INHERITED: &[&str] = &["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TMPDIR", "USER"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawServer {
    url: Option<String>,
    command: Option<Vec<String>>,
    folder: Option<PathBuf>,
    inherit: Option<Vec<String>>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    secrets: BTreeMap<String, RawSecret>,
    catalog: String,
    #[serde(default)]
    era: Option<String>,
    #[serde(default)]
    extensions: Vec<String>,
    #[serde(default)]
    danger_plain_http: bool,
    credential: Option<toml::Value>,
    #[serde(default)]
    assertion: bool,
    #[serde(default = "yes")]
    confirm_moves: bool,
    danger_shadow: Option<RawShadow>,
    tools: Option<String>,
    default_site: Option<String>,
    #[serde(default)]
    sites: BTreeMap<String, RawSite>,
}

/// That policies are not enforced for a time.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawShadow {
    until: String,
    #[serde(default)]
    writes: bool,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecret {
    pub(super) file: Option<PathBuf>,
    pub(super) env: Option<String>,
    /// It, sealed by one of `sealing.keys`.
    pub(super) sealed: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSite {
    cloud_id: Option<String>,
    url: Option<String>,
    #[serde(default)]
    rest: RawRest,
}

/// Where a site's products can be asked themselves.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRest {
    jira: Option<String>,
    confluence: Option<String>,
}

const fn yes() -> bool {
    true
}

impl Reader {
    pub(super) fn servers(
        &mut self,
        signer: Option<&Arc<Signer>>,
    ) -> BTreeMap<String, ServerConfig> {
        let raw: BTreeMap<String, toml::Value> = self.optional("servers").unwrap_or_default();
        if raw.is_empty() {
            let hint = "[servers.atlassian]\n  url = \"https://mcp.atlassian.com/v2/mcp\"\n  catalog = \"atlassian-rovo\"";
            self.problem("servers", "no server is configured", Some(hint.to_owned()));
        }
        let mut servers: BTreeMap<String, ServerConfig> = BTreeMap::new();
        for (name, value) in raw {
            let place = format!("servers.{name}");
            if !is_plain(&name) {
                self.problem(
                    &place,
                    "a server's name is of a-z, 0-9 and `-`, at most 40 long",
                    None,
                );
                continue;
            }
            if name == gateway::NAME {
                self.problem(&place, "that is what the gateway itself is called", None);
                continue;
            }
            if let Some(other) = servers.keys().find(|other| skeleton(other) == skeleton(&name)) {
                let text = format!("that looks like the name of `{other}`");
                self.problem(
                    &place,
                    &text,
                    Some("give them names that nobody mixes up".to_owned()),
                );
                continue;
            }
            let Some(raw) = self.read::<RawServer>(&place, value) else { continue };
            if let Some(server) = self.server(&place, raw, signer) {
                servers.insert(name, server);
            }
        }
        servers
    }

    fn server(
        &mut self,
        place: &str,
        raw: RawServer,
        signer: Option<&Arc<Signer>>,
    ) -> Option<ServerConfig> {
        let era = match raw.era.as_deref() {
            None | Some("auto") => EraSetting::Auto,
            Some("modern") => EraSetting::Modern,
            Some("legacy") => EraSetting::Legacy,
            Some(other) => {
                let text = format!("`{other}` is none of `auto`, `modern`, `legacy`");
                self.problem(&format!("{place}.era"), &text, None);
                return None;
            }
        };
        let (at, rest) = (self.place_of(place, &raw), self.rest(place, &raw));
        let approved_by = self.approved_by(place, raw.tools.as_deref())?;
        let shadow = raw.danger_shadow.as_ref().and_then(|said| self.shadow(place, said));
        let broker = match raw.credential {
            Some(value) => self.broker(&format!("{place}.credential"), value, signer)?,
            None => Broker::Own(Own::None),
        };
        let sites = raw
            .sites
            .into_iter()
            .map(|(alias, site)| SiteEntry { alias, cloud_id: site.cloud_id, url: site.url })
            .collect::<Vec<_>>();
        let sites = match SiteMap::new(&sites, raw.default_site.as_deref()) {
            Ok(sites) => sites,
            Err(problem) => {
                self.problem(&format!("{place}.sites"), &problem.to_string(), None);
                return None;
            }
        };
        if let Some(other) = raw.extensions.iter().find(|name| !is_extension(name)) {
            let text = format!("`{other}` is no name of an extension");
            let hint = "an extension is called `VENDOR-DOMAIN/NAME`: `com.example/things`";
            self.problem(&format!("{place}.extensions"), &text, Some(hint.to_owned()));
            return None;
        }
        let signer = signer.filter(|_| raw.assertion).cloned();
        if raw.assertion && signer.is_none() {
            self.nobody_signs(&format!("{place}.assertion"));
        }
        Some(ServerConfig {
            at: at?,
            catalog: raw.catalog,
            era,
            extensions: raw.extensions,
            broker,
            signer,
            approved_by,
            confirms_moves: raw.confirm_moves,
            shadow,
            rest,
            sites,
        })
    }

    /// Until when policies are not enforced, and for which calls.
    fn shadow(&mut self, place: &str, said: &RawShadow) -> Option<Shadow> {
        let until = Timestamp::parse(&said.until)
            .or_else(|| Timestamp::parse(&format!("{}T00:00:00Z", said.until)));
        if until.is_none() {
            let text = format!("`{}` is no day and no moment", said.until);
            let hint = Some("until = \"2026-12-20\" or \"2026-12-20T18:00:00Z\"".to_owned());
            self.problem(&format!("{place}.danger_shadow.until"), &text, hint);
        }
        Some(Shadow { until: until?, writes: said.writes })
    }

    /// Who approves its tools.
    fn approved_by(&mut self, place: &str, said: Option<&str>) -> Option<ApprovedBy> {
        let Some(said) = said else { return Some(ApprovedBy::default()) };
        let found = ApprovedBy::ALL.iter().find(|(name, _)| *name == said);
        if found.is_none() {
            let text = format!("`{said}` is none of `approved`, `first_use`, `any`");
            self.problem(&format!("{place}.tools"), &text, None);
        }
        found.map(|(_, approved_by)| *approved_by)
    }

    /// Where the sites' products can be asked themselves.
    fn rest(&mut self, place: &str, raw: &RawServer) -> Rest {
        let mut rest = Rest::default();
        for (alias, site) in &raw.sites {
            let place = format!("{place}.sites.{alias}.rest");
            for (product, url) in [("Jira", &site.rest.jira), ("Confluence", &site.rest.confluence)]
            {
                let Some(url) = url else { continue };
                let at = format!("{place}.{}", product.to_lowercase());
                if let Some(document) = self.document(&at, url, raw.danger_plain_http) {
                    rest.insert((alias.clone(), product.to_owned()), document);
                }
            }
        }
        rest
    }

    /// Where the server is: at a URL, or a command that starts it.
    fn place_of(&mut self, place: &str, raw: &RawServer) -> Option<At> {
        match (&raw.url, &raw.command) {
            (Some(url), None) => {
                self.only_of_a_command(place, raw);
                if !raw.danger_plain_http && !is_protected(url) {
                    let hint = "use https, or say `danger_plain_http = true`";
                    let text = "calls and the credential would cross the network unprotected";
                    self.problem(&format!("{place}.url"), text, Some(hint.to_owned()));
                }
                Some(At::Url(url.clone()))
            }
            (None, Some(command)) => {
                if raw.credential.is_some() {
                    let hint = "name it under `secrets`: the command finds it in its environment";
                    let at = format!("{place}.credential");
                    self.problem(&at, "a command takes no header", Some(hint.to_owned()));
                }
                if raw.assertion {
                    let at = format!("{place}.assertion");
                    self.problem(&at, "a command takes no header", None);
                }
                self.program(place, command, raw).map(At::Command)
            }
            (Some(_), Some(_)) | (None, None) => {
                let hint = "url = \"https://…\" or command = [\"uvx\", \"mcp-atlassian\"]";
                self.problem(place, "say `url` or `command`, one of them", Some(hint.to_owned()));
                None
            }
        }
    }

    fn only_of_a_command(&mut self, place: &str, raw: &RawServer) {
        let given = [
            ("folder", raw.folder.is_some()),
            ("inherit", raw.inherit.is_some()),
            ("environment", !raw.environment.is_empty()),
            ("secrets", !raw.secrets.is_empty()),
        ];
        for (name, _) in given.into_iter().filter(|(_, given)| *given) {
            self.problem(&format!("{place}.{name}"), "only a `command` has it", None);
        }
    }

    fn program(&mut self, place: &str, command: &[String], raw: &RawServer) -> Option<Program> {
        let Some((program, arguments)) = command.split_first() else {
            self.problem(&format!("{place}.command"), "is empty", None);
            return None;
        };
        let inherited = inherited(raw.inherit.as_deref());
        let (environment, mut secrets) = with_inherited(raw.environment.clone(), inherited);
        for (name, secret) in raw.secrets.clone() {
            match self.secret(secret) {
                Ok(secret) => drop(secrets.insert(name, secret)),
                Err(text) => self.problem(&format!("{place}.secrets.{name}"), &text, None),
            }
        }
        Some(Program {
            name: place.trim_start_matches("servers.").to_owned(),
            command: program.into(),
            arguments: arguments.to_vec(),
            environment,
            secrets,
            folder: raw.folder.as_ref().map(|folder| self.relative(folder)),
        })
    }

    pub(super) fn secret(&self, raw: RawSecret) -> Result<SecretString, String> {
        let secret = match (raw.file, raw.env, raw.sealed) {
            (None, None, Some(sealed)) => return self.unsealed(&sealed),
            (Some(file), None, None) => {
                let file = self.relative(&file);
                self.secret_files.borrow_mut().push(file.clone());
                std::fs::read_to_string(&file)
                    .map(|secret| secret.trim_end_matches(['\r', '\n']).to_owned())
                    .map_err(|error| format!("`{}` cannot be read: {error}", file.display()))
            }
            (None, Some(name), None) => environment(&name),
            (None | Some(_), None | Some(_), None | Some(_)) => {
                Err("say where the secret is: `file`, `env` or `sealed`, one of them".to_owned())
            }
        };
        secret.map(SecretString::from)
    }
}

#[expect(clippy::disallowed_methods, reason = "only this module reads the environment")]
pub(crate) fn environment(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| format!("environment variable `{name}`: {error}"))
}

/// What a child gets of our environment: what is named, as far as it is there; all of it for `*`.
#[expect(clippy::disallowed_methods, reason = "only this module reads the environment")]
fn inherited(names: Option<&[String]>) -> BTreeMap<String, String> {
    let is_named = |name: &str| match names {
        Some(names) => names.iter().any(|named| named == "*" || named == name),
        None => INHERITED.contains(&name),
    };
    let ours = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    ours.filter(|(name, _)| is_named(name)).collect()
}

/// What is not said in `environment` is inherited; what could be a secret, as one: nobody said that it is none.
pub(super) fn with_inherited(
    mut environment: BTreeMap<String, String>,
    mut inherited: BTreeMap<String, String>,
) -> (BTreeMap<String, String>, BTreeMap<String, SecretString>) {
    inherited.retain(|name, _| !environment.contains_key(name));
    let (secrets, harmless): (BTreeMap<_, _>, BTreeMap<_, _>) =
        inherited.into_iter().partition(|(name, _)| is_secret_name(name));
    environment.extend(harmless);
    (environment, secrets.into_iter().map(|(name, value)| (name, value.into())).collect())
}

/// Whether the way to the server is encrypted, or does not leave this machine.
pub(crate) fn is_protected(url: &str) -> bool {
    let Ok(url) = url.parse::<http::Uri>() else { return true };
    let host = url.host().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    url.scheme_str() != Some("http")
        || host == "localhost"
        || address.is_ok_and(|address| address.is_loopback())
}

/// Whether `name` can be that of an extension: a domain the other way round, and a name.
fn is_extension(name: &str) -> bool {
    let plain = |text: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        !text.is_empty() && text.bytes().all(known)
    };
    name.len() <= 128
        && name.split_once('/').is_some_and(|(vendor, name)| plain(vendor) && plain(name))
}

pub(super) fn is_plain(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
