//! Round trips through pipes, one after the other: a server alone, and with the gate around it.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::load::Load;
use crate::{Failure, gateway, say};

const WARM_UP: usize = 200;
const CALLS: usize = 2_000;

/// Measures both, for reads and for writes.
pub(crate) async fn measure() -> Result<(), Failure> {
    for tool in ["getJiraIssue", "editJiraIssue"] {
        let mut alone = Command::new(std::env::current_exe()?);
        alone.arg("upstream-stdio");
        let alone = round_trip(&mut alone, tool).await?;
        let (mut command, _folder) = gateway::wrapped()?;
        let wrapped = round_trip(&mut command, tool).await?;
        say(&format!(
            "stdio, {tool}: {:.0} us alone, {:.0} us with the gate around it (median of {CALLS})",
            alone.as_secs_f64() * 1e6,
            wrapped.as_secs_f64() * 1e6
        ));
    }
    Ok(())
}

async fn round_trip(command: &mut Command, tool: &'static str) -> Result<Duration, Failure> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().ok_or("no standard input")?;
    let mut output = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
    let call = Load { token: None, tool, path: "", concurrency: 1, progress: false }.body();
    let mut line = call.to_vec();
    line.push(b'\n');
    let mut times = Vec::with_capacity(CALLS);
    for index in 0..WARM_UP + CALLS {
        let sent = Instant::now();
        input.write_all(&line).await?;
        let answer = output.next_line().await?.ok_or("the server ended")?;
        if !answer.contains(r#""isError":false"#) {
            return Err(answer.into());
        }
        if index >= WARM_UP {
            times.push(sent.elapsed());
        }
    }
    times.sort_unstable();
    Ok(times.get(CALLS / 2).copied().unwrap_or_default())
}
