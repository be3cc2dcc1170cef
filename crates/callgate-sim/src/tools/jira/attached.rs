//! What belongs to an issue: comments, worklogs, links, attachments, watchers, history, properties.

use serde_json::{Map, Value, json};

use super::{ISSUE, PROJECT, PROJECT_TOO, known, known_mut};
use crate::site::{Comment, Issue, Link, Site, Thing, ThingKind};
use crate::tools::{
    CLOUD_ID, Inputs, Kind, Param, Tool, ToolResult, destroy, kept, optional, read, required, write,
};

const ATTACHMENT: Param = required("attachmentId", Kind::Text, "Id of the attachment.");
// As the product's own interface: the attachment alone decides.
const ITS_ISSUE: Param = optional("issueIdOrKey", Kind::Text, "The issue it is at.");
const ENTITY: Param =
    required("entityType", Kind::Choice(&["issue", "project", "board"]), "What has the property.");
const ENTITY_ID: Param = required("entityId", Kind::Text, "Its key or id.");
const PROPERTY: Param = required("propertyKey", Kind::Text, "Key of the property.");

pub(super) const TOOLS: &[Tool] = &[
    read(
        "listJiraIssueComments",
        "List the comments of a Jira issue.",
        &[CLOUD_ID, ISSUE],
        |site, inputs| {
            let issue = known(site, inputs.text("issueIdOrKey"))?;
            Ok(json!({ "issueId": issue.id, "issueKey": issue.key, "comments": comments(issue) }))
        },
    ),
    read(
        "listJiraIssueRemoteIssueLinks",
        "List the links from a Jira issue to elsewhere.",
        &[CLOUD_ID, ISSUE],
        |site, inputs| list(site, inputs, ThingKind::RemoteLink, "remoteLinks"),
    ),
    read(
        "listJiraIssueWorklogs",
        "List the time spent on a Jira issue.",
        &[CLOUD_ID, ISSUE],
        |site, inputs| list(site, inputs, ThingKind::Worklog, "worklogs"),
    ),
    read(
        "listJiraIssueChangelogs",
        "List the changes of a Jira issue.",
        &[CLOUD_ID, ISSUE],
        |site, inputs| list(site, inputs, ThingKind::Change, "values"),
    ),
    read(
        "downloadJiraIssueAttachment",
        "Get an attachment of a Jira issue.",
        &[CLOUD_ID, ATTACHMENT, ITS_ISSUE],
        |site, inputs| kept::get(site, ThingKind::IssueAttachment, inputs.text("attachmentId")),
    ),
    read(
        "findJiraIssueAssignableUsers",
        "Find whom a Jira issue can be assigned to.",
        &[
            CLOUD_ID,
            ITS_ISSUE,
            PROJECT,
            PROJECT_TOO,
            optional("query", Kind::Text, "Part of a name."),
        ],
        |site, inputs| {
            match inputs.optional("issueIdOrKey") {
                Some(issue) => known(site, issue).map(|_| ())?,
                None => super::project_of(site, inputs).map(|_| ())?,
            }
            Ok(json!({ "users": site.people(inputs.text("query")) }))
        },
    ),
    read(
        "getJiraEntityProperty",
        "Get a property of a Jira issue, project or board.",
        &[CLOUD_ID, ENTITY, ENTITY_ID, PROPERTY],
        |site, inputs| {
            let (id, _) = property(site, inputs)?;
            let thing = site.thing(ThingKind::Property, &id).ok_or("No such property.")?;
            Ok(show_property(thing, inputs))
        },
    ),
    write(
        "editJiraEntityProperty",
        "Set a property of a Jira issue, project or board.",
        &[CLOUD_ID, ENTITY, ENTITY_ID, PROPERTY, required("value", Kind::Object, "Its new value.")],
        |site, inputs| {
            let (id, of) = property(site, inputs)?;
            site.put_thing(ThingKind::Property, &id, &of, inputs.pick(&["value"]));
            let thing = site.thing(ThingKind::Property, &id).ok_or("No such property.")?;
            Ok(show_property(thing, inputs))
        },
    ),
    write(
        "createJiraIssueLink",
        "Link two Jira issues.",
        &[
            CLOUD_ID,
            required("type", Kind::Text, "Kind of link, such as Blocks."),
            required("inwardIssue", Kind::Text, "Key or id of one issue."),
            required("outwardIssue", Kind::Text, "Key or id of the other issue."),
            optional("comment", Kind::Text, "A comment on the one issue."),
        ],
        link,
    ),
    write(
        "addOrEditJiraIssueWorklog",
        "Log time spent on a Jira issue, or change what was logged.",
        &[
            CLOUD_ID,
            ISSUE,
            required("timeSpent", Kind::Text, "Such as 3h 20m."),
            optional("worklogId", Kind::Text, "The worklog to change."),
            optional("started", Kind::Text, "When the work began."),
            optional("commentBody", Kind::Text, "What was done."),
        ],
        worklog,
    ),
    write(
        "createJiraIssueRemoteIssueLink",
        "Link a Jira issue to an address elsewhere.",
        &[
            CLOUD_ID,
            ISSUE,
            required("url", Kind::Text, "The address."),
            required("title", Kind::Text, "What it is called."),
            optional("summary", Kind::Text, "What it says."),
            optional("relationship", Kind::Text, "How it is related."),
        ],
        |site, inputs| {
            let fields = inputs.pick(&["url", "title", "summary", "relationship"]);
            let id = known(site, inputs.text("issueIdOrKey"))?.id.clone();
            Ok(kept::add(site, ThingKind::RemoteLink, &id, fields))
        },
    ),
    write(
        "watchJiraIssue",
        "Be told of the changes of a Jira issue.",
        &[CLOUD_ID, ISSUE, optional("accountId", Kind::Text, "Who is to be told, if not you.")],
        watch,
    ),
    write(
        "uploadAttachmentToJiraIssue",
        "Attach a file to a Jira issue.",
        &[
            CLOUD_ID,
            ISSUE,
            required("filename", Kind::Text, "Name of the file."),
            required("content", Kind::Text, "The file, in base64."),
            optional("mimeType", Kind::Text, "Its media type."),
        ],
        |site, inputs| {
            let fields = inputs.pick(&["filename", "content", "mimeType"]);
            let id = known(site, inputs.text("issueIdOrKey"))?.id.clone();
            Ok(kept::add(site, ThingKind::IssueAttachment, &id, fields))
        },
    ),
    destroy(
        "deleteJiraComment",
        "Delete a comment of a Jira issue.",
        &[CLOUD_ID, ISSUE, required("commentId", Kind::Text, "The comment.")],
        delete_comment,
    ),
    destroy(
        "deleteJiraIssueAttachment",
        "Delete an attachment of a Jira issue.",
        &[CLOUD_ID, ATTACHMENT, ITS_ISSUE],
        |site, inputs| kept::remove(site, ThingKind::IssueAttachment, inputs.text("attachmentId")),
    ),
];

/// The comments of an issue, as answers have them.
pub(super) fn comments(issue: &Issue) -> Vec<Value> {
    let show = |comment: &Comment| {
        json!({
            "id": comment.id,
            "author": comment.author,
            "body": comment.body,
            "visibility": comment.visibility,
        })
    };
    issue.comments.iter().map(show).collect()
}

/// The attachments of an issue, without what is in them.
pub(super) fn attachments(site: &Site, id: &str) -> Vec<Value> {
    let found = site.things_of(ThingKind::IssueAttachment, id);
    let show = |thing: &Thing| json!({ "id": thing.id, "filename": thing.text("filename") });
    found.map(show).collect()
}

fn list(site: &Site, inputs: &Inputs, kind: ThingKind, member: &str) -> ToolResult {
    let issue = known(site, inputs.text("issueIdOrKey"))?;
    Ok(json!({
        "issueId": issue.id,
        "issueKey": issue.key,
        member: kept::list(site, kind, &issue.id),
    }))
}

/// The id of the property that a call is about, and what has it.
fn property(site: &Site, inputs: &Inputs) -> Result<(String, String), String> {
    let (kind, name) = (inputs.text("entityType"), inputs.text("entityId"));
    let of = match kind {
        "issue" => site.issue(name).map(|issue| &issue.id),
        "project" => site.project(name).map(|project| &project.id),
        _ => site.thing(ThingKind::Board, name).map(|board| &board.id),
    };
    let of = of.ok_or_else(|| format!("No {kind} '{name}'."))?;
    Ok((format!("{kind}/{of}/{}", inputs.text("propertyKey")), of.clone()))
}

fn show_property(thing: &Thing, inputs: &Inputs) -> Value {
    json!({
        "entityType": inputs.text("entityType"),
        "entityId": thing.of,
        "key": inputs.text("propertyKey"),
        "value": thing.fields.get("value"),
    })
}

/// Adds or edits a comment.
pub(super) fn comment(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let body = inputs.text("commentBody");
    let visibility = inputs.object("commentVisibility");
    let Some(wanted) = inputs.optional("commentId") else {
        return say(site, inputs.text("issueIdOrKey"), body, visibility);
    };
    let issue = known_mut(site, inputs)?;
    let known = issue.comments.iter_mut().find(|comment| comment.id == wanted);
    let comment = known.ok_or("Can not find a comment for the id.")?;
    body.clone_into(&mut comment.body);
    if let Some(visibility) = visibility {
        comment.visibility = Some(visibility.clone());
    }
    Ok(json!({ "id": wanted }))
}

/// Adds a comment to the issue `name`.
pub(super) fn say(
    site: &mut Site,
    name: &str,
    body: &str,
    visibility: Option<&Map<String, Value>>,
) -> ToolResult {
    known(site, name)?;
    let (id, author) = (site.next_id(), site.user.clone());
    let issue = site.issue_mut(name).ok_or_else(super::no_issue)?;
    let (body, visibility) = (body.to_owned(), visibility.cloned());
    issue.comments.push(Comment { id: id.clone(), author, body, visibility });
    Ok(json!({ "id": id }))
}

fn delete_comment(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let wanted = inputs.text("commentId");
    let issue = known_mut(site, inputs)?;
    let known = issue.comments.iter().position(|comment| comment.id == wanted);
    let index = known.ok_or("Can not find a comment for the id.")?;
    issue.comments.remove(index);
    Ok(json!({ "deleted": wanted }))
}

fn link(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let inward = known(site, inputs.text("inwardIssue"))?.key.clone();
    let outward = known(site, inputs.text("outwardIssue"))?.key.clone();
    if let Some(text) = inputs.optional("comment") {
        say(site, &inward, text, None)?;
    }
    let kind = inputs.text("type").to_owned();
    let shown = json!({ "type": kind, "inward": inward, "outward": outward });
    site.links.push(Link { kind, inward, outward });
    Ok(shown)
}

fn worklog(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let issue = known(site, inputs.text("issueIdOrKey"))?.id.clone();
    let fields = inputs.pick(&["timeSpent", "started", "commentBody"]);
    if let Some(id) = inputs.optional("worklogId") {
        kept::get_of(site, ThingKind::Worklog, id, &issue)?;
        return kept::set(site, ThingKind::Worklog, id, fields);
    }
    let fields = kept::with(fields, json!({ "author": site.user }));
    Ok(kept::add(site, ThingKind::Worklog, &issue, fields))
}

fn watch(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let issue = known(site, inputs.text("issueIdOrKey"))?.id.clone();
    let who = inputs.optional("accountId").unwrap_or(&site.user).to_owned();
    let is_watcher =
        site.things_of(ThingKind::Watcher, &issue).any(|thing| thing.text("name") == who);
    if !is_watcher {
        site.add_thing(ThingKind::Watcher, &issue, kept::members(json!({ "name": who })));
    }
    Ok(json!({ "issueId": issue, "watchers": kept::list(site, ThingKind::Watcher, &issue) }))
}
