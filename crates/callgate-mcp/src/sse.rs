//! Server-sent events, as the WHATWG HTML standard parses them, except that bytes which are not UTF-8 are refused,
//! never replaced.

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

/// A line that keeps a stream alive and says nothing.
pub const KEEP_ALIVE: &str = ":\n\n";

/// Longest id of an event, in bytes: it is sent back in a header.
const EVENT_ID_BYTES_MAX: usize = 1024;

/// How much a stream may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseLimits {
    /// One event, in bytes.
    pub event_bytes_max: usize,
    /// The whole stream, in bytes, comments included.
    pub total_bytes_max: usize,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseEvent {
    /// `message` unless the stream says otherwise.
    pub kind: String,
    /// The data lines, joined by line feeds.
    pub data: String,
}

/// Why a stream is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SseError {
    /// One event is longer than the limit.
    #[error("an event of more than {max} bytes")]
    EventTooLong {
        /// The limit.
        max: usize,
    },
    /// A line is not UTF-8.
    #[error("a line that is not valid UTF-8")]
    NotUtf8,
    /// The stream is longer than the limit.
    #[error("a stream of more than {max} bytes")]
    StreamTooLong {
        /// The limit.
        max: usize,
    },
}

/// An incremental parser. How the bytes are cut into pieces makes no difference.
#[derive(Debug)]
pub struct SseParser {
    limits: SseLimits,
    total: usize,
    /// The line that is not complete yet.
    line: Vec<u8>,
    first_line: bool,
    /// The last byte was a carriage return: a line feed right after it belongs to it.
    after_cr: bool,
    kind: String,
    /// Every data line so far, each with a line feed after it.
    data: String,
    /// The id that the next event to end has; events inherit it.
    id: String,
    last_id: String,
    retry: Option<Duration>,
}

impl SseParser {
    /// At the beginning of a stream.
    #[must_use]
    pub const fn new(limits: SseLimits) -> Self {
        Self {
            limits,
            total: 0,
            line: Vec::new(),
            first_line: true,
            after_cr: false,
            kind: String::new(),
            data: String::new(),
            id: String::new(),
            last_id: String::new(),
            retry: None,
        }
    }

    /// The id of the last event, after which the stream can be resumed.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        Some(self.last_id.as_str()).filter(|id| !id.is_empty())
    }

    /// How long to wait before that, if the stream says it.
    #[must_use]
    pub const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// At the beginning of a stream that goes on with the last one. What was not complete there is no event.
    pub fn resume(&mut self) {
        let id = std::mem::take(&mut self.last_id);
        let (limits, total, retry) = (self.limits, self.total, self.retry);
        *self = Self { total, id: id.clone(), last_id: id, retry, ..Self::new(limits) };
    }

    /// Reads the next bytes; appends the events they complete to `events`, also before an error.
    ///
    /// # Errors
    /// [`SseError`]; the stream is of no use after it.
    pub fn push(&mut self, mut bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), SseError> {
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                self.count(1)?;
                bytes = bytes.get(1..).unwrap_or_default();
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let (piece, rest) =
                bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or_default();
            self.extend_line(piece)?;
            bytes = rest;
            if let Some((&terminator, rest)) = rest.split_first() {
                self.count(1)?;
                self.after_cr = terminator == b'\r';
                self.end_line(events)?;
                bytes = rest;
            }
        }
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), SseError> {
        self.total = self.total.saturating_add(bytes);
        let max = self.limits.total_bytes_max;
        if self.total > max { Err(SseError::StreamTooLong { max }) } else { Ok(()) }
    }

    fn extend_line(&mut self, piece: &[u8]) -> Result<(), SseError> {
        let max = self.limits.event_bytes_max;
        let event_room = max.saturating_sub(self.data.len() + self.line.len());
        let total_room = self.limits.total_bytes_max.saturating_sub(self.total);
        // Of both limits it is the one that is reached first, so that cutting makes no difference.
        if event_room < total_room.min(piece.len()) {
            return Err(SseError::EventTooLong { max });
        }
        self.count(piece.len())?;
        self.line.extend_from_slice(piece);
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<SseEvent>) -> Result<(), SseError> {
        let bytes = std::mem::take(&mut self.line);
        let mut line = std::str::from_utf8(&bytes).map_err(|_invalid| SseError::NotUtf8)?;
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(events);
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "event" => value.clone_into(&mut self.kind),
            "id" if !value.contains('\0') => self.take_id(value),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().map(Duration::from_millis).ok();
            }
            // An empty name is a comment; the rest is ignored.
            _ => {}
        }
        Ok(())
    }

    /// After an event whose id is too long nothing can be resumed.
    fn take_id(&mut self, id: &str) {
        self.id.clear();
        if id.len() <= EVENT_ID_BYTES_MAX {
            self.id.push_str(id);
        }
    }

    fn dispatch(&mut self, events: &mut Vec<SseEvent>) {
        // Also of an event that has nothing else.
        self.last_id.clone_from(&self.id);
        let kind = std::mem::take(&mut self.kind);
        let mut data = std::mem::take(&mut self.data);
        if data.pop().is_some() {
            let kind = if kind.is_empty() { "message".to_owned() } else { kind };
            events.push(SseEvent { kind, data });
        }
    }
}

/// One event with `data`.
#[must_use]
pub fn encode_event(data: &str) -> Bytes {
    let mut event = String::with_capacity(data.len() + 16);
    for line in data.split(['\r', '\n']) {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    event.into()
}

#[cfg(test)]
mod tests;
