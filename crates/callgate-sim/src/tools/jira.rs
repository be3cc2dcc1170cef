//! Jira's tools.

use serde_json::{Map, Value, json};

use super::{CLOUD_ID, Inputs, Kind, Param, Tier, Tool, ToolResult, optional, required, texts_of};
use crate::site::query::Query;
use crate::site::{Comment, Issue, Link, STATUSES, Site};

const ISSUE: Param =
    required("issueIdOrKey", Kind::Text, "Issue key (PROJ-123), numeric id, or a Jira issue URL.");

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "getJiraIssue",
        tier: Tier::Read,
        primary: true,
        about: "Get one Jira issue by key, id or URL.",
        params: &[
            CLOUD_ID,
            ISSUE,
            optional("fields", Kind::Texts, "Fields to return."),
            optional("expand", Kind::Text, "What to expand."),
            optional("view", Kind::Choice(&["compact", "evidence", "full"]), "How much to return."),
            optional("properties", Kind::Texts, "Issue properties to return."),
            optional(
                "actionSource",
                Kind::Choice(&["jira_mcp_card", "model_tool_call"]),
                "Who asks.",
            ),
        ],
        run: |site, inputs| known(site, inputs.text("issueIdOrKey")).map(|issue| show(site, issue)),
    },
    Tool {
        name: "searchJiraIssuesUsingJql",
        tier: Tier::Read,
        primary: true,
        about: "Search Jira issues with JQL.",
        params: &[
            CLOUD_ID,
            required("jql", Kind::Text, "The query, such as `project = ENG`."),
            optional("maxResults", Kind::Integer, "At most this many, 50 unless told."),
            optional("fields", Kind::Texts, "Fields to return."),
            optional("nextPageToken", Kind::Text, "From the page before."),
            optional("view", Kind::Choice(&["compact", "evidence", "full"]), "How much to return."),
        ],
        run: search,
    },
    Tool {
        name: "createJiraIssue",
        tier: Tier::Write,
        primary: true,
        about: "Create a Jira issue in a project.",
        params: &[
            CLOUD_ID,
            required("projectKey", Kind::Text, "Key of the project."),
            required("issueType", Kind::Text, "Type of the issue, such as Task."),
            required("summary", Kind::Text, "The title."),
            optional("description", Kind::Text, "The text."),
            optional("assignee", Kind::Text, "Whom it is for."),
            optional("labels", Kind::Texts, "Labels."),
            optional("parent", Kind::Text, "Key of the parent issue."),
        ],
        run: create,
    },
    Tool {
        name: "editJiraIssue",
        tier: Tier::Write,
        primary: true,
        about: "Change fields of a Jira issue.",
        params: &[CLOUD_ID, ISSUE, required("fields", Kind::Object, "The fields to set.")],
        run: edit,
    },
    Tool {
        name: "transitionJiraIssue",
        tier: Tier::Write,
        primary: true,
        about: "Move a Jira issue through its workflow.",
        params: &[
            CLOUD_ID,
            ISSUE,
            required("transitionId", Kind::Text, "From listJiraIssueTransitions."),
        ],
        run: transition,
    },
    Tool {
        name: "addOrEditJiraIssueComment",
        tier: Tier::Write,
        primary: true,
        about: "Comment on a Jira issue, or change a comment.",
        params: &[
            CLOUD_ID,
            ISSUE,
            required("commentBody", Kind::Text, "The text."),
            optional("commentId", Kind::Text, "The comment to change."),
        ],
        run: comment,
    },
    Tool {
        name: "listJiraProjects",
        tier: Tier::Read,
        primary: false,
        about: "List the Jira projects of a site.",
        params: &[CLOUD_ID, optional("searchString", Kind::Text, "Part of a name or key.")],
        run: projects,
    },
    Tool {
        name: "listJiraIssueTransitions",
        tier: Tier::Read,
        primary: false,
        about: "List the transitions that a Jira issue can make.",
        params: &[CLOUD_ID, ISSUE],
        run: |site, inputs| {
            known(site, inputs.text("issueIdOrKey"))?;
            let transitions: Vec<Value> = STATUSES
                .iter()
                .map(|(id, to)| json!({ "id": id, "name": to, "to": { "name": to } }))
                .collect();
            Ok(json!({ "transitions": transitions }))
        },
    },
    Tool {
        name: "listJiraIssueComments",
        tier: Tier::Read,
        primary: false,
        about: "List the comments of a Jira issue.",
        params: &[CLOUD_ID, ISSUE],
        run: |site, inputs| {
            let issue = known(site, inputs.text("issueIdOrKey"))?;
            Ok(json!({ "comments": comments(issue) }))
        },
    },
    Tool {
        name: "createJiraIssueLink",
        tier: Tier::Write,
        primary: false,
        about: "Link two Jira issues.",
        params: &[
            CLOUD_ID,
            required("type", Kind::Text, "Kind of link, such as Blocks."),
            required("inwardIssue", Kind::Text, "Key or id of one issue."),
            required("outwardIssue", Kind::Text, "Key or id of the other issue."),
        ],
        run: link,
    },
    Tool {
        name: "manageJiraProjectVersion",
        tier: Tier::Destructive,
        primary: false,
        about: "Create or delete a version of a Jira project.",
        params: &[
            CLOUD_ID,
            required("projectKey", Kind::Text, "Key of the project."),
            required("action", Kind::Choice(&["create", "delete"]), "What to do."),
            required("name", Kind::Text, "Name of the version."),
        ],
        run: version,
    },
    Tool {
        name: "deleteJiraIssue",
        tier: Tier::Destructive,
        primary: false,
        about: "Delete a Jira issue. This cannot be undone.",
        params: &[CLOUD_ID, ISSUE],
        run: delete,
    },
    Tool {
        name: "deleteJiraComment",
        tier: Tier::Destructive,
        primary: false,
        about: "Delete a comment of a Jira issue.",
        params: &[CLOUD_ID, ISSUE, required("commentId", Kind::Text, "The comment.")],
        run: delete_comment,
    },
];

fn no_issue() -> String {
    "Issue does not exist or you do not have permission to see it.".to_owned()
}

fn known<'a>(site: &'a Site, name: &str) -> Result<&'a Issue, String> {
    site.issue(name).ok_or_else(no_issue)
}

fn known_mut<'a>(site: &'a mut Site, inputs: &Inputs) -> Result<&'a mut Issue, String> {
    site.issue_mut(inputs.text("issueIdOrKey")).ok_or_else(no_issue)
}

fn known_project(site: &Site, key: &str) -> Result<usize, String> {
    site.projects
        .iter()
        .position(|project| project.key.eq_ignore_ascii_case(key))
        .ok_or_else(|| format!("No project could be found with key '{key}'."))
}

fn show(site: &Site, issue: &Issue) -> Value {
    let links: Vec<Value> = site
        .links
        .iter()
        .filter(|link| link.inward == issue.key || link.outward == issue.key)
        .map(|link| json!({ "type": link.kind, "inward": link.inward, "outward": link.outward }))
        .collect();
    json!({
        "id": issue.id,
        "key": issue.key,
        "webUrl": format!("{}/browse/{}", site.url, issue.key),
        "fields": {
            "project": { "key": issue.project() },
            "issuetype": { "name": issue.kind },
            "summary": issue.summary,
            "description": issue.description,
            "status": { "name": issue.status },
            "assignee": issue.assignee,
            "labels": issue.labels,
            "comment": { "comments": comments(issue) },
            "issuelinks": links,
        },
    })
}

fn comments(issue: &Issue) -> Vec<Value> {
    let show = |comment: &Comment| json!({ "id": comment.id, "author": comment.author, "body": comment.body });
    issue.comments.iter().map(show).collect()
}

fn search(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let query = Query::read(inputs.text("jql"))?;
    let most = usize::try_from(inputs.integer("maxResults").unwrap_or(50)).unwrap_or(50);
    let mut found = Vec::new();
    for issue in &site.issues {
        if query.matches(&|field| field_of(site, issue, field))? {
            found.push(show(site, issue));
        }
    }
    let is_last = found.len() <= most;
    found.truncate(most);
    // No access and no match look the same on the real service: an empty list, no error.
    Ok(json!({ "issues": found, "isLast": is_last }))
}

fn field_of(site: &Site, issue: &Issue, field: &str) -> Option<Vec<String>> {
    Some(match field {
        "project" => {
            let names = site.projects.iter().filter(|project| project.key == issue.project());
            names.flat_map(|project| [project.key.clone(), project.name.clone()]).collect()
        }
        "key" | "issuekey" | "issue" | "id" => vec![issue.key.clone(), issue.id.clone()],
        "status" => vec![issue.status.clone()],
        "type" | "issuetype" => vec![issue.kind.clone()],
        "assignee" => issue.assignee.iter().cloned().collect(),
        "labels" => issue.labels.clone(),
        "summary" => vec![issue.summary.clone()],
        "description" => vec![issue.description.clone()],
        "text" => {
            let comments = issue.comments.iter().map(|comment| comment.body.clone());
            comments.chain([issue.summary.clone(), issue.description.clone()]).collect()
        }
        _ => return None,
    })
}

fn create(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let project = known_project(site, inputs.text("projectKey"))?;
    if let Some(parent) = inputs.optional("parent") {
        known(site, parent)?;
    }
    let project = site.projects.get(project).map(|project| project.key.clone()).unwrap_or_default();
    let issue = Issue {
        id: site.next_id(),
        key: site.next_key(&project),
        kind: inputs.text("issueType").to_owned(),
        summary: inputs.text("summary").to_owned(),
        description: inputs.text("description").to_owned(),
        status: "To Do".to_owned(),
        assignee: inputs.optional("assignee").map(str::to_owned),
        labels: inputs.texts("labels").unwrap_or_default(),
        comments: Vec::new(),
    };
    let shown = json!({ "id": issue.id, "key": issue.key });
    site.issues.push(issue);
    Ok(shown)
}

fn edit(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let issue = known_mut(site, inputs)?;
    let mut edited = issue.clone();
    for (name, value) in inputs.object("fields").unwrap_or(&Map::new()) {
        set_field(&mut edited, name, value)?;
    }
    *issue = edited;
    let issue = known(site, inputs.text("issueIdOrKey"))?;
    Ok(show(site, issue))
}

fn set_field(issue: &mut Issue, name: &str, value: &Value) -> Result<(), String> {
    let refuse = || format!("Field '{name}' cannot be set.");
    let text = || value.as_str().map(str::to_owned).ok_or_else(refuse);
    match name {
        "summary" => issue.summary = text()?,
        "description" => issue.description = text()?,
        "assignee" => issue.assignee = value.as_str().map(str::to_owned),
        "labels" => issue.labels = texts_of(value),
        _ => return Err(refuse()),
    }
    Ok(())
}

fn transition(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let wanted = inputs.text("transitionId");
    let issue = known_mut(site, inputs)?;
    let (_, status) = STATUSES
        .iter()
        .find(|(id, _)| *id == wanted)
        .ok_or_else(|| format!("Transition id '{wanted}' is not valid for this issue."))?;
    (*status).clone_into(&mut issue.status);
    Ok(json!({ "key": issue.key, "status": status }))
}

fn comment(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let (id, author) = (site.next_id(), site.user.clone());
    let issue = known_mut(site, inputs)?;
    let body = inputs.text("commentBody").to_owned();
    if let Some(wanted) = inputs.optional("commentId") {
        let known = issue.comments.iter_mut().find(|comment| comment.id == wanted);
        let comment = known.ok_or("Can not find a comment for the id.")?;
        comment.body = body;
        return Ok(json!({ "id": wanted }));
    }
    issue.comments.push(Comment { id: id.clone(), author, body });
    Ok(json!({ "id": id }))
}

fn projects(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let wanted = inputs.text("searchString").to_lowercase();
    let found: Vec<Value> = site
        .projects
        .iter()
        .filter(|project| format!("{} {}", project.key, project.name).to_lowercase().contains(&wanted))
        .map(|project| {
            json!({ "key": project.key, "name": project.name, "versions": project.versions })
        })
        .collect();
    Ok(json!({ "values": found, "isLast": true }))
}

fn link(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let inward = known(site, inputs.text("inwardIssue"))?.key.clone();
    let outward = known(site, inputs.text("outwardIssue"))?.key.clone();
    let kind = inputs.text("type").to_owned();
    let shown = json!({ "type": kind, "inward": inward, "outward": outward });
    site.links.push(Link { kind, inward, outward });
    Ok(shown)
}

fn version(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let index = known_project(site, inputs.text("projectKey"))?;
    let project = site.projects.get_mut(index).ok_or_else(no_issue)?;
    let name = inputs.text("name");
    if inputs.text("action") == "delete" {
        project.versions.retain(|version| version != name);
    } else {
        project.versions.push(name.to_owned());
    }
    Ok(json!({ "project": project.key, "versions": project.versions }))
}

fn delete(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let index = site.issue_index(inputs.text("issueIdOrKey")).ok_or_else(no_issue)?;
    let issue = site.issues.remove(index);
    site.links.retain(|link| link.inward != issue.key && link.outward != issue.key);
    Ok(json!({ "deleted": issue.key }))
}

fn delete_comment(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let wanted = inputs.text("commentId");
    let issue = known_mut(site, inputs)?;
    let known = issue.comments.iter().position(|comment| comment.id == wanted);
    let index = known.ok_or("Can not find a comment for the id.")?;
    issue.comments.remove(index);
    Ok(json!({ "deleted": wanted }))
}
