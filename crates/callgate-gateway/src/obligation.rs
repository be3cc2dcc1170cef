//! Meeting the obligations that came with an allowance: what of an answer may be shown. What cannot be done with certainty
//! is not done in part: then nothing of the answer is shown.

use std::collections::BTreeSet;

use callgate_mcp::upstream::Answer;
use callgate_model::json::{Json, JsonLimits, Object, read_relayed};
use callgate_model::obligation::Obligations;
use callgate_model::redact::REDACTED;

/// The server's answer as it may be shown.
///
/// # Errors
/// Why nothing of it may be.
pub fn shown(obligations: &Obligations, answer: Answer) -> Result<Answer, &'static str> {
    if !obligations.change_answers() {
        return Ok(answer);
    }
    match answer {
        Answer::Result { mut result, is_error, bytes } => {
            if !obligations.redact.is_empty() {
                redact(&obligations.redact, &mut result)?;
            }
            is_small(obligations, &result)?;
            Ok(Answer::Result { result, is_error, bytes })
        }
        Answer::RpcError { code, .. } => {
            let message = "the server's error is not shown, by policy".to_owned();
            Ok(Answer::RpcError { code, message, data: None })
        }
        Answer::InputRequired(_) | Answer::Task(_) if !obligations.redact.is_empty() => {
            Err("policy redacts fields of it, and it is no result")
        }
        Answer::Task(task) => is_small(obligations, &task.result).map(|()| Answer::Task(task)),
        Answer::InputRequired(asks) => {
            is_small(obligations, &asks.clone().into_result()).map(|()| Answer::InputRequired(asks))
        }
    }
}

fn is_small(obligations: &Obligations, result: &Object) -> Result<(), &'static str> {
    let is_larger = |most| u64::try_from(result.to_text().len()).is_ok_and(|size| size > most);
    match obligations.result_bytes_max {
        Some(most) if is_larger(most) => Err("it is larger than policy lets it be"),
        Some(_) | None => Ok(()),
    }
}

const NOT_JSON: &str = "policy redacts fields of it, and it is not JSON";
/// How often a text may be JSON in JSON.
const WRAPPED_MAX: u8 = 8;
/// The lists of blocks of results: of tools, of resources, of prompts.
const BLOCKS: [&str; 3] = ["content", "contents", "messages"];

type Shown<T> = Result<T, &'static str>;

/// Redacts the members called so, wherever they are: also in texts that are JSON themselves. A text for the model that is
/// not could say anything.
fn redact(names: &BTreeSet<String>, result: &mut Object) -> Shown<()> {
    for (name, value) in std::mem::take(result).iter() {
        let value = match (name, value) {
            (list, Json::Array(blocks)) if BLOCKS.contains(&list) => blocks_of(names, blocks)?,
            (list, _) if BLOCKS.contains(&list) => return Err(NOT_JSON),
            // Of a prompt.
            ("description", Json::String(text)) => text_of(names, text)?,
            ("completion", Json::Object(completion)) if has_any(completion, "values") => {
                return Err(NOT_JSON);
            }
            ("structuredContent", whole) => structured(names, whole)?,
            _ => value_of(names, name, value)?,
        };
        result.set(name, value);
    }
    Ok(())
}

fn has_any(of: &Object, list: &str) -> bool {
    of.get(list).is_some_and(|list| list.as_array().is_none_or(|list| !list.is_empty()))
}

/// What is nothing but a text that was wrapped is one.
fn structured(names: &BTreeSet<String>, whole: &Json) -> Shown<Json> {
    let is_alone = whole.as_object().is_some_and(|members| members.len() == 1);
    match whole.get("result") {
        Some(Json::String(text)) if is_alone && !names.contains("result") => {
            Ok(Object::default().with("result", text_of(names, text)?).into())
        }
        _ => value_of(names, "structuredContent", whole),
    }
}

fn blocks_of(names: &BTreeSet<String>, blocks: &[Json]) -> Shown<Json> {
    let blocks = blocks.iter().map(|block| block_of(names, block));
    Ok(Json::Array(blocks.collect::<Shown<Vec<_>>>()?))
}

/// A block of content: a text, a resource with one, or a message with blocks. Not a picture, a sound, a file.
fn block_of(names: &BTreeSet<String>, block: &Json) -> Shown<Json> {
    let Json::Object(block) = block else { return Err(NOT_JSON) };
    let mut shown = Object::default();
    let mut has_text = false;
    for (name, value) in block.iter() {
        let value = match (name, value) {
            ("data" | "blob", _) => return Err(NOT_JSON),
            ("text", Json::String(text)) => text_of(names, text)?,
            ("content" | "resource", Json::Object(_)) => block_of(names, value)?,
            ("content", Json::Array(blocks)) => blocks_of(names, blocks)?,
            _ => {
                shown.set(name, value_of(names, name, value)?);
                continue;
            }
        };
        has_text = true;
        shown.set(name, value);
    }
    if has_text { Ok(shown.into()) } else { Err(NOT_JSON) }
}

/// A text that has no name, so that nobody can tell what it is of unless it is JSON.
fn text_of(names: &BTreeSet<String>, text: &str) -> Shown<Json> {
    Ok(inside(names, text, WRAPPED_MAX)?.ok_or(NOT_JSON)?.into())
}

fn value_of(names: &BTreeSet<String>, name: &str, value: &Json) -> Shown<Json> {
    members_of(names, name, value, WRAPPED_MAX)
}

fn members_of(names: &BTreeSet<String>, name: &str, value: &Json, wrapped: u8) -> Shown<Json> {
    if names.contains(name) {
        return Ok(REDACTED.into());
    }
    Ok(match value {
        Json::Object(members) => {
            let mut shown = Object::default();
            for (name, value) in members.iter() {
                shown.set(name, members_of(names, name, value, wrapped)?);
            }
            shown.into()
        }
        Json::Array(elements) => {
            let elements = elements.iter().map(|element| members_of(names, "", element, wrapped));
            Json::Array(elements.collect::<Shown<Vec<_>>>()?)
        }
        // Servers wrap their texts.
        Json::String(text) => {
            inside(names, text, wrapped)?.map_or_else(|| value.clone(), Json::from)
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => value.clone(),
    })
}

/// A text that is JSON, redacted. `None` if it is none, and not meant to be.
fn inside(names: &BTreeSet<String>, text: &str, wrapped: u8) -> Shown<Option<String>> {
    let limits = JsonLimits::of_bytes(text.len());
    let left = || wrapped.checked_sub(1).ok_or(NOT_JSON);
    match read_relayed(text.as_bytes(), &limits) {
        Ok(json @ (Json::Object(_) | Json::Array(_))) => {
            Ok(Some(members_of(names, "", &json, left()?)?.to_text()))
        }
        Ok(Json::String(inner)) => {
            Ok(inside(names, &inner, left()?)?.map(|inner| Json::from(inner).to_text()))
        }
        Ok(Json::Null | Json::Bool(_) | Json::Number(_)) => Ok(None),
        Err(_) if names.iter().any(|name| may_have(text, name)) => Err(NOT_JSON),
        Err(_) => Ok(None),
    }
}

/// Whether a text that is no JSON could be taken for some in which a member is called so: several documents, one that is
/// cut off or too deep, another language's.
fn may_have(text: &str, name: &str) -> bool {
    let begins =
        text.trim_start_matches(|first: char| first.is_whitespace() || first == '\u{feff}');
    let is_like_json = begins.starts_with(['{', '[', '"']);
    text.contains(&*Json::from(name).to_text())
        || (is_like_json && (text.contains(name) || text.contains("\\u")))
}

#[cfg(test)]
mod tests {
    use callgate_mcp::message::InputRequired;
    use callgate_model::json::read;

    use super::*;

    fn obliges(redact: &[&str], most: Option<u64>) -> Obligations {
        let redact = redact.iter().map(|name| (*name).to_owned()).collect();
        Obligations { redact, result_bytes_max: most, ..Obligations::default() }
    }

    fn told(obligations: &Obligations, result: &str) -> Result<String, &'static str> {
        let most = 4 << 20;
        let limits =
            JsonLimits { bytes_max: most, string_bytes_max: most, ..JsonLimits::default() };
        let result = read(result.as_bytes(), &limits).unwrap();
        let result = result.as_object().unwrap().clone();
        let answer = Answer::Result { result, is_error: false, bytes: 0 };
        match shown(obligations, answer)? {
            Answer::Result { result, .. } => Ok(result.to_text()),
            other @ (Answer::InputRequired(_) | Answer::Task(_) | Answer::RpcError { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    #[test]
    fn members_are_redacted_wherever_they_are() {
        let obligations = obliges(&["email"], None);
        let result = r#"{"content":[{"type":"text","text":"{\"who\":{\"email\":\"a@b\",\"name\":\"Ada\"},\"all\":[{\"email\":7}]}"}],"structuredContent":{"result":"{\"email\":\"a@b\"}","email":["a@b"]},"_meta":{"x":{"email":null}}}"#;
        let shown = told(&obligations, result).unwrap();
        assert!(!shown.contains("a@b") && shown.contains("Ada"), "{shown}");
        assert_eq!(shown.matches("email").count(), 5, "that there is one is shown: {shown}");
        assert_eq!(shown.matches("[redacted]").count(), 5, "{shown}");
        let resource = r#"{"contents":[{"uri":"x://y","mimeType":"application/json","text":"{\"email\":\"a@b\"}"}]}"#;
        assert!(!told(&obligations, resource).unwrap().contains("a@b"));
        let prompt = r#"{"messages":[{"role":"user","content":{"type":"text","text":"[{\"email\":\"a@b\"}]"}}]}"#;
        assert!(!told(&obligations, prompt).unwrap().contains("a@b"));
    }

    #[test]
    fn i5_what_cannot_be_redacted_is_not_shown_at_all() {
        let obligations = obliges(&["email"], None);
        for result in [
            r#"{"content":[{"type":"text","text":"email: a@b"}]}"#,
            r#"{"content":[{"type":"text","text":"{\"email\":1}"},{"type":"text","text":"and a@b"}]}"#,
            r#"{"content":[{"type":"text","text":"\"email a@b\""}]}"#,
            r#"{"content":[{"type":"image","data":"AAAA","mimeType":"image/png"}]}"#,
            r#"{"content":[{"type":"resource","resource":{"uri":"x://y","blob":"AAAA"}}]}"#,
            r#"{"content":["email a@b"]}"#,
            r#"{"contents":[{"uri":"x://y","text":"email a@b"}]}"#,
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"email a@b"}}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"email a@b"}]}]}"#,
            r#"{"description":"of a@b","messages":[]}"#,
            r#"{"content":"email a@b"}"#,
            r#"{"content":[],"structuredContent":{"result":"email a@b"}}"#,
            r#"{"completion":{"values":["a@b"]}}"#,
            r#"{"completion":{"values":"a@b"}}"#,
            r#"{"contents":[{"uri":"x://y","text":"{}","blob":"AAAA"}]}"#,
            r#"{"content":[{"type":"text","text":"{}","data":"AAAA"}]}"#,
            // Nearly JSON, beside what is.
            r#"{"structuredContent":{"a":"{\"email\":1}\n{\"email\":2}"}}"#,
            r#"{"structuredContent":{"a":"{\"email\":\"a@b\",}"}}"#,
            r#"{"structuredContent":{"a":"{'email':'a@b'}"}}"#,
            r#"{"structuredContent":{"a":" [{email:1}]"}}"#,
            r#"{"structuredContent":{"a":"{\"em\\u0061il\":\"a@b\",}"}}"#,
            r#"{"structuredContent":{"a":"data: {\"email\":\"a@b\"}"}}"#,
            r#"{"structuredContent":{"a":"{\"email\":1,\"email\":2}"}}"#,
        ] {
            assert_eq!(told(&obligations, result), Err(NOT_JSON), "{result}");
        }
        let error =
            Answer::RpcError { code: -32000, message: "a@b".to_owned(), data: Some("a@b".into()) };
        assert!(!format!("{:?}", shown(&obligations, error).unwrap()).contains("a@b"));
    }

    #[test]
    fn what_is_json_is_redacted_however_large_it_is_and_however_often_it_was_wrapped() {
        let obligations = obliges(&["email"], None);
        let of = |text: &str| {
            let block = Object::default().with("type", "text").with("text", text);
            let blocks = Json::Array(vec![block.into()]);
            told(&obligations, &Object::default().with("content", blocks).to_text())
        };
        let many = format!("[{}{{}}]", r#"{"email":"a@b"},"#.repeat(11_000));
        let shown = of(&many).unwrap();
        assert!(!shown.contains("a@b") && shown.matches("[redacted]").count() == 11_000);
        let long = Object::default().with("text", "x".repeat(300_000)).with("email", "a@b");
        assert!(!of(&long.to_text()).unwrap().contains("a@b"));
        let mut wrapped = r#"{"email":"a@b","name":"Ada"}"#.to_owned();
        for times in 0..WRAPPED_MAX {
            let shown = of(&wrapped).unwrap();
            assert!(!shown.contains("a@b") && shown.contains("Ada"), "{times}: {shown}");
            wrapped = Json::from(wrapped).to_text();
        }
        assert_eq!(of(&wrapped), Err(NOT_JSON), "more often than anybody does");
        let deep = format!("{}{{\"email\":1}}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(of(&deep), Err(NOT_JSON));
    }

    /// Fields of results are seldom JSON, and often begin as if they were.
    #[test]
    fn a_field_that_is_only_prose_is_shown() {
        let obligations = obliges(&["email"], None);
        for prose in ["[Backend] it fails", "{draft}", "\"quoted\" text", "42", "his email", ""] {
            let whole = Object::default().with("summary", prose);
            let result = Object::default().with("structuredContent", whole);
            assert_eq!(told(&obligations, &result.to_text()).unwrap(), result.to_text());
        }
    }

    #[test]
    fn what_is_too_large_is_not_shown() {
        let result = r#"{"content":[]}"#;
        assert!(told(&obliges(&[], Some(14)), result).is_ok());
        assert!(told(&obliges(&[], Some(13)), result).is_err());
        let asks = || {
            let required = InputRequired { requests: None, state: Some("x".repeat(100)) };
            Answer::InputRequired(required)
        };
        assert!(shown(&obliges(&[], Some(200)), asks()).is_ok());
        assert!(shown(&obliges(&[], Some(100)), asks()).is_err());
        assert!(shown(&obliges(&["email"], None), asks()).is_err());
    }
}
