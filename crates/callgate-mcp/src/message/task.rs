//! Tasks (the extension `io.modelcontextprotocol/tasks`): a server takes a call on instead of answering it, and is asked for
//! its end later.

use callgate_model::json::{Json, Object};

use super::tools_call::{object, refused};
use super::{InvalidParams, may_ask, shown};
use crate::extension;
use crate::limits::{INPUT_REQUESTS_MAX, TOKEN_BYTES_MAX};

/// A task, as its server describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What the server calls it.
    pub id: String,
    /// How far it is.
    pub status: TaskStatus,
    /// All of the description.
    pub result: Object,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// It was given up.
    Cancelled,
    /// It has a result, perhaps one that says that the tool failed.
    Completed,
    /// It has an error.
    Failed,
    /// It waits for the client.
    InputRequired,
    /// It goes on.
    Working,
}

/// The parameters of `tasks/get`, `tasks/update` or `tasks/cancel`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskParams {
    /// The task, as the client calls it.
    pub id: String,
    /// What answers the questions of the task.
    pub responses: Option<Object>,
}

impl Task {
    /// Reads what a server that was told `capabilities` says of a task: in place of an answer, or asked for it. What it may
    /// not ask the client for is not passed on.
    pub(crate) fn read(result: Object, capabilities: &Object) -> Result<Self, String> {
        if !extension::is_declared(capabilities, extension::TASKS) {
            return Err("it makes a task of what was not declared to be one".to_owned());
        }
        let id = match result.get("taskId").and_then(Json::as_str) {
            Some(id) if (1..=TOKEN_BYTES_MAX).contains(&id.len()) => id.to_owned(),
            Some(_) | None => return Err("`taskId` is not a short string".to_owned()),
        };
        let status = match result.get("status").and_then(Json::as_str) {
            Some("cancelled") => TaskStatus::Cancelled,
            Some("completed") => TaskStatus::Completed,
            Some("failed") => TaskStatus::Failed,
            Some("input_required") => TaskStatus::InputRequired,
            Some("working") => TaskStatus::Working,
            Some(_) | None => return Err("`status` is not one of a task".to_owned()),
        };
        let requests = match result.get("inputRequests") {
            None => None,
            Some(Json::Object(requests)) if requests.len() <= INPUT_REQUESTS_MAX => Some(requests),
            Some(_) => return Err("`inputRequests` is not an object of few".to_owned()),
        };
        for (_, request) in requests.iter().flat_map(|requests| requests.iter()) {
            let method = request.get("method").and_then(Json::as_str).unwrap_or_default();
            if !may_ask(method, request.get("params"), capabilities) {
                return Err("it asks for what the client does not offer".to_owned());
            }
        }
        Ok(Self { id, status, result })
    }

    /// Its result, if it has one.
    #[must_use]
    pub fn outcome(&self) -> Option<&Object> {
        self.result.get("result").and_then(Json::as_object)
    }

    /// How long it is kept, in milliseconds, as far as its server says.
    #[must_use]
    pub fn ttl_ms(&self) -> Option<u64> {
        let ttl = self.result.get("ttlMs").and_then(Json::as_number)?.as_i64()?;
        u64::try_from(ttl).ok()
    }

    /// The description under another id.
    #[must_use]
    pub fn called(mut self, id: &str) -> Object {
        self.result.set("taskId", id);
        self.result
    }
}

impl TaskParams {
    /// Reads them; with answers, if they are those of `tasks/update`.
    ///
    /// # Errors
    /// [`InvalidParams`] with the member at fault.
    pub fn read(mut params: Object, updates: bool) -> Result<Self, InvalidParams> {
        let id = match params.remove("taskId") {
            Some(Json::String(id)) if (1..=TOKEN_BYTES_MAX).contains(&id.len()) => id,
            _ => return Err(refused("`taskId` must be a short string".to_owned())),
        };
        object(&mut params, "_meta")?;
        let responses = match params.remove("inputResponses").filter(|_| updates) {
            Some(Json::Object(responses)) => Some(responses),
            None if !updates => None,
            _ => return Err(refused("`inputResponses` must be an object".to_owned())),
        };
        match params.iter().next() {
            Some((name, _)) => Err(refused(format!("{} is not known here", shown(name)))),
            None => Ok(Self { id, responses }),
        }
    }
}

#[cfg(test)]
mod tests {
    use callgate_model::json::{JsonLimits, read};

    use super::*;

    fn object(text: &str) -> Object {
        read(text.as_bytes(), &JsonLimits::default()).unwrap().as_object().unwrap().clone()
    }

    const DECLARED: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}},"roots":{}}"#;

    #[test]
    fn a_task_is_one_if_it_was_declared_and_says_what_it_must() {
        let task = |text: &str, declared: &str| Task::read(object(text), &object(declared));
        let read =
            task(r#"{"taskId":"t","status":"working","ttlMs":null,"x":1}"#, DECLARED).unwrap();
        assert_eq!(
            (read.id.as_str(), read.status, read.ttl_ms()),
            ("t", TaskStatus::Working, None)
        );
        assert_eq!(
            read.called("ours").to_text(),
            r#"{"taskId":"ours","status":"working","ttlMs":null,"x":1}"#
        );
        let asks = |method: &str| {
            let text = format!(
                r#"{{"taskId":"t","status":"input_required","inputRequests":{{"k":{{"method":"{method}"}}}}}}"#
            );
            task(&text, DECLARED).is_ok()
        };
        assert!(asks("roots/list") && !asks("sampling/createMessage") && !asks("tools/call"));
        for (text, declared) in [
            (r#"{"taskId":"t","status":"working"}"#, r#"{"extensions":{}}"#),
            (r#"{"taskId":"t","status":"done"}"#, DECLARED),
            (r#"{"taskId":"","status":"working"}"#, DECLARED),
            (r#"{"taskId":7,"status":"working"}"#, DECLARED),
            (r#"{"taskId":"t","status":"working","inputRequests":[]}"#, DECLARED),
        ] {
            assert!(task(text, declared).is_err(), "{text}");
        }
    }

    #[test]
    fn p02_other_names_and_types_are_refused() {
        let read = |text: &str, updates| TaskParams::read(object(text), updates);
        assert_eq!(read(r#"{"taskId":"t","_meta":{}}"#, false).unwrap().id, "t");
        let update = read(r#"{"taskId":"t","inputResponses":{"k":{}}}"#, true).unwrap();
        assert_eq!(update.responses.unwrap().len(), 1);
        for (text, updates) in [
            ("{}", false),
            (r#"{"taskId":7}"#, false),
            (r#"{"taskId":"t","TaskId":"u"}"#, false),
            (r#"{"taskId":"t"}"#, true),
            (r#"{"taskId":"t","inputResponses":[]}"#, true),
        ] {
            assert!(read(text, updates).is_err(), "{text}");
        }
    }
}
