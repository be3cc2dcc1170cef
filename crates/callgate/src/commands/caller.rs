//! `callgate caller show`: what chain a token makes.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use callgate_gateway::identity::{Identified, Identities, Registry, Unacceptable, Visit};
use callgate_model::ambient::{Ambient, Timestamp};
use callgate_model::caller::{AccountableKind, Agent, Caller};
use callgate_model::json::Object;

use crate::ambient::Machine;
use crate::assemble;
use crate::cli::{CallerShow, Failure};
use crate::database;
use crate::print;

/// Longest input, in bytes: more is no token.
const INPUT_BYTES_MAX: u64 = 64 << 10;

pub(crate) async fn show(options: CallerShow) -> Result<(), Failure> {
    let config = options.config.load()?;
    let token = read(options.token.as_deref())?;
    let servers: Vec<String> = config.servers.into_keys().collect();
    let opens: Vec<_> = servers.iter().map(String::as_str).chain([""]).collect();
    let mut identities = assemble::identities(None, config.tokens).with_issuers(config.issuers);
    // Without a store there are no tokens of the gateway's own, and nobody is revoked.
    if config.store.may_be_there() {
        let store = database::open_read_only(&config.store).await?;
        let registry = Registry::open(store, Machine.now()).await;
        let registry = registry.map_err(|error| format!("{}: {error}", config.store))?;
        identities = identities.with_registry(registry);
    }
    let mut shown = Err(Unacceptable::Unknown);
    let mut opened = Vec::new();
    for server in &opens {
        let resource = config.resources.of(server);
        let visit = Visit { resource: &resource.address, server, peer: None };
        match identities.holder(token.trim(), Machine.now(), &visit).await {
            Ok(holder) => {
                opened.push(path(server));
                shown = Ok(holder);
            }
            Err(wrong) if opened.is_empty() => shown = Err(wrong),
            Err(_) => {}
        }
    }
    let expected = opens.iter().map(|server| config.resources.of(server).address);
    match shown {
        Ok(holder) => told(&holder, &opened, options.json),
        Err(wrong) => refused(&wrong, &expected.collect::<Vec<_>>(), &identities, options.json),
    }
}

fn path(server: &str) -> String {
    if server.is_empty() { "/mcp".to_owned() } else { format!("/mcp/{server}") }
}

/// A token is no argument: the arguments of a program are there for everybody to see.
pub(super) fn read(file: Option<&Path>) -> Result<String, Failure> {
    let mut token = String::new();
    let got = match file.filter(|file| *file != Path::new("-")) {
        Some(file) => std::fs::File::open(file)
            .and_then(|file| file.take(INPUT_BYTES_MAX).read_to_string(&mut token))
            .map_err(|error| format!("`{}` cannot be read: {error}", file.display())),
        None => std::io::stdin()
            .lock()
            .take(INPUT_BYTES_MAX)
            .read_to_string(&mut token)
            .map_err(|error| format!("the token cannot be read: {error}")),
    };
    got?;
    Ok(token)
}

fn told(holder: &Arc<Identified>, opened: &[String], json: bool) -> Result<(), Failure> {
    if json {
        let all = Object::default()
            .with("accepted", true)
            .with("caller", holder.caller.to_json())
            .with("opens", opened.to_vec());
        print::json(&all.into());
    } else {
        print::line(&as_text(&holder.caller, opened));
    }
    Ok(())
}

fn refused(
    wrong: &Unacceptable,
    expected: &[String],
    identities: &Identities,
    json: bool,
) -> Result<(), Failure> {
    let issuers: Vec<_> = identities.issuers().map(|(issuer, _)| issuer.to_owned()).collect();
    let help = if *wrong == Unacceptable::Audience {
        let said: Vec<_> = identities.audiences().map(str::to_owned).collect();
        format!("its `aud` must be {}", one_of(&[expected, &said].concat()))
    } else if matches!(wrong, Unacceptable::Unknown | Unacceptable::Malformed) {
        format!("it must be a token of {}, or of `callgate token create`", one_of(&issuers))
    } else {
        String::new()
    };
    if json {
        let all = Object::default()
            .with("accepted", false)
            .with("why", wrong.to_string())
            .with("help", Some(help).filter(|help| !help.is_empty()));
        print::json(&all.into());
    } else {
        print::line(&format!("not accepted: {wrong}"));
        if !help.is_empty() {
            print::line(&format!("  {help}"));
        }
    }
    Err(Failure::No)
}

/// `a`, `b` or what the configuration says in place of them.
fn one_of(all: &[String]) -> String {
    let known = all.iter().filter(|one| !one.is_empty()).map(|one| format!("`{one}`"));
    let known: Vec<_> = known.collect();
    if known.is_empty() { "one that is configured".to_owned() } else { known.join(" or ") }
}

fn as_text(caller: &Caller, opened: &[String]) -> String {
    let accountable = &caller.accountable;
    let kind = match accountable.kind {
        AccountableKind::Human => "human",
        AccountableKind::ServiceAccount => "service",
    };
    let groups = accountable.groups.join(", ");
    let agent = caller.agent.as_ref().map_or("none".to_owned(), agent);
    let credential = &caller.credential;
    let at = |at: Option<Timestamp>| at.map_or("never".to_owned(), |at| at.to_string());
    let mut lines = vec![
        format!("{kind:<11} {} ({})", accountable.identity, accountable.assurance.as_str()),
        format!("{:<11} {}", "groups", if groups.is_empty() { "none" } else { &groups }),
        format!("{:<11} {agent}", "agent"),
    ];
    lines.extend(
        caller.actors.iter().map(|earlier| format!("{:<11} {}", "before it", self::agent(earlier))),
    );
    lines.extend([
        format!("{:<11} {} ({})", "client", caller.client.name, caller.client.assurance.as_str()),
        format!(
            "{:<11} {}, ends {}",
            "credential",
            credential.kind.as_str(),
            at(credential.expires)
        ),
        format!("{:<11} {}", "opens", opened.join(", ")),
    ]);
    lines.extend(credential.within.as_ref().map(|within| format!("{:<11} {within}", "made for")));
    lines.iter().map(|line| print::safe(line)).collect::<Vec<_>>().join("\n")
}

fn agent(agent: &Agent) -> String {
    let class = agent.class.as_ref().map(|class| format!(", class {class}")).unwrap_or_default();
    format!("{}{class} ({})", agent.identity, agent.assurance.as_str())
}
