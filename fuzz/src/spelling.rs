//! Spellings of Atlassian's things: two that we take for one are one, and an address leads where another reader of
//! addresses goes.

use std::sync::LazyLock;

use callgate_mcp::http::Uri;
use callgate_model::products::atlassian::{
    SiteEntry, SiteMap, SiteMapError, locate, locate_in_bitbucket,
};
use callgate_model::target::{Obstacle, Target, Unresolved};

const CLOUD_ID: &str = "5f2c9a1e-7b34-4d08-9c61-2ad0e8f3b7c4";
const ALIASES: [&str; 2] = ["acme", "other"];

static SITES: LazyLock<Result<SiteMap, SiteMapError>> = LazyLock::new(|| {
    let site = |alias: &str| SiteEntry {
        alias: alias.to_owned(),
        cloud_id: (alias == "acme").then(|| CLOUD_ID.to_owned()),
        url: Some(format!("https://{}", host(alias))),
    };
    SiteMap::new(&ALIASES.map(site), Some("acme"))
});

fn host(alias: &str) -> String {
    format!("{alias}.atlassian.net")
}

pub(crate) fn check(bytes: &[u8]) {
    let (Ok(text), Ok(sites)) = (std::str::from_utf8(bytes), SITES.as_ref()) else { return };
    check_site(sites, text);
    for kind in
        ["Jira::Project", "Jira::Issue", "Jira::Board", "Confluence::Space", "Confluence::Page"]
    {
        check_thing(sites, kind, text);
    }
    let parts: Vec<&str> = text.splitn(3, '/').collect();
    for kind in ["Workspace", "Repository", "Branch", "PullRequest"] {
        let kind = format!("Bitbucket::{kind}");
        let target = locate_in_bitbucket(&kind, &parts);
        if let Target::Located(located) = &target {
            let own: Vec<&str> = located.resource.id.splitn(3, '/').collect();
            assert_eq!(locate_in_bitbucket(&kind, &own), target, "{kind}: {text:?}");
        }
    }
}

/// A site is what its host says.
fn check_site(sites: &SiteMap, text: &str) {
    let Ok(site) = sites.resolve(text) else { return };
    if !text.eq_ignore_ascii_case(CLOUD_ID) {
        assert_eq!(host_in(text), Some(host(site.alias())), "{text:?}");
    }
}

/// The canonical id is a spelling of itself, and letters of another case make no other thing.
fn check_thing(sites: &SiteMap, kind: &str, text: &str) {
    let Some(site) = sites.default_site() else { return };
    let spelled = |text: &str| canonical(&locate(kind, &[text], site));
    let Some(id) = spelled(text) else { return };
    let own = id.strip_prefix("acme/").unwrap_or_default();
    assert_eq!(spelled(own).as_ref(), Some(&id), "{kind}: {text:?}");
    if text.contains("://") {
        assert_eq!(host_in(text), Some(host("acme")), "{text:?}");
    }
    if kind.starts_with("Jira::") && kind != "Jira::Board" {
        assert_eq!(spelled(&own.to_ascii_lowercase()), Some(id), "{kind}: {text:?}");
    }
}

/// The id of what is known for certain, whether or not it says where it belongs.
fn canonical(target: &Target) -> Option<String> {
    match target {
        Target::Located(located) => Some(located.resource.id.clone()),
        Target::Unresolved(Unresolved { obstacle: Obstacle::OpaqueId, spelled, .. }) => {
            Some(spelled.clone())
        }
        Target::Unresolved(_) => None,
    }
}

/// As the reader of addresses sees it that the HTTP client uses: an https address or a host alone.
fn host_in(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    let is_plain =
        authority.as_str() == authority.host() && uri.scheme_str().is_none_or(|s| s == "https");
    is_plain.then(|| authority.host().to_ascii_lowercase())
}
