//! `callgate demo`: the main job, on one machine, in one command. Nothing here is special: the demo writes a
//! configuration, policies and a secret into a folder and runs the gateway from them as `serve` does.

mod client;
mod folder;
mod script;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use callgate_sim::{Sim, SimOptions, Site};
use callgate_store::{Filter, SqliteStore};
use tokio::sync::oneshot;

use crate::cli::{Demo, Failure};
use crate::commands::{evidence, serve};
use crate::config::{Config, LogConfig};
use crate::print;
use client::Client;

/// How long to wait for a decision to show in the evidence.
const SHOWS_WITHIN_MS: u64 = 3_000;
const LOOK_EVERY_MS: u64 = 20;

pub(crate) async fn run(options: Demo) -> Result<(), Failure> {
    let temporary = match &options.folder {
        Some(_) => None,
        None => Some(tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?),
    };
    let folder = options.folder.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path));
    let folder = folder.ok_or_else(|| Failure::Other("no folder".to_owned()))?;
    let secret = folder::secret(callgate_model::ambient::Ambient::random(&crate::ambient::Machine));
    let options_of_site = SimOptions { token: Some(secret.clone()), ..SimOptions::default() };
    let site = Sim::start(Site::demo(), options_of_site)
        .await
        .map_err(|error| format!("the simulated site cannot start: {error}"))?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let file = folder::write(folder, listen, &site.url, &secret)
        .map_err(|error| format!("`{}` cannot be written: {error}", folder.display()))?;
    let config = Config::load(&file)?;
    serve::start_logging(&LogConfig { json: false, filter: "warn,callgate=error".to_owned() })?;

    let (started, address) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let store = config.store.clone();
    let serving = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        serve::serve(config, stopped, |address| {
            started.send(address).ok();
        })
        .await
    });
    let Ok(address) = address.await else {
        return serving.await.map_err(|error| Failure::Other(error.to_string()))?;
    };
    print::line(&format!("A simulated Atlassian site at {}", site.url));
    print::line(&format!("Callgate in front of it at   http://{address}/mcp/atlassian"));
    let talked = converse(address, &store).await;
    if talked.is_ok() {
        print::line(&format!(
            "\nThe site executed {} of {} calls; the others never reached it.",
            site.ledger().entries().len(),
            script::CALLS.len()
        ));
        if !options.once {
            let program = std::env::args().next().unwrap_or_default();
            print::line(&folder::farewell(&program, address, &file));
            serve::stop_signal()?.await;
        }
    }
    drop(stop);
    serving.await.map_err(|error| Failure::Other(error.to_string()))??;
    site.stop().await;
    talked
}

/// The scripted conversation, each decision as the evidence has it.
async fn converse(address: SocketAddr, store: &Path) -> Result<(), Failure> {
    let client = Client::new(address);
    let store = SqliteStore::open_read_only(store).await.map_err(|error| error.to_string())?;
    let mut last = String::new();
    for call in script::CALLS {
        print::line(&format!("\n# {}", call.about));
        let arguments = script::arguments(call)?;
        client.call(call.token, call.tool, arguments).await?;
        last = next_decision(&store, &last).await?;
    }
    Ok(())
}

/// Prints the decision after the call `last`.
async fn next_decision(store: &SqliteStore, last: &str) -> Result<String, Failure> {
    for _ in 0..SHOWS_WITHIN_MS / LOOK_EVERY_MS {
        let newest = evidence::newest(store, Filter::default(), 1).await?;
        if let Some((row, _)) = newest.first()
            && let Some(call) = row.call.map(|call| call.to_string())
            && call != last
        {
            print::line(&evidence::summary(row));
            return Ok(call);
        }
        tokio::time::sleep(std::time::Duration::from_millis(LOOK_EVERY_MS)).await;
    }
    Err(Failure::Other("the decision did not show in the evidence".to_owned()))
}
