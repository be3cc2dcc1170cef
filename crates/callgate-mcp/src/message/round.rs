//! Multi-round requests (2026-07-28): a server answers that it needs more, and the client asks again with it.

use callgate_model::json::{Json, Object};

use super::InvalidParams;
use super::tools_call::refused;
use crate::limits::{INPUT_REQUESTS_MAX, REQUEST_STATE_BYTES_MAX};

/// What a client adds when it asks again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Answers to what the last result asked for, by its keys.
    pub responses: Option<Object>,
    /// The state of the last result, untrusted.
    pub state: Option<String>,
}

/// What a server needs before it can answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputRequired {
    /// What it asks the client for, by keys of its own; every one within what was declared.
    pub requests: Option<Object>,
    /// What it wants to be given back.
    pub state: Option<String>,
}

impl Round {
    /// Takes its members out of `params`.
    pub(super) fn take(params: &mut Object) -> Result<Self, InvalidParams> {
        let responses = match params.remove("inputResponses") {
            None => None,
            Some(Json::Object(responses)) => Some(responses),
            Some(_) => return Err(refused("`inputResponses` must be an object".to_owned())),
        };
        let state = match params.remove("requestState") {
            None => None,
            Some(Json::String(state)) if state.len() <= 2 * REQUEST_STATE_BYTES_MAX => Some(state),
            Some(_) => return Err(refused("`requestState` must be a short string".to_owned())),
        };
        Ok(Self { responses, state })
    }

    /// Puts its members into `params`.
    pub(crate) fn write(&self, params: &mut Object) {
        if let Some(responses) = &self.responses {
            params.set("inputResponses", responses.clone());
        }
        if let Some(state) = &self.state {
            params.set("requestState", state.as_str());
        }
    }
}

impl InputRequired {
    /// Reads the result of a server that was told `capabilities`. What it may not ask for is not passed on: a client of
    /// whom more is asked than it declared fails, or takes it for an empty success.
    pub(crate) fn read(mut result: Object, capabilities: &Object) -> Result<Self, String> {
        let requests = match result.remove("inputRequests") {
            None => None,
            Some(Json::Object(requests)) if requests.len() <= INPUT_REQUESTS_MAX => Some(requests),
            Some(_) => return Err("`inputRequests` is not an object of few".to_owned()),
        };
        for (_, request) in requests.iter().flat_map(Object::iter) {
            let method = request.get("method").and_then(Json::as_str);
            let params = request.get("params");
            if !method.is_some_and(|method| may_ask(method, params, capabilities)) {
                return Err("it asks for what the client does not offer".to_owned());
            }
        }
        let state = match result.remove("requestState") {
            None => None,
            Some(Json::String(state)) if state.len() <= REQUEST_STATE_BYTES_MAX => Some(state),
            Some(_) => return Err("`requestState` is not a short string".to_owned()),
        };
        if requests.is_none() && state.is_none() {
            return Err("it needs input and does not say which".to_owned());
        }
        Ok(Self { requests, state })
    }

    /// The result that asks a client for it.
    #[must_use]
    pub fn into_result(self) -> Object {
        let mut result = Object::default().with("resultType", "input_required");
        if let Some(requests) = self.requests {
            result.set("inputRequests", requests);
        }
        if let Some(state) = self.state {
            result.set("requestState", state);
        }
        result
    }
}

/// Whether a server that was told `capabilities` may ask for this.
pub(crate) fn may_ask(method: &str, params: Option<&Json>, capabilities: &Object) -> bool {
    match method {
        "elicitation/create" => capabilities.get("elicitation").is_some_and(|declared| {
            let mode = params.and_then(|params| params.get("mode"));
            match mode.map(Json::as_str) {
                // No mode at all is the form.
                None | Some(Some("form")) => {
                    declared.as_object().is_some_and(Object::is_empty)
                        || declared.get("form").is_some()
                }
                Some(Some("url")) => declared.get("url").is_some(),
                Some(_) => false,
            }
        }),
        "sampling/createMessage" => capabilities.get("sampling").is_some_and(|declared| {
            let has_tools = params.and_then(|params| params.get("tools")).is_some();
            !has_tools || declared.get("tools").is_some()
        }),
        "roots/list" => capabilities.get("roots").is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_model::json::{JsonLimits, read};

    fn object(text: &str) -> Object {
        read(text.as_bytes(), &JsonLimits::default()).unwrap().as_object().unwrap().clone()
    }

    #[test]
    fn only_what_was_declared_may_be_asked_for() {
        let asks = |method: &str, capabilities: &str| {
            let request = format!(
                r#"{{"resultType":"input_required","inputRequests":{{"k":{{"method":{method}}}}}}}"#
            );
            InputRequired::read(object(&request), &object(capabilities)).is_ok()
        };
        let form = r#""elicitation/create","params":{"mode":"form"}"#;
        let url = r#""elicitation/create","params":{"mode":"url","url":"https://a.b"}"#;
        for (method, capabilities, expected) in [
            (r#""elicitation/create""#, r#"{"elicitation":{}}"#, true),
            (form, r#"{"elicitation":{}}"#, true),
            (form, r#"{"elicitation":{"form":{}}}"#, true),
            (form, r#"{"elicitation":{"url":{}}}"#, false),
            (url, r#"{"elicitation":{}}"#, false),
            (url, r#"{"elicitation":{"form":{},"url":{}}}"#, true),
            (r#""elicitation/create","params":{"mode":7}"#, r#"{"elicitation":{}}"#, false),
            (form, "{}", false),
            (r#""sampling/createMessage""#, r#"{"elicitation":{}}"#, false),
            (r#""sampling/createMessage""#, r#"{"sampling":{}}"#, true),
            (r#""sampling/createMessage","params":{"tools":[]}"#, r#"{"sampling":{}}"#, false),
            (
                r#""sampling/createMessage","params":{"tools":[]}"#,
                r#"{"sampling":{"tools":{}}}"#,
                true,
            ),
            (r#""roots/list""#, r#"{"roots":{}}"#, true),
            (r#""tools/call""#, r#"{"roots":{},"sampling":{},"elicitation":{}}"#, false),
            ("7", r#"{"roots":{}}"#, false),
        ] {
            assert_eq!(asks(method, capabilities), expected, "{method} {capabilities}");
        }
    }

    #[test]
    fn a_result_that_needs_nothing_or_too_much_is_refused() {
        let read = |text: &str| InputRequired::read(object(text), &object(r#"{"roots":{}}"#));
        assert_eq!(read(r#"{"requestState":"s"}"#).unwrap().state.as_deref(), Some("s"));
        let many: Vec<_> = (0..=INPUT_REQUESTS_MAX)
            .map(|n| format!(r#""{n}":{{"method":"roots/list"}}"#))
            .collect();
        let long = "x".repeat(REQUEST_STATE_BYTES_MAX + 1);
        for text in [
            "{}".to_owned(),
            r#"{"inputRequests":[]}"#.to_owned(),
            r#"{"requestState":7}"#.to_owned(),
            format!(r#"{{"inputRequests":{{{}}}}}"#, many.join(",")),
            format!(r#"{{"requestState":"{long}"}}"#),
        ] {
            assert!(read(&text).is_err(), "{}", text.chars().take(80).collect::<String>());
        }
    }
}
