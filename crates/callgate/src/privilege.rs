//! Who may do what, and what they did: for each token, grant, agent and client, what policy could let it do, what the evidence
//! says it used, and how it could have less.

mod finding;
mod gather;
mod matrix;
mod narrow;
mod reach;
mod table;
mod usage;

use std::collections::{BTreeMap, BTreeSet};

use callgate_model::ambient::{DAY_MS, Timestamp};
use callgate_model::authority::{Revocation, Subject, SubjectKind, UpstreamSecret};
use callgate_model::caller::Caller;
use callgate_model::digest::Digest;
use callgate_model::json::{Json, Object};
use callgate_store::{GrantState, TokenState};

pub(crate) use finding::Finding;
pub(crate) use gather::{Configured, Span};
pub(crate) use matrix::Cell;
pub(crate) use reach::{Asking, Reach};
pub(crate) use usage::{Usage, Used};

/// What a report is made of.
pub(crate) struct Known {
    pub(crate) now: Timestamp,
    pub(crate) days: u32,
    pub(crate) asking: Asking,
    pub(crate) usage: Usage,
    pub(crate) tokens: Vec<TokenState>,
    pub(crate) grants: Vec<GrantState>,
    pub(crate) revocations: Vec<Revocation>,
    pub(crate) secrets: Vec<UpstreamSecret>,
    /// Agents and clients that the configuration names.
    pub(crate) registered: BTreeSet<String>,
    /// Files of secrets, and when each was last written.
    pub(crate) files: Vec<(String, Option<Timestamp>)>,
}

/// A kind of what has authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Agent,
    Client,
    Grant,
    Human,
    ServiceAccount,
    Token,
    Workflow,
}

/// One thing that has authority.
#[derive(Debug)]
pub(crate) struct Holding {
    /// The name of a [`Kind`].
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) owner: Option<String>,
    pub(crate) made: Option<Timestamp>,
    pub(crate) ends: Option<Timestamp>,
    pub(crate) used: Option<Timestamp>,
    pub(crate) reach: Reach,
    pub(crate) usage: Used,
    pub(crate) findings: Vec<Finding>,
    /// What would narrow it: a command, or a policy.
    pub(crate) narrowing: Option<String>,
}

/// All of them, those with most to say first, and what is true of none of them alone.
pub(crate) struct Report {
    pub(crate) holdings: Vec<Holding>,
    pub(crate) findings: Vec<Finding>,
}

impl Known {
    pub(crate) fn report(&self) -> Report {
        let mut holdings: Vec<Holding> = self.tokens.iter().map(|one| self.token(one)).collect();
        holdings.extend(self.grants.iter().map(|one| self.grant(one)));
        holdings
            .extend(self.usage.agents.iter().map(|(name, used)| self.actor("agent", name, used)));
        holdings
            .extend(self.usage.clients.iter().map(|(name, used)| self.actor("client", name, used)));
        holdings.sort_by_key(|one| std::cmp::Reverse(one.findings.len()));
        Report { holdings, findings: self.of_secrets() }
    }

    /// All of a kind: the id of each, and its name.
    pub(crate) fn names(&self, kind: Kind) -> Vec<(String, String)> {
        let tokens =
            || self.tokens.iter().map(|one| (one.token.id.to_string(), one.token.name.clone()));
        let grants =
            || self.grants.iter().map(|one| (one.grant.id.to_string(), one.grant.reason.clone()));
        match kind {
            Kind::Token => tokens().collect(),
            Kind::Grant => grants().collect(),
            Kind::Agent | Kind::Client | Kind::Human | Kind::ServiceAccount | Kind::Workflow => {
                let used = self.usage.of(kind).into_iter().flatten();
                used.map(|(name, _)| (name.clone(), name.clone())).collect()
            }
        }
    }

    /// Every chain that came or may come, by a key that is the same every time.
    pub(crate) fn chains(&self) -> Vec<(String, Caller)> {
        let key = |chain: &Caller| {
            let agent = chain.agent.as_ref().and_then(|agent| agent.class.clone());
            let client = chain.client.name.as_str();
            let all = Object::default()
                .with("kind", chain.accountable.kind.as_str())
                .with("summary", chain.summary())
                .with("class", agent)
                .with("client", client);
            Digest::of_object(&all).to_string().chars().take(16).collect::<String>()
        };
        let mut chains: Vec<_> =
            self.usage.chains().map(|chain| (key(chain), chain.clone())).collect();
        chains.sort_by_key(|(_, chain)| chain.summary());
        chains
    }

    /// Whether somebody of `chain` is let in no more, whatever credential they come with.
    pub(crate) fn is_revoked(&self, chain: &Caller) -> bool {
        let all = Subject::all_of(chain);
        let ends = |one: &Revocation| one.issued_before.is_none() && all.contains(&one.subject);
        self.revocations.iter().any(ends)
    }

    /// The one of that id.
    pub(crate) fn holding(&self, kind: Kind, id: &str) -> Option<Holding> {
        match kind {
            Kind::Token => self
                .tokens
                .iter()
                .find(|one| one.token.id.to_string() == id)
                .map(|one| self.token(one)),
            Kind::Grant => self
                .grants
                .iter()
                .find(|one| one.grant.id.to_string() == id)
                .map(|one| self.grant(one)),
            Kind::Agent | Kind::Client => {
                Some(self.actor(kind.as_str(), id, self.usage.of(kind)?.get(id)?))
            }
            Kind::Human | Kind::ServiceAccount | Kind::Workflow => {
                Some(self.party(kind.as_str(), id, self.usage.of(kind)?.get(id)?))
            }
        }
    }

    fn token(&self, state: &TokenState) -> Holding {
        let token = &state.token;
        let usage = self.usage.credentials.get(&token.id.to_string()).cloned().unwrap_or_default();
        let reach = self.asking.reach(&[token.caller()], &token.scope.servers, self.now);
        let used = state.used.max(usage.last);
        let mut findings = Vec::new();
        let is_owner = |one: &Revocation| {
            one.subject.kind == SubjectKind::Human && one.subject.name == token.owner
        };
        if self.revocations.iter().any(is_owner) {
            findings.push(Finding::new("NHI1", "its owner is revoked"));
        } else if !self.usage.people.contains(&token.owner) {
            let text = "nobody of its owner's name was seen beside tokens: is there somebody who answers for it?";
            findings.push(Finding::new("NHI1", text));
        }
        let idle_days = self.now.ms_since(used.unwrap_or(token.issued)) / DAY_MS;
        if idle_days >= u64::from(self.days) {
            findings.push(Finding::new("NHI5", format!("not used for {idle_days} days")));
        } else if used.is_none() {
            findings.push(Finding::new("NHI5", "not used yet"));
        } else if reach.exceeds(&usage) {
            findings.push(Finding::new("NHI5", "it may do more than it did"));
        }
        if state.ends.ms_since(self.now) < 7 * DAY_MS {
            findings.push(Finding::new("NHI7", "it ends within 7 days: rotate it, or let it end"));
        }
        let is_wide = used.is_none() || reach.exceeds(&usage);
        let narrowing = narrow::token(token, &usage, used.is_some()).filter(|_| is_wide);
        Holding {
            kind: "token",
            id: token.id.to_string(),
            name: token.name.clone(),
            owner: Some(token.owner.clone()),
            made: Some(token.issued),
            ends: Some(state.ends),
            used,
            reach,
            usage,
            findings,
            narrowing,
        }
    }

    fn grant(&self, state: &GrantState) -> Holding {
        let grant = &state.grant;
        let usage = self.usage.grants.get(&grant.id.to_string()).cloned().unwrap_or_default();
        let mut findings = Vec::new();
        if state.left == grant.uses {
            findings.push(Finding::new("NHI5", "not used yet"));
        }
        if grant.scope.within.is_empty() {
            findings.push(Finding::new("NHI5", "it is for anywhere"));
        }
        let is_idle = state.left == grant.uses;
        Holding {
            kind: "grant",
            id: grant.id.to_string(),
            name: grant.reason.clone(),
            owner: Some(grant.by.clone()),
            made: Some(grant.issued),
            ends: Some(grant.ends),
            used: usage.last,
            reach: Reach::of_portion(&grant.scope),
            usage,
            findings,
            narrowing: is_idle.then(|| format!("callgate grant revoke {}", grant.id)),
        }
    }

    fn actor(&self, kind: &'static str, name: &str, used: &Used) -> Holding {
        let mut party = self.party(kind, name, used);
        let is_of_token = self.tokens.iter().any(|state| state.token.agent == name);
        if !self.registered.contains(name) && !is_of_token {
            let text = "nobody registered it: it is in no `agents` of an issuer, and has no token";
            party.findings.insert(0, Finding::new("NHI3", text));
        }
        let is_wide = party.reach.exceeds(used);
        party.narrowing = (kind == "agent" && is_wide).then(|| narrow::agent(name, used)).flatten();
        party
    }

    /// Whoever or whatever is a link of chains.
    fn party(&self, kind: &'static str, name: &str, used: &Used) -> Holding {
        let reach = self.asking.reach(&used.chains(), &BTreeSet::new(), self.now);
        let mut findings = Vec::new();
        if reach.exceeds(used) {
            findings.push(Finding::new("NHI5", "it may do more than it did"));
        }
        Holding {
            kind,
            id: name.to_owned(),
            name: name.to_owned(),
            owner: None,
            made: None,
            ends: None,
            used: used.last,
            reach,
            usage: used.clone(),
            findings,
            narrowing: None,
        }
    }

    /// What servers are called with, and how old that is.
    fn of_secrets(&self) -> Vec<Finding> {
        let old = |at: Timestamp| self.now.ms_since(at) > 90 * DAY_MS;
        let personal = self.secrets.iter().filter(|secret| old(secret.set)).map(|secret| {
            let (server, holder) = (&secret.owner.server, &secret.owner.holder);
            Finding::new(
                "NHI7",
                format!("the secret of {holder} for {server} was set {}", secret.set),
            )
        });
        let files = self.files.iter().filter_map(|(name, at)| match at {
            Some(at) if old(*at) => {
                Some(Finding::new("NHI7", format!("{name} was last written {at}: replace it")))
            }
            Some(_) => None,
            None => Some(Finding::new("NHI7", format!("{name}: how old it is cannot be told"))),
        });
        personal.chain(files).collect()
    }
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Human,
        Self::ServiceAccount,
        Self::Agent,
        Self::Client,
        Self::Token,
        Self::Grant,
        Self::Workflow,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Client => "client",
            Self::Grant => "grant",
            Self::Human => "human",
            Self::ServiceAccount => "service_account",
            Self::Token => "token",
            Self::Workflow => "workflow",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// As something that can be let in no more; a token or a grant is taken back instead.
    pub(crate) const fn subject(self) -> Option<SubjectKind> {
        match self {
            Self::Agent => Some(SubjectKind::Agent),
            Self::Client => Some(SubjectKind::Client),
            Self::Human => Some(SubjectKind::Human),
            Self::ServiceAccount => Some(SubjectKind::ServiceAccount),
            Self::Workflow => Some(SubjectKind::Workflow),
            Self::Grant | Self::Token => None,
        }
    }
}

impl Holding {
    pub(crate) fn to_json(&self) -> Object {
        let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let findings: Vec<Json> = self.findings.iter().map(Finding::to_json).collect();
        Object::default()
            .with("kind", self.kind)
            .with("id", self.id.as_str())
            .with("name", self.name.as_str())
            .with("owner", self.owner.clone())
            .with("made", at(self.made))
            .with("ends", at(self.ends))
            .with("used", at(self.used))
            .with("may", self.reach.to_json())
            .with("did", self.usage.to_json())
            .with("findings", findings)
            .with("narrowing", self.narrowing.clone())
    }

    /// Operations and places, each with whether it may (`yes`, `approval` with one only) and how often it did.
    pub(crate) fn rows(&self) -> Vec<[String; 4]> {
        let mut rows: BTreeMap<(String, String), (&'static str, u64)> = BTreeMap::new();
        for (place, operations) in &self.reach.places {
            let gated = self.reach.gated.get(place);
            for operation in operations {
                let is_gated = gated.is_some_and(|gated| gated.contains(operation));
                let may = if is_gated { "approval" } else { "yes" };
                rows.entry((operation.clone(), place.clone())).or_default().0 = may;
            }
        }
        for ((operation, place), count) in &self.usage.calls {
            rows.entry((operation.clone(), place.clone())).or_default().1 += count;
        }
        let row = |((operation, place), (may, did)): ((String, String), (&str, u64))| {
            [operation, place, may.to_owned(), did.to_string()]
        };
        rows.into_iter().map(row).collect()
    }
}

/// People of these names, whom no policy permits anything.
#[cfg(test)]
pub(crate) fn sample(people: impl Iterator<Item = String>) -> Known {
    use std::sync::Arc;

    use callgate_gateway::identity::ChainSpec;
    use callgate_model::vocabulary::Vocabulary;

    let vocabulary = Vocabulary::default();
    let bundle = callgate_policy::Bundle::load(&vocabulary, &[]).unwrap();
    let mut usage = Usage::default();
    for name in people {
        let client = "x".to_owned();
        let chain = ChainSpec { human: Some(name), client, ..ChainSpec::default() };
        usage.know(&chain.to_caller(Digest::default()).unwrap());
    }
    let rules = (Arc::new(bundle), Arc::new(vocabulary));
    Known {
        now: Timestamp::from_unix_ms(1_795_600_000_000),
        days: 30,
        asking: Asking::new(rules, BTreeSet::new(), BTreeSet::new()),
        usage,
        tokens: Vec::new(),
        grants: Vec::new(),
        revocations: Vec::new(),
        secrets: Vec::new(),
        registered: BTreeSet::new(),
        files: Vec::new(),
    }
}
