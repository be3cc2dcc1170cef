//! The pages about calls: what was decided, for whom and why, and what came of it. All of it from the evidence.

use askama::Template;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::{ErrandError, by_themselves};
use callgate_model::ambient::{Id, Timestamp};
use callgate_model::evidence::{Finding, Link};
use callgate_model::json::{Json, Object};
use callgate_model::products::gateway::{Errand, NAME};
use callgate_model::reason::Reason;
use callgate_store::{Filter, Row, Tally, unsettled_calls};
use http::StatusCode;
use serde::Deserialize;

use super::chart::{Chart, Series};
use super::live::{self, Source};
use super::{
    CONSOLE, Console, Guarded, live_page, not_understood, page, query, refused, see_other,
    unreadable,
};
use crate::cli::authority::moment as moment_of;
use crate::print::approval::moment;
use crate::print::call::{CallTold, ending, heading, is_unsettled, newest, outline, records_of};
use crate::print::safe;

/// Calls on one page: the newest that match.
const CALLS_MAX: u32 = 50;

/// Calls to be settled that are looked at for one page: the newest.
const UNSETTLED_MAX: u32 = 100;

/// Over which times decisions are counted: the name in the address and for people, and how many spans of so many minutes.
const OVER: &[(&str, &str, i64, i64)] = &[
    ("", "the last day", 24, 60),
    ("hour", "the last hour", 30, 2),
    ("week", "the last week", 28, 360),
];

/// Verdicts, as a chart has them.
const VERDICTS: &[Series] =
    &[("allow", "allowed"), ("approval_required", "waited for an approval"), ("deny", "denied")];

/// What is looked for. Empty text looks for everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    human: String,
    agent: String,
    client: String,
    tool: String,
    operation: String,
    target: String,
    decision: String,
    reason: String,
    server: String,
    policy: String,
    would: String,
    credential: String,
    workflow: String,
    /// A day, or a moment (RFC 3339).
    from: String,
    to: String,
    /// Over which time they are counted.
    over: String,
    /// `on`, if also what was asked of the gateway itself.
    gateway: String,
}

#[derive(Template)]
#[template(path = "console/calls.html")]
struct Calls<'a> {
    who: &'a str,
    csrf: &'a str,
    wanted: &'a Wanted,
    /// Those of which somebody has to say what became of them, the newest.
    unsettled: Vec<Line>,
    calls: Vec<Line>,
    overs: Vec<(&'static str, &'static str)>,
    /// Every reason code.
    reasons: Vec<&'static str>,
    /// Decisions over time, if there were any.
    chart: Option<Chart>,
    /// When the page was made, and of what.
    now: String,
    seen: String,
}

#[derive(Template)]
#[template(path = "console/call.html")]
struct CallPage<'a> {
    who: &'a str,
    csrf: &'a str,
    one: Line,
    /// From whom it comes to what it does: the name of each link, and what it is.
    chain: Vec<(&'static str, String)>,
    /// The code and what it means.
    reasons: Vec<(String, &'static str)>,
    records: Vec<Record>,
    /// Whether whoever looks may say what became of it, and nobody has.
    can_settle: bool,
}

/// A call in a list.
struct Line {
    id: String,
    at: String,
    outcome: Option<String>,
    told: CallTold,
}

struct Record {
    at: String,
    /// What it is, and who did it.
    told: String,
    text: String,
}

impl Line {
    fn of(row: &Row, outcome: Option<String>) -> Self {
        let told = CallTold::of(row);
        let all = |texts: &[String]| texts.iter().map(|text| safe(text)).collect();
        let told = CallTold {
            server: safe(&told.server),
            tool: safe(&told.tool),
            operation: safe(&told.operation),
            targets: all(&told.targets),
            who: safe(&told.who),
            would: told.would.as_deref().map(safe),
            policies: told.policies.iter().map(|(id, by)| (safe(id), safe(by))).collect(),
            ..told
        };
        let id = row.call.map(|call| call.to_string()).unwrap_or_default();
        Self { id, at: moment(row.at), outcome, told }
    }
}

impl Wanted {
    fn filter(&self) -> Filter {
        let said = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        // With its kind, as it is shown.
        let target = self.target.trim().split_once(' ').map_or(&*self.target, |(_, id)| id);
        let wanted = [
            (Link::Human, &*self.human),
            (Link::Agent, &self.agent),
            (Link::Client, &self.client),
            (Link::Tool, &self.tool),
            (Link::Operation, &self.operation),
            (Link::Target, target),
            (Link::Verdict, &self.decision),
            (Link::Reason, &self.reason),
            (Link::Server, &self.server),
            (Link::Policy, &self.policy),
            (Link::Would, &self.would),
            (Link::Credential, &self.credential),
            (Link::Workflow, &self.workflow),
        ];
        // What is no time does not matter, as what is not there.
        let time = |text: &str| moment_of(text.trim()).ok();
        let filter = Filter { since: time(&self.from), until: time(&self.to), ..Filter::default() };
        let filter =
            wanted.into_iter().fold(filter, |filter, (link, text)| filter.with(link, said(text)));
        if self.gateway.is_empty() { filter.without(Link::Server, NAME) } else { filter }
    }

    /// Whether anything is looked for that is not asked for at first sight.
    fn is_more(&self) -> bool {
        let more = [
            &self.server,
            &self.policy,
            &self.would,
            &self.credential,
            &self.workflow,
            &self.from,
            &self.to,
        ];
        more.iter().any(|text| !text.is_empty())
    }

    /// As the record says what was asked for.
    fn asked(&self) -> Object {
        let texts = [
            ("human", &self.human),
            ("agent", &self.agent),
            ("client", &self.client),
            ("tool", &self.tool),
            ("operation", &self.operation),
            ("target", &self.target),
            ("decision", &self.decision),
            ("reason", &self.reason),
            ("server", &self.server),
            ("policy", &self.policy),
            ("would", &self.would),
            ("credential", &self.credential),
            ("workflow", &self.workflow),
            ("from", &self.from),
            ("to", &self.to),
            ("over", &self.over),
            ("gateway", &self.gateway),
        ];
        let said = texts.into_iter().filter(|(_, text)| !text.is_empty());
        said.fold(Object::default(), |all, (name, text)| all.with(name, text.as_str()))
    }
}

pub(super) async fn list(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let wanted: Wanted = query(&head).ok_or_else(not_understood)?;
    let gateway = &console.front.gateway;
    let over = OVER.iter().find(|(name, ..)| *name == wanted.over).ok_or_else(not_understood)?;
    let now = console.ambient.now();
    let seen = live::seen(&console, Source::Calls).await;
    let work = async {
        let store = gateway.recorded().ok_or(ErrandError::Unavailable)?;
        let calls = newest(&*store, wanted.filter(), CALLS_MAX).await.map_err(unreadable)?;
        let (_, _, spans, minutes) = *over;
        let every_ms = minutes * 60_000;
        // The last span is the one that is not over yet.
        let first = (now.unix_ms() / every_ms - (spans - 1)) * every_ms;
        let asked = wanted.filter();
        let since = asked.since.into_iter().chain([Timestamp::from_unix_ms(first)]).max();
        let filter = Filter { since, ..asked };
        let tallies = store.tally(&filter, every_ms).await.map_err(unreadable)?;
        let unsettled = unsettled_calls(&*store, false, UNSETTLED_MAX).await.map_err(unreadable)?;
        let unsettled =
            unsettled.into_iter().map(|(intent, told)| (intent, told.outcome)).collect();
        Ok((calls, unsettled, chart(&tallies, over, first)))
    };
    let found = gateway.run_errand(&visitor.caller, Errand::CallList, None, wanted.asked(), work);
    let (calls, unsettled, chart) = found.await.map_err(refused)?;
    let lines = |all: Vec<(Row, Option<String>)>| -> Vec<Line> {
        all.into_iter().map(|(row, outcome)| Line::of(&row, outcome)).collect()
    };
    let (calls, unsettled) = (lines(calls), lines(unsettled));
    let (who, csrf) = (visitor.who(), visitor.session.csrf());
    let overs = OVER.iter().map(|(name, told, ..)| (*name, *told)).collect();
    let now = moment(now);
    let reasons = Reason::ALL.iter().map(|reason| reason.code()).collect();
    let page_of = Calls {
        who: &who,
        csrf,
        wanted: &wanted,
        unsettled,
        calls,
        overs,
        reasons,
        chart,
        now,
        seen,
    };
    Ok(live_page(StatusCode::OK, &page_of))
}

/// The decisions of each span, beginning with the one at `first`.
fn chart(
    tallies: &[Tally],
    (_, told, spans, minutes): &(&str, &str, i64, i64),
    first: i64,
) -> Option<Chart> {
    let bar = |span: i64| {
        let at = Timestamp::from_unix_ms(first + span * minutes * 60_000);
        let of = |verdict: &str| {
            let found = tallies.iter().find(|one| one.at == at && one.verdict == verdict);
            found.map_or(0, |one| one.count)
        };
        let name: String = moment(at).chars().take(16).collect();
        (name, VERDICTS.iter().map(|(verdict, _)| of(verdict)).collect())
    };
    Chart::of(&format!("Decisions in {told}"), VERDICTS, (0..*spans).map(bar).collect())
}

pub(super) async fn show(
    State(console): State<Console>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let (_, visitor) = console.open(request).await?;
    let id = Id::parse(&id).ok_or_else(|| refused(ErrandError::Gone))?;
    let gateway = &console.front.gateway;
    let work = async {
        let store = gateway.recorded().ok_or(ErrandError::Unavailable)?;
        let rows = records_of(&*store, id).await.map_err(unreadable)?;
        let decided = rows.iter().find(|row| row.call == Some(id));
        let decided = decided.cloned().ok_or(ErrandError::Gone)?;
        Ok((decided, rows))
    };
    let asked = Object::default().with("call", id.to_string());
    let found = gateway.run_errand(&visitor.caller, Errand::CallShow, None, asked, work);
    let (decided, rows) = found.await.map_err(refused)?;
    let one = Line::of(&decided, ending(&rows));
    let can_settle = is_unsettled(&rows)
        && by_themselves(&visitor.caller.caller).is_ok()
        && gateway.may(&visitor.caller, Errand::CallSettle, None);
    let page_of = CallPage {
        who: &visitor.who(),
        csrf: visitor.session.csrf(),
        chain: chain(&decided, &one),
        reasons: one.told.reasons.iter().map(|code| (code.clone(), meaning(code))).collect(),
        records: rows.iter().map(|row| record(row, id)).collect(),
        can_settle,
        one,
    };
    Ok(page(StatusCode::OK, &page_of))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettleForm {
    csrf: String,
    note: String,
    finding: String,
}

impl Guarded for SettleForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

pub(super) async fn settle(
    State(console): State<Console>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, form) = console.form::<SettleForm>(request).await?;
    let call = Id::parse(&id).ok_or_else(|| refused(ErrandError::Gone))?;
    let finding = Finding::parse(&form.finding)
        .ok_or_else(|| refused(ErrandError::Wrong("There is no such finding.".to_owned())))?;
    let gateway = &console.front.gateway;
    let settled = gateway.settle(&visitor.caller, call, (finding, &form.note)).await;
    settled.map_err(refused)?;
    Ok(see_other(&format!("{CONSOLE}/calls/{call}"), None))
}

/// Whom the call comes from, through whom, and what it does.
fn chain(row: &Row, one: &Line) -> Vec<(&'static str, String)> {
    let event = row.event();
    let caller = event.get("caller").cloned().unwrap_or(Json::Null);
    let link = |link: &str, name: &str| {
        let link = caller.get(link)?;
        let known = link.get("assurance").and_then(Json::as_str).unwrap_or_default();
        Some(safe(&format!("{} ({known})", link.get(name)?.as_str()?)))
    };
    let kind = caller.get("accountable").and_then(|link| link.get("kind")?.as_str());
    let is_service = kind == Some("service_account");
    let accountable = if is_service { "service account" } else { "human" };
    let credential = caller.get("credential").and_then(|link| link.get("kind")?.as_str());
    let told = &one.told;
    [
        (accountable, link("accountable", "id")),
        ("agent", link("agent", "id")),
        ("client", link("client", "name")),
        ("credential", credential.map(safe)),
        ("workflow", link("workflow", "run")),
        ("tool", Some(format!("{} on {}", told.tool, told.server))),
        ("operation", Some(told.operation.clone()).filter(|name| !name.is_empty())),
        ("touches", Some(told.targets.join(", ")).filter(|all| !all.is_empty())),
        ("outcome", one.outcome.clone()),
    ]
    .into_iter()
    .filter_map(|(name, what)| Some((name, what?)))
    .collect()
}

fn meaning(code: &str) -> &'static str {
    Reason::ALL.iter().find(|reason| reason.code() == code).map_or("", |reason| reason.message())
}

fn record(row: &Row, call: Id) -> Record {
    let lines = outline(&row.event(), 0);
    let text = lines.iter().map(|line| safe(line)).collect::<Vec<_>>().join("\n");
    Record { at: moment(row.at), told: safe(&heading(row, call)), text }
}
