//! What the evidence says was done, summed up by who did it. Nothing of a call is kept but its operation and where it was.

use std::collections::{BTreeMap, BTreeSet};

use callgate_model::ambient::Timestamp;
use callgate_model::caller::{
    Accountable, AccountableKind, Agent, Assurance, Caller, Client, Credential, CredentialKind,
    Identity,
};
use callgate_model::digest::Digest;
use callgate_model::json::{Json, Object};
use callgate_model::target::Resource;
use callgate_store::Row;

use super::Kind;

/// Different operations and places of one of them, and different chains; more are not told apart.
const PAIRS_MAX: usize = 2_000;
const CHAINS_MAX: usize = 50;
/// Tokens, grants, agents and clients that are told apart, of each.
const NAMES_MAX: usize = 10_000;
/// In place of a place that is not known, or of what is not told apart.
pub(super) const ELSEWHERE: &str = "elsewhere";

/// What was used, by whom.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    pub(super) credentials: BTreeMap<String, Used>,
    pub(super) grants: BTreeMap<String, Used>,
    pub(super) agents: BTreeMap<String, Used>,
    pub(super) clients: BTreeMap<String, Used>,
    humans: BTreeMap<String, Used>,
    service_accounts: BTreeMap<String, Used>,
    workflows: BTreeMap<String, Used>,
    /// People who came with something else than a token of the gateway's own.
    pub(super) people: BTreeSet<String>,
}

/// What one of them did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used {
    /// How often, by operation and place.
    pub(super) calls: BTreeMap<(String, String), u64>,
    pub(super) servers: BTreeSet<String>,
    pub(super) last: Option<Timestamp>,
    chains: BTreeMap<String, Caller>,
}

impl Usage {
    /// Takes a record into account, if it is an intent of `since` or later.
    pub(crate) fn note(&mut self, row: &Row, since: Timestamp) {
        if row.kind != "intent" || row.at < since {
            return;
        }
        let (at, event) = (row.at, &row.event());
        let field =
            |value: &Json, name: &str| value.get(name).and_then(Json::as_str).map(str::to_owned);
        let Some(caller) = event.get("caller").and_then(chain) else { return };
        let call = Call { at, event, caller: &caller };
        let credential = event.get("caller").and_then(|caller| caller.get("credential"));
        let is_own = credential.and_then(|one| field(one, "kind")).as_deref() == Some("api_token");
        if let Some(id) = credential.and_then(|one| field(one, "id")) {
            self.credentials.note(id, &call);
        }
        if let Some(id) = event.get("granted_by").and_then(|grant| field(grant, "id")) {
            self.grants.note(id, &call);
        }
        if let Some(agent) = &caller.agent {
            self.agents.note(agent.identity.to_string(), &call);
        }
        self.clients.note(caller.client.name.clone(), &call);
        self.accounts(&caller).note(caller.accountable.identity.to_string(), &call);
        let run = event.get("caller").and_then(|caller| caller.get("workflow"));
        if let Some(run) = run.and_then(|run| field(run, "run")) {
            self.workflows.note(run, &call);
        }
        if caller.accountable.kind == AccountableKind::Human
            && !is_own
            && self.people.len() < NAMES_MAX
        {
            self.people.insert(caller.accountable.identity.to_string());
        }
    }

    /// The places where anything was done.
    pub(crate) fn places(&self) -> impl Iterator<Item = Resource> {
        let all = self.clients.values().flat_map(|used| used.calls.keys());
        all.filter_map(|(_, place)| Resource::parse(place))
    }

    /// Somebody whom the configuration knows.
    pub(crate) fn know(&mut self, caller: &Caller) {
        if caller.accountable.kind == AccountableKind::Human {
            self.people.insert(caller.accountable.identity.to_string());
        }
        self.expect(caller);
    }

    /// A chain that may come.
    pub(super) fn expect(&mut self, caller: &Caller) {
        if let Some(agent) = &caller.agent {
            self.agents.entry(agent.identity.to_string()).or_default().chain(caller);
        }
        let name = caller.accountable.identity.to_string();
        self.accounts(caller).entry(name).or_default().chain(caller);
    }

    /// Every chain.
    pub(super) fn chains(&self) -> impl Iterator<Item = &Caller> {
        let accounts = self.humans.values().chain(self.service_accounts.values());
        accounts.flat_map(|used| used.chains.values())
    }

    /// Those of a kind that are links of chains.
    pub(super) const fn of(&self, kind: Kind) -> Option<&BTreeMap<String, Used>> {
        match kind {
            Kind::Agent => Some(&self.agents),
            Kind::Client => Some(&self.clients),
            Kind::Human => Some(&self.humans),
            Kind::ServiceAccount => Some(&self.service_accounts),
            Kind::Workflow => Some(&self.workflows),
            Kind::Grant | Kind::Token => None,
        }
    }

    const fn accounts(&mut self, caller: &Caller) -> &mut BTreeMap<String, Used> {
        match caller.accountable.kind {
            AccountableKind::Human => &mut self.humans,
            AccountableKind::ServiceAccount => &mut self.service_accounts,
        }
    }
}

struct Call<'a> {
    at: Timestamp,
    event: &'a Json,
    caller: &'a Caller,
}

trait Note {
    fn note(&mut self, name: String, call: &Call<'_>);
}

impl Note for BTreeMap<String, Used> {
    fn note(&mut self, name: String, call: &Call<'_>) {
        if self.len() < NAMES_MAX || self.contains_key(&name) {
            self.entry(name).or_default().note(call);
        }
    }
}

impl Used {
    fn note(&mut self, call: &Call<'_>) {
        let text = |name: &str| call.event.get(name).and_then(Json::as_str).unwrap_or_default();
        self.last = self.last.max(Some(call.at));
        self.servers.insert(text("server").to_owned());
        self.chain(call.caller);
        let Some(understood) = call.event.get("understood") else { return };
        let operation = understood.get("operation").and_then(Json::as_str).unwrap_or_default();
        let targets = understood.get("targets").and_then(Json::as_array).unwrap_or_default();
        for place in targets.iter().map(place) {
            let pair = (operation.to_owned(), place);
            let is_room = self.calls.len() < PAIRS_MAX || self.calls.contains_key(&pair);
            let pair = if is_room { pair } else { (operation.to_owned(), ELSEWHERE.to_owned()) };
            *self.calls.entry(pair).or_default() += 1;
        }
    }

    fn chain(&mut self, caller: &Caller) {
        if self.chains.len() < CHAINS_MAX {
            self.chains.entry(caller.summary()).or_insert_with(|| caller.clone());
        }
    }

    /// The chains it was in.
    pub(super) fn chains(&self) -> Vec<Caller> {
        self.chains.values().cloned().collect()
    }

    /// What was done, most often first.
    pub(crate) fn most(&self) -> Vec<(&(String, String), &u64)> {
        let mut all: Vec<_> = self.calls.iter().collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        all
    }

    /// How many calls there were.
    pub(crate) fn count(&self) -> u64 {
        self.calls.values().sum()
    }

    /// The operations, and the places that are known.
    pub(super) fn names(&self) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let operations = self.calls.keys().map(|(operation, _)| operation.as_str()).collect();
        let places = self.calls.keys().map(|(_, place)| place.as_str());
        (operations, places.filter(|place| *place != ELSEWHERE).collect())
    }

    /// Whether everything that it did was in a place that is known.
    pub(super) fn is_located(&self) -> bool {
        self.calls.keys().all(|(_, place)| place != ELSEWHERE)
    }

    pub(super) fn to_json(&self) -> Json {
        let calls = self.calls.iter().map(|((operation, place), count)| {
            Object::default()
                .with("operation", operation.as_str())
                .with("place", place.as_str())
                .with("calls", i64::try_from(*count).unwrap_or(i64::MAX))
                .into()
        });
        Json::Array(calls.collect())
    }
}

/// What contains a target: the innermost of it, or the target itself, as policies write it.
fn place(target: &Json) -> String {
    let text = |name: &str| target.get(name).and_then(Json::as_str);
    let inside = target.get("in").and_then(Json::as_array).and_then(|all| all.first());
    // `Product::Noun::id`; an id may have colons as well.
    let parts = inside.and_then(Json::as_str).map(|text| text.splitn(3, "::").collect::<Vec<_>>());
    match (parts.as_deref(), text("kind"), text("id")) {
        (Some([product, noun, id]), _, _) => format!("{product}::{noun}::\"{id}\""),
        (_, Some(kind), Some(id)) => format!("{kind}::\"{id}\""),
        (_, _, _) => ELSEWHERE.to_owned(),
    }
}

/// The chain that a record says, as far as policy asks about it.
fn chain(record: &Json) -> Option<Caller> {
    let text = |value: &Json, name: &str| value.get(name).and_then(Json::as_str).map(str::to_owned);
    let accountable = record.get("accountable")?;
    let kind = match text(accountable, "kind")?.as_str() {
        "human" => AccountableKind::Human,
        _ => AccountableKind::ServiceAccount,
    };
    let groups = accountable.get("groups").and_then(Json::as_array).unwrap_or_default();
    let assurance = Assurance::Configured;
    let agent = record.get("agent").filter(|agent| **agent != Json::Null);
    let agent = agent.and_then(|agent| {
        let identity = Identity::parse(&text(agent, "id")?);
        Some(Agent { identity, class: text(agent, "class"), assurance })
    });
    let client = record.get("client")?;
    Some(Caller {
        accountable: Accountable {
            kind,
            identity: Identity::parse(&text(accountable, "id")?),
            groups: groups.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
            assurance,
        },
        agent,
        actors: Vec::new(),
        client: Client { name: text(client, "name")?, assurance },
        credential: Credential {
            kind: CredentialKind::Opaque,
            id: None,
            digest: Digest::default(),
            issued: None,
            expires: None,
            scopes: None,
            within: None,
        },
        workflow: None,
    })
}
