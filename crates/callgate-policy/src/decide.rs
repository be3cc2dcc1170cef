//! The decision: every link of the chain is asked about every target, and all must agree.
//!
//! Cedar knows two answers and skips a policy that errs. The third answer, *approval required*, and the rule that an
//! error is a denial, are made here. Cedar is asked what only Cedar knows, whether a condition is true; that scopes are
//! compared without it is checked against Cedar alone by [`Bundle::verify_slice`].

use std::cell::Cell;

use callgate_model::ambient::Timestamp;
use callgate_model::authority::Grant;
use callgate_model::call::ToolCall;
use callgate_model::decision::{Decision, Gate, Verdict};
use callgate_model::digest::Digest;
use callgate_model::envelope::Portion;
use callgate_model::obligation::Obligations;
use callgate_model::reason::Reason;
use callgate_model::target::{Obstacle, Target};
use callgate_model::vocabulary::Effect;
use cedar_policy::{
    AuthorizationError, Authorizer, Decision as Answer, Entities, PolicyId, PolicySet, Request,
};

use crate::bundle::{Bundle, Policy};
use crate::caller::{Link, PreparedCaller, Role};
use crate::frame::{Frame, Thing};
use crate::names::{CORE, Closure};
use crate::source::Tier;

/// May this caller make this call, now?
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub caller: &'a PreparedCaller,
    /// For what.
    pub call: &'a ToolCall,
    /// What it touches. A call that touches nothing is denied.
    pub targets: &'a [Target],
    /// When.
    pub now: Timestamp,
    /// The grant that covers it, if one does: what policies see as `context.grant`.
    pub grant: Option<&'a Grant>,
    /// The ids of the approval policies that a consumed approval covers. Other policies are never lifted.
    pub lifted: &'a [String],
}

/// Decides. Total: whatever goes wrong is a denial.
#[must_use]
pub fn decide(bundle: &Bundle, question: &Question<'_>) -> Decision {
    decided(bundle, question, Shown::Slice)
}

/// What the policies in force say; and if they would say something else together with those in shadow, what.
fn decided(bundle: &Bundle, question: &Question<'_>, shown: Shown) -> Decision {
    let say = |counting| {
        let found = findings(bundle, question, (shown, counting));
        let decision = within_bounds(question, combine(bundle.digest(), &found.all));
        (decision, found.met_shadow)
    };
    let (decision, met_shadow) = say(Counting::InForce);
    let would = met_shadow.then(|| say(Counting::All).0);
    let would = would.filter(|would| would.verdict != decision.verdict).map(Box::new);
    Decision { would, ..decision }
}

/// Whatever policies say, nothing is allowed that the scopes of the credential do not cover, nor what it, or the workflow,
/// is not for (I10).
fn within_bounds(question: &Question<'_>, decision: Decision) -> Decision {
    let (caller, action) = (question.caller, question.call.action());
    let every =
        |portion: &Portion| question.targets.iter().all(|target| portion.covers(action, target));
    let exceeded = |portion: &Option<Portion>| portion.as_ref().is_some_and(|one| !every(one));
    let scopes = caller.credential.scopes.as_ref();
    let uncovered =
        scopes.is_some_and(|all| !question.targets.iter().all(|target| all.covers(action, target)));
    let workflow = caller.workflow.as_ref().filter(|run| run.assurance.is_assured());
    let beyond = [
        (Reason::ScopeInsufficient, uncovered),
        (Reason::TokenExceeded, exceeded(&caller.credential.within)),
        (Reason::WorkflowExceeded, workflow.is_some_and(|run| exceeded(&run.within))),
    ];
    let beyond: Vec<_> = beyond.into_iter().filter(|(_, is)| *is).map(|(why, _)| why).collect();
    if beyond.is_empty() {
        return decision;
    }
    let mut reasons = match decision.verdict {
        Verdict::Deny => decision.reasons,
        Verdict::Allow | Verdict::ApprovalRequired(_) => Vec::new(),
    };
    let policies = if reasons.is_empty() { Vec::new() } else { decision.policies };
    reasons.extend(beyond);
    let (verdict, reasons, bundle) = (Verdict::Deny, sorted(reasons), decision.bundle);
    Decision { verdict, reasons, policies, obliges: None, would: None, bundle }
}

impl Bundle {
    /// Decides twice: with the policies that the index finds; and by Cedar with all of them, the request checked against
    /// the schema. They must agree; if they do not, decisions under this bundle are void. Slow: for tests and sampling.
    #[must_use]
    pub fn verify_slice(&self, question: &Question<'_>) -> bool {
        decide(self, question) == decided(self, question, Shown::All)
    }
}

/// Which policies Cedar is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Those whose scope matches.
    Slice,
    /// All.
    All,
}

/// Which policies count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counting {
    /// Those in force.
    InForce,
    /// Those in shadow, too.
    All,
}

/// What was found, and whether a policy in shadow was among those that were looked at.
pub(crate) struct Findings<'a> {
    pub(crate) all: Vec<Finding<'a>>,
    pub(crate) met_shadow: bool,
}

/// What one link's policies say about one target.
pub(crate) struct Finding<'a> {
    pub(crate) link: &'a Link,
    pub(crate) target: &'a Target,
    pub(crate) ruling: Ruling<'a>,
}

/// A verdict and the policies that determined it.
#[derive(Clone)]
pub(crate) enum Ruling<'a> {
    /// These permits allow it.
    Allow(Vec<&'a Policy>),
    /// It would be allowed without these approval policies, by these permits.
    Gated(Vec<&'a Policy>, Vec<&'a Policy>),
    /// No, because of this and these forbids, if any.
    Deny(Reason, Vec<&'a Policy>),
}

/// Every link asked about every target. An earlier actor is only found if a guardrail forbids it.
pub(crate) fn findings<'a>(
    bundle: &'a Bundle,
    question: &Question<'a>,
    (shown, counting): (Shown, Counting),
) -> Findings<'a> {
    let links = question.caller.links().iter();
    let links: Vec<(&Link, Closure)> =
        links.map(|link| (link, bundle.names.closure(&link.uid, &link.parents))).collect();
    let inquiry = Frame::new(bundle, question).map(|frame| Inquiry {
        bundle,
        question,
        frame,
        shown,
        counting,
        met_shadow: Cell::new(false),
        authorizer: Authorizer::new(),
    });
    let mut findings = Vec::with_capacity(links.len() * question.targets.len());
    for target in question.targets {
        let thing = Thing::new(bundle, question.call, target);
        for (link, closure) in &links {
            let ruling = match (before_policy(question.call, target), &inquiry, &thing) {
                (Some(reason), _, _) => Some(Ruling::Deny(reason, Vec::new())),
                (None, Some(inquiry), Some(thing)) if link.role == Role::Actor => {
                    inquiry.object((link, closure), thing)
                }
                (None, Some(inquiry), Some(thing)) => {
                    Some(inquiry.ask((link, closure), target, thing))
                }
                (None, _, _) => Some(Ruling::Deny(Reason::PolicyError, Vec::new())),
            };
            findings.extend(ruling.map(|ruling| Finding { link, target, ruling }));
        }
    }
    let met_shadow = inquiry.is_some_and(|inquiry| inquiry.met_shadow.get());
    Findings { all: findings, met_shadow }
}

/// What no policy can allow.
fn before_policy(call: &ToolCall, target: &Target) -> Option<Reason> {
    let Target::Unresolved(unresolved) = target else { return None };
    match unresolved.obstacle {
        Obstacle::Conflict => Some(Reason::TargetConflict),
        // The gateway's credential may open it all the same: an API token is bound to no site.
        Obstacle::UnknownSite => Some(Reason::TargetUnresolved),
        Obstacle::Missing | Obstacle::OpaqueId | Obstacle::Query | Obstacle::UnknownForm => {
            (call.operation.effect != Effect::Read).then_some(Reason::TargetUnresolved)
        }
    }
}

/// One question to one bundle.
struct Inquiry<'a, 'q> {
    bundle: &'a Bundle,
    question: &'q Question<'a>,
    frame: Frame<'a>,
    shown: Shown,
    counting: Counting,
    met_shadow: Cell<bool>,
    authorizer: Authorizer,
}

/// Which policies hold: their scope matches and their condition is true.
#[derive(Default)]
struct Holding<'a> {
    permits: Vec<&'a Policy>,
    forbids: Vec<&'a Policy>,
}

/// The policies that could not be evaluated; none if the question itself could not be asked.
struct Erring<'a>(Vec<&'a Policy>);

impl<'a> Inquiry<'a, '_> {
    fn ask(
        &self,
        (link, closure): (&Link, &Closure),
        target: &Target,
        thing: &Thing,
    ) -> Ruling<'a> {
        let policies = self.policies((link, closure), thing);
        let holding = match self.holding(link, thing, &policies) {
            Ok(holding) => holding,
            Err(Erring(policies)) => return Ruling::Deny(Reason::PolicyError, policies),
        };
        let guardrails = of_tier(&holding.forbids, Tier::Guardrail);
        if !guardrails.is_empty() {
            return Ruling::Deny(Reason::Guardrail, guardrails);
        }
        // Nobody is asked to approve what would be denied anyway.
        if holding.permits.is_empty() || !link.assured {
            return Ruling::Deny(refusal(link, target), Vec::new());
        }
        if holding.forbids.is_empty() {
            Ruling::Allow(holding.permits)
        } else {
            Ruling::Gated(holding.forbids, holding.permits)
        }
    }

    /// An earlier actor lends nothing; it can only be forbidden.
    fn object(&self, (link, closure): (&Link, &Closure), thing: &Thing) -> Option<Ruling<'a>> {
        let guardrails = of_tier(&self.policies((link, closure), thing), Tier::Guardrail);
        match self.holding(link, thing, &guardrails) {
            Ok(holding) if holding.forbids.is_empty() => None,
            Ok(holding) => Some(Ruling::Deny(Reason::ActorForbidden, holding.forbids)),
            Err(Erring(policies)) => Some(Ruling::Deny(Reason::PolicyError, policies)),
        }
    }

    /// The policies that count. An approval lifts nothing but approval policies; and what is not known is permitted
    /// only by permits that say so.
    fn policies(&self, (link, closure): (&Link, &Closure), thing: &Thing) -> Vec<&'a Policy> {
        let mut policies = match self.shown {
            Shown::All => self.bundle.policies().iter().collect(),
            Shown::Slice => self.bundle.slice(
                (&link.uid, closure),
                &self.frame.action,
                (&thing.uid, &thing.closure),
            ),
        };
        let unresolved = *thing.uid.type_name() == CORE.unresolved;
        // What is in shadow is not even evaluated: an error of it must deny nothing.
        policies.retain(|policy| {
            self.met_shadow.set(self.met_shadow.get() || policy.in_shadow);
            self.counting == Counting::All || !policy.in_shadow
        });
        policies.retain(|policy| match policy.tier {
            Tier::Guardrail => true,
            Tier::Approval => !self.question.lifted.contains(&policy.about.id),
            Tier::Permit => !unresolved || policy.scope.resource.names_unresolved(),
        });
        policies
    }

    fn holding(
        &self,
        link: &Link,
        thing: &Thing,
        policies: &[&'a Policy],
    ) -> Result<Holding<'a>, Erring<'a>> {
        match self.shown {
            Shown::Slice => self.holding_of_matching(link, thing, policies),
            Shown::All => self.holding_by_cedar(link, thing, policies),
        }
    }

    /// The scope of each of these matches. So one without a condition holds, and Cedar is asked about the others, one by
    /// one: no set has to be made of them.
    fn holding_of_matching(
        &self,
        link: &Link,
        thing: &Thing,
        policies: &[&'a Policy],
    ) -> Result<Holding<'a>, Erring<'a>> {
        let (mut holding, mut erring) = (Holding::default(), Vec::new());
        let mut asked = None;
        for policy in policies {
            let holds = match &policy.alone {
                None => true,
                Some(alone) => {
                    if asked.is_none() {
                        asked = Some(self.request(link, thing).ok_or_else(|| Erring(Vec::new()))?);
                    }
                    let Some((request, entities)) = &asked else { continue };
                    let response = self.authorizer.is_authorized(request, alone, entities);
                    if response.diagnostics().errors().next().is_some() {
                        erring.push(*policy);
                        continue;
                    }
                    response.diagnostics().reason().next().is_some()
                }
            };
            match policy.tier {
                Tier::Permit if holds => holding.permits.push(policy),
                Tier::Guardrail | Tier::Approval if holds => holding.forbids.push(policy),
                Tier::Permit | Tier::Guardrail | Tier::Approval => {}
            }
        }
        if erring.is_empty() { Ok(holding) } else { Err(Erring(erring)) }
    }

    /// The same by Cedar alone: all policies in one set, and without those that forbid in a second one.
    fn holding_by_cedar(
        &self,
        link: &Link,
        thing: &Thing,
        policies: &[&'a Policy],
    ) -> Result<Holding<'a>, Erring<'a>> {
        let (answer, determining) = self.cedar(link, thing, policies)?;
        let forbids = match answer {
            Answer::Allow => return Ok(Holding { permits: determining, forbids: Vec::new() }),
            Answer::Deny => determining,
        };
        let without: Vec<_> = policies
            .iter()
            .copied()
            .filter(|policy| !forbids.iter().any(|forbid| std::ptr::eq(*forbid, *policy)))
            .collect();
        let permits = match self.cedar(link, thing, &without)? {
            (Answer::Allow, permits) => permits,
            (Answer::Deny, _) => Vec::new(),
        };
        Ok(Holding { permits, forbids })
    }

    /// What Cedar answers with this set, and the policies that determined it.
    fn cedar(
        &self,
        link: &Link,
        thing: &Thing,
        policies: &[&'a Policy],
    ) -> Result<(Answer, Vec<&'a Policy>), Erring<'a>> {
        let cannot_ask = || Erring(Vec::new());
        let (request, entities) = self.request(link, thing).ok_or_else(cannot_ask)?;
        let set = policies.iter().map(|policy| policy.cedar()).collect::<Option<Vec<_>>>();
        let set = set.and_then(|set| PolicySet::from_policies(set).ok()).ok_or_else(cannot_ask)?;
        let response = self.authorizer.is_authorized(&request, &set, &entities);
        let named = |ids: Vec<&PolicyId>| {
            let is_named = |policy: &Policy| ids.iter().any(|id| id.as_ref() == policy.about.id);
            policies.iter().copied().filter(|policy| is_named(policy)).collect()
        };
        let diagnostics = response.diagnostics();
        let errors: Vec<&PolicyId> = diagnostics.errors().map(failed).collect();
        if errors.is_empty() {
            Ok((response.decision(), named(diagnostics.reason().collect())))
        } else {
            Err(Erring(named(errors)))
        }
    }

    fn request(&self, link: &Link, thing: &Thing) -> Option<(Request, Entities)> {
        let (_, via) = self.question.caller.via();
        let entities = [&link.entity, via, &self.frame.level.entity, &thing.entity];
        let entities = Entities::from_entities(entities.into_iter().cloned(), None).ok()?;
        let request = Request::new(
            link.uid.clone(),
            self.frame.level.uid.clone(),
            thing.uid.clone(),
            self.frame.context(self.question)?.clone(),
            // Validation of the policies and typed construction of the request are what counts; this would cost as
            // much as the decision, so it only takes part when the decision is verified.
            (self.shown == Shown::All).then(|| self.bundle.cedar_schema()),
        )
        .ok()?;
        Some((request, entities))
    }
}

fn failed(error: &AuthorizationError) -> &PolicyId {
    match error {
        AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
    }
}

/// Why a call is denied that no policy permits.
fn refusal(link: &Link, target: &Target) -> Reason {
    match target {
        Target::Located(_) => link.not_permitted(),
        Target::Unresolved(unresolved) if unresolved.obstacle == Obstacle::Query => {
            Reason::QueryUnbounded
        }
        Target::Unresolved(_) => Reason::TargetUnresolved,
    }
}

fn of_tier<'a>(policies: &[&'a Policy], tier: Tier) -> Vec<&'a Policy> {
    policies.iter().copied().filter(|policy| policy.tier == tier).collect()
}

/// All must allow; one denial denies; a gate is a gate for the whole call.
pub(crate) fn combine(bundle: Digest, findings: &[Finding<'_>]) -> Decision {
    let (mut reasons, mut denying, mut gating, mut allowing) = (vec![], vec![], vec![], vec![]);
    let mut obligations = Obligations::default();
    for finding in findings {
        match &finding.ruling {
            Ruling::Allow(permits) => allowing.extend(permits),
            Ruling::Gated(forbids, permits) => {
                gating.extend(forbids);
                oblige(&mut obligations, permits);
            }
            Ruling::Deny(reason, forbids) => {
                reasons.push(*reason);
                denying.extend(forbids);
            }
        }
    }
    if findings.is_empty() {
        return Decision::deny(Reason::TargetUnresolved, bundle);
    }
    oblige(&mut obligations, &allowing);
    let (verdict, reasons, policies) = if !reasons.is_empty() {
        obligations = Obligations::default();
        (Verdict::Deny, reasons, denying)
    } else if !gating.is_empty() {
        (Verdict::ApprovalRequired(gates(&gating)), vec![Reason::ApprovalRequired], gating)
    } else {
        (Verdict::Allow, vec![Reason::Permitted], allowing)
    };
    let policies = sorted(policies.into_iter().map(|policy| policy.about.clone()).collect());
    let obliges = (!obligations.is_empty()).then(|| Box::new(obligations));
    Decision { verdict, reasons: sorted(reasons), policies, obliges, would: None, bundle }
}

/// Every permit that holds obliges, also beside others that do not: to add one never loosens another (I9).
fn oblige(obligations: &mut Obligations, permits: &[&Policy]) {
    permits
        .iter()
        .filter_map(|permit| permit.obliges.as_deref())
        .for_each(|one| obligations.add(one));
}

/// The gates of approval policies.
pub(crate) fn gates(policies: &[&Policy]) -> Vec<Gate> {
    sorted(policies.iter().filter_map(|policy| policy.gate.clone()).collect())
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}
