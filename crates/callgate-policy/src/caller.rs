//! A caller as policies see them: made once, used for every call.

use std::collections::HashSet;
use std::ops::Deref;

use callgate_model::caller::{AccountableKind, Agent, Assurance, Caller};
use callgate_model::reason::Reason;
use cedar_policy::{Entity, EntityUid};

use crate::names::{CORE, uid};

/// A caller with its Cedar entities. Belongs to no bundle, so that it outlives a change of policy.
#[derive(Clone, Debug)]
pub struct PreparedCaller {
    caller: Caller,
    links: Vec<Link>,
    via: Entity,
    via_uid: EntityUid,
}

/// A link of the chain that is asked.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) role: Role,
    /// `human alice`, for people.
    pub(crate) name: String,
    pub(crate) uid: EntityUid,
    /// The groups or the class.
    pub(crate) parents: Vec<EntityUid>,
    pub(crate) entity: Entity,
    /// Whether its assurance is one that may help to allow.
    pub(crate) assured: bool,
}

/// What a link is in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Human,
    ServiceAccount,
    Agent,
    /// An earlier actor: asked only whether a guardrail forbids it.
    Actor,
}

impl PreparedCaller {
    /// Prepares `caller`.
    #[must_use]
    pub fn new(caller: Caller) -> Self {
        let via_uid = uid(&CORE.delegation, "chain");
        let via = Entity::new_no_attrs(via_uid.clone(), assured_links(&caller));
        let agent = caller.agent.iter().map(|agent| Link::agent(Role::Agent, agent));
        let actors = caller.actors.iter().map(|actor| Link::agent(Role::Actor, actor));
        let links = std::iter::once(Link::accountable(&caller)).chain(agent).chain(actors);
        Self { links: links.collect(), via, via_uid, caller }
    }

    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// The entity behind `context.via`.
    pub(crate) const fn via(&self) -> (&EntityUid, &Entity) {
        (&self.via_uid, &self.via)
    }
}

impl Deref for PreparedCaller {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl Link {
    fn accountable(caller: &Caller) -> Self {
        let accountable = &caller.accountable;
        let (role, kind, word) = match accountable.kind {
            AccountableKind::Human => (Role::Human, &CORE.user, "human"),
            AccountableKind::ServiceAccount => {
                (Role::ServiceAccount, &CORE.service_account, "service account")
            }
        };
        let id = accountable.identity.to_string();
        let parents = accountable.groups.iter().map(|group| uid(&CORE.group, group)).collect();
        Self::new(role, format!("{word} {id}"), uid(kind, &id), parents, accountable.assurance)
    }

    fn agent(role: Role, agent: &Agent) -> Self {
        let word = if role == Role::Actor { "earlier actor" } else { "agent" };
        let id = agent.identity.to_string();
        let parents = agent.class.iter().map(|class| uid(&CORE.agent_class, class)).collect();
        Self::new(role, format!("{word} {id}"), uid(&CORE.agent, &id), parents, agent.assurance)
    }

    fn new(
        role: Role,
        name: String,
        uid: EntityUid,
        parents: Vec<EntityUid>,
        assurance: Assurance,
    ) -> Self {
        let entity = Entity::new_no_attrs(uid.clone(), parents.iter().cloned().collect());
        Self { role, name, uid, parents, entity, assured: assurance.is_assured() }
    }

    /// Why a call is denied that no policy permits to this link.
    pub(crate) const fn not_permitted(&self) -> Reason {
        match self.role {
            Role::Human => Reason::HumanNotPermitted,
            Role::ServiceAccount => Reason::ServiceAccountNotPermitted,
            Role::Agent => Reason::AgentNotPermitted,
            Role::Actor => Reason::ActorForbidden,
        }
    }
}

/// What `context.via` is in. An asserted link is left out: it must not help to allow, and a forbid about it would only
/// teach a client what not to assert.
fn assured_links(caller: &Caller) -> HashSet<EntityUid> {
    let mut links = HashSet::from([uid(&CORE.credential, caller.credential.kind.as_str())]);
    if caller.client.assurance.is_assured() {
        links.insert(uid(&CORE.client, &caller.client.name));
    }
    if let Some(agent) = caller.agent.as_ref().filter(|agent| agent.assurance.is_assured()) {
        links.insert(uid(&CORE.agent, &agent.identity.to_string()));
        links.extend(agent.class.iter().map(|class| uid(&CORE.agent_class, class)));
    }
    if let Some(workflow) = caller.workflow.as_ref().filter(|run| run.assurance.is_assured()) {
        links.insert(uid(&CORE.workflow, &workflow.run));
    }
    links
}
