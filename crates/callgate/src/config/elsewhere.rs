//! The sections of where copies of the evidence go: sinks, anchors and witnesses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use callgate_model::evidence::Kind;
use callgate_model::transparency::Witness;
use callgate_model::vocabulary::Effect;
use clap::ValueEnum as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use toml::{Table, Value};

use super::credential::RawCredential;
use super::notify::RawWebhook;
use super::section::Reader;
use super::server::{RawSecret, is_plain};
use crate::export::Format;
use crate::keeping::Elsewhere;
use crate::keeping::anchors::Anchor;
use crate::keeping::anchors::bucket::Bucket;
use crate::keeping::sinks::file::{Appender, Rotation};
use crate::keeping::sinks::otlp::Collector;
use crate::keeping::sinks::syslog::{Protection, Syslog};
use crate::keeping::sinks::webhook::Hook;
use crate::keeping::sinks::{Receiver, Sink, Wanted};
use crate::keeping::witnesses::WitnessConfig;

/// The most places of each kind.
const PLACES_MAX: usize = 16;
/// The most attributes that are said of the gateway.
const ATTRIBUTES_MAX: usize = 32;
/// How it is decided.
const DECISIONS: [&str; 3] = ["allow", "approval_required", "deny"];
/// What evidence would do on its way.
const WHAT: &str = "what agents and people do";

const MB: u64 = 1 << 20;
const ROTATE_MB_MAX: u64 = 1 << 20;
const KEEP_MAX: u32 = 1_000;

/// What every sink has.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawSink {
    format: Option<String>,
    from: Option<String>,
    kinds: BTreeSet<String>,
    decisions: BTreeSet<String>,
    effects: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    path: PathBuf,
    rotate_mb: Option<u64>,
    keep: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSyslog {
    address: String,
    authority: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<RawSecret>,
    #[serde(default)]
    danger_plain_tcp: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCollector {
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, RawSecret>,
    #[serde(default = "ours")]
    service: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    danger_plain_http: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHook {
    url: String,
    secrets: Vec<RawSecret>,
    #[serde(default)]
    lines: bool,
    #[serde(default)]
    danger_plain_http: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnchorFile {
    path: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPut {
    url: String,
    credential: Option<RawCredential>,
    #[serde(default)]
    danger_plain_http: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBucket {
    url: String,
    bucket: String,
    region: String,
    #[serde(default)]
    prefix: String,
    key_id: String,
    secret: RawSecret,
    #[serde(default)]
    danger_plain_http: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWitness {
    url: String,
    key: String,
    #[serde(default)]
    danger_plain_http: bool,
}

fn ours() -> String {
    "callgate".to_owned()
}

impl Reader {
    pub(super) fn elsewhere(
        &mut self,
        sinks: Table,
        anchors: Table,
        witnesses: Table,
    ) -> Elsewhere {
        let elsewhere = Elsewhere {
            sinks: self.each("evidence.sinks", sinks, Self::sink),
            anchors: self.each("evidence.anchors", anchors, Self::anchor),
            witnesses: self.each("evidence.witnesses", witnesses, Self::witness),
        };
        self.written_once(&elsewhere);
        elsewhere
    }

    fn each<P>(
        &mut self,
        section: &str,
        raw: Table,
        read: impl Fn(&mut Self, &str, Value) -> Option<P>,
    ) -> BTreeMap<String, P> {
        if raw.len() > PLACES_MAX {
            self.problem(section, &format!("more than {PLACES_MAX}"), None);
        }
        let mut places = BTreeMap::new();
        for (name, value) in raw {
            let place = format!("{section}.{name}");
            if !is_plain(&name) {
                self.problem(&place, "a name is of a-z, 0-9 and `-`, at most 40 long", None);
            } else if let Some(found) = read(self, &place, value) {
                places.insert(name, found);
            }
        }
        places
    }

    /// Two that add to one file would cut each other's lines.
    fn written_once(&mut self, elsewhere: &Elsewhere) {
        let sinks = elsewhere.sinks.iter().filter_map(|(name, sink)| match &sink.receiver {
            Receiver::File(file, _) => Some((format!("evidence.sinks.{name}"), file.path())),
            Receiver::Syslog(..) | Receiver::Otlp(_) | Receiver::Webhook(_) => None,
        });
        let anchors = elsewhere.anchors.iter().filter_map(|(name, anchor)| match anchor {
            Anchor::File(file) => Some((format!("evidence.anchors.{name}"), file.path())),
            Anchor::Bucket { .. } | Anchor::Put { .. } | Anchor::Webhook(_) => None,
        });
        let mut paths = BTreeSet::new();
        let twice = sinks.chain(anchors).filter(|(_, path)| !paths.insert(path.to_path_buf()));
        for (place, path) in twice.collect::<Vec<_>>() {
            let text = format!("something else is written to `{}`, too", path.display());
            self.problem(&format!("{place}.path"), &text, None);
        }
    }

    fn sink(&mut self, place: &str, value: Value) -> Option<Sink> {
        let (kind, mut table) = self.kind(place, value)?;
        let mut common = Table::new();
        for key in ["format", "from", "kinds", "decisions", "effects"] {
            common.extend(table.remove_entry(key));
        }
        let common: RawSink = self.read(place, common.into())?;
        let from_start = match common.from.as_deref() {
            None | Some("now") => false,
            Some("start") => true,
            Some(other) => {
                let text = format!("`{other}` is neither `now` nor `start`");
                self.problem(&format!("{place}.from"), &text, None);
                return None;
            }
        };
        let format = match common.format.as_deref().map(|name| Format::from_str(name, false)) {
            None => None,
            Some(Ok(format)) => Some(format),
            Some(Err(_)) => {
                let text = "can be `ocsf`, `ecs`, `cef`, `csv` or `jsonl`";
                self.problem(&format!("{place}.format"), text, None);
                return None;
            }
        };
        let wanted = self.wanted(place, common);
        let receiver = match kind.as_deref() {
            Some("file") => self.file_sink(place, table, format.unwrap_or(Format::Jsonl))?,
            Some("syslog") => self.syslog(place, table, format.unwrap_or(Format::Cef))?,
            Some("otlp") => self.otlp_sink(place, table, format)?,
            Some("webhook") => self.hook(place, table, format.unwrap_or(Format::Jsonl))?,
            Some(_) | None => {
                let text = "say `file`, `syslog`, `otlp` or `webhook`";
                self.problem(&format!("{place}.kind"), text, None);
                return None;
            }
        };
        Some(Sink::new(wanted, from_start, receiver))
    }

    fn wanted(&mut self, place: &str, raw: RawSink) -> Wanted {
        let effects: Vec<&str> = Effect::ALL.iter().map(|effect| effect.as_str()).collect();
        for (name, said, known) in [
            ("kinds", &raw.kinds, &Kind::ALL.map(Kind::as_str)[..]),
            ("decisions", &raw.decisions, &DECISIONS[..]),
            ("effects", &raw.effects, &effects[..]),
        ] {
            if let Some(other) = said.iter().find(|said| !known.contains(&said.as_str())) {
                let text = format!("`{other}` is none of {}", known.join(", "));
                self.problem(&format!("{place}.{name}"), &text, None);
            }
        }
        Wanted { kinds: raw.kinds, decisions: raw.decisions, effects: raw.effects }
    }

    fn file_sink(&mut self, place: &str, table: Table, format: Format) -> Option<Receiver> {
        let raw: RawFile = self.read(place, table.into())?;
        let rotation = match (raw.rotate_mb, raw.keep) {
            (None, None) => None,
            (Some(mb), keep) => {
                let keep = keep.unwrap_or(10);
                if !(1..=ROTATE_MB_MAX).contains(&mb) || !(1..=KEEP_MAX).contains(&keep) {
                    let text = format!(
                        "`rotate_mb` is from 1 to {ROTATE_MB_MAX}, and `keep` from 1 to {KEEP_MAX}"
                    );
                    self.problem(place, &text, None);
                }
                Some(Rotation { bytes_max: mb.saturating_mul(MB), keep })
            }
            (None, Some(_)) => {
                self.problem(
                    &format!("{place}.keep"),
                    "is of `rotate_mb`, which is not there",
                    None,
                );
                None
            }
        };
        let file = Appender::new(self.relative(&raw.path), format.header(), rotation);
        Some(Receiver::File(file, format))
    }

    fn syslog(&mut self, place: &str, table: Table, format: Format) -> Option<Receiver> {
        let raw: RawSyslog = self.read(place, table.into())?;
        let host = raw.address.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        let name = host.and_then(|(host, _)| {
            ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok()
        });
        let Some(name) = name else {
            let hint = "address = \"siem.example.com:6514\"";
            let text = format!("`{}` is not `host:port`", raw.address);
            self.problem(&format!("{place}.address"), &text, Some(hint.to_owned()));
            return None;
        };
        let is_of_tls = raw.authority.is_some() || raw.certificate.is_some() || raw.key.is_some();
        let protection = match (raw.danger_plain_tcp, is_of_tls) {
            (true, false) => Protection::DangerNone,
            (true, true) => {
                let text = "certificates are of TLS, and `danger_plain_tcp` is without it";
                self.problem(place, text, None);
                return None;
            }
            (false, _) => Protection::Tls(self.tls(place, &raw)?, name),
        };
        Some(Receiver::Syslog(Box::new(Syslog::new(raw.address, protection)), format))
    }

    /// The well-known authorities count, or the one that is named.
    fn tls(&mut self, place: &str, raw: &RawSyslog) -> Option<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        match &raw.authority {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(file) => {
                let at = format!("{place}.authority");
                for certificate in self.certificates(&at, file)? {
                    if let Err(error) = roots.add(certificate) {
                        self.problem(&at, &error.to_string(), None);
                        return None;
                    }
                }
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| error.to_string());
        let made = match (&raw.certificate, &raw.key) {
            (None, None) => {
                builder.map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
            }
            (Some(file), Some(key)) => {
                let chain = self.certificates(&format!("{place}.certificate"), file)?;
                let key = self.secret(key.clone()).and_then(|pem| private_key(&pem));
                builder.and_then(|builder| {
                    let builder = builder.with_root_certificates(roots);
                    builder.with_client_auth_cert(chain, key?).map_err(|error| error.to_string())
                })
            }
            (Some(_), None) | (None, Some(_)) => {
                Err("`certificate` and `key` go together".to_owned())
            }
        };
        made.map_err(|text| self.problem(place, &text, None)).ok().map(Arc::new)
    }

    fn certificates(&mut self, place: &str, file: &Path) -> Option<Vec<CertificateDer<'static>>> {
        let file = self.relative(file);
        let read = std::fs::read(&file).map_err(|error| error.to_string()).and_then(|pem| {
            let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
            let all = all.map_err(|error| error.to_string())?;
            if all.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(all) }
        });
        let told = |why| format!("`{}` cannot be read: {why}", file.display());
        read.map_err(|why: String| self.problem(place, &told(why), None)).ok()
    }

    fn otlp_sink(&mut self, place: &str, table: Table, format: Option<Format>) -> Option<Receiver> {
        if format.is_some() {
            let text = "logs of OpenTelemetry have one form: their body is the record";
            self.problem(&format!("{place}.format"), text, None);
        }
        let raw: RawCollector = self.read(place, table.into())?;
        for (name, count) in [("headers", raw.headers.len()), ("attributes", raw.attributes.len())]
        {
            if count > ATTRIBUTES_MAX {
                self.problem(
                    &format!("{place}.{name}"),
                    &format!("more than {ATTRIBUTES_MAX}"),
                    None,
                );
            }
        }
        let url = format!("{place}.url");
        let document = self.collector(&url, &raw.url, "v1/logs", raw.danger_plain_http)?;
        let headers = self.collector_headers(&format!("{place}.headers"), raw.headers);
        let collector = Collector::new(document, &headers, raw.service, raw.attributes);
        Some(Receiver::Otlp(Box::new(collector)))
    }

    fn hook(&mut self, place: &str, table: Table, format: Format) -> Option<Receiver> {
        let raw: RawHook = self.read(place, table.into())?;
        match format {
            Format::Ocsf | Format::Ecs | Format::Jsonl => {}
            Format::Cef | Format::Csv => {
                let text = "a webhook takes JSON: `jsonl`, `ocsf` or `ecs`";
                self.problem(&format!("{place}.format"), text, None);
                return None;
            }
        }
        let RawHook { url, secrets, lines, danger_plain_http } = raw;
        let webhook = self.signed(place, RawWebhook { url, secrets, danger_plain_http }, WHAT)?;
        Some(Receiver::Webhook(Box::new(Hook::new(webhook, format, lines))))
    }

    fn anchor(&mut self, place: &str, value: Value) -> Option<Anchor> {
        let (kind, table) = self.kind(place, value)?;
        match kind.as_deref() {
            Some("file") => {
                let raw: RawAnchorFile = self.read(place, table.into())?;
                Some(Anchor::File(Appender::new(self.relative(&raw.path), None, None)))
            }
            Some("webhook") => {
                let raw = self.read(place, table.into())?;
                self.signed(place, raw, "checkpoints").map(Anchor::Webhook)
            }
            Some("put") => {
                let raw: RawPut = self.read(place, table.into())?;
                let url = format!("{place}.url");
                let below = self.document(&url, &raw.url, raw.danger_plain_http)?;
                let credential = match raw.credential {
                    Some(raw) => Some(self.credential(&format!("{place}.credential"), raw)?),
                    None => None,
                };
                let authorization = credential.and_then(|credential| credential.header());
                Some(Anchor::Put { below, authorization })
            }
            Some("s3") => self.bucket(place, table),
            Some(_) | None => {
                let text = "say `file`, `webhook`, `put` or `s3`";
                self.problem(&format!("{place}.kind"), text, None);
                None
            }
        }
    }

    fn bucket(&mut self, place: &str, table: Table) -> Option<Anchor> {
        let raw: RawBucket = self.read(place, table.into())?;
        let at = format!("{place}.url");
        let store = self.document(&at, &raw.url, raw.danger_plain_http)?;
        let parsed: Option<http::Uri> = raw.url.parse().ok();
        if parsed.is_none_or(|url| url.path() != "/" || url.query().is_some()) {
            let hint = "https://s3.eu-central-1.amazonaws.com: the bucket is `bucket`, what is before the names is `prefix`";
            self.problem(&at, "the address of a store has no path", Some(hint.to_owned()));
            return None;
        }
        let secret = self.secret(raw.secret);
        let secret = secret.map_err(|text| self.problem(&format!("{place}.secret"), &text, None));
        let secret = secrecy::ExposeSecret::expose_secret(&secret.ok()?).trim().to_owned();
        let credentials = rusty_s3::Credentials::new(raw.key_id, secret);
        let bucket = Bucket::new(&raw.url, (&raw.bucket, &raw.region), credentials, &raw.prefix);
        let bucket = bucket.map_err(|text| self.problem(&format!("{place}.bucket"), &text, None));
        Some(Anchor::Bucket { store, bucket: Box::new(bucket.ok()?) })
    }

    fn witness(&mut self, place: &str, value: Value) -> Option<WitnessConfig> {
        let raw: RawWitness = self.read(place, value)?;
        let key = Witness::parse(raw.key.trim()).map_err(|error| {
            let hint = "the line that whoever runs the witness gives out: NAME+HASH+KEY";
            self.problem(&format!("{place}.key"), &error.to_string(), Some(hint.to_owned()));
        });
        let url = format!("{}/add-checkpoint", raw.url.trim_end_matches('/'));
        let document = self.document(&format!("{place}.url"), &url, raw.danger_plain_http)?;
        Some(WitnessConfig { document, key: key.ok()? })
    }
}

fn private_key(pem: &secrecy::SecretString) -> Result<PrivateKeyDer<'static>, String> {
    let pem = secrecy::ExposeSecret::expose_secret(pem);
    // What is wrong with it is not said in its own words: it is a secret.
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_secret| "`key` is no private key in PEM".to_owned())
}

#[cfg(test)]
mod tests;
