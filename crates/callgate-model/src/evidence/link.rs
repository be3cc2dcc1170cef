//! By what a record is found: every link of the chain, what is called and touched, and how it was decided.

use super::{Concluded, Decided, Event, Understood};
use crate::approval::Approval;
use crate::authority::{Administered, ApiToken, Change, Grant, ToolOf};
use crate::caller::Caller;
use crate::target::{Resource, Target};

/// What a record can be looked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// The agent that acts, or acted earlier in the chain.
    Agent,
    /// The approval that is asked for, decided on, or gone by.
    Approval,
    /// Who made a change; if an agent did for somebody, that person or service account alone as well.
    By,
    /// The name of a change.
    Change,
    /// The client software.
    Client,
    /// The credential: what whoever made it calls it, else its digest.
    Credential,
    /// The grant that is given, or gone by.
    Grant,
    /// The hash of a field of the arguments.
    Hash,
    /// The accountable identity: the human, or the service account. Of a change, everybody whom it is about.
    Human,
    /// The kind of record.
    Kind,
    /// The operation.
    Operation,
    /// What became of a call.
    Outcome,
    /// A policy that determined a decision.
    Policy,
    /// A reason code.
    Reason,
    /// The server.
    Server,
    /// What is touched, or a container of it: its id, and the same after its kind.
    Target,
    /// The ticket of the workflow.
    Ticket,
    /// The tool.
    Tool,
    /// The W3C trace id.
    Trace,
    /// The verdict.
    Verdict,
    /// The run of the workflow.
    Workflow,
    /// The verdict that there would be if nothing were in shadow, and a policy that would determine it.
    Would,
}

impl Link {
    /// Each of them.
    pub const ALL: [Self; 22] = [
        Self::Agent,
        Self::Approval,
        Self::By,
        Self::Change,
        Self::Client,
        Self::Credential,
        Self::Grant,
        Self::Hash,
        Self::Human,
        Self::Kind,
        Self::Operation,
        Self::Outcome,
        Self::Policy,
        Self::Reason,
        Self::Server,
        Self::Target,
        Self::Ticket,
        Self::Tool,
        Self::Trace,
        Self::Verdict,
        Self::Workflow,
        Self::Would,
    ];

    /// Its name, on the command line and in stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Approval => "approval",
            Self::By => "by",
            Self::Change => "change",
            Self::Client => "client",
            Self::Credential => "credential",
            Self::Grant => "grant",
            Self::Hash => "hash",
            Self::Human => "human",
            Self::Kind => "kind",
            Self::Operation => "operation",
            Self::Outcome => "outcome",
            Self::Policy => "policy",
            Self::Reason => "reason",
            Self::Server => "server",
            Self::Target => "target",
            Self::Ticket => "ticket",
            Self::Tool => "tool",
            Self::Trace => "trace",
            Self::Verdict => "verdict",
            Self::Workflow => "workflow",
            Self::Would => "would",
        }
    }
}

/// What is found by what.
pub type Links = Vec<(Link, String)>;

impl Event {
    /// By what its record is found; each once.
    #[must_use]
    pub fn links(&self) -> Links {
        let mut links = vec![(Link::Kind, self.kind().as_str().to_owned())];
        match self {
            Self::Opened { .. } => {}
            Self::Decided(decided) => decided.link(&mut links),
            Self::Concluded(Concluded { outcome, .. }) => {
                links.push((Link::Outcome, outcome.as_str().to_owned()));
            }
            Self::Administered(administered) => administered.link(&mut links),
            Self::Settled(settled) => link_by(&settled.by, &mut links),
        }
        links.sort_unstable();
        links.dedup();
        links
    }
}

/// By what everything that `caller` does is found.
pub(super) fn links_of(caller: &Caller) -> Links {
    let mut links = vec![
        (Link::Human, caller.accountable.identity.to_string()),
        (Link::Client, caller.client.name.clone()),
    ];
    let agents = caller.agent.iter().chain(&caller.actors);
    links.extend(agents.map(|agent| (Link::Agent, agent.identity.to_string())));
    let credential = &caller.credential;
    let credential = credential.id.clone().unwrap_or_else(|| credential.digest.to_string());
    links.push((Link::Credential, credential));
    if let Some(workflow) = &caller.workflow {
        links.push((Link::Workflow, workflow.run.clone()));
        links.extend(workflow.ticket.clone().map(|ticket| (Link::Ticket, ticket)));
    }
    links
}

impl Decided {
    fn link(&self, links: &mut Links) {
        if let Some(caller) = &self.caller {
            links.extend_from_slice(&caller.links);
        }
        links.push((Link::Verdict, self.decision.verdict.as_str().to_owned()));
        links.push((Link::Server, self.server.clone()));
        links.push((Link::Tool, self.tool.clone()));
        links.extend(self.decision.reasons.iter().map(|one| (Link::Reason, one.code().to_owned())));
        links.extend(self.decision.policies.iter().map(|one| (Link::Policy, one.id.clone())));
        let mut would = self.decision.would.as_deref();
        while let Some(decision) = would {
            links.push((Link::Would, decision.verdict.as_str().to_owned()));
            links.extend(decision.policies.iter().map(|one| (Link::Would, one.id.clone())));
            would = decision.would.as_deref();
        }
        links.extend(self.hashes.iter().map(|hash| (Link::Hash, hash.clone())));
        links.extend(self.trace.iter().map(|trace| (Link::Trace, trace.clone())));
        let used = [(Link::Approval, self.under.approval), (Link::Grant, self.under.grant)];
        links.extend(used.into_iter().filter_map(|(link, one)| Some((link, one?.id.to_string()))));
        if let Some(Understood { operation, targets, .. }) = &self.understood {
            links.push((Link::Operation, operation.clone()));
            targets.iter().for_each(|target| link_target(target, links));
        }
        links.retain(|(_, value)| !value.is_empty());
    }
}

fn link_target(target: &Target, links: &mut Links) {
    let mut push = |Resource { kind, id }: &Resource| {
        links.push((Link::Target, id.clone()));
        links.push((Link::Target, format!("{kind}::{id}")));
    };
    match target {
        Target::Located(located) => {
            push(&located.resource);
            located.containers.iter().for_each(push);
        }
        Target::Unresolved(unresolved) => {
            links.push((Link::Target, unresolved.spelled.clone()));
        }
    }
}

impl Administered {
    fn link(&self, links: &mut Links) {
        link_by(&self.by, links);
        links.push((Link::Change, self.change.name().to_owned()));
        match &self.change {
            Change::TokenIssued { token } | Change::TokenRotated { token, .. } => {
                link_token(token, links);
            }
            Change::TokenRevoked { id } => links.push((Link::Credential, id.to_string())),
            Change::GrantIssued { grant } => link_grant(grant, links),
            Change::GrantRevoked { id } => links.push((Link::Grant, id.to_string())),
            Change::ApprovalRequested { approval, .. } => link_approval(approval, links),
            Change::ApprovalExpired { id }
            | Change::ApprovalViewed { id, .. }
            | Change::ApprovalWithdrawn { id, .. } => {
                links.push((Link::Approval, id.to_string()));
            }
            Change::ApprovalVoted { vote } => {
                links.push((Link::Approval, vote.approval.to_string()));
            }
            Change::GlassBroken { glass, .. } => {
                links.push((Link::Approval, glass.approval.to_string()));
                links.push((Link::Ticket, glass.ticket.clone()));
            }
            Change::GlassReviewed { review } => {
                links.push((Link::Approval, review.approval.to_string()));
            }
            Change::ToolPinned { pin } => link_tool(&pin.of, links),
            Change::ToolUnpinned { of } => link_tool(of, links),
            Change::SecretSet { secret } => {
                links.push((Link::Server, secret.owner.server.clone()));
                links.push((Link::Human, secret.owner.holder.name.clone()));
            }
            Change::SecretRemoved { owner } => {
                links.push((Link::Server, owner.server.clone()));
                links.push((Link::Human, owner.holder.name.clone()));
            }
            Change::SignInLinkMade { link } => links.push((Link::Human, link.who.clone())),
            Change::SignedIn { session, .. } => links.push((Link::Human, session.who.clone())),
            Change::PasskeyAdded { passkey, .. } => {
                links.push((Link::Human, passkey.who.clone()));
            }
            Change::SignInRefused { who, .. } => {
                links.extend(who.iter().map(|who| (Link::Human, who.clone())));
            }
            Change::PasskeyRemoved { who, .. } => links.push((Link::Human, who.clone())),
            Change::Revoked { revocation } => {
                links.push((Link::Human, revocation.subject.name.clone()));
            }
            Change::PoliciesActivated { policies, .. } => {
                links.extend(policies.iter().map(|policy| (Link::Policy, policy.id.clone())));
            }
            Change::Configured { setup } => {
                let servers = setup.servers.iter();
                links.extend(servers.map(|server| (Link::Server, server.name.clone())));
            }
            Change::NoticeGivenUp { .. }
            | Change::PayloadsErased { .. }
            | Change::Restored { .. }
            | Change::RevocationLifted { .. }
            | Change::SignedOut { .. } => {}
        }
    }
}

/// `alice via release-bot` is found by `alice`, too.
fn link_by(by: &str, links: &mut Links) {
    links.push((Link::By, by.to_owned()));
    links.extend(by.split_once(" via ").map(|(who, _)| (Link::By, who.to_owned())));
}

fn link_token(token: &ApiToken, links: &mut Links) {
    links.push((Link::Credential, token.id.to_string()));
    links.push((Link::Agent, token.agent.clone()));
    link_people(token.service_account.iter().chain([&token.owner]), links);
}

fn link_grant(grant: &Grant, links: &mut Links) {
    links.push((Link::Grant, grant.id.to_string()));
    link_people(grant.holder.human.iter().chain(&grant.holder.service_account), links);
    if let Some(lifts) = &grant.lifts {
        link_people(lifts.approvers.iter().chain(&lifts.asker.people), links);
    }
}

fn link_approval(approval: &Approval, links: &mut Links) {
    let (asker, about) = (&approval.asker, &approval.about);
    links.push((Link::Approval, approval.id.to_string()));
    link_people(asker.people.iter().chain([&asker.accountable]), links);
    links.extend(asker.agent.clone().map(|agent| (Link::Agent, agent)));
    links.push((Link::Operation, about.operation.clone()));
    links.push((Link::Server, about.server.clone()));
    links.push((Link::Tool, about.tool.clone()));
}

fn link_people<'p>(people: impl IntoIterator<Item = &'p String>, links: &mut Links) {
    links.extend(people.into_iter().map(|who| (Link::Human, who.clone())));
}

fn link_tool(of: &ToolOf, links: &mut Links) {
    links.push((Link::Server, of.server.clone()));
    links.push((Link::Tool, of.tool.clone()));
}
