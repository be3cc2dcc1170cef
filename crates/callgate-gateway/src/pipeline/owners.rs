//! Gates that name no team, but whoever owns what a call touches.

use std::collections::{BTreeMap, BTreeSet};

use callgate_model::decision::Gate;
use callgate_model::target::{Resource, Target};

use super::Gateway;

/// Whose things are: a team (`team:leads`) for each, and for what is in it.
pub type Owners = BTreeMap<Resource, String>;

impl Gateway {
    /// These gates, with the owner's team in the place of [`Gate::OWNER`]. `None` if nobody owns all of what a call touches.
    pub(super) fn owned(&self, mut gates: Vec<Gate>, targets: &[Target]) -> Option<Vec<Gate>> {
        for gate in gates.iter_mut().filter(|gate| gate.approvers == Gate::OWNER) {
            owner(&self.settings.owners, targets)?.clone_into(&mut gate.approvers);
        }
        Some(gates)
    }
}

/// Who owns the innermost thing that all targets are, or are in, of those that somebody owns.
fn owner<'o>(owners: &'o Owners, targets: &[Target]) -> Option<&'o str> {
    let places = |target: &Target| match target {
        Target::Located(located) => {
            let resource = [located.resource.clone()];
            Some(resource.into_iter().chain(located.containers.iter().cloned()).collect())
        }
        Target::Unresolved(_) => None,
    };
    let all: Vec<Vec<Resource>> = targets.iter().map(places).collect::<Option<_>>()?;
    let (first, others) = all.split_first()?;
    let others: Vec<BTreeSet<&Resource>> = others.iter().map(|one| one.iter().collect()).collect();
    let shared = |place: &&Resource| others.iter().all(|one| one.contains(place));
    first.iter().filter(shared).find_map(|place| owners.get(place)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use callgate_model::target::{Obstacle, Unresolved};

    use super::*;

    fn issue(project: &str, number: u32) -> Target {
        let resource = Resource::new("Jira::Issue", format!("acme/{project}-{number}"));
        let project = Resource::new("Jira::Project", format!("acme/{project}"));
        Target::located(resource, vec![project, Resource::new("Atlassian::Site", "acme")])
    }

    fn owners(named: &[(&str, &str, &str)]) -> Owners {
        let one =
            |(kind, id, team): &(&str, &str, &str)| (Resource::new(*kind, *id), (*team).to_owned());
        named.iter().map(one).collect()
    }

    #[test]
    fn the_innermost_that_holds_all_of_it_counts() {
        let (eng, site, one) = (
            ("Jira::Project", "acme/ENG", "team:eng"),
            ("Atlassian::Site", "acme", "team:site"),
            ("Jira::Issue", "acme/ENG-1", "team:one"),
        );
        let all = owners(&[eng, site, one]);
        let own = |targets: &[Target]| owner(&all, targets);
        assert_eq!(own(&[issue("ENG", 1)]), Some("team:one"));
        assert_eq!(own(&[issue("ENG", 2)]), Some("team:eng"));
        assert_eq!(own(&[issue("ENG", 1), issue("ENG", 2)]), Some("team:eng"));
        assert_eq!(own(&[issue("ENG", 2), issue("HR", 1)]), Some("team:site"));
        assert_eq!(owner(&owners(&[eng]), &[issue("ENG", 2), issue("HR", 1)]), None);
    }

    #[test]
    fn i5_what_is_not_known_is_nobodys() {
        let all = owners(&[("Atlassian::Site", "acme", "team:site")]);
        let unknown = Target::Unresolved(Unresolved {
            kind: "Jira::Issue".to_owned(),
            site: "acme".to_owned(),
            obstacle: Obstacle::OpaqueId,
            spelled: "10001".to_owned(),
        });
        assert_eq!(owner(&all, std::slice::from_ref(&unknown)), None);
        assert_eq!(owner(&all, &[issue("ENG", 1), unknown]), None);
        assert_eq!(owner(&all, &[]), None);
    }
}
