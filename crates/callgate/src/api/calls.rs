//! Calls of which it is not known whether they took effect.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::ErrandError;
use callgate_model::ambient::Id;
use callgate_model::evidence::Finding;
use callgate_model::json::Object;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Api, done, failed, gone, listed};

/// The most calls that are listed.
const CALLS_MAX: u32 = 200;

/// What somebody found out about a call.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Found {
    /// `took_effect`, `no_effect` or `unknowable`.
    finding: String,
    /// How they know.
    note: String,
}

/// Lists the newest calls, reads left out, of which it is not known whether they took effect, and that nobody has settled: what is recorded of
/// their intents, and how they ended. Operation `callgate.call.list`, on the gateway.
#[utoipa::path(get, path = "/api/v1/calls/unsettled", responses((status = 200, description = "The calls, newest first")))]
pub(super) async fn unsettled(
    State(api): State<Api>,
    request: Request,
) -> Result<Response, Response> {
    let caller = api.caller(request).await?;
    let calls = api.gateway().unsettled(&caller, CALLS_MAX).await.map_err(failed)?;
    let told = calls.iter().map(|(intent, outcome)| {
        Object::default().with("intent", intent.record()).with("outcome", outcome.outcome.clone())
    });
    Ok(listed("calls", told.collect()))
}

/// Says what became of a call. Operation `callgate.call.settle`, on the gateway; and the caller has to be a person.
#[utoipa::path(post, path = "/api/v1/calls/{id}/settle", request_body = Found, params(("id" = String, Path,)), responses(
    (status = 204, description = "It is recorded"),
    (status = 400, description = "Not by a person, or without a note"),
    (status = 404, description = "It is known already, or there is no such call"),
))]
pub(super) async fn settle(
    State(api): State<Api>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let (caller, found, _) = api.asked::<Found>(request).await?;
    let id = Id::parse(&id).ok_or_else(gone)?;
    let finding = Finding::parse(&found.finding).ok_or_else(|| {
        let text = "`finding` is `took_effect`, `no_effect` or `unknowable`";
        failed(ErrandError::Wrong(text.to_owned()))
    })?;
    let settled = api.gateway().settle(&caller, id, (finding, &found.note)).await;
    settled.map_err(failed)?;
    Ok(done())
}
