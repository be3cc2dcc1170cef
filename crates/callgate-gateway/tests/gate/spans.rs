//! Spans and durations: what a tracing system is told of requests, and what it never is.

mod ends;

use std::collections::BTreeMap;

use callgate_gateway::spans::{Span, SpanKind, SpanQueue, Telemetry, Value};
use callgate_mcp::inbound::SpanContext;
use callgate_model::digest::hex;
use callgate_policy::Tier;
use http::HeaderValue;
use tokio::sync::mpsc::Receiver;

use crate::approvals::{RULES, WAITS};
use crate::client::{Ask, Said, delete, edit, issue};
use crate::store::event;
use crate::support::{CLOUD, POLICIES, Rule, Setup, UPSTREAM_SECRET, World};

/// Every attribute is told there.
const PAGE: &str = include_str!("../../../../docs/telemetry.md");

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const BESIDE: &str = "00-11111111111111111111111111111111-2222222222222222-01";

/// A world that is watched, and what is seen of it.
struct Watched {
    world: World,
    spans: Receiver<Span>,
}

async fn watched_at(setup: Setup, sample: f64, waiting_max: usize) -> Watched {
    let (queue, spans) = SpanQueue::new(sample, waiting_max);
    let telemetry = Telemetry { spans: Some(queue), durations: true };
    Watched { world: World::start(Setup { telemetry, ..setup }).await, spans }
}

async fn watched() -> Watched {
    watched_at(Setup::default(), 1.0, 1_000).await
}

/// A deletion waits for a lead.
fn gated() -> Setup {
    Setup { policies: [POLICIES, RULES].concat(), ..Setup::default() }
}

/// Engineers may do everything in DOCS; the id of a page does not tell that it is there.
fn docs() -> Setup {
    const DOCS: Rule = (
        Tier::Permit,
        "docs",
        r#"permit(principal in Group::"engineering", action, resource in Confluence::Space::"acme/DOCS");"#,
    );
    Setup { policies: [POLICIES, &[DOCS]].concat(), ..Setup::default() }
}

fn page() -> String {
    format!(r#"{{"cloudId":"{CLOUD}","content_id":"200001"}}"#)
}

impl Watched {
    /// Sends `ask` with further members in `_meta`.
    async fn ask(&self, ask: &Ask, meta: &str) -> Said {
        let body = String::from_utf8(ask.body().into()).unwrap();
        let body = body.replace(r#""_meta":{"#, &format!(r#""_meta":{{{meta},"#));
        self.world.raw(ask, body.into()).await
    }

    /// All spans that have ended by now.
    fn ended(&mut self) -> Vec<Span> {
        let mut all = Vec::new();
        while let Ok(span) = self.spans.try_recv() {
            all.push(span);
        }
        all
    }

    fn only(&mut self) -> Span {
        let mut all = self.ended();
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    /// The `traceparent` of the last call that the site was sent.
    fn sent(&self) -> Option<SpanContext> {
        let requests = self.world.sim.ledger().requests();
        let (_, after) = requests.last().unwrap().body.split_once(r#""traceparent":""#)?;
        SpanContext::parse(after.split('"').next().unwrap())
    }

    /// What is counted under `name` with `label`, if anything is.
    fn counted(&self, name: &str, label: &str) -> Vec<String> {
        let text = self.world.gateway.metrics();
        let is_it = |line: &&str| line.starts_with(name) && line.contains(label);
        text.lines().filter(is_it).map(str::to_owned).collect()
    }
}

fn attributes(span: &Span) -> BTreeMap<&'static str, String> {
    let text = |value: &Value| match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    };
    let all: BTreeMap<_, _> =
        span.attributes.iter().map(|(name, value)| (*name, text(value))).collect();
    assert_eq!(all.len(), span.attributes.len(), "a name twice: {span:?}");
    for name in all.keys() {
        assert!(PAGE.contains(&format!("`{name}`")), "{name} is not in docs/telemetry.md");
    }
    all
}

/// The attributes without those that differ from run to run; the values of these.
fn usual(span: &Span) -> (Vec<(&'static str, String)>, BTreeMap<&'static str, String>) {
    let changing = |name: &&str| {
        ["callgate.call", "callgate.policy.version", "callgate.approval.id", "server.port"]
            .contains(name)
    };
    let (changing, usual): (BTreeMap<_, _>, BTreeMap<_, _>) =
        attributes(span).into_iter().partition(|(name, _)| changing(name));
    (usual.into_iter().collect(), changing)
}

fn expected(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_call_has_a_span_and_the_call_of_the_server_is_a_part_of_it() {
    let mut watched = watched().await;
    let ask = Ask::call("alice-release", "getJiraIssue", &issue("ENG-42"));
    let meta = format!(r#""traceparent":"00-{TRACE}-{PARENT}-01","tracestate":"a=1""#);
    assert_eq!(watched.ask(&ask, &meta).await.brief(), "ok");
    let [client, server]: [Span; 2] = watched.ended().try_into().unwrap();
    assert_eq!((server.kind, server.name.as_str()), (SpanKind::Server, "tools/call getJiraIssue"));
    assert_eq!((client.kind, client.name.as_str()), (SpanKind::Client, "tools/call getJiraIssue"));
    // The client's trace goes on through both of them, and on to the server.
    for span in [&server, &client] {
        assert_eq!((hex(&span.context.trace_id), span.context.is_sampled), (TRACE.into(), true));
        assert_eq!(span.state.as_deref(), Some("a=1"));
        assert!(!span.is_error);
    }
    assert_eq!(hex(&server.parent.unwrap()), PARENT);
    assert_eq!(client.parent, Some(server.context.span_id));
    assert_eq!(watched.sent(), Some(client.context));
    assert!(server.began_ns <= client.began_ns && client.began_ns < client.ended_ns);
    assert!(client.ended_ns <= server.ended_ns);
    let (said, changing) = usual(&server);
    assert_eq!(
        said,
        expected(&[
            ("callgate.decision", "allow"),
            ("callgate.effect", "read"),
            ("callgate.operation", "jira.issue.read"),
            ("callgate.reason_code", "permitted"),
            ("callgate.risk", "low"),
            ("callgate.server", "atlassian"),
            ("gen_ai.agent.name", "release-bot"),
            ("gen_ai.operation.name", "execute_tool"),
            ("gen_ai.tool.name", "getJiraIssue"),
            ("jsonrpc.request.id", "7"),
            ("mcp.method.name", "tools/call"),
            ("mcp.protocol.version", "2026-07-28"),
            ("network.transport", "tcp"),
        ])
    );
    let port = watched.world.sim.url.split(&[':', '/'][..]).nth(4).unwrap().to_owned();
    let (said, there) = usual(&client);
    assert_eq!(there, BTreeMap::from([("server.port", port)]));
    assert_eq!(
        said,
        expected(&[
            ("callgate.server", "atlassian"),
            ("gen_ai.operation.name", "execute_tool"),
            ("gen_ai.tool.name", "getJiraIssue"),
            ("mcp.method.name", "tools/call"),
            ("mcp.protocol.version", "2026-07-28"),
            ("network.transport", "tcp"),
            ("server.address", "127.0.0.1"),
        ])
    );
    // Whoever has the span finds the evidence, and the other way round.
    let rows = watched.world.record().await;
    let intent = rows.iter().find(|row| row.kind == "intent").unwrap();
    assert_eq!(event(intent).get("trace"), Some(&TRACE.into()));
    assert_eq!(event(intent).get("call"), Some(&changing["callgate.call"].as_str().into()));
    let bundle = watched.world.gateway.bundle().digest().to_string();
    assert_eq!(changing["callgate.policy.version"], bundle);
}

#[tokio::test]
async fn a_trace_begins_here_if_the_client_has_none() {
    let mut watched = watched().await;
    watched.world.list("alice-release").await;
    let list = watched.only();
    assert_eq!((list.name.as_str(), list.parent, list.link), ("tools/list", None, None));
    watched.world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await;
    let [client, server]: [Span; 2] = watched.ended().try_into().unwrap();
    assert_eq!((server.parent, watched.sent()), (None, Some(client.context)));
    assert_ne!(server.context.trace_id, list.context.trace_id);
    let rows = watched.world.record().await;
    let intent = rows.iter().find(|row| row.kind == "intent").unwrap();
    let trace = hex(&server.context.trace_id);
    assert_eq!(event(intent).get("trace"), Some(&trace.as_str().into()));
}

#[tokio::test]
async fn what_the_headers_say_of_another_trace_is_a_link() {
    let mut watched = watched().await;
    let ask = Ask::new("alice-release", "tools/list", "{}");
    let send = async |meta: String| {
        let mut head = ask.head();
        head.headers.insert("traceparent", HeaderValue::from_static(BESIDE));
        let body = String::from_utf8(ask.body().into()).unwrap();
        let body = body.replace(r#""_meta":{"#, &format!(r#""_meta":{{{meta}"#));
        watched.world.gateway.handle(&head, "atlassian", body.into()).await
    };
    send(format!(r#""traceparent":"00-{TRACE}-{PARENT}-01","#)).await;
    send(String::new()).await;
    let [both, header]: [Span; 2] = watched.ended().try_into().unwrap();
    assert_eq!(
        (hex(&both.context.trace_id), both.link),
        (TRACE.into(), SpanContext::parse(BESIDE))
    );
    let beside = SpanContext::parse(BESIDE).unwrap();
    assert_eq!((header.context.trace_id, header.parent), (beside.trace_id, Some(beside.span_id)));
    assert_eq!(header.link, None);
}

#[tokio::test]
async fn a_refusal_says_why() {
    let mut watched = watched().await;
    let said = watched.world.call("alice-triage", "editJiraIssue", &edit("ENG-42", "x")).await;
    assert_eq!(said.brief(), "deny agent_not_permitted");
    let span = watched.only();
    let said = attributes(&span);
    assert!(span.is_error);
    for (name, value) in [
        ("callgate.decision", "deny"),
        ("callgate.reason_code", "agent_not_permitted"),
        ("error.type", "tool_error"),
        ("gen_ai.tool.name", "editJiraIssue"),
    ] {
        assert_eq!(said[name], value);
    }
    // What has no tool's result is an error with a code.
    watched.world.ask(&Ask::read("bob", "file:///x")).await;
    let said = attributes(&watched.only());
    assert_eq!((&*said["error.type"], &*said["callgate.decision"]), ("40300", "deny"));
    assert_eq!(said["rpc.response.status_code"], "40300");
    watched.world.call("alice", "nothing-like-this", "{}").await;
    let span = watched.only();
    let said = attributes(&span);
    assert_eq!((&*said["error.type"], &*span.name), ("-32602", "tools/call"));
    watched.world.ask(&Ask::new("alice", "tools/execute", "{}")).await;
    let said = attributes(&watched.only());
    assert_eq!((&*said["error.type"], &*said["mcp.method.name"]), ("-32601", "_OTHER"));
}

#[tokio::test]
async fn a_call_that_waits_names_its_approval() {
    let mut watched = watched_at(gated(), 1.0, 9).await;
    let said = watched.world.call("alice-release", "executeDestructive", &delete("ENG-42")).await;
    assert_eq!(said.brief(), WAITS);
    // Before it, what the gateway reads to know what is deleted.
    let [_, span]: [Span; 2] = watched.ended().try_into().unwrap();
    let said = attributes(&span);
    let waiting = watched.world.waiting().await.approval.id;
    assert_eq!(said["callgate.approval.id"], waiting.to_string());
    assert_eq!(said["callgate.decision"], "approval_required");
    assert_eq!(said["callgate.operation"], "jira.issue.delete");
    assert_eq!(span.name, "tools/call executeDestructive");
}

#[tokio::test]
async fn what_the_gateway_reads_for_itself_is_a_part_and_not_what_was_decided() {
    let mut watched = watched_at(docs(), 1.0, 9).await;
    assert_eq!(watched.world.call("alice", "getConfluenceContent", &page()).await.brief(), "ok");
    let [first, second, server]: [Span; 3] = watched.ended().try_into().unwrap();
    let parent = Some(server.context.span_id);
    assert_eq!((first.parent, second.parent), (parent, parent));
    let call = attributes(&server)["callgate.call"].clone();
    let rows = watched.world.record().await;
    let intents: Vec<_> = rows.iter().filter(|row| row.kind == "intent").collect();
    let [_own, made] = intents[..] else { panic!("{rows:?}") };
    assert_eq!(event(made).get("call"), Some(&call.as_str().into()));
}

#[tokio::test]
async fn i7_no_word_of_a_client_or_a_server_is_in_a_span_or_a_label() {
    let mut watched = watched().await;
    let secret = "canary-of-the-client";
    for ask in [
        Ask::call("alice-release", "editJiraIssue", &edit("ENG-42", secret)),
        Ask::call("alice-release", "getJiraIssue", &issue(secret)),
        Ask::call("alice-release", secret, &issue("ENG-42")),
        Ask::call("alice-release", "getJiraIssue", &format!(r#"{{"{secret}":"{secret}"}}"#)),
        Ask::new("alice-release", secret, &format!(r#"{{"{secret}":1}}"#)),
        Ask::read("alice-release", &format!("file:///{secret}")),
        Ask::get("alice-release", secret, "{}"),
        Ask::call("alice-release", "searchJiraIssuesUsingJql", &format!(r#"{{"jql":"{secret}"}}"#)),
    ] {
        watched.ask(&ask, &format!(r#""baggage":"{secret}=1""#)).await;
    }
    watched.world.call(secret, "getJiraIssue", &issue("ENG-42")).await;
    watched.world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await;
    let spans = format!("{:?}", watched.ended());
    let counted = watched.world.gateway.metrics();
    assert!(spans.contains("getJiraIssue") && counted.contains("getJiraIssue"));
    // The last is of what the site answered.
    for hidden in [secret, UPSTREAM_SECRET, "alice", "ENG-42", "Checkout fails"] {
        assert!(!spans.contains(hidden), "{hidden} in {spans}");
        assert!(!counted.contains(hidden), "{hidden} in {counted}");
    }
}

#[tokio::test]
async fn what_only_an_agent_says_of_itself_is_not_its_name() {
    let mut watched = watched().await;
    watched.world.call("alice-asserted", "getJiraIssue", &issue("ENG-42")).await;
    assert!(!attributes(&watched.only()).contains_key("gen_ai.agent.name"));
}

#[tokio::test]
async fn a_trace_that_its_client_does_not_keep_is_not_kept() {
    let mut watched = watched().await;
    let ask = Ask::call("alice-release", "getJiraIssue", &issue("ENG-42"));
    watched.ask(&ask, &format!(r#""traceparent":"00-{TRACE}-{PARENT}-00""#)).await;
    assert_eq!(watched.ended(), []);
    let sent = watched.sent().unwrap();
    assert_eq!((hex(&sent.trace_id), sent.is_sampled), (TRACE.into(), false));
    // It is counted all the same.
    assert_eq!(watched.counted("mcp_client_operation_duration_seconds_count", "").len(), 1);
    let mut none = watched_at(Setup::default(), 0.0, 9).await;
    none.world.ask(&ask).await;
    assert_eq!((none.ended(), none.sent().unwrap().is_sampled), (vec![], false));
    none.ask(&ask, &format!(r#""traceparent":"00-{TRACE}-{PARENT}-01""#)).await;
    assert_eq!(none.ended().len(), 2, "the client keeps it");
}

#[tokio::test]
async fn i13_spans_that_nobody_takes_are_dropped_and_counted() {
    let watched = watched_at(Setup::default(), 1.0, 1).await;
    for _ in 0..3 {
        let said = watched.world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await;
        assert_eq!(said.brief(), "ok");
    }
    assert_eq!(
        watched.counted("callgate_spans_dropped_total", ""),
        ["callgate_spans_dropped_total 5"]
    );
    drop(watched.spans);
    let world = &watched.world;
    assert_eq!(world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    assert!(world.gateway.metrics().contains("callgate_spans_dropped_total 7"));
}

#[tokio::test]
async fn durations_are_counted_by_method_and_known_tool() {
    let watched = watched().await;
    let world = &watched.world;
    world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await;
    world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await;
    world.call("alice-release", "nothing-like-this", "{}").await;
    world.list("alice-release").await;
    let of = |side: &str, label: &str| {
        watched.counted(&format!("mcp_{side}_operation_duration_seconds_count"), label)
    };
    let [read]: [String; 1] = of("server", "getJiraIssue").try_into().unwrap();
    assert_eq!(
        read,
        r#"mcp_server_operation_duration_seconds_count{callgate_server="atlassian",error_type="",gen_ai_operation_name="execute_tool",gen_ai_tool_name="getJiraIssue",mcp_method_name="tools/call",mcp_protocol_version="2026-07-28",network_transport="tcp"} 2"#
    );
    assert_eq!(of("server", "").len(), 3);
    assert_eq!(of("server", r#"gen_ai_tool_name="",mcp_method_name="tools/call""#).len(), 1);
    assert_eq!(of("client", "").len(), 1);
    let buckets = watched.counted("mcp_server_operation_duration_seconds_bucket", "getJiraIssue");
    let bound =
        |line: &String| line.split("le=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(
        buckets.iter().map(bound).collect::<Vec<_>>().join(" "),
        "0.01 0.02 0.05 0.1 0.2 0.5 1.0 2.0 5.0 10.0 30.0 60.0 120.0 300.0 +Inf"
    );
}

#[tokio::test]
async fn unless_it_is_wanted_nothing_is_told_and_a_trace_is_left_as_it_is() {
    let world = World::start(Setup::default()).await;
    let (_, spans) = SpanQueue::new(1.0, 1);
    let watched = Watched { world, spans };
    let ask = Ask::call("alice-release", "getJiraIssue", &issue("ENG-42"));
    watched.world.ask(&ask).await;
    assert_eq!(watched.sent(), None);
    watched.ask(&ask, &format!(r#""traceparent":"00-{TRACE}-{PARENT}-01""#)).await;
    assert_eq!(watched.sent().unwrap().to_string(), format!("00-{TRACE}-{PARENT}-01"));
    assert_eq!(watched.counted("mcp_", ""), [""; 0]);
}

/// Durations alone do not make a trace.
#[tokio::test]
async fn durations_can_be_counted_without_spans() {
    let telemetry = Telemetry { spans: None, durations: true };
    let world = World::start(Setup { telemetry, ..Setup::default() }).await;
    let (_, spans) = SpanQueue::new(1.0, 1);
    let watched = Watched { world, spans };
    watched.world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await;
    assert_eq!(watched.sent(), None);
    assert_eq!(watched.counted("mcp_client_operation_duration_seconds_count", "").len(), 1);
}
