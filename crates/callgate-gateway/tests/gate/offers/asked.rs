//! What is asked for: what is sent, recorded and told.

use std::time::Duration;

use callgate_mcp::upstream::UpstreamLimits;
use callgate_model::digest::Digest;
use callgate_model::json::Json;
use callgate_policy::Tier;
use callgate_sim::{Eras, Fault};

use super::{ENGINEERING, PEOPLE, SUPPORT, TEMPLATE, client, complete, setup};
use crate::client::Ask;
use crate::store::{arguments_digest, event, reasons};
use crate::support::{World, catalogs, json, load};

/// What does not exist has another code in each era; a legacy server's code is not shown to a modern client.
#[tokio::test]
async fn a_resource_that_is_not_there_is_told_in_the_clients_words() {
    for (eras, modern, code) in [
        (Eras::Modern, true, "error -32602"),
        (Eras::Legacy, true, "error -32602"),
        (Eras::Legacy, false, "error -32002"),
    ] {
        let world = World::start(setup(eras)).await;
        let by = client(&world, "alice", modern).await;
        let said = world.ask(&by(Ask::read("alice", "acme://no/such/thing"))).await;
        assert_eq!(said.brief(), code, "{eras:?} {modern}");
        assert!(said.text().contains(r#""data":{"uri":"acme://no/such/thing"}"#), "{said:?}");
    }
}

/// Z02: a policy that looks at how a URI begins is not led elsewhere.
#[tokio::test]
async fn z02_a_uri_that_could_lead_elsewhere_is_refused() {
    let world = World::start(setup(Eras::Both)).await;
    world.gateway.activate(load(
        &catalogs(&[]),
        &[(
            Tier::Permit,
            "handbook",
            r#"permit(principal, action == Action::"mcp.resource.read", resource in MCP::Server::"atlassian") when { context.tool like "acme://handbook/e*" };"#,
        )],
    ));
    assert_eq!(world.ask(&Ask::read("nobody", ENGINEERING)).await.brief(), "ok");
    assert_eq!(
        world.ask(&Ask::read("nobody", PEOPLE)).await.brief(),
        "refused deny human_not_permitted"
    );
    for uri in [
        "",
        "acme://handbook/e/../people",
        "acme://handbook/e/%2e%2E/people",
        "acme://handbook/e%2f..%2fpeople",
        "acme://handbook/e\\..\\people",
        "acme://handbook/e ngineering",
        "acme://handbook/e\tngineering",
        "acme://handbook/e\u{0}",
        &format!("acme://handbook/e{}", "x".repeat(2048)),
    ] {
        let session = world.session("nobody").await;
        let said = world.ask(&Ask::read("nobody", uri).in_session(&session)).await;
        assert_eq!(said.brief(), "refused deny arguments_invalid", "{uri:?}");
    }
    assert_eq!(world.executed(), 1);
    let rows = world.record().await;
    assert!(rows.iter().all(|row| row.text.len() < 4_000), "the record keeps no such text");
}

#[tokio::test]
async fn completion_is_decided_as_what_is_completed() {
    let template = format!(r#"{{"type":"ref/resource","uri":"{TEMPLATE}"}}"#);
    let page = format!(r#"{{"type":"ref/resource","uri":"{PEOPLE}"}}"#);
    let triage = r#"{"type":"ref/prompt","name":"triage_issue"}"#;
    let weekly = r#"{"type":"ref/prompt","name":"weekly_report"}"#;
    for eras in [Eras::Modern, Eras::Legacy] {
        let world = World::start(setup(eras)).await;
        for modern in [true, false] {
            let by = client(&world, "alice-release", modern).await;
            for (reference, wanted) in [
                (template.as_str(), "ok"),
                (&page, "refused deny guardrail"),
                (triage, "ok"),
                (weekly, "refused deny human_not_permitted"),
            ] {
                let said = world.ask(&by(complete("alice-release", reference, "key"))).await;
                assert_eq!(said.brief(), wanted, "{eras:?} {modern} {reference}");
                if wanted == "ok" {
                    assert!(said.text().contains("\"ENG-42\""), "{said:?}");
                }
            }
        }
        assert_eq!(world.sim.ledger().count("completion/complete"), 4);
        let rows = world.record().await;
        let operations: Vec<Json> = rows
            .iter()
            .filter(|row| row.kind == "intent")
            .map(|row| event(row).get("understood").unwrap().get("operation").unwrap().clone())
            .collect();
        let both = [Json::from("mcp.resource.read"), "mcp.prompt.get".into()];
        assert_eq!(operations, [both.clone(), both].concat());
    }
}

/// I4: what was decided is what is sent and recorded.
#[tokio::test]
async fn i4_the_record_has_what_the_site_did() {
    let world = World::start(setup(Eras::Both)).await;
    let asks = [
        Ask::read("alice", ENGINEERING),
        Ask::get("alice", "triage_issue", r#"{"key":"ENG-\u0034\u00e9"}"#),
        Ask::read("alice", "acme://no/such/thing"),
    ];
    for (ask, wanted) in asks.iter().zip(["ok", "ok", "error -32602"]) {
        assert_eq!(world.ask(ask).await.brief(), wanted);
    }
    assert_eq!(world.ask(&Ask::read("alice", SUPPORT)).await.brief().split(' ').count(), 3);
    let rows = world.record().await;
    let intents: Vec<_> = rows.iter().filter(|row| row.kind == "intent").collect();
    let outcomes: Vec<_> = rows.iter().filter_map(|row| row.outcome.as_deref()).collect();
    assert_eq!(outcomes, ["succeeded", "succeeded", "upstream_error"]);
    for (intent, entry) in intents.iter().zip(world.sim.ledger().entries()) {
        let seen = Digest::of_json(&json(&entry.arguments)).to_string();
        assert_eq!(arguments_digest(intent), Some(seen));
        let event = event(intent);
        assert_eq!(event.get("method").and_then(Json::as_str), Some(entry.operation.as_str()));
        assert_eq!(event.get("tool").and_then(Json::as_str), Some(entry.tool.as_str()));
        let understood = event.get("understood").unwrap();
        assert_eq!(understood.get("definition"), Some(&Json::Null));
        let target = &understood.get("targets").and_then(Json::as_array).unwrap()[0];
        let id = format!("atlassian/{}", entry.tool);
        assert_eq!(target.get("id").and_then(Json::as_str), Some(id.as_str()));
        assert_eq!(target.get("in").unwrap().to_text(), r#"["MCP::Server::atlassian"]"#);
    }
    assert_eq!(intents.len(), 3);
    assert_eq!(
        reasons(rows.iter().rfind(|row| row.kind == "refusal").unwrap()),
        ["approval_required"]
    );
}

#[tokio::test]
async fn progress_and_failures_are_told_as_of_a_tool() {
    let mut setup = setup(Eras::Both);
    setup.sim.sse = true;
    setup.upstream = UpstreamLimits { total: Duration::from_secs(2), ..UpstreamLimits::default() };
    let world = World::start(setup).await;
    let ask = Ask::read("alice", ENGINEERING);
    let said = world.ask(&ask.clone().wanting_progress("mine")).await;
    assert_eq!((said.messages.len(), said.brief().as_str()), (2, "ok"));
    assert!(said.messages[0].contains(r#""progressToken":"mine""#), "{said:?}");
    for (fault, outcome) in [
        (Fault::DropBefore, "upstream_error"),
        (Fault::WrongResponseId, "upstream_error"),
        (Fault::Hang, "timed_out"),
    ] {
        world.sim.fault(fault.clone());
        let said = world.ask(&ask).await;
        assert_eq!(said.brief(), format!("refused allow {outcome}"), "{fault:?}");
        assert!(!said.text().contains("reviewed"), "{said:?}");
    }
    assert_eq!(
        world.outcomes().await,
        ["succeeded", "upstream_error", "upstream_error", "timed_out"]
    );
}

/// P02, P05: parameters are those of one request, and headers say the same.
#[tokio::test]
async fn p02_p05_other_parameters_and_other_headers_are_refused() {
    let world = World::start(setup(Eras::Both)).await;
    for (method, params) in [
        ("resources/read", format!(r#"{{"uri":"{ENGINEERING}","URI":"{PEOPLE}"}}"#)),
        ("resources/read", format!(r#"{{"uri":"{ENGINEERING}","requestState":"x"}}"#)),
        ("resources/read", r#"{"uri":7}"#.to_owned()),
        ("prompts/get", r#"{"name":"triage_issue","arguments":{"key":7}}"#.to_owned()),
        ("completion/complete", r#"{"argument":{"name":"key","value":""}}"#.to_owned()),
    ] {
        let ask = Ask::new("alice", method, &params);
        let said = world.ask(&ask).await;
        assert_eq!(
            (said.brief().as_str(), said.status.as_u16()),
            ("error -32602", 400),
            "{params}"
        );
        let session = world.session("alice").await;
        let said = world.ask(&ask.in_session(&session)).await;
        assert_eq!(
            (said.brief().as_str(), said.status.as_u16()),
            ("error -32602", 200),
            "{params}"
        );
    }
    let said = world.raw(&Ask::read("alice", ENGINEERING), Ask::read("alice", PEOPLE).body()).await;
    assert_eq!(said.brief(), "error -32020");
    assert!(world.sim.ledger().requests().is_empty());
}
