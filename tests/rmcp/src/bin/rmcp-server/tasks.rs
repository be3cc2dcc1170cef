//! The tools that answer with a task.

use std::fs;

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
    CreateTaskResult,
};
use rmcp::task_manager::{TaskContext, TaskExit, TaskFuture, TaskOptions};
use tokio::time::sleep;

use crate::asks::{accepts, form};
use crate::server::Notes;
use crate::tools::{Context, broken, says, seconds, text, write};

type Answer = Result<CallToolResponse, ErrorData>;

/// How often a client may ask how it goes: often, because tests wait for it.
const POLL_MS: u64 = 50;

/// A client without tasks waits for the same.
pub(crate) async fn write_later(
    notes: &Notes,
    call: &CallToolRequestParams,
    context: &Context,
) -> Answer {
    let (name, text) = (text(call, "name")?.to_owned(), text(call, "text")?.to_owned());
    let (pause, notes_of_task) = (seconds(call)?, notes.clone());
    if !has_tasks(context) {
        sleep(pause).await;
        write(notes, &name, &text)?;
        return Ok(says(format!("wrote {name}")));
    }
    Ok(spawn(notes, "writing", move |task| {
        Box::pin(async move {
            tokio::select! {
                () = sleep(pause) => {
                    write(&notes_of_task, &name, &text)?;
                    Ok(done(format!("wrote {name}")))
                }
                () = task.cancelled() => {
                    fs::write(notes_of_task.folder.join("given-up"), &name).map_err(broken)?;
                    Err(TaskExit::Cancelled)
                }
            }
        })
    }))
}

/// Asks while the task is under way, and takes the answer from `tasks/update`.
pub(crate) fn write_with_consent(
    notes: &Notes,
    call: &CallToolRequestParams,
    context: &Context,
) -> Answer {
    needs_tasks(context)?;
    let (name, text) = (text(call, "name")?.to_owned(), text(call, "text")?.to_owned());
    let notes_of_task = notes.clone();
    Ok(spawn(notes, "waiting for consent", move |task| {
        Box::pin(async move {
            let question = form(format!("Write {name}?"), "sure", "boolean")?;
            let given = task.request_input("consent", question).await?;
            let sure = given.pointer("/content/sure").is_some_and(|sure| *sure == true);
            if accepts(&given) && sure {
                write(&notes_of_task, &name, &text)?;
                Ok(done(format!("wrote {name}")))
            } else {
                Ok(CallToolResult::error(vec![ContentBlock::text(format!("left {name} alone"))]))
            }
        })
    }))
}

/// It fails as a request fails, not as a tool does.
pub(crate) fn fail_later(notes: &Notes, context: &Context) -> Answer {
    needs_tasks(context)?;
    let failure = || Err(TaskExit::Error(broken("the shelf fell over")));
    Ok(spawn(notes, "failing", move |_| Box::pin(async move { failure() })))
}

fn spawn(
    notes: &Notes,
    message: &str,
    work: impl FnOnce(TaskContext) -> TaskFuture,
) -> CallToolResponse {
    let options = TaskOptions::new().with_poll_interval_ms(POLL_MS).with_status_message(message);
    CreateTaskResult::new(notes.tasks.spawn(options, work)).into()
}

fn done(text: String) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn has_tasks(context: &Context) -> bool {
    context.client_capabilities().is_some_and(|has| has.supports_tasks())
}

fn needs_tasks(context: &Context) -> Result<(), ErrorData> {
    if has_tasks(context) {
        return Ok(());
    }
    let wanted = ClientCapabilities::builder().enable_tasks().build();
    Err(ErrorData::missing_required_client_capability(wanted))
}
