//! Event streams: the same however they are cut, within their limits, and as a second parser reads them that has the
//! whole stream before it.

use callgate_mcp::sse::{SseError, SseEvent, SseLimits, SseParser, encode_event};

use crate::{pieces, take};

type Parsed = (Vec<SseEvent>, Result<(), SseError>);

const ROOMY: SseLimits = SseLimits { event_bytes_max: 1 << 20, total_bytes_max: 1 << 20 };
const TIGHT: SseLimits = SseLimits { event_bytes_max: 24, total_bytes_max: 96 };

/// The first byte says how many bytes after it say where the rest is cut.
pub(crate) fn check(mut bytes: &[u8]) {
    let count = take(&mut bytes) % 8;
    let (lengths, stream) = bytes.split_at_checked(count).unwrap_or((&[], bytes));
    for limits in [ROOMY, TIGHT] {
        let whole = parse(limits, &[stream]);
        assert_eq!(whole, parse(limits, &pieces(stream, lengths)), "cutting makes a difference");
        assert_eq!(whole, parse(limits, &pieces(stream, &[0])), "byte by byte it is another one");
        check_limits(limits, stream, &whole);
    }
    let Ok(text) = std::str::from_utf8(stream) else { return };
    if stream.len() <= ROOMY.total_bytes_max {
        let (events, outcome) = parse(ROOMY, &[stream]);
        assert_eq!((events, outcome), (second(text), Ok(())), "the second parser disagrees");
        check_encoded(text);
    }
}

fn parse(limits: SseLimits, pieces: &[&[u8]]) -> Parsed {
    let (mut parser, mut events) = (SseParser::new(limits), Vec::new());
    let outcome = pieces.iter().try_for_each(|piece| parser.push(piece, &mut events));
    (events, outcome)
}

fn check_limits(limits: SseLimits, stream: &[u8], (events, outcome): &Parsed) {
    let bytes = |event: &SseEvent| event.data.len() + event.kind.len();
    assert!(events.iter().all(|event| event.data.len() <= limits.event_bytes_max));
    let said = events
        .iter()
        .map(|event| if event.kind == "message" { event.data.len() } else { bytes(event) });
    assert!(said.sum::<usize>() <= limits.total_bytes_max);
    assert!(stream.len() <= limits.total_bytes_max || outcome.is_err(), "a stream without end");
    let (all, _) = parse(ROOMY, &[stream]);
    assert!(all.starts_with(events), "limits make no other events");
}

/// As the standard describes it, in as few steps as possible.
fn second(text: &str) -> Vec<SseEvent> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut kind, mut data) = (Vec::new(), String::new(), Vec::new());
    // What has no end is no line, and a block without an empty line after it is no event.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        if name == "data" {
            data.push(value);
        } else if name == "event" {
            kind = value;
        } else if line.is_empty() {
            let kind = Some(std::mem::take(&mut kind)).filter(|kind| !kind.is_empty());
            let data = std::mem::take(&mut data);
            if !data.is_empty() {
                let kind = kind.unwrap_or_else(|| "message".to_owned());
                events.push(SseEvent { kind, data: data.join("\n") });
            }
        }
    }
    events
}

fn check_encoded(text: &str) {
    let limits = SseLimits { event_bytes_max: 8 << 20, total_bytes_max: 8 << 20 };
    let data = text.replace('\r', "\n");
    let wanted = vec![SseEvent { kind: "message".to_owned(), data }];
    assert_eq!(parse(limits, &[&encode_event(text)]), (wanted, Ok(())), "it was encoded otherwise");
}
