//! The process and its pipes. Tasks of its own read and write; who asks waits by the id of the request.

use std::collections::HashMap;
use std::process::Stdio as Pipe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::{
    CallError, CallErrorKind, Ears, Heard, Meanwhile, Outgoing, Program, Reply, UpstreamLimits,
};
use crate::lines::{Line, Lines, write_line};
use crate::message::{Message, Notification, Request, RequestId, Response, RpcError, id_of_answer};
use crate::upstream::asking::put;
use crate::upstream::outgoing::cancelled;
use crate::upstream::question::declined;

/// Messages that may wait for a child that does not read.
const WRITES_WAITING_MAX: usize = 1024;
/// For a child to end by itself when its input ends, and again when it is asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// Requests of one child that have no answer yet.
const UNANSWERED_MAX: usize = 64;
/// Questions of one child.
const QUESTIONS_PER_MINUTE_MAX: usize = 60;
/// Longest line of a child's standard error that is logged, in bytes.
const ERROR_LINE_BYTES_MAX: u64 = 4096;

/// A running server. Dropping it ends the process.
#[derive(Debug)]
pub(super) struct Child {
    writes: mpsc::Sender<Bytes>,
    pending: Arc<Pending>,
    /// When it ended.
    ended: watch::Receiver<Option<Instant>>,
    stop: watch::Sender<bool>,
}

/// Who waits for an answer.
pub(super) struct Waiting {
    pub(super) answer: oneshot::Sender<Result<Reply, CallErrorKind>>,
    pub(super) progress: mpsc::Sender<Notification>,
    /// Whether it listens: no answer is to be expected.
    pub(super) listens: bool,
}

/// The requests that have no answer yet; `None` when there will be none any more.
struct Pending(Mutex<Option<HashMap<RequestId, Waiting>>>);

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending(…)")
    }
}

/// A request on its way. Dropped before its answer, it is cancelled.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    child: &'a Child,
    id: RequestId,
    is_settled: bool,
}

impl Child {
    /// Starts `program` in a process group of its own, with no environment but its own.
    /// What it says by itself is for `ears`.
    pub(super) fn start(
        program: &Program,
        limits: UpstreamLimits,
        ears: Ears,
    ) -> Result<Self, CallErrorKind> {
        let mut command = Command::new(&program.command);
        command.args(&program.arguments).env_clear();
        command.envs(&program.environment);
        command.envs(program.secrets.iter().map(|(name, secret)| (name, secret.expose_secret())));
        if let Some(folder) = &program.folder {
            command.current_dir(folder);
        }
        command.stdin(Pipe::piped()).stdout(Pipe::piped()).stderr(Pipe::piped());
        command.process_group(0).kill_on_drop(true);
        let mut process = command.spawn().map_err(|error| {
            let text = format!("`{}` cannot be started: {error}", program.command.display());
            CallErrorKind::Connect(text)
        })?;
        let pipes = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(CallErrorKind::Connect("the server has no pipes".to_owned()));
        };
        let (writes, queue) = mpsc::channel(WRITES_WAITING_MAX);
        let (tell_ended, ended) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let pending = Arc::new(Pending(Mutex::new(Some(HashMap::new()))));
        tokio::spawn(log(errors, program.clone()));
        let told = Told { pending: Arc::clone(&pending), writes: writes.downgrade(), ears };
        let reading = read(output, limits, told, program.name.clone());
        let name = program.name.clone();
        let waiting = Arc::clone(&pending);
        tokio::spawn(async move {
            // Whichever pipe breaks first, or whoever asks: then the process has to go.
            tokio::select! {
                () = reading => {}
                () = write(input, queue, stopped) => {}
            }
            let why = end(process).await;
            tracing::info!(server = name, why, "the server ended");
            // Whoever learns that it is not alive can learn since when.
            tell_ended.send_replace(Some(Instant::now()));
            waiting.give_up(&why);
        });
        Ok(Self { writes, pending, ended, stop })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.pending.is_open()
    }

    /// When it ended, if it did.
    pub(super) fn ended_at(&self) -> Option<Instant> {
        *self.ended.borrow()
    }

    /// Queues a request. What comes back to its id goes to `waiting`.
    pub(super) fn ask(&self, outgoing: Outgoing, waiting: Waiting) -> Result<Asked<'_>, CallError> {
        let not_sent =
            |text: &str| CallError::before_sending(CallErrorKind::Connect(text.to_owned()));
        let asked = Asked { child: self, id: outgoing.id.clone(), is_settled: false };
        if !self.pending.add(outgoing.id, waiting) {
            asked.settled();
            return Err(not_sent("the server ended"));
        }
        if self.writes.try_send(outgoing.body).is_err() {
            self.pending.remove(&asked.id);
            asked.settled();
            return Err(not_sent("the server does not read"));
        }
        Ok(asked)
    }

    /// Queues a notification.
    pub(super) fn tell(&self, notification: Notification) -> Result<(), CallErrorKind> {
        self.writes
            .try_send(notification.into_bytes())
            .map_err(|_full_or_closed| CallErrorKind::Connect("the server ended".to_owned()))
    }

    /// Ends the process and waits for that.
    pub(super) async fn stop(&self) {
        self.stop.send_replace(true);
        self.ended().await;
    }

    /// Ready when the process has ended.
    pub(super) async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An error means that the task is gone, and the process with it.
        ended.wait_for(Option::is_some).await.ok();
    }
}

impl Asked<'_> {
    /// There is an answer, or never will be: nothing is to be cancelled.
    pub(super) fn settled(mut self) {
        self.is_settled = true;
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.is_settled || self.child.pending.remove(&self.id).is_none() {
            return;
        }
        if self.child.tell(cancelled(&self.id)).is_err() {
            tracing::debug!("a cancellation could not be sent");
        }
    }
}

impl Pending {
    fn with<T>(&self, use_it: impl FnOnce(&mut Option<HashMap<RequestId, Waiting>>) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_open(&self) -> bool {
        self.with(|pending| pending.is_some())
    }

    fn add(&self, id: RequestId, waiting: Waiting) -> bool {
        self.with(|pending| pending.as_mut().map(|open| open.insert(id, waiting)).is_some())
    }

    fn remove(&self, id: &RequestId) -> Option<Waiting> {
        self.with(|pending| pending.as_mut()?.remove(id))
    }

    /// The only one that waits for an answer, if it is alone.
    fn only(&self) -> Option<Waiting> {
        self.with(|pending| {
            let open = pending.as_mut()?;
            let mut waiting = open.iter().filter(|(_, waiting)| !waiting.listens);
            let (Some((id, _)), None) = (waiting.next(), waiting.next()) else { return None };
            let id = id.clone();
            open.remove(&id)
        })
    }

    fn progress(&self, notification: Notification) {
        self.with(|pending| {
            let id = notification.params.get("progressToken").and_then(RequestId::from_json);
            let waiting = id.and_then(|id| pending.as_ref()?.get(&id));
            if let Some(waiting) = waiting {
                // Progress may be lost.
                waiting.progress.try_send(notification).ok();
            }
        });
    }

    /// Nobody will be answered any more.
    fn give_up(&self, why: &str) {
        let left = self.with(Option::take);
        for (_, waiting) in left.into_iter().flatten() {
            // Who went away need not know.
            waiting.answer.send(Err(CallErrorKind::Connect(why.to_owned()))).ok();
        }
    }
}

/// Where what a child writes goes.
struct Told {
    pending: Arc<Pending>,
    writes: mpsc::WeakSender<Bytes>,
    ears: Ears,
}

/// Reads what the child writes, until it ends.
async fn read(output: ChildStdout, limits: UpstreamLimits, told: Told, name: String) {
    let Told { pending, writes, ears } = told;
    let (open, since) = (HashMap::new(), Instant::now());
    let mut asking = Asking { writes, ears: ears.clone(), open, since, asked: 0 };
    let mut lines = Lines::new(BufReader::new(output), limits.response_bytes_max);
    while let Ok(Some(line)) = lines.next().await {
        let bytes = match line {
            Line::Whole(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => continue,
            Line::Whole(bytes) => bytes,
            Line::TooLong(head) => {
                tracing::warn!(server = name, "a message beyond the limit was dropped");
                // Some write the id last. Then it is known whose answer it was only if nobody else waits for one.
                let waiting = match id_of_answer(&head) {
                    Some(id) => pending.remove(&id),
                    None => pending.only(),
                };
                if let Some(waiting) = waiting {
                    waiting.answer.send(Err(CallErrorKind::TooLarge)).ok();
                }
                continue;
            }
        };
        match Message::read_from_server(&bytes, &limits.json()) {
            Ok(Message::Response(response)) => answer(&pending, response, bytes.len(), &name),
            Ok(Message::Notification(told)) if told.method == "notifications/progress" => {
                pending.progress(told);
            }
            Ok(Message::Notification(told)) => {
                if let Some(heard) = Heard::of(&told) {
                    // Nobody may listen.
                    ears.heard.send(heard).ok();
                } else if let Some(question) = told.cancels() {
                    asking.withdraw(&question);
                } else {
                    log_of_child(&ears, told);
                }
            }
            Ok(Message::Request(request)) => asking.take(request),
            Err(malformed) => {
                tracing::warn!(server = name, why = malformed.detail, "a line that is no message");
                // Whoever waits for an answer that is none would wait for nothing.
                if let Some(waiting) = id_of_answer(&bytes).and_then(|id| pending.remove(&id)) {
                    waiting.answer.send(Err(CallErrorKind::NotMcp(malformed.detail))).ok();
                }
            }
        }
    }
}

/// R03: what answers no request of ours goes nowhere.
fn answer(pending: &Pending, response: Response, bytes: usize, name: &str) {
    let Some(waiting) = response.id.as_ref().and_then(|id| pending.remove(id)) else {
        tracing::warn!(server = name, "an answer to no request was dropped");
        return;
    };
    let status = StatusCode::OK;
    let reply = Reply { status, session_id: None, bytes, outcome: response.outcome };
    // Who went away meanwhile has been cancelled.
    waiting.answer.send(Ok(reply)).ok();
}

/// What a child asks, and the answers on their way to it.
struct Asking {
    writes: mpsc::WeakSender<Bytes>,
    ears: Ears,
    open: HashMap<RequestId, AbortHandle>,
    since: Instant,
    asked: usize,
}

impl Asking {
    /// Takes a request of the child: as a question to its only client, or it is answered at once.
    fn take(&mut self, request: Request) {
        let id = request.id.clone();
        let sole = self.ears.sole();
        let capabilities = sole.as_ref().map(|client| client.capabilities.clone());
        let patience = &self.ears.patience;
        let (question, saying) = put(request, &capabilities.unwrap_or_default(), patience);
        self.open.retain(|_, answer| !answer.is_finished());
        if self.open.len() >= UNANSWERED_MAX {
            let busy = RpcError { message: "too much is asked at once".to_owned(), ..declined() };
            return self.say(Response { id: Some(id), outcome: Err(busy) }.into_bytes());
        }
        if let Some((client, question)) = sole.zip(question)
            && self.may_ask_again()
        {
            // Dropped, it is declined.
            client.told.try_send(Meanwhile::Question(question)).ok();
        }
        let (writes, own) = (self.writes.clone(), id.clone());
        let answer = tokio::spawn(async move {
            let body = saying.body(own).await;
            if writes.upgrade().is_none_or(|writes| writes.try_send(body).is_err()) {
                tracing::debug!("a server's request could not be answered");
            }
        });
        self.open.insert(id, answer.abort_handle());
    }

    fn say(&self, body: Bytes) {
        if self.writes.upgrade().is_none_or(|writes| writes.try_send(body).is_err()) {
            tracing::debug!("a server's request could not be answered");
        }
    }

    /// Counts a question. A person who says no is not asked for ever.
    fn may_ask_again(&mut self) -> bool {
        if self.since.elapsed() >= Duration::from_secs(60) {
            (self.since, self.asked) = (Instant::now(), 0);
        }
        self.asked += 1;
        self.asked <= QUESTIONS_PER_MINUTE_MAX
    }

    /// The child does not want to know any more.
    fn withdraw(&mut self, question: &RequestId) {
        if let Some(answer) = self.open.remove(question) {
            answer.abort();
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.open.values().for_each(AbortHandle::abort);
    }
}

/// What a child logs is heard by its only client: it is not known of whose call it is (I6).
fn log_of_child(ears: &Ears, told: Notification) {
    if told.method != "notifications/message" {
        tracing::debug!(method = told.method, "not passed on");
    } else if let Some(client) = ears.sole() {
        client.told.try_send(Meanwhile::Log(told.params)).ok();
    }
}

/// Writes what is queued, one message a line, until nobody is left to queue anything or all is to end.
async fn write(
    mut input: ChildStdin,
    mut queue: mpsc::Receiver<Bytes>,
    mut stopped: watch::Receiver<bool>,
) {
    let writing = async {
        while let Some(message) = queue.recv().await {
            write_line(&mut input, &message).await?;
        }
        std::io::Result::Ok(())
    };
    // A child that does not read must not keep anybody from ending it; nor may it outlive whoever holds it.
    tokio::select! {
        _ = writing => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

/// Ends the process, whose input is closed by now: first it may do so by itself, then it is asked, then made to. What it
/// started goes with it. Says how it ended.
async fn end(mut process: tokio::process::Child) -> String {
    let group = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let signal = |signal| {
        // It may be gone by itself meanwhile.
        group.map(|group| kill_process_group(group, signal).ok());
    };
    if timeout(ENDS_WITHIN, process.wait()).await.is_err() {
        signal(Signal::TERM);
        if timeout(ENDS_WITHIN, process.wait()).await.is_err() {
            signal(Signal::KILL);
        }
    }
    let how = match process.wait().await {
        Ok(status) => format!("the server ended ({status})"),
        Err(error) => format!("the server ended ({error})"),
    };
    // It is gone; what it left behind in its group is not to stay.
    signal(Signal::KILL);
    how
}

/// Logs what the child says on its standard error, line by line, without the secrets it was given.
async fn log(errors: ChildStderr, program: Program) {
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut errors).take(ERROR_LINE_BYTES_MAX).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(read) if read > 0) {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        let secrets = program.secrets.values().map(|secret| secret.expose_secret());
        let text = secrets
            .filter(|secret| secret.len() >= 8)
            .fold(text.trim_end().to_owned(), |text, secret| text.replace(secret, "[redacted]"));
        tracing::info!(target: "callgate::server", server = program.name, text, "said");
    }
}
