//! The tools: their list, their dispatch, and those that only do what they are told.

use std::fs;
use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject,
    LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam, ProtocolVersion,
    Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::server::Notes;
use crate::{asks, tasks};

/// How often a slow tool tells its progress.
const STEPS: u8 = 3;

pub(crate) type Context = RequestContext<RoleServer>;
type Answer = Result<CallToolResponse, ErrorData>;

/// Name, what it does, and its arguments, which are all required.
type Line = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const NAME: &[(&str, &str)] = &[("name", "string")];
const NAME_AND_TEXT: &[(&str, &str)] = &[("name", "string"), ("text", "string")];
const TAKES_A_WHILE: &[(&str, &str)] =
    &[("name", "string"), ("text", "string"), ("seconds", "number")];

const TOOLS: &[Line] = &[
    ("read_note", "Read a note.", NAME),
    ("write_note", "Write a note, or write over it.", NAME_AND_TEXT),
    ("delete_note", "Delete a note.", NAME),
    ("write_slowly", "Write a note, with word of how it goes.", TAKES_A_WHILE),
    ("check_notes", "Look through the notes and log what is found.", &[]),
    ("post_to_board", "Write to the board that others follow.", &[("text", "string")]),
    ("burn_everything", "Delete every note. No catalog knows of it.", &[]),
    ("sign_note", "Ask the user for a name and sign a note with it.", NAME),
    ("summarize_note", "Ask the client's model what a note says.", NAME),
    ("list_roots", "Ask the client for its roots.", &[]),
    ("write_later", "Write a note as a task.", TAKES_A_WHILE),
    ("write_with_consent", "Write a note as a task that asks the user first.", NAME_AND_TEXT),
    ("fail_later", "A task that fails.", &[]),
];

pub(crate) fn list() -> Vec<Tool> {
    TOOLS
        .iter()
        .map(|(name, about, arguments)| Tool::new(*name, *about, schema(arguments)))
        .collect()
}

fn schema(arguments: &[(&str, &str)]) -> JsonObject {
    let property = |(name, kind): &(&str, &str)| ((*name).to_owned(), json!({ "type": kind }));
    let properties: JsonObject = arguments.iter().map(property).collect();
    let required: Vec<&str> = arguments.iter().map(|(name, _)| *name).collect();
    JsonObject::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), properties.into()),
        ("required".to_owned(), json!(required)),
    ])
}

pub(crate) async fn call(notes: &Notes, call: CallToolRequestParams, context: Context) -> Answer {
    match &*call.name {
        "read_note" => read_note(notes, text(&call, "name")?),
        "write_note" => write_note(notes, text(&call, "name")?, text(&call, "text")?),
        "delete_note" => delete_note(notes, text(&call, "name")?),
        "write_slowly" => write_slowly(notes, &call, &context).await,
        "check_notes" => check_notes(notes, &context).await,
        "post_to_board" => {
            notes.board.post(notes, text(&call, "text")?)?;
            Ok(says("posted"))
        }
        "burn_everything" => burn_everything(notes),
        "sign_note" => asks::sign_note(notes, &call, &context).await,
        "summarize_note" => asks::summarize_note(notes, &call, &context).await,
        "list_roots" => asks::list_roots(&call, &context).await,
        "write_later" => tasks::write_later(notes, &call, &context).await,
        "write_with_consent" => tasks::write_with_consent(notes, &call, &context),
        "fail_later" => tasks::fail_later(notes, &context),
        other => Err(ErrorData::invalid_params(format!("Unknown tool: {other}"), None)),
    }
}

fn read_note(notes: &Notes, name: &str) -> Answer {
    let note = fs::read_to_string(notes.file(name));
    Ok(note.map_or_else(|_| failed(format!("there is no note {name}")), says))
}

fn write_note(notes: &Notes, name: &str, text: &str) -> Answer {
    write(notes, name, text)?;
    Ok(says(format!("wrote {name}")))
}

fn delete_note(notes: &Notes, name: &str) -> Answer {
    fs::remove_file(notes.file(name)).map_err(broken)?;
    Ok(says(format!("deleted {name}")))
}

/// The note is there at once, so that a test can see that the work has begun; who gives up is noted.
async fn write_slowly(notes: &Notes, call: &CallToolRequestParams, context: &Context) -> Answer {
    let (name, pause) = (text(call, "name")?, seconds(call)? / u32::from(STEPS));
    write(notes, name, text(call, "text")?)?;
    for step in 1..=STEPS {
        if let Some(token) = context.meta.get_progress_token() {
            let progress = ProgressNotificationParam::new(token, step.into());
            let told = context.peer.notify_progress(progress.with_total(STEPS.into())).await;
            told.map_err(broken)?;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = context.ct.cancelled() => {
                fs::write(notes.folder.join("given-up"), name).map_err(broken)?;
                return Ok(failed("given up"));
            }
        }
    }
    Ok(says(format!("wrote {name}")))
}

/// In the modern era only who asks for a log in this very request gets one.
async fn check_notes(notes: &Notes, context: &Context) -> Answer {
    let names = names(notes)?;
    if !is_modern(context) || context.meta.log_level().is_some() {
        for (level, data) in [
            (LoggingLevel::Info, json!(format!("{} notes", names.len()))),
            (LoggingLevel::Warning, json!({ "nobody": "reads them" })),
        ] {
            let message = LoggingMessageNotificationParam::new(level, data).with_logger("notes");
            context.peer.notify_logging_message(message).await.map_err(broken)?;
        }
    }
    Ok(says(names.join(", ")))
}

fn burn_everything(notes: &Notes) -> Answer {
    for name in names(notes)? {
        fs::remove_file(notes.file(&name)).map_err(broken)?;
    }
    Ok(says("gone"))
}

/// The names of all notes, in order.
pub(crate) fn names(notes: &Notes) -> Result<Vec<String>, ErrorData> {
    let mut names = Vec::new();
    for entry in fs::read_dir(&notes.folder).map_err(broken)? {
        let file = entry.map_err(broken)?.file_name();
        names.extend(file.to_string_lossy().strip_suffix(".txt").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

pub(crate) fn write(notes: &Notes, name: &str, text: &str) -> Result<(), ErrorData> {
    fs::write(notes.file(name), text).map_err(broken)
}

pub(crate) fn is_modern(context: &Context) -> bool {
    context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

pub(crate) fn text<'a>(call: &'a CallToolRequestParams, name: &str) -> Result<&'a str, ErrorData> {
    let value = call.arguments.as_ref().and_then(|arguments| arguments.get(name));
    let missing = || ErrorData::invalid_params(format!("`{name}` is no text"), None);
    value.and_then(Value::as_str).ok_or_else(missing)
}

pub(crate) fn seconds(call: &CallToolRequestParams) -> Result<Duration, ErrorData> {
    let value = call.arguments.as_ref().and_then(|arguments| arguments.get("seconds"));
    let seconds = value.and_then(Value::as_f64).unwrap_or_default();
    let wrong = |error| ErrorData::invalid_params(format!("`seconds`: {error}"), None);
    Duration::try_from_secs_f64(seconds).map_err(wrong)
}

pub(crate) fn says(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

pub(crate) fn failed(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::error(vec![ContentBlock::text(text)]).into()
}

/// What is not the client's fault.
pub(crate) fn broken(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
