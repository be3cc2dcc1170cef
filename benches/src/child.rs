//! A child process that serves on a port it prints, and what it costs.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::Failure;

/// Clock ticks per second of `/proc/PID/stat` (`USER_HZ`, 100 on Linux).
const TICKS_PER_S: f64 = 100.0;

/// A running child. Dropping it ends it.
pub(crate) struct Child {
    process: tokio::process::Child,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
}

impl Child {
    /// This program again, as a server.
    pub(crate) async fn of_this(arguments: &[&str]) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments);
        let mut process = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let output = process.stdout.take().ok_or("the child has no output")?;
        let line = BufReader::new(output).lines().next_line().await?;
        Ok(Self { process, address: line.ok_or("the child ended at once")? })
    }

    /// A child that serves at an address known beforehand.
    pub(crate) fn at(address: String, command: &mut Command) -> Result<Self, Failure> {
        Ok(Self { process: command.kill_on_drop(true).spawn()?, address })
    }

    /// CPU time used so far, in seconds, user and system.
    pub(crate) fn cpu_s(&self) -> f64 {
        let stat = self.proc("stat");
        // The program's name, in parentheses, may hold blanks.
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().collect();
        let ticks =
            |index: usize| fields.get(index).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / TICKS_PER_S
    }

    /// Resident memory, in megabytes.
    pub(crate) fn resident_mb(&self) -> u64 {
        self.resident_kib() / 1024
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kb = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
        kb.unwrap_or(0)
    }

    fn proc(&self, file: &str) -> String {
        let id = self.process.id().unwrap_or(0);
        std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default()
    }
}
