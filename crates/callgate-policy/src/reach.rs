//! Could any call of an operation be allowed, whatever its arguments? That is what a list of tools shows (I3).
//!
//! Read off the scopes alone, so it is quick and says yes rather too often: conditions are taken to hold. What it
//! must never do is say no to an operation of which [`decide`](crate::decide) allows some call, even after approval.

use std::collections::{BTreeMap, BTreeSet};

use callgate_model::envelope::{Action, Portion};
use callgate_model::target::Resource;
use callgate_model::vocabulary::{Effect, Operation, Risk};
use cedar_policy::{EntityTypeName, EntityUid};

use crate::bundle::{Bundle, Policy};
use crate::caller::{Link, PreparedCaller, Role};
use crate::known::Kind;
use crate::names::{Closure, uid};
use crate::scope::Party;

/// Whether some call of `operation` of `server` at `risk` could be allowed to `caller`, perhaps after approval or with a grant.
#[must_use]
pub fn could_allow(
    bundle: &Bundle,
    caller: &PreparedCaller,
    server: &str,
    operation: &Operation,
    risk: Risk,
) -> bool {
    let Some(permits) = permits(bundle, caller, server, operation, risk) else { return false };
    let known = operation.targets.iter().filter_map(|kind| bundle.known.kind(kind));
    let known = known.map(Some);
    // What is not known can only be read.
    let unknown = (operation.effect == Effect::Read).then_some(None);
    known.chain(unknown).any(|kind| have_common_target(&permits, kind, None))
}

/// The same of calls one of whose targets is located, and certainly in `container`. Kinds that cannot be in it do not count.
#[must_use]
pub fn could_allow_in(
    bundle: &Bundle,
    caller: &PreparedCaller,
    server: &str,
    operation: &Operation,
    risk: Risk,
    container: &Resource,
) -> bool {
    let Some(permits) = permits(bundle, caller, server, operation, risk) else { return false };
    let Some(place) = bundle.known.kind(&container.kind).map(|kind| &kind.type_name) else {
        return false;
    };
    let container = uid(place, &container.id);
    let known = operation.targets.iter().filter_map(|kind| bundle.known.kind(kind));
    let mut inside =
        known.filter(|kind| kind.type_name == *place || kind.containers.contains(place));
    inside.any(|kind| have_common_target(&permits, Some(kind), Some(&container)))
}

/// Whether some call of `operation` could be what the credential and the workflow of `caller` are for, whatever policies say.
#[must_use]
pub fn could_cover(
    caller: &PreparedCaller,
    server: &str,
    operation: &Operation,
    risk: Risk,
) -> bool {
    // A scope that is not held may be asked for.
    let (name, effect) = (operation.name.as_str(), operation.effect);
    let action = Action { server, operation: name, effect, risk };
    let scopes = caller.credential.scopes.as_ref();
    let workflow = caller.workflow.as_ref().filter(|run| run.assurance.is_assured());
    let is_about = |portion: &Portion| portion.is_about(action);
    scopes.is_none_or(|all| all.could_cover(action))
        && caller.credential.within.as_ref().is_none_or(is_about)
        && workflow.and_then(|run| run.within.as_ref()).is_none_or(is_about)
}

/// Of each link that has to be permitted, the permits for `operation`. Nothing, if some link cannot be allowed anything.
fn permits<'a>(
    bundle: &'a Bundle,
    caller: &PreparedCaller,
    server: &str,
    operation: &Operation,
    risk: Risk,
) -> Option<Vec<Vec<&'a Policy>>> {
    if !could_cover(caller, server, operation, risk) {
        return None;
    }
    let level = bundle.known.level(operation, risk)?;
    let action = bundle.names.closure(&level.uid, &level.groups);
    let mut permits = Vec::new();
    for link in caller.links() {
        let closure = bundle.names.closure(&link.uid, &link.parents);
        if bundle.walls().any(|wall| covers(wall, link, &closure, &action)) {
            return None;
        }
        match link.role {
            Role::Actor => {}
            Role::Human | Role::ServiceAccount | Role::Agent if link.assured => {
                permits.push(bundle.permits((&link.uid, &closure), &action));
            }
            Role::Human | Role::ServiceAccount | Role::Agent => return None,
        }
    }
    Some(permits)
}

fn covers(policy: &Policy, link: &Link, closure: &Closure, action: &Closure) -> bool {
    policy.scope.principal.covers(link.uid.type_name(), closure)
        && policy.scope.action.covers(action)
}

/// Whether there could be one target of `kind` (`None`: unresolved), and in `container`, that each of these sets of
/// permits covers.
fn have_common_target(
    permits: &[Vec<&Policy>],
    kind: Option<&Kind>,
    container: Option<&EntityUid>,
) -> bool {
    let reaches: Vec<Reach<'_>> =
        permits.iter().map(|permits| Reach::of(permits, kind, container)).collect();
    let pairs = reaches
        .iter()
        .enumerate()
        .flat_map(|(at, reach)| reaches.iter().skip(at + 1).map(move |other| (reach, other)));
    reaches.iter().all(|reach| !reach.is_empty())
        && pairs.into_iter().all(|(reach, other)| reach.meets(other))
}

/// Which targets of one kind some permits cover.
#[derive(Default)]
struct Reach<'a> {
    /// Any of them, as far as the scopes say.
    open: bool,
    /// Those that are, or are in, one of these; by type.
    within: BTreeMap<&'a EntityTypeName, BTreeSet<&'a EntityUid>>,
}

impl<'a> Reach<'a> {
    fn of(permits: &[&'a Policy], kind: Option<&Kind>, container: Option<&EntityUid>) -> Self {
        let mut reach = Self::default();
        let resources = permits.iter().map(|permit| &permit.scope.resource);
        let nests = |named: &EntityTypeName| kind.is_some_and(|kind| kind.nested.contains(named));
        let elsewhere = |resource: &Party| {
            resource.anchor.as_ref().zip(container).is_some_and(|(anchor, container)| {
                let named = anchor.uid.type_name();
                named == container.type_name() && anchor.uid != *container && !nests(named)
            })
        };
        for resource in resources.filter(|resource| reaches(resource, kind) && !elsewhere(resource))
        {
            match &resource.anchor {
                None => reach.open = true,
                // One folder may be in the other: their names say nothing of whether they meet.
                Some(anchor) if nests(anchor.uid.type_name()) => reach.open = true,
                Some(anchor) => {
                    reach.within.entry(anchor.uid.type_name()).or_default().insert(&anchor.uid);
                }
            }
        }
        reach
    }

    fn is_empty(&self) -> bool {
        !self.open && self.within.is_empty()
    }

    /// Whether one target could be in both. A target is in at most one thing of each type, so two sets that name things
    /// of the same type meet only in a thing that both name; about different types nothing can be said.
    fn meets(&self, other: &Self) -> bool {
        let mut pairs =
            self.within.iter().flat_map(|(a, ids)| other.within.iter().map(move |b| (a, ids, b)));
        self.open
            || other.open
            || pairs.any(|(a, ids, (b, others))| a != b || !ids.is_disjoint(others))
    }
}

/// Whether the resource part of a scope can cover a target of `kind`.
fn reaches(resource: &Party, kind: Option<&Kind>) -> bool {
    let Some(kind) = kind else { return resource.names_unresolved() };
    resource.kind.as_ref().is_none_or(|is| *is == kind.type_name)
        && resource.anchor.as_ref().is_none_or(|anchor| {
            let named = anchor.uid.type_name();
            *named == kind.type_name || (!anchor.exact && kind.containers.contains(named))
        })
}
