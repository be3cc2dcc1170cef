//! Lines of a pipe, against a second reader that has all of it before it.

use callgate_mcp::lines::{Line, Lines};
use futures_util::FutureExt as _;
use tokio::io::BufReader;

use crate::take;

/// How much of a line beyond the limit may be kept.
const HEAD_BYTES_MAX: usize = 4096;

/// The first byte says how much is read at a time, the second how long a line may be.
pub(crate) fn check(mut bytes: &[u8]) {
    let capacity = take(&mut bytes) + 1;
    // Now and then beyond what is kept of a line.
    let bytes_max = match take(&mut bytes) {
        max @ ..=250 => max,
        more => more * 20,
    };
    let mut lines = Lines::new(BufReader::with_capacity(capacity, bytes), bytes_max);
    for wanted in second(bytes, bytes_max) {
        assert_eq!(next(&mut lines), Some(wanted));
    }
    assert_eq!(next(&mut lines), None, "the end is the end");
}

/// What is in memory is there at once.
fn next(lines: &mut Lines<BufReader<&[u8]>>) -> Option<Line> {
    let read = lines.next().now_or_never();
    assert!(read.as_ref().is_some_and(Result::is_ok), "{read:?}");
    read?.ok()?
}

fn second(bytes: &[u8], bytes_max: usize) -> impl Iterator<Item = Line> {
    let whole = bytes.split_inclusive(|byte| *byte == b'\n');
    let whole = whole.filter_map(|line| line.strip_suffix(b"\n"));
    whole.map(move |line| {
        if line.len() <= bytes_max {
            Line::Whole(line.to_vec())
        } else {
            Line::TooLong(line.iter().copied().take(bytes_max.min(HEAD_BYTES_MAX)).collect())
        }
    })
}
