//! Those who want to hear of single resources: who may read one may, and is told of no other.

use callgate_model::json::Json;
use callgate_policy::Tier;
use callgate_sim::{Listening, SimOptions};
use serde_json::json;

use crate::client::{Ask, Said};
use crate::listen::{Stream, method};
use crate::store::event;
use crate::support::{POLICIES, Rule, Setup, UPSTREAM_SECRET, World, catalogs, load, soon};

const UPDATED: &str = "notifications/resources/updated";
const SUPPORT: &str = "acme://handbook/support";
const PEOPLE: &str = "acme://handbook/people";

const READERS: &[Rule] = &[
    (
        Tier::Permit,
        "readers",
        r#"permit(principal in Group::"engineering", action == Action::"mcp.resource.read", resource in MCP::Server::"atlassian");"#,
    ),
    (
        Tier::Guardrail,
        "people",
        r#"forbid(principal, action == Action::"mcp.resource.read", resource == MCP::Resource::"atlassian/acme://handbook/people");"#,
    ),
];

async fn world() -> World {
    let sim = SimOptions {
        token: Some(UPSTREAM_SECRET.to_owned()),
        listening: Listening::Served,
        ..SimOptions::default()
    };
    World::start(Setup { sim, policies: [POLICIES, READERS].concat(), ..Setup::default() }).await
}

fn update(world: &World, uri: &str) {
    world.sim.tell_with(UPDATED, json!({ "uri": uri }));
}

/// Expects to be told that `uri` has changed.
async fn hears_of(stream: &mut Stream, uri: &str) {
    let told = stream.next().await.unwrap();
    let uri_told = told.get("params").and_then(|params| params.get("uri"));
    assert_eq!((method(&told), uri_told), (UPDATED.to_owned(), Some(&uri.into())));
}

/// The resources that the site was last asked to tell of.
fn wanted(world: &World) -> Option<String> {
    let requests = world.sim.ledger().requests();
    let last = requests.iter().rfind(|seen| seen.body.contains("subscriptions/listen"))?;
    let body = crate::support::json(&last.body);
    let wanted = body.get("params")?.get("notifications")?.get("resourceSubscriptions");
    Some(wanted.map_or_else(String::new, Json::to_text))
}

#[tokio::test]
async fn i6_i8_who_listens_is_told_of_the_resources_that_they_may_read_for_as_long_as_they_may() {
    let world = world().await;
    let params =
        format!(r#"{{"notifications":{{"resourceSubscriptions":["{SUPPORT}","{PEOPLE}"]}}}}"#);
    let (mut alice, honoured) = Stream::open(&world, "alice", &params).await;
    assert_eq!(honoured, format!(r#"{{"resourceSubscriptions":["{SUPPORT}"]}}"#));
    let (mut nobody, honoured) = Stream::open(&world, "nobody", &params).await;
    assert_eq!(honoured, "{}");
    soon("the site is asked", || wanted(&world) == Some(format!(r#"["{SUPPORT}"]"#))).await;
    update(&world, PEOPLE);
    update(&world, SUPPORT);
    hears_of(&mut alice, SUPPORT).await;
    assert_eq!(alice.told().await, Vec::<String>::new());
    assert_eq!(nobody.told().await, Vec::<String>::new());
    // The permit is gone, and the stream is not.
    world.gateway.activate(load(&catalogs(&[]), POLICIES));
    update(&world, SUPPORT);
    assert_eq!(alice.told().await, Vec::<String>::new());
    drop(alice);
    let rows = world.record().await;
    let told: Vec<_> = rows
        .iter()
        .filter(|row| matches!(&*row.kind, "intent" | "refusal"))
        .map(|row| {
            (row.kind.as_str(), event(row).get("method").unwrap().to_text(), row.tool.clone())
        })
        .collect();
    let subscribed =
        |kind, uri: &str| (kind, r#""resources/subscribe""#.to_owned(), Some(uri.to_owned()));
    let expected = [
        subscribed("intent", SUPPORT),
        subscribed("refusal", PEOPLE),
        subscribed("refusal", SUPPORT),
        subscribed("refusal", PEOPLE),
    ];
    assert_eq!(told, expected);
}

async fn subscription(world: &World, token: &str, session: &str, method: &str, uri: &str) -> Said {
    let params = format!(r#"{{"uri":"{uri}"}}"#);
    world.ask(&Ask::new(token, method, &params).in_session(session)).await
}

#[tokio::test]
async fn a_session_of_the_legacy_era_subscribes_and_unsubscribes() {
    let world = world().await;
    let session = world.session("alice").await;
    let subscribe = "resources/subscribe";
    assert_eq!(subscription(&world, "alice", &session, subscribe, SUPPORT).await.brief(), "ok");
    let refused = subscription(&world, "alice", &session, subscribe, PEOPLE).await;
    assert!(refused.brief().starts_with("refused deny"), "{refused:?}");
    let mut stream = Stream::in_session(&world, "alice", &session).await;
    // Also what is wanted only now.
    let engineering = "acme://handbook/engineering";
    assert_eq!(subscription(&world, "alice", &session, subscribe, engineering).await.brief(), "ok");
    soon("the site is asked", || wanted(&world).is_some_and(|w| w.contains(engineering))).await;
    for uri in [PEOPLE, SUPPORT] {
        update(&world, uri);
    }
    hears_of(&mut stream, SUPPORT).await;
    update(&world, engineering);
    hears_of(&mut stream, engineering).await;
    let unsubscribe = "resources/unsubscribe";
    assert_eq!(subscription(&world, "alice", &session, unsubscribe, SUPPORT).await.brief(), "ok");
    soon("the site is asked", || wanted(&world).is_some_and(|w| !w.contains(SUPPORT))).await;
    update(&world, SUPPORT);
    update(&world, engineering);
    hears_of(&mut stream, engineering).await;
    // It is the session's, not the caller's.
    let other = world.session("alice").await;
    let mut second = Stream::in_session(&world, "alice", &other).await;
    update(&world, engineering);
    hears_of(&mut stream, engineering).await;
    assert!(second.next_within_a_while().await.is_none());
}

#[tokio::test]
async fn without_a_session_nobody_is_told_of_anything() {
    let world = world().await;
    let mut ask = Ask::new("alice", "resources/subscribe", &format!(r#"{{"uri":"{SUPPORT}"}}"#));
    ask = ask.in_session("none");
    let mut head = ask.head();
    head.headers.remove("mcp-session-id");
    let said = Said::of(world.gateway.handle(&head, "atlassian", ask.body()).await).await;
    assert_eq!(said.brief(), "error -32600", "{said:?}");
}

#[tokio::test]
async fn i13_what_one_client_wants_is_bounded() {
    let world = world().await;
    let params = |count: usize| {
        let uris: Vec<_> = (0..count).map(|n| format!(r#""acme://n/{n}""#)).collect();
        format!(r#"{{"notifications":{{"resourceSubscriptions":[{}]}}}}"#, uris.join(","))
    };
    let (_stream, honoured) = Stream::open(&world, "alice", &params(100)).await;
    assert_eq!(honoured.matches("acme://n/").count(), 100);
    let said = world.ask(&Ask::new("alice", "subscriptions/listen", &params(101))).await;
    assert_eq!(said.brief(), "error -32602");
    // In a session it is one more that is refused, and not one again.
    let session = world.session("alice").await;
    let mut told = Vec::new();
    for n in (0..100).chain([7, 100]) {
        let uri = format!("acme://n/{n}");
        let said = subscription(&world, "alice", &session, "resources/subscribe", &uri).await;
        told.push(said.brief());
    }
    assert!(told[..101].iter().all(|said| said == "ok"), "{told:?}");
    assert_eq!(told[101], "refused deny overloaded");
}
