//! A pack as an auditor has it: its files, and what their own program says of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use callgate_tests::gateway::Gateway;
use callgate_tests::install;
use serde_json::{Value, json};

use super::run;

/// A pack that was made.
pub(super) struct Pack {
    pub(super) folder: PathBuf,
    pub(super) population: Value,
    pub(super) records: Vec<Value>,
    pub(super) told: Value,
}

impl Pack {
    pub(super) async fn make(gateway: &Gateway, name: &str, more: &[&str]) -> Self {
        let arguments = ["evidence", "pack", name, "--from", "2000-01-01", "--json"];
        let made = run(gateway, &[&arguments[..], more].concat()).await;
        Self::read(gateway, name, &made)
    }

    /// One that is there, of which the command said this.
    pub(super) fn read(gateway: &Gateway, name: &str, made: &str) -> Self {
        let folder = gateway.path().join(name);
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let records = text("records/records.jsonl");
        Self {
            population: serde_json::from_str(&text("population.json")).unwrap(),
            records: records.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            told: serde_json::from_str(made).unwrap(),
            folder,
        }
    }

    /// Of all there is, as soon as it is signed while the gateway runs.
    pub(super) async fn signed(gateway: &Gateway) -> Self {
        for number in 0..40 {
            let name = format!("packs/early-{number}");
            let pack = Self::make(gateway, &name, &["--to", "2100-01-01"]).await;
            if pack.population["period"]["records_unsigned"] == 0 {
                return pack;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        panic!("the log was not signed");
    }

    pub(super) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    /// The rows of a table, each by its columns.
    pub(super) fn table(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let text = self.text(name);
        let mut lines = text.lines().map(cells);
        let columns = lines.next().unwrap();
        let row = |cells: Vec<String>| {
            assert_eq!(cells.len(), columns.len(), "{name}: {cells:?}");
            columns.iter().cloned().zip(cells).collect()
        };
        lines.map(row).collect()
    }

    pub(super) fn figure(&self, name: &str) -> u64 {
        self.population["figures"][name].as_u64().unwrap_or_else(|| panic!("no figure {name}"))
    }

    /// How many records have these texts at these places.
    pub(super) fn count(&self, wanted: &[(&str, &str)]) -> u64 {
        let has = |one: &Value| {
            wanted
                .iter()
                .all(|(path, text)| one.pointer(path).and_then(Value::as_str) == Some(text))
        };
        self.records.iter().filter(|one| has(one)).count() as u64
    }

    /// How many denials have this reason.
    pub(super) fn denied(&self, code: &str) -> u64 {
        let is_it = |one: &Value| {
            one.pointer("/event/decision/verdict") == Some(&json!("deny"))
                && one["event"]["decision"]["reasons"].as_array().unwrap().contains(&json!(code))
        };
        self.records.iter().filter(|one| is_it(one)).count() as u64
    }

    /// What the auditor's program says of something in it.
    pub(super) fn verify(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let program = install::beside("callgate-verify", "callgate-verify").unwrap();
        let key = self.text("keys.txt");
        let key = key.lines().find(|line| !line.starts_with('#')).unwrap().to_owned();
        let ran = Command::new(program)
            .args(arguments)
            .args(["--key", &key])
            .current_dir(&self.folder)
            .output()
            .unwrap();
        (ran.status.code(), String::from_utf8_lossy(&ran.stdout).into_owned())
    }
}

/// The cells of a line of a table, as RFC 4180 has them.
fn cells(line: &str) -> Vec<String> {
    let (mut all, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', false) => all.push(std::mem::take(&mut cell)),
            (c, _) => cell.push(c),
        }
    }
    all.push(cell);
    all
}
