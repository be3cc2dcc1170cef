//! The parameters of the methods that ask for one prompt or one resource, by their exact names only.

use callgate_model::json::{Json, Object};

use super::tools_call::{object, refused};
use super::{InvalidParams, Round, shown};

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The prompt of that name.
    Prompt(String),
    /// The resource of that URI; to complete its arguments, the template.
    Resource(String),
}

/// The parameters of `prompts/get`, `resources/read` or `completion/complete`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectParams {
    /// What they are about.
    pub subject: Subject,
    /// All of them but `_meta` and what is added when it is not the first time.
    pub params: Object,
    /// That.
    pub round: Round,
}

impl Subject {
    /// Its name or URI.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Prompt(name) | Self::Resource(name) => name,
        }
    }
}

impl SubjectParams {
    /// Reads those of `prompts/get`. A member of any other name is refused, as in those of a tool.
    ///
    /// # Errors
    /// [`InvalidParams`] with the member at fault.
    pub fn of_prompt(mut params: Object) -> Result<Self, InvalidParams> {
        let round = Round::take(&mut params)?;
        texts(&params, "arguments")?;
        let subject = Subject::Prompt(text(&params, "name")?);
        Self::read(subject, params, &["name", "arguments"], round)
    }

    /// Reads those of `resources/read`.
    ///
    /// # Errors
    /// [`InvalidParams`] with the member at fault.
    pub fn of_resource(mut params: Object) -> Result<Self, InvalidParams> {
        let round = Round::take(&mut params)?;
        let subject = Subject::Resource(text(&params, "uri")?);
        Self::read(subject, params, &["uri"], round)
    }

    /// Reads those of `completion/complete`.
    ///
    /// # Errors
    /// [`InvalidParams`] with the member at fault.
    pub fn of_completion(params: Object) -> Result<Self, InvalidParams> {
        check_argument(&params)?;
        let subject = reference(&params)?;
        Self::read(subject, params, &["ref", "argument", "context"], Round::default())
    }

    fn read(
        subject: Subject,
        mut params: Object,
        known: &[&str],
        round: Round,
    ) -> Result<Self, InvalidParams> {
        object(&mut params, "_meta")?;
        only(&params, known)?;
        Ok(Self { subject, params, round })
    }
}

/// What is to be completed.
fn reference(params: &Object) -> Result<Subject, InvalidParams> {
    let Some(Json::Object(reference)) = params.get("ref") else {
        return Err(refused("`ref` must be an object".to_owned()));
    };
    let (known, subject): (&[&str], _) = match reference.get("type").and_then(Json::as_str) {
        Some("ref/prompt") => {
            (&["type", "name", "title"], Subject::Prompt(text(reference, "name")?))
        }
        Some("ref/resource") => (&["type", "uri"], Subject::Resource(text(reference, "uri")?)),
        _ => return Err(refused("`type` must be `ref/prompt` or `ref/resource`".to_owned())),
    };
    only(reference, known)?;
    Ok(subject)
}

/// The argument whose values are wanted, and those that are known already.
fn check_argument(params: &Object) -> Result<(), InvalidParams> {
    let Some(Json::Object(argument)) = params.get("argument") else {
        return Err(refused("`argument` must be an object".to_owned()));
    };
    text(argument, "name")?;
    text(argument, "value")?;
    only(argument, &["name", "value"])?;
    match params.get("context") {
        None => Ok(()),
        Some(Json::Object(context)) => {
            texts(context, "arguments")?;
            only(context, &["arguments"])
        }
        Some(_) => Err(refused("`context` must be an object".to_owned())),
    }
}

fn text(params: &Object, name: &str) -> Result<String, InvalidParams> {
    let text = params.get(name).and_then(Json::as_str);
    text.map(str::to_owned).ok_or_else(|| refused(format!("`{name}` must be a string")))
}

/// Arguments of prompts are texts, all of them.
fn texts(params: &Object, name: &str) -> Result<(), InvalidParams> {
    let are_texts = params.get(name).is_none_or(|arguments| {
        let mut members = arguments.as_object().map(Object::iter);
        members.as_mut().is_some_and(|members| members.all(|(_, value)| value.as_str().is_some()))
    });
    if are_texts { Ok(()) } else { Err(refused(format!("`{name}` must be an object of strings"))) }
}

fn only(params: &Object, known: &[&str]) -> Result<(), InvalidParams> {
    match params.iter().find(|(name, _)| !known.contains(name)) {
        Some((name, _)) => Err(refused(format!("{} is not known here", shown(name)))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use callgate_model::json::{JsonLimits, read};

    use super::*;

    type Reader = fn(Object) -> Result<SubjectParams, InvalidParams>;

    const PROMPT: Reader = SubjectParams::of_prompt;
    const RESOURCE: Reader = SubjectParams::of_resource;
    const COMPLETION: Reader = SubjectParams::of_completion;

    fn params(reader: Reader, text: &str) -> Result<SubjectParams, InvalidParams> {
        let params = read(text.as_bytes(), &JsonLimits::default()).unwrap();
        reader(params.as_object().unwrap().clone())
    }

    #[test]
    fn parameters_are_kept_as_they_are_but_for_meta() {
        for (reader, text, subject) in [
            (
                PROMPT,
                r#"{"name":"é","arguments":{"b":"1","a":""}}"#,
                Subject::Prompt("é".to_owned()),
            ),
            (RESOURCE, r#"{"uri":"a:b"}"#, Subject::Resource("a:b".to_owned())),
            (
                COMPLETION,
                r#"{"ref":{"type":"ref/prompt","name":"p","title":"P"},"argument":{"name":"a","value":""}}"#,
                Subject::Prompt("p".to_owned()),
            ),
            (
                COMPLETION,
                r#"{"ref":{"type":"ref/resource","uri":"a:{b}"},"argument":{"name":"b","value":"x"},"context":{"arguments":{"c":"d"}}}"#,
                Subject::Resource("a:{b}".to_owned()),
            ),
        ] {
            let with_meta = format!(r#"{},"_meta":{{"k":1}}}}"#, text.strip_suffix('}').unwrap());
            let read = params(reader, &with_meta).unwrap();
            assert_eq!((read.subject, Json::from(read.params).to_text()), (subject, text.into()));
        }
    }

    #[test]
    fn p02_other_names_and_types_are_refused() {
        for (reader, text) in [
            (RESOURCE, "{}"),
            (RESOURCE, r#"{"uri":7}"#),
            (RESOURCE, r#"{"uri":"a:b","Uri":"a:c"}"#),
            (RESOURCE, r#"{"uri":"a:b","requestState":7}"#),
            (RESOURCE, r#"{"uri":"a:b","_meta":7}"#),
            (PROMPT, r#"{"name":"p","arguments":{"a":1}}"#),
            (PROMPT, r#"{"name":"p","arguments":[]}"#),
            (PROMPT, r#"{"name":"p","inputResponses":[]}"#),
            (PROMPT, r#"{"arguments":{}}"#),
            (COMPLETION, r#"{"argument":{"name":"a","value":""}}"#),
            (COMPLETION, r#"{"ref":{"type":"ref/prompt","name":"p"}}"#),
            (
                COMPLETION,
                r#"{"ref":{"type":"ref/tool","name":"p"},"argument":{"name":"a","value":""}}"#,
            ),
            (
                COMPLETION,
                r#"{"ref":{"type":"ref/prompt","name":"p","uri":"a:b"},"argument":{"name":"a","value":""}}"#,
            ),
            (
                COMPLETION,
                r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"","Name":"b"}}"#,
            ),
            (
                COMPLETION,
                r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""},"context":{"x":1}}"#,
            ),
        ] {
            assert!(params(reader, text).is_err(), "{text}");
        }
    }
}
