//! Who is asking: from a credential to a caller. There is no default identity, and no way in without a credential,
//! unless the operator says so with a `danger_` setting.

use std::collections::HashMap;
use std::sync::Arc;

use callgate_mcp::http::HeaderMap;
use callgate_model::ambient::Timestamp;
use callgate_model::caller::{
    Accountable, AccountableKind, Agent, Assurance, Caller, Client, Credential, CredentialKind,
    Identity, Workflow,
};
use callgate_model::digest::Digest;
use callgate_model::evidence::CallerRecord;
use callgate_model::reason::Reason;
use callgate_policy::PreparedCaller;
use serde::Deserialize;

/// A caller whose credential was accepted, with what every one of its calls needs.
#[derive(Debug)]
pub struct Identified {
    /// The chain, ready for the policy.
    pub caller: PreparedCaller,
    /// The chain, ready for the record.
    pub record: Arc<CallerRecord>,
    /// Tells callers apart: sessions and upstream sessions are bound to it.
    pub key: Digest,
    /// When the credential ends, if that is known.
    pub expires: Option<Timestamp>,
}

impl Identified {
    /// A caller whose credential has been accepted.
    #[must_use]
    pub fn new(caller: Caller) -> Self {
        let record = Arc::new(CallerRecord::new(&caller));
        let (key, expires) = (caller.credential.digest, caller.credential.expires);
        Self { caller: PreparedCaller::new(caller), record, key, expires }
    }
}

/// The credentials this gateway accepts.
#[derive(Debug, Default)]
pub struct Identities {
    by_token: HashMap<Digest, Arc<Identified>>,
    anonymous: Option<Arc<Identified>>,
}

impl Identities {
    /// Static development tokens. Each chain's `credential.digest` is the SHA-256 of its token.
    #[must_use]
    pub fn new(chains: Vec<Caller>) -> Self {
        let identified = chains.into_iter().map(Identified::new);
        let by_token = identified.map(|caller| (caller.key, Arc::new(caller))).collect();
        Self { by_token, anonymous: None }
    }

    /// Requests without any credential are taken for those of the one who holds the token of this digest: for test
    /// programs that can send none.
    #[must_use]
    pub fn with_danger_anonymous(mut self, token: Digest) -> Self {
        self.anonymous = self.by_token.get(&token).cloned();
        self
    }

    /// The caller who presents these headers at `now`.
    ///
    /// The token is compared by its digest, so the time taken says nothing about how much of it was right.
    ///
    /// A credential that is there must be right, also if there need not be one.
    ///
    /// # Errors
    /// [`Reason::Unauthenticated`] for anything but one valid bearer token (RFC 6750 §2.1) that has not ended.
    pub fn identify(&self, headers: &HeaderMap, now: Timestamp) -> Result<Arc<Identified>, Reason> {
        let found = self.presented(headers)?;
        let ended = found.expires.is_some_and(|expires| expires <= now);
        (!ended).then_some(found).ok_or(Reason::Unauthenticated)
    }

    fn presented(&self, headers: &HeaderMap) -> Result<Arc<Identified>, Reason> {
        let mut presented = headers.get_all("authorization").iter();
        let header = match (presented.next(), presented.next()) {
            (Some(header), None) => header,
            (None, _) => return self.anonymous.clone().ok_or(Reason::Unauthenticated),
            (Some(_), Some(_)) => return Err(Reason::Unauthenticated),
        };
        let token = header
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim_matches(' '))
            .filter(|token| !token.is_empty())
            .ok_or(Reason::Unauthenticated)?;
        self.by_token.get(&Digest::of(token.as_bytes())).cloned().ok_or(Reason::Unauthenticated)
    }
}

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
            },
            workflow: self
                .workflow
                .clone()
                .map(|run| Workflow { run, assurance: Assurance::Configured }),
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

    const WRONG: [&[&str]; 8] = [
        &[""],
        &["Bearer wrong"],
        &["right"],
        &["Basic right"],
        &["Bearer "],
        &["Bearer right right"],
        &["Bearer right", "Bearer right"],
        &["Bearer right", "Bearer wrong"],
    ];

    fn identities() -> Identities {
        let chain = |human: &str, token: &[u8]| {
            let spec = ChainSpec { human: Some(human.into()), ..ChainSpec::default() };
            spec.to_caller(Digest::of(token)).unwrap()
        };
        Identities::new(vec![chain("alice", b"right"), chain("bob", b"also right")])
    }

    fn identify(identities: &Identities, values: &[&str]) -> Option<Digest> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("authorization", value.parse().unwrap());
        }
        Some(identities.identify(&headers, Timestamp::default()).ok()?.key)
    }

    #[test]
    fn i5_only_one_valid_bearer_token_is_a_credential() {
        let identities = identities();
        for right in ["Bearer right", "bearer right"] {
            assert_eq!(identify(&identities, &[right]), Some(Digest::of(b"right")));
        }
        for refused in WRONG.into_iter().chain([&[][..]]) {
            assert_eq!(identify(&identities, refused), None, "{refused:?}");
        }
    }

    #[test]
    fn i5_a_wrong_credential_is_refused_even_if_none_is_needed() {
        let lax = identities().with_danger_anonymous(Digest::of(b"right"));
        assert_eq!(identify(&lax, &[]), Some(Digest::of(b"right")));
        assert_eq!(identify(&lax, &["Bearer also right"]), Some(Digest::of(b"also right")));
        for refused in WRONG {
            assert_eq!(identify(&lax, refused), None, "{refused:?}");
        }
        let unknown = identities().with_danger_anonymous(Digest::of(b"unknown"));
        assert_eq!(identify(&unknown, &[]), None, "no such token, nobody to be");
    }

    #[test]
    fn i5_a_credential_that_has_ended_is_none() {
        let spec = ChainSpec { human: Some("alice".into()), ..ChainSpec::default() };
        let mut caller = spec.to_caller(Digest::of(b"right")).unwrap();
        caller.credential.expires = Some(Timestamp::from_unix_ms(1000));
        let identities = Identities::new(vec![caller]);
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer right".parse().unwrap());
        for (ms, accepted) in [(999, true), (1000, false), (1001, false)] {
            let found = identities.identify(&headers, Timestamp::from_unix_ms(ms));
            assert_eq!(found.is_ok(), accepted, "{ms}");
        }
    }

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
