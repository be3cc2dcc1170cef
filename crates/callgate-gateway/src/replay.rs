//! Recorded calls, decided again by other policies: with what was known when they were decided, and nothing else.
//!
//! It must not guess. Where the policies would ask for something that the record does not say, the answer is that it is not
//! known; and no server is asked.

mod answer;

use std::collections::{BTreeMap, HashSet};

use callgate_model::ambient::Id;
use callgate_model::authority::Grant;
use callgate_model::call::{Method, ToolCall};
use callgate_model::caller::Caller;
use callgate_model::decision::{Decision, Verdict};
use callgate_model::digest::Digest;
use callgate_model::evidence::{Known, Recorded};
use callgate_model::json::{Json, Object};
use callgate_model::products::gateway;
use callgate_model::reason::Reason;
use callgate_model::target::{Obstacle, Target};
use callgate_model::vocabulary::{Effect, FieldValue, Operation, Vocabulary};
use callgate_policy::{Bundle, PreparedCaller, Question, could_allow, decide, looks_at};

use crate::catalog::ServerCatalog;

pub use answer::{Answer, Change, Unknown};
use answer::{Kind, kind};

/// Calls for which the gateway asked something, of which that is remembered; of others it is not known any more.
const ASKED_MAX: usize = 10_000;
/// Characters of a tool's name that are recorded.
const TOOL_CHARS: usize = 128;

/// What recorded calls are decided by again.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// The policies.
    pub bundle: &'a Bundle,
    /// What policies can name.
    pub vocabulary: &'a Vocabulary,
    /// The catalogs of the servers.
    pub catalogs: &'a BTreeMap<String, ServerCatalog>,
    /// The servers that are asked where things are before they are changed, even if their names tell it.
    pub confirms_moves: HashSet<&'a str>,
    /// Every grant that there was.
    pub grants: BTreeMap<Id, Grant>,
    /// Calls for which the gateway asked something.
    asked: HashSet<Id>,
}

/// What becomes of a recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// Policies had no say in it.
    NoSay,
    /// It is not known, for this.
    Unknown(Unknown),
    /// What they said, and what they would say.
    Decided(Change, Answer, Box<Decision>),
}

impl<'a> Candidate<'a> {
    /// These policies, under these catalogs; `grants` are all that there were.
    #[must_use]
    pub fn new(
        bundle: &'a Bundle,
        (vocabulary, catalogs): (&'a Vocabulary, &'a BTreeMap<String, ServerCatalog>),
        confirms_moves: HashSet<&'a str>,
        grants: impl Iterator<Item = Grant>,
    ) -> Self {
        let grants = grants.map(|grant| (grant.id, grant)).collect();
        let asked = HashSet::new();
        Self { bundle, vocabulary, catalogs, confirms_moves, grants, asked }
    }

    /// Decides a recorded call again. Records have to come in their order: what the gateway asked stands before the call.
    pub fn replay(&mut self, recorded: &Recorded) -> Replayed {
        if let Some(call) = recorded.resolves {
            if self.asked.len() < ASKED_MAX {
                self.asked.insert(call);
            }
            return Replayed::NoSay;
        }
        let was_asked = self.asked.remove(&recorded.call);
        let (Some(known), Some(caller)) = (&recorded.known, &recorded.caller) else {
            return Replayed::NoSay;
        };
        match self.decided(recorded, (known, caller), was_asked) {
            Ok((was, decision)) => {
                let change = Change::of(was, &decision, &recorded.gates);
                Replayed::Decided(change, was, Box::new(decision))
            }
            // It depends on nothing else than these policies and what they were asked.
            Err(_) if recorded.bundle == self.bundle.digest() => match self.answered(recorded) {
                Ok(was) => Replayed::Decided(Change::Same, was, Box::new(self.as_it_was(recorded))),
                Err(unknown) => Replayed::Unknown(unknown),
            },
            Err(unknown) => Replayed::Unknown(unknown),
        }
    }

    /// What policies had said.
    fn answered(&self, recorded: &Recorded) -> Result<Answer, Unknown> {
        let is_any = |is: Kind| recorded.reasons.iter().any(|reason| kind(*reason) == is);
        if is_any(Kind::Elsewhere) {
            return Err(Unknown::DecidedOtherwise);
        }
        if is_any(Kind::Approval) {
            return Ok(Answer::Ask);
        }
        let verdict = match (&recorded.would, recorded.reasons.as_slice()) {
            (Some(would), [Reason::ShadowServer]) => would.get("verdict").and_then(Json::as_str),
            _ => Some(recorded.verdict.as_str()),
        };
        match verdict {
            Some("allow") if recorded.is_approvals => Ok(Answer::Ask),
            Some("allow") => match recorded.grant.map(|id| self.grants.get(&id)) {
                None => Ok(Answer::Allow),
                Some(None) => Err(Unknown::GrantUnknown),
                // It was given with an approval, in whose place it lets calls through.
                Some(Some(Grant { lifts: Some(_), .. })) => Ok(Answer::Ask),
                Some(Some(_)) => Ok(Answer::Allow),
            },
            Some("approval_required") => Ok(Answer::Ask),
            Some("deny") => Ok(Answer::Deny),
            Some(_) | None => Err(Unknown::Strange),
        }
    }

    fn as_it_was(&self, recorded: &Recorded) -> Decision {
        let reason = recorded.reasons.first().copied().unwrap_or(Reason::PolicyError);
        Decision::deny(reason, self.bundle.digest())
    }

    /// What policies had said, and what these say.
    fn decided(
        &self,
        recorded: &Recorded,
        (known, caller): (&Known, &Caller),
        was_asked: bool,
    ) -> Result<(Answer, Decision), Unknown> {
        let was = self.answered(recorded)?;
        let (call, missing) = self.call(recorded, known)?;
        if known.targets.iter().any(|target| !self.is_known(&call.operation, target)) {
            return Err(Unknown::TargetUnknown);
        }
        let caller = PreparedCaller::new(caller.clone());
        let grant = recorded.grant.map(|id| self.grants.get(&id).ok_or(Unknown::GrantUnknown));
        let grant = grant.transpose()?;
        let question = Question {
            caller: &caller,
            call: &call,
            targets: &known.targets,
            now: recorded.at,
            grant: grant.filter(|grant| grant.lifts.is_none()),
            lifted: &[],
        };
        let is_same = recorded.bundle == self.bundle.digest();
        self.sees_all(&question, (known, &missing), recorded)?;
        if !is_same && was == Answer::Deny && !was_asked && self.would_ask(&question) {
            return Err(Unknown::PlaceNotAsked);
        }
        let decision = bounded(recorded, decide(self.bundle, &question));
        if !is_same && self.depends_on_grants(&question, recorded, &decision) {
            return Err(Unknown::GrantUnknown);
        }
        Ok((was, decision))
    }

    /// The call as policies see it, and the fields of which it is not known how they saw them.
    fn call(&self, recorded: &Recorded, known: &Known) -> Result<(ToolCall, Vec<String>), Unknown> {
        let operation = self.vocabulary.operations.get(&known.operation);
        let operation = operation.ok_or(Unknown::OperationUnknown)?;
        if operation.effect != known.effect || operation.risk > known.risk {
            return Err(Unknown::OperationUnknown);
        }
        let mut missing = Vec::new();
        let mut fields: BTreeMap<String, FieldValue> = BTreeMap::new();
        for (name, kind) in &operation.fields {
            let value = known.input.get(name).and_then(|value| kind.read(value));
            if value.is_none() {
                missing.push(name.clone());
            }
            fields.insert(name.clone(), value.unwrap_or_else(|| kind.absent()));
        }
        let call = ToolCall {
            server: recorded.server.as_str().into(),
            method: Method::ToolsCall,
            tool: recorded.tool.clone(),
            operation: std::sync::Arc::clone(operation),
            risk: known.risk,
            definition: None,
            arguments: Object::default(),
            unwrapped: None,
            arguments_digest: Digest::default(),
            fields,
        };
        Ok((call, missing))
    }

    /// Whether the catalogs can have such a target of such an operation.
    fn is_known(&self, operation: &Operation, target: &Target) -> bool {
        let kinds = &self.vocabulary.target_kinds;
        match target {
            Target::Unresolved(_) => true,
            Target::Located(located) => {
                operation.targets.contains(&located.resource.kind)
                    && located.containers.iter().all(|outer| kinds.contains_key(&outer.kind))
            }
        }
    }

    /// Whether the record says all that these policies look at.
    fn sees_all(
        &self,
        question: &Question<'_>,
        (known, missing): (&Known, &[String]),
        recorded: &Recorded,
    ) -> Result<(), Unknown> {
        let names: Vec<&str> = missing.iter().map(String::as_str).collect();
        let cut = recorded.tool.chars().count() >= TOOL_CHARS;
        let is_blind = looks_at(self.bundle, question, "input", &names)
            || (cut && looks_at(self.bundle, question, "context", &["tool"]));
        // That it is not known is in the record because policies wanted to know it.
        let wanted = |target: &Target| match target {
            Target::Unresolved(open) if open.obstacle == Obstacle::UnknownForm => {
                open.spelled.strip_prefix("field ").is_some_and(|name| !self.bundle.looks_up(name))
            }
            Target::Unresolved(_) | Target::Located(_) => false,
        };
        if is_blind || known.targets.iter().any(wanted) {
            return Err(Unknown::FieldsNotRecorded);
        }
        Ok(())
    }

    /// Whether the server would be asked where things are, as the gateway does before it decides.
    fn would_ask(&self, question: &Question<'_>) -> bool {
        let Question { call, caller, targets, .. } = *question;
        let Some(catalog) = self.catalogs.get(&*call.server) else { return false };
        let confirms = self.confirms_moves.contains(&*call.server);
        let changes = call.operation.effect != Effect::Read;
        let open = |target: &Target| match target {
            Target::Unresolved(open) => {
                open.obstacle == Obstacle::OpaqueId && catalog.resolver(&open.kind).is_some()
            }
            Target::Located(located) => {
                let resolver = catalog.resolver(&located.resource.kind);
                changes && confirms && resolver.is_some_and(|resolver| resolver.moves)
            }
        };
        if !targets.iter().any(open)
            || !could_allow(self.bundle, caller, &call.server, &call.operation, call.risk)
        {
            return false;
        }
        let is_said = |target: &&Target| matches!(target, Target::Located(_)) || !open(target);
        let certain: Vec<Target> = targets.iter().filter(is_said).cloned().collect();
        let question = Question { targets: &certain, ..*question };
        certain.is_empty()
            || self.bundle.knows_grants()
            || decide(self.bundle, &question).verdict != Verdict::Deny
    }

    /// Whether the answer would be another one under a grant that there was, and that nothing was recorded of.
    fn depends_on_grants(
        &self,
        question: &Question<'_>,
        recorded: &Recorded,
        decision: &Decision,
    ) -> bool {
        if recorded.grant.is_some() || decision.is_allow() || !self.bundle.knows_grants() {
            return false;
        }
        let (caller, action, at) = (question.caller, question.call.action(), recorded.at);
        let could = self.grants.values().filter(|grant| {
            grant.lifts.is_none()
                && (grant.begins..grant.ends).contains(&at)
                && grant.covers(caller, action, question.targets)
        });
        could.into_iter().any(|grant| {
            let under = decide(self.bundle, &Question { grant: Some(grant), ..*question });
            Answer::of(&bounded(recorded, under).verdict) != Answer::of(&decision.verdict)
        })
    }
}

/// The decision within what is no question of policy: a credential that did not cover the call does not now.
fn bounded(recorded: &Recorded, decision: Decision) -> Decision {
    let exceeded = recorded.reasons.iter().find(|reason| kind(**reason) == Kind::Bound);
    let unsaid = decision.obligations().needs_reason && !recorded.has_reason;
    // The API can meet no obligation.
    let unmet = recorded.server == gateway::NAME && decision.obliges.is_some();
    match (exceeded, unsaid, unmet) {
        (Some(reason), _, _) => Decision::deny(*reason, decision.bundle),
        (None, true, _) => Decision::deny(Reason::ReasonRequired, decision.bundle),
        (None, false, true) => Decision::deny(Reason::PolicyError, decision.bundle),
        (None, false, false) => decision,
    }
}
