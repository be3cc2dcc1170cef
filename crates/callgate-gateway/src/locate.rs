//! What a call touches: from arguments, or a URI, to targets and fields, by the rules of the catalog.
//!
//! Nothing is guessed. An argument that is absent, of another type or in a spelling that is not certainly one thing
//! gives an unresolved target, which policies can see. It must not know policies, nor servers.

mod project;
mod query;
mod resource;

use std::collections::BTreeMap;
use std::sync::Arc;

use callgate_model::json::{Json, Object};
use callgate_model::products;
use callgate_model::products::atlassian::{self, Site};
use callgate_model::reason::Reason;
use callgate_model::target::{Obstacle, Resource, Target};
use callgate_model::vocabulary::FieldValue;

use crate::catalog::select::{Leaf, listed, spelling, walk};
use crate::catalog::{Lookup, Named, Path, ServerCatalog, Source, Split, TargetRule};

/// The kind of a site.
const SITE: &str = "Atlassian::Site";

/// Most different targets that one call may have.
pub const TARGETS_MAX: usize = 100;

impl ServerCatalog {
    /// Everything that the call `named` with the arguments `effective` touches.
    ///
    /// # Errors
    /// [`Reason::TooManyTargets`].
    pub fn locate(&self, named: &Named, effective: &Object) -> Result<Touched, Reason> {
        let mut targets = self.located(&named.rule.targets, effective)?;
        let site = self.site(named.rule.site.as_ref(), effective);
        targets.pin(&site)?;
        let kind = named.operation.targets.first().map_or("", String::as_str);
        for (name, rule) in &named.rule.fields {
            if let Some(field) = named.operation.fields.get(name)
                && !project::project(rule, *field, effective).is_readable
            {
                // Policies would see the field as absent, and the server may not.
                let obstacle = Obstacle::UnknownForm;
                targets.add(Target::unresolved(kind, "", obstacle, &format!("field {name}")))?;
            }
        }
        if targets.all.is_empty() {
            targets.add(match site {
                Ok(site) if named.rule.targets.is_empty() => atlassian::site_target(site),
                _ => {
                    let site = site.as_ref().map_or("", |site| site.alias());
                    Target::unresolved(kind, site, Obstacle::Missing, "")
                }
            })?;
        }
        Ok(Touched { targets: targets.all, by_name: targets.by_name, gap: targets.gap })
    }

    /// What `rules` find in `arguments`.
    fn located(&self, rules: &[TargetRule], arguments: &Object) -> Result<Targets, Reason> {
        let mut targets = Targets::default();
        for rule in rules {
            let place =
                Place { rule, site: self.site(rule.site.as_ref(), arguments), catalog: self };
            place.locate(arguments, &mut targets)?;
            targets.pin(&place.site)?;
        }
        Ok(targets)
    }

    /// Every field of the operation, as the arguments `effective` give it.
    #[must_use]
    pub fn fields(&self, named: &Named, effective: &Object) -> BTreeMap<String, FieldValue> {
        let value = |(name, field): (&String, &_)| {
            let rule = named.rule.fields.get(name);
            let value = rule.map(|rule| project::project(rule, *field, effective).value);
            (name.clone(), value.unwrap_or_else(|| field.absent()))
        };
        named.operation.fields.iter().map(value).collect()
    }

    /// The fields of the call whose values only the server knows, each with what the call names them by.
    #[must_use]
    pub fn looked_up(&self, named: &Named, effective: &Object) -> Vec<LookedUp> {
        let rules = named.rule.fields.iter();
        rules
            .filter_map(|(field, rule)| {
                let lookup = Arc::clone(self.lookup(rule.lookup.as_deref()?)?);
                let mut keys: Vec<String> = Vec::new();
                for path in &rule.paths {
                    walk(path, effective, &mut |leaf| match leaf {
                        Leaf::Found(value) => {
                            keys.push(spelling(value).unwrap_or_default().to_owned());
                        }
                        Leaf::Absent => {}
                        Leaf::Unreadable => keys.push(String::new()),
                    });
                }
                // The server takes one of them, and nobody knows which.
                keys.dedup();
                let key = if let [only] = &*keys { only.clone() } else { String::new() };
                Some(LookedUp { field: field.clone(), lookup, key })
            })
            .collect()
    }

    /// The site that a call means, or why it is not known and what the call said. Whatever it says that is not certainly a
    /// configured site is taken for another one.
    fn site(&self, path: Option<&Path>, arguments: &Object) -> SiteSaid<'_> {
        let missing = || (Obstacle::Missing, String::new());
        let Some(path) = path else { return self.sites.default_site().ok_or_else(missing) };
        let mut site = Err(missing());
        walk(path, arguments, &mut |leaf| match leaf {
            Leaf::Absent => site = self.sites.default_site().ok_or_else(missing),
            Leaf::Found(Json::String(text)) => {
                let unknown = |_| (Obstacle::UnknownSite, text.clone());
                site = self.sites.resolve(text).map_err(unknown);
            }
            Leaf::Found(other) => site = Err((Obstacle::UnknownSite, other.to_text())),
            Leaf::Unreadable => site = Err((Obstacle::UnknownSite, path.to_string())),
        });
        site
    }
}

/// A field whose value only the server knows.
#[derive(Clone, Debug)]
pub struct LookedUp {
    /// Its name.
    pub field: String,
    /// How it is found.
    pub lookup: Arc<Lookup>,
    /// What the call names it by; empty if that cannot be read.
    pub key: String,
}

/// The site of a call, or why it is not known and what the call said.
type SiteSaid<'a> = Result<&'a Site, (Obstacle, String)>;

/// What a call touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Never empty.
    pub targets: Vec<Target>,
    /// Projects in a query by what may be their key or, if none has that key, another one's name.
    pub by_name: Vec<Resource>,
    /// Why a query has no bounds, for whoever wrote it.
    pub gap: Option<String>,
}

/// Different targets, in the order in which they were found.
#[derive(Default, PartialEq)]
struct Targets {
    all: Vec<Target>,
    by_name: Vec<Resource>,
    gap: Option<String>,
}

impl Targets {
    fn add(&mut self, target: Target) -> Result<(), Reason> {
        if self.all.contains(&target) {
            return Ok(());
        }
        if self.all.len() >= TARGETS_MAX {
            return Err(Reason::TooManyTargets);
        }
        self.all.push(target);
        Ok(())
    }

    /// Another site that was named is among the targets, also if none of them is in a site: the server may think otherwise.
    fn pin(&mut self, site: &SiteSaid<'_>) -> Result<(), Reason> {
        let Err((Obstacle::UnknownSite, said)) = site else { return Ok(()) };
        let is_said = |target: &Target| match target {
            Target::Located(_) => false,
            Target::Unresolved(unresolved) => unresolved.obstacle == Obstacle::UnknownSite,
        };
        if self.all.iter().any(is_said) {
            return Ok(());
        }
        self.add(Target::unresolved(SITE, "", Obstacle::UnknownSite, said))
    }
}

/// One rule in one call.
struct Place<'a> {
    rule: &'a TargetRule,
    site: SiteSaid<'a>,
    catalog: &'a ServerCatalog,
}

impl Place<'_> {
    fn locate(&self, arguments: &Object, targets: &mut Targets) -> Result<(), Reason> {
        match &self.rule.source {
            Source::WholeSite => targets.add(self.whole_site()),
            Source::Constant(id) => {
                let resource = Resource::new(self.rule.kind.as_str(), id.as_str());
                targets.add(Target::located(resource, Vec::new()))
            }
            Source::Query { path, language, mixed } => {
                self.query((path, *language, mixed), arguments, targets)
            }
            Source::Ids { alternatives, split } => {
                let mut found = false;
                for paths in alternatives {
                    found |= match paths.as_slice() {
                        [path] => self.each_id(path, *split, arguments, targets)?,
                        paths => self.composite(paths, arguments, targets)?,
                    };
                }
                match (found, self.rule.optional, self.rule.or_site) {
                    (true, _, _) | (false, true, _) => Ok(()),
                    (false, false, true) => targets.add(self.whole_site()),
                    (false, false, false) => targets.add(self.unresolved(Obstacle::Missing, "")),
                }
            }
        }
    }

    /// Adds every id at `path`, and says whether anything was there.
    fn each_id(
        &self,
        path: &Path,
        split: Option<Split>,
        arguments: &Object,
        targets: &mut Targets,
    ) -> Result<bool, Reason> {
        let mut found = false;
        let mut added = Ok(());
        let mut add = |target| {
            if added.is_ok() {
                added = targets.add(target);
            }
        };
        walk(path, arguments, &mut |leaf| {
            let spelled = match leaf {
                Leaf::Absent if path.is_plural() && !self.rule.optional => None,
                Leaf::Absent => return,
                Leaf::Found(value) => spelling(value),
                Leaf::Unreadable => None,
            };
            found = true;
            match (spelled, split) {
                (None, _) => add(self.unresolved(Obstacle::Missing, &path.to_string())),
                (Some(ids), Some(split)) => match listed(ids, split) {
                    Some(ids) if ids.is_empty() && self.rule.optional => {}
                    Some(ids) if !ids.is_empty() => {
                        ids.iter().for_each(|id| add(self.id(&[id.as_str()])));
                    }
                    Some(_) | None => add(self.unresolved(Obstacle::Missing, ids)),
                },
                (Some(id), None) => add(self.id(&[id])),
            }
        });
        added.map(|()| found)
    }

    /// Adds the one id whose parts are at `paths`, and says whether any part was there.
    fn composite(
        &self,
        paths: &[Path],
        arguments: &Object,
        targets: &mut Targets,
    ) -> Result<bool, Reason> {
        let mut parts: Vec<String> = Vec::new();
        let mut unreadable = false;
        for path in paths {
            walk(path, arguments, &mut |leaf| match leaf {
                Leaf::Absent => {}
                Leaf::Found(value) => match spelling(value) {
                    Some(part) => parts.push(part.to_owned()),
                    None => unreadable = true,
                },
                Leaf::Unreadable => unreadable = true,
            });
        }
        if parts.is_empty() && !unreadable {
            return Ok(false);
        }
        let spelled: Vec<&str> = parts.iter().map(String::as_str).collect();
        targets.add(if unreadable || parts.len() < paths.len() {
            self.unresolved(Obstacle::Missing, &spelled.join("/"))
        } else {
            self.id(&spelled)
        })?;
        Ok(true)
    }

    /// The target that `parts` spell.
    fn id(&self, parts: &[&str]) -> Target {
        let kind = self.rule.kind.as_str();
        if self.rule.is_in_site() && atlassian::knows(kind) {
            match self.site {
                Ok(site) => atlassian::locate(kind, parts, site),
                Err(_) => self.unresolved(Obstacle::Missing, &parts.join("/")),
            }
        } else if atlassian::knows(kind) {
            atlassian::locate_in_bitbucket(kind, parts)
        } else {
            products::locate(kind, parts).unwrap_or_else(|| self.plain_id(parts))
        }
    }

    /// An id of a product that is not known: its parts as they are, if they are plain; containers by the first parts.
    fn plain_id(&self, parts: &[&str]) -> Target {
        let plain = |part: &&str| {
            (1..=256).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:@~-".contains(&b))
                && part.bytes().any(|b| b.is_ascii_alphanumeric())
        };
        if !parts.iter().all(plain) {
            return self.unresolved(Obstacle::UnknownForm, &parts.join("/"));
        }
        let canonical = parts.iter().zip(&self.rule.ignores_case).map(|(part, ignored)| {
            if *ignored { part.to_ascii_lowercase() } else { (*part).to_owned() }
        });
        let parts: Vec<String> = canonical.collect();
        let resource = Resource::new(self.rule.kind.as_str(), parts.join("/"));
        let containers = self.rule.containers.iter().enumerate().filter_map(|(index, kind)| {
            let outer = parts.get(..parts.len().checked_sub(index + 1)?)?;
            Some(Resource::new(kind.as_str(), outer.join("/")))
        });
        Target::located(resource, containers.collect())
    }

    fn whole_site(&self) -> Target {
        match &self.site {
            Ok(site) => atlassian::site_target(site),
            Err(_) => self.unresolved(Obstacle::Missing, ""),
        }
    }

    /// Unresolved because of `obstacle`, or because of the site if that is not known: that is the outer question.
    fn unresolved(&self, obstacle: Obstacle, spelled: &str) -> Target {
        let kind = &self.rule.kind;
        match &self.site {
            _ if !self.rule.is_in_site() => Target::unresolved(kind, "", obstacle, spelled),
            Ok(site) => Target::unresolved(kind, site.alias(), obstacle, spelled),
            Err((obstacle, site)) => Target::unresolved(kind, "", *obstacle, site),
        }
    }
}

#[cfg(test)]
mod tests;
