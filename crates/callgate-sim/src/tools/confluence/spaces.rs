//! Spaces, what is in them, and templates.

use serde_json::{Value, json};

use super::{SPACE, SPACE_KEY, add, known_space, new, show};
use crate::site::{Site, Space, ThingKind};
use crate::tools::{
    CLOUD_ID, Inputs, Kind, Tool, ToolResult, destroy, kept, optional, read, required, write,
};

pub(super) const TOOLS: &[Tool] = &[
    read(
        "listConfluenceSpaces",
        "List the Confluence spaces of a site.",
        &[CLOUD_ID],
        |site, _| Ok(json!({ "results": site.spaces.iter().map(show_space).collect::<Vec<_>>() })),
    ),
    read(
        "getConfluenceSpace",
        "Get a Confluence space.",
        &[CLOUD_ID, SPACE, SPACE_KEY],
        |site, inputs| of_call(site, inputs).map(show_space),
    ),
    read("getConfluencePersonalSpace", "Get your own space.", &[CLOUD_ID], |site, _| {
        let own = site.spaces.iter().find(|space| space.key.starts_with('~'));
        own.map(show_space).ok_or_else(|| "You have no space of your own.".to_owned())
    }),
    read(
        "listConfluenceContent",
        "List what is in a Confluence space.",
        &[
            CLOUD_ID,
            SPACE,
            SPACE_KEY,
            optional("type", Kind::Choice(&["page", "folder"]), "Only these."),
        ],
        |site, inputs| {
            let space = of_call(site, inputs)?;
            let kind = inputs.text("type");
            let pages = site.pages.iter().filter(|page| page.space == space.key);
            let pages = pages.filter(|page| kind.is_empty() || page.kind == kind);
            let pages: Vec<Value> = pages.map(|page| show(site, page)).collect();
            Ok(json!({ "spaceId": space.id, "spaceKey": space.key, "results": pages }))
        },
    ),
    read(
        "listConfluenceTemplates",
        "List the templates of a Confluence space, or those of the site.",
        &[CLOUD_ID, SPACE, SPACE_KEY],
        |site, inputs| {
            let is_named = inputs.optional("spaceId").or_else(|| inputs.optional("spaceKey"));
            let of = match is_named {
                Some(_) => of_call(site, inputs)?.key.clone(),
                None => String::new(),
            };
            Ok(json!({ "results": kept::list(site, ThingKind::Template, &of) }))
        },
    ),
    read(
        "getConfluenceTemplate",
        "Get a template.",
        &[CLOUD_ID, required("templateId", Kind::Text, "Id of the template.")],
        |site, inputs| kept::get(site, ThingKind::Template, inputs.text("templateId")),
    ),
    write(
        "createConfluenceFolder",
        "Create a folder in a Confluence space.",
        &[
            CLOUD_ID,
            SPACE,
            SPACE_KEY,
            required("title", Kind::Text, "The title."),
            optional("parentId", Kind::Text, "The page to put it under."),
        ],
        |site, inputs| {
            let space = of_call(site, inputs)?;
            let parent = inputs.optional("parentId");
            let mut folder = new(site, &space.key, parent, inputs.text("title"), "")?;
            "folder".clone_into(&mut folder.kind);
            Ok(add(site, folder))
        },
    ),
    destroy(
        "createConfluenceSpace",
        "Create a Confluence space.",
        &[
            CLOUD_ID,
            required("key", Kind::Text, "Its key."),
            required("name", Kind::Text, "Its name."),
            optional("description", Kind::Text, "What it is for."),
        ],
        create,
    ),
];

/// The space of a call, by either of the names that it may have there.
fn of_call<'a>(site: &'a Site, inputs: &Inputs) -> Result<&'a Space, String> {
    known_space(site, inputs.first(&["spaceId", "spaceKey"])?)
}

fn show_space(space: &Space) -> Value {
    json!({ "id": space.id, "key": space.key, "name": space.name })
}

fn create(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let key = inputs.text("key");
    if site.space(key).is_some() {
        return Err(format!("A space with the key '{key}' exists."));
    }
    let (key, name) = (key.to_owned(), inputs.text("name").to_owned());
    let space = Space { id: site.next_id(), key, name };
    let shown = show_space(&space);
    site.spaces.push(space);
    Ok(shown)
}
