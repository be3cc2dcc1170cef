//! The section of what is done with evidence once it is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use callgate_gateway::recording::{HashKey, Recording};
use callgate_model::ambient::DAY_MS;
use callgate_model::transparency::Signer;
use callgate_model::treatment::Treatment;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use toml::Table;

use super::section::Reader;
use super::server::RawSecret;
use crate::keeping::{Elsewhere, Retention};

/// What is done with evidence once it is stored.
#[derive(Debug, Default)]
pub(crate) struct EvidenceRules {
    /// Who signs checkpoints; nobody: a key beside the store does.
    pub(crate) signers: Vec<Signer>,
    /// How often there is a checkpoint, if there is anything new.
    pub(crate) checkpoint_every: Duration,
    /// How long what records say is kept.
    pub(crate) retention: Retention,
    /// Where copies of it go.
    pub(crate) elsewhere: Box<Elsewhere>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawEvidence {
    keys: Vec<RawSecret>,
    checkpoint_s: Option<u64>,
    retention: RawRetention,
    arguments: Option<String>,
    input: Option<bool>,
    /// By operation and path.
    fields: BTreeMap<String, BTreeMap<String, String>>,
    hash_keys: Vec<RawSecret>,
    sinks: Table,
    anchors: Table,
    witnesses: Table,
}

/// In days.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRetention {
    calls_days: Option<u64>,
    refusals_days: Option<u64>,
    changes_days: Option<u64>,
    danger_shorter: bool,
}

/// What the EU AI Act asks for at least (Articles 19 and 26: six months), and some days more.
const DAYS_MIN: u64 = 190;
const DAYS_MAX: u64 = 36_500;

impl Reader {
    pub(super) fn evidence(&mut self) -> Option<(EvidenceRules, Recording)> {
        let raw: RawEvidence = self.optional("evidence")?;
        let recording = self.recording(raw.arguments.as_deref(), raw.fields, raw.hash_keys);
        let input = raw.input.unwrap_or(recording.arguments);
        let recording = Recording { input, ..recording };
        let mut signers = Vec::new();
        for (index, raw) in raw.keys.into_iter().enumerate() {
            let read = self.secret(raw).and_then(|text| {
                Signer::parse(text.expose_secret().trim()).map_err(|error| error.to_string())
            });
            match read {
                Ok(signer) => signers.push(signer),
                Err(text) => {
                    let hint =
                        "callgate evidence key --new gate.example.com/evidence > evidence.key";
                    self.problem(&format!("evidence.keys[{index}]"), &text, Some(hint.to_owned()));
                }
            }
        }
        if signers.windows(2).any(|two| matches!(two, [one, other] if one.name() != other.name())) {
            let text = "the keys have different names: a log has one name, and every key of it";
            self.problem("evidence.keys", text, None);
        }
        let seconds = raw.checkpoint_s.unwrap_or(10);
        if !(1..=3_600).contains(&seconds) {
            self.problem("evidence.checkpoint_s", "say 1 to 3600 seconds", None);
        }
        let rules = EvidenceRules {
            signers,
            checkpoint_every: Duration::from_secs(seconds.max(1)),
            retention: self.retention(&raw.retention),
            elsewhere: Box::new(self.elsewhere(raw.sinks, raw.anchors, raw.witnesses)),
        };
        Some((rules, recording))
    }

    fn recording(
        &mut self,
        arguments: Option<&str>,
        fields: BTreeMap<String, BTreeMap<String, String>>,
        keys: Vec<RawSecret>,
    ) -> Recording {
        let arguments = match arguments {
            None | Some("digest") => false,
            Some("redacted") => true,
            Some(_) => {
                self.problem("evidence.arguments", "say `digest` or `redacted`", None);
                false
            }
        };
        let mut recording = Recording { arguments, ..Recording::default() };
        for (index, raw) in keys.into_iter().enumerate() {
            let short = || "it is too short: 32 bytes at least".to_owned();
            let key = self.secret(raw).and_then(|text| {
                HashKey::new(text.expose_secret().trim().as_bytes()).ok_or_else(short)
            });
            match key {
                Ok(key) => recording.keys.push(key),
                Err(text) => {
                    let hint = Some("openssl rand -base64 32".to_owned());
                    self.problem(&format!("evidence.hash_keys[{index}]"), &text, hint);
                }
            }
        }
        for (operation, rules) in fields {
            for (path, name) in rules {
                let place = format!("evidence.fields.{operation:?}.{path:?}");
                let Some(treatment) = Treatment::parse(&name) else {
                    self.problem(&place, "say `keep`, `hash`, `truncate` or `drop`", None);
                    continue;
                };
                if treatment == Treatment::Hash && recording.keys.is_empty() {
                    let hint = Some("evidence.hash_keys = [{ file = \"hash.key\" }]".to_owned());
                    self.problem(&place, "there is no key to hash with", hint);
                }
                recording.fields.entry(operation.clone()).or_default().insert(path, treatment);
            }
        }
        recording
    }

    fn retention(&mut self, raw: &RawRetention) -> Retention {
        let mut retention = Retention::new();
        let kinds: [(&str, Option<u64>, &[&'static str]); 3] = [
            ("calls_days", raw.calls_days, &["intent", "outcome", "settled"]),
            ("refusals_days", raw.refusals_days, &["refusal"]),
            ("changes_days", raw.changes_days, &["change", "opened"]),
        ];
        for (name, days, kinds) in kinds {
            let Some(days) = days else { continue };
            let least = if raw.danger_shorter { 1 } else { DAYS_MIN };
            if !(least..=DAYS_MAX).contains(&days) {
                let text = format!("say {least} to {DAYS_MAX} days");
                let hint =
                    "`danger_shorter = true` allows less: laws may ask for six months and more";
                self.problem(&format!("evidence.retention.{name}"), &text, Some(hint.to_owned()));
            }
            retention.extend(kinds.iter().map(|kind| (*kind, days.saturating_mul(DAY_MS))));
        }
        retention
    }
}
