//! Confluence's tools.

use serde_json::{Value, json};

use super::{CLOUD_ID, Inputs, Kind, Param, Tier, Tool, ToolResult, optional, required};
use crate::site::query::Query;
use crate::site::{Page, Site};

const CONTENT: Param =
    required("content_id", Kind::Text, "Numeric id of the content, or the key of its tiny link.");

const SNAPSHOT: Param =
    required("snapshotToken", Kind::Text, "From getConfluenceContent; changes with every change.");

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "getConfluenceContent",
        tier: Tier::Read,
        primary: true,
        about: "Get a Confluence page by id or URL.",
        params: &[
            CLOUD_ID,
            optional("content_id", Kind::Text, "Numeric id, or the key of a tiny link."),
            optional("content_url", Kind::Text, "Address of the content, in any of its forms."),
            optional("detail", Kind::Choice(&["summary", "full"]), "How much to return."),
            optional("content_format", Kind::Choice(&["markdown", "adf"]), "Format of the text."),
            optional("draft", Kind::Flag, "The draft instead of what is published."),
        ],
        run: |site, inputs| {
            let name = inputs.optional("content_id").or_else(|| inputs.optional("content_url"));
            let name = name.ok_or("Give content_id or content_url.")?;
            site.page(name).map(|page| show(site, page)).ok_or_else(no_page)
        },
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
            required("spaceId", Kind::Text, "Numeric id or key of the space."),
            required("title", Kind::Text, "The title."),
            required("body", Kind::Text, "The text."),
            optional("parentId", Kind::Text, "The page to put it under."),
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
            SNAPSHOT,
            optional("title", Kind::Text, "The new title."),
            optional("body", Kind::Text, "The new text."),
        ],
        run: update,
    },
    Tool {
        name: "listConfluenceSpaces",
        tier: Tier::Read,
        primary: false,
        about: "List the Confluence spaces of a site.",
        params: &[CLOUD_ID],
        run: |site, _| {
            let show = |space: &crate::site::Space| json!({ "id": space.id, "key": space.key, "name": space.name });
            Ok(json!({ "results": site.spaces.iter().map(show).collect::<Vec<_>>() }))
        },
    },
    Tool {
        name: "getConfluencePublicLinkStatus",
        tier: Tier::Read,
        primary: false,
        about: "Whether a Confluence page can be read by anyone with its link.",
        params: &[CLOUD_ID, CONTENT],
        run: |site, inputs| {
            let page = site.page(inputs.text("content_id")).ok_or_else(no_page)?;
            Ok(json!({ "id": page.id, "publicLink": page.public_link }))
        },
    },
    Tool {
        name: "enableConfluencePublicLink",
        tier: Tier::Write,
        primary: false,
        about: "Let anyone with the link read a Confluence page.",
        params: &[CLOUD_ID, CONTENT],
        run: |site, inputs| change(site, inputs, |page| page.public_link = true),
    },
    Tool {
        name: "disableConfluencePublicLink",
        tier: Tier::Write,
        primary: false,
        about: "Withdraw the public link of a Confluence page.",
        params: &[CLOUD_ID, CONTENT],
        run: |site, inputs| change(site, inputs, |page| page.public_link = false),
    },
    Tool {
        name: "archiveConfluenceContent",
        tier: Tier::Write,
        primary: false,
        about: "Archive a Confluence page.",
        params: &[CLOUD_ID, CONTENT],
        run: |site, inputs| change(site, inputs, |page| page.archived = true),
    },
    Tool {
        name: "moveConfluenceContent",
        tier: Tier::Write,
        primary: false,
        about: "Move a Confluence page under another page, perhaps in another space.",
        params: &[CLOUD_ID, CONTENT, required("targetParentId", Kind::Text, "The new parent.")],
        run: |site, inputs| {
            let target = site.page(inputs.text("targetParentId")).ok_or_else(no_page)?;
            let (space, parent) = (target.space.clone(), target.id.clone());
            change(site, inputs, |page| {
                page.space = space;
                page.parent = Some(parent);
            })
        },
    },
];

fn no_page() -> String {
    "Content not found, or you do not have permission to see it.".to_owned()
}

fn show(site: &Site, page: &Page) -> Value {
    json!({
        "id": page.id,
        "type": "page",
        "title": page.title,
        "spaceKey": page.space,
        "parentId": page.parent,
        "body": page.body,
        "version": page.version,
        "status": if page.archived { "archived" } else { "current" },
        "snapshotToken": page.snapshot_token(),
        "publicLink": page.public_link,
        "webUrl": format!("{}/wiki/spaces/{}/pages/{}", site.url, page.space, page.id),
    })
}

fn change(site: &mut Site, inputs: &Inputs, set: impl FnOnce(&mut Page)) -> ToolResult {
    let page = site.page_mut(inputs.text("content_id")).ok_or_else(no_page)?;
    set(page);
    page.version += 1;
    let page = site.page(inputs.text("content_id")).ok_or_else(no_page)?;
    Ok(show(site, page))
}

fn search(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let query = Query::read(inputs.text("cql"))?;
    let most = usize::try_from(inputs.integer("limit").unwrap_or(25)).unwrap_or(25);
    let mut found = Vec::new();
    for page in &site.pages {
        if query.matches(&|field| field_of(page, field))? {
            found.push(show(site, page));
        }
    }
    found.truncate(most);
    Ok(json!({ "results": found }))
}

fn field_of(page: &Page, field: &str) -> Option<Vec<String>> {
    Some(match field {
        "space" | "space.key" => vec![page.space.clone()],
        "type" => vec!["page".to_owned()],
        "id" | "content" => vec![page.id.clone()],
        "parent" | "ancestor" => page.parent.iter().cloned().collect(),
        "title" => vec![page.title.clone()],
        "text" => vec![page.title.clone(), page.body.clone()],
        _ => return None,
    })
}

fn create(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let wanted = inputs.text("spaceId");
    let space = site.spaces.iter().find(|space| space.id == wanted || space.key == wanted);
    let space = space.ok_or("Space not found.")?.key.clone();
    let parent = match inputs.optional("parentId") {
        Some(parent) => Some(site.page(parent).ok_or_else(no_page)?.id.clone()),
        None => None,
    };
    let id = site.next_id();
    let page = Page {
        tiny: format!("T{id}"),
        id,
        space,
        parent,
        title: inputs.text("title").to_owned(),
        body: inputs.text("body").to_owned(),
        version: 1,
        public_link: false,
        archived: false,
    };
    let shown = show(site, &page);
    site.pages.push(page);
    Ok(shown)
}

fn update(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let page = site.page(inputs.text("content_id")).ok_or_else(no_page)?;
    if page.snapshot_token() != inputs.text("snapshotToken") {
        return Err("The content has changed since it was read. Read it again.".to_owned());
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
