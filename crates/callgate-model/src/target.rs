//! What a call touches: canonical typed resources, or the honest statement that it is not known.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A typed id: `Jira::Issue "acme/ENG-42"`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// Its kind, from the vocabulary.
    pub kind: String,
    /// Its canonical id: every spelling of one thing has the same.
    pub id: String,
}

impl Resource {
    /// The resource `id` of `kind`.
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Self {
        Self { kind: kind.into(), id: id.into() }
    }

    /// Reads it as policies write it: `Jira::Project::"acme/ENG"`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once("::\"")?;
        let id = id.strip_suffix('"').filter(|id| !id.is_empty() && !id.contains(['"', '\\']))?;
        Some(Self::new(kind, id))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", self.kind, self.id.escape_debug())
    }
}

/// One thing a call touches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Known, with everything that contains it.
    Located(Located),
    /// Not known.
    Unresolved(Unresolved),
}

/// A resource and its containers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Located {
    /// The thing itself.
    pub resource: Resource,
    /// Its containers, innermost first: project, site.
    pub containers: Vec<Resource>,
}

/// Why a target is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// Two arguments that name one thing disagree. Always denied.
    Conflict,
    /// The argument that names it is absent or of the wrong type.
    Missing,
    /// The id does not say where it belongs, and nothing resolved it.
    OpaqueId,
    /// A query whose reach is not known.
    Query,
    /// The spelling is of no known form.
    UnknownForm,
    /// A site that is not configured.
    UnknownSite,
}

impl Obstacle {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::Conflict,
        Self::Missing,
        Self::OpaqueId,
        Self::Query,
        Self::UnknownForm,
        Self::UnknownSite,
    ];

    /// Its name in policies and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Missing => "missing",
            Self::OpaqueId => "opaque_id",
            Self::Query => "query",
            Self::UnknownForm => "unknown_form",
            Self::UnknownSite => "unknown_site",
        }
    }
}

/// A target that could not be located. Policies see it as `Unresolved::"<kind>"`, and only one that names that type
/// can permit it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unresolved {
    /// The kind of thing it would be (`Confluence::Page`).
    pub kind: String,
    /// The site it is in, if that much is known; else empty.
    pub site: String,
    /// Why it is not known.
    pub obstacle: Obstacle,
    /// What the call said, shortened for people.
    pub spelled: String,
}

impl Target {
    /// A located target.
    #[must_use]
    pub const fn located(resource: Resource, containers: Vec<Resource>) -> Self {
        Self::Located(Located { resource, containers })
    }

    /// A target of `kind`, in `site` if that much is known, that `obstacle` keeps from being located.
    #[must_use]
    pub fn unresolved(kind: &str, site: &str, obstacle: Obstacle, spelled: &str) -> Self {
        Self::Unresolved(Unresolved {
            kind: kind.to_owned(),
            site: site.to_owned(),
            obstacle,
            spelled: shortened(spelled),
        })
    }
}

/// Most characters of what a call said that are kept for people.
const SPELLED_CHARS_MAX: usize = 200;

fn shortened(spelled: &str) -> String {
    let mut kept: String = spelled.chars().take(SPELLED_CHARS_MAX).collect();
    if kept.len() < spelled.len() {
        kept.push('…');
    }
    kept
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Located(located) => located.resource.fmt(f),
            Self::Unresolved(unresolved) => write!(
                f,
                "unresolved {} ({}) \"{}\"",
                unresolved.kind,
                unresolved.obstacle.as_str(),
                unresolved.spelled.escape_debug()
            ),
        }
    }
}
