//! Where authority is given and taken back: what is asked for becomes a change, or is refused with what would do. The command
//! line and the API both come here, so that neither can ask for more than the other.

mod grant;
mod revocation;
mod token;
mod workflow;

use std::collections::BTreeSet;
use std::sync::Arc;

use callgate_gateway::identity::Issuer;
use callgate_model::ambient::{Ambient, Timestamp};
use callgate_model::authority::LOCAL;
use callgate_model::envelope::Portion;
use callgate_model::products::gateway;
use callgate_model::target::Resource;
use callgate_model::vocabulary::{Effect, Risk, Vocabulary};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use grant::NewGrant;
pub(crate) use revocation::NewRevocation;
pub(crate) use token::NewToken;
pub(crate) use workflow::NewWorkflow;

use crate::config::{Config, TokenRules};

/// Longest name, reason or ticket, in characters.
const TEXT_MAX: usize = 200;
/// Names, places or networks in one list.
const LIST_MAX: usize = 100;

/// What is known here, and what may be asked for.
pub(crate) struct Desk {
    rules: TokenRules,
    servers: BTreeSet<String>,
    issuers: BTreeSet<String>,
    actions: BTreeSet<String>,
    kinds: BTreeSet<String>,
    ambient: Arc<dyn Ambient>,
}

/// What a token or a grant is to be for.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewScope {
    /// Servers; all of them, if there are none.
    pub(crate) servers: Vec<String>,
    /// Operations, or groups of them.
    pub(crate) actions: Vec<String>,
    /// Places: `Jira::Project::"acme/ENG"`.
    pub(crate) within: Vec<String>,
    /// The highest risk.
    pub(crate) risk_max: Option<String>,
}

impl Desk {
    pub(crate) fn new(config: &Config, vocabulary: &Vocabulary, ambient: Arc<dyn Ambient>) -> Self {
        // The gateway itself is one of them: a token can be for its API.
        let servers = config.servers.keys().cloned().chain([gateway::NAME.to_owned()]);
        // Those who come by links are named as if one knew them.
        let issuers = config.issuers.iter().map(Issuer::name).chain([LOCAL]);
        Self {
            rules: config.token_rules,
            servers: servers.collect(),
            issuers: issuers.map(str::to_owned).collect(),
            actions: known_actions(vocabulary),
            kinds: vocabulary.target_kinds.keys().cloned().collect(),
            ambient,
        }
    }

    fn now(&self) -> Timestamp {
        self.ambient.now()
    }

    /// The part of everything that is asked for; of nothing is said, anything that `otherwise` has.
    fn scope(&self, asked: NewScope, otherwise: &[Effect]) -> Result<Portion, String> {
        let NewScope { servers, actions, within, risk_max } = asked;
        bounded("servers", &servers)?;
        bounded("actions", &actions)?;
        bounded("places", &within)?;
        if let Some(other) = servers.iter().find(|name| !self.servers.contains(*name)) {
            let known = self.servers.iter().cloned().collect::<Vec<_>>().join(", ");
            return Err(format!("no server is called `{other}`; there are: {known}"));
        }
        let mut actions: BTreeSet<String> = actions.into_iter().collect();
        if actions.is_empty() {
            actions.extend(otherwise.iter().map(|effect| effect.as_str().to_owned()));
        }
        for action in &actions {
            self.action(action)?;
        }
        let within: BTreeSet<Resource> =
            within.iter().map(|text| self.place(text)).collect::<Result<_, _>>()?;
        let risk_max = risk_max.map(|name| {
            let all = "low, medium, high, critical";
            Risk::parse(&name).ok_or(format!("`{name}` is no risk; there are: {all}"))
        });
        let risk_max = risk_max.transpose()?;
        Ok(Portion { servers: servers.into_iter().collect(), actions, within, risk_max })
    }

    fn action(&self, action: &str) -> Result<(), String> {
        // Of a risk that is raised, it would cover more (I9).
        if action.starts_with("risk.from.") {
            return Err(format!("`{action}` is for forbids; say `risk_max` for the highest risk"));
        }
        if self.actions.contains(action) {
            return Ok(());
        }
        Err(format!(
            "no catalog knows the operation `{action}`; `callgate policy schema` prints every name"
        ))
    }

    fn place(&self, text: &str) -> Result<Resource, String> {
        let place = Resource::parse(text).ok_or(format!(
            "`{text}` is no place; write it as policies do: Jira::Project::\"acme/ENG\""
        ))?;
        if self.kinds.contains(place.kind.as_str()) {
            return Ok(place);
        }
        Err(format!(
            "no catalog knows the kind `{}`; `callgate policy schema` prints every name",
            place.kind
        ))
    }

    /// A name as policies write it: that of an issuer's identity has the issuer before a slash.
    fn name(&self, what: &str, name: String) -> Result<String, String> {
        let name = text(what, name)?;
        match name.split_once('/') {
            Some((issuer, subject)) if !self.issuers.contains(issuer) || subject.is_empty() => {
                Err(format!(
                    "{what}: no issuer is called `{issuer}`, and only names of issuers have a slash"
                ))
            }
            Some(_) | None => Ok(name),
        }
    }

    fn optional_name(&self, what: &str, name: Option<String>) -> Result<Option<String>, String> {
        name.map(|name| self.name(what, name)).transpose()
    }
}

/// Every name of an operation, or of a group of operations, that anything is in.
pub(crate) fn known_actions(vocabulary: &Vocabulary) -> BTreeSet<String> {
    let operations = vocabulary.operations.values();
    let names = operations.flat_map(|operation| {
        operation.groups(operation.risk).into_iter().chain([operation.name.clone()])
    });
    names.collect()
}

fn text(what: &str, text: String) -> Result<String, String> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > TEXT_MAX || text.chars().any(char::is_control) {
        return Err(format!(
            "{what}: 1 to {TEXT_MAX} characters, none of which are control characters"
        ));
    }
    Ok(text)
}

fn bounded<T>(what: &str, list: &[T]) -> Result<(), String> {
    if list.len() <= LIST_MAX {
        return Ok(());
    }
    Err(format!("{what}: at most {LIST_MAX}"))
}

#[cfg(test)]
mod tests;
