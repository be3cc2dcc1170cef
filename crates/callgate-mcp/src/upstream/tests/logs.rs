//! What a server logs while it works on a call.

use super::*;
use crate::log_level::LogLevel;

/// Logs at two levels before it answers.
fn logging(seen: &Seen) -> Response {
    let log = |level: &str| {
        let params = format!(r#"{{"level":"{level}","logger":"l","data":"{level} of {level}"}}"#);
        format!(r#"data: {{"jsonrpc":"2.0","method":"notifications/message","params":{params}}}"#)
            + "\n\n"
    };
    events([log("info"), log("error"), format!("data: {}\n\n", seen.result(OK))].concat())
}

async fn logs(upstream: &Upstream, level: Option<LogLevel>) -> Vec<String> {
    let mut logs = Vec::new();
    let outgoing = OutgoingCall {
        key: &SessionKey::new("alice"),
        assertion: None,
        credential: None,
        method: "tools/call",
        params: object(r#"{"name":"t","arguments":{}}"#),
        name: Some("t"),
        trace: &TraceContext::default(),
        progress: false,
        log_level: level,
        input_schema: None,
        capabilities: Object::default(),
        is_interactive: false,
        round: Round::default(),
    };
    let on_told = |told| {
        let Meanwhile::Log(log) = told else { panic!("{told:?}") };
        logs.push(log.get("data").and_then(Json::as_str).unwrap().to_owned());
    };
    succeeded(upstream.call(outgoing, on_told).await);
    logs
}

#[tokio::test]
async fn a_modern_server_is_asked_with_each_call_and_what_is_not_severe_enough_is_dropped() {
    let fake = Fake::start(|seen, _| logging(seen)).await;
    let upstream = modern(&fake);
    assert_eq!(logs(&upstream, None).await, Vec::<String>::new());
    assert_eq!(logs(&upstream, Some(LogLevel::Info)).await, ["info of info", "error of error"]);
    assert_eq!(logs(&upstream, Some(LogLevel::Error)).await, ["error of error"]);
    let asked = |seen: &Seen| {
        let meta = seen.params().get("_meta").unwrap();
        meta.get("io.modelcontextprotocol/logLevel").and_then(Json::as_str).map(str::to_owned)
    };
    let seen = fake.seen();
    let asked: Vec<_> = seen.iter().map(asked).collect();
    assert_eq!(asked, [None, Some("info".to_owned()), Some("error".to_owned())]);
}

#[tokio::test]
async fn a_legacy_server_is_told_once_for_a_session_and_only_if_it_logs() {
    for (capabilities, set) in [(r#"{"logging":{}}"#, 2), ("{}", 0)] {
        let fake = Fake::start(move |seen, _| match seen.method() {
            "initialize" => json(
                200,
                seen.result(&format!(
                    r#"{{"protocolVersion":"2025-06-18","capabilities":{capabilities}}}"#
                )),
            ),
            "logging/setLevel" => json(200, seen.result("{}")),
            _ => seen.legacy("s").unwrap_or_else(|| logging(seen)),
        })
        .await;
        let upstream = upstream_with(&fake.url, EraSetting::Legacy, UpstreamLimits::default());
        assert_eq!(logs(&upstream, None).await, Vec::<String>::new());
        for _ in 0..2 {
            assert_eq!(logs(&upstream, Some(LogLevel::Error)).await, ["error of error"]);
        }
        assert_eq!(logs(&upstream, Some(LogLevel::Debug)).await.len(), 2);
        let seen = fake.seen();
        let levels = seen.iter().filter(|seen| seen.method() == "logging/setLevel");
        let levels: Vec<_> = levels.map(|seen| seen.params().to_text()).collect();
        assert_eq!(levels, [r#"{"level":"error"}"#, r#"{"level":"debug"}"#][..set]);
    }
}

#[tokio::test]
async fn a_server_that_does_not_take_the_level_is_not_asked_before_every_call() {
    let fake = Fake::start(|seen, _| match seen.method() {
        "initialize" => json(
            200,
            seen.result(r#"{"protocolVersion":"2025-06-18","capabilities":{"logging":{}}}"#),
        ),
        "logging/setLevel" => json(500, ""),
        _ => seen.legacy("s").unwrap_or_else(|| logging(seen)),
    })
    .await;
    let upstream = upstream_with(&fake.url, EraSetting::Legacy, UpstreamLimits::default());
    for _ in 0..3 {
        assert_eq!(logs(&upstream, Some(LogLevel::Error)).await, ["error of error"]);
    }
    let asked = fake.methods().iter().filter(|method| *method == "logging/setLevel").count();
    assert_eq!(asked, 1);
}
