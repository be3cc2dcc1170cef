//! What belongs to a page: comments, attachments, tasks.

use serde_json::{Value, json};

use super::{CONTENT, CONTENT_TOO, CONTENT_URL, SPACE, known, known_space};
use crate::site::{Site, Thing, ThingKind};
use crate::tools::{
    CLOUD_ID, Inputs, Kind, Param, Tool, ToolResult, kept, optional, read, required, write,
};

const COMMENT: Param = required("commentId", Kind::Text, "Id of the comment.");
const ATTACHMENT: Param = required("attachmentId", Kind::Text, "Id of the attachment.");
const BODY: Param = required("body", Kind::Text, "The text.");

pub(super) const TOOLS: &[Tool] = &[
    read(
        "listConfluenceComments",
        "List the comments on a Confluence page.",
        &[CLOUD_ID, CONTENT, CONTENT_URL, CONTENT_TOO],
        |site, inputs| list(site, inputs, ThingKind::PageComment),
    ),
    read(
        "getConfluenceComment",
        "Get a comment on a Confluence page.",
        &[CLOUD_ID, COMMENT],
        |site, inputs| kept::get(site, ThingKind::PageComment, inputs.text("commentId")),
    ),
    write(
        "createConfluenceComment",
        "Comment on a Confluence page, or answer a comment.",
        &[
            CLOUD_ID,
            CONTENT,
            CONTENT_URL,
            CONTENT_TOO,
            BODY,
            optional("parentCommentId", Kind::Text, "The comment to answer."),
        ],
        comment,
    ),
    write(
        "updateConfluenceComment",
        "Change a comment on a Confluence page.",
        &[CLOUD_ID, COMMENT, BODY],
        |site, inputs| {
            let fields = inputs.pick(&["body"]);
            kept::set(site, ThingKind::PageComment, inputs.text("commentId"), fields)
        },
    ),
    write(
        "updateConfluenceCommentResolution",
        "Resolve a comment on a Confluence page, or open it again.",
        &[CLOUD_ID, COMMENT, required("resolved", Kind::Flag, "Whether it is resolved.")],
        |site, inputs| {
            let is_resolved = inputs.flag("resolved").unwrap_or_default();
            let status = if is_resolved { "resolved" } else { "open" };
            let fields = kept::members(json!({ "resolutionStatus": status }));
            kept::set(site, ThingKind::PageComment, inputs.text("commentId"), fields)
        },
    ),
    read(
        "listConfluenceAttachments",
        "List the attachments of a Confluence page.",
        &[CLOUD_ID, CONTENT, CONTENT_URL, CONTENT_TOO],
        |site, inputs| list(site, inputs, ThingKind::PageAttachment),
    ),
    read(
        "getConfluenceAttachment",
        "Get what an attachment of a Confluence page is.",
        &[CLOUD_ID, ATTACHMENT, CONTENT, CONTENT_URL, CONTENT_TOO],
        |site, inputs| {
            let found = site.thing(ThingKind::PageAttachment, inputs.text("attachmentId"));
            found.map(|thing| about(site, thing)).ok_or_else(|| "Attachment not found.".to_owned())
        },
    ),
    // As the product's own interface: the attachment alone decides, whatever page is named beside it.
    read(
        "downloadConfluenceAttachment",
        "Get an attachment of a Confluence page.",
        &[CLOUD_ID, ATTACHMENT, CONTENT, CONTENT_URL, CONTENT_TOO],
        |site, inputs| kept::get(site, ThingKind::PageAttachment, inputs.text("attachmentId")),
    ),
    write(
        "createConfluenceAttachment",
        "Attach a file to a Confluence page.",
        &[
            CLOUD_ID,
            CONTENT,
            CONTENT_URL,
            CONTENT_TOO,
            required("title", Kind::Text, "Name of the file."),
            required("content", Kind::Text, "The file, in base64."),
            optional("mediaType", Kind::Text, "Its media type."),
        ],
        |site, inputs| {
            let id = known(site, inputs)?.id.clone();
            let fields = inputs.pick(&["title", "content", "mediaType"]);
            Ok(kept::add(site, ThingKind::PageAttachment, &id, fields))
        },
    ),
    read(
        "listConfluenceTasks",
        "List the tasks of a site.",
        &[
            CLOUD_ID,
            SPACE,
            optional("pageId", Kind::Text, "Only those on this page."),
            optional("status", Kind::Choice(&["incomplete", "complete"]), "Only these."),
        ],
        tasks,
    ),
    write(
        "completeConfluenceTask",
        "Mark a task on a Confluence page as done.",
        &[CLOUD_ID, required("taskId", Kind::Text, "Id of the task.")],
        |site, inputs| {
            let fields = kept::members(json!({ "status": "complete" }));
            kept::set(site, ThingKind::Task, inputs.text("taskId"), fields)
        },
    ),
];

/// A thing without what is in it.
fn about(site: &Site, thing: &Thing) -> Value {
    let mut shown = kept::members(site.show_thing(thing));
    shown.remove("content");
    shown.into()
}

fn list(site: &Site, inputs: &Inputs, kind: ThingKind) -> ToolResult {
    let page = known(site, inputs)?;
    let found: Vec<Value> =
        site.things_of(kind, &page.id).map(|thing| about(site, thing)).collect();
    Ok(json!({ "pageId": page.id, "spaceKey": page.space, "results": found }))
}

fn comment(site: &mut Site, inputs: &Inputs) -> ToolResult {
    // An answer is where the comment is that it answers, whatever page the call has named.
    let page = match inputs.optional("parentCommentId") {
        Some(parent) => {
            let parent = site.thing(ThingKind::PageComment, parent);
            parent.ok_or("The comment to answer was not found.")?.of.clone()
        }
        None => known(site, inputs)?.id.clone(),
    };
    let state = json!({ "author": site.user, "resolutionStatus": "open" });
    let fields = kept::with(inputs.pick(&["body", "parentCommentId"]), state);
    Ok(kept::add(site, ThingKind::PageComment, &page, fields))
}

fn tasks(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let space = match inputs.optional("spaceId") {
        Some(name) => Some(known_space(site, name)?.key.clone()),
        None => None,
    };
    let mut found = Vec::new();
    for task in site.things.iter().filter(|thing| thing.kind == ThingKind::Task) {
        let Some(page) = site.page(&task.of) else { continue };
        let is_wanted = space.as_ref().is_none_or(|space| *space == page.space)
            && inputs.optional("pageId").is_none_or(|id| id == page.id)
            && inputs.optional("status").is_none_or(|status| status == task.text("status"));
        if is_wanted {
            let space = site.space(&page.space).map(|space| &space.id);
            let shown =
                kept::with(kept::members(site.show_thing(task)), json!({ "spaceId": space }));
            found.push(Value::from(shown));
        }
    }
    Ok(json!({ "results": found }))
}
