//! A client at the other end of standard input and output: one message a line, nothing that decides. Who answers is a
//! gateway in this process, or one that is reached over HTTP.

use std::collections::HashMap;

use bytes::Bytes;
use callgate_mcp::code;
use callgate_mcp::lines::{Line, Lines};
use callgate_mcp::message::RequestId;
use callgate_mcp::reply;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// Lines that were read and messages to be written, waiting.
const WAITING_MAX: usize = 64;
/// Requests of one client in progress.
const REQUESTS_MAX: usize = 256;

/// What is to be done with a line.
pub(crate) enum Next {
    /// Say this.
    Answer(Bytes),
    /// Stop the work on this request.
    Cancel(RequestId),
    /// Nothing.
    Nothing,
    /// Work, which answers by itself; for this request, if it is one.
    Work(Option<RequestId>, BoxFuture<'static, ()>),
}

/// Serves the client until it closes its end and has all its answers, or until `stop`. `take` says what is to be done with
/// a line, given where answers go.
pub(crate) async fn serve(
    (input, output): (
        impl AsyncRead + Send + Unpin + 'static,
        impl AsyncWrite + Send + Unpin + 'static,
    ),
    line_bytes_max: usize,
    take: impl Fn(Line, &mpsc::Sender<Bytes>) -> Next,
    stop: impl Future<Output = ()>,
) {
    let (read, mut lines) = mpsc::channel(WAITING_MAX);
    let (out, written) = mpsc::channel(WAITING_MAX);
    let reading = tokio::spawn(read_lines(input, line_bytes_max, read));
    let writing = tokio::spawn(write_lines(output, written));
    let mut requests = Requests { out, tasks: JoinSet::new(), running: HashMap::new() };
    tokio::pin!(stop);
    let mut ended = false;
    while !(ended && requests.tasks.is_empty()) {
        tokio::select! {
            line = lines.recv(), if !ended && requests.tasks.len() < REQUESTS_MAX => match line {
                Some(Line::Whole(line)) if line.iter().all(u8::is_ascii_whitespace) => {}
                Some(line) => {
                    let next = take(line, &requests.out);
                    ended = !requests.go_on(next).await;
                }
                None => ended = true,
            },
            Some(done) = requests.tasks.join_next() => requests.forget(done.ok().flatten()),
            () = &mut stop => break,
        }
    }
    reading.abort();
    // What still runs is cancelled with its task; its outcome is recorded when the gateway closes.
    drop(requests);
    writing.await.ok();
}

/// The requests in progress.
struct Requests {
    out: mpsc::Sender<Bytes>,
    tasks: JoinSet<Option<RequestId>>,
    running: HashMap<RequestId, AbortHandle>,
}

impl Requests {
    /// `false` if nobody reads the answers any more.
    async fn go_on(&mut self, next: Next) -> bool {
        match next {
            Next::Nothing => true,
            Next::Answer(answer) => self.out.send(answer).await.is_ok(),
            Next::Cancel(id) => {
                if let Some(running) = self.running.remove(&id) {
                    running.abort();
                }
                true
            }
            Next::Work(Some(id), _) if self.running.contains_key(&id) => {
                let text = "a request with this id is in progress";
                let refusal = reply::error(Some(&id), code::INVALID_REQUEST, text, None);
                self.out.send(refusal).await.is_ok()
            }
            Next::Work(id, work) => {
                let done = id.clone();
                let task = self.tasks.spawn(async move {
                    work.await;
                    done
                });
                self.running.extend(id.map(|id| (id, task)));
                true
            }
        }
    }

    /// A task ended. One that was cancelled has been forgotten already.
    fn forget(&mut self, done: Option<RequestId>) {
        if let Some(id) = done {
            self.running.remove(&id);
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
