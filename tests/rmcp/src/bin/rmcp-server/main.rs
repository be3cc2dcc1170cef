//! A server that keeps notes as files, made with the official Rust SDK. It speaks both eras, and does what few servers
//! do: it asks its client back, answers with tasks, and tells who subscribed.
//!
//! Arguments: the folder of the notes, and `--stdio` or a port of 127.0.0.1 (then it serves `/mcp`); `--legacy` after that
//! leaves the modern era out.

#![expect(deprecated, reason = "logs, sampling and roots are deprecated, and still in use")]

mod asks;
mod offers;
mod server;
mod tasks;
mod tools;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use rmcp::ServiceExt as _;
use rmcp::transport::stdio;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

use server::Notes;

#[tokio::main]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(place)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: rmcp-server FOLDER --stdio|PORT [--legacy]"));
    };
    let is_legacy = arguments.next().is_some_and(|era| era == "--legacy");
    let notes = Notes::of(PathBuf::from(folder), is_legacy);
    if place == "--stdio" {
        let running = notes.serve(stdio()).await.map_err(io::Error::other)?;
        running.waiting().await.map(drop).map_err(io::Error::other)
    } else {
        serve(notes, place.parse().map_err(io::Error::other)?).await
    }
}

/// With sessions for who speaks the legacy era, because only in a session can a client be asked back.
async fn serve(notes: Notes, port: u16) -> io::Result<()> {
    let config = StreamableHttpServerConfig::default().with_legacy_session_mode(true);
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(notes.for_session()), sessions, config);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, Router::new().nest_service("/mcp", service)).await
}
