//! Messages on a pipe: one a line, none longer than a limit.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Without its end.
    Whole(Vec<u8>),
    /// One beyond the limit, which was skipped but for its beginning.
    TooLong(Vec<u8>),
}

/// How much of a line beyond the limit is kept, in bytes.
const HEAD_BYTES_MAX: usize = 4096;

/// Reads line by line.
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    bytes_max: usize,
}

/// Writes one message, which has no end of line in it.
///
/// # Errors
/// What writing fails with.
pub async fn write_line(mut into: impl AsyncWrite + Unpin, message: &[u8]) -> std::io::Result<()> {
    into.write_all(message).await?;
    into.write_all(b"\n").await?;
    into.flush().await
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Lines of at most `bytes_max` bytes.
    pub const fn new(from: R, bytes_max: usize) -> Self {
        Self { from, bytes_max }
    }

    /// The next line; `None` at the end, where a part of a line is none. To be polled to its end: what was read of a line
    /// is lost with the future.
    ///
    /// # Errors
    /// What reading fails with.
    pub async fn next(&mut self) -> std::io::Result<Option<Line>> {
        let (mut line, mut too_long) = (Vec::new(), false);
        loop {
            let read = self.from.fill_buf().await?;
            if read.is_empty() {
                return Ok(None);
            }
            let (part, used, ended) = match read.iter().position(|byte| *byte == b'\n') {
                Some(at) => (read.get(..at).unwrap_or_default(), at + 1, true),
                None => (read, read.len(), false),
            };
            if !too_long {
                let room = self.bytes_max - line.len();
                too_long = part.len() > room;
                line.extend_from_slice(part.get(..room).unwrap_or(part));
                if too_long {
                    line.truncate(HEAD_BYTES_MAX);
                    line.shrink_to_fit();
                }
            }
            self.from.consume(used);
            if ended {
                return Ok(Some(if too_long { Line::TooLong(line) } else { Line::Whole(line) }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn i13_a_line_beyond_the_limit_is_skipped_and_the_next_one_read() {
        let text = format!("a\n{}\n\nbc\nrest", "x".repeat(50_000));
        let small = tokio::io::BufReader::with_capacity(7, text.as_bytes());
        let mut lines = Lines::new(small, 2);
        let whole = |text: &str| Some(Line::Whole(text.into()));
        let too_long = Some(Line::TooLong("xx".into()));
        for wanted in [whole("a"), too_long, whole(""), whole("bc"), None] {
            assert_eq!(lines.next().await.unwrap(), wanted);
        }
        let text = format!("{}\n", "x".repeat(50_000));
        let mut lines = Lines::new(text.as_bytes(), 40_000);
        let head = Some(Line::TooLong("x".repeat(HEAD_BYTES_MAX).into()));
        assert_eq!(lines.next().await.unwrap(), head);
    }
}
