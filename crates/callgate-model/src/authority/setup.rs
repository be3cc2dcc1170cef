//! What a gateway decides by: the policies in force, and the configuration that it runs with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A policy that is put in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyInForce {
    /// Its name.
    pub id: String,
    /// The folder it is in: `guardrails`, `approvals` or `permits`.
    pub tier: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it exists.
    pub reason: String,
    /// Its text, from the first annotation to the semicolon; only its digest, if all of them together are too long.
    pub text: Option<String>,
    /// SHA-256 of the text.
    pub digest: Digest,
}

impl PolicyInForce {
    /// Longest that the texts of all policies together may be for the record to have them, in bytes.
    pub const TEXTS_BYTES_MAX: usize = 8 << 20;
}

/// What a gateway runs with, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The version of the program.
    pub version: String,
    /// SHA-256 of the configuration file.
    pub configuration: Digest,
    /// Under which address clients know it, if that is said.
    pub public_url: Option<String>,
    /// The servers.
    pub servers: Vec<ServerSetup>,
    /// Whose tokens are accepted, by their configured names.
    pub issuers: Vec<String>,
    /// By which people are told.
    pub channels: Vec<String>,
    /// The public keys of those that sign checkpoints.
    pub keys: Vec<String>,
    /// Each setting that is there and weakens safety, by its name.
    pub dangers: Vec<String>,
    /// How evidence is kept; `None` if it was recorded before that was.
    #[serde(default)]
    pub evidence: Option<EvidenceSetup>,
}

/// A server as a gateway knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSetup {
    /// Its name.
    pub name: String,
    /// The catalog that says what its tools do.
    pub catalog: String,
}

/// How a gateway keeps evidence: what comes into it, for how long, and where it goes besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceSetup {
    /// What is recorded of arguments for which there are no rules: `digest` or `redacted`.
    pub arguments: String,
    /// The operations of which there are rules for fields: the operator's, or of catalogs.
    pub fields: Vec<String>,
    /// For how many days what a record of that kind says is kept. Of other kinds it is kept for good.
    pub retention_days: BTreeMap<String, u64>,
    /// Who gets records.
    pub sinks: Vec<PlaceSetup>,
    /// Where checkpoints are noted.
    pub anchors: Vec<PlaceSetup>,
    /// Who cosigns them.
    pub witnesses: Vec<WitnessSetup>,
}

/// Somewhere else that evidence goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceSetup {
    /// Its name in the configuration.
    pub name: String,
    /// What it is: `syslog`, `put`.
    pub kind: String,
}

/// A witness as a gateway knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessSetup {
    /// Its name in the configuration.
    pub name: String,
    /// The name of its key, by which its cosignatures are known.
    pub key: String,
}
