//! Pages that stay fresh while they are open, in a real browser with scripts: what somebody else does elsewhere shows on them, and
//! nothing is loaded but by themselves.

use callgate_tests::gateway::{Gateway, callgate};
use serde_json::{Value, json};

use super::approvals::{CAROL, DAVE, world};
use super::console::{browse, says, waits};
use super::pages::{OPERATOR, prepared};
use super::world::BOB;

/// Nothing was loaded, and nothing went wrong.
fn is_quiet(told: &Value) {
    assert_eq!((&told["loads"], &told["wrong"]), (&json!(0), &json!([])), "{told}");
}

/// The form is there until nobody needs it, with what somebody has written in it.
#[tokio::test]
async fn the_page_of_an_approval_shows_what_others_say() {
    let (_sim, gateway) = world("@quorum(\"2\") @denials(\"2\")").await;
    let page = waits(&gateway, "ENG-45").await;
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "carol", "token": CAROL },
            { "do": "keep", "person": "carol", "path": page },
            { "do": "writes", "person": "carol", "field": "reason", "text": "I am not sure" },
            { "do": "sign_in", "person": "dave", "token": DAVE },
            { "do": "open", "person": "dave", "path": page },
            { "do": "says", "person": "dave", "verdict": "approve" },
            { "do": "hears", "person": "carol", "part": "approved by dave" },
            { "do": "reads", "person": "carol", "field": "reason" },
            { "do": "open", "person": "carol", "path": page },
            { "do": "says", "person": "carol", "verdict": "approve" },
            { "do": "hears", "person": "carol", "part": "approved by carol" },
        ]),
    )
    .await;
    is_quiet(&told[6]);
    assert!(says(&told[6], "waiting") && says(&told[6], "Approve"), "{}", told[6]);
    assert_eq!(told[7]["text"], "I am not sure");
    is_quiet(&told[10]);
    assert!(!says(&told[10], "Approve"), "nobody is asked any more: {}", told[10]);
    assert!(says(&told[8], "As of 2") && !says(&told[8], "Live."), "without a script: {}", told[8]);
}

async fn pinned() -> Gateway {
    let folder = prepared().write().unwrap();
    let pinned = callgate(folder.path(), &["tools", "pin", "shop", "look"], "").await.unwrap();
    assert_eq!(pinned.code, Some(0), "{pinned:?}");
    Gateway::start(folder).await.unwrap()
}

#[tokio::test]
async fn the_pages_of_tools_and_callers_show_what_is_done_elsewhere() {
    let gateway = pinned().await;
    let token = ["token", "create", "--owner", "sam", "--agent", "shop-bot", "--name", "night"];
    gateway.cli(&token).await.unwrap();
    let agent = "kind=agent&id=shop-bot";
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "olga", "token": OPERATOR },
            { "do": "sign_in", "person": "other", "token": OPERATOR },
            { "do": "keep", "person": "olga", "path": "/console/tools?standing=approved" },
            { "do": "open", "person": "other", "path": "/console/tools/tool?server=shop&tool=sell" },
            { "do": "press", "person": "other", "button": "Approve it as it is" },
            { "do": "hears", "person": "olga", "part": "sell" },
            { "do": "keep", "person": "olga", "path": "/console/callers?kind=agent" },
            { "do": "open", "person": "other", "path": format!("/console/callers/revoke?{agent}") },
            { "do": "press", "person": "other", "fill": { "reason": "stolen" }, "button": "Revoke this agent" },
            { "do": "hears", "person": "olga", "part": "revoked" },
            { "do": "keep", "person": "olga", "path": "/console/callers/revocations" },
            { "do": "open", "person": "other", "path": format!("/console/callers/caller?{agent}") },
            { "do": "press", "person": "other", "button": "Let in again: shop-bot" },
            { "do": "hears", "person": "olga", "part": "Nobody is revoked" },
            { "do": "sign_in", "person": "bob", "token": BOB },
            { "do": "listen", "person": "bob", "page": "tools", "count": 1 },
            { "do": "listen", "person": "bob", "page": "revocations", "count": 1 },
            { "do": "listen", "person": "olga", "page": "approval", "count": 1 },
        ]),
    )
    .await;
    for at in [5, 9, 13] {
        is_quiet(&told[at]);
    }
    assert!(says(&told[2], "look") && !says(&told[2], "shop/sell"), "{}", told[2]);
    assert_eq!((&told[15]["statuses"], &told[16]["statuses"]), (&json!([403]), &json!([403])));
    assert_eq!(told[17]["statuses"], json!([400]), "of which");
}
