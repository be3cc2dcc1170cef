//! Projects and issues. A key says its project; a numeric id does not.

use super::{Place, Unknown, host_is, is_number, site_resource, url};
use crate::products::atlassian::Site;
use crate::target::Resource;

const PROJECT: &str = "Jira::Project";

/// The project that `text` names by its key.
pub(super) fn project(text: &str, site: &Site) -> Result<Place, Unknown> {
    if is_number(text) {
        return Err(Unknown::Opaque(format!("{}/{text}", site.alias())));
    }
    let key = project_key(text).ok_or(Unknown::Form)?;
    Ok((format!("{}/{key}", site.alias()), vec![site_resource(site)]))
}

/// The issue that `text` names by its key or by an address.
pub(super) fn issue(text: &str, site: &Site) -> Result<Place, Unknown> {
    if is_number(text) {
        return Err(Unknown::Opaque(format!("{}/{text}", site.alias())));
    }
    let (project, number) = match issue_key(text) {
        Some(key) => key,
        None => {
            let address = url::read(text).ok_or(Unknown::Form)?;
            let key = key_in(&address)?;
            host_is(site, &address.host)?;
            key
        }
    };
    let project = format!("{}/{project}", site.alias());
    let id = format!("{project}-{number}");
    Ok((id, vec![Resource::new(PROJECT, project), site_resource(site)]))
}

/// The canonical form of a project key: upper case.
pub(super) fn project_key(text: &str) -> Option<String> {
    let well_formed = (2..=255).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    well_formed.then(|| text.to_ascii_uppercase())
}

/// The project key and the number of an issue key.
pub(super) fn issue_key(text: &str) -> Option<(String, &str)> {
    let (project, number) = text.split_once('-')?;
    if !is_number(number) {
        return None;
    }
    Some((project_key(project)?, number))
}

/// The issue key in one of the known addresses: `/browse/KEY`, `…/projects/P/issues/KEY`, and a board, backlog, list
/// or timeline of a project with that issue selected.
fn key_in<'a>(address: &url::PlainUrl<'a>) -> Result<(String, &'a str), Unknown> {
    let segments = address.segments.as_slice();
    match (segments, address.query) {
        (["browse", key], None) => issue_key(key).ok_or(Unknown::Form),
        ([.., "projects", project, "issues", key], None) if is_project_view(segments, 4) => {
            let key = issue_key(key).ok_or(Unknown::Form)?;
            if project_key(project).as_deref() == Some(key.0.as_str()) {
                Ok(key)
            } else {
                Err(Unknown::Conflict)
            }
        }
        (_, Some(query)) if is_board(segments) => {
            query.strip_prefix("selectedIssue=").and_then(issue_key).ok_or(Unknown::Form)
        }
        _ => Err(Unknown::Form),
    }
}

/// Whether what is before the last `tail` segments is a way to a project.
fn is_project_view(segments: &[&str], tail: usize) -> bool {
    let head = segments.len().checked_sub(tail).and_then(|end| segments.get(..end));
    matches!(
        head,
        Some(
            [] | ["jira", "software" | "core" | "servicedesk"] | ["jira", "software" | "core", "c"]
        )
    )
}

fn is_board(segments: &[&str]) -> bool {
    match segments {
        [.., "projects", _, "boards", board] => is_number(board) && is_project_view(segments, 4),
        [.., "projects", _, "boards", board, "backlog" | "timeline"] => {
            is_number(board) && is_project_view(segments, 5)
        }
        [.., "projects", _, "board" | "list" | "timeline"] => is_project_view(segments, 3),
        _ => false,
    }
}
