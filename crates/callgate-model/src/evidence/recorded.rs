//! A decision read back from its record, with all that it was made of.
//!
//! Strict: what does not say all of it is not read. It must not fill in what a record leaves out.

use crate::ambient::{Id, Timestamp};
use crate::caller::{
    Accountable, AccountableKind, Agent, Assurance, Caller, Client, Credential, CredentialKind,
    Identity, Workflow,
};
use crate::digest::Digest;
use crate::json::{Json, Object};
use crate::reason::Reason;
use crate::target::{Obstacle, Resource, Target};
use crate::vocabulary::{Effect, Risk};

/// A decision, as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The call.
    pub call: Id,
    /// When it was recorded.
    pub at: Timestamp,
    /// The call for which the gateway read this itself.
    pub resolves: Option<Id>,
    /// The chain, but for what its credential and its workflow were made for. None, if nobody was let in.
    pub caller: Option<Caller>,
    /// The server.
    pub server: String,
    /// The tool as called, the prompt or the URI, shortened.
    pub tool: String,
    /// Whether it was said why.
    pub has_reason: bool,
    /// What the call was understood to be, if it got so far.
    pub known: Option<Known>,
    /// The verdict's name.
    pub verdict: String,
    /// The reasons.
    pub reasons: Vec<Reason>,
    /// The ids of the policies that determined it.
    pub policies: Vec<String>,
    /// The gates as they were recorded.
    pub gates: Json,
    /// What it would have been if nothing were in shadow, if that is something else.
    pub would: Option<Json>,
    /// The policies that it was decided by.
    pub bundle: Digest,
    /// Whether an approval was waited for, or let it through.
    pub is_approvals: bool,
    /// The grant that it was made under.
    pub grant: Option<Id>,
}

/// What a call was understood to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its operation.
    pub operation: String,
    /// Its effect.
    pub effect: Effect,
    /// Its risk, as it counted.
    pub risk: Risk,
    /// What it touches.
    pub targets: Vec<Target>,
    /// What is recorded of the fields that policies saw.
    pub input: Object,
}

/// Why a record is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// What it said is erased.
    Erased,
    /// It is none of a decision.
    NoDecision,
    /// It is of another form than those that this program writes.
    Strange,
}

impl Recorded {
    /// Reads a whole record: an entry with its event.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(record: &Json) -> Result<Self, Unreadable> {
        if !matches!(text(record, "kind"), Some("intent" | "refusal")) {
            return Err(Unreadable::NoDecision);
        }
        match record.get("event") {
            None | Some(Json::Null) => Err(Unreadable::Erased),
            Some(event) => Self::of(record, event).ok_or(Unreadable::Strange),
        }
    }

    fn of(record: &Json, event: &Json) -> Option<Self> {
        let decision = event.get("decision")?;
        let reasons = decision.get("reasons")?.as_array()?.iter().map(reason);
        let policies = decision.get("policies")?.as_array()?.iter();
        Some(Self {
            call: Id::parse(text(event, "call")?)?,
            at: Timestamp::parse(text(record, "at")?)?,
            resolves: optional(event, "resolves", |id| Id::parse(id.as_str()?)).ok()?,
            caller: optional(event, "caller", caller).ok()?,
            server: text(event, "server")?.to_owned(),
            tool: text(event, "tool")?.to_owned(),
            has_reason: present(event, "why").is_some(),
            known: optional(event, "understood", Known::read).ok()?,
            verdict: text(decision, "verdict")?.to_owned(),
            reasons: reasons.collect::<Option<_>>()?,
            policies: policies.map(|one| owned(one, "id")).collect::<Option<_>>()?,
            gates: decision.get("gates")?.clone(),
            would: present(decision, "would").cloned(),
            bundle: text(decision, "bundle")?.parse().ok()?,
            is_approvals: present(event, "approved_by").is_some(),
            grant: optional(event, "granted_by", |grant| Id::parse(text(grant, "id")?)).ok()?,
        })
    }
}

impl Known {
    fn read(understood: &Json) -> Option<Self> {
        let targets = understood.get("targets")?.as_array()?.iter().map(target);
        let input = optional(understood, "input", |input| input.as_object().cloned()).ok()?;
        Some(Self {
            operation: owned(understood, "operation")?,
            effect: Effect::parse(text(understood, "effect")?)?,
            risk: Risk::parse(text(understood, "risk")?)?,
            targets: targets.collect::<Option<_>>()?,
            input: input.unwrap_or_default(),
        })
    }
}

fn reason(code: &Json) -> Option<Reason> {
    let code = code.as_str()?;
    Reason::ALL.iter().copied().find(|reason| reason.code() == code)
}

fn target(target: &Json) -> Option<Target> {
    let kind = text(target, "kind")?;
    if let Some(obstacle) = text(target, "unresolved") {
        let obstacle = Obstacle::ALL.into_iter().find(|one| one.as_str() == obstacle)?;
        let (site, spelled) = (text(target, "site")?, text(target, "spelled")?);
        return Some(Target::unresolved(kind, site, obstacle, spelled));
    }
    let within = target.get("in")?.as_array()?.iter().map(|one| container(one.as_str()?));
    let resource = Resource::new(kind, text(target, "id")?);
    Some(Target::located(resource, within.collect::<Option<_>>()?))
}

/// `Product::Noun::id`; an id may have colons as well.
fn container(text: &str) -> Option<Resource> {
    let mut parts = text.splitn(3, "::");
    let (product, noun, id) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Resource::new(format!("{product}::{noun}"), id))
}

fn caller(chain: &Json) -> Option<Caller> {
    let whose = chain.get("accountable")?;
    let groups = whose.get("groups")?.as_array()?.iter();
    let actors = chain.get("actors")?.as_array()?.iter().map(agent);
    let client = chain.get("client")?;
    Some(Caller {
        accountable: Accountable {
            kind: match text(whose, "kind")? {
                "human" => AccountableKind::Human,
                "service_account" => AccountableKind::ServiceAccount,
                _ => return None,
            },
            identity: Identity::parse(text(whose, "id")?),
            groups: groups.map(|group| Some(group.as_str()?.to_owned())).collect::<Option<_>>()?,
            assurance: assurance(whose)?,
        },
        agent: optional(chain, "agent", agent).ok()?,
        actors: actors.collect::<Option<_>>()?,
        client: Client { name: owned(client, "name")?, assurance: assurance(client)? },
        credential: credential(chain.get("credential")?)?,
        workflow: optional(chain, "workflow", workflow).ok()?,
    })
}

fn agent(agent: &Json) -> Option<Agent> {
    Some(Agent {
        identity: Identity::parse(text(agent, "id")?),
        class: text(agent, "class").map(str::to_owned),
        assurance: assurance(agent)?,
    })
}

/// What its scopes cover is not in the record: that a call exceeded them is, as a reason.
fn credential(credential: &Json) -> Option<Credential> {
    let kind = text(credential, "kind")?;
    let moment = |at: &Json| Timestamp::parse(at.as_str()?);
    Some(Credential {
        kind: CredentialKind::ALL.into_iter().find(|one| one.as_str() == kind)?,
        id: text(credential, "id").map(str::to_owned),
        digest: text(credential, "digest")?.parse().ok()?,
        issued: optional(credential, "issued", moment).ok()?,
        expires: optional(credential, "expires", moment).ok()?,
        scopes: None,
        within: None,
    })
}

fn workflow(run: &Json) -> Option<Workflow> {
    Some(Workflow {
        run: owned(run, "run")?,
        purpose: text(run, "purpose").map(str::to_owned),
        ticket: text(run, "ticket").map(str::to_owned),
        within: None,
        assurance: assurance(run)?,
    })
}

fn assurance(link: &Json) -> Option<Assurance> {
    match text(link, "assurance")? {
        "asserted" => Some(Assurance::Asserted),
        "configured" => Some(Assurance::Configured),
        "verified" => Some(Assurance::Verified),
        _ => None,
    }
}

fn text<'a>(value: &'a Json, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Json::as_str)
}

fn owned(value: &Json, name: &str) -> Option<String> {
    text(value, name).map(str::to_owned)
}

fn present<'a>(value: &'a Json, name: &str) -> Option<&'a Json> {
    value.get(name).filter(|member| **member != Json::Null)
}

/// What is there may be missing, but not be something else.
fn optional<T>(
    value: &Json,
    name: &str,
    read: impl FnOnce(&Json) -> Option<T>,
) -> Result<Option<T>, Unreadable> {
    let Some(member) = present(value, name) else { return Ok(None) };
    read(member).map(Some).ok_or(Unreadable::Strange)
}
