//! Tokens that are asked for.

use callgate_model::ambient::{DAY_MS, Timestamp};
use callgate_model::authority::{ApiToken, Secret};
use callgate_model::vocabulary::Effect;
use callgate_store::TokenState;
use ipnet::IpNet;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Desk, NewScope, bounded, text};

/// How long a token that is rotated stays good, if nothing else is said, and at most, in hours.
const OVERLAP_H: u32 = 24;
const OVERLAP_H_MAX: u32 = 24 * 14;

/// A token that is asked for.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewToken {
    /// What people call it.
    pub(crate) name: String,
    /// The person who answers for it.
    pub(crate) owner: String,
    /// Who is accountable in place of the owner.
    pub(crate) service_account: Option<String>,
    /// The groups of whoever is accountable.
    pub(crate) groups: Vec<String>,
    /// The agent that gets it.
    pub(crate) agent: String,
    /// The agent's class.
    pub(crate) class: Option<String>,
    /// What it is for; anything that policy permits, if nothing is said.
    pub(crate) scope: NewScope,
    /// Where it may come from.
    pub(crate) networks: Vec<String>,
    /// How many days it lasts.
    pub(crate) days: Option<u32>,
    /// After how many days without a use it is good no more.
    pub(crate) idle_days: Option<u32>,
}

impl Desk {
    /// A new token, and its text.
    pub(crate) fn token(&self, asked: NewToken) -> Result<(ApiToken, Secret), String> {
        let days = asked.days.unwrap_or(self.rules.days);
        let most = self.rules.days_max;
        if days == 0 || days > most {
            return Err(format!("a token lasts 1 to {most} days (`tokens.days_max`)"));
        }
        let idle_days = asked.idle_days.unwrap_or(self.rules.idle_days);
        if idle_days == 0 {
            return Err("it could never be used: `idle_days` is more than 0".to_owned());
        }
        bounded("groups", &asked.groups)?;
        bounded("networks", &asked.networks)?;
        if let Some(bad) = asked.networks.iter().find(|text| text.parse::<IpNet>().is_err()) {
            return Err(format!("`{bad}` is no network; write `10.0.0.0/8`, or `192.0.2.7/32`"));
        }
        let (id, now) = (self.ambient.id(), self.now());
        let secret = Secret::new(id, [self.ambient.random(), self.ambient.random()]);
        let groups = asked.groups.into_iter().map(|group| self.name("group", group));
        let token = ApiToken {
            id,
            name: text("name", asked.name)?,
            digest: secret.digest(),
            owner: self.name("owner", asked.owner)?,
            service_account: self.optional_name("service account", asked.service_account)?,
            groups: groups.collect::<Result<_, _>>()?,
            agent: self.name("agent", asked.agent)?,
            class: asked.class.map(|class| text("class", class)).transpose()?,
            scope: self.scope(asked.scope, Effect::ALL)?,
            networks: asked.networks,
            issued: now,
            ends: now.after_ms(u64::from(days) * DAY_MS),
            idle_s: Some(u64::from(idle_days) * DAY_MS / 1000),
            replaces: None,
            first: id,
        };
        Ok((token, secret))
    }

    /// Another one in place of `old`, for as long as that was for, and its text. The old one stays good for a while.
    pub(crate) fn rotation(
        &self,
        old: TokenState,
        overlap_hours: Option<u32>,
    ) -> Result<(ApiToken, Timestamp, Secret), String> {
        let hours = overlap_hours.unwrap_or(OVERLAP_H);
        if hours > OVERLAP_H_MAX {
            return Err(format!("the old one stays good for at most {OVERLAP_H_MAX} hours"));
        }
        let (id, now) = (self.ambient.id(), self.now());
        if old.revoked.is_some() || old.ends <= now {
            return Err("it is not in force any more; make another one".to_owned());
        }
        let secret = Secret::new(id, [self.ambient.random(), self.ambient.random()]);
        let most = u64::from(self.rules.days_max) * DAY_MS;
        let token = ApiToken {
            id,
            digest: secret.digest(),
            issued: now,
            ends: now.after_ms(old.token.ends.ms_since(old.token.issued).min(most)),
            replaces: Some(old.token.id),
            ..old.token
        };
        let old_ends = old.ends.min(now.after_ms(u64::from(hours) * 60 * 60 * 1000));
        Ok((token, old_ends, secret))
    }
}
