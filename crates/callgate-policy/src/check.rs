//! Whether one policy may be in a bundle: its size, its types, and what Cedar cannot know to be wrong.

use std::collections::HashSet;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    ActionConstraint, Effect, EntityUid, PolicySet, Schema, ValidationMode, Validator,
};

use crate::names::CORE;
use crate::scope::{Scope, Shape};
use crate::source::{Complaint, Statement, Tier};

/// The longest policy, in bytes.
pub const MAX_POLICY_BYTES: usize = 64 * 1024;
/// How deeply a policy may nest. Cedar's parser and type checker recurse without a net.
pub const MAX_POLICY_NESTING: usize = 16;
/// How many of `.`, `+`, `-`, `*` and `[` a policy may have. In a chain of more, Cedar's type checker gives up
/// silently, and the policy would not be validated.
pub const MAX_POLICY_STEPS: usize = 100;
/// How far a policy may look from the principal, the resource and the context. Those entities are all that a decision
/// is given; a policy that looked further would err on every call.
const REACH: u32 = 1;

/// Parses one policy, if it is of bearable size.
pub(crate) fn parse(statement: &Statement<'_>) -> Result<cedar_policy::Policy, Vec<Complaint>> {
    let limits = [
        (statement.text.len(), MAX_POLICY_BYTES, "a policy of more than", "bytes"),
        (statement.nesting(), MAX_POLICY_NESTING, "a policy that nests deeper than", "levels"),
        (statement.steps(), MAX_POLICY_STEPS, "a policy with more than", "of . + - * ["),
    ];
    let exceeded: Vec<Complaint> = limits
        .into_iter()
        .filter(|(size, limit, ..)| size > limit)
        .map(|(_, limit, what, unit)| {
            Complaint::new(format!("{what} {limit} {unit}")).hint("make several policies of it")
        })
        .collect();
    if !exceeded.is_empty() {
        return Err(exceeded);
    }
    cedar_policy::Policy::parse(None, statement.text).map_err(|errors| {
        errors.iter().map(|error| Complaint::cedar(DetailedError::from(error))).collect()
    })
}

/// What policies are checked with.
pub(crate) struct Checker {
    validator: Validator,
    /// Shapes of scopes that the validator found nothing wrong with. Of policies that are nothing but a scope most have
    /// one of a few shapes, and validating takes a millisecond.
    sound: HashSet<Shape>,
}

impl Checker {
    pub(crate) fn new(schema: Schema) -> Self {
        Self { validator: Validator::new(schema), sound: HashSet::new() }
    }

    pub(crate) fn into_validator(self) -> Validator {
        self.validator
    }

    /// Everything that is wrong with a policy of `tier`, but for its annotations.
    pub(crate) fn check(
        &mut self,
        tier: Tier,
        policy: &cedar_policy::Policy,
        scope: &Scope,
    ) -> Vec<Complaint> {
        let mut complaints = self.validate(policy, scope);
        complaints.extend(wrong_folder(tier, policy));
        complaints.extend(wrong_risk(policy));
        complaints
    }

    fn validate(&mut self, policy: &cedar_policy::Policy, scope: &Scope) -> Vec<Complaint> {
        let shape = if policy.has_non_scope_constraint() { None } else { scope.shape() };
        if shape.as_ref().is_some_and(|shape| self.sound.contains(shape)) {
            return Vec::new();
        }
        let complaints = validate(&self.validator, policy);
        if complaints.is_empty() {
            self.sound.extend(shape);
        }
        complaints
    }
}

/// Strictly, with every warning: a policy that can never match is a mistake.
fn validate(validator: &Validator, policy: &cedar_policy::Policy) -> Vec<Complaint> {
    let alone = match PolicySet::from_policies([policy.clone()]) {
        Ok(alone) => alone,
        Err(error) => return vec![Complaint::cedar(DetailedError::from(&error))],
    };
    let result = if policy.has_non_scope_constraint() {
        validator.validate_with_level(&alone, ValidationMode::Strict, REACH)
    } else {
        validator.validate(&alone, ValidationMode::Strict)
    };
    let errors = result.validation_errors().map(DetailedError::from).map(Complaint::cedar);
    let warnings = result.validation_warnings().map(DetailedError::from).map(Complaint::cedar);
    let errors = one_per_place(errors.collect());
    // What cannot be understood often cannot match either; that says nothing more.
    if errors.is_empty() { one_per_place(warnings.collect()) } else { errors }
}

/// Cedar checks a policy once for every operation and kind that it is about, and complains as often.
fn one_per_place(mut complaints: Vec<Complaint>) -> Vec<Complaint> {
    complaints.sort_by(|a, b| (a.at, &a.message).cmp(&(b.at, &b.message)));
    complaints.dedup_by(|a, b| (a.at, &a.message) == (b.at, &b.message));
    let mut places: Vec<(usize, Complaint)> = Vec::new();
    for complaint in complaints {
        match places.last_mut() {
            Some((more, first)) if first.at == complaint.at => *more += 1,
            Some(_) | None => places.push((0, complaint)),
        }
    }
    places.into_iter().map(|(more, complaint)| for_people(more, complaint)).collect()
}

fn for_people(more: usize, mut complaint: Complaint) -> Complaint {
    // Cedar calls every policy that is parsed alone `policy0`; the file and line say it better.
    complaint.message = complaint.message.replace("for policy `policy0`, ", "");
    if complaint.message.starts_with("attribute `input.") {
        complaint.hint.get_or_insert_with(|| {
            "name the operations that have it, or ask first: context.input has …".to_owned()
        });
    }
    if complaint.message.starts_with("unable to find an applicable action") {
        complaint.hint.get_or_insert_with(|| {
            "no operation in the scope is ever asked of such a principal and resource".to_owned()
        });
    }
    if more > 0 {
        complaint.message.push_str(&format!("; and {more} more like this"));
    }
    complaint
}

fn wrong_folder(tier: Tier, policy: &cedar_policy::Policy) -> Option<Complaint> {
    match (tier, policy.effect()) {
        (Tier::Permit, Effect::Permit) | (Tier::Guardrail | Tier::Approval, Effect::Forbid) => None,
        (Tier::Permit, Effect::Forbid) => Some(
            Complaint::new("permits/ holds permits only")
                .hint("a forbid belongs in guardrails/, or in approvals/ if people may lift it"),
        ),
        (Tier::Guardrail | Tier::Approval, Effect::Permit) => Some(
            Complaint::new(format!("{}/ holds forbids only", tier.folder()))
                .hint("a permit belongs in permits/"),
        ),
    }
}

/// Raising a risk must never turn a denial into an allowance (I9): permits may name only the groups that shrink when a
/// risk is raised, forbids only those that grow; and neither in a condition, which could negate it.
fn wrong_risk(policy: &cedar_policy::Policy) -> Option<Complaint> {
    let is_risk = |uid: &&EntityUid| {
        *uid.type_name() == CORE.action && uid.id().unescaped().starts_with("risk.")
    };
    let scoped = match policy.action_constraint() {
        ActionConstraint::Any => Vec::new(),
        ActionConstraint::Eq(uid) => vec![uid],
        ActionConstraint::In(uids) => uids,
    };
    let anywhere = policy.entity_literals();
    if anywhere.iter().filter(is_risk).count() > scoped.iter().filter(is_risk).count() {
        return Some(
            Complaint::new("a condition names a risk group")
                .hint("name risks in the scope only: action in Action::\"risk.from.high\""),
        );
    }
    let (wrong, right, what) = match policy.effect() {
        Effect::Permit => ("risk.from.", "risk.up_to.", "permit"),
        Effect::Forbid => ("risk.up_to.", "risk.from.", "forbid"),
    };
    scoped.iter().filter(is_risk).any(|uid| uid.id().unescaped().starts_with(wrong)).then(|| {
        Complaint::new(format!("a {what} names `{wrong}*`"))
            .hint(format!("use Action::\"{right}…\": raising a risk must never allow more"))
    })
}
