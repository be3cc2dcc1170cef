//! Authority that is given and taken back while the gateway runs: by its API, and by commands beside it.

use std::fs;
use std::path::Path;

use callgate_sim::SimOptions;
use callgate_tests::evidence::Decision;
use callgate_tests::gateway::{Chain, Gateway, Setup};
use callgate_tests::wire::{Ask, Heard};
use serde_json::{Value, json};

use super::world::{ALICE, BOB, SECRET, SITE, setup, site};

/// Alice administers; the agent of these tests works for nobody but by grants.
const PERMITS: &str = r#"
@id("alice-administers") @reason("She runs it") @owner("platform")
permit(principal == User::"alice", action in Action::"callgate", resource);
@id("release-bot-helps") @reason("She runs it with a bot") @owner("platform")
permit(principal == Agent::"release-bot", action in Action::"callgate", resource in Callgate::Gateway::"callgate");
@id("bob-has-tokens") @reason("His own bots") @owner("platform")
permit(principal == User::"bob", action == Action::"callgate.token.create", resource == Callgate::Account::"bob");
@id("everybody-reads") @reason("Reading is harmless here") @owner("platform")
permit(principal, action in Action::"read", resource in Jira::Project::"acme/ENG");
@id("write-under-a-grant") @reason("No standing privilege") @owner("platform")
permit(principal, action in Action::"write", resource in Jira::Project::"acme/ENG") when { context has grant };
"#;

async fn world() -> (callgate_sim::Running, Gateway) {
    let sim = site(SimOptions::default()).await;
    let setup: Setup = setup().file("policies/permits/all.cedar", PERMITS).server(
        "atlassian",
        &format!("{}?tools=all", sim.url),
        "atlassian-rovo",
        SECRET,
    );
    let gateway = setup.start().await.unwrap();
    (sim, gateway)
}

async fn api(
    gateway: &Gateway,
    token: &str,
    method: &'static str,
    path: &str,
    body: &Value,
) -> Heard {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Ask::api(method, path, token, &body).send(gateway.address).await.unwrap()
}

async fn call(gateway: &Gateway, token: &str, tool: &str, arguments: Value) -> Heard {
    Ask::call("atlassian", token, tool, arguments).send(gateway.address).await.unwrap()
}

fn read() -> Value {
    json!({ "cloudId": SITE, "issueIdOrKey": "ENG-42" })
}

fn edit() -> Value {
    json!({ "cloudId": SITE, "issueIdOrKey": "ENG-42", "fields": { "summary": "x" } })
}

fn new_token() -> Value {
    json!({ "name": "nightly", "owner": "carol", "agent": "night-bot", "scope": { "servers": ["atlassian"] } })
}

#[tokio::test]
async fn i5_every_route_of_the_api_is_denied_unless_policy_permits_it() {
    let (_sim, gateway) = world().await;
    let described = api(&gateway, ALICE, "GET", "/openapi.json", &Value::Null).await;
    let described: Value = serde_json::from_str(&described.body).unwrap();
    let mut routes = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        let path = path.strip_prefix("/api/v1").unwrap();
        let path = path.replace("{id}", "01a218ee-630f-7dd2-9440-9df59e95ca12");
        for method in methods.as_object().unwrap().keys() {
            let (method, body) = match (method.as_str(), path.as_str()) {
                ("get", _) => ("GET", Value::Null),
                ("delete", _) => ("DELETE", Value::Null),
                ("post", "/tokens") => ("POST", new_token()),
                ("post", "/grants") => ("POST", json!({ "agent": "night-bot" })),
                ("post", "/revocations") => {
                    ("POST", json!({ "kind": "human", "name": "carol", "reason": "left" }))
                }
                ("post", "/workflows") => ("POST", json!({ "purpose": "x" })),
                ("post", "/callers/show") => ("POST", json!({ "token": "x" })),
                ("post", path) if path.ends_with("approve") || path.ends_with("deny") => {
                    ("POST", json!({ "shown": "x" }))
                }
                ("post", path) if path.ends_with("review") => {
                    ("POST", json!({ "verdict": "justified", "note": "x" }))
                }
                ("post", path) if path.ends_with("settle") => {
                    ("POST", json!({ "finding": "no_effect", "note": "x" }))
                }
                ("post", path) if path.ends_with("withdraw") => ("POST", json!({ "reason": "x" })),
                ("post", _) => ("POST", json!({})),
                other => panic!("{other:?} is not tried here"),
            };
            let denied = api(&gateway, BOB, method, &path, &body).await;
            assert_eq!(denied.status, 403, "{method} {path}: {denied:?}");
            assert!(denied.body.contains("human_not_permitted"), "{denied:?}");
            let unknown = api(&gateway, "wrong", method, &path, &body).await;
            assert_eq!(unknown.status, 401, "{method} {path}");
            routes += 1;
        }
    }
    assert_eq!(routes, 20, "a new route is tried here too");
    let evidence = gateway.evidence_when(|all| all.0.len() >= 2 * routes).await.unwrap();
    let of_api = |decision: &&Decision| decision.record["event"]["server"] == "callgate";
    let refused = evidence.0.iter().filter(of_api).filter(|one| one.kind == "refusal").count();
    assert_eq!(refused, 2 * routes, "each is in the record");
}

#[tokio::test]
async fn a_token_of_the_api_works_is_replaced_and_is_taken_back() {
    let (_sim, gateway) = world().await;
    let made = api(&gateway, ALICE, "POST", "/tokens", &new_token()).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made: Value = serde_json::from_str(&made.body).unwrap();
    let (id, token) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert!(call(&gateway, token, "getJiraIssue", read()).await.is_success());
    let at_api = api(&gateway, token, "GET", "/tokens", &Value::Null).await;
    assert_eq!(at_api.status, 401, "it was made for a server");

    let listed = api(&gateway, ALICE, "GET", "/tokens", &Value::Null).await;
    assert!(
        listed.body.contains(id) && !listed.body.contains(token.get(36..).unwrap()),
        "{listed:?}"
    );
    let path = format!("/tokens/{id}/rotate");
    let next = api(&gateway, ALICE, "POST", &path, &json!({ "overlap_hours": 0 })).await;
    assert_eq!(next.status, 201, "{next:?}");
    let next: Value = serde_json::from_str(&next.body).unwrap();
    let (next_id, next) = (next["id"].as_str().unwrap(), next["secret"].as_str().unwrap());
    assert_eq!(call(&gateway, token, "getJiraIssue", read()).await.status, 401);
    assert!(call(&gateway, next, "getJiraIssue", read()).await.is_success());

    let shown = json!({ "token": next, "server": "atlassian" });
    let shown = api(&gateway, ALICE, "POST", "/callers/show", &shown).await;
    assert!(shown.body.contains(r#""accepted":true"#) && shown.body.contains("night-bot"));
    let path = format!("/tokens/{next_id}");
    assert_eq!(api(&gateway, ALICE, "DELETE", &path, &Value::Null).await.status, 204);
    assert_eq!(call(&gateway, next, "getJiraIssue", read()).await.status, 401, "I8");
    assert_eq!(api(&gateway, ALICE, "DELETE", &path, &Value::Null).await.status, 404);
    for wrong in [json!({ "owner": "carol" }), json!({ "nane": "x" }), json!([]), json!(null)] {
        let refused = api(&gateway, ALICE, "POST", "/tokens", &wrong).await;
        assert_eq!(refused.status, 400, "{refused:?}");
    }
    let twice = Ask::api("POST", "/tokens", ALICE, r#"{"owner":"a","owner":"b"}"#);
    assert_eq!(twice.send(gateway.address).await.unwrap().status, 400, "one strict reader");
    for secret in [token.get(36..).unwrap(), next.get(36..).unwrap()] {
        assert!(!gateway.output().contains(secret), "I7: a log");
        let evidence = gateway.evidence().await.unwrap();
        assert!(!format!("{evidence:?}").contains(secret), "I7: the evidence");
    }
    let verified = gateway.cli(&["evidence", "verify"]).await.unwrap();
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[tokio::test]
async fn i10_who_may_make_tokens_for_themselves_makes_nobody_more_than_they_are() {
    let (_sim, gateway) = world().await;
    let asked = |more: Value| {
        let mut asked = json!({ "name": "mine", "owner": "bob", "agent": "bob-bot" });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked
    };
    for (more, status) in [
        (json!({}), 201),
        (json!({ "groups": ["support"] }), 201),
        (json!({ "groups": ["support", "engineering"] }), 403),
        (json!({ "service_account": "ci" }), 403),
        (json!({ "class": "automation" }), 403),
        (json!({ "owner": "alice" }), 403),
    ] {
        let made = api(&gateway, BOB, "POST", "/tokens", &asked(more.clone())).await;
        assert_eq!(made.status, status, "{more}: {made:?}");
    }
}

#[tokio::test]
async fn i13_a_token_is_as_narrow_at_the_api_as_anywhere() {
    let (_sim, gateway) = world().await;
    let create = ["token", "create", "--name", "n", "--owner", "alice", "--agent", "release-bot"];
    let narrow = ["--server", "callgate", "--action", "callgate.token.list"];
    let made = gateway.cli(&[&create[..], &narrow].concat()).await.unwrap();
    let token = made.stdout.trim();
    assert_eq!(api(&gateway, token, "GET", "/tokens", &Value::Null).await.status, 200, "{made:?}");
    for (method, path, body) in [
        ("POST", "/tokens", new_token()),
        ("GET", "/grants", Value::Null),
        ("POST", "/workflows", json!({ "purpose": "x" })),
    ] {
        let refused = api(&gateway, token, method, path, &body).await;
        let is_narrow = refused.status == 403 && refused.body.contains("token_exceeded");
        assert!(is_narrow, "{method} {path}: {refused:?}");
    }
    assert_eq!(call(&gateway, token, "getJiraIssue", read()).await.status, 401);
}

#[tokio::test]
async fn what_is_no_event_of_a_known_issuer_is_answered_as_the_standard_says() {
    let (_sim, gateway) = world().await;
    for (ask, err) in [
        (Ask::event("nobody", "a.b.c"), "invalid_issuer"),
        (Ask::event("nobody", ""), "invalid_issuer"),
        (Ask::event("nobody", "a.b.c").with("content-type", "application/json"), "invalid_request"),
    ] {
        let heard = ask.send(gateway.address).await.unwrap();
        assert!(heard.status == 400 && heard.body.contains(err), "{heard:?}");
    }
    let get = callgate_tests::wire::get(gateway.address, "/ssf/nobody").await.unwrap();
    assert_eq!(get.status, 405);
}

#[tokio::test]
async fn a_command_beside_the_gateway_gives_and_takes_back_at_once() {
    let (_sim, gateway) = world().await;
    let create = ["token", "create", "--name", "n", "--owner", "carol", "--agent", "night-bot"];
    let made = gateway.cli(&create).await.unwrap();
    let token = made.stdout.trim();
    assert!(call(&gateway, token, "getJiraIssue", read()).await.is_success(), "{made:?}");
    assert!(!call(&gateway, token, "editJiraIssue", edit()).await.is_success());

    let place = r#"Jira::Project::"acme/ENG""#;
    let grant = ["grant", "create", "--agent", "night-bot", "--action", "jira.issue.edit"];
    let grant = [&grant[..], &["--within", place, "--reason", "release 4.2", "--json"]].concat();
    let given = gateway.cli(&grant).await.unwrap();
    assert_eq!(given.code, Some(0), "{given:?}");
    assert!(call(&gateway, token, "editJiraIssue", edit()).await.is_success(), "{given:?}");
    assert!(!call(&gateway, token, "editJiraIssue", edit()).await.is_success(), "one use");
    let listed = gateway.cli(&["grant", "list", "--all"]).await.unwrap();
    assert!(listed.stdout.contains("0 of 1 left, spent"), "{listed:?}");

    let revoke = ["revoke", "--human", "carol", "--reason", "left"];
    assert_eq!(gateway.cli(&revoke).await.unwrap().code, Some(0));
    assert_eq!(call(&gateway, token, "getJiraIssue", read()).await.status, 401, "I8");
    let listed = gateway.cli(&["revocation", "list", "--json"]).await.unwrap().json().unwrap();
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(gateway.cli(&["revocation", "lift", &id]).await.unwrap().code, Some(0));
    assert!(call(&gateway, token, "getJiraIssue", read()).await.is_success());
    let changes = gateway.cli(&["evidence", "list", "--changes"]).await.unwrap();
    for part in [
        "token_issued",
        "grant_issued",
        "human carol left",
        "revocation_lifted",
        "on the command line",
    ] {
        assert!(changes.stdout.contains(part), "{part} is not in\n{}", changes.stdout);
    }
    let again = gateway.cli(&["revocation", "lift", &id]).await.unwrap();
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("there is no such thing"), "{again:?}");
}

#[tokio::test]
async fn i10_a_workflow_is_its_callers_and_never_more_than_they_may_do() {
    let (_sim, gateway) = world().await;
    let scope = json!({ "actions": ["read"], "within": [r#"Jira::Project::"acme/ENG""#] });
    let asked = json!({ "purpose": "weekly report", "ticket": "OPS-7", "scope": scope });
    let started = api(&gateway, ALICE, "POST", "/workflows", &asked).await;
    assert_eq!(started.status, 201, "{started:?}");
    let started: Value = serde_json::from_str(&started.body).unwrap();
    let (run, handle) = (started["run"].as_str().unwrap(), started["handle"].as_str().unwrap());
    let in_run = async |token: &str, handle: &str, arguments: Value, tool: &str| {
        let ask = Ask::call("atlassian", token, tool, arguments).also("callgate-workflow", handle);
        ask.send(gateway.address).await.unwrap()
    };
    let tool = "getJiraIssue";
    assert!(in_run(ALICE, handle, read(), tool).await.is_success());
    let elsewhere = json!({ "cloudId": SITE, "issueIdOrKey": "OPS-7" });
    let refused = in_run(ALICE, handle, elsewhere, tool).await;
    assert!(refused.reasons().contains("workflow_exceeded"), "{refused:?}");
    // By `_meta` it is the same; what is not sealed for this caller is nothing.
    let meta = Ask::call("atlassian", ALICE, tool, read())
        .edit("\"_meta\":{", &format!("\"_meta\":{{\"dev.callgate/workflow\":\"{handle}\","));
    assert!(meta.send(gateway.address).await.unwrap().is_success());
    let both = meta.also("callgate-workflow", &handle.replace("cgs1", "cgs2"));
    let altered = other_letter_in_the_middle(handle);
    let mut wrong = vec![both.send(gateway.address).await.unwrap()];
    for (token, handle) in [(BOB, handle), (ALICE, &*altered), (ALICE, "run-1"), (ALICE, "")] {
        wrong.push(in_run(token, handle, read(), tool).await);
    }
    for refused in wrong {
        assert_eq!(refused.status, 403, "{refused:?}");
    }
    let revoke = ["revoke", "--workflow", run, "--reason", "it went wrong"];
    assert_eq!(gateway.cli(&revoke).await.unwrap().code, Some(0));
    assert_eq!(in_run(ALICE, handle, read(), tool).await.status, 403, "I8");
    assert!(call(&gateway, ALICE, tool, read()).await.is_success(), "she goes on without");
    let evidence = gateway.evidence().await.unwrap();
    let of_run =
        |decision: &&Decision| decision.record["event"]["caller"]["workflow"]["run"] == run;
    let first = evidence.0.iter().find(of_run).unwrap();
    let workflow = &first.record["event"]["caller"]["workflow"];
    assert_eq!(workflow["ticket"], "OPS-7");
    assert_eq!(workflow["assurance"], "verified");
    assert!(!format!("{evidence:?}").contains(handle), "I7: a handle is as good as a key");
}

/// `handle` with one letter, in the middle, changed: what is sealed is then surely another text.
fn other_letter_in_the_middle(handle: &str) -> String {
    let middle = handle.len() / 2;
    let swap = |at: usize, letter: char| match letter {
        _ if at != middle => letter,
        'A' => 'B',
        _ => 'A',
    };
    handle.chars().enumerate().map(|(at, letter)| swap(at, letter)).collect()
}

/// The starter pack as it is shipped.
fn zero_standing() -> Setup {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/zero-standing");
    let mut setup = Setup::default();
    for tier in ["guardrails", "approvals", "permits", "cases"] {
        for file in fs::read_dir(pack.join(tier)).unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&file).unwrap();
            setup = setup.file(&format!("policies/{tier}/{name}"), &text);
        }
    }
    setup.token(ALICE, &Chain { human: "alice", group: "everybody", agent: "release-bot" })
}

#[tokio::test]
async fn the_pack_for_zero_standing_privilege_does_what_it_says() {
    let sim = site(SimOptions::default()).await;
    let url = format!("{}?tools=all", sim.url);
    let gateway =
        zero_standing().server("atlassian", &url, "atlassian-rovo", SECRET).start().await.unwrap();
    let ran = gateway.cli(&["policy", "test"]).await.unwrap();
    assert!(ran.code == Some(0) && ran.stdout.ends_with("9 passed, 0 failed\n"), "{ran:?}");

    assert!(call(&gateway, ALICE, "getJiraIssue", read()).await.is_success());
    let refused = call(&gateway, ALICE, "editJiraIssue", edit()).await;
    assert!(refused.reasons().contains("approval_required"), "{refused:?}");
    let grant = ["grant", "create", "--agent", "release-bot", "--human", "alice"];
    let rest = ["--action", "write", "--within", r#"Jira::Project::"acme/ENG""#];
    let why = ["--uses", "2", "--minutes", "15", "--reason", "release 4.2", "--ticket", "OPS-1"];
    let given = gateway.cli(&[&grant[..], &rest, &why].concat()).await.unwrap();
    assert_eq!(given.code, Some(0), "{given:?}");
    for expected in [true, true, false] {
        let heard = call(&gateway, ALICE, "editJiraIssue", edit()).await;
        assert_eq!(heard.is_success(), expected, "{heard:?}");
    }
    let asked = json!({ "purpose": "a release" });
    let started = api(&gateway, ALICE, "POST", "/workflows", &asked).await;
    assert_eq!(started.status, 201, "{started:?}");
    let refused = api(&gateway, ALICE, "POST", "/tokens", &new_token()).await;
    assert!(refused.status == 403 && refused.body.contains("guardrail"), "{refused:?}");
}

#[tokio::test]
async fn the_privilege_report_says_who_may_what_who_did_what_and_what_would_do() {
    let (_sim, gateway) = world().await;
    let create = ["token", "create", "--owner", "alice", "--agent", "night-bot", "--name"];
    let used = gateway.cli(&[&create[..], &["nightly"]].concat()).await.unwrap();
    let token = used.stdout.trim();
    let left = [&create[..], &["=left lying", "--service-account", "cron", "--days", "5"]].concat();
    let left = gateway.cli(&left).await.unwrap();
    assert_eq!(left.code, Some(0), "{left:?}");
    for _ in 0..3 {
        assert!(call(&gateway, token, "getJiraIssue", read()).await.is_success());
    }
    gateway.evidence_when(|all| all.0.len() >= 3).await.unwrap();

    let report = gateway.cli(&["privilege", "report", "--json"]).await.unwrap();
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    let holdings = report["holdings"].as_array().unwrap();
    let of = |kind: &str, name: &str| {
        let found = holdings.iter().find(|one| one["kind"] == kind && one["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name} in {report}"))
    };
    let codes = |one: &Value| -> Vec<String> {
        let all = one["findings"].as_array().unwrap().iter();
        all.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
    };
    let nightly = of("token", "nightly");
    assert_eq!(nightly["did"][0]["operation"], "jira.issue.read", "{nightly}");
    assert_eq!(nightly["did"][0]["calls"], 3, "{nightly}");
    let narrowing = nightly["narrowing"].as_str().unwrap();
    for part in ["--server atlassian", "--action jira.issue.read", "acme/ENG"] {
        assert!(narrowing.contains(part), "{narrowing}");
    }
    assert!(codes(nightly).contains(&"NHI5".to_owned()), "it may write, too: {nightly}");
    let idle = of("token", "=left lying");
    assert!(idle["narrowing"].as_str().unwrap().starts_with("callgate token revoke"), "{idle}");
    assert_eq!(codes(idle), ["NHI5", "NHI7"], "not used yet, and it ends soon");
    assert!(!codes(of("agent", "night-bot")).contains(&"NHI3".to_owned()), "it has a token");

    // What is suggested does what was done, and no more.
    let line = narrowing.replace("\\\n", " ");
    let shell = format!(
        "{} {}",
        callgate_tests::gateway::program().unwrap().display(),
        line.trim_start_matches("callgate ")
    );
    let made = std::process::Command::new("sh")
        .args(["-c", &shell])
        .current_dir(gateway.path())
        .output()
        .unwrap();
    let narrow = String::from_utf8(made.stdout).unwrap();
    let narrow = narrow.trim();
    assert!(call(&gateway, narrow, "getJiraIssue", read()).await.is_success(), "{shell}");
    let refused = call(&gateway, narrow, "editJiraIssue", edit()).await;
    assert!(refused.body.contains("Unknown tool"), "I3: {refused:?}");

    let text = gateway.cli(&["privilege", "report"]).await.unwrap();
    for part in
        ["token nightly  (of alice)", "jira.issue.read  Jira::Project::\"acme/ENG\"", "could be"]
    {
        assert!(text.stdout.contains(part), "{part} is not in\n{}", text.stdout);
    }
    let csv = gateway.cli(&["privilege", "report", "--csv"]).await.unwrap();
    assert!(csv.stdout.starts_with("kind,id,name,owner,operation,place,may,calls,findings\n"));
    assert!(csv.stdout.contains("'=left lying"), "no formula: {}", csv.stdout);
    assert!(
        csv.stdout
            .contains(r#"nightly,alice,jira.issue.read,"Jira::Project::""acme/ENG""",yes,3,"#),
        "{}",
        csv.stdout
    );
}
