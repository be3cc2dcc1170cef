//! Tools of the platform itself, and one of a product that the rest of the site does not have.

use serde_json::{Value, json};

use super::{
    CLOUD_ID, Inputs, Kind, Param, Tier, Tool, ToolResult, kept, optional, primary, read, required,
    write,
};
use crate::site::{Site, ThingKind};

const OBJECT: Param =
    required("objectIdentifier", Kind::Text, "Key, id, address or resource name of the object.");

pub(super) const TOOLS: &[&[Tool]] = &[PLATFORM];

const PLATFORM: &[Tool] = &[
    Tool {
        name: "search",
        tier: Tier::Read,
        primary: true,
        about: "Search Jira and Confluence at once. Uses Rovo credits.",
        params: &[CLOUD_ID, required("query", Kind::Text, "What to look for.")],
        run: |site, inputs| search(site, inputs.text("query")),
    },
    Tool {
        name: "getAccessibleAtlassianResources",
        tier: Tier::Read,
        primary: true,
        about: "List the sites that this account can use, with their cloudId.",
        params: &[],
        run: |site, _| Ok(json!([{ "id": site.cloud_id, "url": site.url, "name": "acme" }])),
    },
    Tool {
        name: "atlassianUserInfo",
        tier: Tier::Read,
        primary: true,
        about: "Who this account is.",
        params: &[],
        run: |site, _| Ok(json!({ "account_id": "5b10ac8d82e05b22cc7d4ef5", "name": site.user })),
    },
    // A tool that no catalog classifies: what a gateway does about it must show in the demo.
    Tool {
        name: "getLoomVideo",
        tier: Tier::Read,
        primary: true,
        about: "Get a Loom video with its transcript.",
        params: &[
            required("videoId", Kind::Text, "Id of the video."),
            optional("includeTranscript", Kind::Flag, "Whether to return the transcript."),
        ],
        run: |_, inputs| {
            Ok(json!({ "id": inputs.text("videoId"), "title": "Payments stand-up, 24 November" }))
        },
    },
    read(
        "fetch",
        "Get an object by its Atlassian resource name.",
        &[CLOUD_ID, required("id", Kind::Text, "The name, such as ari:cloud:jira:…:issue/10001.")],
        |site, inputs| object(site, inputs.text("id")),
    ),
    primary(read(
        "getTeamworkGraphObject",
        "Get objects of any product.",
        &[CLOUD_ID, required("objects", Kind::Texts, "Their keys, ids or resource names.")],
        |site, inputs| {
            let names = inputs.texts("objects").unwrap_or_default();
            let objects: Result<Vec<Value>, String> =
                names.iter().map(|name| object(site, name)).collect();
            Ok(json!({ "objects": objects? }))
        },
    )),
    primary(read(
        "getTeamworkGraphContext",
        "Get what is known about an object of any product.",
        &[CLOUD_ID, OBJECT],
        |site, inputs| {
            let name = inputs.text("objectIdentifier");
            let about = object(site, name)?;
            Ok(json!({ "object": about, "context": kept::list(site, ThingKind::Context, name) }))
        },
    )),
    primary(write(
        "addTeamworkGraphContext",
        "Add what you know about an object of any product.",
        &[CLOUD_ID, OBJECT, required("context", Kind::Text, "What you know.")],
        add_context,
    )),
];

fn search(site: &Site, query: &str) -> ToolResult {
    let wanted = query.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let issues = site
        .issues
        .iter()
        .filter(|issue| has(&issue.summary) || has(&issue.description))
        .map(|issue| json!({ "type": "issue", "id": issue.key, "title": issue.summary }));
    let pages = site
        .pages
        .iter()
        .filter(|page| has(&page.title) || has(&page.body))
        .map(|page| json!({ "type": "page", "id": page.id, "title": page.title }));
    Ok(json!({ "results": issues.chain(pages).collect::<Vec<Value>>() }))
}

/// The issue or page that `name` ends in.
fn object(site: &Site, name: &str) -> ToolResult {
    let issue = site.issue(name).map(|issue| {
        json!({ "type": "issue", "id": issue.id, "key": issue.key, "title": issue.summary })
    });
    let page = || {
        let page = site.page(name)?;
        Some(json!({
            "type": "page",
            "id": page.id,
            "spaceKey": page.space,
            "title": page.title,
            "text": page.body,
        }))
    };
    issue.or_else(page).ok_or_else(|| format!("No object '{name}'."))
}

fn add_context(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let name = inputs.text("objectIdentifier");
    object(site, name)?;
    Ok(kept::add(site, ThingKind::Context, name, inputs.pick(&["context"])))
}
