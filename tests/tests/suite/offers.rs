//! Resources and prompts through the gateway: what real clients are told, what the site did and what the evidence says.

use callgate_sim::{Eras, SimOptions};
use callgate_tests::drive::{Plan, Told};
use callgate_tests::evidence::Evidence;
use callgate_tests::gateway::Gateway;
use callgate_tests::wire::{Ask, open_session};
use serde_json::{Value, json};

use super::clients::{MODERN, speakers};
use super::families::{inspector, sdks};
use super::world::{ALICE, READER, SECRET, reconcile, setup, site};

const ENGINEERING: &str = "acme://handbook/engineering";
const PEOPLE: &str = "acme://handbook/people";
const SUPPORT: &str = "acme://handbook/support";

/// Engineers and the release bot may have what the site offers, but for what is about pay, or about support.
const PERMITS: &str = r#"
@id("engineers-use-the-handbook") @reason("It is theirs") @owner("engineering")
permit(principal in Group::"engineering", action in Action::"mcp", resource in MCP::Server::"atlassian");
@id("release-bot-uses-the-handbook") @reason("It keeps the rules") @owner("engineering")
permit(principal == Agent::"release-bot", action == Action::"mcp.resource.read", resource in MCP::Server::"atlassian");
@id("release-bot-triages") @reason("It sorts") @owner("engineering")
permit(principal == Agent::"release-bot", action == Action::"mcp.prompt.get", resource == MCP::Prompt::"atlassian/triage_issue");
"#;

const GUARDRAILS: &str = r#"
@id("pay-is-private") @reason("No agent knows who earns what") @owner("people")
forbid(principal is Agent, action, resource == MCP::Resource::"atlassian/acme://handbook/people");
"#;

const APPROVALS: &str = r#"
@id("support-is-asked") @reason("They want to know") @owner("support") @approval("team:leads")
forbid(principal, action == Action::"mcp.resource.read", resource == MCP::Resource::"atlassian/acme://handbook/support");
"#;

async fn world(options: SimOptions) -> (callgate_sim::Running, Gateway) {
    let sim = site(options).await;
    let gateway = setup()
        .file("policies/permits/offers.cedar", PERMITS)
        .file("policies/guardrails/offers.cedar", GUARDRAILS)
        .file("policies/approvals/offers.cedar", APPROVALS)
        .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
        .start()
        .await
        .unwrap();
    (sim, gateway)
}

fn plan(url: &str, token: &str, protocol: &str) -> Plan {
    Plan::new(url)
        .token(token)
        .protocol(protocol)
        .offers()
        .read(ENGINEERING)
        .read("acme://issues/ENG-42")
        .prompt("triage_issue", json!({ "key": "ENG-42" }))
        .read(PEOPLE)
        .read(SUPPORT)
        .prompt("weekly_report", json!({ "project": "ENG" }))
}

/// What the evidence has of a [`plan`] of Alice's release bot, and the client is told.
const REFUSED: [&str; 3] = [
    "acme://handbook/people: guardrail",
    "acme://handbook/support: approval_required",
    "weekly_report: agent_not_permitted",
];

fn check_told(told: &Told) {
    let [offers, page, issue, prompt, refused @ ..] = told.steps.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(offers["resources"], json!([ENGINEERING, SUPPORT]), "{offers}");
    assert_eq!(offers["templates"], json!(["acme://issues/{key}"]), "{offers}");
    assert_eq!(offers["prompts"], json!(["triage_issue"]), "{offers}");
    assert_eq!(page["text"], "Every change is reviewed.", "{page}");
    assert!(issue["text"].as_str().is_some_and(|text| !text.is_empty()), "{issue}");
    assert!(prompt["text"].as_str().unwrap().ends_with("ENG-42"), "{prompt}");
    assert_eq!(refused.len(), REFUSED.len());
    for (step, wanted) in refused.iter().zip(REFUSED) {
        let reason = step["error"]["data"]["dev.callgate/decision"]["reasons"][0]["code"].as_str();
        assert!(wanted.ends_with(&format!(": {}", reason.unwrap())), "{wanted}: {step}");
        assert_eq!(step["error"]["code"], 40_300, "{step}");
        assert!(step["error"]["message"].as_str().unwrap().contains(reason.unwrap()), "{step}");
    }
}

async fn through_to_the_site(eras: Eras) {
    let (sim, gateway) = world(SimOptions { eras, sse: true, ..SimOptions::default() }).await;
    let mut before = 0;
    for (client, protocol, _) in speakers() {
        let url = gateway.url("atlassian");
        let told = client.run(&plan(&url, ALICE, protocol)).await.unwrap();
        check_told(&told);
        let enough = |e: &Evidence| e.0.len() >= before + 6 && e.is_settled();
        let evidence = gateway.evidence_when(enough).await.unwrap();
        assert_eq!(evidence.refused()[before / 2..], REFUSED);
        assert!(evidence.intents().iter().all(|i| i.outcome.as_deref() == Some("succeeded")));
        reconcile(&sim, &evidence);
        before = evidence.0.len();
    }
    assert_eq!(sim.ledger().count("resources/read"), 6);
    assert_eq!(sim.ledger().count("prompts/get"), 3);
    for request in sim.ledger().requests() {
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {SECRET}")));
        assert!(!request.body.contains(PEOPLE) && !request.body.contains("weekly_report"));
    }
}

#[tokio::test]
async fn clients_of_both_eras_read_resources_of_a_site_of_both_eras() {
    through_to_the_site(Eras::Both).await;
}

#[tokio::test]
async fn clients_of_both_eras_read_resources_of_a_modern_site() {
    through_to_the_site(Eras::Modern).await;
}

#[tokio::test]
async fn clients_of_both_eras_read_resources_of_a_legacy_site() {
    through_to_the_site(Eras::Legacy).await;
}

#[tokio::test]
async fn more_sdks_read_resources() {
    let (sim, gateway) = world(SimOptions { sse: true, ..SimOptions::default() }).await;
    let clients = sdks();
    for (client, protocol) in &clients {
        let plan = plan(&gateway.url("atlassian"), ALICE, protocol);
        check_told(&client.run(&plan).await.unwrap());
    }
    let enough = |e: &Evidence| e.0.len() >= 6 * clients.len() && e.is_settled();
    let evidence = gateway.evidence_when(enough).await.unwrap();
    assert_eq!(evidence.refused(), REFUSED.repeat(clients.len()));
    reconcile(&sim, &evidence);
}

/// It has a word of its own for each error, and tells ours in its text.
#[tokio::test]
async fn the_inspector_reads_resources() {
    let (sim, gateway) = world(SimOptions::default()).await;
    let plan = Plan::new(&gateway.url("atlassian")).token(ALICE).protocol(MODERN).offers();
    let plan =
        plan.read(ENGINEERING).read(PEOPLE).prompt("triage_issue", json!({ "key": "ENG-42" }));
    let told = inspector().run(&plan).await.unwrap();
    let [offers, page, people, prompt] = told.steps.as_slice() else { panic!("{told:?}") };
    assert_eq!(offers["resources"], json!([ENGINEERING, SUPPORT]), "{offers}");
    assert_eq!(offers["prompts"], json!(["triage_issue"]), "{offers}");
    assert_eq!(page["text"], "Every change is reviewed.", "{page}");
    assert!(people["error"]["message"].as_str().unwrap().contains("guardrail"), "{people}");
    assert!(prompt["text"].as_str().unwrap().ends_with("ENG-42"), "{prompt}");
    let evidence = gateway.evidence_when(|e| e.0.len() >= 3 && e.is_settled()).await.unwrap();
    assert_eq!(evidence.refused(), ["acme://handbook/people: guardrail"]);
    reconcile(&sim, &evidence);
}

/// I3: to an agent that may have nothing of them, there are none.
#[tokio::test]
async fn i3_an_agent_without_permits_sees_nothing_there() {
    let (sim, gateway) = world(SimOptions::default()).await;
    for (client, protocol, version) in speakers() {
        let told = client.run(&plan(&gateway.url("atlassian"), READER, protocol)).await.unwrap();
        let [offers, refused @ ..] = told.steps.as_slice() else { panic!("{told:?}") };
        for list in ["resources", "templates", "prompts"] {
            assert_eq!(offers[list], json!([]), "{offers}");
        }
        for step in refused {
            let legacy = version != "2026-07-28" && step["op"] == "read";
            let code = if legacy { -32002 } else { -32602 };
            assert_eq!(step["error"]["code"], code, "{step}");
        }
    }
    // Its clients listen for changes, so the gateway has looked at the lists; nothing else got through.
    let asks = ["resources/read", "prompts/get", "completion/complete"];
    let seen = sim.ledger().requests();
    assert!(!seen.iter().any(|request| asks.iter().any(|method| request.body.contains(method))));
    let evidence = gateway.evidence_when(|e| e.0.len() >= 18).await.unwrap();
    assert!(evidence.0.iter().all(|one| one.kind == "refusal"), "{evidence:?}");
}

/// Over the wire itself: HTTP 200 for every refusal, and a client's own cursor, header or name changes nothing.
#[tokio::test]
async fn refusals_are_errors_in_http_200_in_both_eras() {
    let (sim, gateway) = world(SimOptions::default()).await;
    let session = open_session(gateway.address, "atlassian", ALICE).await.unwrap();
    let complete =
        |subject: Value| json!({ "ref": subject, "argument": { "name": "key", "value": "" } });
    for (method, params, reason) in [
        ("resources/read", json!({ "uri": PEOPLE }), "guardrail"),
        ("resources/read", json!({ "uri": "acme://handbook/../people" }), "arguments_invalid"),
        ("resources/read", json!({ "uri": SUPPORT }), "approval_required"),
        ("prompts/get", json!({ "name": "weekly_report" }), "agent_not_permitted"),
        (
            "completion/complete",
            complete(json!({ "type": "ref/resource", "uri": PEOPLE })),
            "guardrail",
        ),
        (
            "completion/complete",
            complete(json!({ "type": "ref/prompt", "name": "weekly_report" })),
            "agent_not_permitted",
        ),
    ] {
        let legacy = Ask::legacy("atlassian", ALICE, &session, method, params.clone());
        for ask in [Ask::modern("atlassian", ALICE, method, params.clone()), legacy] {
            let heard = ask.send(gateway.address).await.unwrap();
            assert_eq!((heard.status, heard.code()), (200, 40_300), "{heard:?}");
            assert_eq!(heard.reasons(), reason, "{heard:?}");
        }
    }
    let subject = json!({ "type": "ref/resource", "uri": "acme://issues/{key}" });
    let ask = Ask::modern("atlassian", ALICE, "completion/complete", complete(subject));
    let heard = ask.send(gateway.address).await.unwrap();
    let values = &heard.message()["result"]["completion"]["values"];
    assert!(values.as_array().unwrap().contains(&json!("ENG-42")), "{heard:?}");
    let ask = Ask::modern("atlassian", ALICE, "resources/read", json!({ "uri": ENGINEERING }));
    let heard = ask.with("mcp-name", SUPPORT).send(gateway.address).await.unwrap();
    assert_eq!((heard.status, heard.code()), (400, -32020));
    let evidence = gateway.evidence_when(|e| e.0.len() >= 14 && e.is_settled()).await.unwrap();
    reconcile(&sim, &evidence);
    assert_eq!(sim.ledger().entries().len(), 1);
}

/// What is rehearsed is what is decided.
#[tokio::test]
async fn explain_and_decision_cases_know_resources_and_prompts() {
    let (_sim, gateway) = world(SimOptions::default()).await;
    let cases = r#"
[caller.bot]
human = "alice"
groups = ["engineering"]
agent = "release-bot"
[[case]]
name = "the handbook"
caller = "bot"
server = "atlassian"
resource = "acme://handbook/engineering"
want = "allow"
policies = ["engineers-use-the-handbook", "release-bot-uses-the-handbook"]
[[case]]
name = "pay"
caller = "bot"
server = "atlassian"
resource = "acme://handbook/people"
want = "deny"
policies = ["pay-is-private"]
[[case]]
name = "a prompt"
caller = "bot"
server = "atlassian"
prompt = "weekly_report"
want = "deny"
reasons = ["agent_not_permitted"]
[[case]]
name = "no such thing"
caller = "bot"
server = "atlassian"
resource = "a/../b"
want = "deny"
reasons = ["arguments_invalid"]
"#;
    gateway.put("policies/cases/offers.toml", cases).unwrap();
    let ran = gateway.cli(&["policy", "test"]).await.unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let both = cases.replacen("resource =", "prompt = \"x\"\nresource =", 1);
    gateway.put("policies/cases/offers.toml", &both).unwrap();
    let ran = gateway.cli(&["policy", "test"]).await.unwrap();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("write one of `tool`, `resource` and `prompt`"), "{ran:?}");

    let caller = json!({ "human": "alice", "groups": ["engineering"], "agent": "release-bot" });
    let call = json!({ "caller": caller, "server": "atlassian", "resource": SUPPORT });
    gateway.put("call.json", &call.to_string()).unwrap();
    let ran = gateway.cli(&["explain", "call.json"]).await.unwrap();
    assert!(ran.stdout.contains("means    mcp.resource.read (effect read, risk low)"), "{ran:?}");
    assert!(ran.stdout.contains("MCP::Resource \"atlassian/acme://handbook/support\""), "{ran:?}");
    assert!(ran.stdout.contains("decided  approval_required"), "{ran:?}");
    let ran = gateway.cli(&["policy", "schema"]).await.unwrap();
    assert!(ran.stdout.contains("action \"mcp.prompt.get\""), "{ran:?}");
}

/// What a catalog says of URIs is checked, rehearsed, and among what policies can name.
#[tokio::test]
async fn the_command_line_knows_what_uris_name() {
    let catalog = r#"
format = 1
name = "ours"
version = "1"
extends = "atlassian-rovo"
[resource."acme://issues/{key}"]
targets = [{ kind = "Jira::Issue", at = "/key" }]
"#;
    let permits = r#"
@id("resources") @reason("What they name is decided by itself") @owner("platform")
permit(principal, action == Action::"mcp.resource.read", resource in MCP::Server::"atlassian");
@id("issues-by-uri") @reason("Their own project") @owner("engineering")
permit(principal, action == Action::"mcp.resource.read", resource in Jira::Project::"acme/ENG");
"#;
    let case = |name: &str, uri: &str, wanted: &str| {
        format!(
            "[[case]]\nname = \"{name}\"\ncaller = \"a\"\nserver = \"atlassian\"\nresource = \"{uri}\"\n{wanted}\n"
        )
    };
    let cases = [
        "[caller.a]\nhuman = \"alice\"\n".to_owned(),
        case(
            "eng",
            "acme://issues/ENG-42",
            "want = \"allow\"\npolicies = [\"issues-by-uri\", \"resources\"]",
        ),
        case("hr", "acme://issues/HR-3", "want = \"deny\"\npolicies = [\"hr-is-closed\"]"),
        case("case", "ACME://issues/ENG-42", "want = \"deny\"\nreasons = [\"target_unresolved\"]"),
    ];
    let folder = setup()
        .section("[catalogs]\nfiles = [\"ours.toml\"]\n")
        .server("atlassian", "http://127.0.0.1:9/mcp", "ours", SECRET)
        .file("ours.toml", catalog)
        .file("policies/permits/offers.cedar", permits)
        .file("policies/cases/offers.toml", &cases.concat())
        .write()
        .unwrap();
    let ran = folder.cli(&["policy", "test"]).await.unwrap();
    assert_eq!((ran.code, ran.stdout.contains("3 passed")), (Some(0), true), "{ran:?}");
    let caller = json!({ "human": "alice" });
    let call =
        json!({ "caller": caller, "server": "atlassian", "resource": "acme://issues/ENG-42" });
    folder.put("call.json", &call.to_string()).unwrap();
    let ran = folder.cli(&["explain", "call.json"]).await.unwrap();
    assert!(ran.stdout.contains("touches  Jira::Issue \"acme/ENG-42\""), "{ran:?}");
    let ran = folder.cli(&["policy", "schema"]).await.unwrap();
    let kinds = "resource: [GitHub::Repository, Jira::Issue, MCP::Resource, Unresolved]";
    assert!(ran.stdout.contains(kinds), "{}", ran.code.unwrap_or_default());
    folder.put("ours.toml", &catalog.replace("\"/key\"", "\"/kay\"")).unwrap();
    let ran = folder.cli(&["check"]).await.unwrap();
    assert_eq!(ran.code, Some(64), "{ran:?}");
    let place = "ours.toml: resource.\"acme://issues/{key}\".targets[0]: `/kay` is no variable";
    assert!(ran.stdout.contains(place) || ran.stderr.contains(place), "{ran:?}");
}
