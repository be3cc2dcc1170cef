//! Who and what is let in no more.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::ErrandError;
use callgate_model::ambient::Id;
use callgate_model::authority::Change;
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use http::StatusCode;

use super::{Api, done, failed, gone, listed, made, unread};
use crate::desk::NewRevocation;
use crate::print::shape::revocation as as_json;

/// Lets somebody or something in no more. Operation `callgate.revocation.create`, on the account of that name.
#[utoipa::path(post, path = "/api/v1/revocations", request_body = NewRevocation, responses(
    (status = 201, description = "The revocation; it holds from the next call on"),
    (status = 403, description = "Policy does not allow it"),
))]
pub(super) async fn create(State(api): State<Api>, request: Request) -> Result<Response, Response> {
    let (caller, asked, object) = api.asked::<NewRevocation>(request).await?;
    let name = asked.name.clone();
    let work = async {
        let revocation = api.desk.revocation(asked).map_err(ErrandError::Wrong)?;
        let object = as_json(&revocation);
        api.change(&caller, Change::Revoked { revocation: Box::new(revocation) }).await?;
        Ok(object)
    };
    let errand = Errand::RevocationCreate;
    let revocation = api.gateway().run_errand(&caller, errand, Some(&name), object, work).await;
    Ok(made(StatusCode::CREATED, revocation.map_err(failed)?))
}

/// Lists what is revoked. Operation `callgate.revocation.list`, on the gateway.
#[utoipa::path(get, path = "/api/v1/revocations", responses((status = 200, description = "The revocations, newest first")))]
pub(super) async fn list(State(api): State<Api>, request: Request) -> Result<Response, Response> {
    let caller = api.caller(request).await?;
    let work = async { api.store()?.revocations().await.map_err(unread) };
    let errand = Errand::RevocationList;
    let all = api.gateway().run_errand(&caller, errand, None, Object::default(), work).await;
    Ok(listed("revocations", all.map_err(failed)?.iter().map(as_json).collect()))
}

/// Lets in again. Operation `callgate.revocation.lift`, on the gateway.
#[utoipa::path(delete, path = "/api/v1/revocations/{id}", params(("id" = String, Path,)), responses(
    (status = 204, description = "It holds no more"),
    (status = 404, description = "There is no such revocation any more"),
))]
pub(super) async fn lift(
    State(api): State<Api>,
    Path(revocation): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let caller = api.caller(request).await?;
    let id = Id::parse(&revocation).ok_or_else(gone)?;
    let work = api.change(&caller, Change::RevocationLifted { id });
    let asked = Object::default().with("id", revocation);
    let errand = Errand::RevocationLift;
    api.gateway().run_errand(&caller, errand, None, asked, work).await.map_err(failed)?;
    Ok(done())
}
