//! Workspaces and what is in them. Bitbucket has no sites: the workspace is the outermost container.

use super::{Place, Unknown, is_number};
use crate::target::Resource;

const WORKSPACE: &str = "Bitbucket::Workspace";
const REPOSITORY: &str = "Bitbucket::Repository";

/// The thing of `kind` that `parts` name, workspace first.
pub(super) fn locate(kind: &str, parts: &[&str]) -> Result<Place, Unknown> {
    match (kind, parts) {
        (WORKSPACE, [workspace]) => Ok((slug(workspace)?, Vec::new())),
        (REPOSITORY, [workspace, repository]) => repository_in(workspace, repository),
        ("Bitbucket::Branch", [workspace, repository, branch]) => {
            inside(repository_in(workspace, repository)?, branch, is_branch(branch))
        }
        ("Bitbucket::PullRequest", [workspace, repository, request]) => {
            inside(repository_in(workspace, repository)?, request, is_number(request))
        }
        _ => Err(Unknown::Form),
    }
}

/// A repository argument may be the slug or the full name; the full name must agree with the workspace.
fn repository_in(workspace: &str, repository: &str) -> Result<Place, Unknown> {
    let workspace = slug(workspace)?;
    let repository = match repository.split_once('/') {
        None => slug(repository)?,
        Some((owner, repository)) => {
            if slug(owner)? != workspace {
                return Err(Unknown::Conflict);
            }
            slug(repository)?
        }
    };
    Ok((format!("{workspace}/{repository}"), vec![Resource::new(WORKSPACE, workspace)]))
}

fn inside(
    (repository, mut containers): Place,
    id: &str,
    well_formed: bool,
) -> Result<Place, Unknown> {
    if !well_formed {
        return Err(Unknown::Form);
    }
    let inner = format!("{repository}/{id}");
    containers.insert(0, Resource::new(REPOSITORY, repository));
    Ok((inner, containers))
}

/// The canonical form of a slug: lower case. A UUID in braces is the same thing, but does not say which.
pub(super) fn slug(text: &str) -> Result<String, Unknown> {
    if let Some(id) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let uuid = id.len() == 36 && uuid::Uuid::try_parse(id).is_ok();
        return Err(if uuid { Unknown::Opaque(text.to_ascii_lowercase()) } else { Unknown::Form });
    }
    let well_formed = (1..=62).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && text.bytes().any(|b| b.is_ascii_alphanumeric());
    if well_formed { Ok(text.to_ascii_lowercase()) } else { Err(Unknown::Form) }
}

/// Whether `text` can be the short name of a branch, by the rules of git for reference names. `refs/heads/x` is
/// another spelling of `x` and is not taken.
fn is_branch(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.ends_with('.')
            && !part.ends_with(".lock")
    };
    (1..=255).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"~^:?*[\\%#\"<>|".contains(&b))
        && !text.starts_with('-')
        && !text.starts_with("refs/")
        && text != "@"
        && !text.contains("..")
        && !text.contains("@{")
        && text.split('/').all(part)
}
