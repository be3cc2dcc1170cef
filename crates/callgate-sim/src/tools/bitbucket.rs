//! Bitbucket's tools. They know no `cloudId`: the workspace is their only scope.

use serde_json::{Value, json};

use super::{Inputs, Kind, Param, Tier, Tool, optional, required};
use crate::site::{PullRequest, Repository, Site};

const WORKSPACE: Param = required("workspaceId", Kind::Text, "Slug of the workspace.");
const REPOSITORY: Param = required("repoSlug", Kind::Text, "Slug of the repository.");
const REQUEST: Param = required("pullRequestId", Kind::Integer, "Number of the pull request.");

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "listBitbucketRepositories",
        tier: Tier::Read,
        primary: false,
        about: "List the repositories of a Bitbucket workspace.",
        params: &[WORKSPACE, optional("q", Kind::Text, "Part of a slug.")],
        run: |site, inputs| {
            in_workspace(site, inputs)?;
            let found: Vec<Value> = site
                .repositories
                .iter()
                .filter(|repository| repository.slug.contains(inputs.text("q")))
                .map(|repository| json!({ "slug": repository.slug, "project": repository.project }))
                .collect();
            Ok(json!({ "values": found, "size": found.len() }))
        },
    },
    Tool {
        name: "listBitbucketRepoPullRequests",
        tier: Tier::Read,
        primary: false,
        about: "List the pull requests of a Bitbucket repository.",
        params: &[WORKSPACE, REPOSITORY],
        run: |site, inputs| {
            in_workspace(site, inputs)?;
            let slug = inputs.text("repoSlug");
            let known = site.repositories.iter().find(|repository| repository.slug == slug);
            let repository: &Repository = known.ok_or("Repository not found.")?;
            let found: Vec<Value> = repository.pull_requests.iter().map(show).collect();
            Ok(json!({ "values": found }))
        },
    },
    Tool {
        name: "getBitbucketRepoPullRequest",
        tier: Tier::Read,
        primary: false,
        about: "Get one pull request of a Bitbucket repository.",
        params: &[WORKSPACE, REPOSITORY, REQUEST],
        run: |site, inputs| known_mut(site, inputs).map(|request| show(request)),
    },
    Tool {
        name: "approveBitbucketRepoPullRequest",
        tier: Tier::Write,
        primary: false,
        about: "Approve a pull request.",
        params: &[WORKSPACE, REPOSITORY, REQUEST],
        run: |site, inputs| {
            let user = site.user.clone();
            let request = known_mut(site, inputs)?;
            request.approvals.push(user);
            Ok(show(request))
        },
    },
    Tool {
        name: "mergeBitbucketRepoPullRequest",
        tier: Tier::Write,
        primary: false,
        about: "Merge a pull request.",
        params: &[
            WORKSPACE,
            REPOSITORY,
            REQUEST,
            optional(
                "mergeStrategy",
                Kind::Choice(&["merge_commit", "squash", "fast_forward"]),
                "How to merge.",
            ),
            optional("message", Kind::Text, "The message of the commit."),
            optional("closeSourceBranch", Kind::Flag, "Whether to delete the source branch."),
        ],
        run: |site, inputs| {
            let request = known_mut(site, inputs)?;
            if request.state != "OPEN" {
                return Err(format!(
                    "The pull request is already {}.",
                    request.state.to_lowercase()
                ));
            }
            "MERGED".clone_into(&mut request.state);
            Ok(show(request))
        },
    },
];

fn in_workspace(site: &Site, inputs: &Inputs) -> Result<(), String> {
    let wanted = inputs.text("workspaceId");
    if wanted == site.workspace { Ok(()) } else { Err(format!("No workspace '{wanted}'.")) }
}

fn known_mut<'a>(site: &'a mut Site, inputs: &Inputs) -> Result<&'a mut PullRequest, String> {
    in_workspace(site, inputs)?;
    let id = inputs.integer("pullRequestId").unwrap_or_default();
    site.pull_request_mut(inputs.text("repoSlug"), id)
        .ok_or_else(|| "Pull request not found.".to_owned())
}

fn show(request: &PullRequest) -> Value {
    json!({
        "id": request.id,
        "title": request.title,
        "source": { "branch": { "name": request.source } },
        "destination": { "branch": { "name": request.destination } },
        "state": request.state,
        "approvals": request.approvals,
    })
}
