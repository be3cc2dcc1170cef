//! The pages about callers: people, service accounts, agents, clients, tokens, grants and runs; what each of them may do, what it did,
//! and how it could have less. Whoever may ends what somebody has.

mod lift;
mod revoke;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::ErrandError;
use callgate_model::authority::Revocation;
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use http::StatusCode;
use serde::Deserialize;

pub(super) use lift::{lift, list as revocations};
pub(super) use revoke::{ask, revoke};

use super::known::{DAYS, PLACES_MAX, RECORDS_MAX};
use super::live::{self, Source};
use super::{Console, live_page, not_understood, query, refused};
use crate::print::approval::moment;
use crate::print::{safe, safe_lines};
use crate::privilege::{Holding, Kind, Known};
use lift::Lifted;

/// Callers on one page.
const CALLERS_MAX: usize = 20;
/// Operations and places of one of them on its page.
const PAIRS_MAX: usize = 200;

/// What is looked for. Empty text looks for everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    kind: String,
    /// A part of the name.
    name: String,
    /// Counted from one.
    page: usize,
    /// Whether somebody was revoked just now.
    done: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    kind: String,
    id: String,
}

#[derive(Template)]
#[template(path = "console/callers.html")]
struct Callers<'a> {
    who: &'a str,
    csrf: &'a str,
    note: Option<&'a str>,
    wanted: &'a Wanted,
    /// The part of the name, in an address.
    encoded: String,
    kinds: Vec<(Kind, &'static str)>,
    kind: Kind,
    list: List,
    span: String,
    /// When the page was made, and of what.
    now: String,
    seen: String,
}

#[derive(Template)]
#[template(path = "console/caller.html")]
struct CallerPage<'a> {
    who: &'a str,
    csrf: &'a str,
    kind: &'a str,
    one: Told,
    span: String,
    revocations: Vec<Lifted>,
    pairs: Vec<[String; 4]>,
    more: usize,
    narrowing: Option<String>,
    /// Where it can be ended.
    end: String,
    /// When the page was made, and of what.
    now: String,
    seen: String,
}

/// A part of all callers of a kind.
struct List {
    callers: Vec<Told>,
    page: usize,
    pages: usize,
}

/// A caller in words.
struct Told {
    name: String,
    id: String,
    place: String,
    owner: Option<String>,
    made: Option<String>,
    ends: Option<String>,
    used: Option<String>,
    may: usize,
    places: usize,
    gated: usize,
    unused: usize,
    /// What was used of what it may do, in percent.
    share: usize,
    did: u64,
    findings: Vec<(&'static str, String)>,
    is_revoked: bool,
}

pub(super) async fn list(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let wanted: Wanted = query(&head).ok_or_else(not_understood)?;
    let name = if wanted.kind.is_empty() { Kind::Human.as_str() } else { &wanted.kind };
    let kind = Kind::parse(name).ok_or_else(not_understood)?;
    let asked = Object::default().with("kind", kind.as_str()).with("name", wanted.name.as_str());
    let seen = live::seen(&console, Source::Authority).await;
    let (part, number) = (wanted.name.trim().to_lowercase(), wanted.page);
    let work = console.reckon(move |known| List::of(known, kind, &part, number));
    let errand = Errand::PrivilegeShow;
    let found = console.front.gateway.run_errand(&visitor.caller, errand, None, asked, work);
    let page_of = Callers {
        list: found.await.map_err(refused)?,
        who: &visitor.who(),
        csrf: visitor.session.csrf(),
        note: wanted.done.as_ref().map(|_| "It is recorded, and holds from the next call on."),
        wanted: &wanted,
        encoded: super::encoded(&wanted.name),
        kinds: tabs(),
        kind,
        span: span(),
        now: moment(console.ambient.now()),
        seen,
    };
    Ok(live_page(StatusCode::OK, &page_of))
}

pub(super) async fn show(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let which: Which = query(&head).ok_or_else(not_understood)?;
    let kind = which.kind().ok_or_else(not_understood)?;
    let (asked, id) = (which.asked(), which.id.clone());
    let seen = live::seen(&console, Source::Authority).await;
    let work = async {
        let found = console.reckon(move |known| {
            let holding = known.holding(kind, &id)?;
            let one = Told::of(known, &holding);
            let revocations = revocations_of(known, kind, &id).map(Lifted::of).collect();
            Some((one, holding, revocations))
        });
        found.await?.ok_or(ErrandError::Gone)
    };
    let errand = Errand::PrivilegeShow;
    let found = console.front.gateway.run_errand(&visitor.caller, errand, None, asked, work);
    let (one, holding, revocations): (_, _, Vec<Lifted>) = found.await.map_err(refused)?;
    let mut pairs = holding.rows();
    // What was done comes first, then what was not.
    pairs.sort_by_key(|[.., did]| std::cmp::Reverse(did.parse::<u64>().unwrap_or_default()));
    let more = pairs.len().saturating_sub(PAIRS_MAX);
    pairs.truncate(PAIRS_MAX);
    let page_of = CallerPage {
        who: &visitor.who(),
        csrf: visitor.session.csrf(),
        kind: singular(kind),
        span: span(),
        revocations,
        pairs: pairs.into_iter().map(|pair| pair.map(|text| safe(&text))).collect(),
        more,
        narrowing: holding.narrowing.as_deref().map(safe_lines),
        end: place("revoke", kind, &which.id),
        one,
        now: moment(console.ambient.now()),
        seen,
    };
    Ok(live_page(StatusCode::OK, &page_of))
}

impl Which {
    fn kind(&self) -> Option<Kind> {
        Kind::parse(&self.kind)
    }

    /// As the record says what was asked for.
    fn asked(&self) -> Object {
        Object::default().with("kind", self.kind.as_str()).with("id", self.id.as_str())
    }
}

impl List {
    fn of(known: &Known, kind: Kind, part: &str, number: usize) -> Self {
        let mut names = known.names(kind);
        names.retain(|(_, name)| name.to_lowercase().contains(part));
        names.sort_by(|(_, a), (_, b)| a.cmp(b));
        let pages = names.len().div_ceil(CALLERS_MAX).max(1);
        let page = number.clamp(1, pages);
        let shown = names.iter().skip((page - 1) * CALLERS_MAX).take(CALLERS_MAX);
        let holdings = shown.filter_map(|(id, _)| known.holding(kind, id));
        let callers = holdings.map(|holding| Told::of(known, &holding)).collect();
        Self { callers, page, pages }
    }
}

impl Told {
    fn of(known: &Known, one: &Holding) -> Self {
        let (may, unused) = (one.reach.count(), one.reach.unused(&one.usage));
        let kind = Kind::parse(one.kind);
        Self {
            name: safe(&one.name),
            id: safe(&one.id),
            place: kind.map(|kind| place("caller", kind, &one.id)).unwrap_or_default(),
            owner: one.owner.as_deref().map(safe),
            made: one.made.map(moment),
            ends: one.ends.map(moment),
            used: one.used.map(moment),
            may,
            places: one.reach.places(),
            gated: one.reach.gated(),
            unused,
            share: crate::habits::percent(may - unused.min(may), may),
            did: one.usage.count(),
            findings: one.findings.iter().map(|one| (one.code, safe(&one.text))).collect(),
            is_revoked: kind
                .is_some_and(|kind| revocations_of(known, kind, &one.id).next().is_some()),
        }
    }
}

/// By which it is let in no more.
fn revocations_of<'k>(
    known: &'k Known,
    kind: Kind,
    id: &'k str,
) -> impl Iterator<Item = &'k Revocation> {
    let is_it =
        move |one: &&Revocation| Some(one.subject.kind) == kind.subject() && one.subject.name == id;
    known.revocations.iter().filter(is_it)
}

/// The kinds, as the page lists them.
fn tabs() -> Vec<(Kind, &'static str)> {
    Kind::ALL.map(|kind| (kind, plural(kind))).to_vec()
}

fn place(page: &str, kind: Kind, id: &str) -> String {
    let query = serde_urlencoded::to_string([("kind", kind.as_str()), ("id", id)]);
    format!("/console/callers/{page}?{}", query.unwrap_or_default())
}

/// How much was looked at.
fn span() -> String {
    format!(
        "The last {DAYS} days, of these the newest {RECORDS_MAX} records, and {PLACES_MAX} places"
    )
}

const fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Agent => "Agents",
        Kind::Client => "Clients",
        Kind::Grant => "Grants",
        Kind::Human => "People",
        Kind::ServiceAccount => "Service accounts",
        Kind::Token => "Tokens",
        Kind::Workflow => "Workflows",
    }
}

const fn singular(kind: Kind) -> &'static str {
    match kind {
        Kind::Agent => "agent",
        Kind::Client => "client",
        Kind::Grant => "grant",
        Kind::Human => "person",
        Kind::ServiceAccount => "service account",
        Kind::Token => "token",
        Kind::Workflow => "workflow",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::sample;

    #[test]
    fn i13_thousands_of_callers_are_shown_a_page_at_a_time() {
        let known = sample((0..5_000).map(|number| format!("person{number:04}")));
        let list = |part: &str, number| List::of(&known, Kind::Human, part, number);
        let first = list("", 0);
        assert_eq!((first.callers.len(), first.page, first.pages), (CALLERS_MAX, 1, 250));
        assert_eq!(first.callers.first().map(|one| one.name.as_str()), Some("person0000"));
        let last = list("", usize::MAX);
        assert_eq!((last.callers.len(), last.page), (CALLERS_MAX, 250), "there is none after it");
        let some = list("PERSON499".to_lowercase().as_str(), 1);
        assert_eq!((some.callers.len(), some.pages), (10, 1));
        assert!(list("nobody", 1).callers.is_empty());
        assert!(List::of(&known, Kind::Token, "", 1).callers.is_empty());
    }
}
