//! What a server can answer to a call, within what the client declared.

use callgate_model::json::{Json, Object};

use super::CallErrorKind;
use super::exchange::Reply;
use crate::message::{InputRequired, RpcError, Task};

/// What a server answers to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A complete result.
    Result {
        /// As it was given.
        result: Object,
        /// Whether a tool says that it failed.
        is_error: bool,
        /// Its size on the wire.
        bytes: usize,
    },
    /// It needs more before it can answer.
    InputRequired(InputRequired),
    /// It has made a task of the call; or this is what was asked of a task.
    Task(Task),
    /// A JSON-RPC error.
    RpcError {
        /// What kind of error.
        code: i64,
        /// For people.
        message: String,
        /// For programs.
        data: Option<Json>,
    },
}

/// Reads the answer to a call of `method`. `declared` is what the server was told with it, in the modern era.
pub(super) fn read_answer(
    reply: Reply,
    method: &str,
    declared: Option<&Object>,
) -> Result<Answer, CallErrorKind> {
    let result = match reply.outcome {
        Ok(result) => result,
        Err(RpcError { code, message, data }) => {
            return Ok(Answer::RpcError { code, message, data });
        }
    };
    if let Some(declared) = declared {
        let answer = match (result.get("resultType").and_then(Json::as_str), method) {
            (Some("input_required"), _) => {
                Some(InputRequired::read(result.clone(), declared).map(Answer::InputRequired))
            }
            // Nothing said means that it is complete.
            (Some("task"), "tools/call") | (Some("complete") | None, "tasks/get") => {
                Some(Task::read(result.clone(), declared).map(Answer::Task))
            }
            (Some(_) | None, _) => None,
        };
        if let Some(answer) = answer {
            return answer.map_err(CallErrorKind::NotMcp);
        }
    }
    refuse_incomplete(&result)?;
    let is_error = match result.get("isError") {
        None => false,
        Some(Json::Bool(is_error)) => *is_error,
        Some(_) => return Err(CallErrorKind::NotMcp("`isError` is not a boolean".to_owned())),
    };
    Ok(Answer::Result { result, is_error, bytes: reply.bytes })
}

/// A list is complete, and of calls nothing else was asked for; relayed, older clients would take it for an empty
/// success.
pub(super) fn refuse_incomplete(result: &Object) -> Result<(), CallErrorKind> {
    match result.get("resultType") {
        None => Ok(()),
        Some(Json::String(kind)) if kind == "complete" => Ok(()),
        Some(_) => Err(CallErrorKind::NotMcp("the result is not complete".to_owned())),
    }
}
