//! Grants.

use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::ErrandError;
use callgate_model::ambient::Id;
use callgate_model::authority::{Change, Holder};
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use callgate_store::GrantState;
use http::StatusCode;

use super::{Api, done, failed, gone, listed, made, unread};
use crate::desk::NewGrant;
use crate::print::shape::grant as as_json;

/// Gives a grant. Operation `callgate.grant.create`, on the account of its holder: the person, else the service account, else
/// the agent.
#[utoipa::path(post, path = "/api/v1/grants", request_body = NewGrant, responses(
    (status = 201, description = "The grant"),
    (status = 403, description = "Policy does not allow it"),
))]
pub(super) async fn create(State(api): State<Api>, request: Request) -> Result<Response, Response> {
    let (caller, asked, object) = api.asked::<NewGrant>(request).await?;
    let holder = [&asked.human, &asked.service_account, &asked.agent].into_iter().flatten().next();
    let holder = holder.cloned();
    let work = async {
        let by = caller.caller.summary();
        let grant = api.desk.grant(asked, &by).map_err(ErrandError::Wrong)?;
        api.change(&caller, Change::GrantIssued { grant: Box::new(grant.clone()) }).await?;
        Ok(as_json(&GrantState { left: grant.uses, grant, revoked: None }))
    };
    let errand = Errand::GrantCreate;
    let grant = api.gateway().run_errand(&caller, errand, holder.as_deref(), object, work).await;
    Ok(made(StatusCode::CREATED, grant.map_err(failed)?))
}

/// Lists grants; with `?all`, those that have ended, too. Operation `callgate.grant.list`, on the gateway.
#[utoipa::path(get, path = "/api/v1/grants", responses((status = 200, description = "The grants, newest first")))]
pub(super) async fn list(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Response> {
    let caller = api.caller(request).await?;
    let now = (query.as_deref() != Some("all")).then(|| api.now());
    let work = async { api.store()?.grants(now).await.map_err(unread) };
    let errand = Errand::GrantList;
    let all = api.gateway().run_errand(&caller, errand, None, Object::default(), work).await;
    Ok(listed("grants", all.map_err(failed)?.iter().map(as_json).collect()))
}

/// Takes a grant back. Operation `callgate.grant.revoke`, on the account of its holder.
#[utoipa::path(delete, path = "/api/v1/grants/{id}", params(("id" = String, Path,)), responses(
    (status = 204, description = "It is good no more, from the next call on"),
    (status = 404, description = "There is no such grant any more"),
))]
pub(super) async fn revoke(
    State(api): State<Api>,
    Path(grant): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let caller = api.caller(request).await?;
    let id = Id::parse(&grant).ok_or_else(gone)?;
    let found = match api.store() {
        Ok(store) => store.grant(id).await.ok().flatten(),
        Err(_) => None,
    };
    let holder = found.map(|state| state.grant.holder);
    let holder = holder.and_then(|Holder { human, service_account, agent, .. }| {
        human.or(service_account).or(agent)
    });
    let work = api.change(&caller, Change::GrantRevoked { id });
    let asked = Object::default().with("id", grant);
    let errand = Errand::GrantRevoke;
    let revoked = api.gateway().run_errand(&caller, errand, holder.as_deref(), asked, work).await;
    revoked.map_err(failed)?;
    Ok(done())
}
