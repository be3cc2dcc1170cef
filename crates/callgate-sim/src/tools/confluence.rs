//! Confluence's tools: pages and their places, and beside this file what belongs to them.

mod access;
mod attached;
mod spaces;

use serde_json::{Value, json};

use super::{
    CLOUD_ID, Inputs, Kind, Param, Tier, Tool, ToolResult, optional, read, required, write,
};
use crate::site::query::Query;
use crate::site::{Page, Site, Space};

const CONTENT: Param =
    optional("content_id", Kind::Text, "Numeric id of the content, or the key of its tiny link.");
const CONTENT_URL: Param =
    optional("content_url", Kind::Text, "Address of the content, in any of its forms.");
const CONTENT_TOO: Param = optional("contentId", Kind::Text, "The same as content_id.");

const TARGET: Param = optional("targetParentId", Kind::Text, "The new parent.");
const TARGET_TOO: Param = optional("targetId", Kind::Text, "The same as targetParentId.");

const SPACE: Param = optional("spaceId", Kind::Text, "Numeric id or key of the space.");
const SPACE_KEY: Param = optional("spaceKey", Kind::Text, "Key of the space.");

/// The tools by what they are about.
pub(super) const TOOLS: &[&[Tool]] = &[CONTENTS, spaces::TOOLS, access::TOOLS, attached::TOOLS];

const SNAPSHOT: Param =
    required("snapshotToken", Kind::Text, "From getConfluenceContent; changes with every change.");

const CONTENTS: &[Tool] = &[
    Tool {
        name: "getConfluenceContent",
        tier: Tier::Read,
        primary: true,
        about: "Get a Confluence page by id or URL.",
        params: &[
            CLOUD_ID,
            CONTENT,
            CONTENT_URL,
            CONTENT_TOO,
            optional("detail", Kind::Choice(&["summary", "full"]), "How much to return."),
            optional("content_format", Kind::Choice(&["markdown", "adf"]), "Format of the text."),
            optional("draft", Kind::Flag, "The draft instead of what is published."),
        ],
        run: |site, inputs| known(site, inputs).map(|page| show(site, page)),
    },
    Tool {
        name: "searchConfluence",
        tier: Tier::Read,
        primary: true,
        about: "Search Confluence with CQL.",
        params: &[
            CLOUD_ID,
            required("cql", Kind::Text, "The query, such as `space = DOCS and text ~ \"refund\"`."),
            optional("cqlcontext", Kind::Text, "Context of the query."),
            optional("expand", Kind::Text, "What to expand."),
            optional("limit", Kind::Integer, "At most this many, 25 unless told."),
            optional("cursor", Kind::Text, "From the page before."),
        ],
        run: search,
    },
    Tool {
        name: "createConfluenceContent",
        tier: Tier::Write,
        primary: true,
        about: "Create a Confluence page in a space.",
        params: &[
            CLOUD_ID,
            SPACE,
            required("title", Kind::Text, "The title."),
            required("body", Kind::Text, "The text."),
            optional("parentId", Kind::Text, "The page to put it under."),
            optional("parent", Kind::Object, "Where to put it: spaceId and parentContentId."),
        ],
        run: create,
    },
    Tool {
        name: "updateConfluenceContent",
        tier: Tier::Write,
        primary: true,
        about: "Change a Confluence page.",
        params: &[
            CLOUD_ID,
            CONTENT,
            CONTENT_URL,
            CONTENT_TOO,
            SNAPSHOT,
            optional("title", Kind::Text, "The new title."),
            optional("body", Kind::Text, "The new text."),
            optional("parentId", Kind::Text, "The page to put it under."),
        ],
        run: update,
    },
    read(
        "exportConfluenceContent",
        "Export a Confluence page.",
        &[
            CLOUD_ID,
            CONTENT,
            CONTENT_URL,
            CONTENT_TOO,
            optional("format", Kind::Choice(&["pdf", "word"]), "As what."),
        ],
        |site, inputs| {
            let page = known(site, inputs)?;
            let format = inputs.optional("format").unwrap_or("pdf");
            Ok(
                json!({ "id": page.id, "spaceKey": page.space, "format": format, "data": page.body }),
            )
        },
    ),
    read(
        "resolveConfluenceContentMacros",
        "Get a Confluence page with its macros resolved.",
        &[CLOUD_ID, CONTENT, CONTENT_URL, CONTENT_TOO],
        |site, inputs| known(site, inputs).map(|page| show(site, page)),
    ),
    write(
        "archiveConfluenceContent",
        "Archive a Confluence page.",
        &[CLOUD_ID, CONTENT, CONTENT_URL, CONTENT_TOO],
        |site, inputs| change(site, inputs, |page| page.archived = true),
    ),
    write(
        "unarchiveConfluenceContent",
        "Take a Confluence page out of the archive.",
        &[CLOUD_ID, CONTENT, CONTENT_URL, CONTENT_TOO],
        |site, inputs| change(site, inputs, |page| page.archived = false),
    ),
    write(
        "moveConfluenceContent",
        "Move a Confluence page under another page, perhaps in another space.",
        &[CLOUD_ID, CONTENT, CONTENT_URL, CONTENT_TOO, TARGET, TARGET_TOO],
        |site, inputs| {
            let id = known(site, inputs)?.id.clone();
            put_under(site, &id, inputs.first(&["targetParentId", "targetId"])?)?;
            change(site, inputs, |_| ())
        },
    ),
    write(
        "copyConfluenceContent",
        "Copy a Confluence page to under another page, perhaps in another space.",
        &[
            CLOUD_ID,
            CONTENT,
            CONTENT_URL,
            CONTENT_TOO,
            TARGET,
            TARGET_TOO,
            optional("title", Kind::Text, "The title of the copy."),
        ],
        copy,
    ),
    write(
        "addLabelsToConfluenceContent",
        "Add labels to a Confluence page.",
        &[
            CLOUD_ID,
            CONTENT,
            CONTENT_URL,
            CONTENT_TOO,
            required("labels", Kind::Texts, "The labels."),
        ],
        |site, inputs| {
            let labels = inputs.texts("labels").unwrap_or_default();
            change(site, inputs, |page| page.labels.extend(labels))
        },
    ),
    write(
        "setConfluenceContentStatus",
        "Tell the readers of a Confluence page of its state.",
        &[
            CLOUD_ID,
            CONTENT,
            CONTENT_URL,
            CONTENT_TOO,
            required("status", Kind::Text, "Such as Rough draft."),
            optional("color", Kind::Text, "Its colour."),
        ],
        |site, inputs| {
            let status = inputs.text("status").to_owned();
            change(site, inputs, |page| page.content_status = Some(status))
        },
    ),
];

fn no_page() -> String {
    "Content not found, or you do not have permission to see it.".to_owned()
}

/// The page of a call, by any of the names that it may have there.
fn known<'a>(site: &'a Site, inputs: &Inputs) -> Result<&'a Page, String> {
    site.page(inputs.first(&["content_id", "content_url", "contentId"])?).ok_or_else(no_page)
}

fn known_space<'a>(site: &'a Site, name: &str) -> Result<&'a Space, String> {
    site.space(name).ok_or_else(|| "Space not found.".to_owned())
}

fn show(site: &Site, page: &Page) -> Value {
    json!({
        "id": page.id,
        "type": page.kind,
        "title": page.title,
        "spaceId": site.space(&page.space).map(|space| &space.id),
        "spaceKey": page.space,
        "parentId": page.parent,
        "body": page.body,
        "version": page.version,
        "status": if page.archived { "archived" } else { "current" },
        "snapshotToken": page.snapshot_token(),
        "publicLink": page.public_link,
        "labels": page.labels,
        "contentStatus": page.content_status,
        "webUrl": format!("{}/wiki/spaces/{}/pages/{}", site.url, page.space, page.id),
    })
}

fn change(site: &mut Site, inputs: &Inputs, set: impl FnOnce(&mut Page)) -> ToolResult {
    let id = known(site, inputs)?.id.clone();
    let page = site.page_mut(&id).ok_or_else(no_page)?;
    set(page);
    page.version += 1;
    let page = site.page(&id).ok_or_else(no_page)?;
    Ok(show(site, page))
}

/// Puts a page, with all that is under it, under another one, and so into its space.
fn put_under(site: &mut Site, id: &str, target: &str) -> Result<(), String> {
    let target = site.page(target).ok_or_else(no_page)?;
    let (space, parent) = (target.space.clone(), target.id.clone());
    let mut moved = vec![id.to_owned()];
    let mut seen = 0;
    while let Some(over) = moved.get(seen).cloned() {
        let under = site.pages.iter().filter(|page| page.parent.as_ref() == Some(&over));
        moved.extend(under.map(|page| page.id.clone()));
        seen += 1;
        if over == parent {
            return Err("A page cannot be put under itself.".to_owned());
        }
    }
    for page in site.pages.iter_mut().filter(|page| moved.contains(&page.id)) {
        page.space.clone_from(&space);
    }
    site.page_mut(id).ok_or_else(no_page)?.parent = Some(parent);
    Ok(())
}

fn search(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let query = Query::read(inputs.text("cql"))?;
    let most = usize::try_from(inputs.integer("limit").unwrap_or(25)).unwrap_or(25);
    let mut found = Vec::new();
    for page in &site.pages {
        if query.matches(&|field| field_of(site, page, field))? {
            found.push(show(site, page));
        }
    }
    found.truncate(most);
    Ok(json!({ "results": found }))
}

fn field_of(site: &Site, page: &Page, field: &str) -> Option<Vec<String>> {
    Some(match field {
        "space" | "space.key" => vec![page.space.clone()],
        "space.id" => site.space(&page.space).map(|space| space.id.clone()).into_iter().collect(),
        "type" => vec![page.kind.clone()],
        "label" => page.labels.clone(),
        "id" | "content" => vec![page.id.clone()],
        "parent" | "ancestor" => page.parent.iter().cloned().collect(),
        "title" => vec![page.title.clone()],
        "text" => vec![page.title.clone(), page.body.clone()],
        _ => return None,
    })
}

fn create(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let within = |name: &str| inputs.object("parent")?.get(name)?.as_str();
    let space = inputs.optional("spaceId").or_else(|| within("spaceId"));
    let space = known_space(site, space.ok_or("Invalid arguments: 'spaceId' is required.")?)?;
    let parent = inputs.optional("parentId").or_else(|| within("parentContentId"));
    let (title, body) = (inputs.text("title"), inputs.text("body"));
    let page = new(site, &space.key, parent, title, body)?;
    Ok(add(site, page))
}

/// A page that is not on the site yet; without an id.
fn new(
    site: &Site,
    space: &str,
    parent: Option<&str>,
    title: &str,
    body: &str,
) -> Result<Page, String> {
    let parent = match parent {
        Some(parent) => Some(site.page(parent).ok_or_else(no_page)?),
        None => None,
    };
    Ok(Page {
        id: String::new(),
        tiny: String::new(),
        // The parent decides where a page is, whatever space the call has named.
        space: parent.map_or(space, |parent| &parent.space).to_owned(),
        parent: parent.map(|parent| parent.id.clone()),
        title: title.to_owned(),
        body: body.to_owned(),
        version: 1,
        public_link: false,
        archived: false,
        kind: "page".to_owned(),
        labels: Vec::new(),
        content_status: None,
    })
}

/// Gives a page its ids and adds it.
fn add(site: &mut Site, mut page: Page) -> Value {
    page.id = site.next_id();
    page.tiny = format!("T{}", page.id);
    let shown = show(site, &page);
    site.pages.push(page);
    shown
}

fn copy(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let page = known(site, inputs)?;
    let title = format!("Copy of {}", page.title);
    let title = inputs.optional("title").unwrap_or(&title);
    let target = inputs.first(&["targetParentId", "targetId"])?;
    let copy = new(site, &page.space, Some(target), title, &page.body)?;
    Ok(add(site, copy))
}

fn update(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let page = known(site, inputs)?;
    if page.snapshot_token() != inputs.text("snapshotToken") {
        return Err("The content has changed since it was read. Read it again.".to_owned());
    }
    if let Some(parent) = inputs.optional("parentId") {
        let id = page.id.clone();
        put_under(site, &id, parent)?;
    }
    change(site, inputs, |page| {
        if let Some(title) = inputs.optional("title") {
            title.clone_into(&mut page.title);
        }
        if let Some(body) = inputs.optional("body") {
            body.clone_into(&mut page.body);
        }
    })
}
