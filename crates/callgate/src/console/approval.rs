//! The page of an approval, and what somebody says there.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::{Ballot, ErrandError};
use callgate_model::ambient::Id;
use callgate_model::decision::Gate;
use http::StatusCode;
use serde::Deserialize;

use super::live::{self, Source};
use super::page::{ApprovalPage, Shown};
use super::{CONSOLE, Console, Guarded, Visitor, live_page, refused, see_other};
use crate::print::{approval as told, safe};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecideForm {
    csrf: String,
    shown: String,
    reason: String,
    verdict: Verdict,
    /// That they have proved it by a passkey, if that is wanted.
    #[serde(default)]
    proof: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Approve,
    Deny,
    /// Approves it, and grants what is offered beside it.
    Grant,
}

impl Verdict {
    /// As forms send it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Grant => "grant",
        }
    }
}

impl Guarded for DecideForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

pub(super) async fn show(
    State(console): State<Console>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let (_, visitor) = console.open(request).await?;
    again(&console, &visitor, &id, (StatusCode::OK, None)).await
}

async fn again(
    console: &Console,
    visitor: &Visitor,
    id: &str,
    (status, problem): (StatusCode, Option<String>),
) -> Result<Response, Response> {
    let id = Id::parse(id).ok_or_else(|| refused(ErrandError::Gone))?;
    let seen = live::seen(console, Source::Approval(id)).await;
    let state = console.front.gateway.show_approval(&visitor.caller, id).await.map_err(refused)?;
    let (who, csrf, now) = (visitor.who(), visitor.session.csrf(), console.ambient.now());
    let (one, now) = (Shown::of(&state, now, true), told::moment(now));
    let (gateway, bundle) = (&console.front.gateway, console.front.gateway.bundle());
    let because = |gate: &Gate| {
        let policy = bundle.about(&gate.policy)?;
        Some(safe(&format!("{} ({})", policy.reason, policy.owner)))
    };
    let gates = state.approval.gates.iter();
    let page_of = ApprovalPage {
        who: &who,
        csrf,
        problem,
        one,
        gates: gates.map(|gate| (safe(&gate.told()), because(gate))).collect(),
        now,
        seen,
        can_break: console.has_ceremonies() && gateway.may_break_glass(&visitor.caller, &state),
        can_review: gateway.may_review_glass(&visitor.caller, &state),
    };
    Ok(live_page(status, &page_of))
}

pub(super) async fn decide(
    State(console): State<Console>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, form) = console.form::<DecideForm>(request).await?;
    let parsed = Id::parse(&id).ok_or_else(|| refused(ErrandError::Gone))?;
    let said = [&*form.shown, form.verdict.as_str(), "", ""];
    let proof = console.proof(&visitor, (parsed, &said), &form.proof);
    let ballot = |proof| Ballot {
        approves: !matches!(form.verdict, Verdict::Deny),
        grants: matches!(form.verdict, Verdict::Grant),
        reason: Some(form.reason.trim().to_owned()).filter(|reason| !reason.is_empty()),
        shown: form.shown.parse().unwrap_or_default(),
        proof,
    };
    let said = match proof {
        Ok(proof) => console.front.gateway.vote(&visitor.caller, parsed, ballot(proof)).await,
        Err(unproved) => Err(unproved),
    };
    match said {
        Ok(_) => Ok(see_other(&format!("{CONSOLE}?done"), None)),
        Err(error) => undone(&console, &visitor, &id, error).await,
    }
}

/// The page again, with why nothing was done.
pub(super) async fn undone(
    console: &Console,
    visitor: &Visitor,
    id: &str,
    error: ErrandError,
) -> Result<Response, Response> {
    let why = match error {
        ErrandError::Wrong(why) => why,
        ErrandError::Gone => {
            "It was decided, or has ended, meanwhile. Nothing was done.".to_owned()
        }
        ErrandError::Refused(_) | ErrandError::Unavailable => return Err(refused(error)),
    };
    again(console, visitor, id, (StatusCode::CONFLICT, Some(why))).await
}
