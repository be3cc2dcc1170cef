//! The configured sites, and which of them an argument means.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::url;
use crate::target::Obstacle;

/// A site as the operator configured it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteEntry {
    /// The name that policies use: `acme`.
    pub alias: String,
    /// Its cloud id, a UUID. Self-managed sites have none.
    pub cloud_id: Option<String>,
    /// Its address: `https://acme.atlassian.net`.
    pub url: Option<String>,
}

/// A configured site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    alias: String,
    cloud_id: Option<Uuid>,
    host: Option<String>,
}

impl Site {
    /// The name that policies use.
    #[must_use]
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// The name by which its own products know it: its cloud id, or else its address.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        let url = || self.host.as_ref().map(|host| format!("https://{host}"));
        self.cloud_id.map(|id| id.to_string()).or_else(url)
    }

    /// Whether that is its cloud id.
    pub(super) fn is_called(&self, id: &str) -> bool {
        self.cloud_id.is_some() && cloud_id(id) == self.cloud_id
    }

    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }
}

/// The sites of a server. No two share an alias, a cloud id or a host, so that a site has one canonical name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteMap {
    sites: Vec<Site>,
    default: Option<usize>,
}

/// Why sites cannot be configured so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiteMapError {
    /// Not a name.
    #[error("site `{0}`: an alias is 1 to 63 of `a-z`, `0-9` and `-`")]
    Alias(String),
    /// Not a UUID.
    #[error("site `{0}`: the cloud id is not a UUID")]
    CloudId(String),
    /// Not the address of a site.
    #[error("site `{0}`: the url is not `https://host`, without port, path and query")]
    Url(String),
    /// Two sites that could be taken for one another.
    #[error("site `{0}`: its alias, cloud id or url is already that of another site")]
    Repeated(String),
    /// The default is not one of the sites.
    #[error("the default site `{0}` is not configured")]
    Default(String),
}

impl SiteMap {
    /// The sites `entries`. Calls that name no site mean `default`; a single site is the default without being named.
    ///
    /// # Errors
    /// [`SiteMapError`] if one is not well formed or could be taken for another.
    pub fn new(entries: &[SiteEntry], default: Option<&str>) -> Result<Self, SiteMapError> {
        let sites = entries.iter().map(site).collect::<Result<Vec<_>, _>>()?;
        let mut seen = BTreeSet::new();
        for site in &sites {
            let names = [
                Some(format!("alias {}", site.alias)),
                site.cloud_id.map(|id| id.to_string()),
                site.host.clone(),
            ];
            if !names.into_iter().flatten().all(|name| seen.insert(name)) {
                return Err(SiteMapError::Repeated(site.alias.clone()));
            }
        }
        let default = match default {
            Some(alias) => Some(
                sites
                    .iter()
                    .position(|site| site.alias == alias)
                    .ok_or_else(|| SiteMapError::Default(alias.to_owned()))?,
            ),
            None => (sites.len() == 1).then_some(0),
        };
        Ok(Self { sites, default })
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// The site that calls mean which name none.
    #[must_use]
    pub fn default_site(&self) -> Option<&Site> {
        self.default.and_then(|index| self.sites.get(index))
    }

    /// The site that policies call `alias`.
    #[must_use]
    pub fn named(&self, alias: &str) -> Option<&Site> {
        self.sites.iter().find(|site| site.alias == alias)
    }

    /// The site that an argument means: its cloud id, its host, or any address in it. Its alias is not a spelling:
    /// that is our name, not Atlassian's.
    ///
    /// # Errors
    /// [`Obstacle::UnknownForm`] or [`Obstacle::UnknownSite`].
    pub fn resolve(&self, spelled: &str) -> Result<&Site, Obstacle> {
        let found = if let Some(id) = cloud_id(spelled) {
            self.sites.iter().find(|site| site.cloud_id == Some(id))
        } else {
            let host = url::site_host(spelled).ok_or(Obstacle::UnknownForm)?;
            self.sites.iter().find(|site| site.host.as_deref() == Some(host.as_str()))
        };
        found.ok_or(Obstacle::UnknownSite)
    }
}

fn site(entry: &SiteEntry) -> Result<Site, SiteMapError> {
    let alias = entry.alias.clone();
    let well_named = (1..=63).contains(&alias.len())
        && alias.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !well_named {
        return Err(SiteMapError::Alias(alias));
    }
    let cloud_id = match &entry.cloud_id {
        Some(text) => Some(cloud_id(text).ok_or_else(|| SiteMapError::CloudId(alias.clone()))?),
        None => None,
    };
    let host = match &entry.url {
        Some(text) => {
            let host = text.strip_suffix('/').unwrap_or(text).strip_prefix("https://");
            let host = host.and_then(url::host);
            Some(host.ok_or_else(|| SiteMapError::Url(alias.clone()))?)
        }
        None => None,
    };
    Ok(Site { alias, cloud_id, host })
}

/// A UUID in its hyphenated form: the others that parsers take are not how cloud ids are written.
fn cloud_id(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}
