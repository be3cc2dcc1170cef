//! Running a foreign client over a plan.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::install::{Inspector, Node, Python, Python2, Rmcp};

/// How long one client may take over its whole plan.
const RUN_MAX: Duration = Duration::from_secs(120);

/// A foreign client.
#[derive(Clone, Debug)]
pub struct Client {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Client {
    /// The first Python SDK: speaks 2025-11-25.
    #[must_use]
    pub fn python(python: &Python) -> Self {
        Self::script(&python.interpreter, &python.driver, "mcp1")
    }

    /// The second Python SDK: speaks what the plan's `protocol` says.
    #[must_use]
    pub fn python2(python: &Python2) -> Self {
        Self::script(&python.interpreter, &python.driver, "mcp2")
    }

    /// The client of `FastMCP`: speaks what the plan's `protocol` says.
    #[must_use]
    pub fn fastmcp(python: &Python2) -> Self {
        Self::script(&python.interpreter, &python.driver, "fast")
    }

    /// The second TypeScript SDK: speaks what the plan's `protocol` says.
    #[must_use]
    pub fn node(node: &Node) -> Self {
        Self::script(Path::new("node"), &node.driver, "client")
    }

    /// The first TypeScript SDK: speaks 2025-11-25.
    #[must_use]
    pub fn node1(node: &Node) -> Self {
        Self::script(Path::new("node"), &node.driver, "sdk")
    }

    /// An early TypeScript SDK: speaks 2024-11-05.
    #[must_use]
    pub fn node2024(node: &Node) -> Self {
        Self::script(Path::new("node"), &node.driver, "sdk2024")
    }

    /// The command line of the Inspector: speaks what the plan's `protocol` says, in a session for each step.
    #[must_use]
    pub fn inspector(inspector: &Inspector) -> Self {
        Self::script(&inspector.node, &inspector.driver, "inspector")
    }

    /// The Rust SDK: speaks what the plan's `protocol` says, which may also be an older version.
    #[must_use]
    pub fn rmcp(rmcp: &Rmcp) -> Self {
        Self { program: rmcp.client.clone(), arguments: Vec::new() }
    }

    /// A driver script, and the module beside it that knows the client.
    fn script(program: &Path, driver: &Path, module: &str) -> Self {
        Self { program: program.to_owned(), arguments: vec![driver.into(), module.into()] }
    }

    /// Runs `plan` and gives what the client said of the connection and of each step.
    ///
    /// # Errors
    /// If the client cannot be run, takes too long, or does not say one thing per step.
    pub async fn run(&self, plan: &Plan) -> io::Result<Told> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut input = child.stdin.take().ok_or_else(|| io::Error::other("no standard input"))?;
        input.write_all(plan.0.to_string().as_bytes()).await?;
        drop(input);
        let output = tokio::time::timeout(RUN_MAX, child.wait_with_output()).await??;
        let said = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let expected = plan.steps() + 1;
        let mut lines = lines.into_iter();
        let (Some(connect), steps) = (lines.next(), lines.collect::<Vec<_>>()) else {
            let stderr = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("the client said nothing: {stderr}")));
        };
        if steps.len() + 1 != expected {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let count = steps.len() + 1;
            return Err(io::Error::other(format!("{count} of {expected} lines: {said}{stderr}")));
        }
        Ok(Told { connect, steps })
    }
}

/// What a client said.
#[derive(Clone, Debug)]
pub struct Told {
    /// `protocolVersion` and `serverInfo`, or `error`.
    pub connect: Value,
    /// One for each step: `tools`; or `resources`, `templates`, `prompts`; or `isError`, `text`, `structured`, `meta`,
    /// `progress`, `shown`; or `cancelled`; or `error`. The Rust client says more: of a call `task`, `log` and what it was `asked`;
    /// `values`; `acknowledged`; `uri`; or `status`, `task` and `result`.
    pub steps: Vec<Value>,
}

/// What a client is to do, over one session.
#[derive(Clone, Debug)]
pub struct Plan(Value);

impl Plan {
    /// Connect to `url`.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self(json!({ "url": url, "steps": [] }))
    }

    /// Start `command` and speak to it through pipes.
    #[must_use]
    pub fn of_command(command: &[&str]) -> Self {
        Self(json!({ "command": command, "steps": [] }))
    }

    /// Send this bearer token.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.with("token", token.into())
    }

    /// Speak `auto`, `legacy` or `2026-07-28`; the first SDKs speak `legacy` whatever it says.
    #[must_use]
    pub fn protocol(self, protocol: &str) -> Self {
        self.with("protocol", protocol.into())
    }

    /// Wait at most this long for each answer.
    #[must_use]
    pub fn timeout_ms(self, milliseconds: u64) -> Self {
        self.with("timeout_ms", milliseconds.into())
    }

    /// Listen for changes of the list of tools; only the TypeScript and the Rust client do.
    #[must_use]
    pub fn listens(self) -> Self {
        self.with("listens", true.into())
    }

    /// Wait until the client was told that the list of tools has changed, and has fetched it.
    #[must_use]
    pub fn changed(self) -> Self {
        self.step(json!({ "op": "changed" }))
    }

    /// List the tools, every page.
    #[must_use]
    pub fn list(self) -> Self {
        self.step(json!({ "op": "list" }))
    }

    /// Call a tool; without arguments, if they are `null`.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "plans are written with `json!` in place")]
    pub fn call(self, tool: &str, arguments: Value) -> Self {
        self.step(json!({ "op": "call", "tool": tool, "arguments": arguments }))
    }

    /// Call a tool and ask for progress.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "plans are written with `json!` in place")]
    pub fn call_with_progress(self, tool: &str, arguments: Value) -> Self {
        let step = json!({ "op": "call", "tool": tool, "arguments": arguments, "progress": true });
        self.step(step)
    }

    /// Call a tool, and cancel the call if there is no answer after a while.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "plans are written with `json!` in place")]
    pub fn call_and_cancel(self, tool: &str, arguments: Value, milliseconds: u64) -> Self {
        let step = json!({ "op": "call", "tool": tool, "arguments": arguments, "cancel_ms": milliseconds });
        self.step(step)
    }

    /// List resources, templates and prompts.
    #[must_use]
    pub fn offers(self) -> Self {
        self.step(json!({ "op": "offers" }))
    }

    /// Read a resource.
    #[must_use]
    pub fn read(self, uri: &str) -> Self {
        self.step(json!({ "op": "read", "uri": uri }))
    }

    /// Get a prompt.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "plans are written with `json!` in place")]
    pub fn prompt(self, name: &str, arguments: Value) -> Self {
        self.step(json!({ "op": "prompt", "name": name, "arguments": arguments }))
    }

    /// Wait.
    #[must_use]
    pub fn wait_ms(self, milliseconds: u64) -> Self {
        self.step(json!({ "op": "wait_ms", "ms": milliseconds }))
    }

    /// Declare that pages can be shown, and do this when asked to: `accept` or `decline`. What is shown is told with the
    /// call. The Rust client cannot.
    #[must_use]
    pub fn pages(self, action: &str) -> Self {
        self.with("pages", action.into())
    }

    /// Declare and use these answers: `elicitation` (a result), `sampling` (a text), `roots` (URIs). This and what
    /// follows only the Rust client can.
    #[must_use]
    pub fn answers(self, answers: Value) -> Self {
        self.with("answers", answers)
    }

    /// Declare that calls may be answered with tasks.
    #[must_use]
    pub fn tasks(self) -> Self {
        self.with("tasks", true.into())
    }

    /// Ask for log messages from this level on.
    #[must_use]
    pub fn log(self, level: &str) -> Self {
        self.with("log", level.into())
    }

    /// Complete the value of an argument of a prompt.
    #[must_use]
    pub fn complete(self, prompt: &str, argument: &str, value: &str) -> Self {
        let step =
            json!({ "op": "complete", "prompt": prompt, "argument": argument, "value": value });
        self.step(step)
    }

    /// Subscribe to a resource: by a request, or in the modern era by listening.
    #[must_use]
    pub fn subscribe(self, uri: &str) -> Self {
        self.step(json!({ "op": "subscribe", "uri": uri }))
    }

    /// End that.
    #[must_use]
    pub fn unsubscribe(self, uri: &str) -> Self {
        self.step(json!({ "op": "unsubscribe", "uri": uri }))
    }

    /// Wait until the client was told that a resource was updated.
    #[must_use]
    pub fn updated(self) -> Self {
        self.step(json!({ "op": "updated" }))
    }

    /// Get the last task that a call was answered with.
    #[must_use]
    pub fn task_get(self) -> Self {
        self.step(json!({ "op": "task_get" }))
    }

    /// Get that task again and again, until it has this status or one that does not change.
    #[must_use]
    pub fn task_until(self, status: &str) -> Self {
        self.step(json!({ "op": "task_get", "until": status }))
    }

    /// Give that task what it asks for, from the answers.
    #[must_use]
    pub fn task_update(self) -> Self {
        self.step(json!({ "op": "task_update" }))
    }

    /// Cancel that task.
    #[must_use]
    pub fn task_cancel(self) -> Self {
        self.step(json!({ "op": "task_cancel" }))
    }

    /// The same three for any task, for clients that ask for what is another's.
    #[must_use]
    pub fn task_of_id(self, id: &str) -> Self {
        let update = json!({ "op": "task_update", "task": id, "responses": {} });
        self.step(json!({ "op": "task_get", "task": id }))
            .step(update)
            .step(json!({ "op": "task_cancel", "task": id }))
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        if let Some(members) = self.0.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
        self
    }

    fn step(mut self, step: Value) -> Self {
        if let Some(steps) = self.0.get_mut("steps").and_then(Value::as_array_mut) {
            steps.push(step);
        }
        self
    }

    fn steps(&self) -> usize {
        self.0.get("steps").and_then(Value::as_array).map_or(0, Vec::len)
    }
}
