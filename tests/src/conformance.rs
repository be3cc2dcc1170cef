//! The official MCP conformance suite, and what of ours it judges: a server, and a client.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::announced;
use crate::install::{Conformance, Node};

const RUN_MAX: Duration = Duration::from_secs(60);

/// What the server says before its address.
const LISTENING: &str = "listening ";

/// What was checked, in each folder of results.
const CHECKS: &str = "checks.json";

/// `-2026-11-26T00-24-07-191Z`, at the end of the name of each folder of results.
const TIME_BYTES: usize = 25;

/// A running server that offers what the suite looks for. Dropping it ends it.
#[derive(Debug)]
pub struct Fixture {
    /// `http://127.0.0.1:PORT/mcp`
    pub url: String,
    /// It ends with its standard input, at the latest.
    _child: Child,
}

impl Fixture {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// If it cannot be started or does not listen in time.
    pub async fn start(installed: &Conformance) -> io::Result<Self> {
        let (line, child) =
            announced(Command::new(&installed.node).arg(&installed.fixture)).await?;
        let url = line.strip_prefix(LISTENING);
        let url = url.ok_or_else(|| io::Error::other(format!("the fixture said {line:?}")))?;
        Ok(Self { url: url.to_owned(), _child: child })
    }
}

/// What the suite found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Whether everything that the revision requires passed.
    pub conforms: bool,
    /// The scenarios that were run, also those that the revision does not require.
    pub scenarios: BTreeSet<String>,
    /// Each `SCENARIO CHECK NAME`. One that was made several times has the worst of its verdicts.
    pub checks: BTreeMap<String, Check>,
    /// What the client said beside, in each scenario; nothing of a server.
    pub said: BTreeMap<String, String>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// How it ended.
    pub verdict: Verdict,
    /// What the suite says of it; often nothing, if it passed or was skipped.
    pub says: String,
}

/// How a check ended, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It only tells something.
    Noted,
    /// Well.
    Passed,
    /// It was not made: what it is about is not offered.
    Skipped,
    /// Badly, or there was a warning.
    Failed,
}

/// Runs every server scenario of `revision` against `url`.
///
/// # Errors
/// If the suite cannot be run, takes too long, or leaves no results.
pub async fn run(installed: &Conformance, url: &str, revision: &str) -> io::Result<Findings> {
    judge(installed, &["server", "--url", url, "--requirements", revision]).await
}

/// Runs every client scenario of `revision`, all at the same time: the suite gives `client` the address of a server.
///
/// # Errors
/// If the suite cannot be run, takes too long, or leaves no results.
pub async fn run_client(
    installed: &Conformance,
    client: &[&str],
    revision: &str,
) -> io::Result<Findings> {
    let command = client.join(" ");
    judge(installed, &["client", "--command", &command, "--requirements", revision]).await
}

/// The client that the suite judges, as a command.
#[must_use]
pub fn client<'a>(installed: &'a Conformance, node: &'a Node) -> [&'a str; 2] {
    [&installed.node, &node.judged].map(|path| path.to_str().unwrap_or_default())
}

async fn judge(installed: &Conformance, arguments: &[&str]) -> io::Result<Findings> {
    let results = tempfile::tempdir()?;
    let suite = Command::new(&installed.node)
        .arg(&installed.suite)
        .args(arguments)
        .arg("--output-dir")
        .arg(results.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(RUN_MAX, suite).await??;
    let mut findings = Findings { conforms: output.status.success(), ..Findings::default() };
    for folder in scenarios_in(results.path())? {
        findings.add(&folder)?;
    }
    if findings.scenarios.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("the suite left no results: {said}")));
    }
    Ok(findings)
}

/// The folders of results. Those of scenarios about how a client logs in are one deeper, and left out.
fn scenarios_in(results: &Path) -> io::Result<Vec<PathBuf>> {
    let folders = fs::read_dir(results)?.map(|folder| folder.map(|folder| folder.path()));
    let folders: Vec<_> = folders.collect::<Result<_, _>>()?;
    Ok(folders.into_iter().filter(|folder| folder.join(CHECKS).is_file()).collect())
}

impl Findings {
    /// Adds the results of one scenario.
    fn add(&mut self, folder: &Path) -> io::Result<()> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let end = name.len().saturating_sub(TIME_BYTES);
        let scenario = name.get(..end).map(|name| name.strip_prefix("server-").unwrap_or(name));
        let scenario = scenario.ok_or_else(|| io::Error::other(format!("what is `{name}`?")))?;
        let checks: Vec<Value> = serde_json::from_slice(&fs::read(folder.join(CHECKS))?)?;
        for check in &checks {
            let text = |name: &str| check.get(name).and_then(Value::as_str).unwrap_or_default();
            let verdict = match text("status") {
                "INFO" => Verdict::Noted,
                "SUCCESS" => Verdict::Passed,
                "SKIPPED" => Verdict::Skipped,
                _ => Verdict::Failed,
            };
            let check = Check { verdict, says: text("errorMessage").to_owned() };
            let known = self.checks.entry(format!("{scenario} {} {}", text("id"), text("name")));
            let known = known.or_insert_with(|| check.clone());
            if verdict > known.verdict {
                *known = check;
            }
        }
        let said = fs::read_to_string(folder.join("stderr.txt")).unwrap_or_default();
        self.said.insert(scenario.to_owned(), said);
        self.scenarios.insert(scenario.to_owned());
        Ok(())
    }

    /// The checks that ended worse here than in `other`, or that were not made although they passed there, each with
    /// what the suite says of it.
    #[must_use]
    pub fn lost(&self, other: &Self) -> BTreeMap<String, String> {
        let worse = |place: &str, verdict| {
            other.checks.get(place).is_none_or(|check| check.verdict < verdict)
        };
        let not_passed = self.checks.iter().filter(|(place, check)| {
            check.verdict > Verdict::Passed && worse(place, check.verdict)
        });
        let lost = not_passed.map(|(place, check)| (place.clone(), check.says.clone()));
        let absent = other.checks.iter().filter(|(place, check)| {
            check.verdict == Verdict::Passed && !self.checks.contains_key(*place)
        });
        lost.chain(absent.map(|(place, _)| (place.clone(), "was not made".to_owned()))).collect()
    }
}
