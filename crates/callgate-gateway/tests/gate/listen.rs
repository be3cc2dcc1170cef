//! Those who listen: each is told when a list is another one for them, and of nothing else.

use std::time::Duration;

use callgate_gateway::kept::ListLimits;
use callgate_gateway::listeners::StreamLimits;
use callgate_gateway::pipeline::{Reply, ReplyBody};
use callgate_mcp::upstream::EraSetting;
use callgate_model::json::Json;
use callgate_policy::Tier;
use callgate_sim::{Fault, Listening, SimOptions};
use http::{Method, StatusCode};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::client::{Ask, Said};
use crate::support::{POLICIES, Rule, Setup, UPSTREAM_SECRET, World, catalogs, load, soon};

/// Long enough for what is told to be told, and for what is not to be missed.
const WHILE: Duration = Duration::from_millis(300);

const TOOLS: &str = r#"{"notifications":{"toolsListChanged":true}}"#;
const ALL: &str = r#"{"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["acme://handbook/people"]}}"#;

const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
const PROMPTS_CHANGED: &str = "notifications/prompts/list_changed";
const RESOURCES_CHANGED: &str = "notifications/resources/list_changed";

/// What engineers lose: whatever is no read.
const READ_ONLY: Rule = (
    Tier::Guardrail,
    "read-only",
    r#"forbid(principal in Group::"engineering", action in Action::"write", resource);"#,
);

const NOTHING: Rule = (Tier::Guardrail, "nothing", "forbid(principal, action, resource);");

const PROMPTS: Rule = (
    Tier::Permit,
    "prompts",
    r#"permit(principal, action == Action::"mcp.prompt.get", resource in MCP::Server::"atlassian");"#,
);

/// An open stream.
pub(crate) struct Stream(Receiver<bytes::Bytes>);

impl Stream {
    pub(crate) fn of(reply: Reply) -> Self {
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        let ReplyBody::Listening(messages) = reply.body else { panic!("{reply:?}") };
        Self(messages)
    }

    /// The stream of a modern client, after what was acknowledged.
    pub(crate) async fn open(world: &World, token: &str, params: &str) -> (Self, String) {
        let ask = Ask::new(token, "subscriptions/listen", params);
        let mut stream = Self::of(ask.reply(&world.gateway).await);
        let first = stream.next().await.unwrap();
        assert_eq!(method(&first), "notifications/subscriptions/acknowledged");
        assert!(is_tagged(&first), "{first:?}");
        let honoured = first.get("params").and_then(|params| params.get("notifications"));
        (stream, honoured.unwrap().to_text())
    }

    /// The stream of a session of the legacy era.
    pub(crate) async fn in_session(world: &World, token: &str, session: &str) -> Self {
        let stream = Self::of(get(world, token, Some(session)).await);
        // There is nothing that says so, but by then it has looked at the lists.
        tokio::time::sleep(WHILE).await;
        stream
    }

    /// The next message, if there is one soon; `None` also if the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Json> {
        let message = timeout(Duration::from_secs(5), self.0.recv()).await.unwrap()?;
        Some(crate::support::json(std::str::from_utf8(&message).unwrap()))
    }

    /// The next message, if there is one in a while.
    pub(crate) async fn next_within_a_while(&mut self) -> Option<Json> {
        let message = timeout(WHILE, self.0.recv()).await.ok()??;
        Some(crate::support::json(std::str::from_utf8(&message).unwrap()))
    }

    /// What is told for a while. All of it is tagged.
    pub(crate) async fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Ok(message) = timeout(WHILE, self.0.recv()).await {
            let Some(message) = message else { break };
            let message = crate::support::json(std::str::from_utf8(&message).unwrap());
            assert!(is_tagged(&message), "{message:?}");
            told.push(method(&message));
        }
        told
    }

    /// Expects these messages, however late, and no more for a while.
    pub(crate) async fn hears(&mut self, wanted: &[&str]) {
        let mut told = Vec::new();
        for _ in wanted {
            told.push(method(&self.next().await.expect("the end")));
        }
        told.extend(self.told().await);
        assert_eq!(told, wanted);
    }

    /// Expects the answer to the request, and the end.
    async fn ends(&mut self) {
        let last = self.next().await.unwrap();
        assert_eq!(last.get("id"), Some(&7.into()), "{last:?}");
        let result = last.get("result").unwrap();
        assert_eq!(result.get("resultType"), Some(&"complete".into()));
        assert_eq!(result.get("_meta").and_then(|meta| meta.get(TAG)), Some(&7.into()));
        assert_eq!(self.next().await, None);
    }
}

const TAG: &str = "io.modelcontextprotocol/subscriptionId";

fn is_tagged(message: &Json) -> bool {
    let meta = message.get("params").and_then(|params| params.get("_meta"));
    meta.and_then(|meta| meta.get(TAG)) == Some(&7.into())
}

pub(crate) fn method(message: &Json) -> String {
    message.get("method").and_then(Json::as_str).unwrap_or_default().to_owned()
}

pub(crate) async fn get(world: &World, token: &str, session: Option<&str>) -> Reply {
    let mut head = Ask::new(token, "initialize", "{}").head();
    head.method = Method::GET;
    head.headers.remove("content-type");
    if let Some(session) = session {
        head.headers.insert("mcp-session-id", session.parse().unwrap());
    }
    world.gateway.handle(&head, "atlassian", bytes::Bytes::new()).await
}

fn activate(world: &World, more: &[Rule]) {
    let rules = [POLICIES, more].concat();
    world.gateway.activate(load(&catalogs(&[]), &rules));
}

#[tokio::test]
async fn i3_a_policy_that_changes_a_list_is_told_to_those_for_whom_it_does() {
    let world = World::start(Setup::default()).await;
    let (mut alice, honoured) = Stream::open(&world, "alice", ALL).await;
    // Nothing of the resource may be read.
    let all = r#"{"promptsListChanged":true,"resourcesListChanged":true,"toolsListChanged":true}"#;
    assert_eq!(honoured, all);
    let (mut triage, honoured) = Stream::open(&world, "alice-triage", TOOLS).await;
    assert_eq!(honoured, r#"{"toolsListChanged":true}"#);
    let (mut bob, _) = Stream::open(&world, "bob", ALL).await;
    // The same policies, and policies that change nothing for anybody here.
    activate(&world, &[]);
    assert_eq!(alice.told().await, Vec::<String>::new());
    activate(&world, &[READ_ONLY]);
    alice.hears(&[TOOLS_CHANGED]).await;
    assert_eq!(triage.told().await, Vec::<String>::new(), "it could only read anyway");
    activate(&world, &[READ_ONLY, PROMPTS]);
    alice.hears(&[PROMPTS_CHANGED]).await;
    bob.hears(&[PROMPTS_CHANGED]).await;
    assert_eq!(triage.told().await, Vec::<String>::new(), "it did not ask for prompts");
    activate(&world, &[PROMPTS]);
    alice.hears(&[TOOLS_CHANGED]).await;
    assert_eq!(bob.told().await, Vec::<String>::new());
}

#[tokio::test]
async fn i8_when_a_client_is_told_its_list_is_the_new_one() {
    let world = World::start(Setup::default()).await;
    let before = world.list("alice").await.tools();
    let (mut alice, _) = Stream::open(&world, "alice", TOOLS).await;
    activate(&world, &[READ_ONLY]);
    assert_eq!(method(&alice.next().await.unwrap()), TOOLS_CHANGED);
    let after = world.list("alice").await.tools();
    assert!(after.len() < before.len() && after.contains(&"getJiraIssue".to_owned()), "{after:?}");
}

#[tokio::test]
async fn streams_end_in_good_order_when_the_gateway_does_and_none_is_opened_after_it() {
    let world = World::start(Setup::default()).await;
    let (mut alice, _) = Stream::open(&world, "alice", TOOLS).await;
    world.gateway.close().await;
    alice.ends().await;
    soon("the end of all streams", || world.gateway.streams_open() == 0).await;
    let late = Ask::new("alice", "subscriptions/listen", TOOLS).reply(&world.gateway).await;
    assert_eq!(late.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn i8_a_stream_ends_when_policies_leave_its_caller_nothing() {
    let world = World::start(Setup::default()).await;
    let (mut alice, _) = Stream::open(&world, "alice", TOOLS).await;
    activate(&world, &[NOTHING]);
    assert_eq!(method(&alice.next().await.unwrap()), TOOLS_CHANGED);
    alice.ends().await;
    // Who has nothing may wait for something.
    let (mut alice, _) = Stream::open(&world, "alice", TOOLS).await;
    activate(&world, &[]);
    alice.hears(&[TOOLS_CHANGED]).await;
}

#[tokio::test]
async fn i8_a_stream_ends_with_the_credential_of_its_caller() {
    let world = World::start(Setup::default()).await;
    let (mut lasting, _) = Stream::open(&world, "alice", TOOLS).await;
    let (mut brief, _) = Stream::open(&world, "alice-briefly", TOOLS).await;
    brief.ends().await;
    assert_eq!(lasting.told().await, Vec::<String>::new());
    assert_eq!(world.gateway.streams_open(), 1);
}

#[tokio::test]
async fn i13_who_leaves_leaves_nothing_behind() {
    let world = World::start(quick()).await;
    for _ in 0..20 {
        let (stream, _) = Stream::open(&world, "alice", ALL).await;
        drop(stream);
    }
    soon("the end of all streams", || world.gateway.streams_open() == 0).await;
    tokio::time::sleep(WHILE).await;
    let asked = world.sim.ledger().requests().len();
    tokio::time::sleep(WHILE).await;
    assert_eq!(world.sim.ledger().requests().len(), asked, "nobody follows the site any more");
    // And whoever comes then is told again.
    let (mut alice, _) = Stream::open(&world, "alice", TOOLS).await;
    world.sim.fault(Fault::ChangedDefinition("getJiraIssue".to_owned()));
    alice.hears(&[TOOLS_CHANGED]).await;
}

/// Lists are looked at often.
fn quick() -> Setup {
    let tools = ListLimits {
        fresh: Duration::from_millis(50),
        refetch_min: Duration::from_millis(10),
        ..ListLimits::default()
    };
    Setup { tools, ..Setup::default() }
}

#[tokio::test]
async fn a_site_that_says_nothing_is_asked_once_for_all_who_listen() {
    for era in [EraSetting::Modern, EraSetting::Legacy] {
        let world = World::start(Setup { era, ..quick() }).await;
        let mut streams = Vec::new();
        for _ in 0..10 {
            streams.push(Stream::open(&world, "alice", TOOLS).await.0);
        }
        let (mut nobody, _) = Stream::open(&world, "nobody", TOOLS).await;
        let lists = || {
            let requests = world.sim.ledger().requests();
            requests.iter().filter(|seen| seen.body.contains(r#""tools/list""#)).count()
        };
        let before = lists();
        world.sim.fault(Fault::ChangedDefinition("getJiraIssue".to_owned()));
        for stream in &mut streams {
            assert_eq!(method(&stream.next().await.unwrap()), TOOLS_CHANGED, "{era:?}");
        }
        tokio::time::sleep(WHILE).await;
        assert!(lists() > before && lists() - before <= 12, "{} times", lists() - before);
        assert_eq!(nobody.told().await, Vec::<String>::new(), "it sees none of them");
        assert!(streams.iter_mut().all(|stream| stream.0.try_recv().is_err()), "told once");
    }
}

#[tokio::test]
async fn i13_changes_that_a_slow_reader_did_not_take_are_merged() {
    let world = World::start(Setup::default()).await;
    let (mut slow, _) = Stream::open(&world, "alice", TOOLS).await;
    let (mut quick, _) = Stream::open(&world, "alice", TOOLS).await;
    for round in 0..10 {
        let rules: &[Rule] = if round % 2 == 0 { &[READ_ONLY] } else { &[] };
        activate(&world, rules);
        assert_eq!(method(&quick.next().await.unwrap()), TOOLS_CHANGED, "round {round}");
    }
    let told = slow.told().await;
    assert!((2..=6).contains(&told.len()), "{} messages waited", told.len());
    activate(&world, &[READ_ONLY]);
    slow.hears(&[TOOLS_CHANGED]).await; // and it goes on
}

#[tokio::test]
async fn i13_streams_are_bounded() {
    let streams = StreamLimits { per_caller_max: 2, streams_max: 3 };
    let world = World::start(Setup { streams, ..Setup::default() }).await;
    let (_first, _) = Stream::open(&world, "alice", TOOLS).await;
    let (second, _) = Stream::open(&world, "alice", TOOLS).await;
    let more = |token| Ask::new(token, "subscriptions/listen", TOOLS);
    assert_eq!(more("alice").reply(&world.gateway).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let (_third, _) = Stream::open(&world, "bob", TOOLS).await;
    assert_eq!(more("ci").reply(&world.gateway).await.status, StatusCode::SERVICE_UNAVAILABLE);
    drop(second);
    soon("room", || world.gateway.streams_open() == 2).await;
    Stream::open(&world, "ci", TOOLS).await;
}

#[tokio::test]
async fn a_filter_that_is_none_is_refused() {
    let world = World::start(Setup::default()).await;
    for params in
        ["{}", r#"{"notifications":[]}"#, r#"{"notifications":{"toolsListChanged":"yes"}}"#]
    {
        let said = world.ask(&Ask::new("alice", "subscriptions/listen", params)).await;
        assert_eq!(said.brief(), "error -32602", "{params}");
    }
    assert_eq!(world.gateway.streams_open(), 0);
}

#[tokio::test]
async fn i6_a_session_of_the_legacy_era_has_one_stream_and_only_for_its_caller() {
    let world = World::start(Setup::default()).await;
    let session = world.session("alice").await;
    assert_eq!(get(&world, "alice", None).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get(&world, "bob", Some(&session)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&world, "alice", Some("made-up")).await.status, StatusCode::NOT_FOUND);
    let mut older = Stream::in_session(&world, "alice", &session).await;
    let mut stream = Stream::in_session(&world, "alice", &session).await;
    assert_eq!(older.next().await, None, "the second took its place, and said nothing in it");
    activate(&world, &[READ_ONLY, PROMPTS]);
    let mut told = [stream.next().await.unwrap(), stream.next().await.unwrap()];
    told.sort_by_key(method);
    assert_eq!(told.each_ref().map(method), [PROMPTS_CHANGED, TOOLS_CHANGED]);
    assert!(told.iter().all(|message| !is_tagged(message)), "{told:?}");
    // It ends with its session.
    let mut head = Ask::new("alice", "initialize", "{}").head();
    head.method = Method::DELETE;
    head.headers.insert("mcp-session-id", session.parse().unwrap());
    let closed = world.gateway.handle(&head, "atlassian", bytes::Bytes::new()).await;
    assert_eq!(closed.status, StatusCode::NO_CONTENT);
    assert_eq!(stream.next().await, None);
    soon("the end of all streams", || world.gateway.streams_open() == 0).await;
}

#[tokio::test]
async fn a_change_of_resources_is_told_like_the_others() {
    let world = World::start(Setup::default()).await;
    let (mut alice, _) = Stream::open(&world, "alice", ALL).await;
    let resources = (
        Tier::Permit,
        "resources",
        r#"permit(principal, action == Action::"mcp.resource.read", resource in MCP::Server::"atlassian");"#,
    );
    activate(&world, &[resources]);
    alice.hears(&[RESOURCES_CHANGED]).await;
}

/// A site that tells, and whose lists are fresh for longer than any test.
async fn telling_world() -> World {
    let sim = SimOptions {
        token: Some(UPSTREAM_SECRET.to_owned()),
        listening: Listening::Served,
        ..SimOptions::default()
    };
    World::start(Setup { sim, policies: WITH_PROMPTS.to_vec(), ..Setup::default() }).await
}

const WITH_PROMPTS: &[Rule] = &[POLICIES[0], POLICIES[1], POLICIES[2], POLICIES[3], PROMPTS];

fn description(said: &Said) -> String {
    let answer = said.answer();
    let tools = answer.get("result").and_then(|result| result.get("tools")).unwrap();
    let name = Some(&Json::from("getJiraIssue"));
    let mut tools = tools.as_array().unwrap().iter();
    let tool = tools.find(|tool| tool.get("name") == name).unwrap();
    tool.get("description").unwrap().to_text()
}

#[tokio::test]
async fn what_a_site_says_is_told_at_once_and_the_kept_list_is_not_used_again() {
    let world = telling_world().await;
    let before = description(&world.list("alice").await);
    let (mut alice, _) = Stream::open(&world, "alice", ALL).await;
    let (mut nobody, _) = Stream::open(&world, "nobody", TOOLS).await;
    world.sim.fault(Fault::ChangedDefinition("getJiraIssue".to_owned()));
    assert_eq!(description(&world.list("alice").await), before, "it is fresh");
    assert_eq!(world.sim.tell(TOOLS_CHANGED), 1, "the gateway listens once");
    assert_eq!(method(&alice.next().await.unwrap()), TOOLS_CHANGED);
    assert_ne!(description(&world.list("alice").await), before);
    assert_eq!(alice.told().await, Vec::<String>::new(), "told once");
    assert_eq!(nobody.told().await, Vec::<String>::new(), "it sees none of them");
    tokio::time::sleep(WHILE).await;
    world.sim.tell(PROMPTS_CHANGED);
    world.sim.tell("notifications/message");
    alice.hears(&[PROMPTS_CHANGED]).await;
    drop((alice, nobody));
    soon("the end of listening", || world.sim.tell(TOOLS_CHANGED) == 0).await;
}

#[tokio::test]
async fn i13_a_site_that_says_it_again_and_again_is_not_asked_as_often() {
    let world = telling_world().await;
    let (mut alice, _) = Stream::open(&world, "alice", TOOLS).await;
    let asked = || {
        let requests = world.sim.ledger().requests();
        requests.iter().filter(|seen| seen.body.contains(r#""tools/list""#)).count()
    };
    let before = asked();
    for _ in 0..100 {
        world.sim.tell(TOOLS_CHANGED);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let told = alice.told().await;
    assert!((1..=5).contains(&told.len()), "{} times", told.len());
    assert!(asked() - before <= 5, "{} requests", asked() - before);
}
