//! Tools of the platform itself, and one of a product that the rest of the site does not have.

use serde_json::{Value, json};

use super::{CLOUD_ID, Kind, Tier, Tool, ToolResult, optional, required};
use crate::site::Site;

pub(super) const TOOLS: &[Tool] = &[
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
