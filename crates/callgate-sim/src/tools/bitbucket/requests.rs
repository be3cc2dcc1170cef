//! Pull requests with their comments, tasks and approvals.

use serde_json::{Value, json};

use super::{REPOSITORY, WORKSPACE, known};
use crate::site::{PullRequest, Site, ThingKind};
use crate::tools::{Inputs, Kind, Param, Tool, ToolResult, kept, optional, read, required, write};

const REQUEST: Param = required("pullRequestId", Kind::Integer, "Number of the pull request.");

pub(super) const TOOLS: &[Tool] = &[
    read(
        "listBitbucketRepoPullRequests",
        "List the pull requests of a Bitbucket repository.",
        &[
            WORKSPACE,
            REPOSITORY,
            optional("state", Kind::Choice(&["OPEN", "MERGED", "DECLINED"]), "Only these."),
        ],
        |site, inputs| {
            let all = known(site, inputs)?.pull_requests.iter();
            let all = all.filter(|request| request.state.contains(inputs.text("state")));
            Ok(json!({ "values": all.map(show).collect::<Vec<Value>>() }))
        },
    ),
    read(
        "getBitbucketRepoPullRequest",
        "Get one pull request of a Bitbucket repository.",
        &[WORKSPACE, REPOSITORY, REQUEST],
        |site, inputs| known_mut(site, inputs).map(|request| show(request)),
    ),
    read(
        "getBitbucketRepoPullRequestDiff",
        "Get what a pull request changes.",
        &[WORKSPACE, REPOSITORY, REQUEST],
        |site, inputs| {
            let request = known_mut(site, inputs)?;
            let diff = format!("diff {}..{}\n", request.destination, request.source);
            Ok(json!({ "id": request.id, "diff": diff }))
        },
    ),
    read(
        "listBitbucketRepoPullRequestComments",
        "List the comments on a pull request.",
        &[WORKSPACE, REPOSITORY, REQUEST],
        |site, inputs| {
            let id = place(site, inputs)?;
            Ok(json!({ "values": kept::list(site, ThingKind::RequestComment, &id) }))
        },
    ),
    read(
        "listBitbucketRepoPullRequestTasks",
        "List the tasks on a pull request.",
        &[WORKSPACE, REPOSITORY, REQUEST],
        |site, inputs| {
            let id = place(site, inputs)?;
            Ok(json!({ "values": kept::list(site, ThingKind::RequestTask, &id) }))
        },
    ),
    write(
        "createBitbucketRepoPullRequest",
        "Open a pull request.",
        &[
            WORKSPACE,
            REPOSITORY,
            required("title", Kind::Text, "The title."),
            required("sourceBranch", Kind::Text, "The branch it comes from."),
            optional("destinationBranch", Kind::Text, "The branch it goes to, main unless told."),
            optional("description", Kind::Text, "The text."),
        ],
        create,
    ),
    write(
        "updateBitbucketRepoPullRequest",
        "Change a pull request.",
        &[
            WORKSPACE,
            REPOSITORY,
            REQUEST,
            optional("title", Kind::Text, "The new title."),
            optional("description", Kind::Text, "The new text."),
            optional("destinationBranch", Kind::Text, "The branch it goes to."),
        ],
        update,
    ),
    write(
        "addBitbucketRepoPullRequestComment",
        "Comment on a pull request.",
        &[
            WORKSPACE,
            REPOSITORY,
            REQUEST,
            required("content", Kind::Text, "The text."),
            optional("parentId", Kind::Text, "The comment to answer."),
        ],
        |site, inputs| {
            let place = place(site, inputs)?;
            let content = json!({ "raw": inputs.text("content") });
            let more = json!({ "content": content, "user": site.user });
            let fields = kept::with(inputs.pick(&["parentId"]), more);
            Ok(kept::add(site, ThingKind::RequestComment, &place, fields))
        },
    ),
    write(
        "approveBitbucketRepoPullRequest",
        "Approve a pull request.",
        &[WORKSPACE, REPOSITORY, REQUEST],
        |site, inputs| {
            let user = site.user.clone();
            let request = known_mut(site, inputs)?;
            request.approvals.push(user);
            Ok(show(request))
        },
    ),
    write(
        "requestChangesOnBitbucketRepoPullRequest",
        "Ask for changes to a pull request.",
        &[WORKSPACE, REPOSITORY, REQUEST],
        |site, inputs| {
            let user = site.user.clone();
            let request = known_mut(site, inputs)?;
            request.changes_requested.push(user);
            Ok(show(request))
        },
    ),
    write(
        "mergeBitbucketRepoPullRequest",
        "Merge a pull request.",
        &[
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
        merge,
    ),
];

fn known_mut<'a>(site: &'a mut Site, inputs: &Inputs) -> Result<&'a mut PullRequest, String> {
    super::in_workspace(site, inputs)?;
    let id = inputs.integer("pullRequestId").unwrap_or_default();
    site.pull_request_mut(inputs.text("repoSlug"), id)
        .ok_or_else(|| "Pull request not found.".to_owned())
}

/// What the things of a pull request belong to.
fn place(site: &mut Site, inputs: &Inputs) -> Result<String, String> {
    let id = known_mut(site, inputs)?.id;
    Ok(format!("{}/{id}", inputs.text("repoSlug")))
}

fn show(request: &PullRequest) -> Value {
    json!({
        "id": request.id,
        "title": request.title,
        "description": request.description,
        "source": { "branch": { "name": request.source } },
        "destination": { "branch": { "name": request.destination } },
        "state": request.state,
        "approvals": request.approvals,
        "changes_requested": request.changes_requested,
    })
}

fn create(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let slug = known(site, inputs)?.slug.clone();
    let source = inputs.text("sourceBranch");
    if site.thing(ThingKind::Branch, &format!("{slug}/{source}")).is_none() {
        return Err(format!("No branch '{source}'."));
    }
    let repository = site.repositories.iter_mut().find(|repository| repository.slug == slug);
    let repository = repository.ok_or("Repository not found.")?;
    let highest = repository.pull_requests.iter().map(|request| request.id).max();
    let request = PullRequest {
        id: highest.unwrap_or_default() + 1,
        title: inputs.text("title").to_owned(),
        source: source.to_owned(),
        destination: inputs.optional("destinationBranch").unwrap_or("main").to_owned(),
        state: "OPEN".to_owned(),
        approvals: Vec::new(),
        changes_requested: Vec::new(),
        description: inputs.text("description").to_owned(),
    };
    let shown = show(&request);
    repository.pull_requests.push(request);
    Ok(shown)
}

fn update(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let request = known_mut(site, inputs)?;
    for (name, field) in [
        ("title", &mut request.title),
        ("description", &mut request.description),
        ("destinationBranch", &mut request.destination),
    ] {
        if let Some(text) = inputs.optional(name) {
            text.clone_into(field);
        }
    }
    Ok(show(request))
}

fn merge(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let request = known_mut(site, inputs)?;
    if request.state != "OPEN" {
        return Err(format!("The pull request is already {}.", request.state.to_lowercase()));
    }
    "MERGED".clone_into(&mut request.state);
    let (shown, source) = (show(request), request.source.clone());
    if inputs.flag("closeSourceBranch") == Some(true) {
        let branch = format!("{}/{source}", inputs.text("repoSlug"));
        site.remove_thing(ThingKind::Branch, &branch);
    }
    Ok(shown)
}
