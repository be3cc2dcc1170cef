//! The page about what servers can do: by server, what each tool means and how bad a wrong call is, and whether it is what was
//! approved. What has to be looked at comes first.

mod one;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use callgate_gateway::pin::Standing;
use callgate_gateway::pipeline::{ErrandError, Gateway};
use callgate_gateway::server::Server;
use callgate_gateway::shadow::Shadow;
use callgate_gateway::tools::{Tool, ToolSet};
use callgate_model::authority::ToolPin;
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use callgate_model::vocabulary::{Effect, Risk};
use futures_util::future::join_all;
use http::StatusCode;
use serde::Deserialize;
use tokio::time::timeout;

pub(super) use one::{decide, show};

use super::live::{self, Source};
use super::{Console, live_page, not_understood, query, refused, unreadable};
use crate::print::approval::moment;
use crate::print::safe;
use crate::print::tool::{heading, shown_standing};

/// Tools of one server on the page: those that have to be looked at first.
const TOOLS_MAX: usize = 100;
/// For a server to tell its tools.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What is looked for. Empty text looks for everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    server: String,
    /// A part of its name.
    tool: String,
    standing: String,
    effect: String,
    risk: String,
}

#[derive(Template)]
#[template(path = "console/tools.html")]
struct Tools<'a> {
    who: &'a str,
    csrf: &'a str,
    wanted: &'a Wanted,
    standings: &'static [&'static str],
    effects: Vec<&'static str>,
    risks: Vec<&'static str>,
    servers: Vec<Section>,
    /// When the page was made, and of what.
    now: String,
    seen: String,
}

/// One server.
struct Section {
    name: String,
    about: String,
    /// Until when policies are not enforced for it, and for what.
    shadow: Option<String>,
    /// Why it does not tell its tools.
    silent: Option<String>,
    /// How many of its tools there are of each effect, and of each risk of these.
    counts: Vec<(&'static str, Vec<Count>)>,
    lines: Vec<Line>,
    /// How many more match.
    more: usize,
}

/// How many, and where they are listed.
struct Count {
    risk: &'static str,
    tools: usize,
    place: String,
}

/// One tool.
#[derive(Debug)]
struct Line {
    name: String,
    place: String,
    standing: &'static str,
    operation: String,
    effect: &'static str,
    risk: &'static str,
    reversibility: &'static str,
    /// What else there is to say.
    note: String,
}

/// How tools can stand, those that have to be looked at first.
const STANDINGS: &[&str] =
    &["changed", "unclassified", "refused", "new", "gone", "approved", "trusted"];

/// What was approved of a server's tools, by the names of these.
type Pins = BTreeMap<String, ToolPin>;

pub(super) async fn list(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let wanted: Wanted = query(&head).ok_or_else(not_understood)?;
    let gateway = &console.front.gateway;
    let work = async {
        let seen = live::seen(&console, Source::Tools).await;
        let is_wanted = |server: &&Arc<Server>| {
            wanted.server.is_empty() || *server.name == *wanted.server.as_str()
        };
        let asked = gateway.servers().filter(is_wanted).map(|server| async move {
            Ok((server, tools_of(server).await, pins(gateway, &server.name).await?))
        });
        let told = join_all(asked).await.into_iter().collect::<Result<Vec<_>, ErrandError>>();
        Ok((seen, told?))
    };
    let asked = Object::default().with("server", wanted.server.as_str());
    let found = gateway.run_errand(&visitor.caller, Errand::ToolList, None, asked, work);
    let (seen, servers) = found.await.map_err(refused)?;
    let now = console.ambient.now();
    let servers = servers.iter().map(|(server, set, pins)| Section {
        shadow: server.shadow().filter(|shadow| now < shadow.until).map(shadowed),
        ..section(server, set, pins, &wanted)
    });
    let page_of = Tools {
        who: &visitor.who(),
        csrf: visitor.session.csrf(),
        standings: STANDINGS,
        effects: Effect::ALL.iter().map(|effect| effect.as_str()).collect(),
        risks: Risk::ALL.iter().map(|risk| risk.as_str()).collect(),
        servers: servers.collect(),
        wanted: &wanted,
        now: moment(now),
        seen,
    };
    Ok(live_page(StatusCode::OK, &page_of))
}

/// What `server` has, or why that is not known.
pub(super) async fn tools_of(server: &Server) -> Result<Arc<ToolSet>, String> {
    match timeout(ANSWER_WITHIN, server.tools(None)).await {
        Ok(told) => told.map_err(|error| format!("it does not tell its tools: {error}")),
        Err(_elapsed) => {
            Err(format!("it did not tell its tools within {} s", ANSWER_WITHIN.as_secs()))
        }
    }
}

async fn pins(gateway: &Gateway, server: &str) -> Result<Pins, ErrandError> {
    let store = gateway.authority().ok_or(ErrandError::Unavailable)?;
    let pins = store.pins().await.map_err(unreadable)?.into_iter();
    let pins = pins.filter(|pin| pin.of.server == server);
    Ok(pins.map(|pin| (pin.of.tool.clone(), pin)).collect())
}

fn section(
    server: &Server,
    set: &Result<Arc<ToolSet>, String>,
    pins: &Pins,
    wanted: &Wanted,
) -> Section {
    let (about, silent) = match set {
        Ok(set) => (heading(server, set).concat(), None),
        Err(why) => (server.name.to_string(), Some(safe(why))),
    };
    let set = set.as_deref().ok();
    let mut lines = set.map(|set| lines(server, set, pins)).unwrap_or_default();
    lines.retain(|line| wanted.fits(line));
    let rank = |line: &Line| STANDINGS.iter().position(|one| *one == line.standing);
    lines.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
    let more = lines.len().saturating_sub(TOOLS_MAX);
    lines.truncate(TOOLS_MAX);
    let counts = set.map(|set| counts(server, set)).unwrap_or_default();
    let (name, about) = (safe(&server.name), safe(&about));
    Section { name, about, shadow: None, silent, counts, lines, more }
}

/// What is not enforced.
fn shadowed(shadow: Shadow) -> String {
    let what = if shadow.writes { "any call" } else { "reads" };
    format!(
        "danger_shadow: until {} what policies say to {what} is recorded, and not enforced.",
        moment(shadow.until)
    )
}

impl Wanted {
    fn fits(&self, line: &Line) -> bool {
        let is = |wanted: &str, has: &str| wanted.is_empty() || wanted == has;
        line.name.to_ascii_lowercase().contains(&self.tool.trim().to_ascii_lowercase())
            && is(&self.standing, line.standing)
            && is(&self.effect, line.effect)
            && is(&self.risk, line.risk)
    }
}

/// Every tool that the server has, and those that were approved and are not there any more.
fn lines(server: &Server, set: &ToolSet, pins: &Pins) -> Vec<Line> {
    let blank = |name: &str, standing, note: String| Line {
        name: safe(name),
        place: place(&server.name, name),
        standing,
        operation: String::new(),
        effect: "",
        risk: "",
        reversibility: "",
        note: safe(&note),
    };
    let of_tool = |tool: &Arc<Tool>| {
        let name = &tool.definition.name;
        let standing = Standing::of(tool.definition.digest, pins.get(name).map(|pin| pin.digest));
        let mut line = blank(name, shown_standing(server, standing), String::new());
        if let Some((operation, risk)) = worst(tool) {
            (line.effect, line.risk) = (operation.effect.as_str(), risk.as_str());
            line.reversibility = operation.reversibility.as_str();
            line.operation = safe(&operation.name);
        }
        if let Some(effects) = server.catalog.dispatches(name) {
            let effects: Vec<_> = effects.iter().map(|effect| effect.as_str()).collect();
            let count = tool.operations.len();
            line.note = format!("runs {count} operations: {}", effects.join(", "));
            (line.operation, line.reversibility) = (String::new(), "");
        }
        line
    };
    let unclassified = set.unclassified.iter().map(|one| {
        let why = one.why.as_deref().unwrap_or("no catalog knows it: every call is refused");
        blank(&one.definition.name, "unclassified", why.to_owned())
    });
    let refused = set.refused.iter().map(|(name, why)| blank(name, "refused", why.clone()));
    let is_gone = |tool: &&String| !set.has(tool);
    let gone = pins
        .keys()
        .filter(is_gone)
        .map(|tool| blank(tool, "gone", "approved, and not there any more".to_owned()));
    set.tools.iter().map(of_tool).chain(unclassified).chain(refused).chain(gone).collect()
}

/// The worst of what a tool can mean.
fn worst(tool: &Tool) -> Option<&(Arc<callgate_model::vocabulary::Operation>, Risk)> {
    tool.operations.iter().max_by_key(|(operation, risk)| (*risk, operation.effect))
}

/// How many tools there are of each effect and risk; one that runs others counts as the worst of them.
fn counts(server: &Server, set: &ToolSet) -> Vec<(&'static str, Vec<Count>)> {
    let worst: Vec<(Effect, Risk)> = set
        .tools
        .iter()
        .filter_map(|tool| worst(tool).map(|(operation, risk)| (operation.effect, *risk)))
        .collect();
    let of = |effect: Effect, risk: Risk| {
        let tools = worst.iter().filter(|one| **one == (effect, risk)).count();
        let query =
            [("server", &*server.name), ("effect", effect.as_str()), ("risk", risk.as_str())];
        let place = format!("/console/tools?{}", encoded(&query));
        Count { risk: risk.as_str(), tools, place }
    };
    let row = |effect: &Effect| {
        (effect.as_str(), Risk::ALL.iter().map(|risk| of(*effect, *risk)).collect())
    };
    let has_some = |effect: &&Effect| worst.iter().any(|(one, _)| one == *effect);
    Effect::ALL.iter().filter(has_some).map(row).collect()
}

/// Where the page about a tool is.
fn place(server: &str, tool: &str) -> String {
    format!("/console/tools/tool?{}", encoded(&[("server", server), ("tool", tool)]))
}

fn encoded(query: &[(&str, &str)]) -> String {
    serde_urlencoded::to_string(query).unwrap_or_default()
}
