//! Streams of sessions, on which servers ask in the middle of a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::upstream::Question;

/// In which a stream that ended is opened again.
const AGAIN_WITHIN: Duration = Duration::from_millis(1_500);

async fn ask_as(
    upstream: &Upstream,
    key: &str,
    take: impl FnMut(Question) + Send,
) -> Result<Answer, CallError> {
    ask_with(upstream, key, "Bearer t", take).await
}

async fn ask_with(
    upstream: &Upstream,
    key: &str,
    credential: &'static str,
    mut take: impl FnMut(Question) + Send,
) -> Result<Answer, CallError> {
    let call = OutgoingCall {
        key: &SessionKey::new(key),
        assertion: Some(&HeaderValue::from_static("signed")),
        credential: Some(&HeaderValue::from_static(credential)),
        method: "tools/call",
        params: object(&format!(r#"{{"name":"{key}","arguments":{{}}}}"#)),
        name: Some("t"),
        trace: &TraceContext::default(),
        progress: false,
        log_level: None,
        input_schema: None,
        capabilities: object(r#"{"elicitation":{}}"#),
        is_interactive: true,
        round: Round::default(),
    };
    let on_told = |told| match told {
        Meanwhile::Question(question) => take(question),
        Meanwhile::Log(_) | Meanwhile::Progress(_) => panic!("{told:?}"),
    };
    upstream.call(call, on_told).await
}

/// Without sessions there is one stream for what a server asks of anybody.
#[tokio::test]
async fn i6_of_a_server_without_sessions_nobody_hears_what_others_are_asked() {
    let fake = Fake::start(|seen, _| match seen.method() {
        "server/discover" => seen.legacy("s").unwrap(),
        "initialize" => json(200, seen.result(r#"{"protocolVersion":"2025-06-18"}"#)),
        "notifications/initialized" => json(202, ""),
        "a GET" => typed(200, "text/event-stream", Body::from("")),
        _ => json(200, seen.result(OK)),
    })
    .await;
    let upstream = upstream(&fake);
    for who in ["alice", "bob"] {
        succeeded(ask_as(&upstream, who, |question| panic!("{question:?}")).await);
    }
    assert!(!fake.methods().iter().any(|method| method == "a GET"), "{:?}", fake.methods());
}

/// A token that was issued for a while ends before the session does.
#[tokio::test]
async fn a_stream_is_opened_again_with_the_credential_of_the_latest_call() {
    let fake = Fake::start(|seen, _| match seen.method() {
        "a GET" if seen.header("authorization") == "Bearer old" => json(401, ""),
        "a GET" => {
            let open = stream::pending::<Result<Bytes, std::io::Error>>();
            typed(200, "text/event-stream", Body::from_stream(open))
        }
        _ => seen.legacy("s").unwrap_or_else(|| json(200, seen.result(OK))),
    })
    .await;
    let upstream = upstream_with(&fake.url, EraSetting::Legacy, UpstreamLimits::default());
    for credential in ["Bearer old", "Bearer new"] {
        succeeded(ask_with(&upstream, "alice", credential, drop).await);
    }
    tokio::time::sleep(AGAIN_WITHIN).await;
    let seen = fake.seen();
    let streams = seen.iter().filter(|seen| seen.method() == "a GET");
    let shown: Vec<_> = streams.map(|seen| seen.header("authorization").to_owned()).collect();
    assert_eq!(
        (shown.first(), shown.last()),
        (Some(&"Bearer old".into()), Some(&"Bearer new".into()))
    );
    for seen in &seen {
        let is_call = seen.method() == "tools/call";
        assert_eq!(seen.header("callgate-assertion") == "signed", is_call, "{}", seen.method());
    }
}

/// A server (or a proxy) that sends the headers of the stream with its first event.
#[tokio::test]
async fn a_stream_that_does_not_open_is_waited_for_once() {
    use axum::Router;
    use axum::routing::any;
    let app = Router::new().fallback(any(async |request: axum::extract::Request| {
        if request.method() == http::Method::GET {
            std::future::pending::<()>().await;
        }
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
        let body = read(&body, &JsonLimits::default()).unwrap();
        let seen = Seen { headers: Default::default(), body };
        if let Some(answer) = seen.legacy("s") {
            return answer;
        }
        json(200, seen.result(OK))
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Uri = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let upstream = upstream_with(&url, EraSetting::Legacy, UpstreamLimits::default());
    let begun = Instant::now();
    for _ in 0..3 {
        succeeded(ask_as(&upstream, "alice", drop).await);
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// A server asks again and again on the stream of its session: the call has a second, and does not end.
#[tokio::test]
async fn i13_a_call_ends_however_often_its_server_asks() {
    let answered = Arc::new(tokio::sync::Notify::new());
    let again = answered.clone();
    let fake = Fake::start(move |seen, _| {
        if let Some(answer) = seen.legacy("s") {
            return answer;
        }
        let again = again.clone();
        match seen.method() {
            "a GET" => {
                let asked = stream::unfold((70, again), async |(n, again)| {
                    again.notified().await;
                    let text = format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{n},\"method\":\"elicitation/create\",\"params\":{{}}}}\n\n");
                    Some((Ok::<_, std::io::Error>(text), (n + 1, again)))
                });
                typed(200, "text/event-stream", Body::from_stream(asked))
            }
            "a response" => {
                again.notify_one();
                json(202, "")
            }
            "notifications/cancelled" => json(202, ""),
            _ => {
                again.notify_one();
                typed(200, "text/event-stream", Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()))
            }
        }
    })
    .await;
    let limits = UpstreamLimits { total: Duration::from_secs(1), ..UpstreamLimits::default() };
    let upstream = upstream_with(&fake.url, EraSetting::Legacy, limits);
    let asked = AtomicUsize::new(0);
    let calling = ask_as(&upstream, "alice", |question| {
        asked.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            question.answer(Err(crate::message::RpcError {
                code: -1,
                message: "no".into(),
                data: None,
            }));
        });
    });
    let called = tokio::time::timeout(Duration::from_secs(10), calling).await;
    assert!(called.is_ok());
}

/// A server that asks whether we are there, while its call takes its time.
#[tokio::test]
async fn a_server_may_make_sure_that_we_are_there_as_often_as_it_likes() {
    let fake = Fake::start(move |seen, _| {
        if let Some(answer) = seen.legacy("s") {
            return answer;
        }
        match seen.method() {
            "a GET" => json(405, ""),
            "a response" => json(202, ""),
            _ => {
                let pings = (1..=17).map(|n| {
                    format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{n},\"method\":\"ping\"}}\n\n")
                });
                events(pings.collect::<String>() + &format!("data: {}\n\n", seen.result(OK)))
            }
        }
    })
    .await;
    succeeded(ask_as(&upstream(&fake), "alice", drop).await);
}
