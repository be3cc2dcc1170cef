//! Traces and metrics as a collector gets them, read with OpenTelemetry's own classes; and collectors that are no good.

use std::time::{Duration, Instant};

use callgate_sim::{Running, SimOptions};
use callgate_tests::backend::Backend;
use callgate_tests::drive::Client;
use callgate_tests::gateway::{Gateway, Setup};
use callgate_tests::wire::{Ask, get};
use callgate_tests::{announced, install};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::notify::nobody;
use super::pipes::wrapping;
use super::stdio::{python, setup_with};
use super::world::{ALICE, SECRET, edit, read, setup, site};

/// Every metric is told there.
const PAGE: &str = include_str!("../../../docs/telemetry.md");

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
/// What the collector wants to see.
const ADMITS: &str = "Bearer canary-of-the-collector";
const CANARY: &str = "canary-of-the-client";

const ARRIVES_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A collector. Dropping it ends it.
pub(crate) struct Collector {
    port: u16,
    _child: Child,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let (interpreter, script) = install::otlp(&install::default_directory()).unwrap();
        let (port, child) = announced(Command::new(interpreter).arg(script)).await.unwrap();
        Self { port: port.parse().unwrap(), _child: child }
    }

    /// Where it answers so.
    pub(crate) fn at(&self, how: &str) -> String {
        format!("http://127.0.0.1:{}/{how}", self.port)
    }

    /// What it was sent of `signal`, each thing with the headers that it came with.
    pub(crate) async fn has(&self, signal: &str) -> Vec<Value> {
        let heard = get(([127, 0, 0, 1], self.port).into(), "/received").await.unwrap();
        let all: Vec<Value> = serde_json::from_str(&heard.body).unwrap();
        all.into_iter().filter(|one| one["signal"] == signal).collect()
    }

    pub(crate) async fn all(&self, signal: &str) -> Vec<Value> {
        let of = |one: &Value| one["all"].as_array().unwrap().clone();
        self.has(signal).await.iter().filter(|one| one["is_taken"] == true).flat_map(of).collect()
    }

    /// All of it as soon as `enough` is.
    async fn when(&self, signal: &str, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + ARRIVES_WITHIN;
        loop {
            let all = self.all(signal).await;
            if enough(&all) {
                return all;
            }
            assert!(Instant::now() < deadline, "only {all:#?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn telling(setup: Setup, otlp: &str, more: &str) -> Setup {
    let section = format!(
        "[telemetry]\notlp = \"{otlp}\"\nheaders.authorization = {{ file = \"collector.secret\" }}\nattributes = {{ \"deployment.environment.name\" = \"test\" }}\n{more}"
    );
    setup.file("collector.secret", ADMITS).section(&section)
}

async fn world(otlp: &str, more: &str) -> (Running, Gateway) {
    let sim = site(SimOptions::default()).await;
    let url = format!("{}?tools=all", sim.url);
    let setup = setup().server("atlassian", &url, "atlassian-rovo", SECRET);
    let gateway = telling(setup, otlp, more).start().await.unwrap();
    (sim, gateway)
}

fn named<'a>(all: &'a [Value], name: &str, kind: &str) -> Vec<&'a Value> {
    let kind = format!("SPAN_KIND_{kind}");
    all.iter().filter(|one| one["name"] == name && one["kind"] == kind.as_str()).collect()
}

async fn ask(gateway: &Gateway, ask: Ask) -> String {
    ask.send(gateway.address).await.unwrap().body
}

#[tokio::test]
async fn a_collector_gets_the_spans_of_calls_and_none_of_their_words() {
    let collector = Collector::start().await;
    let (sim, gateway) = world(&collector.at("taken"), "metrics = false\n").await;
    let reads = Ask::call("atlassian", ALICE, "getJiraIssue", read("ENG-42"));
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let body = ask(&gateway, reads.also("traceparent", &parent).also("tracestate", "a=1")).await;
    assert!(body.contains("Checkout fails"), "{body}");
    let refused = Ask::call("atlassian", ALICE, "editJiraIssue", edit("HR-1", CANARY));
    assert!(ask(&gateway, refused).await.contains("guardrail"));
    ask(&gateway, Ask::call("atlassian", ALICE, CANARY, json!({ CANARY: CANARY }))).await;
    ask(&gateway, Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", CANARY))).await;
    let has_last = |all: &[Value]| {
        !named(all, "tools/call", "SERVER").is_empty()
            && named(all, "tools/call editJiraIssue", "SERVER").len() == 2
    };
    let all = collector.when("traces", has_last).await;
    let [server] = named(&all, "tools/call getJiraIssue", "SERVER")[..] else { panic!("{all:#?}") };
    let [client] = named(&all, "tools/call getJiraIssue", "CLIENT")[..] else { panic!("{all:#?}") };
    for span in [server, client] {
        assert_eq!((&span["trace"], &span["state"]), (&json!(TRACE), &json!("a=1")));
        assert_eq!(span["status"], "STATUS_CODE_UNSET");
        let resource = &span["resource"];
        assert_eq!(
            (&resource["service.name"], &span["scope"]),
            (&json!("callgate"), &json!("callgate"))
        );
        assert_eq!(resource["deployment.environment.name"], "test");
        assert!(resource["service.instance.id"].as_str().unwrap().len() == 36);
    }
    assert_eq!((&server["parent"], &client["parent"]), (&json!(PARENT), &server["span"]));
    let said = &server["attributes"];
    for (name, value) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.tool.name", "getJiraIssue"),
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.agent.name", "release-bot"),
        ("callgate.decision", "allow"),
        ("callgate.operation", "jira.issue.read"),
    ] {
        assert_eq!(said[name], value);
    }
    assert_eq!(client["attributes"]["server.address"], "127.0.0.1");
    assert!(client["attributes"]["server.port"].is_u64());
    // The server was told of the span that called it.
    let sent = sim.ledger().requests().into_iter().find(|one| one.body.contains(TRACE)).unwrap();
    assert!(sent.body.contains(&format!("00-{TRACE}-{}-01", client["span"].as_str().unwrap())));
    // And the evidence has both.
    let evidence = gateway.evidence_when(|all| all.dispatched().count() == 2).await.unwrap();
    let intent = evidence.dispatched().find(|one| one.tool() == "getJiraIssue").unwrap();
    assert_eq!(intent.text("/trace"), TRACE);
    assert_eq!(said["callgate.call"], intent.text("/call"));
    let edits = named(&all, "tools/call editJiraIssue", "SERVER");
    let [denied] = edits
        .iter()
        .filter(|one| one["attributes"]["callgate.decision"] == "deny")
        .collect::<Vec<_>>()[..]
    else {
        panic!("{edits:#?}")
    };
    assert_eq!((&denied["status"], &denied["message"]), (&json!("STATUS_CODE_ERROR"), &json!("")));
    assert_eq!(denied["attributes"]["error.type"], "tool_error");
    assert_eq!(denied["attributes"]["callgate.reason_code"], "guardrail");
    i7_no_canary(&collector, &gateway).await;
}

/// No word of a client, no credential, and nobody's name.
async fn i7_no_canary(collector: &Collector, gateway: &Gateway) {
    for signal in ["traces", "metrics"] {
        for sent in collector.has(signal).await {
            assert_eq!(sent["headers"]["authorization"], ADMITS);
            let told = sent["all"].to_string();
            for hidden in [CANARY, ALICE, SECRET, "canary", "alice", "ENG-42", "Checkout"] {
                assert!(!told.contains(hidden), "{hidden} in {told}");
            }
        }
    }
    let metrics = get(gateway.address, "/metrics").await.unwrap().body;
    for text in [metrics, gateway.output()] {
        assert!(!text.contains("canary-of-the-collector"), "{text}");
    }
}

fn metric<'a>(all: &'a [Value], name: &str) -> Option<&'a Value> {
    all.iter().rev().find(|one| one["name"] == name)
}

#[tokio::test]
async fn a_collector_gets_what_metrics_say() {
    let collector = Collector::start().await;
    let more = "traces = false\nmetrics_every_s = 1\nservice = \"gate\"\n";
    let (_sim, gateway) = world(&collector.at("taken"), more).await;
    for _ in 0..3 {
        ask(&gateway, Ask::call("atlassian", ALICE, "getJiraIssue", read("ENG-42"))).await;
    }
    ask(&gateway, Ask::call("atlassian", ALICE, CANARY, json!({}))).await;
    let of = |one: &Value, tool: &str| {
        let points = one["points"].as_array().unwrap().clone();
        points.into_iter().find(|point| point["attributes"]["gen_ai.tool.name"] == tool)
    };
    let served = |all: &[Value]| of(metric(all, "mcp.server.operation.duration")?, "getJiraIssue");
    let all =
        collector.when("metrics", |all| served(all).is_some_and(|point| point["count"] == 3)).await;
    let histogram = metric(&all, "mcp.server.operation.duration").unwrap();
    assert_eq!((&histogram["kind"], &histogram["unit"]), (&json!("histogram"), &json!("s")));
    assert_eq!(histogram["temporality"], "AGGREGATION_TEMPORALITY_CUMULATIVE");
    assert_eq!(histogram["resource"]["service.name"], "gate");
    let point = served(&all).unwrap();
    let bounds =
        json!([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0]);
    assert_eq!(point["bounds"], bounds);
    assert_eq!(
        point["attributes"],
        json!({
            "callgate.server": "atlassian",
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "getJiraIssue",
            "mcp.method.name": "tools/call",
            "mcp.protocol.version": "2026-07-28",
            "network.transport": "tcp",
        })
    );
    assert!(0 < point["began"].as_u64().unwrap() && point["began"].as_u64() < point["at"].as_u64());
    let asked = metric(&all, "mcp.client.operation.duration").unwrap();
    assert_eq!(of(asked, "getJiraIssue").unwrap()["count"], 3);
    for one in &all {
        let name = format!("`{}`", one["name"].as_str().unwrap());
        assert!(PAGE.contains(&name), "{name} is not in docs/telemetry.md");
    }
    // Each is counted once, and as for those who look by themselves.
    let decisions = metric(&all, "callgate.decisions").unwrap();
    assert_eq!((&decisions["kind"], &decisions["monotonic"]), (&json!("sum"), &json!(true)));
    let sum: f64 = decisions["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["value"].as_f64().unwrap())
        .sum();
    assert!((sum - 4.0).abs() < f64::EPSILON, "{decisions:#?}");
    let gauge = metric(&all, "callgate.evidence_healthy").unwrap();
    assert_eq!((&gauge["kind"], &gauge["points"][0]["value"]), (&json!("gauge"), &json!(1.0)));
    let decided = metric(&all, "callgate.decision_duration").unwrap();
    assert_eq!((&decided["unit"], &decided["points"][0]["count"]), (&json!("s"), &json!(4)));
    assert!(collector.has("traces").await.is_empty());
    i7_no_canary(&collector, &gateway).await;
}

/// A real client starts the gate, and the gate starts a real server.
#[tokio::test]
async fn what_goes_through_pipes_is_told_as_well() {
    let (collector, backend) = (Collector::start().await, Backend::start().await.unwrap());
    let setup = telling(setup_with(&backend), &collector.at("taken"), "metrics = false\n");
    let folder = setup.write().unwrap();
    let plan = wrapping(&folder, "atlassian");
    let plan = plan.call("jira_get_issue", json!({ "issue_key": "ENG-1" }));
    let told = Client::python(&python()).run(&plan).await.unwrap();
    assert_eq!(told.steps[0]["isError"], false, "{told:?}");
    let call = "tools/call jira_get_issue";
    let all = collector.when("traces", |all| named(all, call, "SERVER").len() == 1).await;
    let (server, client) = (named(&all, call, "SERVER")[0], named(&all, call, "CLIENT")[0]);
    assert_eq!(client["parent"], server["span"]);
    for span in [server, client] {
        assert_eq!(span["attributes"]["network.transport"], "pipe");
        assert_eq!(span["attributes"]["callgate.server"], "atlassian");
    }
    assert_eq!(client["attributes"].get("server.address"), None);
    assert_eq!(
        named(&all, "initialize", "SERVER").len(),
        0,
        "it is answered before anything is asked"
    );
}

#[tokio::test]
async fn what_is_left_is_sent_when_the_gateway_ends() {
    let collector = Collector::start().await;
    let (_sim, mut gateway) = world(&collector.at("taken"), "").await;
    ask(&gateway, Ask::call("atlassian", ALICE, "getJiraIssue", read("ENG-42"))).await;
    assert_eq!(gateway.terminate().await.unwrap(), Some(0));
    assert_eq!(named(&collector.all("traces").await, "tools/call getJiraIssue", "SERVER").len(), 1);
    assert!(metric(&collector.all("metrics").await, "mcp.server.operation.duration").is_some());
}

#[tokio::test]
async fn a_busy_collector_is_sent_the_same_again() {
    let collector = Collector::start().await;
    let (_sim, gateway) = world(&collector.at("busy"), "metrics = false\n").await;
    ask(&gateway, Ask::call("atlassian", ALICE, "getJiraIssue", read("ENG-42"))).await;
    let all = collector.when("traces", |all| all.len() == 2).await;
    assert_eq!(named(&all, "tools/call getJiraIssue", "SERVER").len(), 1);
    assert_eq!(collector.has("traces").await.len(), 3);
}

/// A collector that hangs, is not there, or is wrong: calls go on as without it, and so does the end.
#[tokio::test]
async fn a_bad_collector_costs_no_call_anything() {
    let collector = Collector::start().await;
    let gone = format!("http://{}", nobody());
    for (otlp, drops_soon) in [
        (collector.at("hang"), false),
        (collector.at("refused"), true),
        (collector.at("broken"), true),
        (gone, false),
    ] {
        let (_sim, mut gateway) = world(&otlp, "metrics_every_s = 1\n").await;
        let begun = Instant::now();
        for _ in 0..20 {
            let reads = Ask::call("atlassian", ALICE, "getJiraIssue", read("ENG-42"));
            assert!(ask(&gateway, reads).await.contains("Checkout fails"));
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{otlp}");
        if drops_soon {
            let dropped = "callgate_spans_dropped_total 40";
            let deadline = Instant::now() + ARRIVES_WITHIN;
            while !get(gateway.address, "/metrics").await.unwrap().body.contains(dropped) {
                assert!(Instant::now() < deadline, "{otlp}");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        let begun = Instant::now();
        assert_eq!(gateway.terminate().await.unwrap(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(9), "{otlp}: {:?}", begun.elapsed());
        let told = gateway.output().matches("a collector does not take what it is sent").count();
        assert!(told <= 2, "once for each signal: {}", gateway.output());
    }
}

/// The load of many calls at once, on a collector that never answers: what finds no room is dropped, and counted.
#[tokio::test]
async fn i13_what_waits_for_a_collector_is_bounded() {
    let collector = Collector::start().await;
    let (_sim, gateway) = world(&collector.at("hang"), "metrics = false\n").await;
    let batch: Vec<Value> =
        (0..50).map(|id| json!({ "jsonrpc": "2.0", "id": id, "method": "ping" })).collect();
    let batch = Value::from(batch).to_string();
    let mut sent = 0;
    let dropped = async || {
        let body = get(gateway.address, "/metrics").await.unwrap().body;
        let line = body.lines().find(|line| line.starts_with("callgate_spans_dropped_total"));
        line.unwrap().rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    while dropped().await == 0 {
        assert!(sent < 10_000, "nothing was dropped");
        for _ in 0..10 {
            Ask::post("atlassian", ALICE, batch.clone()).send(gateway.address).await.unwrap();
            sent += 50;
        }
    }
    assert!(sent > 4_096, "{sent}");
}
