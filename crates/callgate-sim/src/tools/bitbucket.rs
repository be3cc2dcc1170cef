//! Bitbucket's tools. They know no `cloudId`: the workspace is their only scope.

mod pipelines;
mod requests;
mod source;

use serde_json::{Value, json};

use super::{Inputs, Kind, Param, Tool, ToolResult, kept, optional, read, required};
use crate::site::{Repository, Site, ThingKind};

const WORKSPACE: Param = required("workspaceId", Kind::Text, "Slug of the workspace.");
const REPOSITORY: Param = required("repoSlug", Kind::Text, "Slug of the repository.");

/// The tools by what they are about.
pub(super) const TOOLS: &[&[Tool]] =
    &[REPOSITORIES, requests::TOOLS, source::TOOLS, pipelines::TOOLS];

const REPOSITORIES: &[Tool] = &[
    read("listBitbucketWorkspaces", "List your Bitbucket workspaces.", &[], |site, _| {
        Ok(json!({ "values": [{ "slug": site.workspace, "name": site.workspace }] }))
    }),
    read("getBitbucketWorkspace", "Get a Bitbucket workspace.", &[WORKSPACE], |site, inputs| {
        in_workspace(site, inputs)?;
        let count = site.repositories.len();
        Ok(json!({ "slug": site.workspace, "name": site.workspace, "repositories": count }))
    }),
    read(
        "listBitbucketRepositories",
        "List the repositories of a Bitbucket workspace.",
        &[WORKSPACE, optional("q", Kind::Text, "Part of a slug.")],
        |site, inputs| {
            in_workspace(site, inputs)?;
            let found: Vec<Value> = site
                .repositories
                .iter()
                .filter(|repository| repository.slug.contains(inputs.text("q")))
                .map(|repository| json!({ "slug": repository.slug, "project": repository.project }))
                .collect();
            Ok(json!({ "values": found, "size": found.len() }))
        },
    ),
    read(
        "getBitbucketRepository",
        "Get a Bitbucket repository.",
        &[WORKSPACE, REPOSITORY],
        |site, inputs| {
            let repository = known(site, inputs)?;
            Ok(json!({
                "slug": repository.slug,
                "full_name": format!("{}/{}", site.workspace, repository.slug),
                "project": { "key": repository.project },
                "mainbranch": { "name": "main" },
            }))
        },
    ),
    read(
        "getBitbucketRepoDefaultReviewers",
        "List who is asked to review by default.",
        &[WORKSPACE, REPOSITORY],
        |site, inputs| list(site, inputs, ThingKind::DefaultReviewer),
    ),
];

fn known<'a>(site: &'a Site, inputs: &Inputs) -> Result<&'a Repository, String> {
    in_workspace(site, inputs)?;
    let slug = inputs.text("repoSlug");
    let known = site.repositories.iter().find(|repository| repository.slug == slug);
    known.ok_or_else(|| "Repository not found.".to_owned())
}

/// The things of a kind that the repository has.
fn list(site: &Site, inputs: &Inputs, kind: ThingKind) -> ToolResult {
    let repository = known(site, inputs)?;
    Ok(json!({ "values": kept::list(site, kind, &repository.slug) }))
}

/// A thing of the repository, by its id in the argument `name`.
fn get(site: &Site, inputs: &Inputs, kind: ThingKind, name: &str) -> ToolResult {
    let repository = known(site, inputs)?;
    kept::get_of(site, kind, inputs.text(name), &repository.slug)
}

fn in_workspace(site: &Site, inputs: &Inputs) -> Result<(), String> {
    let wanted = inputs.text("workspaceId");
    if wanted == site.workspace { Ok(()) } else { Err(format!("No workspace '{wanted}'.")) }
}
