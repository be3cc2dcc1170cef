//! Servers over HTTP: `mcp-atlassian`, which others wrote, in front of the fake backend, notes made with libraries that
//! others wrote, and an OpenID provider.

use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::backend::Backend;
use crate::install::{Node, OAuth, Python, Python2, Rmcp};

/// How long one may take to answer, whatever it is.
const START_MAX: Duration = Duration::from_secs(60);

/// It needs a token to start and never uses it: a request must bring its own, which goes on to the backend.
const UNUSED_TOKEN: &str = "unused";

/// A running server. Dropping it ends it and what it started.
#[derive(Debug)]
pub struct Upstream {
    /// `http://127.0.0.1:PORT/mcp`
    pub url: String,
    child: Child,
}

impl Upstream {
    /// Starts `mcp-atlassian` and waits until it serves.
    ///
    /// # Errors
    /// If it cannot be started or does not serve in time.
    pub async fn start(python: &Python, backend: &Backend) -> io::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(&python.mcp_atlassian);
        command
            .args(["--transport", "streamable-http", "--host", "127.0.0.1", "--stateless"])
            .args(["--port", &port.to_string()])
            .env("JIRA_URL", &backend.url)
            .env("JIRA_PERSONAL_TOKEN", UNUSED_TOKEN)
            .env("CONFLUENCE_URL", &backend.url)
            .env("CONFLUENCE_PERSONAL_TOKEN", UNUSED_TOKEN);
        Self::of(command, port).await
    }

    /// Starts the server of notes in `folder`, made with `library`, and waits until it serves.
    ///
    /// # Errors
    /// If it cannot be started or does not serve in time.
    pub async fn notes(python: &Python2, library: &str, folder: &Path) -> io::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(&python.interpreter);
        command.arg(&python.notes).arg(library).arg(folder).arg(port.to_string());
        Self::of(command, port).await
    }

    /// Starts the server of notes made with the Rust SDK in `folder` and waits until it serves. `eras` is nothing, or
    /// `--legacy`.
    ///
    /// # Errors
    /// If it cannot be started or does not serve in time.
    pub async fn rmcp(rmcp: &Rmcp, folder: &Path, eras: &[&str]) -> io::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(&rmcp.server);
        command.arg(folder).arg(port.to_string()).args(eras);
        Self::of(command, port).await
    }

    /// Starts the reference server over Streamable HTTP and waits until it serves.
    ///
    /// # Errors
    /// If it cannot be started or does not serve in time.
    pub async fn everything(node: &Node) -> io::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new("node");
        command.arg(node.server("everything")).arg("streamableHttp");
        // It listens on every address, and tells whoever asks what its environment is.
        command
            .env_clear()
            .env("PORT", port.to_string())
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        Self::of(command, port).await
    }

    /// Starts the OpenID provider and waits until it serves; its `url` is that of the issuer. The `format` of its tokens is
    /// `jwt` or `opaque`.
    ///
    /// # Errors
    /// If it cannot be started or does not serve in time.
    pub async fn provider(oauth: &OAuth, format: &str) -> io::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new("node");
        command.arg(&oauth.provider).arg(port.to_string()).arg(format);
        let mut provider = Self::of(command, port).await?;
        provider.url = format!("http://127.0.0.1:{port}");
        Ok(provider)
    }

    async fn of(mut command: Command, port: u16) -> io::Result<Self> {
        let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = silent.process_group(0).spawn()?;
        let mut upstream = Self { url: format!("http://127.0.0.1:{port}/mcp"), child };
        upstream.wait_until_there(port).await?;
        Ok(upstream)
    }

    async fn wait_until_there(&mut self, port: u16) -> io::Result<()> {
        let deadline = Instant::now() + START_MAX;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the server ended with {status}")));
            }
            if is_there(port).await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(io::Error::other("the server does not serve"))
    }
}

/// It is free when we look; nothing else on this machine is asked to hold it.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn is_there(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").await?;
        let mut answer = String::new();
        stream.take(4096).read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(2), ask).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|text| text.starts_with("HTTP/1.")))
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // The whole process group, which is its own; `kill` is asked because the safe standard library has no signal
        // for a group. If that fails the child itself is ended.
        let group = format!("-{}", self.child.id());
        let ended = Command::new("kill").args(["-KILL", "--", &group]).status();
        if !ended.is_ok_and(|status| status.success()) {
            self.child.kill().unwrap_or_default();
        }
        self.child.wait().map(drop).unwrap_or_default();
    }
}
