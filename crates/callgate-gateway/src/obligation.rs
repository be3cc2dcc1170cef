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
        asks @ Answer::InputRequired(_) => Ok(asks),
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

/// Redacts the members called so, wherever they are: also in texts that are JSON themselves. A text for the model that is
/// not could say anything.
fn redact(names: &BTreeSet<String>, result: &mut Object) -> Result<(), &'static str> {
    for list in ["content", "contents", "messages"] {
        let Some(Json::Array(blocks)) = result.remove(list) else { continue };
        let blocks = blocks.into_iter().map(|block| block_of(names, block));
        result.set(list, blocks.collect::<Result<Vec<_>, _>>()?);
    }
    let rest = std::mem::take(result);
    for (name, value) in rest.iter() {
        let is_done = ["content", "contents", "messages"].contains(&name);
        result.set(name, if is_done { value.clone() } else { value_of(names, name, value) });
    }
    Ok(())
}

/// A block of content: a text, a resource with one, or a message with a block.
fn block_of(names: &BTreeSet<String>, block: Json) -> Result<Json, &'static str> {
    let Json::Object(block) = block else { return Err(NOT_JSON) };
    let mut shown = Object::default();
    let mut has_text = false;
    for (name, value) in block.iter() {
        let value = match (name, value) {
            ("text", Json::String(text)) => {
                has_text = true;
                inside(names, text).ok_or(NOT_JSON)?.into()
            }
            ("content" | "resource", Json::Object(_)) => {
                has_text = true;
                block_of(names, value.clone())?
            }
            _ => value_of(names, name, value),
        };
        shown.set(name, value);
    }
    // A picture, a sound, a file.
    if has_text { Ok(shown.into()) } else { Err(NOT_JSON) }
}

fn value_of(names: &BTreeSet<String>, name: &str, value: &Json) -> Json {
    if names.contains(name) {
        return REDACTED.into();
    }
    match value {
        Json::Object(members) => {
            let mut shown = Object::default();
            members.iter().for_each(|(name, value)| shown.set(name, value_of(names, name, value)));
            shown.into()
        }
        Json::Array(elements) => {
            Json::Array(elements.iter().map(|element| value_of(names, "", element)).collect())
        }
        // Servers wrap their texts.
        Json::String(text) => inside(names, text).map_or_else(|| value.clone(), Json::from),
        Json::Null | Json::Bool(_) | Json::Number(_) => value.clone(),
    }
}

/// A text that is JSON, redacted. `None` if it is none.
fn inside(names: &BTreeSet<String>, text: &str) -> Option<String> {
    let json = read_relayed(text.as_bytes(), &JsonLimits::default()).ok()?;
    let is_document = matches!(json, Json::Object(_) | Json::Array(_));
    is_document.then(|| value_of(names, "", &json).to_text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_model::json::read;

    fn obliges(redact: &[&str], most: Option<u64>) -> Obligations {
        let redact = redact.iter().map(|name| (*name).to_owned()).collect();
        Obligations { redact, result_bytes_max: most, ..Obligations::default() }
    }

    fn told(obligations: &Obligations, result: &str) -> Result<String, &'static str> {
        let result = read(result.as_bytes(), &JsonLimits::default()).unwrap();
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
        ] {
            assert_eq!(told(&obligations, result), Err(NOT_JSON), "{result}");
        }
        let error =
            Answer::RpcError { code: -32000, message: "a@b".to_owned(), data: Some("a@b".into()) };
        assert!(!format!("{:?}", shown(&obligations, error).unwrap()).contains("a@b"));
    }

    #[test]
    fn what_is_too_large_is_not_shown() {
        let result = r#"{"content":[]}"#;
        assert!(told(&obliges(&[], Some(14)), result).is_ok());
        assert!(told(&obliges(&[], Some(13)), result).is_err());
    }
}
