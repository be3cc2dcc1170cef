//! Lists of tools.

use super::*;
use crate::lists::ListKind;

fn page(names: impl IntoIterator<Item = String>, next: Option<&str>) -> String {
    let tools: Vec<_> = names
        .into_iter()
        .map(|name| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#))
        .collect();
    let next = next.map_or(String::new(), |next| format!(r#","nextCursor":"{next}""#));
    format!(r#"{{"tools":[{}]{next}}}"#, tools.join(","))
}

async fn list(upstream: &Upstream) -> Result<ToolsPage, UpstreamError> {
    upstream.list_tools(&SessionKey::new("own"), None).await
}

#[tokio::test]
async fn every_page_is_read_or_there_is_no_list() {
    let fake = Fake::start(|seen, _| {
        let cursor = seen.params().get("cursor").and_then(Json::as_str);
        let text = match cursor {
            None => page(["a".into(), "b".into()], Some("")),
            Some("") => page([], Some("last")),
            Some(_) => page(["c".into(), "a".into()], None),
        };
        seen.discover().unwrap_or_else(|| json(200, seen.result(&text)))
    })
    .await;
    let tools = list(&upstream(&fake)).await.unwrap();
    let names: Vec<_> = tools.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!((names, tools.refused.len()), (vec!["b", "c"], 2), "both are refused");
    assert_eq!(fake.seen()[1].header("mcp-method"), "tools/list");

    let limits = UpstreamLimits { pages_max: 2, ..UpstreamLimits::default() };
    let error = list(&upstream_with(&fake.url, EraSetting::Modern, limits)).await.unwrap_err();
    assert_eq!(error, CallErrorKind::TooLarge.into());
    let limits = UpstreamLimits { tools_max: 3, ..UpstreamLimits::default() };
    let error = list(&upstream_with(&fake.url, EraSetting::Modern, limits)).await.unwrap_err();
    assert_eq!(error, CallErrorKind::TooLarge.into());

    let fake = Fake::start(|seen, _| json(200, seen.error(-32603, "null"))).await;
    let error = list(&modern(&fake)).await.unwrap_err();
    assert_eq!(error.to_string(), "the server answers a list with error -32603: \"m\"");
}

#[tokio::test]
async fn tools_with_bad_header_marks_are_refused_where_marks_mean_something() {
    let tools = r#"{"tools":[{"name":"a","inputSchema":{"type":"object","properties":{"n":{"type":"number","x-mcp-header":"N"}}}}]}"#;
    for (era, offered) in [(EraSetting::Modern, 0), (EraSetting::Legacy, 1)] {
        let fake = Fake::start(move |seen, _| {
            seen.legacy("s").unwrap_or_else(|| json(200, seen.result(tools)))
        })
        .await;
        let page = list(&upstream_with(&fake.url, era, UpstreamLimits::default())).await.unwrap();
        assert_eq!((page.tools.len(), page.refused.len()), (offered, 1 - offered));
    }
}

async fn prompts(upstream: &Upstream) -> Result<Vec<Json>, UpstreamError> {
    upstream.list_entries(List::Prompts, &SessionKey::new("own"), None).await
}

#[tokio::test]
async fn the_other_lists_are_read_whole_and_as_they_are_or_not_at_all() {
    let fake = Fake::start(|seen, _| {
        let cursor = seen.params().get("cursor").and_then(Json::as_str);
        let text = match cursor {
            None => r#"{"prompts":[{"name":"a","vendor":1e2},7],"nextCursor":""}"#,
            Some("") => r#"{"prompts":[],"nextCursor":"last"}"#,
            Some(_) => r#"{"prompts":[{"name":"b"}]}"#,
        };
        seen.discover().unwrap_or_else(|| json(200, seen.result(text)))
    })
    .await;
    let all = prompts(&upstream(&fake)).await.unwrap();
    assert_eq!(Json::Array(all).to_text(), r#"[{"name":"a","vendor":1e2},7,{"name":"b"}]"#);
    assert_eq!(fake.seen()[3].header("mcp-method"), "prompts/list");

    for limits in [
        UpstreamLimits { pages_max: 2, ..UpstreamLimits::default() },
        UpstreamLimits { tools_max: 2, ..UpstreamLimits::default() },
    ] {
        let error = prompts(&upstream_with(&fake.url, EraSetting::Modern, limits)).await;
        assert_eq!(error.unwrap_err(), CallErrorKind::TooLarge.into());
    }
    for no_list in [r#"{"resources":[]}"#, r#"{"prompts":{}}"#, r#"{"prompts":[],"nextCursor":7}"#]
    {
        let fake = Fake::start(move |seen, _| json(200, seen.result(no_list))).await;
        let error = prompts(&modern(&fake)).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Failed(CallErrorKind::NotMcp(_))), "{error}");
    }
}

#[tokio::test]
async fn servers_of_both_eras_tell_of_their_lists() {
    let fake = Fake::start(|seen, _| {
        let told = r#"data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{}}

data: {"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:b"}}

data: {"jsonrpc":"2.0","method":"notifications/resources/list_changed","params":{}}

"#;
        let last = seen.result(r#"{"resultType":"complete"}"#);
        seen.discover().unwrap_or_else(|| events(format!("{told}data: {last}\n\n")))
    })
    .await;
    let (key, mut heard) = (SessionKey::new("own"), Vec::new());
    let silence = modern(&fake).follow(&key, None, nothing(), |one| heard.push(one)).await;
    assert_eq!(silence, Ok(Silence::Ended));
    let updated = Heard::Updated("a:b".into());
    assert_eq!(heard, [Heard::Attentive, updated, Heard::Changed(ListKind::Resources)]);
    let asked = &fake.seen()[0];
    assert_eq!(asked.header("mcp-method"), "subscriptions/listen");

    let mut heard = Vec::new();
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    assert_eq!(stood(200, changed, &mut heard).await, Ok(Silence::Ended));
    assert_eq!(heard, [Heard::Attentive, Heard::Changed(ListKind::Tools)]);
    assert_eq!(stood(405, "", &mut Vec::new()).await, Ok(Silence::Never));
    assert_eq!(stood(404, "", &mut Vec::new()).await, Ok(Silence::Lost));
    assert_eq!(stood(403, "", &mut Vec::new()).await, Err(CallErrorKind::Unauthorized));
    assert_eq!(stood(500, "", &mut Vec::new()).await, Err(CallErrorKind::Status(500)));
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let silence = stood(200, answer, &mut Vec::new()).await;
    assert!(matches!(silence, Err(CallErrorKind::NotMcp(_))), "{silence:?}");
}

/// What is heard of a legacy server that answers the GET of its session so.
async fn stood(
    status: u16,
    message: &'static str,
    heard: &mut Vec<Heard>,
) -> Result<Silence, CallErrorKind> {
    let fake = Fake::start(move |seen, _| {
        seen.legacy("s").unwrap_or_else(|| {
            assert_eq!((seen.method(), seen.header("mcp-session-id")), ("a GET", "s"));
            assert_eq!(seen.header("accept"), "text/event-stream");
            typed(status, "text/event-stream", Body::from(format!("data: {message}\n\n")))
        })
    })
    .await;
    let upstream = upstream_with(&fake.url, EraSetting::Legacy, UpstreamLimits::default());
    upstream.follow(&SessionKey::new("own"), None, nothing(), |one| heard.push(one)).await
}
