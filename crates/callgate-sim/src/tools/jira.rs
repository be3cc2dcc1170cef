//! Jira's tools: issues themselves, and beside this file what belongs to them and to projects.

mod attached;
mod boards;
mod projects;

use serde_json::{Map, Value, json};

use super::{
    CLOUD_ID, Inputs, Kind, Param, Tier, Tool, ToolResult, destroy, kept, optional, read, required,
    texts_of, write,
};
use crate::site::query::Query;
use crate::site::{Issue, Project, STATUSES, Site, Thing, ThingKind};

/// The type of an issue that goes with the one it is under.
const SUBTASK: &str = "Sub-task";

/// Fields that are only kept.
const OTHERS: &[&str] = &["components", "duedate", "fixVersions", "priority", "reporter"];

const PROJECT: Param = optional("projectKey", Kind::Text, "Key of the project.");
const PROJECT_TOO: Param =
    optional("projectIdOrKey", Kind::Text, "Key or numeric id of the project.");

const ISSUE: Param =
    required("issueIdOrKey", Kind::Text, "Issue key (PROJ-123), numeric id, or a Jira issue URL.");

/// The tools by what they are about.
pub(super) const TOOLS: &[&[Tool]] = &[ISSUES, attached::TOOLS, projects::TOOLS, boards::TOOLS];

const ISSUES: &[Tool] = &[
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
            optional("searchResultMode", Kind::Text, "What to return of each issue."),
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
            optional("additional_fields", Kind::Object, "Other fields."),
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
            optional("fields", Kind::Object, "Fields to set on the way."),
            optional("comment", Kind::Text, "A comment on it."),
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
            optional("commentVisibility", Kind::Object, "The role or group that may see it."),
        ],
        run: attached::comment,
    },
    read(
        "listJiraIssueTransitions",
        "List the transitions that a Jira issue can make.",
        &[CLOUD_ID, ISSUE],
        |site, inputs| {
            known(site, inputs.text("issueIdOrKey"))?;
            let transitions: Vec<Value> = STATUSES
                .iter()
                .map(|(id, to)| json!({ "id": id, "name": to, "to": { "name": to } }))
                .collect();
            Ok(json!({ "transitions": transitions }))
        },
    ),
    write(
        "convertJiraIssueHierarchy",
        "Put a Jira issue under another one as its sub-task.",
        &[
            CLOUD_ID,
            ISSUE,
            required("parentIssueIdOrKey", Kind::Text, "The issue to put it under."),
            optional("issueType", Kind::Text, "Its new type, Sub-task unless told."),
        ],
        |site, inputs| {
            let parent = known(site, inputs.text("parentIssueIdOrKey"))?.id.clone();
            let issue = known_mut(site, inputs)?;
            inputs.optional("issueType").unwrap_or(SUBTASK).clone_into(&mut issue.kind);
            issue.parent = Some(parent);
            note(site, inputs, "parent")
        },
    ),
    destroy(
        "deleteJiraIssue",
        "Delete a Jira issue with its sub-tasks. This cannot be undone.",
        &[CLOUD_ID, ISSUE],
        delete,
    ),
];

fn no_issue() -> String {
    "Issue does not exist or you do not have permission to see it.".to_owned()
}

fn known_project<'a>(site: &'a Site, name: &str) -> Result<&'a Project, String> {
    site.project(name).ok_or_else(|| format!("No project could be found with key '{name}'."))
}

/// The project of a call, by either of the names that it may have there.
fn project_of<'a>(site: &'a Site, inputs: &Inputs) -> Result<&'a Project, String> {
    known_project(site, inputs.first(&["projectKey", "projectIdOrKey"])?)
}

fn known<'a>(site: &'a Site, name: &str) -> Result<&'a Issue, String> {
    site.issue(name).ok_or_else(no_issue)
}

fn known_mut<'a>(site: &'a mut Site, inputs: &Inputs) -> Result<&'a mut Issue, String> {
    site.issue_mut(inputs.text("issueIdOrKey")).ok_or_else(no_issue)
}

fn show(site: &Site, issue: &Issue) -> Value {
    let links: Vec<Value> = site
        .links
        .iter()
        .filter(|link| link.inward == issue.key || link.outward == issue.key)
        .map(|link| json!({ "type": link.kind, "inward": link.inward, "outward": link.outward }))
        .collect();
    let parent = issue.parent.as_ref().and_then(|parent| site.issue(parent));
    let fields = json!({
        "project": {
            "id": site.project(issue.project()).map(|project| &project.id),
            "key": issue.project(),
        },
        "parent": parent.map(|parent| json!({ "id": parent.id, "key": parent.key })),
        "issuetype": { "name": issue.kind },
        "summary": issue.summary,
        "description": issue.description,
        "status": { "name": issue.status },
        "assignee": issue.assignee,
        "labels": issue.labels,
        "comment": { "comments": attached::comments(issue) },
        "attachment": attached::attachments(site, &issue.id),
        "issuelinks": links,
    });
    json!({
        "id": issue.id,
        "key": issue.key,
        "webUrl": format!("{}/browse/{}", site.url, issue.key),
        "fields": kept::with(issue.others.clone(), fields),
    })
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
            names.flat_map(|one| [one.key.clone(), one.name.clone(), one.id.clone()]).collect()
        }
        "key" | "issuekey" | "issue" | "id" => {
            issue.former_keys.iter().chain([&issue.key, &issue.id]).cloned().collect()
        }
        "parent" => {
            let parent = issue.parent.as_ref().and_then(|parent| site.issue(parent));
            parent.into_iter().flat_map(|one| [one.key.clone(), one.id.clone()]).collect()
        }
        "sprint" => boards::sprints_of(site, &issue.id),
        "filter" => filters_of(site, issue),
        "component" => names_in(issue.others.get("components")),
        "fixversion" => names_in(issue.others.get("fixVersions")),
        "duedate" | "priority" | "reporter" => names_in(issue.others.get(field)),
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

/// The texts of a field: its own, or the names and ids of the objects in it.
fn names_in(value: Option<&Value>) -> Vec<String> {
    let all = match value {
        Some(Value::Array(all)) => all.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let texts = all.iter().flat_map(|one| [Some(one), one.get("name"), one.get("id")]);
    texts.flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Ids and names of the saved searches that find an issue. One within another finds nothing.
fn filters_of(site: &Site, issue: &Issue) -> Vec<String> {
    let filters = site.things.iter().filter(|thing| thing.kind == ThingKind::Filter);
    let finds = |filter: &&Thing| {
        let query = Query::read(filter.text("jql"));
        let field = |name: &str| (name != "filter").then(|| field_of(site, issue, name)).flatten();
        query.is_ok_and(|query| query.matches(&field) == Ok(true))
    };
    let found = filters.filter(finds);
    found.flat_map(|one| [one.id.clone(), one.text("name").to_owned()]).collect()
}

fn create(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let project = known_project(site, inputs.text("projectKey"))?.key.clone();
    let mut issue = Issue {
        id: String::new(),
        key: site.next_key(&project),
        kind: inputs.text("issueType").to_owned(),
        summary: inputs.text("summary").to_owned(),
        description: inputs.text("description").to_owned(),
        status: "To Do".to_owned(),
        assignee: inputs.optional("assignee").map(str::to_owned),
        labels: inputs.texts("labels").unwrap_or_default(),
        comments: Vec::new(),
        parent: None,
        others: Map::new(),
        former_keys: Vec::new(),
    };
    let mut fields = inputs.object("additional_fields").cloned().unwrap_or_default();
    fields.extend(inputs.pick(&["parent"]));
    for (name, value) in &fields {
        set_field(site, &mut issue, name, value)?;
    }
    issue.id = site.next_id();
    let shown = json!({ "id": issue.id, "key": issue.key });
    site.issues.push(issue);
    Ok(shown)
}

fn edit(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let mut issue = known(site, inputs.text("issueIdOrKey"))?.clone();
    let mut fields = inputs.object("fields").cloned().unwrap_or_default();
    let project = match fields.remove("project") {
        Some(wanted) => Some(known_project(site, named(&wanted))?.key.clone()),
        None => None,
    };
    for (name, value) in &fields {
        set_field(site, &mut issue, name, value)?;
    }
    *known_mut(site, inputs)? = issue;
    if let Some(project) = project {
        site.move_issue(inputs.text("issueIdOrKey"), &project);
    }
    let changed: Vec<&str> =
        inputs.object("fields").into_iter().flat_map(Map::keys).map(String::as_str).collect();
    note(site, inputs, &changed.join(", "))
}

/// Keeps in the issue's history that it was changed, and shows it.
fn note(site: &mut Site, inputs: &Inputs, field: &str) -> ToolResult {
    let id = known(site, inputs.text("issueIdOrKey"))?.id.clone();
    let change = json!({ "author": site.user, "field": field });
    kept::add(site, ThingKind::Change, &id, kept::members(change));
    let issue = known(site, &id)?;
    Ok(show(site, issue))
}

/// What a value names: itself, or its key or id.
fn named(value: &Value) -> &str {
    let member = value.get("key").or_else(|| value.get("id"));
    member.unwrap_or(value).as_str().unwrap_or_default()
}

fn transition(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let wanted = inputs.text("transitionId");
    let mut issue = known(site, inputs.text("issueIdOrKey"))?.clone();
    let (_, status) = STATUSES
        .iter()
        .find(|(id, _)| *id == wanted)
        .ok_or_else(|| format!("Transition id '{wanted}' is not valid for this issue."))?;
    for (name, value) in inputs.object("fields").unwrap_or(&Map::new()) {
        set_field(site, &mut issue, name, value)?;
    }
    (*status).clone_into(&mut issue.status);
    let shown = json!({ "key": issue.key, "status": status });
    *known_mut(site, inputs)? = issue;
    if let Some(text) = inputs.optional("comment") {
        attached::say(site, inputs.text("issueIdOrKey"), text, None)?;
    }
    note(site, inputs, "status")?;
    Ok(shown)
}

fn delete(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let issue = known(site, inputs.text("issueIdOrKey"))?;
    let (key, id) = (issue.key.clone(), issue.id.clone());
    let goes = |issue: &Issue| {
        issue.id == id || (issue.kind == SUBTASK && issue.parent.as_ref() == Some(&id))
    };
    let gone: Vec<Issue> = site.issues.iter().filter(|issue| goes(issue)).cloned().collect();
    site.issues.retain(|issue| !goes(issue));
    site.links
        .retain(|link| !gone.iter().any(|one| [&link.inward, &link.outward].contains(&&one.key)));
    site.things.retain(|thing| !gone.iter().any(|issue| issue.id == thing.of));
    Ok(json!({ "deleted": key }))
}

fn set_field(site: &Site, issue: &mut Issue, name: &str, value: &Value) -> Result<(), String> {
    let refuse = || format!("Field '{name}' cannot be set.");
    let text = || value.as_str().map(str::to_owned).ok_or_else(refuse);
    match name {
        "summary" => issue.summary = text()?,
        "description" => issue.description = text()?,
        "assignee" => issue.assignee = value.as_str().map(str::to_owned),
        "labels" => issue.labels = texts_of(value),
        "parent" if value.is_null() => issue.parent = None,
        "parent" => issue.parent = Some(known(site, named(value))?.id.clone()),
        "issuetype" => {
            let kind = value.get("name").unwrap_or(value).as_str().ok_or_else(refuse)?;
            kind.clone_into(&mut issue.kind);
        }
        _ if OTHERS.contains(&name) => {
            issue.others.insert(name.to_owned(), value.clone());
        }
        _ => return Err(refuse()),
    }
    Ok(())
}
