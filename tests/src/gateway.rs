//! The gateway under test: the real binary, in a folder of its own, stopped when dropped.
//!
//! It must not know how the gateway is made: it writes files, starts a program, and reads what that prints.

mod folder;

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use crate::install;

pub use folder::{Chain, Folder, Ran, Setup, callgate, digest};

/// How long it may take to start, and to stop.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// For what a program that has ended said.
const LAST_WORDS: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What it logs when it serves, before the address.
const SERVING: &str = "serving address=";

/// A running gateway. Dropping it kills it.
#[derive(Debug)]
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    folder: Folder,
    command: Vec<String>,
    child: Child,
    output: Output,
}

/// Everything it has printed, over all its starts.
#[derive(Clone, Debug, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Gateway {
    /// Starts `callgate serve` in `folder` and waits until it listens.
    ///
    /// # Errors
    /// If it ends or does not listen in time, with what it printed.
    pub async fn start(folder: Folder) -> io::Result<Self> {
        let program = program()?.display().to_string();
        Self::start_by(folder, vec![program, "serve".to_owned()]).await
    }

    /// The same by another command, which becomes the program.
    ///
    /// # Errors
    /// If it ends or does not listen in time, with what it printed.
    pub async fn start_by(folder: Folder, command: Vec<String>) -> io::Result<Self> {
        let output = Output::default();
        let mut child = spawn(&folder, &command, &output)?;
        let address = address(&mut child, &output, 0).await?;
        Ok(Self { address, folder, command, child, output })
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// `http://ADDRESS/mcp/SERVER`
    #[must_use]
    pub fn url(&self, server: &str) -> String {
        format!("http://{}/mcp/{server}", self.address)
    }

    /// Everything it has printed so far, on both streams and over all its starts.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.bytes()).into_owned()
    }

    /// Kills it as a crash would: it gets no chance to do anything.
    ///
    /// # Errors
    /// If there is no such process.
    pub async fn kill_9(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// If it does not, in time.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        tokio::time::timeout(WAIT_MAX, self.child.wait()).await?
    }

    /// Asks it to end, as a service manager does, and gives its exit code.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn terminate(&mut self) -> io::Result<Option<i32>> {
        self.ask_to_end().await?;
        Ok(self.ended().await?.code())
    }

    /// Sends SIGTERM and does not wait.
    ///
    /// # Errors
    /// If there is no such process.
    pub async fn ask_to_end(&self) -> io::Result<()> {
        self.signal("-TERM").await
    }

    /// Sends SIGHUP: it is to look at its files.
    ///
    /// # Errors
    /// If there is no such process.
    pub async fn hang_up(&self) -> io::Result<()> {
        self.signal("-HUP").await
    }

    async fn signal(&self, signal: &str) -> io::Result<()> {
        let id = self.child.id().ok_or_else(|| io::Error::other("it has ended"))?;
        // The safe standard library has no signals.
        let sent = Command::new("kill").args([signal, &id.to_string()]).status().await?;
        if sent.success() { Ok(()) } else { Err(io::Error::other("the signal was not sent")) }
    }

    /// Starts it again in the same folder, after it ended. It listens on another port.
    ///
    /// # Errors
    /// If it ends or does not listen in time.
    pub async fn restart(&mut self) -> io::Result<()> {
        let printed = self.output.bytes().len();
        self.child = spawn(&self.folder, &self.command, &self.output)?;
        self.address = address(&mut self.child, &self.output, printed).await?;
        Ok(())
    }

    /// Waits until it has printed `text`.
    ///
    /// # Errors
    /// If it does not, in time.
    pub async fn says(&self, text: &str) -> io::Result<()> {
        let deadline = Instant::now() + WAIT_MAX;
        while Instant::now() < deadline {
            if self.output().contains(text) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(io::Error::other(format!("it never said `{text}`:\n{}", self.output())))
    }
}

impl Deref for Gateway {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

impl Output {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps what `stream` says until its end.
    fn keep(&self, mut stream: impl AsyncRead + Send + Unpin + 'static) {
        let kept = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(buffer.iter().take(count));
            }
        });
    }
}

/// The program.
///
/// # Errors
/// If it was not built.
pub fn program() -> io::Result<PathBuf> {
    install::beside("callgate", "callgate")
}

fn spawn(folder: &Folder, command: &[String], output: &Output) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or_else(|| io::Error::other("nothing"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
        output.keep(stdout);
        output.keep(stderr);
    }
    Ok(child)
}

/// The address it says it serves, in what it printed after `from`.
async fn address(child: &mut Child, output: &Output, from: usize) -> io::Result<SocketAddr> {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        let ended = child.try_wait()?;
        if ended.is_some() {
            // What it said last is still on its way.
            tokio::time::sleep(LAST_WORDS).await;
        }
        let printed = output.bytes();
        let printed = String::from_utf8_lossy(printed.get(from..).unwrap_or_default());
        let said = printed.split_once(SERVING).map(|(_, rest)| rest);
        if let Some((address, _)) = said.and_then(|rest| rest.split_once(' ')) {
            return address.parse().map_err(io::Error::other);
        }
        if ended.is_some() || Instant::now() >= deadline {
            return Err(io::Error::other(format!("it does not serve ({ended:?}):\n{printed}")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
