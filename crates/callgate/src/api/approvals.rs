//! Calls that wait to be approved.

use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::{Ballot, ErrandError};
use callgate_model::ambient::Id;
use callgate_model::approval::GlassVerdict;
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Api, done, failed, gone, listed, made, unread};
use crate::print::shape::approval as as_json;

/// What somebody says to a call that waits.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// `shown` of the approval, as it was seen: what was decided about is what is decided.
    shown: String,
    /// Why.
    reason: Option<String>,
    /// Whether what is offered beside the one call is granted, too.
    #[serde(default)]
    grants: bool,
}

/// What somebody says of broken glass.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reviewed {
    /// `justified` or `not_justified`.
    verdict: String,
    /// What they found.
    note: String,
}

/// Why an approval is taken back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Withdrawn {
    /// Why.
    reason: String,
}

/// Lists what waits to be approved, or to be used; with `?all`, also what has ended. Operation `callgate.approval.list`, on the
/// gateway.
#[utoipa::path(get, path = "/api/v1/approvals", responses((status = 200, description = "The approvals, newest first")))]
pub(super) async fn list(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Response> {
    let caller = api.caller(request).await?;
    let now = (query.as_deref() != Some("all")).then(|| api.now());
    let work = async { api.store()?.approvals(now).await.map_err(unread) };
    let errand = Errand::ApprovalList;
    let all = api.gateway().run_errand(&caller, errand, None, Object::default(), work).await;
    let all = all.map_err(failed)?;
    Ok(listed("approvals", all.iter().map(|state| as_json(state, api.now(), false)).collect()))
}

/// Shows what waits to be approved, with the arguments that would be sent. That it was seen is recorded. Operation
/// `callgate.approval.show`, on the account of whoever asks.
#[utoipa::path(get, path = "/api/v1/approvals/{id}", params(("id" = String, Path,)), responses(
    (status = 200, description = "The approval"),
    (status = 404, description = "There is no such approval"),
))]
pub(super) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let caller = api.caller(request).await?;
    let id = Id::parse(&id).ok_or_else(gone)?;
    let state = api.gateway().show_approval(&caller, id).await.map_err(failed)?;
    Ok(made(StatusCode::OK, as_json(&state, api.now(), true)))
}

/// Approves a call. Operation `callgate.approval.decide`, on the account of whoever asks; and the caller has to be a person
/// whom a gate of the call names, and no part of it.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/approve", request_body = Said, params(("id" = String, Path,)), responses(
    (status = 200, description = "The approval as it is now"),
    (status = 400, description = "Not of those who may, or not what was shown"),
    (status = 404, description = "It waits no more"),
))]
pub(super) async fn approve(
    State(api): State<Api>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    vote(api, &id, request, true).await
}

/// Denies a call. Operation `callgate.approval.decide`, as for approving.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/deny", request_body = Said, params(("id" = String, Path,)), responses(
    (status = 200, description = "The approval as it is now"),
    (status = 404, description = "It waits no more"),
))]
pub(super) async fn deny(
    State(api): State<Api>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    vote(api, &id, request, false).await
}

async fn vote(api: Api, id: &str, request: Request, approves: bool) -> Result<Response, Response> {
    let (caller, said, _) = api.asked::<Said>(request).await?;
    let id = Id::parse(id).ok_or_else(gone)?;
    let shown = said.shown.parse().unwrap_or_default();
    let ballot = Ballot { approves, grants: said.grants, reason: said.reason, shown, proof: None };
    let state = api.gateway().vote(&caller, id, ballot).await.map_err(failed)?;
    Ok(made(StatusCode::OK, as_json(&state, api.now(), false)))
}

/// Says whether it was right that somebody broke the glass for a call. Operation `callgate.approval.review`, on the account of
/// whoever asked for it; and the caller has to be a person who neither broke it nor is a part of the call.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/review", request_body = Reviewed, params(("id" = String, Path,)), responses(
    (status = 200, description = "The approval as it is now"),
    (status = 400, description = "Not of those who may, or there is nothing to review"),
    (status = 404, description = "There is no such approval"),
))]
pub(super) async fn review(
    State(api): State<Api>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let (caller, said, _) = api.asked::<Reviewed>(request).await?;
    let id = Id::parse(&id).ok_or_else(gone)?;
    let verdict = GlassVerdict::parse(&said.verdict).ok_or_else(|| {
        failed(ErrandError::Wrong("`verdict` is `justified` or `not_justified`".to_owned()))
    })?;
    let state = api.gateway().review_glass(&caller, id, (verdict, &said.note)).await;
    Ok(made(StatusCode::OK, as_json(&state.map_err(failed)?, api.now(), false)))
}

/// Takes an approval back that was not used yet. Operation `callgate.approval.withdraw`, on the account of whoever asked for it.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/withdraw", request_body = Withdrawn, params(("id" = String, Path,)), responses(
    (status = 204, description = "It lets nothing through"),
    (status = 404, description = "It has ended already"),
))]
pub(super) async fn withdraw(
    State(api): State<Api>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let (caller, asked, _) = api.asked::<Withdrawn>(request).await?;
    let id = Id::parse(&id).ok_or_else(gone)?;
    let withdrawn = api.gateway().withdraw_approval(&caller, id, asked.reason).await;
    withdrawn.map_err(failed)?;
    Ok(done())
}
