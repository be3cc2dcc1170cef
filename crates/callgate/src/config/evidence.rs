//! The section of what is done with evidence once it is stored.

use std::time::Duration;

use callgate_model::transparency::Signer;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::section::Reader;
use super::server::RawSecret;

/// What is done with evidence once it is stored.
#[derive(Debug, Default)]
pub(crate) struct EvidenceRules {
    /// Who signs checkpoints; nobody: a key beside the store does.
    pub(crate) signers: Vec<Signer>,
    /// How often there is a checkpoint, if there is anything new.
    pub(crate) checkpoint_every: Duration,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawEvidence {
    keys: Vec<RawSecret>,
    checkpoint_s: Option<u64>,
}

impl Reader {
    pub(super) fn evidence(&mut self) -> Option<EvidenceRules> {
        let raw: RawEvidence = self.optional("evidence")?;
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
        Some(EvidenceRules { signers, checkpoint_every: Duration::from_secs(seconds.max(1)) })
    }
}
