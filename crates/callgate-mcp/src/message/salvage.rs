//! The id of a message that cannot be read, so that who waits for it can be told so. It is used for nothing else: what
//! two readers might read differently is still refused.

use crate::message::RequestId;

/// The member `id` at the top of what might be an answer, as far as it is there. What has a `method` is none.
pub(crate) fn id_of_answer(bytes: &[u8]) -> Option<RequestId> {
    let (mut depth, mut rest, mut id) = (0_usize, bytes, None);
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let Some((text, after)) = string(after) else { break };
                rest = after;
                let value = after.trim_ascii_start().strip_prefix(b":");
                match (depth, text, value) {
                    (1, b"method", Some(_)) => return None,
                    (1, b"id", Some(value)) if id.is_none() => id = read(value.trim_ascii_start()),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    id
}

/// The string whose quote was read, as it is written, and what follows it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = bytes.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    let (text, rest) = bytes.split_at_checked(end)?;
    Some((text, rest.strip_prefix(b"\"")?))
}

fn read(value: &[u8]) -> Option<RequestId> {
    if let Some(text) = value.strip_prefix(b"\"") {
        let (text, _) = string(text)?;
        return std::str::from_utf8(text).ok().map(|text| RequestId::Text(text.to_owned()));
    }
    let end = value.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'-')?;
    let (digits, _) = value.split_at_checked(end)?;
    std::str::from_utf8(digits).ok()?.parse().ok().map(RequestId::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_what_cannot_be_read_is_found_wherever_it_stands() {
        for text in [
            r#"{"jsonrpc":"2.0","id":7,"result":{"x":"\ud83d"}}"#,
            r#"{"result":{"id":1,"a":[{"id":2}],"s":"\"id\":3 }]"},"jsonrpc":"2.0", "id" : 7 }"#,
            r#"{"id":7,"result":{"cut off"#,
            r#"{"id":7,"result":{"id":8,"method":"x"}}"#,
        ] {
            assert_eq!(id_of_answer(text.as_bytes()), Some(RequestId::Number(7)), "{text}");
        }
        let text = br#"{"id":"initialize","result":"\ud83d"}"#;
        assert_eq!(id_of_answer(text), Some(RequestId::Text("initialize".to_owned())));
    }

    #[test]
    fn noise_has_no_id() {
        for text in [
            "hello",
            r#"["id",7]"#,
            r#"[{"id":7}]"#,
            r#"{"result":{"id":7}}"#,
            r#"{"id":{"id":7}}"#,
            r#"{"id":null}"#,
            r#"{"x":"id","y":7}"#,
            r#"}{"id":7}"#,
            r#"{"id"#,
            r#"{"id":7,"method":"ping","params":{"x":"\ud83d"}}"#,
            r#"{"method":"sampling/createMessage","id":7,"params":{"cut off"#,
            "",
        ] {
            assert_eq!(id_of_answer(text.as_bytes()), None, "{text}");
        }
    }
}
