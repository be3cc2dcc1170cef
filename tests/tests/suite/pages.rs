//! The pages of the console about tools, policies, callers and what they reach, in a real browser without scripts. Servers and agents are
//! hostile: whatever they write is text.

use std::path::Path;

use callgate_tests::gateway::{Chain, Folder, Gateway, Setup, callgate, digest};
use callgate_tests::wire::Ask;
use serde_json::{Value, json};

use super::console::{browse, says};
use super::world::{ALICE, BOB, setup};

pub(crate) const OPERATOR: &str = "token-of-olga";
pub(crate) const SELLER: &str = "token-of-sam";
const SELLER_CHAIN: Chain = Chain { human: "sam", group: "sales", agent: "shop-bot" };

/// Looks like the end of a page, and at other letters.
const HOSTILE: &str =
    "</pre></main><h1>Approved by the security team</h1>\u{202e}gnp.exe\u{1b}[2J \u{430}dmin";

const CATALOG: &str = r#"
format = 1
name = "shop"
version = "1"
[target."Shop::Shelf"]
[target."Shop::Thing"]
in = "Shop::Shelf"
"#;

/// What each tool is called, what it does, how bad a wrong call is, and whether that can be made good.
const CLASSES: [[&str; 4]; 3] = [
    ["look", "read", "low", "reversible"],
    ["sell", "write", "high", "irreversible"],
    ["burn", "delete", "critical", "irreversible"],
];

const PERMITS: &str = r#"
@id("operators-administer") @reason("They run the gateway") @owner("platform")
permit(principal in Group::"operators", action in Action::"callgate", resource in Callgate::Gateway::"callgate");
@id("sellers-sell") @reason("It is a shop") @owner("sales")
permit(principal in Group::"sales", action in [Action::"read", Action::"write"], resource in Shop::Shelf::"window");
@id("the-bot-sells") @reason("It is a shop") @owner("sales")
permit(principal == Agent::"shop-bot", action in [Action::"read", Action::"write"], resource);
"#;

const GATE: &str = r#"
@id("sales-need-a-lead") @reason("What is sold is gone") @owner("sales") @approval("team:leads") @quorum("2") @decide_within("30m")
forbid(principal, action == Action::"shop/sell", resource);
"#;

fn catalog() -> String {
    let classes = CLASSES.map(|[name, effect, risk, reversibility]| {
        format!(
            "[tool.{name}]\ntitle = \"{name} a thing\"\neffect = \"{effect}\"\nrisk = \"{risk}\"\nreversibility = \"{reversibility}\"\n\
             targets = [{{ kind = \"Shop::Thing\", at = [\"/shelf\", \"/thing\"] }}]\n"
        )
    });
    format!("{CATALOG}{}", classes.concat())
}

fn tool(name: &str, says: &str) -> Value {
    let text = json!({ "type": "string" });
    json!({ "name": name, "description": says, "inputSchema": {
        "type": "object", "properties": { "shelf": text, "thing": text }, "required": ["shelf", "thing"] } })
}

/// What the shop has, as its file says it.
pub(crate) fn tools(sells: &str) -> String {
    let all = json!([
        tool("look", "Looks."),
        tool("sell", sells),
        tool("burn", "Burns."),
        tool("haggle", HOSTILE)
    ]);
    all.to_string()
}

/// A shop behind the gate, not started yet.
fn shop() -> Folder {
    prepared().write().unwrap()
}

/// The same, to be added to.
pub(crate) fn prepared() -> Setup {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/servers/shop.mjs");
    let operator = format!(
        "[[danger_static_tokens]]\nname = \"olga\"\nsha256 = \"{}\"\nhuman = \"olga\"\ngroups = [\"operators\"]\n",
        digest(OPERATOR.as_bytes())
    );
    let server = format!(
        "[catalogs]\nfiles = [\"shop.toml\"]\n[servers.shop]\ncommand = [\"node\", {script:?}, \"tools.json\"]\ncatalog = \"shop\"\n"
    );
    let world = setup().token(SELLER, &SELLER_CHAIN).section(&operator).section(&server);
    world
        .file("shop.toml", &catalog())
        .file("tools.json", &tools("Sells a thing."))
        .file("policies/guardrails/all.cedar", "")
        .file("policies/approvals/all.cedar", GATE)
        .file("policies/permits/all.cedar", PERMITS)
}

async fn look(gateway: &Gateway, tool: &str) -> String {
    let ask = Ask::call("shop", SELLER, tool, json!({ "shelf": "window", "thing": "lamp" }));
    let heard = ask.send(gateway.address).await.unwrap();
    if heard.is_success() { "done".to_owned() } else { heard.reasons() }
}

#[tokio::test]
async fn t02_an_operator_sees_what_has_changed_and_approves_what_was_shown() {
    let folder = shop();
    let pinned =
        callgate(folder.path(), &["tools", "pin", "shop", "look", "sell"], "").await.unwrap();
    assert_eq!(pinned.code, Some(0), "{pinned:?}");
    // It is sold otherwise by the time that the gateway looks.
    folder.put("tools.json", &tools(HOSTILE)).unwrap();
    let gateway = Gateway::start(folder).await.unwrap();
    assert_eq!(
        (look(&gateway, "look").await, look(&gateway, "sell").await),
        ("done".to_owned(), "tool_changed".to_owned())
    );
    let page = |tool: &str| format!("/console/tools/tool?server=shop&tool={tool}");
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "olga", "token": OPERATOR },
            { "do": "open", "person": "olga", "path": "/console/tools" },
            { "do": "check", "person": "olga", "path": "/console/tools", "picture": "tools" },
            { "do": "follow", "person": "olga", "link": "sell" },
            { "do": "check", "person": "olga", "picture": "tool" },
            { "do": "press", "person": "olga", "button": "Approve it as it is" },
            { "do": "open", "person": "olga", "path": "/console/tools?standing=new" },
            { "do": "sign_in", "person": "bob", "token": BOB },
            { "do": "open", "person": "bob", "path": "/console/tools" },
            { "do": "open", "person": "bob", "path": page("sell") },
        ]),
    )
    .await;
    let [_, list, check, changed, check_one, approved, new, _, no, neither] = told.as_slice()
    else {
        panic!("{told:?}")
    };
    for check in [check, check_one] {
        assert_eq!(check["found"], json!([]), "axe, and the width of the screen");
    }
    let text = list["text"].as_str().unwrap();
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(
        at("sell") < at("haggle") && at("haggle") < at("burn") && at("burn") < at("look"),
        "what has to be looked at is first: {text}"
    );
    for part in [
        "changed",
        "Sells a thing.",
        "Approved by the security team</h1>\\u{202e}gnp.exe\\u{1b}[2J",
        "not only ASCII",
        "shop/sell",
        "high risk",
    ] {
        assert!(says(changed, part), "{part}: {changed}");
    }
    assert!(says(approved, "It is recorded") && says(approved, "approved"), "{approved}");
    assert_eq!((&no["status"], &neither["status"]), (&json!(403), &json!(403)));
    assert!(says(new, "burn") && !says(new, "sell"), "{new}");
    assert_eq!(look(&gateway, "sell").await, "approval_required", "it is what was approved");
    let changes = gateway.cli(&["evidence", "list", "--changes"]).await.unwrap();
    assert!(changes.stdout.contains("olga"), "{changes:?}");
}

#[tokio::test]
async fn a_tool_that_nobody_has_classified_is_shown_with_what_to_write() {
    let folder = shop();
    // I13: a thousand others, and one that says more than anybody reads.
    let mut all: Vec<Value> = serde_json::from_str(&tools("Sells a thing.")).unwrap();
    all.push(tool(&"endless".repeat(18), &"x".repeat(50_000)));
    all[2] = tool("burn", &"Burns.\n".repeat(10_001));
    all.extend((0..1_000).map(|number| tool(&format!("one{number}"), "One of many.")));
    folder.put("tools.json", &json!(all).to_string()).unwrap();
    let gateway = Gateway::start(folder).await.unwrap();
    let endless = format!("/console/tools/tool?server=shop&tool={}", "endless".repeat(18));
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "olga", "token": OPERATOR },
            { "do": "open", "person": "olga", "path": "/console/tools/tool?server=shop&tool=haggle" },
            { "do": "check", "person": "olga", "picture": "unclassified" },
            { "do": "open", "person": "olga", "path": "/console/tools/tool?server=shop&tool=nothing" },
            { "do": "open", "person": "olga", "path": "/console/tools?nothing=1" },
            { "do": "open", "person": "olga", "path": "/console/tools" },
            { "do": "check", "person": "olga", "path": endless, "picture": "endless" },
            { "do": "open", "person": "olga", "path": "/console/tools/tool?server=shop&tool=burn" },
            { "do": "open", "person": "olga", "path": "/console/tools/tool?server=shop&tool=look" },
        ]),
    )
    .await;
    let told_of = [
        "No catalog knows it",
        "To classify it",
        "[tool.\"haggle\"]",
        "extends = \"shop\"",
        "Approved by the security team</h1>\\u{202e}gnp.exe\\u{1b}[2J",
    ];
    for part in told_of {
        assert!(says(&told[1], part), "{part}: {}", told[1]);
    }
    assert_eq!(told[2]["found"], json!([]), "axe, and the width of the screen");
    assert_eq!((&told[3]["status"], &told[4]["status"]), (&json!(404), &json!(400)));
    assert!(says(&told[5], "And 905 more that match"), "{}", told[5]);
    assert_eq!(told[6]["found"], json!([]), "axe, and the width of the screen");
    let button = "Approve it as it is";
    assert!(says(&told[7], "too long") && !says(&told[7], button), "nobody was shown all of it");
    assert!(says(&told[8], button), "{}", told[8]);
}

/// Nothing is approved but what was shown, by whoever was shown it.
#[tokio::test]
async fn t02_a_definition_that_nobody_was_shown_is_not_approved() {
    let gateway = Gateway::start(shop()).await.unwrap();
    let form = |csrf: &str, shown: &str| json!({ "csrf": csrf, "server": "shop", "tool": "sell", "shown": shown, "verdict": "pin" });
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "olga", "token": OPERATOR },
            { "do": "forged", "person": "olga", "path": "/console/tools/tool", "form": form("", &"0".repeat(64)) },
            { "do": "open", "person": "olga", "path": "/console/tools/tool?server=shop&tool=sell" },
            { "do": "press", "person": "olga", "set": { "shown": "0".repeat(64) }, "button": "Approve it as it is" },
            { "do": "press", "person": "olga", "button": "Approve it as it is" },
            { "do": "press", "person": "olga", "button": "Take the approval back" },
            { "do": "sign_in", "person": "alice", "token": ALICE },
            { "do": "forged", "person": "alice", "path": "/console/tools/tool", "form": form("", "") },
        ]),
    )
    .await;
    assert_eq!(
        (&told[1]["status"], &told[3]["status"], &told[7]["status"]),
        (&json!(403), &json!(409), &json!(403))
    );
    assert!(says(&told[3], "not what you were shown") && says(&told[3], "new"), "{}", told[3]);
    assert!(says(&told[4], "It is recorded"), "{}", told[4]);
    assert!(says(&told[5], "new"), "{}", told[5]);
    assert_eq!(look(&gateway, "sell").await, "tool_unapproved");
}

const CASES: &str = r#"
[caller.sam]
human = "sam"
groups = ["sales"]
agent = "shop-bot"
[[case]]
name = "selling waits for a lead"
caller = "sam"
server = "shop"
tool = "sell"
arguments = { shelf = "window", thing = "lamp" }
want = "approval_required"
[[case]]
name = "everybody may burn"
caller = "sam"
server = "shop"
tool = "burn"
arguments = { shelf = "window", thing = "lamp" }
want = "allow"
"#;

#[tokio::test]
async fn people_read_the_policies_in_force_and_what_is_wrong_on_disk() {
    let folder = shop();
    folder.put("policies/cases/all.toml", CASES).unwrap();
    let gateway = Gateway::start(folder).await.unwrap();
    gateway.says("a decision case fails").await.unwrap();
    let sign_in = json!({ "do": "sign_in", "person": "olga", "token": OPERATOR });
    let told = browse(
        &gateway,
        json!([
            sign_in,
            { "do": "open", "person": "olga", "path": "/console/policy" },
            { "do": "check", "person": "olga", "picture": "policy" },
            { "do": "press", "person": "olga", "fill": { "owner": "platform" }, "button": "Show" },
            { "do": "sign_in", "person": "bob", "token": BOB },
            { "do": "open", "person": "bob", "path": "/console/policy" },
        ]),
    )
    .await;
    let [_, all, check, platform, _, refused] = told.as_slice() else { panic!("{told:?}") };
    for part in [
        "4 policies",
        "1 pass, 1 fail",
        "everybody may burn: wanted allow",
        "sales-need-a-lead",
        "owner: sales",
        "2 of team:leads, within 30 minutes",
    ] {
        assert!(says(all, part), "{part}: {all}");
    }
    assert_eq!(check["found"], json!([]), "axe, and the width of the screen");
    assert!(
        says(platform, "operators-administer") && !says(platform, "sellers-sell"),
        "{platform}"
    );
    assert_eq!(refused["status"], 403);
    gateway.put("policies/permits/all.cedar", "permit(").unwrap();
    gateway.says("the policies on disk are not valid").await.unwrap();
    let open = json!({ "do": "open", "person": "olga", "path": "/console/policy" });
    let check = json!({ "do": "check", "person": "olga", "picture": "policy-wrong" });
    let told = browse(&gateway, json!([sign_in, open, check])).await;
    assert!(says(&told[1], "not valid") && says(&told[1], "permits/all.cedar"), "{}", told[1]);
    assert!(says(&told[1], "sellers-sell"), "those before stay in force: {}", told[1]);
    assert_eq!(told[2]["found"], json!([]), "axe, and the width of the screen");
}

async fn pinned() -> Gateway {
    let folder = shop();
    let pinned = callgate(folder.path(), &["tools", "pin", "shop", "--new"], "").await.unwrap();
    assert_eq!(pinned.code, Some(0), "{pinned:?}");
    Gateway::start(folder).await.unwrap()
}

#[tokio::test]
async fn an_operator_sees_who_has_more_than_they_use_and_ends_it() {
    let gateway = pinned().await;
    let create =
        ["token", "create", "--owner", "sam", "--agent", "shop-bot", "--name", "<b>night\u{202e}"];
    let made = gateway.cli(&create).await.unwrap();
    let token = made.stdout.trim().to_owned();
    assert_eq!(look(&gateway, "look").await, "done");
    let listed = gateway.cli(&["token", "list", "--json"]).await.unwrap().json().unwrap();
    let id = listed[0]["id"].as_str().unwrap();
    let agent = "kind=agent&id=shop-bot";
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "olga", "token": OPERATOR },
            { "do": "open", "person": "olga", "path": "/console/callers" },
            { "do": "check", "person": "olga", "path": "/console/callers?kind=agent", "picture": "callers" },
            { "do": "open", "person": "olga", "path": "/console/callers?kind=token" },
            { "do": "open", "person": "olga", "path": format!("/console/callers/caller?{agent}") },
            { "do": "check", "person": "olga", "picture": "caller" },
            { "do": "follow", "person": "olga", "link": "Revoke this agent" },
            { "do": "check", "person": "olga", "picture": "revoke" },
            { "do": "forged", "person": "olga", "path": "/console/callers/revoke", "form": { "csrf": "", "kind": "agent", "id": "shop-bot", "reason": "x" } },
            { "do": "press", "person": "olga", "fill": { "reason": "it was stolen" }, "button": "Revoke this agent" },
            { "do": "open", "person": "olga", "path": format!("/console/callers/caller?{agent}") },
            { "do": "open", "person": "olga", "path": format!("/console/callers/revoke?kind=token&id={id}") },
            { "do": "press", "person": "olga", "button": "Revoke this token" },
            { "do": "open", "person": "olga", "path": "/console/callers?kind=nothing" },
            { "do": "sign_in", "person": "bob", "token": BOB },
            { "do": "open", "person": "bob", "path": "/console/callers" },
            { "do": "open", "person": "bob", "path": format!("/console/callers/revoke?{agent}") },
        ]),
    )
    .await;
    for at in [2, 5, 7] {
        assert_eq!(told[at]["found"], json!([]), "axe, and the width of the screen");
    }
    assert!(
        says(&told[1], "sam") && says(&told[1], "olga") && says(&told[1], "made 1 calls"),
        "{}",
        told[1]
    );
    assert!(
        says(&told[3], "<b>night\\u{202e}") && says(&told[3], "NHI5: not used yet"),
        "{}",
        told[3]
    );
    for part in ["shop/look", "Shop::Shelf::\"window\"", "it may do more than it did"] {
        assert!(says(&told[4], part), "{part}: {}", told[4]);
    }
    assert!(
        says(&told[6], "“<b>night\\u{202e}”") && says(&told[6], "made 1 calls"),
        "what ends: {}",
        told[6]
    );
    assert!(says(&told[9], "It is recorded") && says(&told[9], "revoked"), "{}", told[9]);
    assert!(says(&told[10], "it was stolen"), "{}", told[10]);
    assert!(says(&told[12], "It is recorded") && !says(&told[12], "night"), "{}", told[12]);
    let statuses = [8, 13, 15, 16].map(|at: usize| told[at]["status"].as_u64().unwrap());
    assert_eq!(statuses, [403, 400, 403, 403]);
    let ask = |token: &str| {
        Ask::call("shop", token, "look", json!({ "shelf": "window", "thing": "lamp" }))
    };
    assert_eq!(ask(SELLER).send(gateway.address).await.unwrap().status, 401);
    let_in_again(&gateway, agent).await;
    assert_eq!(look(&gateway, "look").await, "done");
    assert_eq!(
        ask(&token).send(gateway.address).await.unwrap().status,
        401,
        "the token is gone for good"
    );
}

/// The agent, by whoever may, on its page.
async fn let_in_again(gateway: &Gateway, agent: &str) {
    let revoked = gateway.cli(&["revocation", "list", "--json"]).await.unwrap().json().unwrap();
    let form = json!({ "csrf": "", "id": revoked[0]["id"] });
    let told = browse(
        gateway,
        json!([
            { "do": "sign_in", "person": "olga", "token": OPERATOR },
            { "do": "forged", "person": "olga", "path": "/console/callers/revocations", "form": form },
            { "do": "open", "person": "olga", "path": "/console/callers/revocations?name=SHOP" },
            { "do": "check", "person": "olga", "picture": "revocations" },
            { "do": "check", "person": "olga", "path": format!("/console/callers/caller?{agent}"), "picture": "revoked" },
            { "do": "press", "person": "olga", "set": { "id": "x" }, "button": "Let in again: shop-bot" },
            { "do": "open", "person": "olga", "path": format!("/console/callers/caller?{agent}") },
            { "do": "press", "person": "olga", "button": "Let in again: shop-bot" },
            { "do": "sign_in", "person": "bob", "token": BOB },
            { "do": "open", "person": "bob", "path": "/console/callers/revocations" },
        ]),
    )
    .await;
    let statuses = [1, 5, 9].map(|at: usize| told[at]["status"].as_u64().unwrap());
    assert_eq!(statuses, [403, 404, 403]);
    assert!(says(&told[2], "shop-bot") && says(&told[2], "it was stolen"), "{}", told[2]);
    for at in [3, 4] {
        assert_eq!(told[at]["found"], json!([]), "axe, and the width of the screen");
    }
    assert!(says(&told[7], "It is recorded") && says(&told[7], "Nobody is revoked"), "{}", told[7]);
}

#[tokio::test]
async fn what_a_chain_reaches_is_what_is_decided() {
    let gateway = pinned().await;
    let decided = [look(&gateway, "look").await, look(&gateway, "sell").await];
    assert_eq!(decided, ["done", "approval_required"]);
    let sign_in = json!({ "do": "sign_in", "person": "olga", "token": OPERATOR });
    let told = browse(
        &gateway,
        json!([sign_in, { "do": "open", "person": "olga", "path": "/console/reach" }]),
    )
    .await;
    let text = told[1]["text"].as_str().unwrap();
    let chain =
        text.lines().map(str::trim).find(|line| line.starts_with("sam (sales) via shop-bot"));
    let chain = chain.unwrap_or_else(|| panic!("{text}"));
    let told = browse(
        &gateway,
        json!([
            sign_in,
            { "do": "open", "person": "olga", "path": "/console/reach" },
            { "do": "press", "person": "olga", "fill": { "chain": chain, "server": "shop" }, "button": "Show" },
            { "do": "check", "person": "olga", "picture": "reach" },
            { "do": "press", "person": "olga", "fill": { "chain": chain, "server": "callgate" }, "button": "Show" },
            { "do": "open", "person": "olga", "path": "/console/reach?server=nothing" },
            { "do": "sign_in", "person": "bob", "token": BOB },
            { "do": "open", "person": "bob", "path": "/console/reach" },
        ]),
    )
    .await;
    let table: Vec<Vec<&str>> =
        told[2]["text"].as_str().unwrap().lines().map(|line| line.split('\t').collect()).collect();
    let cell = |operation: &str| table.iter().find(|row| row[0] == operation).map(|row| row[2]);
    assert_eq!(cell("shop/look"), Some("allow"), "{}", told[2]);
    assert_eq!(cell("shop/sell"), Some("approval"), "{}", told[2]);
    assert_eq!(cell("shop/burn"), None, "{}", told[2]);
    assert!(says(&told[2], "Denied at each of these places: 1 operations"), "{}", told[2]);
    assert_eq!(told[3]["found"], json!([]), "axe, and the width of the screen");
    assert!(says(&told[4], "Nothing is reached"), "{}", told[4]);
    assert_eq!((&told[5]["status"], &told[7]["status"]), (&json!(404), &json!(403)));
    let report = gateway.cli(&["privilege", "report"]).await.unwrap();
    assert!(report.stdout.contains("1 of them with an approval only"), "{report:?}");
}
