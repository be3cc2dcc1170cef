//! The official conformance suite, run against a server of ours and against the gateway in front of it; and the other way
//! round, judging a foreign client and the gateway that this client speaks through.
//!
//! What passes without the gateway and does not through it stands in lists, with the reasons. The lists may only shrink:
//! a loss that is not in one fails the test, and so does an entry that has come to pass.

use std::collections::BTreeSet;

use callgate_tests::conformance::{Findings, Fixture, Verdict, client, run, run_client};
use callgate_tests::gateway::{Gateway, Setup};
use callgate_tests::install;

const CATALOG: &str = include_str!("../../data/conformance/catalog.toml");
const EXPECTED_2025_11_25: &str =
    include_str!("../../data/conformance/expected-failures-2025-11-25.txt");
const EXPECTED_2026_07_28: &str =
    include_str!("../../data/conformance/expected-failures-2026-07-28.txt");

const EXPECTED_CLIENT_2025_11_25: &str =
    include_str!("../../data/conformance/expected-client-failures-2025-11-25.txt");
const EXPECTED_CLIENT_2026_07_28: &str =
    include_str!("../../data/conformance/expected-client-failures-2026-07-28.txt");

const EVERYTHING: &str = r#"
@id("everything") @reason("The suite tests the protocol, not the policy") @owner("tests")
permit(principal, action, resource);
"#;

fn installed() -> install::Conformance {
    install::conformance(&install::default_directory()).unwrap()
}

/// The gateway as the suite can use it: it sends no token, and calls tools that no shipped catalog knows. Some tools of the
/// fixture work in one era only, so it speaks that of the suite.
async fn gateway(fixture: &Fixture, era: &str) -> Gateway {
    let server = format!(
        "[servers.fixture]\nurl = \"{}\"\ncatalog = \"conformance\"\ntools = \"any\"\nera = \"{era}\"\n",
        fixture.url
    );
    let gateway = Setup::default()
        .danger_anonymous("the-suite")
        .section("[catalogs]\nfiles = [\"conformance.toml\"]\n")
        .section(&server)
        .file("conformance.toml", CATALOG)
        .file("policies/permits/everything.cedar", EVERYTHING)
        .start()
        .await
        .unwrap();
    gateway.says("danger_anonymous: whoever sends no credential").await.unwrap();
    gateway
}

/// Entries of a list: `SCENARIO CHECK NAME` a line; comments say why.
fn entries(list: &str) -> BTreeSet<String> {
    let lines = list.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Compares what was found without the gateway and through it.
fn compare(direct: &Findings, through: &Findings, expected: &str) {
    assert_eq!(through.scenarios, direct.scenarios);
    let (lost, expected) = (through.lost(direct), entries(expected));
    let unexpected: Vec<_> = lost
        .iter()
        .filter(|(place, _)| !expected.contains(*place))
        .map(|(place, says)| {
            let scenario = place.split(' ').next().unwrap();
            format!("{place}: {says}\n{}\n", through.said[scenario])
        })
        .collect();
    assert!(unexpected.is_empty(), "these pass without the gateway:\n{}", unexpected.concat());
    let come_to_pass: Vec<_> = expected.iter().filter(|place| !lost.contains_key(*place)).collect();
    assert!(come_to_pass.is_empty(), "take these out of the list: {come_to_pass:#?}");
}

/// What the fixture does not offer: nothing of these is seen to be lost.
const NOT_OFFERED: [&str; 2] = ["tasks-", "server-sse-polling "];

/// Has the suite judge the server, and the gateway in front of it.
async fn judge_servers(revision: &str, era: &str, scenarios: usize, expected: &str) {
    let installed = installed();
    let fixture = Fixture::start(&installed).await.unwrap();
    let direct = run(&installed, &fixture.url, revision).await.unwrap();
    assert!(direct.conforms, "the fault is the fixture's: {:#?}", direct.checks);
    assert_eq!(direct.scenarios.len(), scenarios);
    for (place, check) in &direct.checks {
        let offered = !NOT_OFFERED.iter().any(|start| place.starts_with(start));
        assert!(check.verdict < Verdict::Skipped || !offered, "{place}: {}", check.says);
    }
    let gateway = gateway(&fixture, era).await;
    let through = run(&installed, &gateway.url("fixture"), revision).await.unwrap();
    compare(&direct, &through, expected);
}

#[tokio::test]
async fn the_gateway_conforms_to_2026_07_28_but_for_the_list() {
    judge_servers("2026-07-28", "modern", 50, EXPECTED_2026_07_28).await;
}

#[tokio::test]
async fn the_gateway_conforms_to_2025_11_25_but_for_the_list() {
    judge_servers("2025-11-25", "legacy", 33, EXPECTED_2025_11_25).await;
}

/// What a client of the modern era has no occasion to do.
const NOT_DONE: [&str; 2] =
    ["ClientMcpMethodHeader_initialize", "ClientMcpMethodHeader_notifications_initialized"];

/// Has the suite judge the client, and the gateway that it speaks through.
async fn judge_clients(revision: &str, scenarios: usize, expected: &str) {
    let (installed, node) = (installed(), install::node(&install::default_directory()).unwrap());
    let client = client(&installed, &node);
    let direct = run_client(&installed, &client, revision).await.unwrap();
    assert_eq!(direct.scenarios.len(), scenarios);
    for (place, check) in &direct.checks {
        let done = !NOT_DONE.iter().any(|end| place.ends_with(end));
        assert!(check.verdict < Verdict::Skipped || !done, "{place}: {}", check.says);
    }
    let through = [&[env!("CARGO_BIN_EXE_judged-gateway")][..], &client].concat();
    let through = run_client(&installed, &through, revision).await.unwrap();
    compare(&direct, &through, expected);
}

#[tokio::test]
async fn the_gateway_is_a_client_that_conforms_to_2026_07_28_but_for_the_list() {
    judge_clients("2026-07-28", 8, EXPECTED_CLIENT_2026_07_28).await;
}

#[tokio::test]
async fn the_gateway_is_a_client_that_conforms_to_2025_11_25_but_for_the_list() {
    judge_clients("2025-11-25", 5, EXPECTED_CLIENT_2025_11_25).await;
}
