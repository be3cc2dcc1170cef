//! The API of the gateway itself: `/api/v1`. Whoever comes is identified as at any server, and every route is decided by
//! policy before it does anything; there is no other way in.

mod approvals;
mod callers;
mod calls;
mod grants;
mod revocations;
mod tokens;
mod workflows;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{delete, get, post};
use callgate_gateway::identity::Identified;
use callgate_gateway::pipeline::{ErrandError, Gateway};
use callgate_model::ambient::{Ambient, Timestamp};
use callgate_model::authority::Change;
use callgate_model::decision::{Decision, Verdict};
use callgate_model::json::{Json, JsonLimits, Object, read};
use callgate_store::{AuthorityStore, StoreError};
use http::{HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use utoipa::OpenApi;

use crate::desk::Desk;
use crate::http::{Front, respond};

/// Longest request, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) front: Front,
    pub(crate) desk: Arc<Desk>,
    pub(crate) ambient: Arc<dyn Ambient>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Callgate",
        description = "Approvals, calls, tokens, grants, revocations and workflows. Each route is decided by policy: the operation is named with it."
    ),
    paths(
        approvals::approve,
        approvals::deny,
        approvals::list,
        approvals::review,
        approvals::show,
        approvals::withdraw,
        callers::show,
        calls::settle,
        calls::unsettled,
        grants::create,
        grants::list,
        grants::revoke,
        revocations::create,
        revocations::lift,
        revocations::list,
        tokens::create,
        tokens::list,
        tokens::revoke,
        tokens::rotate,
        workflows::start,
    )
)]
struct Description;

/// The routes.
pub(crate) fn routes(api: Api) -> Router {
    Router::new()
        .route("/openapi.json", get(describe))
        .route("/approvals", get(approvals::list))
        .route("/approvals/{id}", get(approvals::show))
        .route("/approvals/{id}/approve", post(approvals::approve))
        .route("/approvals/{id}/deny", post(approvals::deny))
        .route("/approvals/{id}/review", post(approvals::review))
        .route("/approvals/{id}/withdraw", post(approvals::withdraw))
        .route("/callers/show", post(callers::show))
        .route("/calls/unsettled", get(calls::unsettled))
        .route("/calls/{id}/settle", post(calls::settle))
        .route("/grants", get(grants::list).post(grants::create))
        .route("/grants/{id}", delete(grants::revoke))
        .route("/revocations", get(revocations::list).post(revocations::create))
        .route("/revocations/{id}", delete(revocations::lift))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{id}", delete(tokens::revoke))
        .route("/tokens/{id}/rotate", post(tokens::rotate))
        .route("/workflows", post(workflows::start))
        .with_state(api)
}

/// The description of the API, for whoever has a good credential.
async fn describe(State(api): State<Api>, request: Request) -> Result<Response, Response> {
    let (head, _) = api.front.open(request);
    api.gateway().api_caller(&head).await.map_err(|reply| respond(*reply))?;
    let text = Description::openapi().to_json().unwrap_or_default();
    Ok(answer(StatusCode::OK, "application/json", text))
}

impl Api {
    fn gateway(&self) -> &Arc<Gateway> {
        &self.front.gateway
    }

    fn now(&self) -> Timestamp {
        self.ambient.now()
    }

    /// What is in force.
    fn store(&self) -> Result<&dyn AuthorityStore, ErrandError> {
        self.gateway().authority().ok_or(ErrandError::Unavailable)
    }

    /// Who asks.
    async fn caller(&self, request: Request) -> Result<Arc<Identified>, Response> {
        let (head, _) = self.front.open(request);
        self.gateway().api_caller(&head).await.map_err(|reply| respond(*reply))
    }

    /// Who asks, and for what.
    async fn asked<T: DeserializeOwned>(
        &self,
        request: Request,
    ) -> Result<(Arc<Identified>, T, Object), Response> {
        let (head, body) = self.front.open(request);
        let caller = self.gateway().api_caller(&head).await.map_err(|reply| respond(*reply))?;
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("application/json")) {
            let text = "send JSON, and say so: `Content-Type: application/json`";
            return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, text, None));
        }
        let body = self.front.read(body).await;
        let body = body.map_err(|status| problem(status, "the request was not read", None))?;
        let wrong = |text: String| problem(StatusCode::BAD_REQUEST, &text, None);
        let limits = JsonLimits { bytes_max: BODY_BYTES_MAX, ..JsonLimits::default() };
        // The one strict reader comes first: what two readers could read differently is refused.
        let read = read(&body, &limits).map_err(|error| wrong(error.to_string()))?;
        let asked =
            serde_json::from_str(&read.to_text()).map_err(|error| wrong(error.to_string()))?;
        match read {
            Json::Object(object) => Ok((caller, asked, object)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
                Err(wrong("send an object".to_owned()))
            }
        }
    }

    /// Makes a change in the name of `caller`.
    async fn change(&self, caller: &Identified, change: Change) -> Result<(), ErrandError> {
        Ok(self.gateway().administer(caller.caller.summary(), change).await?)
    }
}

/// What is not an id names nothing.
fn gone() -> Response {
    failed(ErrandError::Gone)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an error is mapped with")]
fn unread(error: StoreError) -> ErrandError {
    tracing::error!(%error, "what is in force cannot be read");
    ErrandError::Unavailable
}

fn made(status: StatusCode, object: Object) -> Response {
    answer(status, "application/json", Json::Object(object).to_text())
}

fn listed(name: &str, all: Vec<Object>) -> Response {
    let all: Vec<Json> = all.into_iter().map(Json::Object).collect();
    made(StatusCode::OK, Object::default().with(name, all))
}

fn done() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Why an errand was not done (RFC 9457).
fn failed(error: ErrandError) -> Response {
    match error {
        ErrandError::Refused(decision) => {
            let needs_approval = matches!(decision.verdict, Verdict::ApprovalRequired(_));
            let text = if needs_approval {
                "a person has to approve this first, which this version cannot ask for"
            } else {
                "policy does not allow this"
            };
            problem(StatusCode::FORBIDDEN, text, Some(&decision))
        }
        ErrandError::Wrong(text) => problem(StatusCode::BAD_REQUEST, &text, None),
        ErrandError::Gone => {
            let text = "it was changed meanwhile, or there is no such thing";
            problem(StatusCode::NOT_FOUND, text, None)
        }
        ErrandError::Unavailable => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "the store fails; try again later", None)
        }
    }
}

fn problem(status: StatusCode, detail: &str, decision: Option<&Decision>) -> Response {
    let mut object = Object::default()
        .with("title", status.canonical_reason().unwrap_or_default())
        .with("status", i64::from(status.as_u16()))
        .with("detail", detail);
    if let Some(decision) = decision {
        let reasons: Vec<Json> =
            decision.reasons.iter().map(|one| Json::from(one.code())).collect();
        object.set("reasons", reasons);
    }
    answer(status, "application/problem+json", Json::Object(object).to_text())
}

fn answer(status: StatusCode, kind: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // There may be a secret in it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
