use super::*;

const SCHEMA: &str = r#"{"type":"object","properties":{
    "region":{"type":"string","x-mcp-header":"Region"},
    "limit":{"type":"integer","x-mcp-header":"Limit"},
    "page":{"type":"object","properties":{"deep":{"type":"boolean","x-mcp-header":"Deep"}}},
    "x-mcp-header":{"type":"string","default":{"x-mcp-header":1}}}}"#;

type Headers<'a> = &'a [(&'static str, &'a str)];

fn json(text: &str) -> Json {
    json::read(text.as_bytes(), &JsonLimits::default()).unwrap()
}

fn verdict(headers: Headers<'_>, arguments: &str) -> Result<(), String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let arguments = json(arguments);
    check_param_headers(&map, &json(SCHEMA), arguments.as_object().unwrap()).map_err(|refused| {
        assert_eq!((refused.status.as_u16(), refused.code), (400, code::HEADER_MISMATCH));
        refused.message
    })
}

#[test]
fn p05_headers_must_say_what_the_arguments_say() {
    let good: &[(Headers<'_>, &str)] = &[
        (&[], "{}"),
        (&[], r#"{"region":null}"#),
        (&[("mcp-param-region", "eu")], r#"{"region":"eu"}"#),
        (&[("mcp-param-region", "=?base64?w6k=?=")], r#"{"region":"é"}"#),
        (&[("mcp-param-limit", "42.0")], r#"{"limit":42}"#),
        (&[("mcp-param-limit", "42")], r#"{"limit":4.2e1}"#),
        (&[("mcp-param-deep", "true")], r#"{"page":{"deep":true}}"#),
        (&[("mcp-param-other", "1"), ("mcp-param-other", "2")], "{}"),
    ];
    for (headers, arguments) in good {
        assert_eq!(verdict(headers, arguments), Ok(()), "{headers:?} {arguments}");
    }
    let bad: &[(Headers<'_>, &str, &str)] = &[
        (&[], r#"{"region":"eu"}"#, "is missing"),
        (&[("mcp-param-region", "eu")], "{}", "not there"),
        (&[("mcp-param-region", "eu")], r#"{"region":null}"#, "not there"),
        (&[("mcp-param-region", "EU")], r#"{"region":"eu"}"#, "differs"),
        (&[("mcp-param-region", "eu"), ("mcp-param-region", "eu")], r#"{"region":"eu"}"#, "once"),
        (&[("mcp-param-region", "=?base64?w6k?=")], r#"{"region":"é"}"#, "base64"),
        (&[("mcp-param-region", "é")], r#"{"region":"é"}"#, "ASCII"),
        (&[("mcp-param-limit", "43")], r#"{"limit":42}"#, "differs"),
        (&[("mcp-param-limit", "42 ;x")], r#"{"limit":42}"#, "differs"),
        (&[("mcp-param-limit", "42")], r#"{"limit":"42"}"#, "differs"),
        (&[("mcp-param-limit", "9007199254740992")], r#"{"limit":9007199254740992}"#, "differs"),
        (&[("mcp-param-deep", "True")], r#"{"page":{"deep":true}}"#, "differs"),
    ];
    for (headers, arguments, problem) in bad {
        let message = verdict(headers, arguments).unwrap_err();
        assert!(message.contains(problem), "{headers:?} {arguments}: {message}");
    }
}

#[test]
fn p05_headers_going_out_are_made_from_the_arguments() {
    let arguments = json(r#"{"region":" é","limit":42.0,"page":{"deep":false},"other":1}"#);
    let headers = param_headers(&json(SCHEMA), arguments.as_object().unwrap());
    let made: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    assert_eq!(
        made,
        [
            ("mcp-param-region", "=?base64?IMOp?="),
            ("mcp-param-limit", "42"),
            ("mcp-param-deep", "false"),
        ]
    );
    let map: HeaderMap = headers.into_iter().collect();
    assert!(check_param_headers(&map, &json(SCHEMA), arguments.as_object().unwrap()).is_ok());
}

#[test]
fn t07_a_secret_is_mirrored_in_no_header() {
    let refused = |property: &str| {
        let schema = json(&format!(r#"{{"type":"object","properties":{{{property}}}}}"#));
        invalid_param_headers(&schema).is_some_and(|why| why.contains("on a secret"))
    };
    for name in
        ["password", "api_key", "API-Key", "clientSecret", "token", "access_token", "privateKey"]
    {
        assert!(refused(&format!(r#""{name}":{{"type":"string","x-mcp-header":"A"}}"#)), "{name}");
        assert!(refused(&format!(r#""a":{{"type":"string","x-mcp-header":"{name}"}}"#)), "{name}");
        let nested = format!(
            r#""{name}":{{"type":"object","properties":{{"a":{{"type":"string","x-mcp-header":"A"}}}}}}"#
        );
        assert!(refused(&nested), "{nested}");
        assert!(!refused(&format!(r#""{name}":{{"type":"string"}}"#)), "{name}");
    }
    assert!(refused(r#""a":{"type":"string","format":"password","x-mcp-header":"A"}"#));
    assert!(refused(r#""a":{"type":"string","writeOnly":true,"x-mcp-header":"A"}"#));
    for name in ["page_token", "region", "tokens", "keyword", "snapshotToken"] {
        assert!(!refused(&format!(r#""{name}":{{"type":"string","x-mcp-header":"A"}}"#)), "{name}");
    }
}

#[test]
fn tools_with_marks_against_the_rules_are_invalid() {
    assert_eq!(invalid_param_headers(&json(SCHEMA)), None);
    for (properties, reason) in [
        (r#""a":{"type":"number","x-mcp-header":"A"}"#, "not a string"),
        (r#""a":{"type":["string","null"],"x-mcp-header":"A"}"#, "not a string"),
        (r#""a":{"type":"string","x-mcp-header":""}"#, "header name"),
        (r#""a":{"type":"string","x-mcp-header":"a b"}"#, "header name"),
        (r#""a":{"type":"string","x-mcp-header":7}"#, "header name"),
        (
            r#""a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}"#,
            "twice",
        ),
        (r#""a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}"#, "under `items`"),
        (
            r#""a":{"anyOf":[{"properties":{"b":{"type":"string","x-mcp-header":"A"}}}]}"#,
            "under `anyOf`",
        ),
        (r#""a":{"$defs":{"d":{"type":"string","x-mcp-header":"A"}}}"#, "under `$defs`"),
    ] {
        let schema = json(&format!(r#"{{"type":"object","properties":{{{properties}}}}}"#));
        let found = invalid_param_headers(&schema).unwrap_or_default();
        assert!(found.contains(reason), "{properties}: {found}");
    }
    let root = json(r#"{"type":"string","x-mcp-header":"A"}"#);
    assert!(invalid_param_headers(&root).is_some());
}
