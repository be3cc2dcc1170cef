//! Another configuration for a gateway that runs: it is in force as a whole or not at all, no call is lost by it, and what cannot change
//! without a restart is said.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use callgate_sim::{Running, SimOptions};
use callgate_tests::gateway::{Folder, Gateway, digest};
use callgate_tests::wire::{Ask, Heard};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::world::{ALICE, READER, SECRET, edit, read, reconcile, setup, site, site_and_gateway};

const DAN: &str = "token-of-dan";

fn toml(folder: &Folder) -> String {
    std::fs::read_to_string(folder.path().join("callgate.toml")).unwrap()
}

/// Dan is another engineer.
fn dan() -> String {
    format!(
        "[[danger_static_tokens]]\nname = \"dan\"\nsha256 = \"{}\"\nhuman = \"dan\"\ngroups = [\"engineering\"]\nagent = \"release-bot\"\n",
        digest(DAN.as_bytes())
    )
}

async fn reads(address: SocketAddr, token: &str) -> Heard {
    Ask::call("atlassian", token, "getJiraIssue", read("ENG-42")).send(address).await.unwrap()
}

async fn signal(gateway: &Gateway, name: &str) {
    let id = gateway.id().unwrap().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

/// Waits until it has said so for the `times`th time.
async fn says(gateway: &Gateway, text: &str, times: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while gateway.output().matches(text).count() < times {
        assert!(Instant::now() < deadline, "{text}: {}", gateway.output());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const IN_FORCE: &str = "another process answers by it";
const REFUSED: &str = "the configuration is not put in force";

/// A client that keeps its connection for as long as the gateway does, and opens the next one when it is told to.
async fn keeps(address: SocketAddr, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    while !stop.load(Ordering::Relaxed) {
        let n = answered.load(Ordering::Relaxed);
        let params = json!({
            "name": "editJiraIssue", "arguments": edit("ENG-42", &n.to_string()),
            "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} },
        });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })
            .to_string();
        let head = format!(
            "POST /mcp/atlassian HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n\
             authorization: Bearer {ALICE}\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: editJiraIssue\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let (mut heard, mut buffer) = (String::new(), [0; 16 << 10]);
        let whole = |heard: &str| {
            let (head, body) = heard.split_once("\r\n\r\n")?;
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            (body.len() >= length.parse().ok()?).then_some(head.contains("connection: close"))
        };
        let closes = loop {
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "a connection was dropped in the middle of a call: {heard}");
            heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
            if let Some(closes) = whole(&heard) {
                break closes;
            }
        };
        assert!(
            heard.starts_with("HTTP/1.1 200") && !heard.contains("\"isError\":true"),
            "{heard}"
        );
        answered.fetch_add(1, Ordering::Relaxed);
        // What the command line lists of the evidence has an end.
        tokio::time::sleep(Duration::from_millis(120)).await;
        if closes {
            stream = TcpStream::connect(address).await.unwrap();
        }
    }
}

#[tokio::test]
async fn no_call_is_lost_when_the_configuration_becomes_another_one_under_load() {
    let (sim, mut gateway) = site_and_gateway(SimOptions::default()).await;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..6)
        .map(|_| tokio::spawn(keeps(gateway.address, Arc::clone(&stop), Arc::clone(&answered))))
        .collect();
    assert_eq!(reads(gateway.address, DAN).await.status, 401);
    gateway.put("callgate.toml", &format!("{}{}", toml(&gateway), dan())).unwrap();
    gateway.hang_up().await.unwrap();
    says(&gateway, IN_FORCE, 1).await;
    assert!(reads(gateway.address, DAN).await.is_success(), "it is in force");
    // The program as it is on the disk takes over, whatever has changed.
    signal(&gateway, "-USR2").await;
    says(&gateway, IN_FORCE, 2).await;
    gateway.put("callgate.toml", &toml(&gateway).replace(&dan(), "")).unwrap();
    gateway.hang_up().await.unwrap();
    says(&gateway, IN_FORCE, 3).await;
    assert_eq!(reads(gateway.address, DAN).await.status, 401, "and so is the next one");
    let before = answered.load(Ordering::Relaxed);
    while answered.load(Ordering::Relaxed) < before + 20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(gateway.terminate().await.unwrap(), Some(0));
    assert!(TcpStream::connect(gateway.address).await.is_err(), "nobody is left");
    assert_eq!(sim.ledger().count("editJiraIssue"), answered.load(Ordering::Relaxed));
    let evidence = gateway.evidence().await.unwrap();
    assert!(evidence.dispatched().all(|call| call.outcome.as_deref() == Some("succeeded")));
    reconcile(&sim, &evidence);
    let verified = gateway.cli(&["evidence", "verify"]).await.unwrap();
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[tokio::test]
async fn what_is_wrong_is_refused_whole_and_what_needs_a_restart_is_said() {
    let (_sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let good = toml(&gateway);
    gateway.put("hook.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let cases = [
        (format!("{good}{}[polices]\n", dan()), "there is no such section"),
        (format!("{good}{}[catalogs]\nfiles = [\"none.toml\"]\n", dan()), "none.toml"),
        (
            format!("{good}{}", dan()).replace("127.0.0.1:0", "127.0.0.1:1"),
            "listen.address: it is another one, and that needs a restart",
        ),
        (
            format!("{good}{}", dan()).replace("evidence.db", "other.db"),
            "store: it is another one, and that needs a restart",
        ),
        // Only who starts it finds that a channel is not there, which a policy counts on.
        (
            format!(
                "{good}{}[approvals]\nbreak_glass.notify = [\"a\", \"b\"]\n{}",
                dan(),
                channels()
            ),
            "cannot be reached",
        ),
    ];
    for (n, (bad, why)) in cases.iter().enumerate() {
        gateway.put("callgate.toml", bad).unwrap();
        gateway.hang_up().await.unwrap();
        says(&gateway, REFUSED, n + 1).await;
        assert!(gateway.output().contains(why), "{why}: {}", gateway.output());
        assert_eq!(reads(gateway.address, DAN).await.status, 401, "{why}");
        assert!(reads(gateway.address, ALICE).await.is_success(), "{why}");
    }
    gateway.put("callgate.toml", &good).unwrap();
    gateway.hang_up().await.unwrap();
    says(&gateway, "are as they were", 1).await;
    assert!(!gateway.output().contains(IN_FORCE));
}

fn channels() -> String {
    let channel = |name| {
        format!(
            "[notify.{name}]\nkind = \"webhook\"\nurl = \"http://{}/\"\nsecrets = [{{ file = \"hook.secret\" }}]\n",
            super::notify::nobody()
        )
    };
    format!("{}{}", channel("a"), channel("b"))
}

/// What the tool means that reads an issue.
fn catalog(operation: &str) -> String {
    format!(
        "format = 1\nname = \"mine\"\nversion = \"1\"\nextends = \"atlassian-rovo\"\n[tool.getJiraIssue]\noperation = \"{operation}\"\n\
         targets = [{{ kind = \"Jira::Issue\", at = \"/issueIdOrKey\" }}]\n"
    )
}

#[tokio::test]
async fn a_secret_and_a_catalog_are_others_when_their_files_are() {
    let sim: Running = site(SimOptions::default()).await;
    let gateway = setup()
        .server("atlassian", &format!("{}?tools=all", sim.url), "mine", "another-secret")
        .section("[catalogs]\nfiles = [\"mine.toml\"]\n")
        .file("mine.toml", &catalog("jira.issue.read"))
        .start()
        .await
        .unwrap();
    assert!(!reads(gateway.address, READER).await.is_success());
    gateway.put("atlassian.secret", SECRET).unwrap();
    gateway.hang_up().await.unwrap();
    says(&gateway, IN_FORCE, 1).await;
    assert!(reads(gateway.address, READER).await.is_success());
    gateway.put("mine.toml", &catalog("jira.issue.edit")).unwrap();
    gateway.hang_up().await.unwrap();
    says(&gateway, IN_FORCE, 2).await;
    let heard = reads(gateway.address, READER).await;
    assert_eq!(heard.code(), -32602, "for who only reads there is no such tool: {heard:?}");
}

#[tokio::test]
async fn whoever_started_it_dies_and_nobody_is_left_behind() {
    let (_sim, mut gateway) = site_and_gateway(SimOptions::default()).await;
    signal(&gateway, "-USR2").await;
    says(&gateway, IN_FORCE, 1).await;
    assert!(reads(gateway.address, ALICE).await.is_success());
    gateway.kill_9().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(gateway.address).await.is_ok() {
        assert!(Instant::now() < deadline, "a child serves on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    gateway.restart().await.unwrap();
    assert!(reads(gateway.address, ALICE).await.is_success());
}
