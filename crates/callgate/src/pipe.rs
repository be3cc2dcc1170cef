//! A client at the other end of standard input and output: one message a line, nothing that decides.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use callgate_gateway::pipeline::{Gateway, Incoming, Pipe, Piped, ReplyBody};
use callgate_mcp::code;
use callgate_mcp::lines::{Line, Lines};
use callgate_mcp::message::RequestId;
use callgate_mcp::reply;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// Lines that were read and messages to be written, waiting.
const WAITING_MAX: usize = 64;
/// Requests of one client in progress.
const REQUESTS_MAX: usize = 256;

/// Serves the client until it closes its end and has all its answers, or until `stop`.
pub(crate) async fn serve(
    gateway: Arc<Gateway>,
    pipe: Pipe,
    (input, output): (
        impl AsyncRead + Send + Unpin + 'static,
        impl AsyncWrite + Send + Unpin + 'static,
    ),
    line_bytes_max: usize,
    stop: impl Future<Output = ()>,
) {
    let (read, mut lines) = mpsc::channel(WAITING_MAX);
    let (out, written) = mpsc::channel(WAITING_MAX);
    let reading = tokio::spawn(read_lines(input, line_bytes_max, read));
    let writing = tokio::spawn(write_lines(output, written));
    let mut requests = Requests { gateway, out, tasks: JoinSet::new(), running: HashMap::new() };
    tokio::pin!(stop);
    let mut ended = false;
    while !(ended && requests.running.is_empty()) {
        if ended {
            // Nobody else listens; and these would not end by themselves.
            requests.gateway.end_listening();
        }
        tokio::select! {
            line = lines.recv(), if !ended && requests.running.len() < REQUESTS_MAX => match line {
                Some(line) => ended = !requests.take(&pipe, line).await,
                None => ended = true,
            },
            Some(done) = requests.tasks.join_next() => requests.forget(done.ok()),
            () = &mut stop => break,
        }
    }
    reading.abort();
    requests.gateway.end_listening();
    // What still runs is cancelled with its task; its outcome is recorded when the gateway closes.
    drop(requests);
    writing.await.ok();
}

/// The requests in progress.
struct Requests {
    gateway: Arc<Gateway>,
    out: mpsc::Sender<Bytes>,
    tasks: JoinSet<RequestId>,
    running: HashMap<RequestId, AbortHandle>,
}

impl Requests {
    /// Takes one line. `false` if nobody reads the answers any more.
    async fn take(&mut self, pipe: &Pipe, line: Line) -> bool {
        let incoming = match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => return true,
            Line::Whole(line) => self.gateway.read_line(pipe, &line),
            Line::TooLong => self.gateway.refuse_long_line(pipe),
        };
        match incoming {
            Incoming::Nothing => true,
            Incoming::Listens(messages) => {
                tokio::spawn(pass_on(messages, self.out.clone()));
                true
            }
            Incoming::Answer(answer) => self.out.send(answer).await.is_ok(),
            Incoming::Cancel(id) => {
                if let Some(running) = self.running.remove(&id) {
                    running.abort();
                }
                true
            }
            Incoming::Request(id, _) if self.running.contains_key(&id) => {
                let text = "a request with this id is in progress";
                let refusal = reply::error(Some(&id), code::INVALID_REQUEST, text, None);
                self.out.send(refusal).await.is_ok()
            }
            Incoming::Request(id, request) => {
                self.start(id, request);
                true
            }
        }
    }

    fn start(&mut self, id: RequestId, request: Piped) {
        let (gateway, out, done) = (Arc::clone(&self.gateway), self.out.clone(), id.clone());
        let task = self.tasks.spawn(async move {
            // A client that reads no more needs no answer.
            match gateway.answer(request).await.body {
                ReplyBody::Empty => {}
                ReplyBody::Whole(answer) => drop(out.send(answer).await),
                ReplyBody::Stream(messages) => pass_on(messages, out).await,
            }
            done
        });
        self.running.insert(id, task);
    }

    /// A task ended. One that was cancelled has been forgotten already.
    fn forget(&mut self, done: Option<RequestId>) {
        if let Some(id) = done {
            self.running.remove(&id);
        }
        self.running.retain(|_, task| !task.is_finished());
    }
}

/// Until there are no more, or nobody reads them.
async fn pass_on(mut messages: mpsc::Receiver<Bytes>, out: mpsc::Sender<Bytes>) {
    while let Some(message) = messages.recv().await {
        if out.send(message).await.is_err() {
            return;
        }
    }
}

/// A task of its own: reading a line must not be given up half-way.
async fn read_lines(input: impl AsyncRead + Unpin, bytes_max: usize, read: mpsc::Sender<Line>) {
    let mut lines = Lines::new(BufReader::new(input), bytes_max);
    while let Ok(Some(line)) = lines.next().await {
        if read.send(line).await.is_err() {
            return;
        }
    }
}

async fn write_lines(mut output: impl AsyncWrite + Unpin, mut messages: mpsc::Receiver<Bytes>) {
    while let Some(message) = messages.recv().await {
        let written = async {
            output.write_all(&message).await?;
            output.write_all(b"\n").await?;
            output.flush().await
        };
        if written.await.is_err() {
            return;
        }
    }
}
