//! What a server sends back, or does not.

use super::*;

fn hanging() -> Body {
    Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>())
}

#[tokio::test]
async fn r02_what_is_not_an_answer_is_not_taken_for_one() {
    type Habit = fn(&Seen) -> Response;
    let habits: [(&str, Habit); 15] = [
        ("201", |seen| json(201, seen.result(OK))),
        ("202", |_| json(202, "")),
        ("206", |seen| json(206, seen.result(OK))),
        ("html", |seen| typed(200, "text/html", seen.result(OK).into())),
        ("charset", |seen| typed(200, "application/json; charset=utf-16", seen.result(OK).into())),
        ("error and result", |seen| {
            json(200, seen.result(r#"{},"error":{"code":1,"message":"m"}"#))
        }),
        ("notification", |_| json(200, r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#)),
        ("array", |seen| json(200, format!("[{}]", seen.result(OK)))),
        ("undecodable", |_| events("data: {\n\n")),
        ("two in one event", |seen| events(format!("data: {}\ndata: {0}\n\n", seen.result(OK)))),
        ("end of stream", |seen| events(format!("data: {}\n", seen.result(OK)))),
        ("request", |seen| {
            let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
            events(format!("data: {ping}\n\ndata: {}\n\n", seen.result(OK)))
        }),
        ("input_required", |seen| json(200, seen.result(r#"{"resultType":"input_required"}"#))),
        ("task", |seen| json(200, seen.result(r#"{"resultType":"task","taskId":"t"}"#))),
        ("isError", |seen| json(200, seen.result(r#"{"content":[],"isError":"no"}"#))),
    ];
    for (name, habit) in habits {
        let fake = Fake::start(move |seen, _| habit(seen)).await;
        let error = call(&modern(&fake)).await.expect_err(name);
        assert!(
            matches!(error, CallError { sent: true, kind: CallErrorKind::NotMcp(_) }),
            "{name}: {error}"
        );
    }
    let fake = Fake::start(|seen, _| {
        let mut response = json(200, seen.result(OK));
        response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        response
    })
    .await;
    assert!(matches!(call(&modern(&fake)).await.unwrap_err().kind, CallErrorKind::NotMcp(_)));
}

#[tokio::test]
async fn r03_answers_to_other_requests_are_dropped() {
    for id in ["999", "\"1\"", "null"] {
        let error =
            |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":1,"message":"m"}}}}"#);
        let result = |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{OK}}}"#);
        for text in [error(id), result(id)] {
            for stream in [false, true] {
                let text = text.clone();
                let fake = Fake::start(move |_, _| match stream {
                    true => events(format!("data: {text}\n\n")),
                    false => json(200, text.clone()),
                })
                .await;
                let error = call(&modern(&fake)).await.unwrap_err();
                assert!(matches!(error.kind, CallErrorKind::NotMcp(_)), "{id} {error}");
            }
        }
    }
}

#[tokio::test]
async fn json_rpc_errors_are_answers_whatever_the_status() {
    for status in [200, 400, 404, 422] {
        let fake = Fake::start(move |seen, _| json(status, seen.error(-32602, "[1]"))).await;
        let answer = call(&modern(&fake)).await.unwrap();
        let data = Some(Json::Array(vec![1.into()]));
        assert_eq!(answer, Answer::RpcError { code: -32602, message: "m".into(), data });
    }
}

#[tokio::test]
async fn r06_answers_are_bounded() {
    let limits = UpstreamLimits {
        response_bytes_max: 10_000,
        event_bytes_max: 5_000,
        ..UpstreamLimits::default()
    };
    let big =
        |seen: &Seen, bytes: usize| seen.result(&format!(r#"{{"x":"{}"}}"#, "x".repeat(bytes)));
    let endless = |text: &str| {
        let piece = Bytes::from(text.repeat(500));
        Body::from_stream(stream::repeat(piece).map(Ok::<_, std::io::Error>))
    };
    type Habit = Arc<dyn Fn(&Seen) -> Response + Send + Sync>;
    let habits: [Habit; 5] = [
        Arc::new(move |seen| json(200, big(seen, 10_000))),
        Arc::new(move |_| typed(200, "application/json", endless(" "))),
        Arc::new(move |_| typed(200, "text/event-stream", endless(":\n\n"))),
        Arc::new(move |_| typed(200, "text/event-stream", endless("data: x\n"))),
        Arc::new(move |seen| events(format!("data: {}\n\n", big(seen, 5_000)))),
    ];
    for (index, habit) in habits.into_iter().enumerate() {
        let fake = Fake::start(move |seen, _| habit(seen)).await;
        let upstream = upstream_with(&fake.url, EraSetting::Modern, limits);
        let error = call(&upstream).await.unwrap_err();
        assert_eq!(error, CallError::after_sending(CallErrorKind::TooLarge), "{index}");
    }
}

#[tokio::test]
async fn time_is_bounded_and_what_was_sent_is_known() {
    let limits = UpstreamLimits { total: Duration::from_millis(200), ..UpstreamLimits::default() };
    let fake = Fake::start(|_, _| typed(200, "text/event-stream", hanging())).await;
    let error = call(&upstream_with(&fake.url, EraSetting::Modern, limits)).await.unwrap_err();
    assert_eq!(error, CallError::after_sending(CallErrorKind::Timeout));
    for era in [EraSetting::Auto, EraSetting::Legacy] {
        let error = call(&upstream_with(&fake.url, era, limits)).await.unwrap_err();
        assert_eq!(error, CallError::before_sending(CallErrorKind::Timeout), "{era:?}");
    }
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/").parse().unwrap();
    let error = call(&upstream_with(&url, EraSetting::Modern, UpstreamLimits::default())).await;
    let Err(CallError { sent: false, kind: CallErrorKind::Connect(why) }) = error else { panic!() };
    assert!(why.contains("refused"), "{why}");

    // Accepts, but never finishes a TLS handshake.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let limits =
        UpstreamLimits { connect: Duration::from_millis(100), ..UpstreamLimits::default() };
    let error = call(&upstream_with(&url, EraSetting::Modern, limits)).await.unwrap_err();
    assert!(
        matches!(error, CallError { sent: false, kind: CallErrorKind::Connect(_) }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_may_have_sent_the_call() {
    for answer in
        ["", "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let server = tokio::spawn(async move {
            let mut sent = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                sent += 1;
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
                if sent > 1 {
                    break;
                }
            }
        });
        let error = call(&upstream_with(&url, EraSetting::Modern, UpstreamLimits::default())).await;
        let error = error.unwrap_err();
        assert!(
            matches!(error, CallError { sent: true, kind: CallErrorKind::Connect(_) }),
            "{error:?}"
        );
        assert!(!server.is_finished(), "sent once only");
        server.abort();
    }
}

#[tokio::test]
async fn a_call_is_never_sent_twice_on_any_other_failure() {
    for status in [400, 404, 405, 409, 429, 500, 502, 503] {
        let fake =
            Fake::start(move |seen, _| seen.discover().unwrap_or_else(|| json(status, ""))).await;
        let error = call(&upstream(&fake)).await.unwrap_err();
        assert_eq!(error, CallError::after_sending(CallErrorKind::Status(status)));
        assert_eq!(fake.methods(), ["server/discover", "tools/call"]);
    }
    for status in [400, 405, 409, 429, 500] {
        let fake =
            Fake::start(move |seen, _| seen.legacy("s").unwrap_or_else(|| json(status, ""))).await;
        let error = call(&upstream(&fake)).await.unwrap_err();
        assert_eq!(error, CallError::after_sending(CallErrorKind::Status(status)));
        assert_eq!(fake.methods().iter().filter(|method| *method == "tools/call").count(), 1);
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Fake::start(|seen, _| json(200, seen.result(OK))).await;
    let url = elsewhere.url.to_string();
    let fake = Fake::start(move |_, _| {
        let mut response = json(307, "");
        response.headers_mut().insert("location", url.parse().unwrap());
        response
    })
    .await;
    let error = call(&modern(&fake)).await.unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Status(307));
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn dropping_a_call_closes_its_stream() {
    struct Guard(Option<tokio::sync::oneshot::Sender<()>>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.take().map(|gone| gone.send(()));
        }
    }
    let (gone, closed) = tokio::sync::oneshot::channel();
    let guard = Arc::new(std::sync::Mutex::new(Some(Guard(Some(gone)))));
    let fake = Fake::start(move |_, _| {
        let guard = guard.lock().unwrap().take();
        let alive = stream::repeat(()).then(move |()| {
            let _held = &guard;
            async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok::<_, std::io::Error>(Bytes::from(crate::sse::KEEP_ALIVE))
            }
        });
        typed(200, "text/event-stream", Body::from_stream(alive))
    })
    .await;
    let upstream = modern(&fake);
    assert!(tokio::time::timeout(Duration::from_millis(100), call(&upstream)).await.is_err());
    tokio::time::timeout(Duration::from_secs(5), closed).await.unwrap().unwrap();
}
