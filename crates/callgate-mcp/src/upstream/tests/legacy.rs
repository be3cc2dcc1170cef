//! Servers with sessions.

use super::*;

#[tokio::test]
async fn i6_each_key_has_its_own_legacy_session() {
    let fake = Fake::start(|seen, before| {
        seen.legacy(&format!("session-{before}"))
            .unwrap_or_else(|| json(200, seen.result(r#"{"content":[],"isError":true}"#)))
    })
    .await;
    let upstream = upstream(&fake);
    for key in ["alice", "alice", "bob"] {
        let answer = call_as(&upstream, key).await;
        assert!(matches!(answer, Ok(Answer::Result { is_error: true, .. })), "{answer:?}");
    }
    let open = ["initialize", "notifications/initialized", "tools/call"];
    let expected = [&["server/discover"], &open[..], &["tools/call"], &open[..]].concat();
    assert_eq!(fake.methods(), expected);
    let sessions: Vec<_> =
        fake.seen().iter().map(|seen| seen.header("mcp-session-id").to_owned()).collect();
    let expected = ["", "", "session-1", "session-1", "session-1", "", "session-5", "session-5"];
    assert_eq!(sessions, expected);
    let seen = fake.seen();
    assert_eq!(seen[3].header("mcp-protocol-version"), "2025-06-18", "as negotiated");
    assert_eq!(seen[1].header("mcp-protocol-version"), "");
    assert_eq!(
        seen[1].params().to_text(),
        r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"callgate","version":"0.1.0"}}"#
    );
}

#[tokio::test]
async fn calls_of_one_key_at_once_open_one_session() {
    let fake =
        Fake::start(|seen, _| seen.legacy("s").unwrap_or_else(|| json(200, seen.result(OK)))).await;
    let upstream = upstream_with(&fake.url, EraSetting::Legacy, UpstreamLimits::default());
    let answers = futures_util::future::join_all((0..8).map(|_| call(&upstream))).await;
    answers.into_iter().for_each(|answer| drop(succeeded(answer)));
    let opened = fake.methods().iter().filter(|method| *method == "initialize").count();
    assert_eq!(opened, 1);
}

#[tokio::test]
async fn a_lost_session_is_renewed_once() {
    let fake = Fake::start(|seen, before| {
        let gone = seen.header("mcp-session-id") == "session-1" && before > 3;
        if gone {
            return json(
                404,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"gone"}}"#,
            );
        }
        seen.legacy(&format!("session-{before}")).unwrap_or_else(|| json(200, seen.result(OK)))
    })
    .await;
    let upstream = upstream(&fake);
    succeeded(call(&upstream).await);
    succeeded(call(&upstream).await);
    succeeded(call(&upstream).await);
    let sessions: Vec<_> = fake
        .seen()
        .iter()
        .filter(|seen| seen.method() == "tools/call")
        .map(|seen| seen.header("mcp-session-id").to_owned())
        .collect();
    assert_eq!(sessions, ["session-1", "session-1", "session-5", "session-5"]);

    let fake = Fake::start(|seen, _| seen.legacy("s").unwrap_or_else(|| json(404, ""))).await;
    let error = call(&self::upstream(&fake)).await.unwrap_err();
    assert_eq!(error, CallError::after_sending(CallErrorKind::Status(404)));
    assert_eq!(fake.methods().iter().filter(|method| *method == "tools/call").count(), 2);
}

#[tokio::test]
async fn what_is_no_usable_session_is_not_used() {
    for (version, session) in
        [("2024-10-07", "s"), ("2025-06-18", "a b"), ("2025-06-18", "é"), ("2025-06-18", "")]
    {
        let fake = Fake::start(move |seen, _| {
            let mut response =
                json(200, seen.result(&format!(r#"{{"protocolVersion":"{version}"}}"#)));
            let session = HeaderValue::from_bytes(session.as_bytes()).unwrap();
            response.headers_mut().insert("mcp-session-id", session);
            response
        })
        .await;
        let upstream = upstream_with(&fake.url, EraSetting::Legacy, UpstreamLimits::default());
        let error = call(&upstream).await.unwrap_err();
        assert!(
            matches!(error, CallError { sent: false, kind: CallErrorKind::NotMcp(_) }),
            "{error:?}"
        );
        assert_eq!(fake.methods(), ["initialize"]);
    }
}

#[tokio::test]
async fn a_legacy_server_is_told_that_it_cannot_ask() {
    let fake = Fake::start(|seen, _| {
        if let Some(answer) = seen.legacy("s") {
            return answer;
        }
        if seen.method() == "a response" {
            return json(202, "");
        }
        let ask = |id, method| {
            format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\"}}\n\n")
        };
        let answer = format!("data: {}\n\n", seen.result(OK));
        events([ask(70, "ping"), ask(71, "elicitation/create"), answer].concat())
    })
    .await;
    succeeded(call(&upstream(&fake)).await);
    let seen = fake.seen();
    let told: Vec<_> = seen
        .iter()
        .filter(|seen| seen.method() == "a response")
        .map(|seen| seen.body.to_text())
        .collect();
    assert_eq!(told[0], r#"{"jsonrpc":"2.0","id":70,"result":{}}"#);
    assert!(told[1].contains(r#""id":71,"error":{"code":-32601"#), "{}", told[1]);
}

#[tokio::test]
async fn a_legacy_server_is_told_that_a_call_is_cancelled() {
    let fake = Fake::start(|seen, _| {
        seen.legacy("s").unwrap_or_else(|| match seen.method() {
            "tools/call" => {
                let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
                Response::builder().header("content-type", "application/json").body(never).unwrap()
            }
            _ => json(202, ""),
        })
    })
    .await;
    let upstream = upstream_with(&fake.url, EraSetting::Legacy, UpstreamLimits::default());
    let waited = tokio::time::timeout(Duration::from_millis(300), call(&upstream)).await;
    assert!(waited.is_err());
    for _ in 0..100 {
        if fake.methods().len() == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seen = fake.seen();
    assert_eq!(seen[3].method(), "notifications/cancelled");
    assert_eq!(seen[3].header("mcp-session-id"), "s");
    assert_eq!(seen[3].params().get("requestId"), seen[2].body.get("id"));
}
