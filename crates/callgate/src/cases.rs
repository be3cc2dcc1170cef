//! Decision cases in files: what `callgate policy test` runs, and a gateway whenever its policies are others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use callgate_gateway::catalog::ServerCatalog;
use callgate_gateway::rehearse::{CaseFile, run_case};
use callgate_model::ambient::Timestamp;
use callgate_policy::Bundle;

use crate::assemble::files_in;
use crate::config::Problem;

/// A case that was run.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    pub(crate) file: PathBuf,
    pub(crate) name: String,
    /// What is different from what is wanted, if anything is.
    pub(crate) result: Result<(), String>,
}

/// The files of cases that stand beside policies.
pub(crate) fn files(policies: &Path) -> Vec<PathBuf> {
    files_in(&policies.join("cases"), "toml")
}

/// Runs every case of these files.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn run(
    files: &[PathBuf],
    catalogs: &BTreeMap<String, ServerCatalog>,
    bundle: &Bundle,
    now: Timestamp,
) -> Result<Vec<Ran>, Problem> {
    let mut ran = Vec::new();
    for file in files {
        let cases = read(file)?;
        ran.extend(cases.cases.iter().map(|case| {
            let result = run_case(catalogs, bundle, &cases, case, now);
            Ran { file: file.clone(), name: case.name.clone(), result }
        }));
    }
    Ok(ran)
}

fn read(file: &Path) -> Result<CaseFile, Problem> {
    let problem = |text: String| Problem { place: file.display().to_string(), text, hint: None };
    let text = std::fs::read_to_string(file).map_err(|error| problem(error.to_string()))?;
    toml::from_str(&text).map_err(|error| problem(error.to_string()))
}
