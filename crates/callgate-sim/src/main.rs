//! `callgate-sim`: the simulated site on a port, until it is interrupted.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use callgate_sim::{Eras, Sim, SimOptions, Site};

const USAGE: &str = "usage: callgate-sim [--port N] [--token TOKEN] [--era modern|legacy|both] \
[--flat] [--sse]

Serves a simulated Atlassian site over MCP at http://127.0.0.1:PORT/mcp.
  --port N       port to listen on; 0, the default, takes a free one
  --token TOKEN  require this bearer token
  --era ERA      protocol eras to speak: modern (2026-07-28), legacy (2025-11-25), or both
  --flat         list every tool, as ?tools=all does for one client
  --sse          answer calls as event streams";

#[tokio::main]
async fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        return say(io::stderr(), USAGE, ExitCode::from(2));
    };
    match Sim::start(Site::demo(), options).await {
        Ok(running) => {
            let started = say(io::stdout(), &running.url, ExitCode::SUCCESS);
            match tokio::signal::ctrl_c().await {
                Ok(()) => started,
                Err(error) => say(io::stderr(), &error.to_string(), ExitCode::FAILURE),
            }
        }
        Err(error) => say(io::stderr(), &error.to_string(), ExitCode::FAILURE),
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Option<SimOptions> {
    let mut options = SimOptions::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--port" => {
                let port: u16 = arguments.next()?.parse().ok()?;
                options.bind = SocketAddr::from(([127, 0, 0, 1], port));
            }
            "--token" => options.token = Some(arguments.next()?),
            "--era" => {
                options.eras = match arguments.next()?.as_str() {
                    "modern" => Eras::Modern,
                    "legacy" => Eras::Legacy,
                    "both" => Eras::Both,
                    _ => return None,
                }
            }
            "--flat" => options.flat_tools = true,
            "--sse" => options.sse = true,
            _ => return None,
        }
    }
    Some(options)
}

/// Writes a line; a closed output is a failure, not a panic.
fn say(mut to: impl Write, line: &str, then: ExitCode) -> ExitCode {
    if writeln!(to, "{line}").is_ok() { then } else { ExitCode::FAILURE }
}
