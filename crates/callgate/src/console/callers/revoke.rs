//! Ending what somebody has, in two steps: what ends is spelled out before anybody says that it is to end.

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::ErrandError;
use callgate_model::ambient::Id;
use callgate_model::authority::{Change, Holder};
use callgate_model::products::gateway::Errand;
use http::StatusCode;
use serde::Deserialize;

use super::super::{Console, Guarded, Visitor, not_understood, page, query, refused, see_other};
use super::{Which, place, singular};
use crate::desk::NewRevocation;
use crate::print::approval::moment;
use crate::print::safe;
use crate::privilege::{Kind, Known};

/// Names in one sentence about what ends.
const NAMES_MAX: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::console) struct Asked {
    csrf: String,
    kind: String,
    id: String,
    reason: String,
}

impl Guarded for Asked {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

#[derive(Template)]
#[template(path = "console/revoke.html")]
struct RevokePage<'a> {
    who: &'a str,
    csrf: &'a str,
    problem: Option<String>,
    kind: &'static str,
    /// As the form says it.
    named: (&'a str, &'a str),
    name: String,
    /// What ends, in sentences.
    ends: Vec<String>,
    wants_reason: bool,
    back: String,
}

pub(in crate::console) async fn ask(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let which: Which = query(&head).ok_or_else(not_understood)?;
    shown(&console, &visitor, &which, (StatusCode::OK, None)).await
}

async fn shown(
    console: &Console,
    visitor: &Visitor,
    which: &Which,
    (status, problem): (StatusCode, Option<String>),
) -> Result<Response, Response> {
    let kind = which.kind().ok_or_else(not_understood)?;
    let id = which.id.clone();
    let work = async {
        let found = console.reckon(move |known| {
            let name = known.names(kind).into_iter().find(|(one, _)| *one == id)?.1;
            Some((safe(&name), ends(known, kind, &id)))
        });
        found.await?.ok_or(ErrandError::Gone)
    };
    let (asked, errand) = (which.asked(), Errand::PrivilegeShow);
    let found = console.front.gateway.run_errand(&visitor.caller, errand, None, asked, work);
    let (name, ends) = found.await.map_err(refused)?;
    let page_of = RevokePage {
        who: &visitor.who(),
        csrf: visitor.session.csrf(),
        problem,
        kind: singular(kind),
        named: (&which.kind, &which.id),
        name,
        ends,
        wants_reason: kind.subject().is_some(),
        back: place("caller", kind, &which.id),
    };
    Ok(page(status, &page_of))
}

pub(in crate::console) async fn revoke(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, form) = console.form::<Asked>(request).await?;
    let which = Which { kind: form.kind, id: form.id };
    let kind = which.kind().ok_or_else(not_understood)?;
    let (errand, about) = whose(&console, kind, &which.id).await;
    let gateway = &console.front.gateway;
    let asked = which.asked().with("reason", form.reason.as_str());
    let work = async {
        let change = change(&console, kind, &which.id, form.reason)?;
        Ok(gateway.administer(visitor.caller.caller.summary(), change).await?)
    };
    match gateway.run_errand(&visitor.caller, errand, about.as_deref(), asked, work).await {
        Ok(()) => Ok(see_other(&format!("/console/callers?kind={}&done=", kind.as_str()), None)),
        Err(ErrandError::Wrong(why)) => {
            shown(&console, &visitor, &which, (StatusCode::CONFLICT, Some(safe(&why)))).await
        }
        Err(error @ (ErrandError::Gone | ErrandError::Refused(_) | ErrandError::Unavailable)) => {
            Err(refused(error))
        }
    }
}

/// What is done, and on whose account: as at the API.
async fn whose(console: &Console, kind: Kind, id: &str) -> (Errand, Option<String>) {
    let store = console.front.gateway.authority();
    let store = store.zip(Id::parse(id));
    match (kind, store) {
        (Kind::Token, Some((store, id))) => {
            let token = store.token(id).await.ok().flatten();
            (Errand::TokenRevoke, token.map(|state| state.token.owner))
        }
        (Kind::Grant, Some((store, id))) => {
            let holder = store.grant(id).await.ok().flatten().map(|state| state.grant.holder);
            let account = holder.and_then(|Holder { human, service_account, agent, .. }| {
                human.or(service_account).or(agent)
            });
            (Errand::GrantRevoke, account)
        }
        (Kind::Token, None) => (Errand::TokenRevoke, None),
        (Kind::Grant, None) => (Errand::GrantRevoke, None),
        (Kind::Agent | Kind::Client | Kind::Human | Kind::ServiceAccount | Kind::Workflow, _) => {
            (Errand::RevocationCreate, Some(id.to_owned()))
        }
    }
}

fn change(
    console: &Console,
    kind: Kind,
    name: &str,
    reason: String,
) -> Result<Change, ErrandError> {
    let id = || Id::parse(name).ok_or(ErrandError::Gone);
    match (kind, kind.subject()) {
        (_, Some(kind)) => {
            let asked = NewRevocation { kind, name: name.to_owned(), issued_before: None, reason };
            let revocation = console.premises.desk.revocation(asked).map_err(ErrandError::Wrong)?;
            Ok(Change::Revoked { revocation: Box::new(revocation) })
        }
        (Kind::Grant, None) => Ok(Change::GrantRevoked { id: id()? }),
        (_, None) => Ok(Change::TokenRevoked { id: id()? }),
    }
}

/// What ends with it.
fn ends(known: &Known, kind: Kind, id: &str) -> Vec<String> {
    let mut ends = match kind {
        Kind::Token => vec![
            "Whoever holds this token is let in no more, from the next call on.".to_owned(),
            "It cannot be given back: who needs one gets another one.".to_owned(),
        ],
        Kind::Grant => {
            vec!["Nothing is done under this grant any more, from the next call on.".to_owned()]
        }
        Kind::Human => vec![
            "This person is let in no more, whatever credential they come with, and neither is any agent in their name."
                .to_owned(),
        ],
        Kind::ServiceAccount | Kind::Agent | Kind::Client | Kind::Workflow => vec![format!(
            "Whoever comes with this {} in the chain is let in no more, whatever credential they come with.",
            singular(kind)
        )],
    };
    let tokens = known.tokens.iter().map(|state| &state.token).filter(|token| match kind {
        Kind::Human => token.owner == id,
        Kind::Agent => token.agent == id,
        Kind::ServiceAccount => token.service_account.as_deref() == Some(id),
        Kind::Client | Kind::Grant | Kind::Token | Kind::Workflow => false,
    });
    let tokens: Vec<String> =
        tokens.map(|token| format!("“{}” ({})", token.name, token.id)).collect();
    ends.extend(named("With it, these tokens are good for nothing", &tokens));
    let grants = known.grants.iter().map(|state| &state.grant).filter(|grant| {
        let Holder { human, service_account, agent, client, workflow } = &grant.holder;
        let holder = match kind {
            Kind::Human => human,
            Kind::ServiceAccount => service_account,
            Kind::Agent => agent,
            Kind::Client => client,
            Kind::Workflow => workflow,
            Kind::Grant | Kind::Token => &None,
        };
        holder.as_deref() == Some(id)
    });
    let grants: Vec<String> =
        grants.map(|grant| format!("“{}” ({})", grant.reason, grant.id)).collect();
    ends.extend(named("With it, these grants are of no use", &grants));
    if let Some(holding) = known.holding(kind, id) {
        let last = holding.used.map(|at| format!(", the last one {}", moment(at)));
        let (did, last) = (holding.usage.count(), last.unwrap_or_default());
        ends.push(format!("In the last {} days it made {did} calls{last}.", known.days));
    }
    if kind.subject().is_some() {
        ends.push(
            "It holds until somebody lets them in again, here or by callgate revocation lift."
                .to_owned(),
        );
    }
    ends.iter().map(|text| safe(text)).collect()
}

fn named(what: &str, names: &[String]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let shown: Vec<&str> = names.iter().take(NAMES_MAX).map(String::as_str).collect();
    let more = match names.len().saturating_sub(NAMES_MAX) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some(format!("{what}: {}{more}.", shown.join(", ")))
}
