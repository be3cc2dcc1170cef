//! Chains as operators write them, for tokens that stand in the configuration and for decision cases.

use callgate_model::caller::{
    Accountable, AccountableKind, Agent, Assurance, Caller, Client, Credential, CredentialKind,
    Identity, Workflow,
};
use callgate_model::digest::Digest;
use serde::Deserialize;

/// A chain as an operator writes it, in the configuration and in decision cases.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainSpec {
    /// The delegating human. Either this or `service_account`.
    pub human: Option<String>,
    /// The service account that answers, if there is no human.
    pub service_account: Option<String>,
    /// The groups of the human or service account.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The agent; without one, the human uses a client directly.
    pub agent: Option<String>,
    /// The agent's class.
    pub class: Option<String>,
    /// The client software.
    #[serde(default = "unnamed")]
    pub client: String,
    /// The workflow run every call of this credential belongs to.
    pub workflow: Option<String>,
}

fn unnamed() -> String {
    "unnamed".to_owned()
}

impl ChainSpec {
    /// How an operator would write a configured caller.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        let accountable = &caller.accountable;
        let subject = Some(accountable.identity.to_string());
        let (human, service_account) = match accountable.kind {
            AccountableKind::Human => (subject, None),
            AccountableKind::ServiceAccount => (None, subject),
        };
        Self {
            human,
            service_account,
            groups: accountable.groups.clone(),
            agent: caller.agent.as_ref().map(|agent| agent.identity.to_string()),
            class: caller.agent.as_ref().and_then(|agent| agent.class.clone()),
            client: caller.client.name.clone(),
            workflow: caller.workflow.as_ref().map(|workflow| workflow.run.clone()),
        }
    }

    /// The caller who presents the token of this digest.
    ///
    /// # Errors
    /// What is missing or ambiguous in the chain.
    pub fn to_caller(&self, token: Digest) -> Result<Caller, String> {
        let (kind, subject) = match (&self.human, &self.service_account) {
            (Some(human), None) => (AccountableKind::Human, human),
            (None, Some(service)) => (AccountableKind::ServiceAccount, service),
            (None, None) => return Err("name a `human` or a `service_account`".to_owned()),
            (Some(_), Some(_)) => {
                return Err("name a `human` or a `service_account`, not both".to_owned());
            }
        };
        if self.class.is_some() && self.agent.is_none() {
            return Err("a `class` belongs to an `agent`".to_owned());
        }
        let agent = self.agent.as_ref().map(|agent| {
            Ok::<_, String>(Agent {
                identity: configured(agent)?,
                class: self.class.clone(),
                assurance: Assurance::Configured,
            })
        });
        Ok(Caller {
            accountable: Accountable {
                kind,
                identity: configured(subject)?,
                groups: self.groups.clone(),
                assurance: Assurance::Configured,
            },
            agent: agent.transpose()?,
            actors: Vec::new(),
            client: Client { name: self.client.clone(), assurance: Assurance::Configured },
            credential: Credential {
                kind: CredentialKind::StaticToken,
                digest: token,
                issued: None,
                expires: None,
                scopes: None,
                id: None,
                within: None,
            },
            workflow: self.workflow.clone().map(|run| Workflow {
                run,
                purpose: None,
                ticket: None,
                within: None,
                assurance: Assurance::Configured,
            }),
        })
    }
}

/// A configured subject has no slash: `issuer/subject` is how identities of an issuer are written.
fn configured(subject: &str) -> Result<Identity, String> {
    if subject.is_empty() || subject.contains('/') {
        return Err(format!("`{subject}` is empty or has a slash"));
    }
    Ok(Identity { issuer: None, subject: subject.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_must_be_complete() {
        let chain = |human: Option<&str>, service: Option<&str>, class: Option<&str>| {
            let spec = ChainSpec {
                human: human.map(Into::into),
                service_account: service.map(Into::into),
                class: class.map(Into::into),
                ..ChainSpec::default()
            };
            spec.to_caller(Digest::default()).is_ok()
        };
        assert!(chain(Some("a"), None, None) && chain(None, Some("ci"), None));
        assert!(!chain(None, None, None) && !chain(Some("a"), Some("ci"), None));
        assert!(!chain(Some("okta/a"), None, None) && !chain(Some("a"), None, Some("x")));
    }
}
