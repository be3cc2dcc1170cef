//! Workflow runs that are asked for.

use callgate_gateway::workflow::Run;
use callgate_model::vocabulary::Effect;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Desk, NewScope, text};

/// How long a run lasts, if nothing else is said, and at most, in minutes.
const MINUTES: u32 = 60;
const MINUTES_MAX: u32 = 24 * 60;

/// A workflow run that is asked for.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewWorkflow {
    /// What it is for.
    pub(crate) purpose: String,
    /// The ticket that asks for it.
    pub(crate) ticket: Option<String>,
    /// What its calls may do; no less than without it, if nothing is said.
    pub(crate) scope: NewScope,
    /// How long it lasts.
    pub(crate) minutes: Option<u32>,
}

impl Desk {
    /// A new run.
    pub(crate) fn workflow(&self, asked: NewWorkflow) -> Result<Run, String> {
        let minutes = asked.minutes.unwrap_or(MINUTES);
        if minutes == 0 || minutes > MINUTES_MAX {
            return Err(format!("a workflow lasts 1 to {MINUTES_MAX} minutes"));
        }
        Ok(Run {
            run: self.ambient.id(),
            purpose: text("purpose", asked.purpose)?,
            ticket: asked.ticket.map(|ticket| text("ticket", ticket)).transpose()?,
            within: self.scope(asked.scope, Effect::ALL)?,
            ends: self.now().after_ms(u64::from(minutes) * 60_000),
        })
    }
}
