//! `callgate demo`: the main job, on one machine, in one command. Nothing here is special: the demo writes a
//! configuration, policies and a secret into a folder and runs the gateway from them as `serve` does.

mod client;
mod folder;
mod script;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use callgate_model::authority::Change;
use callgate_sim::{Running, Sim, SimOptions, Site};
use callgate_store::{Filter, LIST_MAX, Row, Store};
use tokio::sync::oneshot;

use crate::cli::{Demo, Failure, WithConfig};
use crate::commands::office::Office;
use crate::commands::{console, serve};
use crate::config::StoreConfig;
use crate::config::{Config, LogConfig};
use crate::console::{CONSOLE, link_to};
use crate::database;
use crate::print;
use crate::print::call::{CallTold, newest};
use crate::stop::Stop;
use client::Client;
use script::LEFT;

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
        let stop = Stop::after(async { drop(stopped.await) });
        serve::serve(config, None, stop, |address| {
            started.send(address).ok();
        })
        .await
    });
    let Ok(address) = address.await else {
        return serving.await.map_err(|error| Failure::Other(error.to_string()))?;
    };
    print::line(&format!("A simulated Atlassian site at {}", site.url));
    print::line(&format!("Callgate in front of it at   http://{address}/mcp/atlassian"));
    let shown = show(&site, address, &store, file, options.once).await;
    drop(stop);
    serving.await.map_err(|error| Failure::Other(error.to_string()))??;
    site.stop().await;
    shown
}

/// The conversation; then, unless it is to be all, something that waits, and everything that whoever looks needs, until they have
/// seen enough.
async fn show(
    site: &Running,
    address: SocketAddr,
    store: &StoreConfig,
    file: PathBuf,
    is_all: bool,
) -> Result<(), Failure> {
    let own_reads = converse(address, store).await?;
    print::line(&format!(
        "\nThe site executed {} of {} calls; the others never reached it. {own_reads} times it was asked first where \
         something belongs.",
        site.ledger().entries().len().saturating_sub(own_reads),
        script::CALLS.len()
    ));
    if is_all {
        return Ok(());
    }
    let link = leave_waiting(address, &file).await?;
    let program = std::env::args().next().unwrap_or_default();
    print::line(&folder::farewell(&program, address, &file, &link));
    Stop::of_signals()?.asked().await;
    Ok(())
}

/// Has a call wait for a lead, and makes a link that signs her in where she can decide about it.
async fn leave_waiting(address: SocketAddr, file: &Path) -> Result<String, Failure> {
    let client = Client::new(address);
    client.call(LEFT.token, LEFT.tool, script::arguments(&LEFT)?).await?;
    let waiting = client.waiting(folder::LEAD).await?;
    let office = Office::open(&WithConfig { config: file.to_owned() }).await?;
    let (link, code) = console::make(folder::LEAD_NAME);
    office.change(Change::SignInLinkMade { link: Box::new(link) }).await?;
    let page = format!("{CONSOLE}/approvals/{waiting}");
    Ok(link_to(&format!("http://{address}"), &code, Some(&page)))
}

/// The scripted conversation, each decision as the evidence has it. How often the gateway itself had to ask.
async fn converse(address: SocketAddr, store: &StoreConfig) -> Result<usize, Failure> {
    let client = Client::new(address);
    let store = database::open_read_only(store).await?;
    let (mut shown, mut own_reads) = (0, 0);
    for call in script::CALLS {
        print::line(&format!("\n# {}", call.about));
        let arguments = script::arguments(call)?;
        if let Some(lead) = call.approved_by {
            let asked = client.approve(lead).await?;
            let decided = decisions(&*store, shown, asked).await?;
            shown += decided.len();
            decided.iter().for_each(|row| print::line(&print::safe(&CallTold::of(row).line())));
        }
        client.call(call.token, call.tool, arguments).await?;
        let decided = decisions(&*store, shown, 1).await?;
        shown += decided.len();
        own_reads += decided.len() - 1;
        decided.iter().for_each(|row| print::line(&print::safe(&CallTold::of(row).line())));
    }
    Ok(own_reads)
}

/// The decisions after the first `shown`: so many at least, and what the gateway read for the last one before.
async fn decisions(store: &dyn Store, shown: usize, at_least: usize) -> Result<Vec<Row>, Failure> {
    for _ in 0..SHOWS_WITHIN_MS / LOOK_EVERY_MS {
        let all = newest(store, Filter::default(), LIST_MAX).await;
        let all = all.map_err(|error| Failure::Other(error.to_string()))?;
        let new: Vec<Row> = all.into_iter().rev().skip(shown).map(|(row, _)| row).collect();
        if new.len() >= at_least && new.last().is_some_and(|row| !CallTold::of(row).is_own_read) {
            return Ok(new);
        }
        tokio::time::sleep(std::time::Duration::from_millis(LOOK_EVERY_MS)).await;
    }
    Err(Failure::Other("the decision did not show in the evidence".to_owned()))
}
