//! The page about what a chain reaches: each operation of a server at each place that is known, as the policies say it now. What
//! somebody could do who has taken over the agent stands there, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::ErrandError;
use callgate_gateway::tools::ToolSet;
use callgate_model::ambient::Timestamp;
use callgate_model::caller::Caller;
use callgate_model::json::Object;
use callgate_model::products::gateway::{Errand, NAME};
use callgate_model::target::Resource;
use callgate_model::vocabulary::{Effect, Operation, Risk};
use callgate_policy::PreparedCaller;
use http::StatusCode;
use serde::Deserialize;

use super::tools::tools_of;
use super::{Console, not_understood, page, query, refused};
use crate::print::safe;
use crate::privilege::{Cell, Known};

/// Chains to choose from.
const CHAINS_MAX: usize = 200;
/// The most operations and places of one table.
const OPERATIONS_MAX: usize = 200;
const PLACES_MAX: usize = 12;

/// What is looked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    /// The key of a chain.
    chain: String,
    server: String,
    effect: String,
    /// A part of the name of a place.
    place: String,
}

#[derive(Template)]
#[template(path = "console/reach.html")]
struct ReachPage<'a> {
    who: &'a str,
    csrf: &'a str,
    wanted: &'a Wanted,
    servers: Vec<String>,
    effects: Vec<&'static str>,
    found: Found,
}

/// What is known, and what was asked of it.
struct Found {
    /// The key of each, and the chain in words.
    chains: Vec<(String, String)>,
    more_chains: usize,
    table: Option<Table>,
    /// Why there is no table.
    silent: Option<String>,
}

/// What the policies say.
struct Table {
    chain: String,
    /// Whether somebody of it is let in no more.
    is_revoked: bool,
    places: Vec<String>,
    more_places: usize,
    /// The operations that are not denied at every place.
    rows: Vec<Row>,
    /// The names of those that are.
    denied: Vec<String>,
    more_rows: usize,
    counts: Vec<(Cell, usize)>,
}

struct Row {
    operation: String,
    title: String,
    effect: &'static str,
    risk: &'static str,
    cells: Vec<Cell>,
}

/// The operations of a server, each with its risk.
type Operations = Vec<(Arc<Operation>, Risk)>;

pub(super) async fn show(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let wanted: Wanted = query(&head).ok_or_else(not_understood)?;
    let gateway = &console.front.gateway;
    let mut servers: Vec<String> =
        gateway.servers().map(|server| server.name.to_string()).collect();
    servers.push(NAME.to_owned());
    let (asked, now) = (wanted.asked(), console.ambient.now());
    let work = async {
        let server = servers.iter().find(|one| wanted.server.is_empty() || **one == wanted.server);
        let server = server.ok_or(ErrandError::Gone)?.clone();
        let operations = operations(&console, &server).await?;
        let wanted = wanted.clone();
        console.reckon(move |known| Found::of(known, &wanted, (&server, operations), now)).await
    };
    let found = gateway.run_errand(&visitor.caller, Errand::PrivilegeShow, None, asked, work);
    let found = found.await.map_err(refused)?;
    let page_of = ReachPage {
        who: &visitor.who(),
        csrf: visitor.session.csrf(),
        wanted: &wanted,
        servers,
        effects: Effect::ALL.iter().map(|effect| effect.as_str()).collect(),
        found,
    };
    Ok(page(StatusCode::OK, &page_of))
}

/// What the tools of `server` mean, or why that is not known; of the gateway itself, what can be asked of it.
async fn operations(
    console: &Console,
    server: &str,
) -> Result<Result<Operations, String>, ErrandError> {
    if server == NAME {
        let all = Errand::ALL.map(Errand::operation);
        return Ok(Ok(all.into_iter().map(|one| (Arc::clone(&one), one.risk)).collect()));
    }
    let server = console.front.gateway.server(server).ok_or(ErrandError::Gone)?;
    Ok(tools_of(server).await.map(|set| operations_of(&set)))
}

/// Each operation once, at the highest risk that it has.
fn operations_of(set: &ToolSet) -> Operations {
    let mut all: BTreeMap<String, (Arc<Operation>, Risk)> = BTreeMap::new();
    for (operation, risk) in set.tools.iter().flat_map(|tool| &tool.operations) {
        let known = all.entry(operation.name.clone());
        let known = known.or_insert_with(|| (Arc::clone(operation), *risk));
        known.1 = known.1.max(*risk);
    }
    all.into_values().collect()
}

impl Wanted {
    /// As the record says what was asked for.
    fn asked(&self) -> Object {
        Object::default()
            .with("chain", self.chain.as_str())
            .with("server", self.server.as_str())
            .with("effect", self.effect.as_str())
            .with("place", self.place.as_str())
    }
}

impl Found {
    fn of(
        known: &Known,
        wanted: &Wanted,
        (server, operations): (&str, Result<Operations, String>),
        now: Timestamp,
    ) -> Self {
        let mut chains = known.chains();
        let chosen = chains.iter().position(|(key, _)| *key == wanted.chain);
        let chosen = chosen.and_then(|at| chains.get(at)).map(|(_, chain)| chain.clone());
        let more_chains = chains.len().saturating_sub(CHAINS_MAX);
        chains.truncate(CHAINS_MAX);
        let (operations, silent) = match operations {
            Ok(operations) => (operations, None),
            Err(why) => (Vec::new(), Some(safe(&why))),
        };
        let of = (server, operations);
        let table = chosen.map(|chain| Table::of(known, wanted, chain, of, now));
        let in_words = |(key, chain): (String, Caller)| (key, told(&chain));
        Self { chains: chains.into_iter().map(in_words).collect(), more_chains, table, silent }
    }
}

impl Table {
    fn of(
        known: &Known,
        wanted: &Wanted,
        chain: Caller,
        (server, mut operations): (&str, Operations),
        now: Timestamp,
    ) -> Self {
        let is = |effect: Effect| wanted.effect.is_empty() || effect.as_str() == wanted.effect;
        operations.retain(|(operation, _)| is(operation.effect));
        // The worst first.
        operations.sort_by(|(a, risk_a), (b, risk_b)| {
            (risk_b, b.effect, &a.name).cmp(&(risk_a, a.effect, &b.name))
        });
        let part = wanted.place.trim().to_lowercase();
        let fits = |place: &&Resource| {
            place.to_string().to_lowercase().contains(&part)
                && operations.iter().any(|(operation, _)| known.asking.is_in(operation, place))
        };
        let mut places: Vec<Resource> = known.asking.places.iter().filter(fits).cloned().collect();
        let more_places = places.len().saturating_sub(PLACES_MAX);
        places.truncate(PLACES_MAX);
        let more_rows = operations.len().saturating_sub(OPERATIONS_MAX);
        operations.truncate(OPERATIONS_MAX);
        let is_revoked = known.is_revoked(&chain);
        let (in_words, caller) = (told(&chain), PreparedCaller::new(chain));
        let rows = operations.iter().map(|(operation, risk)| {
            let of = (server, operation, *risk);
            let cells = places.iter().map(|place| known.asking.cell(&caller, of, place, now));
            Row {
                operation: safe(&operation.name),
                title: safe(&operation.title),
                effect: operation.effect.as_str(),
                risk: risk.as_str(),
                cells: cells.collect(),
            }
        });
        let rows: Vec<Row> = rows.collect();
        let count = |cell: Cell| {
            (cell, rows.iter().flat_map(|row| &row.cells).filter(|one| **one == cell).count())
        };
        let counts = [Cell::Allow, Cell::Approval, Cell::Depends, Cell::Deny].map(count).to_vec();
        let (denied, rows): (Vec<Row>, Vec<Row>) =
            rows.into_iter().partition(|row| row.cells.iter().all(|cell| *cell == Cell::Deny));
        Self {
            chain: in_words,
            is_revoked,
            places: places.iter().map(|place| safe(&place.to_string())).collect(),
            more_places,
            counts,
            denied: denied.into_iter().map(|row| row.operation).collect(),
            rows,
            more_rows,
        }
    }
}

/// A chain in words.
fn told(chain: &Caller) -> String {
    let groups = chain.accountable.groups.join(", ");
    let groups = if groups.is_empty() { groups } else { format!(" ({groups})") };
    let agent = chain.agent.as_ref().map(|agent| match &agent.class {
        Some(class) => format!(" via {} ({class})", agent.identity),
        None => format!(" via {}", agent.identity),
    });
    let client = &chain.client.name;
    safe(&format!("{}{groups}{}, {client}", chain.accountable.identity, agent.unwrap_or_default()))
}
