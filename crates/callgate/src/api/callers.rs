//! What chain a token makes.

use axum::extract::{Request, State};
use axum::response::Response;
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Api, failed, made};

/// A token to be looked at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shown {
    /// It.
    token: String,
    /// The server that it is presented to; all of them, if nothing is said.
    #[serde(default)]
    server: String,
}

/// Says who a token's holder is, or why it is not accepted. Operation `callgate.caller.show`, on the gateway.
#[utoipa::path(post, path = "/api/v1/callers/show", request_body = Shown, responses(
    (status = 200, description = "`accepted`, and the chain, or why not"),
))]
pub(super) async fn show(State(api): State<Api>, request: Request) -> Result<Response, Response> {
    let (caller, Shown { token, server }, _secret) = api.asked::<Shown>(request).await?;
    let asked = Object::default().with("server", server.as_str());
    let work = async {
        Ok(match api.gateway().holder(token.trim(), &server).await {
            Ok(holder) => {
                Object::default().with("accepted", true).with("caller", holder.caller.to_json())
            }
            Err(wrong) => Object::default().with("accepted", false).with("why", wrong.to_string()),
        })
    };
    let shown = api.gateway().run_errand(&caller, Errand::CallerShow, None, asked, work).await;
    Ok(made(StatusCode::OK, shown.map_err(failed)?))
}
