//! The section of the keys by which secrets are sealed.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_gateway::sealing::{Keyring, SealingKey};
use secrecy::SecretString;
use serde::Deserialize;

use super::section::Reader;
use super::server::RawSecret;

/// What secrets are sealed for that stand in the configuration.
pub(crate) const IN_CONFIGURATION: &str = "configuration";
/// For a command to give a key.
const COMMAND_WITHIN: Duration = Duration::from_secs(15);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Most that a command may say, in bytes: a key is 44.
const SAID_BYTES_MAX: u64 = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSealing {
    keys: Vec<RawKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    file: Option<PathBuf>,
    env: Option<String>,
    command: Option<Vec<String>>,
}

impl Reader {
    /// The keys, the current one first.
    pub(super) fn sealing(&mut self) -> Option<Arc<Keyring>> {
        let raw: Option<RawSealing> = self.optional("sealing")?;
        let mut keys = Vec::new();
        for (index, raw) in raw?.keys.into_iter().enumerate() {
            let text = match raw {
                RawKey { file: None, env: None, command: Some(command) } => self.said_by(&command),
                RawKey { file, env, command: None } => {
                    self.secret(RawSecret { file, env, sealed: None })
                }
                RawKey { .. } => {
                    Err("say where the key is: `file`, `env` or `command`, one of them".to_owned())
                }
            };
            let key =
                text.and_then(|text| SealingKey::read(&text).map_err(|error| error.to_string()));
            match key {
                Ok(key) => keys.push(key),
                Err(text) => {
                    let hint = "openssl rand -base64 32";
                    self.problem(&format!("sealing.keys[{index}]"), &text, Some(hint.to_owned()));
                    return None;
                }
            }
        }
        let made = Keyring::new(keys).map_err(|error| error.to_string());
        made.map(Arc::new).map_err(|text| self.problem("sealing.keys", &text, None)).ok()
    }

    /// What stands sealed in the configuration.
    pub(super) fn unsealed(&self, sealed: &str) -> Result<SecretString, String> {
        let keys = self.keys.as_deref().ok_or("there is no `[sealing]` to open it with")?;
        let plain = keys.open(IN_CONFIGURATION, b"", sealed.trim());
        let plain = plain.and_then(|plain| String::from_utf8(plain).ok());
        Ok(plain.ok_or("none of `sealing.keys` opens it, or it was altered")?.into())
    }

    /// What a command says on its standard output. What it says on standard error goes to ours.
    fn said_by(&self, command: &[String]) -> Result<SecretString, String> {
        let (program, arguments) = command.split_first().ok_or("the command is empty")?;
        let started = Command::new(program)
            .args(arguments)
            .current_dir(self.relative(".".as_ref()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut child =
            started.map_err(|error| format!("`{program}` cannot be started: {error}"))?;
        let said = child.stdout.take().map(|out| {
            std::thread::spawn(move || {
                let mut said = String::new();
                out.take(SAID_BYTES_MAX).read_to_string(&mut said).map(|_| said)
            })
        });
        ends(&mut child, program)?;
        let said = said.and_then(|said| said.join().ok()?.ok());
        said.map(SecretString::from).ok_or_else(|| format!("`{program}` says no text"))
    }
}

/// Waits for a command, for a while.
fn ends(child: &mut Child, program: &str) -> Result<(), String> {
    let until = Instant::now() + COMMAND_WITHIN;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("`{program}` failed: {status}")),
            Ok(None) if Instant::now() < until => std::thread::sleep(LOOK_EVERY),
            Ok(None) => {
                // It may have ended this moment.
                child.kill().ok();
                child.wait().ok();
                return Err(format!("`{program}` did not end in time"));
            }
            Err(error) => return Err(format!("`{program}`: {error}")),
        }
    }
}
