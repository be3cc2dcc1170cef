//! Atlassian: sites, and the ids of what is in them.
//!
//! Every accepted spelling of one thing gives one canonical id; a spelling that is not certainly one thing gives an
//! obstacle instead, never a guess (Z02). It must not know catalogs or arguments: it is handed texts.

mod bitbucket;
mod confluence;
mod jira;
pub mod query;
mod site;
mod url;

pub use site::{Site, SiteEntry, SiteMap, SiteMapError};

use crate::target::{Obstacle, Resource, Target};

const SITE: &str = "Atlassian::Site";

/// Whether this module knows how things of `kind` are spelled.
#[must_use]
pub fn knows(kind: &str) -> bool {
    ["Atlassian::", "Bitbucket::", "Confluence::", "Jira::"]
        .iter()
        .any(|product| kind.starts_with(product))
}

/// The whole `site` as a target.
#[must_use]
pub fn site_target(site: &Site) -> Target {
    Target::located(site_resource(site), Vec::new())
}

/// The thing of `kind` in `site` that `parts` spell, outermost part first. Most ids have one part.
#[must_use]
pub fn locate(kind: &str, parts: &[&str], site: &Site) -> Target {
    let spelled = parts.join("/");
    let found = match (kind, parts) {
        ("Jira::Project", [project]) => jira::project(project, site),
        ("Jira::Issue", [issue]) => jira::issue(issue, site),
        ("Confluence::Space", [space]) => confluence::space(space, site),
        ("Confluence::Page", [page]) => confluence::page(page, site),
        (_, [id]) => opaque(id, site),
        (_, _) => Err(Unknown::Form),
    };
    let found = match found {
        Err(Unknown::Form | Unknown::Opaque(_)) if is_elsewhere(&spelled, site) => {
            Err(Unknown::Site)
        }
        found => found,
    };
    finish(kind, site.alias(), found, &spelled)
}

/// Whether a spelling that is of no known form may nevertheless say where it belongs, and not plainly to `site`: an address,
/// or an ARI (`ari:cloud:jira:CLOUD-ID:issue/1`).
fn is_elsewhere(spelled: &str, site: &Site) -> bool {
    let spelled = spelled.to_ascii_lowercase();
    let is_own = |address: &str| {
        let rest =
            site.host().and_then(|host| address.strip_prefix("https://")?.strip_prefix(host));
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    let is_address = spelled.contains("://") || spelled.starts_with("//");
    let mut ari = spelled.split("ari:").skip(1);
    is_address && (!is_own(&spelled) || spelled.matches("://").count() > 1)
        || ari.any(|ari| !site.is_called(ari.split(':').nth(2).unwrap_or_default()))
}

/// The thing of `kind` that `parts` spell, outermost part first, if Bitbucket has such a kind. It is in no site.
#[must_use]
pub fn locate_in_bitbucket(kind: &str, parts: &[&str]) -> Target {
    finish(kind, "", bitbucket::locate(kind, parts), &parts.join("/"))
}

/// An id and its containers, innermost first.
type Place = (String, Vec<Resource>);

/// Why a spelling gives no place.
enum Unknown {
    Conflict,
    Form,
    /// The one spelling of an id that does not say where it belongs.
    Opaque(String),
    Site,
}

fn finish(kind: &str, site: &str, found: Result<Place, Unknown>, spelled: &str) -> Target {
    let (obstacle, spelled) = match found {
        Ok((id, containers)) => return Target::located(Resource::new(kind, id), containers),
        Err(Unknown::Opaque(id)) => (Obstacle::OpaqueId, id),
        Err(Unknown::Conflict) => (Obstacle::Conflict, spelled.to_owned()),
        Err(Unknown::Form) => (Obstacle::UnknownForm, spelled.to_owned()),
        Err(Unknown::Site) => (Obstacle::UnknownSite, spelled.to_owned()),
    };
    Target::unresolved(kind, site, obstacle, &spelled)
}

fn site_resource(site: &Site) -> Resource {
    Resource::new(SITE, site.alias())
}

/// Ids of things that are never more than a number or a name without a place.
fn opaque(id: &str, site: &Site) -> Result<Place, Unknown> {
    let plain = (1..=128).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:.".contains(&b))
        && id.bytes().any(|b| b.is_ascii_alphanumeric());
    Err(if plain { Unknown::Opaque(format!("{}/{id}", site.alias())) } else { Unknown::Form })
}

/// A positive decimal number in its one spelling.
fn is_number(text: &str) -> bool {
    (1..=18).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit())
        && !text.starts_with('0')
}

/// The obstacle of a URL that is not of `site`, if it is not.
fn host_is(site: &Site, host: &str) -> Result<(), Unknown> {
    match site.host() {
        Some(own) if own == host => Ok(()),
        Some(_) => Err(Unknown::Conflict),
        None => Err(Unknown::Site),
    }
}

#[cfg(test)]
mod tests;
