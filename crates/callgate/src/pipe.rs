//! A client at the other end of standard input and output: one message a line, nothing that decides. Who answers is a
//! gateway in this process, or one that is reached over HTTP.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use callgate_mcp::code;
use callgate_mcp::lines::{Line, Lines, write_line};
use callgate_mcp::message::RequestId;
use callgate_mcp::reply;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::sync::mpsc;
use tokio::task::{self, AbortHandle, JoinSet};
use tokio::time::timeout;

/// Lines that were read and messages to be written, waiting.
const WAITING_MAX: usize = 64;
/// For a client to read what is still to be said when all ends.
const LAST_WORDS_MAX: Duration = Duration::from_secs(5);
/// Requests of one client in progress.
const REQUESTS_MAX: usize = 256;

/// What is to be done with a line.
pub(crate) enum Next {
    /// Say this.
    Answer(Bytes),
    /// Stop the work on this request.
    Cancel(RequestId),
    /// Work that does not end by itself: it is ended when the client closes its end.
    Listen(Option<RequestId>, BoxFuture<'static, Option<Bytes>>),
    /// Nothing.
    Nothing,
    /// Work, which gives the last thing to be said; for this request, if it is one.
    Work(Option<RequestId>, BoxFuture<'static, Option<Bytes>>),
}

/// Serves the client until it closes its end and has all its answers, or until `stop`. `take` says what is to be done with
/// a line, given where answers go; `hung_up` is told when the client says nothing more.
pub(crate) async fn serve(
    (input, output): (
        impl AsyncRead + Send + Unpin + 'static,
        impl AsyncWrite + Send + Unpin + 'static,
    ),
    line_bytes_max: usize,
    take: impl Fn(Line, &mpsc::Sender<Bytes>) -> Next,
    hung_up: impl Fn(),
    stop: impl Future<Output = ()>,
) {
    let (read, mut lines) = mpsc::channel(WAITING_MAX);
    let (out, written) = mpsc::channel(WAITING_MAX);
    let reading = tokio::spawn(read_lines(input, line_bytes_max, read));
    let mut writing = tokio::spawn(write_lines(output, written));
    let mut requests = Requests {
        out,
        tasks: JoinSet::new(),
        running: HashMap::new(),
        listening: Vec::new(),
        answers: VecDeque::new(),
    };
    tokio::pin!(stop);
    let mut ended = false;
    while !(ended && requests.tasks.is_empty() && requests.answers.is_empty()) {
        tokio::select! {
            line = lines.recv(), if !ended && requests.tasks.len() + requests.answers.len() < REQUESTS_MAX => match line {
                Some(Line::Whole(line)) if line.iter().all(u8::is_ascii_whitespace) => {}
                Some(line) => {
                    let next = take(line, &requests.out);
                    requests.go_on(next);
                }
                None => {
                    ended = true;
                    hung_up();
                    requests.listening.iter().for_each(AbortHandle::abort);
                }
            },
            Some(done) = requests.tasks.join_next_with_id() => requests.done(done.ok()),
            room = requests.out.clone().reserve_owned(), if !requests.answers.is_empty() => {
                match room.ok().zip(requests.answers.pop_front()) {
                    Some((room, answer)) => drop(room.send(answer)),
                    // Nobody reads any more.
                    None => break,
                }
            }
            () = &mut stop => break,
        }
    }
    reading.abort();
    // What still runs is cancelled with its task; its outcome is recorded when the gateway closes.
    drop(requests);
    if timeout(LAST_WORDS_MAX, &mut writing).await.is_err() {
        writing.abort();
    }
}

/// For which request a task worked, and the last thing to be said.
type Done = (Option<RequestId>, Option<Bytes>);

/// The requests in progress.
struct Requests {
    out: mpsc::Sender<Bytes>,
    tasks: JoinSet<Done>,
    running: HashMap<RequestId, AbortHandle>,
    listening: Vec<AbortHandle>,
    /// What is to be said as soon as there is room.
    answers: VecDeque<Bytes>,
}

impl Requests {
    fn go_on(&mut self, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Answer(answer) => self.answers.push_back(answer),
            Next::Cancel(id) => {
                if let Some(running) = self.running.remove(&id) {
                    running.abort();
                }
            }
            Next::Work(Some(id), _) | Next::Listen(Some(id), _)
                if self.running.contains_key(&id) =>
            {
                let text = "a request with this id is in progress";
                let refusal = reply::error(Some(&id), code::INVALID_REQUEST, text, None);
                self.answers.push_back(refusal);
            }
            Next::Work(id, work) => drop(self.start(id, work)),
            Next::Listen(id, work) => {
                let task = self.start(id, work);
                self.listening.retain(|task| !task.is_finished());
                self.listening.push(task);
            }
        }
    }

    fn start(
        &mut self,
        id: Option<RequestId>,
        work: BoxFuture<'static, Option<Bytes>>,
    ) -> AbortHandle {
        let own = id.clone();
        let task = self.tasks.spawn(async move { (own, work.await) });
        self.running.extend(id.map(|id| (id, task.clone())));
        task
    }

    /// A task ended: its id is free before its answer is said. One that was cancelled has been forgotten already.
    /// Its id may stand for another request by now, whose answer this is not.
    fn done(&mut self, done: Option<(task::Id, Done)>) {
        let Some((task, (id, answer))) = done else { return };
        if let Some(id) = id {
            if self.running.get(&id).is_none_or(|running| running.id() != task) {
                return;
            }
            self.running.remove(&id);
        }
        self.answers.extend(answer);
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
        if write_line(&mut output, &message).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{
        AsyncBufReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split,
    };

    type Ends = (WriteHalf<DuplexStream>, tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>);

    /// A served pipe: `now` is answered at once, `never` not before it is cancelled by `stop`.
    fn served() -> (Ends, task::JoinHandle<()>) {
        let (ours, theirs) = duplex(1 << 16);
        let (input, output) = split(theirs);
        let id = |number| Some(RequestId::Number(number));
        let take = move |line: Line, _: &mpsc::Sender<Bytes>| match line {
            Line::Whole(line) if line == b"now" => {
                Next::Work(id(1), Box::pin(async { Some(Bytes::from_static(b"1")) }))
            }
            Line::Whole(line) if line == b"never" => {
                Next::Work(id(2), Box::pin(std::future::pending()))
            }
            Line::Whole(line) if line == b"listen" => {
                Next::Listen(id(3), Box::pin(std::future::pending()))
            }
            Line::Whole(line) if line == b"stop" => Next::Cancel(RequestId::Number(2)),
            Line::Whole(line) => Next::Answer(line.into()),
            Line::TooLong(_) => Next::Answer(Bytes::from_static(b"too long")),
        };
        let serving = tokio::spawn(serve((input, output), 10, take, || {}, std::future::pending()));
        let (read, write) = split(ours);
        ((write, BufReader::new(read).lines()), serving)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn p10_an_id_is_free_as_soon_as_it_is_answered_and_not_before() {
        let ((mut input, mut output), serving) = served();
        for _ in 0..500 {
            input.write_all(b"now\n").await.unwrap();
            assert_eq!(output.next_line().await.unwrap().as_deref(), Some("1"));
        }
        input.write_all(b"never\nnever\n").await.unwrap();
        let refused = output.next_line().await.unwrap().unwrap();
        assert!(refused.contains("in progress"), "{refused}");
        input.write_all(b"stop\nnever\nstop\nhello\nmuch too long\n").await.unwrap();
        for said in ["hello", "too long"] {
            assert_eq!(output.next_line().await.unwrap().as_deref(), Some(said));
        }
        input.shutdown().await.unwrap();
        serving.await.unwrap();
        assert_eq!(output.next_line().await.unwrap(), None);
    }

    #[tokio::test]
    async fn who_listens_does_not_keep_a_pipe_open_whose_client_has_closed_its_end() {
        let ((mut input, mut output), serving) = served();
        input.write_all(b"listen\nlisten\n").await.unwrap();
        let refused = output.next_line().await.unwrap().unwrap();
        assert!(refused.contains("in progress"), "{refused}");
        input.shutdown().await.unwrap();
        serving.await.unwrap();
        assert_eq!(output.next_line().await.unwrap(), None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn i13_a_client_that_does_not_read_is_not_read_from_either() {
        let ((mut input, output), serving) = served();
        let much =
            async { while input.write_all(b"hello\n".repeat(1000).as_slice()).await.is_ok() {} };
        let stuck = timeout(Duration::from_millis(500), much).await;
        assert!(stuck.is_err(), "it took everything and kept it");
        drop((input, output));
        serving.await.unwrap();
    }
}
