use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Json, ReadError> {
    read(text.as_bytes(), &JsonLimits::default())
}

#[test]
fn keeps_literals_and_order() {
    let text =
        r#"{"b":1.0,"a":[1e2,0.10,-3,9007199254740991],"c":{"z":"\u00e9\n","y":null,"x":true}}"#;
    let value = parse(text).unwrap();
    assert_eq!(value.to_text(), text.replace("\\u00e9", "é"));
    assert_eq!(parse(&value.to_text()).unwrap(), value);
}

#[test]
fn p01_duplicate_names_are_refused_at_any_depth() {
    for text in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"[{"x":{"name":"safe","n\u0061me":"danger"}}]"#,
        r#"{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"\u0061":1}"#,
    ] {
        assert!(matches!(parse(text), Err(ReadError::DuplicateName { .. })), "{text}");
    }
    assert!(parse(r#"{"a":1,"A":2}"#).is_ok(), "names are case-sensitive");
}

#[test]
fn p06_numbers_that_readers_see_differently_are_refused() {
    for literal in [
        "1e400",
        "-1e400",
        "9007199254740993",
        "18446744073709551617",
        "-0",
        "-0.0",
        "-0e3",
        "0.10000000000000001",
        "12345678901234567890123",
        "1e99999999999999999999",
    ] {
        assert!(matches!(parse(literal), Err(ReadError::AmbiguousNumber { .. })), "{literal}");
    }
    for literal in [
        "0",
        "-1",
        "1.0",
        "1e2",
        "1E+2",
        "0.1",
        "0.30000000000000004",
        "1e-7",
        "0e5",
        "1234567890123456e3",
    ] {
        let value = parse(literal).unwrap_or_else(|error| panic!("{literal}: {error}"));
        assert_eq!(value.to_text(), literal);
    }
}

#[test]
fn what_is_only_relayed_keeps_any_number_as_it_was_written() {
    let text = r#"{"id":9007199254740993,"ns":123456789012345678901234567890,"x":[-0.0,0.10000000000000001]}"#;
    let value = read_relayed(text.as_bytes(), &JsonLimits::default()).unwrap();
    assert_eq!(value.to_text(), text);
    assert_eq!(value.get("id").and_then(Json::as_number).and_then(Number::as_i64), None);
    for text in ["1e400", "01", "1.", "NaN", r#"{"a":1,"a":2}"#, r#""\ud83d""#] {
        assert!(read_relayed(text.as_bytes(), &JsonLimits::default()).is_err(), "{text}");
    }
}

#[test]
fn p08_text_that_is_not_unicode_is_refused() {
    for bytes in [&b"\"\xff\""[..], b"\"\xc0\xaf\"", b"\"\xed\xa0\x80\"", b"\xff\xfe\"\0a\0\"\0"] {
        assert_eq!(read(bytes, &JsonLimits::default()), Err(ReadError::NotUtf8));
    }
    assert_eq!(parse("\u{feff}{}"), Err(ReadError::ByteOrderMark));
    for text in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\u0041""#, r#""\ud83dx""#] {
        assert!(matches!(parse(text), Err(ReadError::LoneSurrogate { .. })), "{text}");
    }
    assert_eq!(parse(r#""\ud83d\ude00""#).unwrap(), Json::from("😀"));
}

#[test]
fn syntax_that_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "'a'",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "NaN",
        "Infinity",
        "tru",
        "nulll",
        "[1] 2",
        "{} {}",
        "\"\t\"",
        "\"a",
        r#""\x""#,
        r#""\u12""#,
        "[1 2]",
        "// c\n1",
        "\u{a0}1",
        "{\"a\" 1}",
        "[\u{0}]",
        "{,}",
        "-",
        "\"\\",
    ] {
        assert!(matches!(parse(text), Err(ReadError::Syntax { .. })), "{text:?}");
    }
}

#[test]
fn p07_i13_limits_hold() {
    let limits = JsonLimits { bytes_max: 400, depth_max: 4, nodes_max: 20, string_bytes_max: 10 };
    let read = |text: &str| read(text.as_bytes(), &limits);
    assert!(read("[[[[1]]]]").is_ok());
    assert_eq!(read("[[[[[1]]]]]"), Err(ReadError::TooDeep { max: 4 }));
    assert_eq!(read(&"[".repeat(399)), Err(ReadError::TooDeep { max: 4 }));
    assert_eq!(read(&" ".repeat(401)), Err(ReadError::TooLong { max: 400 }));
    assert_eq!(read("\"12345678901\""), Err(ReadError::StringTooLong { max: 10 }));
    assert_eq!(read(&format!("[{}1]", "1,".repeat(30))), Err(ReadError::TooManyNodes { max: 20 }));
}

#[test]
fn canonical_form_is_rfc_8785() {
    let value = parse(r#"{"b":[56.0,1E30,4.50,2e-3,0.000001,"\u20ac$\u000F\nA'B\"\\\\\"/"],"a":1.0,"\u20ac":true,"1":null}"#).unwrap();
    let text = String::from_utf8(value.canonical()).unwrap();
    assert_eq!(
        text,
        "{\"1\":null,\"a\":1,\"b\":[56,1e+30,4.5,0.002,0.000001,\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"],\"€\":true}"
    );
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Into::into),
        any::<f64>()
            .prop_filter("JSON holds no infinity, and -0 is refused", |f| f.is_finite()
                && *f != 0.0)
            .prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::btree_map(".{0,6}", inner, 0..12)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reads_what_serde_json_writes_and_back(value in any_json()) {
        let text = value.to_string();
        let ours = parse(&text).unwrap();
        prop_assert_eq!(ours.to_text(), text.clone());
        prop_assert_eq!(ours.canonical(), serde_json_canonicalizer::to_vec(&value).unwrap());
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&ours.to_text()).unwrap(), value);
        prop_assert_eq!(parse(std::str::from_utf8(&ours.canonical()).unwrap()).unwrap().canonical(), ours.canonical());
    }

    #[test]
    fn i13_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(read(&bytes, &JsonLimits::default()));
    }

    #[test]
    fn what_is_accepted_serde_json_accepts_too(text in r#"[\[\]{}:,"\\a-f0-9.eE+\- tfn]{0,24}"#) {
        if parse(&text).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}
