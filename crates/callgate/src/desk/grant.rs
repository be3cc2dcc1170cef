//! Grants that are asked for.

use callgate_model::ambient::Timestamp;
use callgate_model::authority::{Grant, Holder};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Desk, NewScope, text};

/// How long a grant lasts, if nothing else is said, and at most, in minutes.
const MINUTES: u32 = 60;
const MINUTES_MAX: u32 = 30 * 24 * 60;
/// For how many calls it is at most.
const USES_MAX: u32 = 10_000;

/// A grant that is asked for.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewGrant {
    /// The person whose calls it is for.
    pub(crate) human: Option<String>,
    /// The service account whose calls it is for.
    pub(crate) service_account: Option<String>,
    /// The agent whose calls it is for.
    pub(crate) agent: Option<String>,
    /// The client whose calls it is for.
    pub(crate) client: Option<String>,
    /// The workflow run whose calls it is for.
    pub(crate) workflow: Option<String>,
    /// What may be done, and where.
    pub(crate) scope: NewScope,
    /// That it may be done anywhere, if no place is named.
    pub(crate) anywhere: bool,
    /// When it begins; now, if nothing is said.
    #[schema(value_type = Option<String>)]
    pub(crate) begins: Option<Timestamp>,
    /// How long it lasts.
    pub(crate) minutes: Option<u32>,
    /// For how many calls it is.
    pub(crate) uses: Option<u32>,
    /// Why.
    pub(crate) reason: String,
    /// The ticket that asks for it.
    pub(crate) ticket: Option<String>,
}

impl Desk {
    /// A new grant of `by`.
    pub(crate) fn grant(&self, asked: NewGrant, by: &str) -> Result<Grant, String> {
        let holder = Holder {
            human: self.optional_name("human", asked.human)?,
            service_account: self.optional_name("service account", asked.service_account)?,
            agent: self.optional_name("agent", asked.agent)?,
            client: self.optional_name("client", asked.client)?,
            workflow: asked.workflow.map(|run| text("workflow", run)).transpose()?,
        };
        if !holder.is_somebody() || (holder.human.is_some() && holder.service_account.is_some()) {
            return Err("name a human or a service account, or an agent, or one of each: what is for everybody is a policy".to_owned());
        }
        if asked.scope.actions.is_empty() {
            return Err("say what may be done: an operation, or a group of them, such as `jira.issue.edit` or `write`".to_owned());
        }
        if asked.scope.within.is_empty() != asked.anywhere {
            return Err("say where it may be done: places, or that it may be anywhere".to_owned());
        }
        let (minutes, uses) = (asked.minutes.unwrap_or(MINUTES), asked.uses.unwrap_or(1));
        if minutes == 0 || minutes > MINUTES_MAX || uses == 0 || uses > USES_MAX {
            return Err(format!(
                "a grant lasts 1 to {MINUTES_MAX} minutes, and is for 1 to {USES_MAX} calls"
            ));
        }
        let now = self.now();
        let begins = asked.begins.unwrap_or(now).max(now);
        Ok(Grant {
            id: self.ambient.id(),
            holder,
            scope: self.scope(asked.scope, &[])?,
            begins,
            ends: begins.after_ms(u64::from(minutes) * 60_000),
            uses,
            reason: text("reason", asked.reason)?,
            ticket: asked.ticket.map(|ticket| text("ticket", ticket)).transpose()?,
            by: by.to_owned(),
            issued: now,
            lifts: None,
        })
    }
}
