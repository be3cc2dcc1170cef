use callgate_model::json::JsonLimits;
use proptest::prelude::*;

use super::*;
use crate::message::Message;

const LIMITS: SseLimits = SseLimits { event_bytes_max: 64, total_bytes_max: 256 };

fn parse(pieces: &[&[u8]]) -> (Vec<SseEvent>, Result<(), SseError>) {
    let mut parser = SseParser::new(LIMITS);
    let mut events = Vec::new();
    let outcome = pieces.iter().try_for_each(|piece| parser.push(piece, &mut events));
    (events, outcome)
}

fn data(stream: &str) -> Vec<String> {
    let (events, outcome) = parse(&[stream.as_bytes()]);
    outcome.unwrap();
    events.into_iter().map(|event| event.data).collect()
}

#[test]
fn r01_lines_end_in_any_of_three_ways() {
    for end in ["\n", "\r", "\r\n"] {
        let stream =
            ["data: a", "data:b", "", ": note", "data", "", "id: 7", "", "data: lost"].join(end);
        assert_eq!(data(&stream), ["a\nb", ""], "{end:?}");
    }
    assert_eq!(data("data: a\r\n\ndata: b\r\r"), ["a", "b"]);
}

#[test]
fn r01_a_byte_order_mark_counts_only_at_the_start() {
    assert_eq!(data("\u{feff}data: a\n\n\u{feff}data: b\n\n"), ["a"]);
}

#[test]
fn r01_only_the_first_blank_is_taken_and_names_are_exact() {
    assert_eq!(data("data:  a\nDATA: b\n data: c\n\n"), [" a"]);
    let (events, _) = parse(&[b"event: ping\ndata: a\n\ndata: b\n\n"]);
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["ping", "message"]);
}

#[test]
fn r01_two_messages_in_one_event_are_no_message() {
    let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let (events, _) = {
        let limits = SseLimits { event_bytes_max: 1000, total_bytes_max: 1000 };
        let mut parser = SseParser::new(limits);
        let mut events = Vec::new();
        let outcome =
            parser.push(format!("data: {response}\ndata: {response}\n\n").as_bytes(), &mut events);
        (events, outcome)
    };
    assert!(Message::read(events[0].data.as_bytes(), &JsonLimits::default()).is_err());
    assert!(Message::read(response.as_bytes(), &JsonLimits::default()).is_ok());
}

#[test]
fn p08_bytes_that_are_not_utf8_are_refused() {
    assert_eq!(parse(&[b"data: \xff\n\n"]).1, Err(SseError::NotUtf8));
}

#[test]
fn r06_events_and_streams_are_bounded() {
    let long_line = [b"data: ".as_slice(), &[b'x'; 59]].concat();
    assert_eq!(parse(&[&long_line]).1, Err(SseError::EventTooLong { max: 64 }));
    let many_lines = b"data: 0123456789\n".repeat(6);
    assert_eq!(parse(&[&many_lines]).1, Err(SseError::EventTooLong { max: 64 }));
    let comments = b":\n".repeat(129);
    assert_eq!(parse(&[&comments]).1, Err(SseError::StreamTooLong { max: 256 }));
    assert_eq!(parse(&[&comments[..256]]).1, Ok(()));
}

/// Found by fuzzing: one piece beyond both limits was refused for the other one.
#[test]
fn r06_the_limit_that_is_reached_first_is_told_however_the_stream_is_cut() {
    let long = [b'x'; 300];
    let bytes: Vec<&[u8]> = long.chunks(1).collect();
    for pieces in [&[&long[..]][..], &[&long[..60], &long[60..]], &bytes] {
        assert_eq!(parse(pieces).1, Err(SseError::EventTooLong { max: 64 }));
    }
    let comments = b":\n".repeat(120);
    assert_eq!(parse(&[&comments, &long]).1, Err(SseError::StreamTooLong { max: 256 }));
    assert_eq!(parse(&[&comments, &long[..30]]).1, Err(SseError::StreamTooLong { max: 256 }));
}

#[test]
fn what_a_stream_says_of_resuming() {
    let says = |stream: &str| {
        let limits = SseLimits { event_bytes_max: 5000, total_bytes_max: 5000 };
        let mut parser = SseParser::new(limits);
        parser.push(stream.as_bytes(), &mut Vec::new()).unwrap();
        let last_id = parser.last_id().map(ToOwned::to_owned);
        (last_id, parser.retry().map(|retry| retry.as_millis()))
    };
    let seven = || Some("7".to_owned());
    let long = format!("id: 7\n\nid: {}\n\n", "7".repeat(1025));
    for (stream, expected) in [
        ("data: a\n\n", (None, None)),
        ("id: 7\nretry: 500\ndata: \n\n", (seven(), Some(500))),
        ("id: 7\n\ndata: a\n\n", (seven(), None)),
        ("id: 7\n\nid: 8\ndata: cut off", (seven(), None)),
        ("id: 7\n\nid: 8\0\n\n", (seven(), None)),
        ("id: 7\n\nid\n\n", (None, None)),
        (&long, (None, None)),
        ("retry: 1s\nretry:\nretry: -1\n", (None, None)),
        ("retry: 99999999999999999999\n", (None, None)),
    ] {
        assert_eq!(says(stream), expected, "{stream:?}");
    }
}

#[test]
fn a_stream_that_goes_on_begins_with_no_half_event() {
    let (mut parser, mut events) = (SseParser::new(LIMITS), Vec::new());
    parser
        .push(b"id: 7\nretry: 5\ndata: a\n\nid: 8\nevent: half\ndata: lo\r", &mut events)
        .unwrap();
    parser.resume();
    assert_eq!((parser.last_id(), parser.retry()), (Some("7"), Some(Duration::from_millis(5))));
    parser.push("\u{feff}data: b\n\n".as_bytes(), &mut events).unwrap();
    let data: Vec<_> = events.iter().map(|event| (&*event.kind, &*event.data)).collect();
    assert_eq!(data, [("message", "a"), ("message", "b")]);
    assert_eq!(parser.last_id(), Some("7"));
    let rest = b":\n".repeat(128);
    assert_eq!(parser.push(&rest, &mut events), Err(SseError::StreamTooLong { max: 256 }));
}

#[test]
fn what_is_encoded_is_parsed() {
    for text in ["{}", "a\nb", " a", ""] {
        assert_eq!(data(std::str::from_utf8(&encode_event(text)).unwrap()), [text]);
    }
}

proptest! {
    /// The alphabet is what the grammar distinguishes, so that short streams reach every state.
    #[test]
    fn r01_cutting_makes_no_difference(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "\u{feff}".as_bytes(), b"data", b"data: ", b"event:", b":", b"\r", b"\n", b"\r\n", b"\n\n", b"x", b"\xff",
                "é".as_bytes(), b"0123456789",
            ]),
            0..60,
        ),
        cuts in prop::collection::vec(0_usize..256, 0..12),
    ) {
        let stream = words.concat();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(parse(&[&stream]), parse(&pieces));
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(parse(&[&stream]), parse(&bytes));
    }

    #[test]
    fn i13_no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        parse(&[&bytes]).1.ok();
    }
}
