//! Grants: authority for a while and so many uses, in place of authority that stands.

use serde::{Deserialize, Serialize};

use crate::ambient::{Id, Timestamp};
use crate::approval::{ApprovalState, Asker};
use crate::call::ToolCall;
use crate::caller::{AccountableKind, Caller};
use crate::digest::Digest;
use crate::envelope::{Action, Portion};
use crate::json::Json;
use crate::reason::Reason;
use crate::target::{Located, Resource, Target};
use crate::vocabulary::Risk;

/// Whose calls a grant is for: of each link that is named, exactly this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The person.
    pub human: Option<String>,
    /// The service account, if there is no person.
    pub service_account: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The client software.
    pub client: Option<String>,
    /// The workflow run.
    pub workflow: Option<String>,
}

/// Authority that ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Its id.
    pub id: Id,
    /// Whose calls it is for.
    pub holder: Holder,
    /// What they may do, where.
    pub scope: Portion,
    /// When it begins.
    pub begins: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
    /// For how many calls it is.
    pub uses: u32,
    /// Why it was given.
    pub reason: String,
    /// The ticket that asks for it.
    pub ticket: Option<String>,
    /// Who gave it.
    pub by: String,
    /// When it was given.
    pub issued: Timestamp,
    /// What it lets through without asking again, if it was given with an approval. Policies do not see such a grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifts: Option<Box<Lifts>>,
}

/// What a grant lets through that was given with an approval: calls of one tool past the gates that somebody has let one of
/// them through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifts {
    /// The approval.
    pub approval: Id,
    /// Who approved it. It lifts nothing any more once one of them is let in no more.
    pub approvers: Vec<String>,
    /// The policies of the gates.
    pub policies: Vec<String>,
    /// The policies under which that was said. Under others it lifts nothing.
    pub bundle: Digest,
    /// The tool.
    pub tool: String,
    /// The tool's definition.
    pub definition: Option<Digest>,
    /// Whose calls: exactly this chain.
    pub asker: Asker,
}

/// What a call is made under, because policy does not allow it without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Under {
    /// The grant.
    pub grant: Option<Use>,
    /// The approval; of a refusal, the one that is waited for.
    pub approval: Option<Use>,
    /// What that approval binds, once the call is let through by it: what this call is.
    pub binding: Option<Digest>,
    /// Whether the approval is no approval, but glass that somebody broke.
    pub by_glass: bool,
    /// The call that took the approval before, if this one goes on with it.
    pub after: Option<Id>,
}

/// A grant or an approval that a call is made under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Which.
    pub id: Id,
    /// Whether the call takes a use of it. What goes on with a call that did, takes no other.
    pub spends: bool,
}

impl Under {
    /// Why a call is refused whose use could not be taken any more.
    #[must_use]
    pub const fn lost(&self) -> Reason {
        match self.approval {
            Some(Use { spends: true, .. }) => Reason::ApprovalSpent,
            Some(_) | None => Reason::GrantSpent,
        }
    }

    /// Whether the call takes a use of anything.
    #[must_use]
    pub fn spends(&self) -> bool {
        [self.grant, self.approval].into_iter().flatten().any(|one| one.spends)
    }
}

impl Lifts {
    /// Whether it lets `call` of `asker` through, under the policies of `bundle`: whatever its arguments are, it is one of those
    /// that were granted.
    #[must_use]
    pub fn covers(&self, asker: &Asker, call: &ToolCall, bundle: Digest) -> bool {
        self.bundle == bundle
            && self.tool == call.tool
            && self.definition == call.definition
            && self.asker.is_same_chain(asker)
    }
}

impl Holder {
    /// Whether it names a person, a service account or an agent, as it must: a grant for everybody is a policy.
    #[must_use]
    pub const fn is_somebody(&self) -> bool {
        self.human.is_some() || self.service_account.is_some() || self.agent.is_some()
    }

    /// By which a store finds it.
    #[must_use]
    pub fn key(&self) -> String {
        key(self.human.as_deref(), self.service_account.as_deref(), self.agent.as_deref())
    }

    /// The keys of all holders that `caller` can be.
    #[must_use]
    pub fn keys_of(caller: &Caller) -> Vec<String> {
        let who = caller.accountable.identity.to_string();
        let (human, service) = match caller.accountable.kind {
            AccountableKind::Human => (Some(who.as_str()), None),
            AccountableKind::ServiceAccount => (None, Some(who.as_str())),
        };
        let mut keys = vec![key(human, service, None)];
        if let Some(agent) = &caller.agent {
            let agent = agent.identity.to_string();
            keys.push(key(human, service, Some(&agent)));
            keys.push(key(None, None, Some(&agent)));
        }
        keys
    }

    /// Whether `caller` is this one. A link that is only asserted is nobody's.
    #[must_use]
    pub fn is(&self, caller: &Caller) -> bool {
        let workflow = caller.workflow.as_ref().filter(|run| run.assurance.is_assured());
        let client = Some(&caller.client).filter(|client| client.assurance.is_assured());
        Self::keys_of(caller).contains(&self.key())
            && self.client.as_ref().is_none_or(|name| client.is_some_and(|is| is.name == *name))
            && self.workflow.as_ref().is_none_or(|run| workflow.is_some_and(|is| is.run == *run))
    }
}

impl Grant {
    /// What those who approved a call grant beside it, once: it has the id of the approval. `None` if they do not.
    #[must_use]
    pub fn beside(state: &ApprovalState, now: Timestamp) -> Option<Self> {
        let (approval, offer) = (&state.approval, state.granted()?);
        let (about, asker) = (&approval.about, &approval.asker);
        let votes = state.votes.iter().filter(|vote| vote.approves);
        let approvers: Vec<String> = votes.map(|vote| vote.by.clone()).collect();
        let accountable = |is_it: bool| is_it.then(|| asker.accountable.clone());
        Some(Self {
            id: approval.id,
            holder: Holder {
                human: accountable(asker.is_human),
                service_account: accountable(!asker.is_human),
                agent: asker.agent.clone(),
                ..Holder::default()
            },
            scope: Portion {
                servers: [about.server.clone()].into(),
                actions: [about.operation.clone()].into(),
                within: offer.within.clone(),
                risk_max: Some(Risk::parse(&about.risk)?),
            },
            begins: now,
            ends: now.after_ms(offer.most.within_s.saturating_mul(1_000)),
            uses: offer.most.uses,
            reason: format!("beside the approval {}", approval.id),
            ticket: None,
            by: approvers.join(", "),
            issued: now,
            lifts: Some(Box::new(Lifts {
                approval: approval.id,
                approvers,
                policies: approval.gates.iter().map(|gate| gate.policy.clone()).collect(),
                bundle: approval.bundle,
                tool: about.tool.clone(),
                definition: about.definition,
                asker: asker.clone(),
            })),
        })
    }

    /// Whether it covers `action` of `caller` on every one of `targets`.
    #[must_use]
    pub fn covers(&self, caller: &Caller, action: Action<'_>, targets: &[Target]) -> bool {
        self.holder.is(caller) && targets.iter().all(|target| self.scope.covers(action, target))
    }

    /// By which a store finds it, beside its holder: the places it is for.
    #[must_use]
    pub fn places(&self) -> Vec<String> {
        let places: Vec<_> = self.scope.within.iter().map(place).collect();
        if places.is_empty() { vec![ANYWHERE.to_owned()] } else { places }
    }

    /// The places of all grants that could cover `target`.
    #[must_use]
    pub fn places_of(target: &Target) -> Vec<String> {
        let mut places = vec![ANYWHERE.to_owned()];
        if let Target::Located(Located { resource, containers }) = target {
            places.push(place(resource));
            places.extend(containers.iter().map(place));
        }
        places
    }
}

/// In place of a place.
const ANYWHERE: &str = "*";

fn place(resource: &Resource) -> String {
    format!("{}::{}", resource.kind, resource.id)
}

fn key(human: Option<&str>, service: Option<&str>, agent: Option<&str>) -> String {
    let text = |link: Option<&str>| link.map_or(Json::Null, Json::from);
    Json::Array(vec![text(human), text(service), text(agent)]).to_text()
}
