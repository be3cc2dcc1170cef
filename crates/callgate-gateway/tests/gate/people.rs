//! The callers of the tests. Each one's credential is its name here.

use callgate_gateway::identity::ChainSpec;
use callgate_model::ambient::Timestamp;
use callgate_model::caller::{Agent, Assurance, Caller, Identity};
use callgate_model::digest::Digest;

use crate::store::STARTED_MS;

/// How long one credential is good.
const BRIEFLY_MS: i64 = 1_000;

/// Name, human or service account, its group, agent and the agent's class; what is empty is not there.
const CALLERS: &[(&str, &str, &str, &str, &str)] = &[
    ("alice", "alice", "engineering", "", ""),
    ("alice-release", "alice", "engineering", "release-bot", "automation"),
    ("alice-triage", "alice", "engineering", "triage-bot", "assistant"),
    ("bob-release", "bob", "support", "release-bot", "automation"),
    ("bob", "bob", "support", "", ""),
    ("alice-lead", "alice", "leads", "", ""),
    ("alyce-lead", "alyce", "leads", "", ""),
    ("carol-lead", "carol", "leads", "", ""),
    ("dave-lead", "dave", "leads", "", ""),
    ("carol-bot", "carol", "leads", "release-bot", "automation"),
    ("robot-lead", "service:robot", "leads", "", ""),
    ("nobody", "mallory", "", "", ""),
    ("ci", "service:ci", "engineering", "", ""),
    ("cron", "service:cron", "", "", ""),
];

/// Everybody, and those whom no configuration makes: what is asserted, and who came through an earlier actor.
pub(crate) fn everybody() -> Vec<Caller> {
    let named = CALLERS.iter().map(|(name, who, group, agent, class)| {
        chain(who, group, agent, class).to_caller(Digest::of(name.as_bytes())).unwrap()
    });
    let mut all: Vec<Caller> = named.collect();
    let other = |token: &str| {
        let spec = chain("alice", "engineering", "release-bot", "automation");
        spec.to_caller(Digest::of(token.as_bytes())).unwrap()
    };
    let mut agent = other("alice-asserted");
    agent.agent.as_mut().unwrap().assurance = Assurance::Asserted;
    let mut human = other("asserted-human");
    human.accountable.assurance = Assurance::Asserted;
    let mut forwarded = other("alice-through-scout");
    forwarded.actors.push(Agent {
        identity: Identity { issuer: None, subject: "scout".to_owned() },
        class: None,
        assurance: Assurance::Configured,
    });
    let mut brief = other("alice-briefly");
    brief.credential.expires = Some(Timestamp::from_unix_ms(STARTED_MS + BRIEFLY_MS));
    all.extend([agent, human, forwarded, brief]);
    all
}

/// The chain of these links; what is empty is not there.
pub(crate) fn chain(who: &str, group: &str, agent: &str, class: &str) -> ChainSpec {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let service = who.strip_prefix("service:").map(str::to_owned);
    ChainSpec {
        human: if service.is_none() { some(who) } else { None },
        service_account: service,
        groups: some(group).into_iter().collect(),
        agent: some(agent),
        class: some(class),
        client: "tests".to_owned(),
        workflow: None,
    }
}
