//! Exports of the evidence, read by software that others wrote: CEF and syslog by parsers of them, the table by Python's, OCSF by the
//! published schema. Some of the callers do what they can to break out of a line.

use std::process::Stdio;

use callgate_sim::SimOptions;
use callgate_tests::gateway::{Folder, program};
use callgate_tests::install;
use callgate_tests::wire::{Ask, open_session};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::world::{ALICE, BOB, edit, read, site_and_gateway};

/// Tools that nobody has, named by somebody who knows what is made of evidence: as CEF has them back, and as the table has them.
const EVIL: [[&str; 3]; 5] = [
    ["a|b\\c=d e=f", "a|b\\c=d e=f", "a|b\\c=d e=f"],
    [
        "x\r\nCEF:0|Callgate|callgate|1|permitted|x|1|act=allow",
        "x\r\nCEF:0|Callgate|callgate|1|permitted|x|1|act=allow",
        "x\\r\\nCEF:0|Callgate|callgate|1|permitted|x|1|act=allow",
    ],
    ["=HYPERLINK(\"a\",\"b\")", "=HYPERLINK(\"a\",\"b\")", "'=HYPERLINK(\"a\",\"b\")"],
    ["u\u{2028}v\u{1b}[2J", "u\\u{2028}v\\u{1b}[2J", "u\\u{2028}v\\u{1b}[2J"],
    [
        "\"] [other@1 decision=\"allow\"]",
        "\"] [other@1 decision=\"allow\"]",
        "\"] [other@1 decision=\"allow\"]",
    ],
];

async fn exported(folder: &Folder, arguments: &[&str]) -> String {
    let ran = folder.cli(&[&["evidence", "export"][..], arguments].concat()).await.unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout
}

/// What others read in all exports.
async fn read_by_others(folder: &Folder) -> Value {
    let readers = install::readers(&install::default_directory()).unwrap();
    let exports = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("ocsf", &["--format", "ocsf"][..]),
        ("cef", &["--format", "cef"]),
        ("csv", &["--format", "csv"]),
        ("lines", &["--syslog", "lines"]),
        ("octets", &["--syslog", "octets", "--format", "ocsf"]),
    ] {
        let path = exports.path().join(name);
        let output = ["--output", path.to_str().unwrap()];
        exported(folder, &[options, &output].concat()).await;
    }
    let ran = Command::new(&readers.interpreter)
        .arg(&readers.read)
        .arg(exports.path())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

#[tokio::test]
async fn e06_others_read_what_was_recorded() {
    let (_sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let call = |token, tool, arguments| Ask::call("atlassian", token, tool, arguments);
    let mut asks = vec![
        call(ALICE, "getJiraIssue", read("ENG-42")),
        call(ALICE, "editJiraIssue", edit("ENG-42", "x")),
        call(ALICE, "getJiraIssue", read("HR-3")),
        call(ALICE, "deleteJiraIssue", read("ENG-45")),
        call("token-of-nobody", "getJiraIssue", read("ENG-42")),
    ];
    // In the era whose headers do not name the tool: no header could hold these.
    let session = open_session(gateway.address, "atlassian", BOB).await.unwrap();
    for [tool, ..] in EVIL {
        let params = json!({ "name": tool, "arguments": {} });
        asks.push(Ask::legacy("atlassian", BOB, &session, "tools/call", params));
    }
    for ask in asks {
        ask.send(gateway.address).await.unwrap();
    }
    let create =
        ["token", "create", "--name", "n,\"n", "--owner", "alice", "--agent", "release-bot"];
    let made = gateway
        .cli(&[&create[..], &["--server", "atlassian", "--action", "read"]].concat())
        .await
        .unwrap();
    assert_eq!(made.code, Some(0), "{made:?}");
    gateway.evidence_when(|all| all.0.len() >= 10 && all.is_settled()).await.unwrap();

    let records: Vec<Value> = exported(&gateway, &[])
        .await
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let read = read_by_others(&gateway).await;
    for format in ["ocsf", "cef", "csv", "lines", "octets"] {
        assert_eq!(read[format].as_array().unwrap().len(), records.len(), "{format}");
    }
    for (place, record) in records.iter().enumerate() {
        let of = |format: &str| &read[format][place];
        let (hash, kind) = (&record["hash"], &record["kind"]);
        assert_eq!(record["index"], place);
        assert_eq!(of("ocsf")["errors"], json!([]), "{:#}", of("ocsf"));
        assert_eq!(&of("ocsf")["event"]["metadata"]["uid"], hash);
        assert_eq!(&of("cef")["extension"]["cs6"], hash, "{:#}", of("cef"));
        assert_eq!((&of("csv")["hash"], &of("csv")["kind"]), (hash, kind), "{:#}", of("csv"));
        for format in ["lines", "octets"] {
            let message = of(format);
            assert_eq!((&message["kind"], &message["facility"]), (kind, &"audit".into()));
            let data = message["data"].as_object().unwrap();
            assert_eq!((data.len(), &data["callgate@32473"]["hash"]), (1, hash), "{message:#}");
        }
        let message = of("lines")["message"].as_str().unwrap();
        assert!(message.starts_with("\u{feff}CEF:0|Callgate|callgate|"), "{message}");
        let message = of("octets")["message"].as_str().unwrap().trim_start_matches('\u{feff}');
        assert_eq!(serde_json::from_str::<Value>(message).unwrap(), of("ocsf")["event"]);
    }
    evil_tools_are_what_they_are(&records, &read);
}

fn evil_tools_are_what_they_are(records: &[Value], read: &Value) {
    for [tool, in_cef, in_table] in EVIL {
        let place = records.iter().position(|record| record["event"]["tool"] == tool);
        let place = place.unwrap_or_else(|| panic!("{tool:?} is not in {records:#?}"));
        let cef = &read["cef"][place];
        assert_eq!(
            (&cef["name"], &cef["extension"]["request"]),
            (&"Call denied".into(), &in_cef.into())
        );
        assert_eq!(cef["extension"]["act"], "deny", "{cef:#}");
        let row = &read["csv"][place];
        assert_eq!((&row["tool"], &row["decision"]), (&in_table.into(), &"deny".into()), "{row:#}");
        assert_eq!(row["human"], "bob");
        assert_eq!(read["ocsf"][place]["event"]["api"]["operation"], tool);
        let data = &read["lines"][place]["data"]["callgate@32473"];
        assert_eq!(data["decision"], "deny", "{data:#}");
    }
}

/// `callgate evidence follow` and what it prints.
struct Following {
    lines: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Following {
    fn begin(folder: &Folder, arguments: &[&str]) -> Self {
        let mut child = Command::new(program().unwrap())
            .args(["evidence", "follow"])
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { lines, child }
    }

    async fn next(&mut self) -> String {
        let line = tokio::time::timeout(std::time::Duration::from_secs(20), self.lines.next_line());
        line.await.expect("nothing comes").unwrap().expect("it has ended")
    }
}

/// With a filter a call and what became of it come together; it ends well when it is asked to.
#[tokio::test]
async fn whoever_follows_hears_of_each_record_once() {
    let (_sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let get = |token, key| Ask::call("atlassian", token, "getJiraIssue", read(key));
    get(ALICE, "ENG-42").send(gateway.address).await.unwrap();
    gateway.evidence_when(|all| all.0.len() == 1 && all.is_settled()).await.unwrap();
    let mut following = Following::begin(&gateway, &["--format", "csv", "--human", "bob"]);
    // Its header says that it has begun.
    assert!(following.next().await.starts_with("index,at,kind,"));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    for (token, key) in [(ALICE, "ENG-42"), (BOB, "SUP-101"), (ALICE, "ENG-41"), (BOB, "HR-3")] {
        get(token, key).send(gateway.address).await.unwrap();
    }
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let line = following.next().await;
        assert!(line.contains(",bob,"), "{line}");
        kinds.push(line.split(',').nth(2).unwrap().to_owned());
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ["intent", "outcome", "refusal"]);

    let id = following.child.id().unwrap().to_string();
    Command::new("kill").args(["-INT", &id]).status().await.unwrap();
    assert_eq!(following.child.wait().await.unwrap().code(), Some(0));
    assert_eq!(following.lines.next_line().await.unwrap(), None, "nothing comes twice");
}

#[tokio::test]
async fn an_export_has_the_time_and_the_records_that_were_asked_for() {
    let (_sim, gateway) = site_and_gateway(SimOptions::default()).await;
    for key in ["ENG-42", "HR-3"] {
        let ask = Ask::call("atlassian", ALICE, "getJiraIssue", read(key));
        ask.send(gateway.address).await.unwrap();
    }
    gateway.evidence_when(|all| all.0.len() == 2 && all.is_settled()).await.unwrap();
    let all = exported(&gateway, &[]).await;
    let all: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&all[0]["kind"], &all[0]["index"]), (&"opened".into(), &json!(0)));
    let lines = async |arguments: &[&str]| exported(&gateway, arguments).await.lines().count();
    assert_eq!(lines(&["--human", "alice"]).await, 3, "the intent, its outcome, the refusal");
    assert_eq!(lines(&["--decision", "deny"]).await, 1);
    assert_eq!(lines(&["--target", "acme/ENG", "--format", "csv"]).await, 3, "with a header");
    assert_eq!(lines(&["--from", "2020-01-01T00:00:00Z", "--to", "2021-01-01T00:00:00Z"]).await, 0);
    let last = all.last().unwrap()["at"].as_str().unwrap();
    assert_eq!(lines(&["--to", last]).await + lines(&["--from", last]).await, all.len());
    // A file that is there is not written over.
    let out = ["evidence", "export", "--output", "there"];
    gateway.put("there", "mine").unwrap();
    let ran = gateway.cli(&out).await.unwrap();
    assert!(ran.code == Some(2) && ran.stderr.contains("cannot write there"), "{ran:?}");
}
