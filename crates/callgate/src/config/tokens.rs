//! The section of the gateway's own tokens.

use serde::Deserialize;

use super::TokenRules;
use super::section::Reader;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTokenRules {
    days: Option<u32>,
    days_max: Option<u32>,
    idle_days: Option<u32>,
}

impl Reader {
    pub(super) fn token_rules(&mut self) -> Option<TokenRules> {
        let raw: RawTokenRules = self.optional("tokens")?;
        let rules = TokenRules {
            days: raw.days.unwrap_or(30),
            days_max: raw.days_max.unwrap_or(90),
            idle_days: raw.idle_days.unwrap_or(30),
        };
        if rules.days == 0 || rules.idle_days == 0 || rules.days > rules.days_max {
            let text = "`days` is 1 to `days_max`, and `idle_days` is not 0";
            self.problem("tokens", text, None);
            return None;
        }
        Some(rules)
    }
}
