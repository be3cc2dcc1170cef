//! A program that says on its first line where it listens.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// For the first line.
const SAYS_WITHIN: Duration = Duration::from_secs(30);

/// Starts it, with pipes for what it hears and says. It ends when the child is dropped, or its standard input.
///
/// # Errors
/// If it cannot be started, or says nothing in time.
pub async fn announced(command: &mut Command) -> io::Result<(String, Child)> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.kill_on_drop(true).spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(SAYS_WITHIN, lines.next_line()).await??;
    let line = line.ok_or_else(|| io::Error::other("it ended without a word"))?;
    Ok((line, child))
}
