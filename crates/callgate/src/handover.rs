//! How a gateway gives its place to another one, which has another configuration, or is another version of the program: the process that was
//! started keeps the listening socket and starts a child that takes connections from it, too. As soon as that child answers, the one before takes
//! no more, and finishes what it has. So none is refused, and a configuration is in force as a whole or not at all.
//!
//! The first process stays for as long as any of them: whoever started it knows it by its id, and what it is told, it tells the one that is in
//! force. What must not be: two places of evidence, or two addresses, at one time. So neither is changed by it.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use callgate_model::digest::Digest;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinHandle, JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::assemble;
use crate::cli::Failure;
use crate::commands::serve::serve;
use crate::config::{Config, Problem, Problems};
use crate::service;
use crate::stop::{Stop, Teller};

/// What a child says on standard output as soon as it answers.
pub(crate) const READY: &str = "ready";
/// For a child to answer.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// When no call begins any more at a gateway that was told that another one has its place: within two seconds, as with replicas (I8).
const IN_FORCE_AFTER: Duration = Duration::from_millis(1_500);

/// What a configuration and the files that it names are, and what of it cannot change while there is a gateway.
#[derive(Debug)]
struct Basis {
    digest: Digest,
    address: SocketAddr,
    store: String,
}

impl Basis {
    fn of(config: &Config) -> Self {
        let mut digests = vec![config.digest];
        let beside = |file: &PathBuf| {
            let mut signature = file.as_os_str().to_owned();
            signature.push(".sig");
            [file.clone(), signature.into()]
        };
        let catalogs = config.catalogs.files.iter().flat_map(beside);
        // What cannot be read is found by whoever needs it.
        let read = |file: PathBuf| Digest::of(&fs::read(file).unwrap_or_default());
        digests.extend(catalogs.chain(config.secret_files.iter().cloned()).map(read));
        let bytes: Vec<u8> = digests.iter().flat_map(|digest| *digest.as_bytes()).collect();
        let (address, store) = (config.listen, config.store.to_string());
        Self { digest: Digest::of(&bytes), address, store }
    }

    /// What of `next` only a restart can change.
    fn needs_restart(&self, next: &Self) -> Problems {
        let keys =
            [("listen.address", self.address != next.address), ("store", self.store != next.store)];
        let problem = |(place, _): &(&str, bool)| Problem {
            place: (*place).to_owned(),
            text: "it is another one, and that needs a restart".to_owned(),
            hint: Some("put back what was there, or restart the gateway".to_owned()),
        };
        Problems(keys.iter().filter(|(_, is_other)| *is_other).map(problem).collect())
    }
}

/// The gateways of one socket.
struct House {
    path: PathBuf,
    basis: Basis,
    /// What all of them listen on; nothing, once they are to end.
    socket: Option<TcpListener>,
    /// The one in this process, until it has ended.
    own: Option<JoinHandle<Result<(), Failure>>>,
    own_teller: Teller,
    /// The child that is in force, if one is.
    current: Option<Child>,
    /// Those that finish what they have.
    leaving: JoinSet<()>,
}

/// Serves `config`, which stands in the file at `path`, and whatever stands there when it is told to look.
pub(crate) async fn run(
    path: PathBuf,
    config: Config,
    listener: TcpListener,
    stop: Stop,
) -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(|error| error.to_string());
    let (mut look, mut replace) =
        (listen(SignalKind::hangup())?, listen(SignalKind::user_defined2())?);
    let socket = listener.try_clone().map_err(|error| error.to_string())?;
    let (own_teller, own_stop) = Stop::new();
    let basis = Basis::of(&config);
    let own = serve(config, Some(listener), own_stop, |_| service::tell(service::READY));
    let own = Some(tokio::spawn(Box::pin(own)));
    let (current, leaving) = (None, JoinSet::new());
    let mut house = House { path, basis, socket: Some(socket), own, own_teller, current, leaving };
    loop {
        let is_replaced = tokio::select! {
            ended = house.ended() => return house.emptied(ended).await,
            () = stop.asked() => break,
            _ = look.recv() => false,
            _ = replace.recv() => true,
        };
        tokio::select! {
            () = house.look(is_replaced) => {}
            () = stop.asked() => break,
        }
    }
    service::tell(service::STOPPING);
    // Who connects from now on is to know that nobody is there.
    house.socket = None;
    house.tell_to_end();
    let ended = tokio::select! {
        ended = house.ended() => ended,
        () = stop.insisted() => {
            house.tell_to_end();
            // The one in this process may still finish what it had when it was replaced.
            house.own_teller.stop();
            house.ended().await
        }
    };
    house.emptied(ended).await
}

impl House {
    /// Ready when the one that is in force has ended: how.
    async fn ended(&mut self) -> Result<(), Failure> {
        if let Some(child) = &mut self.current {
            let status = child.wait().await.map_err(|error| error.to_string())?;
            if status.success() {
                return Ok(());
            }
            return Err(format!("the gateway that took over has ended: {status}").into());
        }
        match &mut self.own {
            Some(own) => own.await.map_err(|error| error.to_string())?,
            None => Ok(()),
        }
    }

    /// Waits for those that have not finished, when the one in force has ended so.
    async fn emptied(mut self, ended: Result<(), Failure>) -> Result<(), Failure> {
        if self.current.is_some() {
            // Whoever fails takes nobody's calls with it.
            if let Some(own) = self.own.take() {
                own.await.map_err(|error| error.to_string())??;
            }
            while self.leaving.join_next().await.is_some() {}
        }
        ended
    }

    fn tell_to_end(&self) {
        match &self.current {
            Some(child) => send(child, Signal::TERM),
            None => self.own_teller.stop(),
        }
    }

    /// Looks at the configuration, and puts it in force if it is another one; or in any case.
    async fn look(&mut self, in_any_case: bool) {
        let path = self.path.clone();
        // It takes a processor's time, and asks commands for keys.
        let checked = spawn_blocking(move || checked(&path)).await;
        let checked = checked.unwrap_or_else(|error| Err(Problems::one(unchecked(&error))));
        let (next, problems) = match checked {
            Ok(next) => {
                let problems = self.basis.needs_restart(&next);
                (Some(next), problems)
            }
            Err(problems) => (None, problems),
        };
        let Some(next) = next.filter(|_| problems.0.is_empty()) else {
            tracing::error!(%problems, "the configuration is not put in force: the old one stays");
            return;
        };
        if next.digest == self.basis.digest && !in_any_case {
            tracing::info!("the configuration, catalogs and secrets are as they were");
            if let Some(child) = &self.current {
                // It looks at its policies.
                send(child, Signal::HUP);
            }
            return;
        }
        match self.successor().await {
            Ok(child) => {
                let id = child.id();
                self.give_place(child);
                self.basis = next;
                // Until then, who keeps a connection may be answered by what was in force.
                tokio::time::sleep(IN_FORCE_AFTER).await;
                tracing::info!(
                    process = id,
                    "the configuration is in force: another process answers by it"
                );
            }
            Err(why) => {
                tracing::error!(why, "the configuration is not put in force: the old one stays");
            }
        }
    }

    /// Another gateway, which answers.
    async fn successor(&self) -> Result<Child, String> {
        let socket = self.socket.as_ref().ok_or("the gateway is told to stop")?;
        let socket = OwnedFd::from(socket.try_clone().map_err(|error| error.to_string())?);
        let mut child = Command::new(program()?)
            .args(["serve", "--take-over", "--config"])
            .arg(&self.path)
            .stdin(Stdio::from(socket))
            .stdout(Stdio::piped())
            // What a terminal tells, we tell.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("it cannot be started: {error}"))?;
        let said = child.stdout.take().map(|out| BufReader::new(out).lines());
        let mut said = said.ok_or("it has no output")?;
        match timeout(READY_WITHIN, said.next_line()).await {
            Ok(Ok(Some(line))) if line == READY => Ok(child),
            Ok(Ok(_) | Err(_)) => Err("it ended: see above".to_owned()),
            Err(_elapsed) => Err("it did not answer in time".to_owned()),
        }
    }

    fn give_place(&mut self, child: Child) {
        match self.current.replace(child) {
            Some(mut before) => {
                send(&before, Signal::USR2);
                self.leaving.spawn(async move {
                    if let Err(error) = before.wait().await {
                        tracing::warn!(%error, "a gateway that was replaced is lost");
                    }
                });
            }
            None => self.own_teller.replaced(),
        }
    }
}

/// What stands in the file, if a gateway could be made of it.
fn checked(path: &Path) -> Result<Basis, Problems> {
    let config = Config::load(path)?;
    assemble::parts(&config)?;
    Ok(Basis::of(&config))
}

fn unchecked(error: &JoinError) -> Problem {
    Problem { place: "the configuration".to_owned(), text: error.to_string(), hint: None }
}

fn send(child: &Child, signal: Signal) {
    let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(Err(error)) = id.map(|id| kill_process(id, signal)) {
        tracing::warn!(%error, "a gateway cannot be told");
    }
}

/// The program as it is on the disk now, which may be another version by now.
fn program() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let text = program.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or_else(|| program.clone(), PathBuf::from))
}

/// The socket that is given to a child as its standard input. It ends when whoever gave it ends.
pub(crate) fn inherited() -> Result<TcpListener, Failure> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| error.to_string())?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    let listener = TcpListener::from(socket.map_err(|error| error.to_string())?);
    let is_none = |error| format!("standard input is no socket to listen on: {error}");
    listener.local_addr().map_err(is_none)?;
    Ok(listener)
}
