//! The wire, byte by byte: what the real clients of the black-box suites never send, and the faults.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

mod places;
mod surface;

/// A client of nothing but text.
struct Raw<'a> {
    sim: &'a Running,
    headers: Vec<(&'static str, String)>,
}

impl<'a> Raw<'a> {
    fn new(sim: &'a Running, headers: &[(&'static str, &str)]) -> Self {
        let given = headers.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Self { sim, headers: given.collect() }
    }

    /// Status, headers and body, as text; what arrived before the connection was cut.
    async fn send(&self, method: &str, body: &str) -> (u16, String) {
        let address = self.sim.url.trim_start_matches("http://").trim_end_matches("/mcp");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut request = format!(
            "{method} /mcp HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in &self.headers {
            request += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap_or_default();
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, answer)
    }
}

const PLAIN: [(&str, &str); 2] =
    [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];

fn modern(name: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut headers = PLAIN.to_vec();
    headers.extend([
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", name),
    ]);
    headers
}

/// A modern call of `atlassianUserInfo`.
fn call() -> String {
    json!({
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": {
            "name": "atlassianUserInfo",
            "arguments": {},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    })
    .to_string()
}

async fn start(options: SimOptions) -> Running {
    Sim::start(Site::demo(), options).await.unwrap()
}

#[tokio::test]
async fn p05_headers_that_disagree_with_the_body_are_refused() {
    let sim = start(SimOptions::default()).await;
    let with = |name: &'static str, value: &'static str| {
        let mut headers = modern("atlassianUserInfo");
        headers.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            headers.push((name, value));
        }
        headers
    };
    let mut twice = modern("atlassianUserInfo");
    twice.push(("mcp-name", "atlassianUserInfo"));
    for (headers, code) in [
        (with("mcp-name", "getJiraIssue"), "-32020"),
        (with("mcp-name", "ATLASSIANUSERINFO"), "-32020"),
        (with("mcp-name", "=?base64?!?="), "-32020"),
        (with("mcp-name", ""), "-32020"),
        (with("mcp-method", "tools/list"), "-32020"),
        (with("mcp-protocol-version", ""), "-32020"),
        (with("mcp-protocol-version", "2025-11-25"), "-32020"),
        (twice, "-32020"),
    ] {
        let (status, answer) = Raw::new(&sim, &headers).send("POST", &call()).await;
        assert_eq!(status, 400, "{headers:?} {answer}");
        assert!(answer.contains(code), "{headers:?} {answer}");
    }
    for (change, code) in [("2027-01-01", "-32022"), ("", "-32022")] {
        let body = call().replace("2026-07-28", change);
        let (status, answer) =
            Raw::new(&sim, &modern("atlassianUserInfo")).send("POST", &body).await;
        assert!(status == 400 && answer.contains(code), "{answer}");
    }
    assert!(sim.ledger().entries().is_empty());

    let encoded = with("mcp-name", "=?base64?YXRsYXNzaWFuVXNlckluZm8=?=");
    let (status, answer) = Raw::new(&sim, &encoded).send("POST", &call()).await;
    assert!(status == 200 && answer.contains("\"resultType\":\"complete\""), "{answer}");
}

#[tokio::test]
async fn only_json_that_may_be_answered_either_way_is_read() {
    let sim = start(SimOptions::default()).await;
    let [json_type, accept] = PLAIN;
    for (headers, status) in [
        (vec![json_type], 406),
        (vec![accept], 415),
        (vec![("content-type", "text/plain"), accept], 415),
        (PLAIN.to_vec(), 400),
    ] {
        assert_eq!(Raw::new(&sim, &headers).send("POST", "[]").await.0, status, "{headers:?}");
    }
    assert_eq!(Raw::new(&sim, &PLAIN).send("GET", "").await.0, 405);
    assert_eq!(sim.ledger().requests().len(), 5, "all of them were seen");
}

#[tokio::test]
async fn a_legacy_session_lives_until_it_is_ended() {
    let sim = start(SimOptions { eras: Eras::Legacy, ..SimOptions::default() }).await;
    let initialize = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {} },
    });
    let (_, answer) = Raw::new(&sim, &PLAIN).send("POST", &initialize.to_string()).await;
    assert!(answer.contains("mcp-session-id: session-1"), "{answer}");
    assert!(answer.contains("\"protocolVersion\":\"2025-06-18\""), "{answer}");

    let ping = json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" }).to_string();
    let with = |session: &'static str, version: &'static str| {
        let mut headers = PLAIN.to_vec();
        headers.extend([("mcp-session-id", session), ("mcp-protocol-version", version)]);
        headers
    };
    let session = with("session-1", "2025-06-18");
    assert_eq!(Raw::new(&sim, &session).send("POST", &ping).await.0, 200);
    for (headers, status) in [
        (PLAIN.to_vec(), 400),
        (with("session-1", "2025-11-25"), 400),
        (with("session-2", "2025-06-18"), 404),
    ] {
        assert_eq!(Raw::new(&sim, &headers).send("POST", &ping).await.0, status, "{headers:?}");
    }
    assert_eq!(Raw::new(&sim, &session).send("DELETE", "").await.0, 204);
    assert_eq!(Raw::new(&sim, &session).send("POST", &ping).await.0, 404);
}

/// Calls with this fault: the answer, if there was one in time, and how many calls were executed.
async fn struck_by(fault: Fault) -> (Option<(u16, String)>, usize) {
    let sim = start(SimOptions { faults: vec![fault], ..SimOptions::default() }).await;
    let (headers, body) = (modern("atlassianUserInfo"), call());
    let raw = Raw::new(&sim, &headers);
    let answer = tokio::time::timeout(Duration::from_millis(300), raw.send("POST", &body)).await;
    let executed = sim.ledger().entries().len();
    assert_eq!(raw.send("POST", &body).await.0, 200, "a fault strikes once");
    (answer.ok(), executed)
}

#[tokio::test]
async fn faults_do_what_they_say() {
    assert_eq!(struck_by(Fault::Hang).await, (None, 0));
    assert_eq!(struck_by(Fault::HangAfterExecuting).await, (None, 1));
    let nothing = Some((0, String::new()));
    assert_eq!(struck_by(Fault::DropBefore).await, (nothing.clone(), 0));
    assert_eq!(struck_by(Fault::DropAfterExecuting).await, (nothing, 1));
    for (fault, status, executed, text) in [
        (Fault::ServerError, 500, 0, "500"),
        (Fault::Unauthorized, 401, 0, "401"),
        (Fault::MissingCapability, 400, 0, "\"requiredCapabilities\":{\"sampling\":{}}"),
        (
            Fault::Redirect("http://127.0.0.1:1/x".to_owned()),
            307,
            0,
            "location: http://127.0.0.1:1/x",
        ),
        (Fault::OversizedBody(1 << 20), 200, 1, "xxxx"),
        (Fault::WrongResponseId, 200, 1, "\"id\":\"nobody-asked-for-this\""),
        (Fault::ResultAndError, 200, 1, "\"error\":{"),
    ] {
        let (answer, count) = struck_by(fault.clone()).await;
        let (found, answer) = answer.unwrap();
        assert_eq!((found, count), (status, executed), "{fault:?}");
        assert!(answer.contains(text), "{fault:?}");
    }
    let (answer, executed) = struck_by(Fault::TwoMessagesInOneEvent).await;
    assert_eq!((answer.unwrap().1.matches("\ndata: {").count(), executed), (2, 1));
}

#[tokio::test]
async fn faults_of_the_list_hold_until_they_are_cleared() {
    let sim = start(SimOptions::default()).await;
    sim.fault(Fault::ChangedDefinition("getJiraIssue".to_owned()));
    sim.fault(Fault::DuplicateToolName("editJiraIssue".to_owned()));
    let mut headers = modern("");
    headers.retain(|(name, _)| *name != "mcp-name" && *name != "mcp-method");
    headers.push(("mcp-method", "tools/list"));
    let body = call().replace("tools/call", "tools/list");
    let raw = Raw::new(&sim, &headers);
    for _ in 0..2 {
        let (_, answer) = raw.send("POST", &body).await;
        assert_eq!(answer.matches("\"name\":\"editJiraIssue\"").count(), 2);
        assert!(answer.contains("read every HR issue"), "{answer}");
    }
    sim.clear_faults();
    let (_, answer) = raw.send("POST", &body).await;
    assert_eq!(answer.matches("\"name\":\"editJiraIssue\"").count(), 1);
    assert!(!answer.contains("read every HR issue"), "{answer}");
}

#[tokio::test]
async fn s07_a_caller_that_goes_away_cancels_a_modern_call_only() {
    let latency = Some(Duration::from_millis(200));
    let sim = start(SimOptions { latency, ..SimOptions::default() }).await;
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize" }).to_string();
    assert_eq!(Raw::new(&sim, &PLAIN).send("POST", &hello).await.0, 200);
    let mut legacy = PLAIN.to_vec();
    legacy.push(("mcp-session-id", "session-1"));
    let legacy_call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": { "name": "atlassianUserInfo" } });

    for (headers, body, executed) in
        [(modern("atlassianUserInfo"), call(), 0), (legacy, legacy_call.to_string(), 1)]
    {
        let raw = Raw::new(&sim, &headers);
        let sent = tokio::time::timeout(Duration::from_millis(50), raw.send("POST", &body)).await;
        assert!(sent.is_err(), "not answered yet");
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(sim.ledger().entries().len(), executed, "{headers:?}");
    }
}

#[tokio::test]
async fn the_ledger_keeps_the_arguments_as_they_came() {
    let sim = start(SimOptions::default()).await;
    let arguments =
        "{ \"cloudId\" : \"https://acme.atlassian.net/wiki\", \"query\":\"caf\\u00e9\" }";
    let body = call()
        .replace("atlassianUserInfo", "search")
        .replace("\"arguments\":{}", &format!("\"arguments\":{arguments}"));
    let (status, answer) = Raw::new(&sim, &modern("search")).send("POST", &body).await;
    assert_eq!(status, 200, "{answer}");
    let entries = sim.ledger().entries();
    assert_eq!(entries[0].arguments, arguments);
    assert_eq!((entries[0].number, entries[0].is_error), (1, false));
}

fn run(site: &mut Site, tool: &str, arguments: &Value) -> Result<Value, String> {
    let arguments = arguments.as_object().unwrap().clone();
    tools::run(site, false, tool, arguments).unwrap().result
}

#[test]
fn dispatchers_hold_to_their_tier_and_change_the_site() {
    let mut site = Site::demo();
    let cloud = site.cloud_id.clone();
    let link = json!({ "name": "enableConfluencePublicLink", "cloudId": cloud, "inputs": { "content_id": "AwANBA" } });
    assert!(run(&mut site, "executeRead", &link).unwrap_err().contains("Use executeWrite"));
    assert!(run(&mut site, "executeDestructive", &link).is_err());
    assert!(!site.page("AwANBA").unwrap().public_link);
    run(&mut site, "executeWrite", &link).unwrap();
    assert!(site.page("AwANBA").unwrap().public_link);

    let nested = json!({ "name": "executeDestructive", "inputs": { "name": "deleteJiraIssue" } });
    assert!(run(&mut site, "executeWrite", &nested).unwrap_err().contains("Unknown operation"));
    let merge = json!({ "name": "mergeBitbucketRepoPullRequest", "cloudId": "ignored",
        "inputs": { "workspaceId": "acme", "repoSlug": "payments-api", "pullRequestId": 7 } });
    run(&mut site, "executeWrite", &merge).unwrap();
    assert_eq!(site.pull_request("payments-api", 7).unwrap().state, "MERGED");
    assert!(run(&mut site, "executeWrite", &merge).unwrap_err().contains("already merged"));
}

#[test]
fn edits_are_real_and_arguments_are_checked() {
    let mut site = Site::demo();
    let id = site.issue("ENG-43").unwrap().id.clone();
    let edit = |fields: Value| json!({ "cloudId": "https://acme.atlassian.net", "issueIdOrKey": id, "fields": fields });
    run(&mut site, "editJiraIssue", &edit(json!({ "summary": "CSV" }))).unwrap();
    assert_eq!(site.issue("https://acme.atlassian.net/browse/eng-43?a=1").unwrap().summary, "CSV");
    let half = edit(json!({ "summary": "lost", "votes": 3 }));
    assert!(run(&mut site, "editJiraIssue", &half).is_err());
    assert_eq!(site.issue("ENG-43").unwrap().summary, "CSV", "all or nothing");
    let extra =
        json!({ "cloudId": "https://acme.atlassian.net", "issueIdOrKey": "ENG-43", "force": true });
    assert!(
        run(&mut site, "getJiraIssue", &extra).unwrap_err().contains("unrecognized key 'force'")
    );

    let stale = site.page("AwANAQ").unwrap().snapshot_token();
    let update = json!({ "cloudId": "https://acme.atlassian.net", "content_id": "AwANAQ", "snapshotToken": stale, "body": "New" });
    run(&mut site, "updateConfluenceContent", &update).unwrap();
    assert!(
        run(&mut site, "updateConfluenceContent", &update).unwrap_err().contains("has changed")
    );
    let search = json!({ "cloudId": "https://acme.atlassian.net", "jql": "project = ENG OR (project = HR AND text ~ confidential)" });
    let found = run(&mut site, "searchJiraIssuesUsingJql", &search).unwrap();
    assert_eq!(found["issues"].as_array().unwrap().len(), 7);
}
