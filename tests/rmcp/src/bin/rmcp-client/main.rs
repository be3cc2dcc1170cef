//! Runs a plan over one session of the official Rust SDK and prints one JSON line per step.
//!
//! Standard input: what the other drivers read, and more: `{"url" | "command": [...], "token"?, "protocol"?: "auto" |
//! "legacy" | VERSION, "timeout_ms"?, "listens"?, "answers"?: {"elicitation"?: {"action", "content"?}, "sampling"?: TEXT,
//! "roots"?: [URI]}, "tasks"?: true, "log"?: LEVEL, "steps": [...]}`. What `answers` has is declared as a capability and
//! answered with, whenever it is asked for; without `tasks` the client declares none.
//!
//! Steps beside those of the other drivers: `{"op": "complete", "prompt" | "template", "argument", "value"}`, `{"op":
//! "subscribe" | "unsubscribe", "uri"}`, `{"op": "updated"}`, `{"op": "task_get", "until"?: STATUS}`, `{"op":
//! "task_update", "responses"?}` and `{"op": "task_cancel"}`. The last three are about the last task that a call was
//! answered with, or about `"task"`.
//!
//! The first line of the output is about the connection, then one line per step, whatever happens: a driver that hangs or
//! stops early would hide what a test wants to see.

#![expect(deprecated, reason = "logs, sampling and roots are deprecated, and still in use")]

mod connect;
mod failure;
mod hearer;
mod session;
mod tasks;

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use failure::Failure;
use session::Session;

/// How long an answer may take unless the plan says otherwise.
const ANSWER_MS: u64 = 20_000;
/// How long a step may take longer than its answer.
const GRACE: Duration = Duration::from_secs(1);

/// On one thread, so that what the SDK gives to tasks of their own is done in the order in which it came.
#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut plan = String::new();
    io::stdin().read_to_string(&mut plan)?;
    let plan: Value = serde_json::from_str(&plan)?;
    let limit =
        Duration::from_millis(member(&plan, "timeout_ms").as_u64().unwrap_or(ANSWER_MS)) + GRACE;
    let connected = within(limit, Session::connect(&plan)).await;
    let mut session = match connected {
        Ok((session, hello)) => {
            say(&with(hello, json!({ "op": "connect" })))?;
            Ok(session)
        }
        Err(failure) => {
            say(&failure.told("connect"))?;
            Err(failure)
        }
    };
    for step in member(&plan, "steps").as_array().into_iter().flatten() {
        let op = member(step, "op").as_str().unwrap_or_default();
        let limit = limit + Duration::from_millis(member(step, "ms").as_u64().unwrap_or_default());
        let line = match &mut session {
            Ok(session) => match within(limit, session.run(op, step)).await {
                Ok(told) => with(told, json!({ "op": op })),
                Err(failure) => failure.told(op),
            },
            Err(failure) => failure.told(op),
        };
        say(&line)?;
    }
    if let Ok(session) = session {
        session.close().await;
    }
    Ok(())
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(Failure::late(limit)))
}

/// A member of an object, or `null`.
pub(crate) fn member<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// The members of both.
pub(crate) fn with(mut told: Value, mut more: Value) -> Value {
    if let (Some(members), Some(more)) = (told.as_object_mut(), more.as_object_mut()) {
        members.append(more);
    }
    told
}

fn say(line: &Value) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}
