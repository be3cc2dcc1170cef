//! The Callgate binary: configuration, HTTP servers, command line, wiring.
//!
//! Floor 3. What is decided, and how, is below; this crate reads files and the environment, opens sockets and prints.

mod ambient;
mod api;
mod assemble;
mod cases;
mod ceremony;
mod cli;
mod commands;
mod config;
mod console;
mod database;
mod desk;
mod difference;
mod doctor;
mod export;
mod habits;
mod handover;
mod http;
mod intents;
mod keeping;
mod means;
mod notify;
mod otlp;
mod pack;
mod pause;
mod pipe;
mod premises;
mod print;
mod private;
mod privilege;
mod recorded;
mod reload;
mod service;
mod stop;
mod tiles;
mod verification;

use std::process::ExitCode;

/// A record is made by one thread and freed by another, where the allocator of glibc waits for its locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
