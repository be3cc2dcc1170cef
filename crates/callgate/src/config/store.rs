//! The section of the database.

use std::fmt;
use std::path::{Path, PathBuf};

use callgate_store::Address;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::section::Reader;
use super::server::RawSecret;

/// Where everything is kept.
#[derive(Clone, Debug)]
pub(crate) enum StoreConfig {
    /// In a database that replicas share.
    Postgres(Box<Address>),
    /// In this file.
    Sqlite(PathBuf),
}

impl StoreConfig {
    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Postgres(_) => None,
            Self::Sqlite(path) => Some(path),
        }
    }

    /// Whether anything may have been kept there by now.
    pub(crate) fn may_be_there(&self) -> bool {
        match self {
            Self::Postgres(_) => true,
            Self::Sqlite(path) => path.exists(),
        }
    }
}

impl fmt::Display for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(address) => address.fmt(f),
            Self::Sqlite(path) => path.display().fmt(f),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStore {
    path: Option<PathBuf>,
    url: Option<String>,
    password: Option<RawSecret>,
}

const EXAMPLE: &str = "[store]\n  path = \"callgate.db\"";

impl Reader {
    pub(super) fn store(&mut self) -> Option<StoreConfig> {
        match self.required("store", EXAMPLE)? {
            RawStore { path: Some(path), url: None, password: None } => {
                Some(StoreConfig::Sqlite(self.relative(&path)))
            }
            RawStore { path: None, url: Some(url), password } => self.postgres(&url, password),
            RawStore { .. } => {
                let text = "say where it is: `path` of a file, or `url` of a PostgreSQL database (then with `password`, if it needs one)";
                self.problem("store", text, Some(EXAMPLE.to_owned()));
                None
            }
        }
    }

    /// Replicas have to seal and sign by the same keys: what one has made, others read.
    fn postgres(&mut self, url: &str, password: Option<RawSecret>) -> Option<StoreConfig> {
        let read = password.map(|password| self.secret(password)).transpose();
        let password = read.map_err(|text| self.problem("store.password", &text, None)).ok()?;
        if self.keys.is_none() {
            let text = "with a PostgreSQL database there have to be keys that all replicas seal with: `[sealing]`";
            self.problem(
                "store.url",
                text,
                Some("openssl rand -base64 32 > sealing.key".to_owned()),
            );
        }
        if !self.has("evidence", "keys") {
            let text = "with a PostgreSQL database there has to be a key that all replicas sign checkpoints with: `evidence.keys`";
            let hint = "callgate evidence key --new gate.example.com/evidence > evidence.key";
            self.problem("store.url", text, Some(hint.to_owned()));
        }
        let password = password.as_ref().map(|password| password.expose_secret().trim());
        match Address::new(url, password) {
            Ok(address) => Some(StoreConfig::Postgres(Box::new(address))),
            Err(error) => {
                self.problem("store.url", &error.to_string(), None);
                None
            }
        }
    }
}
