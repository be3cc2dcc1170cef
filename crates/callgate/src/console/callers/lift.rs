//! Who and what is let in no more, and letting them in again.

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::ErrandError;
use callgate_model::ambient::Id;
use callgate_model::authority::{Change, Revocation, SubjectKind};
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use http::StatusCode;
use serde::Deserialize;

use super::super::live::{self, Source};
use super::super::{
    Console, Guarded, live_page, not_understood, query, refused, see_other, unreadable,
};
use super::tabs;
use crate::print::approval::moment;
use crate::print::safe;
use crate::privilege::Kind;

/// Revocations on the page: the newest.
const REVOCATIONS_MAX: usize = 100;

/// What is looked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    /// A part of the name.
    name: String,
    /// Whether one was lifted just now.
    done: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::console) struct LiftForm {
    csrf: String,
    id: String,
}

impl Guarded for LiftForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

#[derive(Template)]
#[template(path = "console/revocations.html")]
struct Revocations<'a> {
    who: &'a str,
    csrf: &'a str,
    note: Option<&'a str>,
    kinds: Vec<(Kind, &'static str)>,
    name: &'a str,
    all: Vec<Lifted>,
    more: usize,
    /// When the page was made, and of what.
    now: String,
    seen: String,
}

/// A revocation in words, and by which id it is lifted.
pub(super) struct Lifted {
    pub(super) id: String,
    kind: &'static str,
    pub(super) name: String,
    pub(super) why: String,
}

pub(in crate::console) async fn list(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let wanted: Wanted = query(&head).ok_or_else(not_understood)?;
    let gateway = &console.front.gateway;
    let seen = live::seen(&console, Source::Authority).await;
    let work = async {
        let store = gateway.authority().ok_or(ErrandError::Unavailable)?;
        store.revocations().await.map_err(unreadable)
    };
    let asked = Object::default().with("name", wanted.name.as_str());
    let found = gateway.run_errand(&visitor.caller, Errand::RevocationList, None, asked, work);
    let mut found = found.await.map_err(refused)?;
    let part = wanted.name.trim().to_lowercase();
    found.retain(|one| one.subject.name.to_lowercase().contains(&part));
    let page_of = Revocations {
        who: &visitor.who(),
        csrf: visitor.session.csrf(),
        note: wanted.done.as_ref().map(|_| "It is recorded, and holds from the next call on."),
        kinds: tabs(),
        name: &wanted.name,
        more: found.len().saturating_sub(REVOCATIONS_MAX),
        all: found.iter().take(REVOCATIONS_MAX).map(Lifted::of).collect(),
        now: moment(console.ambient.now()),
        seen,
    };
    Ok(live_page(StatusCode::OK, &page_of))
}

pub(in crate::console) async fn lift(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, form) = console.form::<LiftForm>(request).await?;
    let gateway = &console.front.gateway;
    let asked = Object::default().with("id", form.id.as_str());
    let work = async {
        let id = Id::parse(&form.id).ok_or(ErrandError::Gone)?;
        let by = visitor.caller.caller.summary();
        Ok(gateway.administer(by, Change::RevocationLifted { id }).await?)
    };
    let lifted = gateway.run_errand(&visitor.caller, Errand::RevocationLift, None, asked, work);
    lifted.await.map_err(refused)?;
    Ok(see_other("/console/callers/revocations?done=", None))
}

impl Lifted {
    pub(super) fn of(one: &Revocation) -> Self {
        let which = match one.issued_before {
            Some(before) => format!(" with credentials made before {}", moment(before)),
            None => String::new(),
        };
        let why = format!("Let in no more{which}, since {}: {}", moment(one.at), one.reason);
        Self {
            id: one.id.to_string(),
            kind: kind(one.subject.kind),
            name: safe(&one.subject.name),
            why: safe(&why),
        }
    }
}

const fn kind(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::Human => "person",
        SubjectKind::ServiceAccount => "service account",
        SubjectKind::Agent => "agent",
        SubjectKind::Client => "client",
        SubjectKind::Jti => "token of an issuer",
        SubjectKind::Workflow => "workflow",
    }
}
