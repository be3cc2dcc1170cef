//! Who may read a page, who can without asking, and what they think of it.

use serde_json::{Value, json};

use super::{CONTENT, CONTENT_TOO, CONTENT_URL, change, known};
use crate::site::ThingKind;
use crate::tools::{CLOUD_ID, Kind, Tool, kept, read, required, write};

pub(super) const TOOLS: &[Tool] = &[
    read(
        "getConfluencePublicLinkStatus",
        "Whether a Confluence page can be read by anyone with its link.",
        &[CLOUD_ID, CONTENT, CONTENT_URL, CONTENT_TOO],
        |site, inputs| {
            let page = known(site, inputs)?;
            Ok(json!({ "id": page.id, "spaceKey": page.space, "publicLink": page.public_link }))
        },
    ),
    read(
        "getConfluenceContentRestrictionState",
        "Whether a Confluence page is restricted.",
        &[CLOUD_ID, CONTENT, CONTENT_URL, CONTENT_TOO],
        |site, inputs| {
            let page = known(site, inputs)?;
            let is_restricted = site.things_of(ThingKind::Restriction, &page.id).next().is_some();
            Ok(json!({ "id": page.id, "spaceKey": page.space, "restricted": is_restricted }))
        },
    ),
    read(
        "getConfluenceContentPermissions",
        "Who may read and change a Confluence page.",
        &[CLOUD_ID, CONTENT, CONTENT_URL, CONTENT_TOO],
        |site, inputs| {
            let page = known(site, inputs)?;
            let restrictions: Vec<Value> = kept::list(site, ThingKind::Restriction, &page.id);
            Ok(json!({ "id": page.id, "spaceKey": page.space, "restrictions": restrictions }))
        },
    ),
    read(
        "getConfluenceReactions",
        "List the reactions to a Confluence page.",
        &[CLOUD_ID, CONTENT, CONTENT_URL, CONTENT_TOO],
        |site, inputs| {
            let page = known(site, inputs)?;
            let reactions = kept::list(site, ThingKind::Reaction, &page.id);
            Ok(json!({ "id": page.id, "spaceKey": page.space, "results": reactions }))
        },
    ),
    write(
        "enableConfluencePublicLink",
        "Let anyone with the link read a Confluence page.",
        &[CLOUD_ID, CONTENT, CONTENT_URL, CONTENT_TOO],
        |site, inputs| change(site, inputs, |page| page.public_link = true),
    ),
    write(
        "disableConfluencePublicLink",
        "Withdraw the public link of a Confluence page.",
        &[CLOUD_ID, CONTENT, CONTENT_URL, CONTENT_TOO],
        |site, inputs| change(site, inputs, |page| page.public_link = false),
    ),
    write(
        "addConfluenceReaction",
        "React to a Confluence page.",
        &[
            CLOUD_ID,
            CONTENT,
            CONTENT_URL,
            CONTENT_TOO,
            required("emojiId", Kind::Text, "The emoji, such as 1f44d."),
        ],
        |site, inputs| {
            let id = known(site, inputs)?.id.clone();
            let fields = kept::with(inputs.pick(&["emojiId"]), json!({ "user": site.user }));
            Ok(kept::add(site, ThingKind::Reaction, &id, fields))
        },
    ),
];
