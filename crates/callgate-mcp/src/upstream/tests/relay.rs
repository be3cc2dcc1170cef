//! What is passed on for a client behind a bridge, when the server forgets its session.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::*;
use crate::message::{Message, Request, Response as Answered};
use crate::upstream::Relay;

/// Opens session 1, then forgets it. Of the openings after the first, as many fail as `failing`.
async fn forgetful(failing: usize) -> Fake {
    let opened = Arc::new(AtomicUsize::new(0));
    Fake::start(move |seen, _| {
        if seen.method() == "initialize" {
            assert_eq!(seen.header("mcp-session-id"), "", "a session is opened outside any other");
            return match opened.fetch_add(1, Ordering::SeqCst) {
                0 => seen.legacy("session-1").unwrap(),
                again if again <= failing => typed(503, "text/html", Body::from("later")),
                _ => seen.legacy("session-2").unwrap(),
            };
        }
        if seen.header("mcp-session-id") != "session-2" && seen.method() == "tools/call" {
            return json(404, "");
        }
        seen.legacy("").unwrap_or_else(|| json(200, seen.result("{}")))
    })
    .await
}

async fn asked(relay: &Relay, id: i64, method: &str) -> Result<Object, String> {
    let request = Request {
        id: RequestId::Number(id),
        method: method.to_owned(),
        params: object(r#"{"name":"t","arguments":{}}"#),
    };
    let answer = relay.request(request, &mpsc::channel(8).0).await;
    let Ok(Message::Response(Answered { id: of, outcome })) =
        Message::read_from_server(&answer, &JsonLimits::default())
    else {
        panic!("{answer:?}")
    };
    assert_eq!(of, Some(RequestId::Number(id)));
    outcome.map_err(|error| error.message)
}

async fn opened(fake: &Fake) -> Relay {
    let relay = Relay::new(fake.url.clone(), None, UpstreamLimits::default()).unwrap();
    asked(&relay, 0, "initialize").await.unwrap();
    relay
}

#[tokio::test]
async fn a_session_that_cannot_be_opened_again_now_is_later() {
    let fake = forgetful(2).await;
    let relay = opened(&fake).await;
    for id in [1, 2] {
        assert!(asked(&relay, id, "tools/call").await.is_err());
        assert!(relay.has_session());
    }
    assert!(asked(&relay, 3, "tools/call").await.is_ok());
    let last = fake.seen().pop().unwrap();
    assert_eq!(last.header("mcp-session-id"), "session-2");
    assert_eq!(last.header("mcp-protocol-version"), "2025-06-18");
}

#[tokio::test]
async fn those_who_lose_a_session_at_once_open_one() {
    let fake = forgetful(0).await;
    let relay = opened(&fake).await;
    let answers = join_all((1..9).map(|id| asked(&relay, id, "tools/call"))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let opened = fake.methods().iter().filter(|method| *method == "initialize").count();
    assert_eq!(opened, 2);
}
