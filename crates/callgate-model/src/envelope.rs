//! What the scopes of a credential cover, or what it was made for. It is an envelope and no decision: nothing outside is ever allowed, and what is
//! inside is decided by policy (I10).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::target::{Resource, Target};
use crate::vocabulary::{Effect, Risk, groups};

/// A part of all that can be done: what one scope, a token, a grant or a workflow is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Portion {
    /// The servers; any, if there are none.
    #[serde(default)]
    pub servers: BTreeSet<String>,
    /// Operations, and groups of them as policies name them: `jira.issue.edit`, `read`.
    pub actions: BTreeSet<String>,
    /// What the targets must be, or be in; anything, if this is empty.
    #[serde(default)]
    pub within: BTreeSet<Resource>,
    /// The highest risk; any, if this is nothing.
    #[serde(default)]
    pub risk_max: Option<Risk>,
}

/// What each scope of an issuer covers, by its name. Other scopes cover nothing.
pub type Portions = BTreeMap<String, Portion>;

/// The scopes of one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    portions: Arc<Portions>,
    held: BTreeSet<String>,
    /// What is covered beside scopes.
    details: Vec<Portion>,
}

/// What is done, as scopes know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action<'a> {
    /// The server.
    pub server: &'a str,
    /// The operation.
    pub operation: &'a str,
    /// What it does.
    pub effect: Effect,
    /// How bad this one can be.
    pub risk: Risk,
}

impl Envelope {
    /// The scopes in `held` that `portions` says something of.
    pub fn new(portions: Arc<Portions>, held: impl IntoIterator<Item = String>) -> Self {
        let held = held.into_iter().filter(|scope| portions.contains_key(scope)).collect();
        Self { portions, held, details: Vec::new() }
    }

    /// The same, which covers these as well.
    #[must_use]
    pub fn with_details(self, details: Vec<Portion>) -> Self {
        Self { details, ..self }
    }

    /// What is covered beside scopes.
    #[must_use]
    pub fn details(&self) -> &[Portion] {
        &self.details
    }

    /// The scopes that are held and cover anything.
    pub fn held(&self) -> impl Iterator<Item = &str> {
        self.held.iter().map(String::as_str)
    }

    /// Whether a scope that is held covers `action` on `target`.
    #[must_use]
    pub fn covers(&self, action: Action<'_>, target: &Target) -> bool {
        let held = self.held.iter().filter_map(|scope| self.portions.get(scope));
        held.chain(&self.details).any(|portion| portion.covers(action, target))
    }

    /// Whether any scope at all, which may be asked for, covers `action` on anything.
    #[must_use]
    pub fn could_cover(&self, action: Action<'_>) -> bool {
        self.portions.values().chain(&self.details).any(|portion| portion.is_about(action))
    }

    /// The scopes that are held, and those by which the rest of `targets` would be covered. Nothing, if none would.
    #[must_use]
    pub fn wanted(&self, action: Action<'_>, targets: &[Target]) -> Option<BTreeSet<String>> {
        let mut wanted = self.held.clone();
        for target in targets.iter().filter(|target| !self.covers(action, target)) {
            let mut all = self.portions.iter();
            let (scope, _) = all.find(|(_, portion)| portion.covers(action, target))?;
            wanted.insert(scope.clone());
        }
        Some(wanted)
    }
}

impl Action<'_> {
    fn names(self) -> Vec<String> {
        let mut names = groups(self.operation, self.effect, self.risk);
        names.push(self.operation.to_owned());
        names
    }
}

/// `write, read in Jira::Project "acme/ENG", of jira, up to medium`.
impl fmt::Display for Portion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |all: Vec<String>| all.join(", ");
        f.write_str(&join(self.actions.iter().cloned().collect()))?;
        if !self.within.is_empty() {
            write!(f, " in {}", join(self.within.iter().map(ToString::to_string).collect()))?;
        }
        if !self.servers.is_empty() {
            write!(f, ", of {}", join(self.servers.iter().cloned().collect()))?;
        }
        match self.risk_max {
            Some(risk) => write!(f, ", up to {}", risk.as_str()),
            None => Ok(()),
        }
    }
}

impl Portion {
    /// Whether it has `action` on something.
    #[must_use]
    pub fn is_about(&self, action: Action<'_>) -> bool {
        (self.servers.is_empty() || self.servers.contains(action.server))
            && self.risk_max.is_none_or(|highest| action.risk <= highest)
            && action.names().iter().any(|name| self.actions.contains(name))
    }

    /// Whether it has `action` on `target`.
    #[must_use]
    pub fn covers(&self, action: Action<'_>, target: &Target) -> bool {
        self.is_about(action) && (self.within.is_empty() || self.holds(target))
    }

    fn holds(&self, target: &Target) -> bool {
        let Target::Located(located) = target else { return false };
        let mut places = std::iter::once(&located.resource).chain(&located.containers);
        places.any(|place| self.within.contains(place))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::target::{Located, Obstacle, Unresolved};

    fn envelope(held: &[&str]) -> Envelope {
        let portion = |actions: &[&str], within: &[(&str, &str)]| Portion {
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
            within: within.iter().map(|(kind, id)| Resource::new(*kind, *id)).collect(),
            ..Portion::default()
        };
        let portions = Portions::from([
            ("all".to_owned(), portion(&["read"], &[])),
            ("eng".to_owned(), portion(&["jira.issue.edit"], &[("Jira::Project", "acme/ENG")])),
            ("harmless".to_owned(), portion(&["risk.up_to.low"], &[("Jira::Project", "acme/OPS")])),
        ]);
        Envelope::new(Arc::new(portions), held.iter().map(|scope| (*scope).to_owned()))
    }

    fn issue(project: &str) -> Target {
        Target::Located(Located {
            resource: Resource::new("Jira::Issue", format!("{project}-1")),
            containers: vec![Resource::new("Jira::Project", project)],
        })
    }

    const READ: Action<'_> = Action {
        server: "jira",
        operation: "jira.issue.read",
        effect: Effect::Read,
        risk: Risk::Low,
    };
    const EDIT: Action<'_> =
        Action { operation: "jira.issue.edit", effect: Effect::Write, risk: Risk::Medium, ..READ };

    #[test]
    fn i9_a_portion_ends_at_its_servers_and_its_highest_risk() {
        let actions = BTreeSet::from(["read".to_owned(), "write".to_owned()]);
        let all = Portion { actions, ..Portion::default() };
        let low = Portion { risk_max: Some(Risk::Low), ..all.clone() };
        let there = Portion { servers: BTreeSet::from(["wiki".to_owned()]), ..all.clone() };
        let target = issue("acme/ENG");
        for (portion, read, edit) in
            [(&all, true, true), (&low, true, false), (&there, false, false)]
        {
            assert_eq!(portion.covers(READ, &target), read, "{portion:?}");
            assert_eq!(portion.covers(EDIT, &target), edit, "{portion:?}");
        }
        assert!(there.covers(Action { server: "wiki", ..EDIT }, &target));
        let raised = Action { risk: Risk::Medium, ..READ };
        assert!(!low.covers(raised, &target), "a higher risk is never covered by less");
    }

    #[test]
    fn a_scope_covers_what_is_said_of_it_and_no_more() {
        let (eng, ops) = (issue("acme/ENG"), issue("acme/OPS"));
        let nowhere = Target::Unresolved(Unresolved {
            kind: "Jira::Issue".to_owned(),
            site: "acme".to_owned(),
            obstacle: Obstacle::Query,
            spelled: String::new(),
        });
        for (held, action, target, covered) in [
            (&["all"][..], READ, &eng, true),
            (&["all"], READ, &nowhere, true),
            (&["all"], EDIT, &eng, false),
            (&["eng"], EDIT, &eng, true),
            (&["eng"], EDIT, &ops, false),
            (&["eng"], EDIT, &nowhere, false),
            (&["eng"], READ, &eng, false),
            (&["harmless"], READ, &ops, true),
            (&["harmless"], EDIT, &ops, false),
            (&["unknown"], READ, &eng, false),
            (&[], READ, &eng, false),
        ] {
            let envelope = envelope(held);
            assert_eq!(envelope.covers(action, target), covered, "{held:?} {action:?} {target}");
        }
        assert!(envelope(&[]).could_cover(EDIT), "it may be asked for");
        let operation = "jira.issue.delete";
        let delete = Action { operation, effect: Effect::Delete, risk: Risk::High, ..READ };
        assert!(!envelope(&["all"]).could_cover(delete));
    }

    #[test]
    fn what_is_wanted_is_what_is_held_and_what_is_missing() {
        let wanted = |held: &[&str], action, targets: &[Target]| {
            let wanted = envelope(held).wanted(action, targets)?;
            Some(wanted.into_iter().collect::<Vec<_>>().join(" "))
        };
        let (eng, ops) = (issue("acme/ENG"), issue("acme/OPS"));
        assert_eq!(wanted(&["all"], EDIT, std::slice::from_ref(&eng)).as_deref(), Some("all eng"));
        assert_eq!(wanted(&[], READ, std::slice::from_ref(&eng)).as_deref(), Some("all"));
        assert_eq!(wanted(&["all"], EDIT, &[eng, ops]), None, "no scope covers both");
    }

    fn any_portion() -> impl Strategy<Value = Portion> {
        let some = |names: &'static [&'static str]| {
            proptest::collection::btree_set(proptest::sample::select(names), 0..3)
                .prop_map(|names| names.into_iter().map(str::to_owned).collect())
        };
        let places = proptest::collection::btree_set(
            proptest::sample::select(&["acme/ENG", "acme/OPS", "acme/HR"][..]),
            0..3,
        );
        let risks = proptest::option::of(proptest::sample::select(Risk::ALL));
        let servers = some(&["jira", "wiki"]);
        let actions = some(&["read", "write", "jira.issue.edit", "risk.up_to.low"]);
        (servers, actions, places, risks).prop_map(|(servers, actions, places, risk_max)| {
            let within = places.into_iter().map(|id| Resource::new("Jira::Project", id)).collect();
            Portion { servers, actions, within, risk_max }
        })
    }

    proptest! {
        /// I9: whatever is taken from a portion, and however much worse an action gets, nothing more is covered.
        #[test]
        fn i9_narrowing_never_widens(
            portion in any_portion(),
            place in proptest::sample::select(&["acme/ENG", "acme/OPS", "acme/HR", "acme/X"][..]),
            server in proptest::sample::select(&["jira", "wiki"][..]),
            risk in proptest::sample::select(Risk::ALL),
            lower in proptest::sample::select(Risk::ALL),
        ) {
            let target = issue(place);
            for action in [Action { server, risk, ..READ }, Action { server, risk, ..EDIT }] {
                let covers = portion.covers(action, &target);
                let mut narrower = Vec::new();
                let highest = portion.risk_max.map_or(lower, |highest| highest.min(lower));
                narrower.push(Portion { risk_max: Some(highest), ..portion.clone() });
                if portion.actions.len() > 1 {
                    let mut less = portion.clone();
                    less.actions.pop_first();
                    narrower.push(less);
                }
                if portion.within.len() > 1 {
                    let mut less = portion.clone();
                    less.within.pop_first();
                    narrower.push(less);
                }
                if portion.servers.is_empty() {
                    let servers = BTreeSet::from(["jira".to_owned()]);
                    narrower.push(Portion { servers, ..portion.clone() });
                }
                for less in narrower {
                    prop_assert!(covers || !less.covers(action, &target), "{portion:?} {less:?}");
                }
                let worse = Action { risk: action.risk.max(lower), ..action };
                prop_assert!(covers || !portion.covers(worse, &target), "{portion:?} {worse:?}");
            }
        }
    }
}
