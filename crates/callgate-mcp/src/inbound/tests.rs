use callgate_model::json::JsonLimits;
use http::HeaderValue;

use super::*;

type Headers<'a> = &'a [(&'static str, &'a str)];

fn headers(given: Headers<'_>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in given {
        map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

fn classified(given: Headers<'_>, body: &str) -> Result<Inbound, Refused> {
    let message = Message::read(body.as_bytes(), &JsonLimits::default()).unwrap();
    classify(&headers(given), &message)
}

/// `version` in `_meta`, `more` beside it.
fn modern(method: &str, params: &str, version: &str, more: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}"_meta":{{"{META_VERSION}":"{version}","{META_CAPABILITIES}":{{}}{more}}}}}}}"#
    )
}

fn call() -> String {
    modern("tools/call", r#""name":"a","#, MODERN, "")
}

fn legacy(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#)
}

const VERSION: (&str, &str) = ("mcp-protocol-version", MODERN);
const METHOD: (&str, &str) = ("mcp-method", "tools/call");
const NAME: (&str, &str) = ("mcp-name", "a");

#[test]
fn p05_a_modern_call_with_matching_headers_is_taken() {
    for good in [
        &[VERSION, METHOD, NAME][..],
        &[VERSION, METHOD, ("mcp-name", "=?base64?YQ==?=")],
        &[VERSION, METHOD, ("mcp-name", " a ")],
        &[VERSION, METHOD, NAME, ("mcp-session-id", "ignored")],
    ] {
        assert_eq!(classified(good, &call()).unwrap().era, Era::Modern, "{good:?}");
    }
}

#[test]
fn p05_headers_that_differ_from_the_body_are_refused() {
    let other = ("mcp-protocol-version", "2025-11-25");
    let bad: &[(Headers<'_>, &str)] = &[
        (&[METHOD, NAME], "`mcp-protocol-version` is missing"),
        (&[VERSION, NAME], "`mcp-method` is missing"),
        (&[VERSION, METHOD], "`mcp-name` is missing"),
        (&[other, METHOD, NAME], "`mcp-protocol-version` differs"),
        (&[VERSION, ("mcp-method", "Tools/Call"), NAME], "`mcp-method` differs"),
        (&[VERSION, ("mcp-method", "tools/list"), NAME], "`mcp-method` differs"),
        (&[VERSION, METHOD, ("mcp-name", "A")], "`mcp-name` differs"),
        (&[VERSION, METHOD, ("mcp-name", "a,a")], "`mcp-name` differs"),
        (&[VERSION, METHOD, ("mcp-name", "=?base64?Yg==?=")], "`mcp-name` differs"),
        (&[VERSION, METHOD, ("mcp-name", "=?BASE64?YQ==?=")], "`mcp-name` differs"),
        (&[VERSION, METHOD, ("mcp-name", "=?base64?YQ?=")], "not valid base64"),
        (&[VERSION, METHOD, ("mcp-name", "=?base64?/w==?=")], "not valid base64"),
        (&[VERSION, METHOD, ("mcp-name", "а")], "not plain ASCII"),
        (&[VERSION, VERSION, METHOD, NAME], "`mcp-protocol-version` is there more than once"),
        (&[VERSION, METHOD, METHOD, NAME], "`mcp-method` is there more than once"),
        (&[VERSION, METHOD, NAME, NAME], "`mcp-name` is there more than once"),
    ];
    for (given, problem) in bad {
        let refused = classified(given, &call()).expect_err(problem);
        assert_eq!((refused.status.as_u16(), refused.code), (400, code::HEADER_MISMATCH));
        assert!(refused.message.contains(problem), "{given:?}: {}", refused.message);
    }
}

#[test]
fn p05_every_mirrored_name_is_compared() {
    for (method, member) in [
        ("tools/call", "name"),
        ("prompts/get", "name"),
        ("resources/read", "uri"),
        ("tasks/get", "taskId"),
        ("tasks/update", "taskId"),
        ("tasks/cancel", "taskId"),
    ] {
        let given = [VERSION, ("mcp-method", method), NAME];
        let body = |value: &str| modern(method, &format!(r#""{member}":{value},"#), MODERN, "");
        assert!(classified(&given, &body("\"a\"")).is_ok(), "{method}");
        assert_eq!(classified(&given, &body("\"b\"")).unwrap_err().code, code::HEADER_MISMATCH);
        assert_eq!(classified(&given, &body("7")).unwrap_err().code, code::INVALID_PARAMS);
        assert_eq!(
            classified(&given[..2], &body("\"a\"")).unwrap_err().code,
            code::HEADER_MISMATCH
        );
    }
    let given = [VERSION, ("mcp-method", "tools/list")];
    assert!(classified(&given, &modern("tools/list", "", MODERN, "")).is_ok());
}

#[test]
fn a_modern_request_without_its_meta_is_refused() {
    let version_only = format!(r#""name":"a","_meta":{{"{META_VERSION}":"{MODERN}"}}"#);
    let wrong_type =
        format!(r#""name":"a","_meta":{{"{META_VERSION}":7,"{META_CAPABILITIES}":{{}}}}"#);
    for params in [r#""name":"a""#, r#""name":"a","_meta":7"#, &version_only, &wrong_type] {
        let refused =
            classified(&[VERSION, METHOD, NAME], &legacy("tools/call", params)).expect_err(params);
        assert_eq!((refused.status.as_u16(), refused.code), (400, code::INVALID_PARAMS));
    }
}

#[test]
fn a_version_that_is_not_served_is_answered_with_those_that_are() {
    for (version, supported) in [
        ("2027-01-01", r#"["2026-07-28","2025-11-25","2025-06-18","2025-03-26"]"#),
        ("2025-11-25", r#"["2026-07-28","2025-06-18","2025-03-26"]"#),
    ] {
        let given = [("mcp-protocol-version", version), METHOD, NAME];
        let body = modern("tools/call", r#""name":"a","#, version, "");
        let refused = classified(&given, &body).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.code), (400, code::UNSUPPORTED_VERSION));
        let data = refused.data.unwrap().to_text();
        assert_eq!(data, format!(r#"{{"supported":{supported},"requested":"{version}"}}"#));
    }
}

#[test]
fn the_legacy_era_is_known_by_initialize_or_header_or_by_neither() {
    let era = |given: Headers<'_>, body: &str| classified(given, body).map(|inbound| inbound.era);
    let initialize = |version: &str| {
        legacy(
            "initialize",
            &format!(r#""protocolVersion":"{version}","capabilities":{{"roots":{{}}}}"#),
        )
    };
    let (older, newer) = (LegacyVersion::V2025_06_18, LegacyVersion::V2025_11_25);
    assert_eq!(era(&[], &initialize("2025-06-18")), Ok(Era::Legacy(older)));
    let oldest = Ok(Era::Legacy(LegacyVersion::V2024_11_05));
    assert_eq!(era(&[], &initialize("2024-11-05")), oldest);
    assert_eq!(era(&[], &initialize("2024-10-07")), Ok(Era::Legacy(newer)));
    assert_eq!(classified(&[], &initialize("x")).unwrap().capabilities.len(), 1);
    assert_eq!(era(&[], &legacy("initialize", "")).unwrap_err().code, code::INVALID_PARAMS);

    let list = legacy("tools/list", "");
    assert_eq!(era(&[("mcp-protocol-version", "2025-11-25")], &list), Ok(Era::Legacy(newer)));
    // This version has no such header.
    let assumed = Ok(Era::Legacy(LegacyVersion::V2025_03_26));
    assert_eq!(era(&[("mcp-session-id", "s")], &list), assumed);
    assert_eq!(era(&[], &list), assumed);
    assert_eq!(era(&[("mcp-protocol-version", "2025-03-26")], &list), assumed);
    for unserved in ["2024-10-07", "x", ""] {
        let refused = era(&[("mcp-protocol-version", unserved)], &list).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.code), (400, code::UNSUPPORTED_VERSION));
    }
}

#[test]
fn notifications_and_responses_have_an_era_too() {
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}"#;
    let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let legacy = [("mcp-protocol-version", "2025-11-25")];
    assert_eq!(classified(&[VERSION], cancelled).unwrap().era, Era::Modern);
    assert_ne!(classified(&legacy, cancelled).unwrap().era, Era::Modern);
    assert_ne!(classified(&legacy, response).unwrap().era, Era::Modern);
    assert_eq!(classified(&[VERSION], response).unwrap_err().code, code::INVALID_REQUEST);
    let tagged =
        cancelled.replace("{}", &format!(r#"{{"_meta":{{"{META_VERSION}":"{MODERN}"}}}}"#));
    assert_eq!(classified(&[], &tagged).unwrap().era, Era::Modern);
    assert_eq!(classified(&legacy, &tagged).unwrap_err().code, code::HEADER_MISMATCH);
}

#[test]
fn what_the_client_says_of_itself_is_made_harmless() {
    let said = |info: &str| {
        let more = format!(r#","{META_CLIENT}":{info},"progressToken":"t""#);
        let body = modern("tools/call", r#""name":"a","#, MODERN, &more);
        classified(&[VERSION, METHOD, NAME], &body).unwrap()
    };
    let inbound = said(r#"{"name":"c\u001b[31m\u202e\u200b","version":"1\n2"}"#);
    assert_eq!(inbound.client_info.as_deref(), Some("c[31m/12"));
    assert_eq!(inbound.progress_token, Some("t".into()));
    let long = said(&format!(r#"{{"name":"{}"}}"#, "é".repeat(200)));
    assert_eq!(long.client_info.unwrap().chars().count(), 100);
    assert_eq!(said("7").client_info, None);
}

#[test]
fn progress_tokens_are_short_strings_or_integers() {
    let long = format!(r#""{}""#, "x".repeat(1025));
    for bad in ["1.5", "null", "{}", &long] {
        let more = format!(r#","progressToken":{bad}"#);
        let body = modern("tools/call", r#""name":"a","#, MODERN, &more);
        let refused = classified(&[VERSION, METHOD, NAME], &body).expect_err(bad);
        assert_eq!(refused.code, code::INVALID_PARAMS);
    }
}

#[test]
fn p04_only_json_is_read() {
    for good in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
    ] {
        assert!(check_content_type(&headers(&[("content-type", good)])).is_ok(), "{good}");
    }
    let bad: &[Headers<'_>] = &[
        &[],
        &[("content-type", "text/plain")],
        &[("content-type", "Application/JSON ; x")],
        &[("content-type", "application/json; charset=utf-16")],
        &[("content-type", "application/json, text/plain")],
        &[("content-type", "application/jsonp")],
        &[("content-type", "multipart/form-data; boundary=application/json")],
        &[("content-type", "application/json"), ("content-type", "application/json")],
        &[("content-type", "text/event-stream")],
    ];
    for given in bad {
        assert_eq!(
            check_content_type(&headers(given)).expect_err("").status.as_u16(),
            415,
            "{given:?}"
        );
    }
}

#[test]
fn p11_compressed_bodies_are_refused() {
    for encoding in ["gzip", "gzip, gzip", "identity", "br"] {
        let given = [("content-type", "application/json"), ("content-encoding", encoding)];
        assert_eq!(check_content_type(&headers(&given)).unwrap_err().status.as_u16(), 415);
    }
}

#[test]
fn p11_a_body_comes_whole_or_in_chunks_and_coded_in_no_other_way() {
    let verdict = |codings: &[&str]| {
        let codings = codings.iter().map(|coding| ("transfer-encoding", *coding));
        let given: Vec<_> =
            [("content-type", "application/json")].into_iter().chain(codings).collect();
        check_content_type(&headers(&given)).map_err(|refused| refused.status.as_u16())
    };
    for good in [&[][..], &["chunked"], &["Chunked"]] {
        assert_eq!(verdict(good), Ok(()), "{good:?}");
    }
    for bad in [
        &["gzip, chunked"][..],
        &["chunked, chunked"],
        &["identity, chunked"],
        &["identity", "chunked"],
        &[""],
    ] {
        assert_eq!(verdict(bad), Err(415), "{bad:?}");
    }
}

#[test]
fn both_forms_of_an_answer_must_be_acceptable() {
    let verdict =
        |accept: Headers<'_>| check_accept(&headers(accept)).map_err(|r| r.status.as_u16());
    for good in ["application/json, text/event-stream", "TEXT/*;q=0.5,Application/JSON", "*/*"] {
        assert_eq!(verdict(&[("accept", good)]), Ok(()), "{good}");
    }
    assert_eq!(verdict(&[("accept", "application/json"), ("accept", "text/event-stream")]), Ok(()));
    for bad in ["application/json", "text/event-stream", "text/html", ""] {
        assert_eq!(verdict(&[("accept", bad)]), Err(406), "{bad}");
    }
    assert_eq!(verdict(&[]), Err(406));
}

#[test]
fn only_configured_hosts_and_origins_are_served() {
    let rules = HostRules::new(["gate.example", "LocalHost:8080"], ["https://app.example"]);
    let verdict = |given: Headers<'_>, authority: Option<&str>| {
        let authority = authority.map(|text| text.parse().unwrap());
        check_origin_host(&headers(given), authority.as_ref(), &rules)
            .map_err(|r| r.status.as_u16())
    };
    let good: &[(Headers<'_>, Option<&str>)] = &[
        (&[("host", "gate.example")], None),
        (&[("host", "GATE.example")], Some("gate.example")),
        (&[], Some("localhost:8080")),
        (&[("host", "localhost:8080"), ("origin", "http://localhost:8080")], None),
        (&[("host", "gate.example"), ("origin", "https://APP.example")], None),
    ];
    for (given, authority) in good {
        assert_eq!(verdict(given, *authority), Ok(()), "{given:?}");
    }
    let bad: &[(Headers<'_>, Option<&str>)] = &[
        (&[], None),
        (&[("host", "evil.example")], None),
        (&[("host", "localhost:8081")], None),
        (&[("host", "gate.example.evil.example")], None),
        (&[("host", "gate.example"), ("host", "gate.example")], None),
        (&[("host", "gate.example")], Some("evil.example")),
        (&[("host", "gate.example"), ("origin", "null")], None),
        (&[("host", "gate.example"), ("origin", "https://evil.example")], None),
        (&[("host", "gate.example"), ("origin", "https://app.example.evil")], None),
        (&[("host", "gate.example"), ("origin", "ftp://gate.example")], None),
        (&[("host", "gate.example"), ("origin", "")], None),
    ];
    for (given, authority) in bad {
        assert_eq!(verdict(given, *authority), Err(403), "{given:?}");
    }
}
