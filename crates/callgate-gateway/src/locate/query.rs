//! What a query reaches: what it is bounded by, or that it has no bounds.

use callgate_model::json::{Json, Object};
use callgate_model::products::atlassian::query::{Bound, QueryError, Reach, cql, jql};
use callgate_model::products::atlassian::{self, Site};
use callgate_model::products::github;
use callgate_model::reason::Reason;
use callgate_model::target::{Obstacle, Target};

use super::{Place, Targets};
use crate::catalog::select::{Leaf, walk};
use crate::catalog::{Language, Path};

const PROJECT: &str = "Jira::Project";

impl Place<'_> {
    /// Adds what the query at the path reaches. `mixed` are arguments that the server makes another query with.
    pub(super) fn query(
        &self,
        (path, language, mixed): (&Path, Language, &[Path]),
        arguments: &Object,
        targets: &mut Targets,
    ) -> Result<(), Reason> {
        let mut query = String::new();
        let mut is_text = true;
        walk(path, arguments, &mut |leaf| match leaf {
            Leaf::Found(Json::String(text)) => query.clone_from(text),
            Leaf::Found(other) => (is_text, query) = (false, other.to_text()),
            Leaf::Absent => {}
            Leaf::Unreadable => is_text = false,
        });
        if language == Language::GitHub && is_text {
            return self.github(&query, mixed, arguments, targets);
        }
        let other = mixed.iter().find(|path| is_there(path, arguments));
        let reached = match (language, other) {
            _ if !is_text => Err("the query is no text".to_owned()),
            (_, Some(path)) => Err(format!("with {path} it is another query; leave that out")),
            (Language::Jql, None) => bounds(jql(&query)),
            (Language::Cql, None) => bounds(cql(&query)),
            (Language::CqlOrText, None) if query.contains('=') => bounds(cql(&query)),
            (Language::Sql, None) => Err("what SQL does is not told from its text".to_owned()),
            (Language::CqlOrText | Language::GitHub | Language::Text, None) => {
                Err("free text can find anything".to_owned())
            }
        };
        match (reached, &self.site) {
            (Ok(bounds), Ok(site)) => {
                bounds.iter().try_for_each(|bound| self.bounded(bound, site, &query, targets))
            }
            (Ok(_), Err(_)) => targets.add(self.unresolved(Obstacle::Query, &query)),
            (Err(gap), _) => {
                targets.gap.get_or_insert(gap);
                targets.add(self.unresolved(Obstacle::Query, &query))
            }
        }
    }

    /// Adds what a query of GitHub's reaches. `beside` are the arguments with the owner and the name of a repository.
    fn github(
        &self,
        query: &str,
        beside: &[Path],
        arguments: &Object,
        targets: &mut Targets,
    ) -> Result<(), Reason> {
        let texts: Vec<String> = beside.iter().filter_map(|path| text(path, arguments)).collect();
        let there = beside.iter().filter(|path| is_there(path, arguments)).count();
        let reached = match texts.as_slice() {
            [owner, name] => github::search(query, Some((owner, name))),
            [] if there == 0 => github::search(query, None),
            _ => Err("say both the owner and the repository, or neither".to_owned()),
        };
        match reached {
            Ok(bounds) => {
                bounds.into_iter().try_for_each(|bound| targets.add(Target::Located(bound)))
            }
            Err(gap) => {
                targets.gap.get_or_insert(gap);
                targets.add(self.unresolved(Obstacle::Query, query))
            }
        }
    }

    fn bounded(
        &self,
        bound: &Bound,
        site: &Site,
        query: &str,
        targets: &mut Targets,
    ) -> Result<(), Reason> {
        let target = atlassian::locate(bound.kind, &[&bound.id], site);
        if let Target::Located(located) = &target
            && bound.kind == PROJECT
        {
            if self.catalog.resolver(PROJECT).is_none() {
                let gap = format!("whether `{}` is a key or a name cannot be asked", bound.id);
                targets.gap.get_or_insert(gap);
                return targets.add(self.unresolved(Obstacle::Query, query));
            }
            targets.by_name.push(located.resource.clone());
        }
        targets.add(target)
    }
}

fn is_there(path: &Path, arguments: &Object) -> bool {
    let mut found = false;
    walk(path, arguments, &mut |leaf| found |= !matches!(leaf, Leaf::Absent));
    found
}

/// The one text at `path`.
fn text(path: &Path, arguments: &Object) -> Option<String> {
    let mut found = None;
    walk(path, arguments, &mut |leaf| match leaf {
        Leaf::Found(Json::String(text)) => found = Some(text.clone()),
        Leaf::Found(_) | Leaf::Absent | Leaf::Unreadable => {}
    });
    found
}

fn bounds(reach: Result<Reach, QueryError>) -> Result<Vec<Bound>, String> {
    match reach {
        Ok(Reach::Bounded(bounds)) => Ok(bounds),
        Ok(Reach::Unbounded(gap)) => Err(format!("at character {}: {}", gap.at + 1, gap.why)),
        Err(error) => Err(error.to_string()),
    }
}
