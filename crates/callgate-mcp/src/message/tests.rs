use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Message, Malformed> {
    Message::read(text.as_bytes(), &JsonLimits::default())
}

fn refusal(text: &str) -> (i64, Option<String>, String) {
    let malformed = read(text).expect_err(text);
    (malformed.code, malformed.id.map(|id| id.to_string()), malformed.detail)
}

fn request(more: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call"{more}}}"#)
}

#[test]
fn members_say_what_a_message_is() {
    let Ok(Message::Request(read_request)) = read(&request("")) else { panic!() };
    assert_eq!((read_request.id, read_request.params.len()), (RequestId::Number(7), 0));
    let Ok(Message::Notification(told)) =
        read(r#"{"jsonrpc":"2.0","method":"a","params":{"b":1}}"#)
    else {
        panic!()
    };
    assert_eq!((told.method.as_str(), told.params.len()), ("a", 1));
    let Ok(Message::Response(response)) = read(r#"{"jsonrpc":"2.0","id":"x","result":{}}"#) else {
        panic!()
    };
    assert_eq!(response.id, Some(RequestId::Text("x".into())));
    for id in ["", r#""id":null,"#] {
        let text =
            format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":-1,"message":"m","data":[]}}}}"#);
        let Ok(Message::Response(response)) = read(&text) else { panic!() };
        let error = response.outcome.unwrap_err();
        assert_eq!((response.id, error.code, error.data), (None, -1, Some(Json::Array(vec![]))));
    }
}

#[test]
fn p01_names_used_twice_are_refused_at_every_depth() {
    for more in [
        r#","method":"a""#,
        r#","m\u0065thod":"a""#,
        r#","params":{"name":"safe","name":"danger"}"#,
        r#","params":{"name":"safe","\u006eame":"danger"}"#,
        r#","params":{"arguments":{"a":[{"b":1,"b":2}]}}"#,
    ] {
        let (code, _, detail) = refusal(&request(more));
        assert_eq!(code, code::INVALID_REQUEST);
        assert!(detail.contains("used twice"), "{more}: {detail}");
    }
}

#[test]
fn p02_unknown_members_are_refused_also_if_only_case_differs() {
    for name in ["Method", "METHOD", "ID", "Params", "extra", "method\\u0000", "jsonrpc\\u212a"] {
        let (code, id, detail) = refusal(&request(&format!(r#","{name}":"a""#)));
        assert_eq!((code, id.as_deref()), (code::INVALID_REQUEST, Some("7")), "{name}");
        assert!(detail.contains("not a member"), "{name}: {detail}");
        assert!(!detail.contains('\0'));
    }
}

#[test]
fn p03_batches_are_refused() {
    for text in ["[]".to_owned(), format!("[{}]", request("")), format!("[[{}]]", request(""))] {
        assert_eq!(refusal(&text), (code::INVALID_REQUEST, None, "batches are not served".into()));
    }
}

#[test]
fn p06_numbers_another_reader_may_see_differently_are_refused() {
    for number in ["1e400", "18446744073709551617", "-0", "0.1000000000000000055", "NaN"] {
        assert!(read(&request(&format!(r#","params":{{"a":{number}}}"#))).is_err(), "{number}");
    }
    let text = request(r#","params":{"a":1.0,"b":1e2,"c":0.1}"#);
    let Ok(Message::Request(kept)) = read(&text) else { panic!() };
    assert_eq!(kept.into_bytes(), text, "what is read is what is written");
}

#[test]
fn p07_bombs_are_refused() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let many = format!("[1{}]", ",1".repeat(10_000));
    let long = format!(r#""{}""#, "x".repeat(257 << 10));
    for bomb in [deep, many, long] {
        let (code, ..) = refusal(&request(&format!(r#","params":{{"a":{bomb}}}"#)));
        assert_eq!(code, code::INVALID_REQUEST);
    }
    assert!(refusal(&" ".repeat(2 << 20)).2.contains("longer than"));
    let long_method = "m".repeat(129);
    assert!(read(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{long_method}"}}"#)).is_err());
}

#[test]
fn p08_text_that_is_not_utf8_is_refused() {
    let text = request(r#","params":{"a":"\ud800"}"#);
    assert_eq!(refusal(&text).0, code::PARSE_ERROR);
    assert_eq!(refusal(&format!("\u{feff}{}", request(""))).0, code::PARSE_ERROR);
    let overlong = [b"{\"jsonrpc\":\"2.0\",\"method\":\"".as_slice(), b"\xc0\xaf\"}"].concat();
    for bytes in [overlong, vec![0xff, 0xfe, b'{', 0]] {
        let malformed = Message::read(&bytes, &JsonLimits::default()).unwrap_err();
        assert_eq!(malformed.code, code::PARSE_ERROR);
    }
}

#[test]
fn p10_ids_and_methods_are_of_one_kind_only() {
    for id in ["null", "1.0", "1e0", "true", "[]", "{}", "1180591620717411303424"] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#);
        assert_eq!(refusal(&text).0, code::INVALID_REQUEST, "{id}");
    }
    assert!(
        read(&format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"a"}}"#, "x".repeat(1025))).is_err()
    );
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":""}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#,
        r#"{"jsonrpc":2.0,"id":1,"method":"a"}"#,
        r#"{"id":1,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":null}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"params":{},"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":[]}"#,
        r#"{"jsonrpc":"2.0","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1.5,"error":{"code":1,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"Code":1,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":"m"}"#,
        "7",
        "{",
        "",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

fn params(text: &str) -> Result<ToolsCallParams, String> {
    let json = json::read(text.as_bytes(), &JsonLimits::default()).unwrap();
    ToolsCallParams::read(json.as_object().unwrap().clone()).map_err(|invalid| invalid.0)
}

#[test]
fn parameters_of_a_call_are_read_by_name() {
    let read = params(
        r#"{"name":"a","arguments":{"b":1e2},"_meta":{"c":1},"task":{},"requestState":"s"}"#,
    )
    .unwrap();
    assert_eq!(Json::from(read.arguments).to_text(), r#"{"b":1e2}"#);
    assert_eq!((read.name.as_str(), read.meta.len()), ("a", 1));
    assert_eq!((read.round.responses, read.round.state), (None, Some("s".into())));
    assert!(params(r#"{"name":"a"}"#).unwrap().arguments.is_empty());
}

/// The published payload: a reader that folds case sees the second name and the second arguments.
#[test]
fn p02_ghsa_4gph_2hhr_5mwg() {
    let twin = r#"{"name":"safe","Name":"danger","arguments":{},"Arguments":{"all":true}}"#;
    assert_eq!(params(twin).unwrap_err(), "`Name` is not a parameter of `tools/call`");
}

#[test]
fn p02_other_parameters_are_refused_by_name() {
    for (text, named) in [
        (r#"{"Name":"a"}"#, "`name`"),
        (r#"{"name":""}"#, "`name`"),
        (r#"{"name":7}"#, "`name`"),
        (r#"{"name":"a","arguments":[]}"#, "`arguments`"),
        (r#"{"name":"a","arguments":null}"#, "`arguments`"),
        (r#"{"name":"a","_meta":1}"#, "`_meta`"),
        (r#"{"name":"a","_Meta":{}}"#, "`_Meta`"),
        (r#"{"name":"a","argument\u017f":{}}"#, "`argumentſ`"),
        (r#"{"name":"a","x\u001b[2J":1}"#, r"`x\u{1b}[2J`"),
    ] {
        let detail = params(text).expect_err(text);
        assert!(detail.contains(named), "{text}: {detail}");
    }
    assert!(params(&format!(r#"{{"name":"{}"}}"#, "x".repeat(129))).is_err());
}

proptest! {
    #[test]
    fn i13_no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        Message::read(&bytes, &JsonLimits::default()).ok();
    }

    #[test]
    fn i13_no_envelope_panics(members in prop::collection::vec((
        prop::sample::select(vec!["jsonrpc", "id", "method", "params", "result", "error", "x"]),
        prop::sample::select(vec!["\"2.0\"", "1", "null", "{}", "[]", "\"a\"", r#"{"code":1,"message":"m"}"#]),
    ), 0..6)) {
        let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let text = format!("{{{}}}", members.join(","));
        if let Ok(message) = read(&text) {
            let written = match message.clone() {
                Message::Request(request) => request.into_bytes(),
                Message::Notification(notification) => notification.into_bytes(),
                Message::Response(response) => response.into_bytes(),
            };
            prop_assert_eq!(Message::read(&written, &JsonLimits::default()), Ok(message));
        }
    }
}

#[test]
fn p03_a_batch_is_read_one_by_one_and_bounded() {
    let read = |text: &str| Message::read_batch(text.as_bytes(), &JsonLimits::default(), 3);
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let batch = read(&format!("[{one},7,[{one}]]")).unwrap();
    assert!(matches!(&batch[..], [Ok(Message::Request(_)), Err(_), Err(_)]), "{batch:?}");
    for refused in ["[]", one, &format!("[{one},{one},{one},{one}]"), "[{\"a\":1,\"a\":2}]"] {
        assert!(read(refused).is_err(), "{refused}");
    }
}
