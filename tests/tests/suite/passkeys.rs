//! Passkeys in a real browser with an authenticator of its own: whoever approves what wants one has proved that it is them.

use callgate_tests::gateway::Gateway;
use callgate_tests::wire::Ask;
use serde_json::{Value, json};

use super::approvals::{CAROL, prepared, waiting};
use super::console::{browse_at, deleted, says};
use super::notify::Receiver;
use super::world::{ALICE, gated, read};

const PEOPLE: &str = "
[console.people.carol]
groups = [\"leads\"]
[console.people.dave]
groups = [\"leads\"]
";

/// A deletion waits; where it is in the console.
async fn waits(gateway: &Gateway, key: &str) -> String {
    let ask = Ask::call("atlassian", ALICE, "deleteJiraIssue", read(key));
    ask.send(gateway.address).await.unwrap();
    let all = waiting(gateway).await;
    let one = all.iter().find(|one| one.to_string().contains(key)).unwrap();
    format!("/console/approvals/{}", one["id"].as_str().unwrap())
}

async fn is_made(gateway: &Gateway, key: &str) -> bool {
    let ask = Ask::call("atlassian", ALICE, "deleteJiraIssue", read(key));
    ask.send(gateway.address).await.unwrap().is_success()
}

async fn link(gateway: &Gateway, who: &str) -> String {
    let ran = gateway.cli(&["console", "link", "--for", who]).await.unwrap();
    ran.stdout.trim().to_owned()
}

async fn changes(gateway: &Gateway, name: &str) -> Vec<Value> {
    let list = ["evidence", "list", "--changes", "--limit", "1000", "--json"];
    let all = gateway.cli(&list).await.unwrap().json().unwrap();
    let events = all.into_iter().map(|one: Value| one["event"].clone());
    events.filter(|one| one["change"] == name).collect()
}

#[tokio::test]
async fn a06_who_approves_what_wants_a_passkey_proves_that_it_is_them() {
    let (sim, setup) = prepared("").await;
    let gate = gated("@step_up(\"passkey\")");
    let setup = setup.named().unwrap().section(PEOPLE).file("policies/approvals/all.cedar", &gate);
    let gateway = setup.start().await.unwrap();
    let origin = format!("http://localhost:{}", gateway.address.port());
    let (first, second) = (waits(&gateway, "ENG-45").await, waits(&gateway, "ENG-43").await);
    let (carol, dave) = (link(&gateway, "carol").await, link(&gateway, "dave").await);
    assert!(carol.starts_with(&origin), "{carol}");
    // Not on the command line, where nobody can touch anything.
    let id = first.rsplit('/').next().unwrap();
    let code = waiting(&gateway).await.iter().find(|one| one["id"] == id).unwrap()["code"].clone();
    let approve =
        ["approvals", "approve", id, "--code", code.as_str().unwrap(), "--token", "carol.token"];
    let ran = gateway.cli(&approve).await.unwrap();
    assert!(ran.code != Some(0) && ran.stderr.contains("passkey"), "{ran:?}");

    let keys = "/console/passkeys";
    let add = json!({ "do": "touch", "person": "carol", "path": keys, "fill": { "called": "the blue key" }, "button": "Add a passkey", "picture": "passkeys-add" });
    let approve = |page: &str, verified: bool| json!({ "do": "touch", "person": "carol", "path": page, "fill": { "reason": "nobody calls it" }, "button": "Approve", "verified": verified, "picture": "step-up" });
    let remove = |verified: bool| json!({ "do": "touch", "person": "carol", "path": keys, "button": "Remove the passkey the blue key of local/carol", "verified": verified });
    let told = browse_at(
        &origin,
        json!([
            { "do": "link", "person": "carol", "url": carol },
            { "do": "open", "person": "carol", "path": first },
            // Without scripts, and without a passkey.
            { "do": "says", "person": "carol", "verdict": "approve" },
            approve(&first, true),
            add,
            approve(&first, false),
            approve(&first, true),
            // The same authenticator is not added twice; what is denied needs none.
            add,
            { "do": "open", "person": "carol", "path": second },
            { "do": "check", "person": "carol", "path": keys, "picture": "passkeys" },
            { "do": "check", "person": "carol", "path": second, "picture": "step-up" },
            { "do": "says", "person": "carol", "verdict": "deny" },
            remove(false),
            remove(true),
            { "do": "sign_in", "person": "token", "token": CAROL },
            { "do": "open", "person": "token", "path": keys },
            { "do": "link", "person": "dave", "url": dave },
            { "do": "open", "person": "dave", "path": format!("{keys}?all=") },
        ]),
    )
    .await;
    let [_, shown, without, none, added, unverified, approved, again, _, rest @ ..] =
        told.as_slice()
    else {
        panic!("{told:?}")
    };
    assert!(says(shown, "with a passkey"), "{shown}");
    assert!(without["status"] == 409 && says(without, "proves by a passkey"), "{without}");
    assert!(says(none, "You have no passkey yet"), "{none}");
    assert!(added["url"] == keys && says(added, "the blue key"), "{added}");
    assert!(says(unverified, "No passkey was used") && unverified["url"] == first.as_str());
    assert!(approved["url"] == "/console" && says(approved, "It is recorded"), "{approved}");
    assert!(says(again, "No passkey was used"), "{again}");
    let [keys, page, denied, kept, removed, _, by_token, _, all] = rest else { panic!("{rest:?}") };
    assert!(says(kept, "No passkey was used") && says(removed, "You have none"), "{removed}");
    assert_eq!((&keys["found"], &page["found"]), (&json!([]), &json!([])));
    assert!(denied["url"] == "/console", "{denied}");
    assert!(says(by_token, "A token is not enough"), "{by_token}");
    assert!(all["status"] == 403, "policy does not let dave see those of others: {all}");
    assert!(told.iter().all(|one| one["wrong"].is_null() || one["wrong"] == json!([])), "{told:?}");
    assert!(is_made(&gateway, "ENG-45").await && !is_made(&gateway, "ENG-43").await);
    assert_eq!(deleted(&sim), 1);

    is_recorded(&gateway).await;
}

/// Whose the passkey is, and who approved by it.
async fn is_recorded(gateway: &Gateway) {
    let [added] = changes(gateway, "passkey_added").await.try_into().unwrap();
    assert_eq!((&added["passkey"]["who"], &added["proof"]), (&json!("local/carol"), &Value::Null));
    let votes = changes(gateway, "approval_voted").await;
    let proofs: Vec<&Value> = votes.iter().map(|one| &one["vote"]["proof"]["passkey"]).collect();
    assert_eq!(proofs, [&Value::Null, &added["passkey"]["id"]], "the newest first");
}

const GLASS: &str = r#"
@id("leads-break-glass") @reason("Customers cannot wait for two of them") @owner("security")
permit(principal in Group::"leads", action in [Action::"callgate.approval.break_glass", Action::"callgate.approval.review"], resource);
"#;

/// When nobody is there, one lets it through alone; others are told at once, and one of them reviews it.
#[tokio::test]
async fn a06_one_breaks_the_glass_alone_and_another_reviews_it() {
    let receiver = Receiver::start().await;
    let (sim, setup) = prepared("").await;
    let hooks = ["first", "second"].map(|name| receiver.hook(name, "webhook")).concat();
    let glass = "[approvals.break_glass]\nnotify = [\"first\", \"second\"]\n";
    let setup = receiver.files(setup.named().unwrap()).section(&format!("{PEOPLE}{hooks}{glass}"));
    let setup = setup.file("policies/approvals/all.cedar", &gated("@quorum(\"2\")"));
    let gateway = setup.file("policies/permits/glass.cedar", GLASS).start().await.unwrap();
    let origin = format!("http://localhost:{}", gateway.address.port());
    let page = waits(&gateway, "ENG-45").await;
    let (carol, dave) = (link(&gateway, "carol").await, link(&gateway, "dave").await);
    let keys = "/console/passkeys";
    let breaks = json!({ "do": "touch", "person": "carol", "path": page, "fill": { "why": "customers cannot pay", "ticket": "INC-7" }, "button": "Break the glass", "picture": "glass" });
    let told = browse_at(
        &origin,
        json!([
            { "do": "link", "person": "carol", "url": carol },
            { "do": "touch", "person": "carol", "path": keys, "fill": { "called": "the blue key" }, "button": "Add a passkey" },
            { "do": "check", "person": "carol", "path": page, "picture": "glass" },
            breaks,
            { "do": "open", "person": "carol", "path": page },
            { "do": "check", "person": "carol", "path": "/console", "picture": "glass-inbox" },
            { "do": "link", "person": "dave", "url": dave },
            { "do": "open", "person": "dave", "path": "/console" },
            { "do": "open", "person": "dave", "path": page },
            { "do": "check", "person": "dave", "path": page, "picture": "glass-review" },
            { "do": "press", "person": "dave", "fill": { "note": "a lead was there" }, "button": "It was not" },
            { "do": "open", "person": "dave", "path": page },
        ]),
    )
    .await;
    let [_, _, check, broken, own, inbox, _, daves, shown, review, reviewed, after] =
        told.as_slice()
    else {
        panic!("{told:?}")
    };
    for found in [check, inbox, review] {
        assert_eq!(found["found"], json!([]));
    }
    assert!(broken["url"] == "/console" && says(broken, "to be reviewed"), "{broken}");
    assert!(says(own, "glass broken by local/carol with a passkey") && says(own, "INC-7"), "{own}");
    assert!(!says(own, "Was it right"), "not by who broke it: {own}");
    assert!(says(daves, "to be reviewed") && says(shown, "Was it right to break the glass?"));
    assert!(reviewed["url"] == "/console" && !says(reviewed, "to be reviewed"), "{reviewed}");
    assert!(says(after, "not justified says local/dave"), "{after}");
    assert!(is_made(&gateway, "ENG-45").await && deleted(&sim) == 1);
    // That it is asked for, that the glass was broken, and that nobody needs to look any more: to both.
    let all = receiver.has("webhook", 6).await;
    let broken = all.iter().filter(|one| one.to_string().contains("glass_broken"));
    assert_eq!(broken.count(), 2, "{all:?}");
    let [broken] = changes(&gateway, "glass_broken").await.try_into().unwrap();
    assert_eq!(broken["glass"]["reason"], "customers cannot pay");
    let [reviewed] = changes(&gateway, "glass_reviewed").await.try_into().unwrap();
    assert_eq!(reviewed["review"]["verdict"], "not_justified");
}

/// One channel alone can fail, or be somebody's who broke it.
#[tokio::test]
async fn where_less_than_two_are_told_of_broken_glass_the_gateway_does_not_start() {
    let receiver = Receiver::start().await;
    for names in ["[\"first\"]", "[]", "[\"first\", \"nobody\"]"] {
        let (_sim, setup) = prepared("").await;
        let glass = format!("[approvals.break_glass]\nnotify = {names}\n");
        let setup =
            receiver.files(setup.named().unwrap()).section(&receiver.hook("first", "first"));
        let failed = setup.section(&glass).start().await.err().unwrap().to_string();
        assert!(failed.contains("approvals.break_glass.notify"), "{names}: {failed}");
    }
}

/// Passkeys are of names.
#[tokio::test]
async fn a_gate_that_wants_a_passkey_keeps_the_gateway_from_starting_where_nobody_can_have_one() {
    let (_sim, setup) = prepared("").await;
    let gate = gated("@step_up(\"passkey\")");
    let failed = setup.public().unwrap().file("policies/approvals/all.cedar", &gate).start().await;
    let failed = failed.err().unwrap().to_string();
    assert!(failed.contains("nobody can have a passkey here"), "{failed}");
}
