//! The page about who is signed in. Everybody sees their own sessions and ends those that they have elsewhere; those of others are
//! seen and ended as policy says.

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::ErrandError;
use callgate_model::ambient::Id;
use callgate_model::authority::Change;
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use callgate_store::SessionState;
use http::StatusCode;
use serde::Deserialize;

use super::{
    Console, Guarded, Visitor, Whose, not_understood, page, query, refused, see_other, unreadable,
};
use crate::config::Roles;
use crate::print::approval::moment;
use crate::print::safe;

/// Sessions on the page: those last used.
const SESSIONS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndForm {
    csrf: String,
    id: String,
    /// From which of the two lists.
    all: Option<String>,
}

impl Guarded for EndForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

#[derive(Template)]
#[template(path = "console/sessions.html")]
struct SessionsPage<'a> {
    who: &'a str,
    csrf: &'a str,
    note: Option<&'a str>,
    all: bool,
    name: &'a str,
    sessions: Vec<Told>,
    /// How many more match.
    more: usize,
}

/// A session in words: nothing of what the browser has.
struct Told {
    id: String,
    who: String,
    way: &'static str,
    roles: Vec<String>,
    since: String,
    seen: String,
    ends: String,
    /// Whether it is the one that asks.
    is_this: bool,
}

pub(super) async fn list(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let wanted: Whose = query(&head).ok_or_else(not_understood)?;
    let is_all = wanted.all.is_some();
    let found = if is_all {
        let asked = Object::default().with("name", wanted.name.as_str());
        let (errand, work) = (Errand::SessionList, console.in_force());
        console.front.gateway.run_errand(&visitor.caller, errand, None, asked, work).await
    } else {
        console.in_force().await
    };
    let mut sessions = found.map_err(refused)?;
    let part = wanted.name.trim().to_lowercase();
    sessions.retain(|one| match is_all {
        true => one.session.who.to_lowercase().contains(&part),
        false => visitor.has(one),
    });
    let more = sessions.len().saturating_sub(SESSIONS_MAX);
    let shown = sessions.iter().take(SESSIONS_MAX);
    let page_of = SessionsPage {
        who: &visitor.who(),
        csrf: visitor.session.csrf(),
        note: wanted.done.as_ref().map(|_| "It has ended, and that is recorded."),
        all: is_all,
        name: &wanted.name,
        sessions: shown.map(|one| Told::of(one, console.sessions.roles(), &visitor)).collect(),
        more,
    };
    Ok(page(StatusCode::OK, &page_of))
}

pub(super) async fn end(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, form) = console.form::<EndForm>(request).await?;
    let found = console.in_force().await.map_err(refused)?;
    let id = Id::parse(&form.id);
    let found = found.into_iter().find(|one| Some(one.session.id) == id);
    let is_own = found.as_ref().is_some_and(|one| visitor.has(one));
    let about = found.as_ref().map(|one| one.session.who.clone());
    let work = async {
        let id = found.ok_or(ErrandError::Gone)?.session.id;
        let by = visitor.caller.caller.summary();
        Ok(console.front.gateway.administer(by, Change::SignedOut { id }).await?)
    };
    let done = if is_own {
        // As whoever signs out: nobody has to permit that.
        work.await
    } else {
        let asked = Object::default().with("id", form.id.as_str());
        let errand = Errand::SessionEnd;
        let gateway = &console.front.gateway;
        gateway.run_errand(&visitor.caller, errand, about.as_deref(), asked, work).await
    };
    done.map_err(refused)?;
    let all = if form.all.is_some() { "all=&" } else { "" };
    Ok(see_other(&format!("/console/sessions?{all}done="), None))
}

impl Console {
    async fn in_force(&self) -> Result<Vec<SessionState>, ErrandError> {
        let store = self.front.gateway.authority().ok_or(ErrandError::Unavailable)?;
        store.sessions(self.ambient.now()).await.map_err(unreadable)
    }
}

impl Visitor {
    /// Whether it is theirs: the one they come with or, of a person by themselves, any other of the same name.
    fn has(&self, one: &SessionState) -> bool {
        self.session.is(one.session.id)
            || (self.is_by_themselves() && self.name() == one.session.who)
    }
}

impl Told {
    fn of(state: &SessionState, roles: &Roles, visitor: &Visitor) -> Self {
        let session = &state.session;
        Self {
            id: session.id.to_string(),
            who: safe(&session.who),
            way: session.way.told(),
            roles: roles.roles_of(session).iter().map(|role| safe(role)).collect(),
            since: moment(session.begun),
            seen: moment(state.seen),
            ends: moment(session.ends),
            is_this: visitor.session.is(session.id),
        }
    }
}
