//! What people and scripts read: results on standard output, everything else on standard error.

pub(crate) mod approval;
pub(crate) mod call;
mod progress;
pub(crate) mod shape;
pub(crate) mod tool;

use std::io::{self, Write};

use callgate_model::json::Json;

pub(crate) use progress::Progress;

/// A line on standard output. A reader that has gone (`| head`) is not an error.
pub(crate) fn line(text: &str) {
    writeln!(io::stdout().lock(), "{text}").ok();
}

/// A JSON value on a line of its own on standard output.
pub(crate) fn json(value: &Json) {
    line(&value.to_text());
}

/// A line on standard error.
pub(crate) fn note(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// An error with everything that led to it.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some say what led to them, too.
        if !text.ends_with(&error.to_string()) {
            text = format!("{text}: {error}");
        }
        cause = error.source();
    }
    text
}

/// Text from outside, safe on a terminal: control and invisible characters are shown as escapes.
pub(crate) fn safe(text: &str) -> String {
    text.chars()
        .flat_map(|c| if is_plain(c) { vec![c] } else { c.escape_default().collect() })
        .collect()
}

/// The same of a text in which lines are lines.
pub(crate) fn safe_lines(text: &str) -> String {
    text.split('\n').map(safe).collect::<Vec<_>>().join("\n")
}

/// Whether it is seen, and moves nothing.
pub(crate) fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn r05_a_terminal_cannot_be_driven() {
        assert_eq!(safe("a\u{1b}[2J\u{202e}b\né"), "a\\u{1b}[2J\\u{202e}b\\né");
    }
}
