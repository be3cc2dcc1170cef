//! The Callgate binary: configuration, HTTP servers, command line, wiring.
//!
//! Floor 3. What is decided, and how, is below; this crate reads files and the environment, opens sockets and prints.

mod ambient;
mod assemble;
mod cli;
mod commands;
mod config;
mod http;
mod print;
mod reload;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
