//! The client against small servers, each with one habit.

mod answers;
mod detection;
mod fake;
mod following;
mod legacy;
mod lists;
mod logs;
mod questions;
mod relay;
mod resume;
mod standing;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use callgate_model::json::{JsonLimits, read};
use futures_util::stream::{self, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use fake::{Fake, Seen, events, json, typed};

const OK: &str = r#"{"content":[],"resultType":"complete"}"#;

fn upstream_with(url: &Uri, era: EraSetting, limits: UpstreamLimits) -> Upstream {
    Upstream::new(UpstreamConfig { url: url.clone(), limits, era }).unwrap()
}

fn upstream(fake: &Fake) -> Upstream {
    upstream_with(&fake.url, EraSetting::Auto, UpstreamLimits::default())
}

fn modern(fake: &Fake) -> Upstream {
    upstream_with(&fake.url, EraSetting::Modern, UpstreamLimits::default())
}

async fn call_as(upstream: &Upstream, key: &str) -> Result<Answer, CallError> {
    let schema = read(
        br#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}"#,
        &JsonLimits::default(),
    )
    .unwrap();
    let traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    let call = OutgoingCall {
        key: &SessionKey::new(key),
        assertion: None,
        credential: Some(&HeaderValue::from_static("Bearer canary-credential")),
        method: "tools/call",
        params: object(r#"{"name":"getIssue","arguments":{"region":"é","n":1e2}}"#),
        name: Some("getIssue"),
        trace: &TraceContext { traceparent, ..TraceContext::default() },
        progress: false,
        log_level: None,
        input_schema: Some(&schema),
        capabilities: Object::default(),
        is_interactive: false,
        round: Round::default(),
    };
    upstream.call(call, |_| {}).await
}

/// No resource is wanted, nor will be.
fn nothing() -> watch::Receiver<Uris> {
    watch::channel(Uris::new()).1
}

async fn call(upstream: &Upstream) -> Result<Answer, CallError> {
    call_as(upstream, "alice").await
}

fn object(text: &str) -> Object {
    read(text.as_bytes(), &JsonLimits::default()).unwrap().as_object().unwrap().clone()
}

fn succeeded(answer: Result<Answer, CallError>) -> Object {
    match answer {
        Ok(Answer::Result { result, is_error: false, .. }) => result,
        other => panic!("{other:?}"),
    }
}

fn names(seen: &Seen) -> BTreeSet<&str> {
    seen.headers.keys().map(http::HeaderName::as_str).collect()
}

#[tokio::test]
async fn a_modern_call_stands_for_itself() {
    let fake = Fake::start(|seen, _| {
        seen.discover().unwrap_or_else(|| json(200, seen.result(r#"{"content":[],"vendor":1e2}"#)))
    })
    .await;
    let upstream = upstream(&fake);
    let result = succeeded(call(&upstream).await);
    assert_eq!(Json::from(result).to_text(), r#"{"content":[],"vendor":1e2}"#);
    succeeded(call(&upstream).await);
    assert_eq!(fake.methods(), ["server/discover", "tools/call", "tools/call"]);
    let seen = &fake.seen()[1];
    assert_eq!(seen.header("mcp-protocol-version"), "2026-07-28");
    assert_eq!(seen.header("mcp-method"), "tools/call");
    assert_eq!(seen.header("mcp-name"), "getIssue");
    assert_eq!(seen.header("mcp-param-region"), "=?base64?w6k=?=");
    assert_eq!(
        seen.params().to_text(),
        concat!(
            r#"{"name":"getIssue","arguments":{"region":"é","n":1e2},"_meta":{"#,
            r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
            r#""io.modelcontextprotocol/clientCapabilities":{},"#,
            r#""io.modelcontextprotocol/clientInfo":{"name":"callgate","version":"0.1.0"},"#,
            r#""traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}"#
        )
    );
}

/// The whole list: a header that is not in it has no way to a server.
#[tokio::test]
async fn i7_only_headers_of_our_own_go_out() {
    let common = ["accept", "accept-encoding", "authorization", "content-length", "content-type"];
    let common: Vec<_> =
        common.into_iter().chain(["host", "mcp-protocol-version", "user-agent"]).collect();
    let fake =
        Fake::start(|seen, _| seen.discover().unwrap_or_else(|| json(200, seen.result(OK)))).await;
    succeeded(call(&modern(&fake)).await);
    let expected = ["mcp-method", "mcp-name", "mcp-param-region"].into_iter().chain(common.clone());
    assert_eq!(names(&fake.seen()[0]), expected.collect());

    let fake =
        Fake::start(|seen, _| seen.legacy("s-1").unwrap_or_else(|| json(200, seen.result(OK))))
            .await;
    succeeded(call(&upstream(&fake)).await);
    let seen = fake.seen();
    assert_eq!(names(&seen[3]), ["mcp-session-id"].into_iter().chain(common).collect());
    assert_eq!(seen[3].header("authorization"), "Bearer canary-credential");
    assert!(seen.iter().all(|seen| !seen.body.to_text().contains("canary")));
}

#[tokio::test]
async fn progress_is_reported_without_the_token_and_nothing_else_is() {
    let fake = Fake::start(|seen, _| {
        if let Some(discover) = seen.discover() {
            return discover;
        }
        let token = seen.params().get("_meta").unwrap().get("progressToken").unwrap().to_text();
        let told = |method: &str, params: String| {
            format!(
                "data: {{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{{{params}}}}}\n\n"
            )
        };
        let progress = |token: &str, done| {
            told("notifications/progress", format!(r#""progressToken":{token},"progress":{done}"#))
        };
        events(
            [
                "id: 1\ndata: \n\n".to_owned(),
                progress(&token, 1),
                progress("\"other\"", 2),
                told("notifications/message", r#""level":"info","data":"x""#.to_owned()),
                ": keep-alive\n\n".to_owned(),
                progress(&token, 3),
                format!("event: message\r\ndata: {}\r\n\r\n", seen.result(OK)),
            ]
            .concat(),
        )
    })
    .await;
    let upstream = upstream(&fake);
    let mut told = Vec::new();
    let outgoing = OutgoingCall {
        key: &SessionKey::new("alice"),
        assertion: None,
        credential: None,
        method: "resources/read",
        params: object(r#"{"uri":"a:é"}"#),
        name: Some("a:é"),
        trace: &TraceContext::default(),
        progress: true,
        log_level: None,
        input_schema: None,
        capabilities: Object::default(),
        is_interactive: false,
        round: Round::default(),
    };
    let on_told = |meanwhile| match meanwhile {
        Meanwhile::Progress(params) => told.push(Json::from(params).to_text()),
        Meanwhile::Log(log) => panic!("nobody asked for {log:?}"),
        Meanwhile::Question(question) => panic!("nobody may be asked {question:?}"),
    };
    let answer = upstream.call(outgoing, on_told).await;
    succeeded(answer);
    assert_eq!(told, [r#"{"progress":1}"#, r#"{"progress":3}"#]);
    let seen = &fake.seen()[1];
    assert_eq!((seen.method(), seen.header("mcp-name")), ("resources/read", "=?base64?YTrDqQ==?="));
    assert_eq!(seen.params().get("uri"), Some(&"a:é".into()));
}

#[test]
fn only_plain_http_urls_are_used() {
    let usable = |url: &str| {
        let config = UpstreamConfig {
            url: url.parse().unwrap(),
            limits: UpstreamLimits::default(),
            era: EraSetting::Auto,
        };
        Upstream::new(config).is_ok()
    };
    assert!(usable("https://mcp.example/v1?x=1") && usable("http://127.0.0.1:8080"));
    for bad in ["ftp://a/", "/mcp", "https://user:password@a/", "a:443"] {
        assert!(!usable(bad), "{bad}");
    }
}
