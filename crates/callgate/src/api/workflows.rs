//! Workflow runs.

use axum::extract::{Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::ErrandError;
use callgate_gateway::workflow::{HEADER, META};
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use http::StatusCode;

use super::{Api, failed, made, problem};
use crate::desk::NewWorkflow;

/// Starts a run of the caller: calls that carry its handle belong to it. Operation `callgate.workflow.start`, on the account of
/// the caller's person or service account.
#[utoipa::path(post, path = "/api/v1/workflows", request_body = NewWorkflow, responses(
    (status = 201, description = "The run, and the handle to be sent with each call: in the header `Callgate-Workflow`, or in `_meta` under `dev.callgate/workflow`"),
    (status = 403, description = "Policy does not allow it"),
))]
pub(super) async fn start(State(api): State<Api>, request: Request) -> Result<Response, Response> {
    let (caller, asked, object) = api.asked::<NewWorkflow>(request).await?;
    let wrong = |text: String| problem(StatusCode::BAD_REQUEST, &text, None);
    let run = api.desk.workflow(asked).map_err(wrong)?;
    // The record of what was asked for says which run it became.
    let object = object.with("run", run.run.to_string());
    let work = async {
        let handle = api.gateway().start_workflow(&caller, &run);
        let too_large = || ErrandError::Wrong("it says too much: name fewer places".to_owned());
        Ok(Object::default()
            .with("run", run.run.to_string())
            .with("handle", handle.ok_or_else(too_large)?)
            .with("header", HEADER)
            .with("meta", META)
            .with("ends", run.ends.to_string()))
    };
    let who = caller.caller.accountable.identity.to_string();
    let errand = Errand::WorkflowStart;
    let started = api.gateway().run_errand(&caller, errand, Some(&who), object, work).await;
    Ok(made(StatusCode::CREATED, started.map_err(failed)?))
}
