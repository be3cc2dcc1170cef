//! The scope index: from what a call names to the few policies that could match it.
//!
//! Policies are filed under the entities that their scope names, the principal's and the resource's together, so that
//! neither a group with a thousand permits nor a project with a thousand costs a call that concerns one of them. Only a
//! policy that names neither is filed under its actions. Filing decides speed alone: what is found is compared with
//! the call once more.

use std::collections::HashMap;

use crate::bundle::Policy;
use crate::names::{Closure, Name};
use crate::scope::Actions;

/// Where a policy is filed: the names in its scope. The action counts only if the others are absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Key {
    principal: Option<Name>,
    resource: Option<Name>,
    action: Option<Name>,
}

/// The index of one bundle; policies by their position in it.
#[derive(Debug, Default)]
pub(crate) struct Index {
    filed: HashMap<Key, Vec<usize>>,
    permits_by_principal: HashMap<Option<Name>, Vec<usize>>,
    walls: Vec<usize>,
}

impl Index {
    /// Files `policy`, which is at `position`.
    pub(crate) fn file(&mut self, position: usize, policy: &Policy) {
        let principal = policy.scope.principal.anchor.as_ref().map(|anchor| anchor.name);
        let resource = policy.scope.resource.anchor.as_ref().map(|anchor| anchor.name);
        let key = Key { principal, resource, action: None };
        match &policy.scope.action {
            Actions::Is(name) if key == Key::default() => {
                self.put(Key { action: Some(*name), ..key }, position);
            }
            Actions::In(names) if key == Key::default() => {
                for name in names {
                    self.put(Key { action: Some(*name), ..key }, position);
                }
            }
            Actions::Any | Actions::Is(_) | Actions::In(_) => self.put(key, position),
        }
        if policy.in_shadow {
            return;
        }
        if policy.is_permit() {
            self.permits_by_principal.entry(principal).or_default().push(position);
        }
        if policy.is_wall() {
            self.walls.push(position);
        }
    }

    fn put(&mut self, key: Key, position: usize) {
        self.filed.entry(key).or_default().push(position);
    }

    /// The positions of the policies that could match, in order, each once.
    pub(crate) fn find(
        &self,
        principal: &Closure,
        action: &Closure,
        resource: &Closure,
    ) -> Vec<usize> {
        let mut found = Vec::new();
        for principal in or_none(&principal.all) {
            for resource in or_none(&resource.all) {
                self.get(Key { principal, resource, action: None }, &mut found);
            }
        }
        for action in &action.all {
            self.get(Key { action: Some(*action), ..Key::default() }, &mut found);
        }
        // A policy that names several actions is filed once for each.
        found.sort_unstable();
        found.dedup();
        found
    }

    fn get(&self, key: Key, found: &mut Vec<usize>) {
        found.extend(self.filed.get(&key).into_iter().flatten());
    }

    /// The positions of the guardrails that no argument of a call can avoid.
    pub(crate) fn walls(&self) -> &[usize] {
        &self.walls
    }

    /// The positions of the permits whose principal could match, whatever the rest of their scope.
    pub(crate) fn permits_of(&self, principal: &Closure) -> impl Iterator<Item = usize> {
        or_none(&principal.all)
            .filter_map(|name| self.permits_by_principal.get(&name))
            .flatten()
            .copied()
    }
}

fn or_none(names: &[Name]) -> impl Iterator<Item = Option<Name>> {
    std::iter::once(None).chain(names.iter().copied().map(Some))
}
