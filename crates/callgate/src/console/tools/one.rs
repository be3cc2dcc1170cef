//! The page about one tool: what it means and who says so, how its server defines it, and what has changed since it was approved.
//! Whoever may can approve what they were shown, and nothing else.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use callgate_gateway::pin::{ApprovedBy, Standing, difference};
use callgate_gateway::pipeline::ErrandError;
use callgate_gateway::propose::{as_catalog, propose};
use callgate_gateway::server::Server;
use callgate_gateway::tools::{Tool, ToolSet};
use callgate_mcp::tool::ToolDefinition;
use callgate_model::authority::{Change, ToolOf, ToolPin};
use callgate_model::digest::Digest;
use callgate_model::json::{Json, Object};
use callgate_model::products::gateway::Errand;
use http::StatusCode;
use serde::Deserialize;

use super::super::diff::{Line, lines};
use super::super::{Console, Guarded, Visitor, not_understood, page, query, refused, see_other};
use super::{Pins, pins, place, tools_of};
use crate::print::call::outline;
use crate::print::tool::{above_proposals, as_approved, description, facts};
use crate::print::{safe, safe_lines};

/// Lines of a definition that are shown. One that is longer is not approved here: nobody was shown all of it.
const LINES_MAX: usize = 10_000;

/// Which tool.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    server: String,
    tool: String,
    /// Whether it was approved just now, or approved no more.
    done: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::console) struct Decision {
    csrf: String,
    server: String,
    tool: String,
    /// The digest of the definition that was shown.
    shown: String,
    verdict: Verdict,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Pin,
    Unpin,
}

impl Guarded for Decision {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

#[derive(Template)]
#[template(path = "console/tool.html")]
struct ToolPage<'a> {
    who: &'a str,
    csrf: &'a str,
    note: Option<&'a str>,
    problem: Option<String>,
    one: One,
}

/// A tool in words.
struct One {
    server: String,
    tool: String,
    /// As forms say it.
    named: (String, String),
    standing: &'static str,
    effect: &'static str,
    risk: &'static str,
    /// Why it cannot be called, if it is not classified.
    why: Option<String>,
    facts: Vec<(&'static str, String)>,
    description: String,
    is_foreign: bool,
    /// What has changed since it was approved, in words, and line by line.
    changes: Vec<String>,
    diff: Vec<Line>,
    definition: String,
    /// What a catalog could say of it.
    proposal: Option<String>,
    shown: String,
    approvable: Approvable,
    is_pinned: bool,
}

/// Whether the tool can be approved here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Approvable {
    Yes,
    No,
    /// Not all of it is shown.
    TooLong,
}

pub(in crate::console) async fn show(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let which: Which = query(&head).ok_or_else(not_understood)?;
    let note = which.done.as_ref().map(|_| "It is recorded, and holds from the next call on.");
    shown(&console, &visitor, &which, (StatusCode::OK, note, None)).await
}

async fn shown(
    console: &Console,
    visitor: &Visitor,
    which: &Which,
    (status, note, problem): (StatusCode, Option<&str>, Option<String>),
) -> Result<Response, Response> {
    let gateway = &console.front.gateway;
    let work = async {
        let server = gateway.server(&which.server).ok_or(ErrandError::Gone)?;
        let set = tools_of(server).await.map_err(ErrandError::Wrong)?;
        let pins = pins(gateway, &which.server).await?;
        One::of(server, &set, &pins, &which.tool).ok_or(ErrandError::Gone)
    };
    let found = gateway.run_errand(&visitor.caller, Errand::ToolShow, None, which.asked(), work);
    let one = found.await.map_err(refused)?;
    let (who, csrf) = (visitor.who(), visitor.session.csrf());
    Ok(page(status, &ToolPage { who: &who, csrf, note, problem, one }))
}

pub(in crate::console) async fn decide(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, form) = console.form::<Decision>(request).await?;
    let gateway = &console.front.gateway;
    let which = Which { server: form.server, tool: form.tool, done: None };
    let work = async {
        let change = match form.verdict {
            Verdict::Pin => pin(&console, &which, form.shown.parse().unwrap_or_default()).await?,
            Verdict::Unpin => {
                let of = ToolOf { server: which.server.clone(), tool: which.tool.clone() };
                Change::ToolUnpinned { of }
            }
        };
        Ok(gateway.administer(visitor.caller.caller.summary(), change).await?)
    };
    let errand = match form.verdict {
        Verdict::Pin => Errand::ToolPin,
        Verdict::Unpin => Errand::ToolUnpin,
    };
    let asked = which.asked().with("shown", form.shown.as_str());
    match gateway.run_errand(&visitor.caller, errand, None, asked, work).await {
        Ok(()) => {
            let done = format!("{}&done=", place(&which.server, &which.tool));
            Ok(see_other(&done, None))
        }
        Err(ErrandError::Wrong(why)) => {
            shown(&console, &visitor, &which, (StatusCode::CONFLICT, None, Some(why))).await
        }
        Err(ErrandError::Gone) => {
            let why = "It was changed meanwhile. Nothing was done.".to_owned();
            shown(&console, &visitor, &which, (StatusCode::CONFLICT, None, Some(why))).await
        }
        Err(error @ (ErrandError::Refused(_) | ErrandError::Unavailable)) => Err(refused(error)),
    }
}

/// The approval of the tool, if its server still defines it as it was shown.
async fn pin(console: &Console, which: &Which, shown: Digest) -> Result<Change, ErrandError> {
    let wrong = |text: &str| ErrandError::Wrong(text.to_owned());
    let gateway = &console.front.gateway;
    let server = gateway.server(&which.server).ok_or(ErrandError::Gone)?;
    let set = tools_of(server).await.map_err(ErrandError::Wrong)?;
    let tool = set.get(&which.tool).ok_or(ErrandError::Gone)?;
    if tool.definition.digest != shown {
        return Err(wrong("It is not what you were shown: look at it again. Nothing was done."));
    }
    let before = pins(gateway, &which.server).await?.get(&which.tool).map(|pin| pin.digest);
    if before == Some(shown) {
        return Err(wrong("It is approved already."));
    }
    let pin = tool.pin(&server.name, before, console.ambient.now());
    Ok(Change::ToolPinned { pin: Box::new(pin) })
}

impl Which {
    /// As the record says what was asked for.
    fn asked(&self) -> Object {
        Object::default().with("server", self.server.as_str()).with("tool", self.tool.as_str())
    }
}

impl One {
    fn of(server: &Server, set: &ToolSet, pins: &Pins, name: &str) -> Option<Self> {
        let pin = pins.get(name);
        if let Some(tool) = set.get(name) {
            return Some(Self::of_tool(server, tool, pin));
        }
        if let Some(one) = set.unclassified.iter().find(|one| one.definition.name == name) {
            let why = one.why.as_deref().unwrap_or("No catalog knows it: every call is refused.");
            let blank = Self::defined(server, &one.definition, pin);
            let proposal = one.why.is_none().then(|| proposal(server, &one.definition));
            return Some(Self { why: Some(safe(why)), proposal, ..blank });
        }
        // It was approved, and is not there any more.
        let was = as_approved(pin?);
        let why = Some("Its server does not have it any more.".to_owned());
        let definition = shortened(&definition_lines(&was));
        Some(Self { why, definition, standing: "gone", ..Self::named(server, name, pin) })
    }

    fn of_tool(server: &Server, tool: &Arc<Tool>, pin: Option<&ToolPin>) -> Self {
        let standing = Standing::of(tool.definition.digest, pin.map(|pin| pin.digest));
        let needs_approval = server.tools_approved_by() != ApprovedBy::Nobody;
        let worst = super::worst(tool);
        let facts = facts(server, tool, standing, pin);
        let length = definition_lines(&tool.definition.definition).len();
        let approvable = match (needs_approval && standing != Standing::Approved, length) {
            (true, ..=LINES_MAX) => Approvable::Yes,
            (true, _) => Approvable::TooLong,
            (false, _) => Approvable::No,
        };
        Self {
            standing: super::shown_standing(server, standing),
            effect: worst.map_or("", |(operation, _)| operation.effect.as_str()),
            risk: worst.map_or("", |(_, risk)| risk.as_str()),
            facts: facts.into_iter().map(|(name, fact)| (name, safe(&fact))).collect(),
            approvable,
            is_pinned: needs_approval && pin.is_some(),
            ..Self::defined(server, &tool.definition, pin)
        }
    }

    fn defined(server: &Server, definition: &ToolDefinition, pin: Option<&ToolPin>) -> Self {
        let is_now = definition_lines(&definition.definition);
        let changed = pin.filter(|pin| pin.digest != definition.digest);
        let (changes, diff) = match changed.map(as_approved) {
            Some(was) => {
                (difference(&was, &definition.definition), lines(&definition_lines(&was), &is_now))
            }
            None => (Vec::new(), Vec::new()),
        };
        let says = description(definition);
        Self {
            standing: "unclassified",
            description: safe_lines(says),
            is_foreign: !says.is_ascii(),
            changes: changes.iter().map(|change| safe(change)).collect(),
            diff,
            definition: shortened(&is_now),
            shown: definition.digest.to_string(),
            ..Self::named(server, &definition.name, pin)
        }
    }

    fn named(server: &Server, name: &str, pin: Option<&ToolPin>) -> Self {
        Self {
            server: safe(&server.name),
            tool: safe(name),
            named: (server.name.to_string(), name.to_owned()),
            standing: "",
            effect: "",
            risk: "",
            why: None,
            facts: Vec::new(),
            description: String::new(),
            is_foreign: false,
            changes: Vec::new(),
            diff: Vec::new(),
            definition: String::new(),
            proposal: None,
            shown: String::new(),
            approvable: Approvable::No,
            is_pinned: pin.is_some(),
        }
    }
}

/// A definition as lines that can be compared and shown.
fn definition_lines(definition: &Json) -> Vec<String> {
    let lines = outline(definition, 0);
    lines.iter().flat_map(|line| line.split('\n')).map(safe).collect()
}

fn shortened(lines: &[String]) -> String {
    let mut shown = lines.iter().take(LINES_MAX).cloned().collect::<Vec<_>>();
    if lines.len() > LINES_MAX {
        shown.push(format!("… and {} more lines", lines.len() - LINES_MAX));
    }
    shown.join("\n")
}

fn proposal(server: &Server, definition: &ToolDefinition) -> String {
    let text =
        format!("{}\n{}", above_proposals(server), as_catalog(definition, &propose(definition)));
    safe_lines(&text)
}
