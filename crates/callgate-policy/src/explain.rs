//! Why a decision is as it is, link by link and target by target: for operators and policy authors, never for callers.

use callgate_model::decision::{Decision, NearMiss, Verdict};
use callgate_model::reason::Reason;
use callgate_model::target::Target;

use crate::bundle::{Bundle, Policy};
use crate::caller::{Link, Role};
use crate::decide::{Counting, Finding, Question, Ruling, Shown, decide, findings, gates};
use crate::frame::{Frame, Thing};

/// The most near misses shown for one link and one target.
pub const MAX_NEAR_MISSES: usize = 20;

/// A decision with the answers it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What [`decide`](crate::decide) says.
    pub decision: Decision,
    /// Every link asked about every target. Earlier actors appear only if they are forbidden.
    pub asked: Vec<Asked>,
}

/// What one link was told about one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The link: `human alice`, `agent release-bot`.
    pub link: String,
    /// The target.
    pub target: String,
    /// What would happen if only this were asked.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The ids of the policies that determined it.
    pub policies: Vec<String>,
    /// If no policy permits it: the permits that almost would have.
    pub near: Vec<NearMiss>,
}

/// Decides, and says how. Looks at every permit, so it is slower than deciding.
#[must_use]
pub fn explain(bundle: &Bundle, question: &Question<'_>) -> Explanation {
    let findings = findings(bundle, question, (Shown::Slice, Counting::InForce));
    let decision = decide(bundle, question);
    let asked = findings.all.iter().map(|finding| asked(bundle, question, finding)).collect();
    Explanation { decision, asked }
}

fn asked(bundle: &Bundle, question: &Question<'_>, finding: &Finding<'_>) -> Asked {
    let (verdict, reason, policies) = match &finding.ruling {
        Ruling::Allow(permits) => (Verdict::Allow, Reason::Permitted, permits),
        Ruling::Gated(forbids, _) => {
            (Verdict::ApprovalRequired(gates(forbids)), Reason::ApprovalRequired, forbids)
        }
        Ruling::Deny(reason, forbids) => (Verdict::Deny, *reason, forbids),
    };
    let refused =
        verdict == Verdict::Deny && policies.is_empty() && finding.link.role != Role::Actor;
    let near = if refused { near_misses(bundle, question, finding) } else { Vec::new() };
    let mut policies: Vec<String> = policies.iter().map(|policy| policy.about.id.clone()).collect();
    policies.sort_unstable();
    let (link, target) = (finding.link.name.clone(), finding.target.to_string());
    Asked { link, target, verdict, reason, policies, near }
}

/// The permits of which just one part does not match; a condition that is false first, for it is the nearest.
fn near_misses(bundle: &Bundle, question: &Question<'_>, finding: &Finding<'_>) -> Vec<NearMiss> {
    let Some(frame) = Frame::new(bundle, question) else { return Vec::new() };
    let Some(thing) = Thing::new(bundle, question.call, finding.target) else { return Vec::new() };
    let mut near: Vec<NearMiss> = bundle
        .policies()
        .iter()
        .filter(|policy| policy.is_permit() && !policy.in_shadow)
        .filter_map(|permit| {
            let missed = missed(bundle, permit, finding.link, &frame, &thing, finding.target)?;
            Some(NearMiss { policy: permit.about.id.clone(), missed })
        })
        .collect();
    near.sort_by(|a, b| (a.missed, &a.policy).cmp(&(b.missed, &b.policy)));
    near.truncate(MAX_NEAR_MISSES);
    near
}

fn missed(
    bundle: &Bundle,
    permit: &Policy,
    link: &Link,
    frame: &Frame<'_>,
    thing: &Thing,
    target: &Target,
) -> Option<&'static str> {
    let closure = bundle.names.closure(&link.uid, &link.parents);
    let scope = &permit.scope;
    let resource = scope.resource.covers(thing.uid.type_name(), &thing.closure)
        && (matches!(target, Target::Located(_)) || scope.resource.names_unresolved());
    let principal = scope.principal.covers(link.uid.type_name(), &closure);
    let action = scope.action.covers(&frame.action);
    match (principal, action, resource) {
        (true, true, true) if permit.alone.is_some() => Some("condition"),
        (false, true, true) => Some("principal"),
        (true, false, true) => Some("action"),
        (true, true, false) => Some("resource"),
        // All matched: it is not the permits that refuse. Or two parts are wrong, which is not near.
        (true, true, true) | (true | false, _, _) => None,
    }
}
