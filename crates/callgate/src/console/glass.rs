//! Breaking the glass and reviewing it, on the page of an approval.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::{Breaking, ErrandError};
use callgate_model::ambient::Id;
use callgate_model::approval::GlassVerdict;
use serde::Deserialize;

use super::{CONSOLE, Console, Guarded, approval, refused, see_other};

/// As a form sends it, and a proof is made for it.
const BREAKS: &str = "break_glass";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GlassForm {
    csrf: String,
    shown: String,
    reason: String,
    ticket: String,
    proof: String,
    verdict: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReviewForm {
    csrf: String,
    note: String,
    verdict: String,
}

impl Guarded for GlassForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl Guarded for ReviewForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

pub(super) async fn break_it(
    State(console): State<Console>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, form) = console.form::<GlassForm>(request).await?;
    let parsed = Id::parse(&id).ok_or_else(|| refused(ErrandError::Gone))?;
    let said = [&*form.shown, BREAKS, &*form.reason, &*form.ticket];
    let proof = console.proof(&visitor, (parsed, &said), &form.proof).and_then(|proof| {
        let text = "breaking the glass needs a passkey: add one on the page Passkeys";
        proof.filter(|_| form.verdict == BREAKS).ok_or(ErrandError::Wrong(text.to_owned()))
    });
    let done = match proof {
        Ok(proof) => {
            let shown = form.shown.parse().unwrap_or_default();
            let breaking = Breaking { reason: form.reason, ticket: form.ticket, shown, proof };
            console.front.gateway.break_glass(&visitor.caller, parsed, breaking).await
        }
        Err(unproved) => Err(unproved),
    };
    match done {
        Ok(_) => Ok(see_other(&format!("{CONSOLE}?done"), None)),
        Err(error) => approval::undone(&console, &visitor, &id, error).await,
    }
}

pub(super) async fn review(
    State(console): State<Console>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, form) = console.form::<ReviewForm>(request).await?;
    let parsed = Id::parse(&id).ok_or_else(|| refused(ErrandError::Gone))?;
    let verdict = GlassVerdict::parse(&form.verdict)
        .ok_or_else(|| refused(ErrandError::Wrong("There is no such verdict.".to_owned())))?;
    let said = (verdict, form.note.as_str());
    match console.front.gateway.review_glass(&visitor.caller, parsed, said).await {
        Ok(_) => Ok(see_other(&format!("{CONSOLE}?done"), None)),
        Err(error) => approval::undone(&console, &visitor, &id, error).await,
    }
}
