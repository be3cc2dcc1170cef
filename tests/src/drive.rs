//! Running a foreign client over a plan.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::install::{Inspector, Node, Python, Python2};

/// How long one client may take over its whole plan.
const RUN_MAX: Duration = Duration::from_secs(120);

/// A foreign client.
#[derive(Clone, Debug)]
pub struct Client {
    program: PathBuf,
    driver: PathBuf,
    /// The module beside the driver that knows the client.
    module: &'static str,
}

impl Client {
    /// The first Python SDK: speaks 2025-11-25.
    #[must_use]
    pub fn python(python: &Python) -> Self {
        let Python { interpreter, driver, .. } = python.clone();
        Self { program: interpreter, driver, module: "mcp1" }
    }

    /// The second Python SDK: speaks what the plan's `protocol` says.
    #[must_use]
    pub fn python2(python: &Python2) -> Self {
        let Python2 { interpreter, driver, .. } = python.clone();
        Self { program: interpreter, driver, module: "mcp2" }
    }

    /// The client of `FastMCP`: speaks what the plan's `protocol` says.
    #[must_use]
    pub fn fastmcp(python: &Python2) -> Self {
        Self { module: "fast", ..Self::python2(python) }
    }

    /// The second TypeScript SDK: speaks what the plan's `protocol` says.
    #[must_use]
    pub fn node(node: &Node) -> Self {
        Self { program: PathBuf::from("node"), driver: node.driver.clone(), module: "client" }
    }

    /// The first TypeScript SDK: speaks 2025-11-25.
    #[must_use]
    pub fn node1(node: &Node) -> Self {
        Self { module: "sdk", ..Self::node(node) }
    }

    /// An early TypeScript SDK: speaks 2024-11-05.
    #[must_use]
    pub fn node2024(node: &Node) -> Self {
        Self { module: "sdk2024", ..Self::node(node) }
    }

    /// The command line of the Inspector: speaks what the plan's `protocol` says, in a session for each step.
    #[must_use]
    pub fn inspector(inspector: &Inspector) -> Self {
        let Inspector { node, driver } = inspector.clone();
        Self { program: node, driver, module: "inspector" }
    }

    /// Runs `plan` and gives what the client said of the connection and of each step.
    ///
    /// # Errors
    /// If the client cannot be run, takes too long, or does not say one thing per step.
    pub async fn run(&self, plan: &Plan) -> io::Result<Told> {
        let mut child = Command::new(&self.program)
            .arg(&self.driver)
            .arg(self.module)
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
    /// `progress`; or `cancelled`; or `error`.
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

    /// Listen for changes of the list of tools; only the TypeScript client does.
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
