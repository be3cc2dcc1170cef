//! Tokens of the gateway's own.

use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::ErrandError;
use callgate_model::ambient::Id;
use callgate_model::authority::Change;
use callgate_model::caller::{AccountableKind, Caller};
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use callgate_store::TokenState;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Api, done, failed, gone, listed, made, unread};
use crate::desk::NewToken;
use crate::print::shape::token as as_json;

/// How a token is replaced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rotation {
    /// For how many hours the old one stays good.
    overlap_hours: Option<u32>,
}

/// Makes a token. Operation `callgate.token.create`, on the account of its owner; on the gateway, if it is to have a service account,
/// a class, or groups that its maker does not have.
#[utoipa::path(post, path = "/api/v1/tokens", request_body = NewToken, responses(
    (status = 201, description = "The token; `secret` is told this once"),
    (status = 403, description = "Policy does not allow it"),
))]
pub(super) async fn create(State(api): State<Api>, request: Request) -> Result<Response, Response> {
    let (caller, asked, object) = api.asked::<NewToken>(request).await?;
    let owner = Some(asked.owner.clone()).filter(|_| lends_nothing(&caller.caller, &asked));
    let work = async {
        let (token, secret) = api.desk.token(asked).map_err(ErrandError::Wrong)?;
        api.change(&caller, Change::TokenIssued { token: Box::new(token.clone()) }).await?;
        let state = TokenState { ends: token.ends, token, revoked: None, used: None };
        Ok(as_json(&state).with("secret", secret.expose()))
    };
    let errand = Errand::TokenCreate;
    let token = api.gateway().run_errand(&caller, errand, owner.as_deref(), object, work).await;
    Ok(made(StatusCode::CREATED, token.map_err(failed)?))
}

/// Whether a token says of its holder nothing but what is known anyway: whose it is, and the groups that its maker has, if it is
/// their own. Else it could make somebody more than they are, and is a matter of the whole gateway.
fn lends_nothing(maker: &Caller, asked: &NewToken) -> bool {
    let maker = &maker.accountable;
    let is_own = maker.kind == AccountableKind::Human && maker.identity.to_string() == asked.owner;
    let is_held = |group: &String| is_own && maker.groups.contains(group);
    asked.service_account.is_none() && asked.class.is_none() && asked.groups.iter().all(is_held)
}

/// Lists tokens; with `?all`, those that have ended, too. Operation `callgate.token.list`, on the gateway.
#[utoipa::path(get, path = "/api/v1/tokens", responses((status = 200, description = "The tokens, newest first")))]
pub(super) async fn list(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Response> {
    let caller = api.caller(request).await?;
    let now = (query.as_deref() != Some("all")).then(|| api.now());
    let work = async { api.store()?.tokens(now).await.map_err(unread) };
    let errand = Errand::TokenList;
    let all = api.gateway().run_errand(&caller, errand, None, Object::default(), work).await;
    Ok(listed("tokens", all.map_err(failed)?.iter().map(as_json).collect()))
}

/// Makes a token in place of another. Operation `callgate.token.rotate`, on the account of its owner.
#[utoipa::path(post, path = "/api/v1/tokens/{id}/rotate", request_body = Rotation, params(("id" = String, Path,)), responses(
    (status = 201, description = "The new token; `secret` is told this once"),
    (status = 404, description = "There is no such token any more"),
))]
pub(super) async fn rotate(
    State(api): State<Api>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let (caller, asked, object) = api.asked::<Rotation>(request).await?;
    let id = Id::parse(&token).ok_or_else(gone)?;
    let owner = owner(&api, id).await;
    let work = async {
        let old = api.store()?.token(id).await.map_err(unread)?.ok_or(ErrandError::Gone)?;
        let rotated = api.desk.rotation(old, asked.overlap_hours).map_err(ErrandError::Wrong)?;
        let (token, old_ends, secret) = rotated;
        let change = Change::TokenRotated { token: Box::new(token.clone()), old_ends };
        api.change(&caller, change).await?;
        let state = TokenState { ends: token.ends, token, revoked: None, used: None };
        Ok(as_json(&state).with("secret", secret.expose()).with("old_ends", old_ends.to_string()))
    };
    let object = object.with("id", token);
    let errand = Errand::TokenRotate;
    let token = api.gateway().run_errand(&caller, errand, owner.as_deref(), object, work).await;
    Ok(made(StatusCode::CREATED, token.map_err(failed)?))
}

/// Takes a token back. Operation `callgate.token.revoke`, on the account of its owner.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", params(("id" = String, Path,)), responses(
    (status = 204, description = "It is good no more, from the next call on"),
    (status = 404, description = "There is no such token any more"),
))]
pub(super) async fn revoke(
    State(api): State<Api>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let caller = api.caller(request).await?;
    let id = Id::parse(&token).ok_or_else(gone)?;
    let owner = owner(&api, id).await;
    let work = api.change(&caller, Change::TokenRevoked { id });
    let asked = Object::default().with("id", token);
    let errand = Errand::TokenRevoke;
    let revoked = api.gateway().run_errand(&caller, errand, owner.as_deref(), asked, work).await;
    revoked.map_err(failed)?;
    Ok(done())
}

/// Whose a token is. If there is none, it is not about anybody.
async fn owner(api: &Api, id: Id) -> Option<String> {
    Some(api.store().ok()?.token(id).await.ok()??.token.owner)
}
