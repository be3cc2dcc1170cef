//! Streams of legacy servers that end before the answer.

use std::sync::Mutex;

use super::*;

fn legacy(fake: &Fake) -> Upstream {
    upstream_with(&fake.url, EraSetting::Legacy, UpstreamLimits::default())
}

/// A server that opens the stream of a call with `begins`; `goes_on` is given the answer to come and how many streams have
/// been taken up before.
async fn server(
    begins: &'static str,
    goes_on: impl Fn(&str, usize) -> Response + Clone + Send + Sync + 'static,
) -> Fake {
    let asked = Arc::new(Mutex::new((String::new(), 0)));
    Fake::start(move |seen, _| {
        if let Some(answer) = seen.legacy("s") {
            return answer;
        }
        let mut asked = asked.lock().unwrap();
        if seen.method() != "a GET" {
            asked.0 = seen.result(OK);
            return events(begins);
        }
        asked.1 += 1;
        goes_on(&asked.0, asked.1 - 1)
    })
    .await
}

#[tokio::test]
async fn a_stream_that_ended_is_taken_up_where_and_when_it_said() {
    let begins = "id: 7\nretry: 300\ndata: \n\n";
    let fake = server(begins, |answer, before| match before {
        0 => events("id: 8\ndata: \n\nid: 9\ndata: half"),
        _ => events(format!("data: {answer}\n\n")),
    })
    .await;
    let begun = Instant::now();
    succeeded(call(&legacy(&fake)).await);
    assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
    let open = ["initialize", "notifications/initialized"];
    assert_eq!(fake.methods(), [&open[..], &["tools/call", "a GET", "a GET"]].concat());
    let seen = fake.seen();
    for (seen, last) in seen[3..].iter().zip(["7", "8"]) {
        assert_eq!(seen.header("last-event-id"), last);
        assert_eq!(seen.header("mcp-session-id"), "s");
        assert_eq!(seen.header("mcp-protocol-version"), "2025-06-18");
        assert_eq!(seen.header("authorization"), "Bearer canary-credential");
        assert_eq!(seen.header("accept"), "text/event-stream");
        assert_eq!(seen.header("content-type"), "");
    }
}

#[tokio::test]
async fn a_stream_whose_connection_broke_is_taken_up() {
    let fake = Fake::start(|seen, _| {
        let broken = || {
            let begins = stream::iter([Ok("id: 7\nretry: 1\n\ndata: lo")]);
            // Later, or the whole answer is lost with the connection.
            let breaks = stream::once(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(std::io::Error::other("broken"))
            });
            typed(200, "text/event-stream", Body::from_stream(begins.chain(breaks)))
        };
        seen.legacy("s").unwrap_or_else(|| match seen.method() {
            "a GET" => {
                events(format!(r#"data: {{"jsonrpc":"2.0","id":2,"result":{OK}}}{0}{0}"#, '\n'))
            }
            _ => broken(),
        })
    })
    .await;
    succeeded(call(&legacy(&fake)).await);
}

#[tokio::test]
async fn a_stream_is_not_taken_up_where_nothing_says_how() {
    let ended = || CallErrorKind::NotMcp("the stream ended without an answer".into());
    let answers = |answer: &str, _: usize| events(format!("data: {answer}\n\n"));
    for begins in ["", "data: \n\n", "id: 7\ndata: ", "id: \u{7}\n\n"] {
        let fake = server(begins, answers).await;
        let error = call(&legacy(&fake)).await.unwrap_err();
        assert_eq!(error, CallError::after_sending(ended()), "{begins:?}");
        assert_eq!(fake.methods().last().unwrap(), "tools/call");
    }
    let begins = "id: 7\nretry: 1\n\n";
    for (status, expected) in [
        (404, ended()),
        (405, ended()),
        (200, ended()),
        (500, ended()),
        (401, CallErrorKind::Unauthorized),
    ] {
        let fake = server(begins, move |_, _| json(status, "{}")).await;
        let error = call(&legacy(&fake)).await.unwrap_err();
        assert_eq!(error, CallError::after_sending(expected), "{status}");
        assert_eq!(fake.methods().iter().filter(|method| *method == "a GET").count(), 1);
    }
    // R03
    let other = r#"data: {"jsonrpc":"2.0","id":99,"result":{}}"#;
    let fake = server(begins, move |_, _| events(format!("{other}\n\n"))).await;
    let error = call(&legacy(&fake)).await.unwrap_err();
    assert_eq!(error.kind, CallErrorKind::NotMcp("a response to another request".into()));
    // The modern era knows no such thing.
    let fake = Fake::start(move |_, _| events(begins)).await;
    assert_eq!(call(&modern(&fake)).await.unwrap_err().kind, ended());
    assert_eq!(fake.methods(), ["tools/call"]);
}

/// Neither more time nor more bytes than one stream has.
#[tokio::test]
async fn i13_a_stream_that_always_ends_is_not_taken_up_for_ever() {
    let limits = UpstreamLimits { total: Duration::from_millis(700), ..UpstreamLimits::default() };
    let fake = server("id: 7\nretry: 0\n\n", |_, _| events("id: 8\n\n")).await;
    let upstream = upstream_with(&fake.url, EraSetting::Legacy, limits);
    assert_eq!(call(&upstream).await.unwrap_err().kind, CallErrorKind::Timeout);
    let taken_up = fake.methods().iter().filter(|method| *method == "a GET").count();
    assert!((1..=7).contains(&taken_up), "{taken_up}");

    let limits = UpstreamLimits { response_bytes_max: 250, ..UpstreamLimits::default() };
    let piece = format!("id: 8\n\n:{}\n", "x".repeat(80));
    let fake = server("id: 7\nretry: 0\n\n", move |_, _| events(piece.clone())).await;
    let upstream = upstream_with(&fake.url, EraSetting::Legacy, limits);
    assert_eq!(call(&upstream).await.unwrap_err().kind, CallErrorKind::TooLarge);
}
