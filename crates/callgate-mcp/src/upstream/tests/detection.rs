//! Which era a server speaks.

use super::*;

#[tokio::test]
async fn era_detection() {
    let unsupported = |supported: &str| format!(r#"{{"supported":{supported},"requested":"x"}}"#);
    let legacy_only = unsupported(r#"["2025-11-25"]"#);
    let unknown_only = unsupported(r#"["2031-01-01"]"#);
    let no_common = || Err(CallErrorKind::NotMcp("no protocol version in common".into()));
    let cases: Vec<(u16, i64, &str, Result<Speaks, CallErrorKind>)> = vec![
        (400, -32020, "null", Ok(Speaks::Modern)),
        (400, -32021, "null", Ok(Speaks::Modern)),
        (400, -32022, &legacy_only, Ok(Speaks::Legacy)),
        (400, -32022, &unknown_only, no_common()),
        (400, -32600, "null", Ok(Speaks::Legacy)),
        (404, -32601, "null", Ok(Speaks::Legacy)),
        (200, -32601, "null", Ok(Speaks::Legacy)),
        (400, 0, "", Ok(Speaks::Legacy)),
        (405, 0, "", Ok(Speaks::Legacy)),
        (401, 0, "", Err(CallErrorKind::Unauthorized)),
        (403, -32020, "null", Err(CallErrorKind::Unauthorized)),
        (429, -32000, "null", Err(CallErrorKind::Status(429))),
        (408, 0, "", Err(CallErrorKind::Status(408))),
        (307, 0, "", Err(CallErrorKind::Status(307))),
        (500, -32020, "null", Err(CallErrorKind::Status(500))),
    ];
    for (status, code, data, expected) in cases {
        let data = data.to_owned();
        let fake = Fake::start(move |seen, _| match code {
            0 => json(status, "no json-rpc"),
            code => json(status, seen.error(code, &data)),
        })
        .await;
        let upstream = upstream(&fake);
        assert_eq!(upstream.detect(None).await, expected, "{status} {code}");
        assert_eq!(upstream.detected.known(), expected.ok(), "{status} {code}");
    }
}

/// Some servers answer whatever they do not know with an empty result.
#[tokio::test]
async fn a_result_that_is_no_discovery_is_of_a_server_that_knows_none() {
    let modern_only_unknown = r#"{"supportedVersions":["2031-01-01"]}"#;
    let no_common = CallErrorKind::NotMcp("no protocol version in common".into());
    for (result, expected) in [
        ("{}", Ok(Speaks::Legacy)),
        (r#"{"tools":[]}"#, Ok(Speaks::Legacy)),
        (r#"{"supportedVersions":[]}"#, Err(no_common.clone())),
        (r#"{"supportedVersions":{}}"#, Err(no_common.clone())),
        (modern_only_unknown, Err(no_common)),
        (r#"{"supportedVersions":["2025-11-25","2026-07-28"]}"#, Ok(Speaks::Modern)),
    ] {
        let fake = Fake::start(move |seen, _| json(200, seen.result(result))).await;
        let upstream = upstream(&fake);
        assert_eq!(upstream.detect(None).await, expected, "{result}");
    }
    let fake = Fake::start(|seen, _| match seen.method() {
        "server/discover" => json(200, seen.result("{}")),
        _ => seen.legacy("s").unwrap_or_else(|| json(200, seen.result(OK))),
    })
    .await;
    succeeded(call(&upstream(&fake)).await);
}

#[tokio::test]
async fn a_verdict_expires_and_is_dropped_when_it_proves_wrong() {
    let fake = Fake::start(|seen, before| match before {
        0 => seen.discover().unwrap(),
        1 => json(400, seen.error(-32022, r#"{"supported":["2025-11-25"]}"#)),
        _ => seen.legacy("s").unwrap_or_else(|| json(200, seen.result(OK))),
    })
    .await;
    let upstream = upstream(&fake);
    assert!(matches!(call(&upstream).await, Ok(Answer::RpcError { code: -32022, .. })));
    succeeded(call(&upstream).await);
    assert_eq!(upstream.detected.known(), Some(Speaks::Legacy));

    let limits = UpstreamLimits { era_expiry: Duration::ZERO, ..UpstreamLimits::default() };
    let fake =
        Fake::start(|seen, _| seen.discover().unwrap_or_else(|| json(200, seen.result(OK)))).await;
    let upstream = upstream_with(&fake.url, EraSetting::Auto, limits);
    succeeded(call(&upstream).await);
    succeeded(call(&upstream).await);
    assert_eq!(fake.methods().iter().filter(|method| *method == "server/discover").count(), 2);
}

#[tokio::test]
async fn a_rejected_credential_is_said_and_changes_no_verdict() {
    for status in [401, 403] {
        let fake = Fake::start(move |seen, before| {
            if before == 0 {
                seen.discover().unwrap()
            } else {
                json(status, seen.error(-32600, "null"))
            }
        })
        .await;
        let upstream = upstream(&fake);
        let error = call(&upstream).await.unwrap_err();
        assert_eq!(error, CallError::after_sending(CallErrorKind::Unauthorized));
        assert_eq!(upstream.detected.known(), Some(Speaks::Modern));
        let fake = Fake::start(move |_, _| json(status, "")).await;
        let error = call(&self::upstream(&fake)).await.unwrap_err();
        assert_eq!(error, CallError::before_sending(CallErrorKind::Unauthorized));
    }
}
