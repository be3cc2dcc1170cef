//! `callgate tools`: what servers offer, what that means, and what was approved of it. The servers themselves are asked, with
//! what the gateway asks them with.

use std::collections::BTreeMap;
use std::sync::Arc;

use callgate_gateway::pin::{Standing, difference};
use callgate_gateway::propose::{as_catalog, propose};
use callgate_gateway::server::Server;
use callgate_gateway::tools::{Tool, ToolSet};
use callgate_mcp::tool::ToolDefinition;
use callgate_model::ambient::Ambient as _;
use callgate_model::authority::{Change, ToolOf, ToolPin};

use super::office::{Office, unread};
use crate::ambient::Machine;
use crate::assemble;
use crate::cli::tools::{Classify, List, OneTool, Pin, Tools, Unpin};
use crate::cli::{Failure, WithConfig};
use crate::print;
use crate::print::tool::{self as look, as_approved};

pub(crate) async fn run(command: Tools) -> Result<(), Failure> {
    match command {
        Tools::List(options) => list(options).await,
        Tools::Show(options) => show(options).await,
        Tools::Diff(options) => diff(options).await,
        Tools::Classify(options) => classify(options).await,
        Tools::Pin(options) => pin(options).await,
        Tools::Unpin(options) => unpin(options).await,
    }
}

/// The servers, and what was approved of their tools.
struct Shelf {
    servers: Vec<Server>,
    pins: BTreeMap<(String, String), ToolPin>,
    office: Office,
}

impl Shelf {
    /// `only` is the one server that is asked about, if it is one.
    async fn open(options: &WithConfig, only: Option<&str>) -> Result<Self, Failure> {
        let mut config = options.load()?;
        if let Some(only) = only.filter(|name| !config.servers.contains_key(*name)) {
            let known = config.servers.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(format!("there is no server `{only}`; there are: {known}").into());
        }
        config.servers.retain(|name, _| only.is_none_or(|only| only == name));
        let mut catalogs = assemble::parts(&config)?.catalogs;
        let servers = assemble::servers(&mut config, &mut catalogs)?;
        let office = Office::open(options).await?;
        let pins = office.store.pins().await.map_err(unread)?;
        let key = |pin: &ToolPin| (pin.of.server.clone(), pin.of.tool.clone());
        let pins = pins.into_iter().map(|pin| (key(&pin), pin)).collect();
        Ok(Self { servers, pins, office })
    }

    fn pin(&self, server: &Server, tool: &str) -> Option<&ToolPin> {
        self.pins.get(&(server.name.to_string(), tool.to_owned()))
    }

    fn standing(&self, server: &Server, tool: &ToolDefinition) -> Standing {
        Standing::of(tool.digest, self.pin(server, &tool.name).map(|pin| pin.digest))
    }

    /// The one server that was asked about, and what it has.
    async fn only(&self) -> Result<(&Server, Arc<ToolSet>), Failure> {
        let server = self.servers.first().ok_or("there is no server")?;
        Ok((server, tools_of(server).await?))
    }

    async fn close(self) {
        for server in &self.servers {
            server.stop().await;
        }
    }
}

async fn tools_of(server: &Server) -> Result<Arc<ToolSet>, String> {
    let asked = server.tools(None).await;
    asked.map_err(|error| format!("{} does not tell its tools: {error}", server.name))
}

async fn list(options: List) -> Result<(), Failure> {
    let shelf = Shelf::open(&options.config, options.server.as_deref()).await?;
    let mut unknown = Vec::new();
    for server in &shelf.servers {
        let set = match tools_of(server).await {
            Ok(set) => set,
            Err(why) => {
                unknown.push(why);
                continue;
            }
        };
        let pin = |tool: &Tool| shelf.standing(server, &tool.definition);
        if options.json {
            set.tools.iter().for_each(|tool| print::json(&look::tool(server, tool, pin(tool))));
            set.unclassified.iter().for_each(|one| print::json(&look::unclassified(server, one)));
            set.refused.iter().for_each(|one| print::json(&look::refused(server, one)));
        } else {
            look::heading(server, &set).iter().for_each(|line| print::line(&print::safe(line)));
            let lines = set.tools.iter().map(|tool| look::line(server, tool, pin(tool)));
            let lines = lines.chain(set.unclassified.iter().map(look::unclassified_line));
            let lines = lines.chain(set.refused.iter().map(look::refused_line));
            lines.for_each(|line| print::line(&print::safe(&line)));
        }
    }
    shelf.close().await;
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Failure::Other(unknown.join("\n"))),
    }
}

async fn show(options: OneTool) -> Result<(), Failure> {
    let shelf = Shelf::open(&options.config, Some(&options.server)).await?;
    let (server, set) = shelf.only().await?;
    if let Some(tool) = set.get(&options.tool) {
        let (standing, pin) =
            (shelf.standing(server, &tool.definition), shelf.pin(server, &options.tool));
        if options.json {
            print::json(&look::tool(server, tool, standing));
        } else {
            print::line(&print::safe(&format!("{} {}", server.name, tool.definition.name)));
            let mut facts = look::facts(server, tool, standing, pin);
            facts.push(("server says", look::description(&tool.definition).to_owned()));
            let fact = |(name, text)| print::line(&print::safe(&format!("  {name:<14} {text}")));
            facts.into_iter().for_each(fact);
        }
    } else if let Some(one) =
        set.unclassified.iter().find(|one| one.definition.name == options.tool)
    {
        if options.json {
            print::json(&look::unclassified(server, one));
        } else {
            print::line(&print::safe(&look::unclassified_line(one)));
        }
    } else {
        return Err(no_such_tool(server, &options.tool));
    }
    shelf.close().await;
    Ok(())
}

async fn diff(options: List) -> Result<(), Failure> {
    let shelf = Shelf::open(&options.config, options.server.as_deref()).await?;
    let mut changed = 0;
    for server in &shelf.servers {
        let set = tools_of(server).await?;
        for tool in &set.tools {
            let name = &tool.definition.name;
            let Some(pin) =
                shelf.pin(server, name).filter(|pin| pin.digest != tool.definition.digest)
            else {
                continue;
            };
            changed += 1;
            let found = difference(&as_approved(pin), &tool.definition.definition);
            if options.json {
                print::json(&look::changed(server, tool, pin, &found));
            } else {
                print::line(&print::safe(&format!("{} {name}, approved {}:", server.name, pin.at)));
                found.iter().for_each(|one| print::line(&format!("  {}", print::safe(one))));
            }
        }
        let gone = shelf
            .pins
            .values()
            .filter(|pin| *pin.of.server == *server.name && !set.has(&pin.of.tool));
        for pin in gone.filter(|_| !options.json) {
            print::note(&format!(
                "{} {} is approved, and not there any more",
                server.name, pin.of.tool
            ));
        }
    }
    if changed == 0 {
        print::note("no tool has changed since it was approved");
    }
    shelf.close().await;
    Ok(())
}

async fn classify(options: Classify) -> Result<(), Failure> {
    let shelf = Shelf::open(&options.config, Some(&options.server)).await?;
    let (server, set) = shelf.only().await?;
    let known = set.tools.iter().map(|tool| &tool.definition);
    let unknown = set.unclassified.iter().map(|one| &one.definition);
    let wanted: Vec<&ToolDefinition> = if options.tools.is_empty() {
        unknown.collect()
    } else {
        let all: Vec<&ToolDefinition> = known.chain(unknown).collect();
        let find = |name: &String| {
            let found = all.iter().find(|tool| tool.name == *name).copied();
            found.ok_or_else(|| no_such_tool(server, name))
        };
        options.tools.iter().map(find).collect::<Result<_, _>>()?
    };
    if wanted.is_empty() {
        print::note("the catalog knows every tool");
    } else {
        print::line(&look::above_proposals(server));
    }
    wanted.iter().for_each(|tool| print::line(&as_catalog(tool, &propose(tool))));
    shelf.close().await;
    Ok(())
}

async fn pin(options: Pin) -> Result<(), Failure> {
    let shelf = Shelf::open(&options.config, Some(&options.server)).await?;
    let (server, set) = shelf.only().await?;
    let chosen: Vec<&Tool> = if options.new {
        let is_new = |tool: &&Tool| shelf.standing(server, &tool.definition) == Standing::New;
        set.tools.iter().map(|tool| &**tool).filter(is_new).collect()
    } else {
        let find = |name: &String| match set.get(name) {
            Some(tool) => Ok(&**tool),
            None if set.is_unclassified(name) => Err(Failure::Other(format!(
                "`{name}` is not classified: `callgate tools classify {} {name}` proposes how",
                server.name
            ))),
            None => Err(no_such_tool(server, name)),
        };
        options.tools.iter().map(find).collect::<Result<_, _>>()?
    };
    let now = Machine.now();
    let mut changes = Vec::new();
    for tool in chosen {
        let before = shelf.pin(server, &tool.definition.name);
        let standing = shelf.standing(server, &tool.definition);
        if standing == Standing::Approved {
            print::note(&format!("{} is approved already", tool.definition.name));
            continue;
        }
        print::line(&print::safe(&look::line(server, tool, standing)));
        if let Some(before) = before {
            let found = difference(&as_approved(before), &tool.definition.definition);
            found.iter().for_each(|one| print::line(&format!("    {}", print::safe(one))));
        }
        let pin = tool.pin(&server.name, before.map(|pin| pin.digest), now);
        changes.push(Change::ToolPinned { pin: Box::new(pin) });
    }
    let count = changes.len();
    shelf.office.change_all(changes).await?;
    print::note(&format!("approved: {count}"));
    shelf.close().await;
    Ok(())
}

async fn unpin(options: Unpin) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let of = |tool: String| ToolOf { server: options.server.clone(), tool };
    let changes = options.tools.into_iter().map(|tool| Change::ToolUnpinned { of: of(tool) });
    office.change_all(changes.collect()).await?;
    print::note("not approved any more");
    Ok(())
}

fn no_such_tool(server: &Server, tool: &str) -> Failure {
    format!("{} has no tool `{tool}`; see `callgate tools list {}`", server.name, server.name)
        .into()
}
