//! A configuration in a temporary folder, and the command line used on it.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Gateway, program};
use crate::evidence::Evidence;
use crate::upstream::free_port;

/// How long evidence may take to show.
const SHOWS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// Who presents a token.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    /// The human.
    pub human: &'static str,
    /// Their group.
    pub group: &'static str,
    /// The agent.
    pub agent: &'static str,
}

/// A configuration as it grows.
#[derive(Clone, Debug)]
pub struct Setup {
    config: String,
    files: Vec<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        let config = "\
[listen]\naddress = \"127.0.0.1:0\"\n\
[store]\npath = \"evidence.db\"\n\
[policies]\nfolder = \"policies\"\n";
        Self { config: config.to_owned(), files: Vec::new() }
    }
}

impl Setup {
    /// A server that is called with `secret`, which is written to a file of its own. Its site is called `acme`.
    #[must_use]
    pub fn server(self, name: &str, url: &str, catalog: &str, secret: &str) -> Self {
        let section = format!(
            "[servers.{name}]\nurl = \"{url}\"\ncatalog = \"{catalog}\"\ntools = \"any\"\nconfirm_moves = false\ndefault_site = \"acme\"\n\
             credential = {{ file = \"{name}.secret\" }}\n\
             [servers.{name}.sites.acme]\ncloud_id = \"5f2c9a1e-7b34-4d08-9c61-2ad0e8f3b7c4\"\n\
             url = \"https://acme.atlassian.net\"\n"
        );
        self.section(&section).file(&format!("{name}.secret"), secret)
    }

    /// A server that is the command `command`, with `environment`. Its site is called `acme`.
    #[must_use]
    pub fn command(
        self,
        name: &str,
        command: &[&str],
        catalog: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let mut section = format!(
            "[servers.{name}]\ncommand = {command:?}\ncatalog = \"{catalog}\"\ntools = \"any\"\nconfirm_moves = false\ndefault_site = \"acme\"\n\
             [servers.{name}.sites.acme]\nurl = \"https://acme.atlassian.net\"\n\
             [servers.{name}.environment]\n"
        );
        for (variable, value) in environment {
            // Writing to a string cannot fail.
            writeln!(section, "{variable} = \"{value}\"").ok();
        }
        self.section(&section)
    }

    /// A caller, named by the token.
    #[must_use]
    pub fn token(self, token: &str, chain: &Chain) -> Self {
        let Chain { human, group, agent } = chain;
        let digest = digest(token.as_bytes());
        self.section(&format!(
            "[[danger_static_tokens]]\nname = \"{human} via {agent} {}\"\nsha256 = \"{digest}\"\n\
             human = \"{human}\"\ngroups = [\"{group}\"]\nagent = \"{agent}\"\n",
            digest.get(..4).unwrap_or_default()
        ))
    }

    /// A caller for who sends no token.
    #[must_use]
    pub fn danger_anonymous(mut self, human: &str) -> Self {
        let listen = format!("[listen]\ndanger_anonymous = \"{human}\"\n");
        self.config = self.config.replacen("[listen]\n", &listen, 1);
        let digest = digest(human.as_bytes());
        self.section(&format!(
            "[[danger_static_tokens]]\nname = \"{human}\"\nsha256 = \"{digest}\"\nhuman = \"{human}\"\n"
        ))
    }

    /// It knows its own address, which tokens of issuers are for.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn public(self) -> io::Result<Self> {
        Ok(self.at(free_port()?))
    }

    /// It is at this port, and knows that.
    #[must_use]
    pub fn at(mut self, port: u16) -> Self {
        let listen = format!("127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"");
        self.config = self.config.replacen("127.0.0.1:0\"", &listen, 1);
        self
    }

    /// It is at a port of its own, and browsers come to it by a name.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn named(mut self) -> io::Result<Self> {
        let port = free_port()?;
        let listen = format!("127.0.0.1:{port}\"\npublic_url = \"http://localhost:{port}\"");
        self.config = self.config.replacen("127.0.0.1:0\"", &listen, 1);
        Ok(self)
    }

    /// Clients know it by the address `url`.
    #[must_use]
    pub fn known_as(mut self, url: &str) -> Self {
        let listen = format!("[listen]\npublic_url = \"{url}\"\n");
        self.config = self.config.replacen("[listen]\n", &listen, 1);
        self
    }

    /// Its evidence is at this path.
    #[must_use]
    pub fn store(mut self, path: &str) -> Self {
        self.config = self.config.replacen("evidence.db", path, 1);
        self
    }

    /// It keeps everything in the PostgreSQL database at `url`, seals by `sealing.key`, and signs by `key`.
    #[must_use]
    pub fn postgres(mut self, url: &str, key: &str) -> Self {
        let store = format!("[store]\nurl = \"{url}\"\n");
        self.config = self.config.replacen("[store]\npath = \"evidence.db\"\n", &store, 1);
        self.file("evidence.key", key).section(
            "[sealing]\nkeys = [{ file = \"sealing.key\" }]\n\
             [evidence]\nkeys = [{ file = \"evidence.key\" }]\n",
        )
    }

    /// More of the configuration.
    #[must_use]
    pub fn section(mut self, section: &str) -> Self {
        self.config.push_str(section);
        self
    }

    /// A file; policies are at `policies/permits/NAME.cedar` and so on.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// Writes everything into a new folder.
    ///
    /// # Errors
    /// If the folder or a file cannot be written.
    pub fn write(&self) -> io::Result<Folder> {
        let folder = Folder(tempfile::tempdir()?);
        folder.put("callgate.toml", &self.config)?;
        for (path, text) in &self.files {
            folder.put(path, text)?;
        }
        Ok(folder)
    }

    /// Writes everything and starts the gateway.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start(&self) -> io::Result<Gateway> {
        Gateway::start(self.write()?).await
    }
}

/// A folder with a configuration. Dropping it removes it.
#[derive(Debug)]
pub struct Folder(TempDir);

/// What a command did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said beside.
    pub stderr: String,
}

impl Ran {
    /// Each line of what it printed, as JSON.
    ///
    /// # Errors
    /// If one is not JSON.
    pub fn json(&self) -> io::Result<Vec<Value>> {
        self.stdout.lines().map(|line| serde_json::from_str(line).map_err(Into::into)).collect()
    }
}

impl Folder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file in it, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, path: &str, text: &str) -> io::Result<()> {
        let path = self.path().join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let new = PathBuf::from(format!("{}.new", path.display()));
        fs::write(&new, text)?;
        fs::rename(new, path)
    }

    /// Runs the program here.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn cli(&self, arguments: &[&str]) -> io::Result<Ran> {
        callgate(self.path(), arguments, "").await
    }

    /// Everything that the evidence has. Works while the gateway runs.
    ///
    /// # Errors
    /// If the commands fail or print what is no evidence.
    pub async fn evidence(&self) -> io::Result<Evidence> {
        let list = ["evidence", "list", "--limit", "1000"];
        let decisions = self.cli(&[&list[..], &["--json"]].concat()).await?;
        let lines = self.cli(&list).await?;
        if decisions.code != Some(0) || lines.code != Some(0) {
            return Err(io::Error::other(format!("{decisions:?} {lines:?}")));
        }
        Evidence::read(&decisions.json()?, &lines.stdout)
    }

    /// The evidence as soon as `enough` of it is there: records of reads and refusals are written in groups.
    ///
    /// # Errors
    /// If that does not happen in time, with what is there.
    pub async fn evidence_when(&self, enough: impl Fn(&Evidence) -> bool) -> io::Result<Evidence> {
        let deadline = Instant::now() + SHOWS_WITHIN;
        loop {
            let evidence = self.evidence().await?;
            if enough(&evidence) {
                return Ok(evidence);
            }
            if Instant::now() >= deadline {
                return Err(io::Error::other(format!("the evidence has only {evidence:#?}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Runs the program in `folder` with `input` as its standard input.
///
/// # Errors
/// If it cannot be run.
pub async fn callgate(folder: &Path, arguments: &[&str], input: &str) -> io::Result<Ran> {
    let mut child = Command::new(program()?)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input may end before it is written.
        stdin.write_all(input.as_bytes()).await.ok();
    }
    let output = child.wait_with_output().await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}
