//! `callgate evidence`: what was decided, and what came of it. Works while a gateway is running.

use callgate_model::ambient::{Ambient as _, Id};
use callgate_model::json::{Json, JsonLimits, read};
use callgate_store::{Filter, Row, Store};
use std::sync::Arc;

use crate::ambient::Machine;
use crate::cli::evidence::{Evidence, Hash, Key, List, Show, Tiles};
use crate::cli::{Failure, WithConfig};
use crate::commands::{erase, export, pack, settle, sinks, verify};
use crate::config::Config;
use crate::database;
use crate::keeping;
use crate::print;
use crate::print::call::{CallTold, newest, outline, records_of};
use crate::tiles::{self, Payloads};

pub(crate) async fn run(command: Evidence) -> Result<(), Failure> {
    match command {
        Evidence::List(options) => list(*options).await,
        Evidence::Show(options) => show(options).await,
        Evidence::Verify(options) => verify::run(&options).await,
        Evidence::Tiles(options) => tiles(options).await,
        Evidence::Pack(options) => pack::run(*options).await,
        Evidence::Open(options) => settle::open(&options).await,
        Evidence::Settle(options) => settle::settle(options).await,
        Evidence::Erase(options) => erase::run(&options).await,
        Evidence::Export(options) => export::export(*options).await,
        Evidence::Follow(options) => export::follow(*options).await,
        Evidence::Hash(options) => hash(&options),
        Evidence::Sinks(options) => sinks::run(&options).await,
        Evidence::Key(options) => key(&options),
    }
}

async fn list(options: List) -> Result<(), Failure> {
    let store = open_with(&options.config).await?;
    if options.which.changes {
        return changes(&*store, &options).await;
    }
    let filter = options.which.filter();
    let lines = newest(&*store, filter, options.limit).await?;
    if lines.is_empty() {
        print::note("no calls match");
    }
    for (row, outcome) in lines {
        if options.json {
            print::line(&record(&row));
        } else {
            let outcome = outcome.map(|outcome| format!(" -> {outcome}")).unwrap_or_default();
            let call = row.call.map(|call| call.to_string()).unwrap_or_default();
            print::line(&format!(
                "{}  {}{outcome}  {call}",
                row.at,
                print::safe(&CallTold::of(&row).line())
            ));
        }
    }
    Ok(())
}

/// The newest changes of authority.
async fn changes(store: &dyn Store, options: &List) -> Result<(), Failure> {
    let filter = Filter { limit: Some(options.limit), ..options.which.filter() };
    let rows = store.list(&filter).await?;
    if rows.is_empty() {
        print::note("nothing was given or taken back");
    }
    for row in rows {
        if options.json {
            print::line(&record(&row));
        } else {
            print::line(&print::safe(&format!("{}  {}", row.at, change(&row))));
        }
    }
    Ok(())
}

/// What was changed, about whom, and by whom.
fn change(row: &Row) -> String {
    let event = row.event();
    let text = |value: Option<&Json>| value.and_then(Json::as_str).unwrap_or_default().to_owned();
    let at = |path: [&str; 2]| event.get(path[0]).and_then(|inner| inner.get(path[1]));
    let things = ["token", "grant", "revocation", "session", "link", "approval"];
    let id = things.iter().find_map(|thing| at([thing, "id"])).or_else(|| event.get("id"));
    let about = [
        at(["token", "name"]),
        at(["token", "owner"]),
        at(["grant", "reason"]),
        at(["revocation", "reason"]),
        at(["session", "who"]),
        at(["link", "who"]),
        event.get("channel"),
        at(["vote", "approval"]).or_else(|| at(["glass", "approval"])),
        at(["approval", "about"]).and_then(|about| about.get("operation")),
        at(["pin", "of"]).or_else(|| event.get("of")).and_then(|of| of.get("tool")),
        at(["setup", "version"]),
        event.get("bundle"),
        at(["secret", "for"]).or_else(|| event.get("for")).and_then(|owner| owner.get("server")),
    ];
    let about: Vec<_> = about.into_iter().flatten().filter_map(Json::as_str).collect();
    let subject = at(["revocation", "subject"])
        .map(|subject| format!("{} {} ", text(subject.get("kind")), text(subject.get("name"))));
    format!(
        "{:<18} {}  {}{}  by {}",
        text(event.get("change")),
        text(id),
        subject.unwrap_or_default(),
        about.join(", "),
        text(event.get("by"))
    )
}

async fn show(options: Show) -> Result<(), Failure> {
    let store = open_with(&options.config).await?;
    let call = Id::parse(&options.call)
        .ok_or_else(|| Failure::Other(format!("`{}` is not a call's id", options.call)))?;
    let rows = records_of(&*store, call).await?;
    if rows.is_empty() {
        return Err(Failure::Other(format!("there is no call `{call}` in the evidence")));
    }
    for row in rows {
        if options.json {
            print::line(&record(&row));
        } else {
            print::line(&format!(
                "{} {} (record {} of writer {})",
                row.at, row.kind, row.sequence, row.writer
            ));
            for line in outline(&row.event(), 1) {
                print::line(&print::safe(&line));
            }
        }
    }
    Ok(())
}

/// The hashes of a value, one a line: that of the current key first.
fn hash(options: &Hash) -> Result<(), Failure> {
    let keys = options.config.load()?.recording.keys;
    if keys.is_empty() {
        return Err("nothing is hashed: `evidence.hash_keys` names no key".into());
    }
    let mut text = options.value.clone();
    if text == "-" {
        let read = std::io::read_to_string(std::io::stdin());
        text = read.map_err(|error| format!("standard input: {error}"))?;
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
    }
    let value = if options.json {
        read(text.as_bytes(), &JsonLimits::default())
            .map_err(|error| format!("it is no JSON: {error}"))?
    } else {
        text.into()
    };
    keys.iter().for_each(|key| print::line(&key.hash(&value)));
    Ok(())
}

/// The public keys, one a line; or a new secret one.
fn key(options: &Key) -> Result<(), Failure> {
    if let Some(name) = &options.new {
        let random = [Machine.random(), Machine.random()];
        print::line(&keeping::new_signer(name, random)?.to_secret_text());
        return Ok(());
    }
    let keys = keeping::verifiers(&options.config.load()?)?;
    if keys.is_empty() {
        let text = "there is no key yet: a gateway makes one when it starts, unless `evidence.keys` names one";
        return Err(text.into());
    }
    keys.iter().for_each(|key| print::line(&key.to_string()));
    Ok(())
}

async fn tiles(options: Tiles) -> Result<(), Failure> {
    let store = open_with(&options.config).await?;
    let payloads = Payloads { from: options.from, to: options.to };
    let mut progress = print::Progress::new("entries");
    let written =
        tiles::write(&*store, &options.folder, payloads, |done, of| progress.tell(done, of))
            .await?;
    print::line(&format!(
        "{}: {} entries, {} payloads. Verify them with `callgate-verify {0} --key KEY`; `callgate evidence key` prints the key.",
        options.folder.display(),
        written.entries,
        written.payloads
    ));
    Ok(())
}

/// A record on a line: canonical JSON.
pub(super) fn record(row: &Row) -> String {
    String::from_utf8(row.record().canonical()).unwrap_or_default()
}

pub(super) async fn open_with(config: &WithConfig) -> Result<Arc<dyn Store>, Failure> {
    open(&config.load()?).await
}

/// The evidence, to be read.
pub(super) async fn open(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    Ok(database::open_read_only(&config.store).await?)
}
