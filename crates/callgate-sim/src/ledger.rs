//! What arrived and what was executed: the oracle. A call that the ledger does not have had no effect.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many entries and how many requests are kept; older ones are forgotten.
const KEPT_MAX: usize = 10_000;

/// One `tools/call` that reached a tool, whether or not the tool then did what was asked.
#[derive(Clone, Debug)]
pub struct LedgerEntry {
    /// The position in the order of execution, from 1.
    pub number: u64,
    /// The tool as it was called.
    pub tool: String,
    /// The operation it came to: the same, or what a dispatcher was told to run.
    pub operation: String,
    /// The exact text of `params.arguments` as it arrived; empty if there was none.
    pub arguments: String,
    /// The headers of the request, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Whether the tool reported an error.
    pub is_error: bool,
    /// When, since the start of the server.
    pub at: Duration,
}

/// One HTTP request that arrived, of whatever kind, before anything was checked.
#[derive(Clone, Debug)]
pub struct RequestSeen {
    /// The HTTP method.
    pub http_method: String,
    /// Path and query.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as text.
    pub body: String,
}

impl RequestSeen {
    /// The value of the header `name` (lower case), if it was sent.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }
}

impl LedgerEntry {
    /// The value of the header `name` (lower case), if it was sent.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }
}

fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The record of one running site.
#[derive(Debug)]
pub struct Ledger {
    started: Instant,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    executed: u64,
    entries: VecDeque<LedgerEntry>,
    requests: VecDeque<RequestSeen>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), kept: Mutex::default() }
    }

    /// The calls that were executed, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<LedgerEntry> {
        self.kept().entries.iter().cloned().collect()
    }

    /// The requests that arrived, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestSeen> {
        self.kept().requests.iter().cloned().collect()
    }

    /// How often `operation` was executed.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        self.kept().entries.iter().filter(|entry| entry.operation == operation).count()
    }

    pub(crate) fn saw(&self, request: RequestSeen) {
        push_bounded(&mut self.kept().requests, request);
    }

    /// Records an execution; the number and the time are set here.
    pub(crate) fn executed(&self, entry: LedgerEntry) {
        let at = self.started.elapsed();
        let mut kept = self.kept();
        kept.executed += 1;
        let number = kept.executed;
        push_bounded(&mut kept.entries, LedgerEntry { number, at, ..entry });
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() >= KEPT_MAX {
        queue.pop_front();
    }
    queue.push_back(item);
}
