//! What is another one between two texts, line by line.

/// Most lines of each that are compared.
const LINES_MAX: usize = 500;
/// Lines before and after a change that are shown.
const AROUND: usize = 2;

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It is in both.
    Same,
    /// It was there before.
    Gone,
    /// It is there now.
    New,
    /// Here are lines that are in both, and not shown.
    Omitted,
    /// Here are lines that are not compared: there are too many.
    Unread,
}

impl Mark {
    /// What stands before the line.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Same => " ",
            Self::Gone => "−",
            Self::New => "+",
            Self::Omitted | Self::Unread => "…",
        }
    }

    /// The same for who hears the page.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::Gone => "was: ",
            Self::New => "is now: ",
            Self::Omitted => "lines that are the same",
            Self::Unread => "more lines, which are not compared",
        }
    }

    /// The class of the line.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Same | Self::Omitted | Self::Unread => "same",
            Self::Gone => "gone",
            Self::New => "new",
        }
    }
}

/// A line and what became of it.
pub(super) type Line = (Mark, String);

/// The lines of both, of those that are in both only such as are near others.
pub(super) fn lines(before: &[String], after: &[String]) -> Vec<Line> {
    let is_long = before.len().max(after.len()) > LINES_MAX;
    let cut = |all: &[String]| all.iter().take(LINES_MAX).cloned().collect::<Vec<_>>();
    let mut all = shortened(&merged(&cut(before), &cut(after)));
    if is_long {
        all.push((Mark::Unread, String::new()));
    }
    all
}

/// Every line, by the longest sequence that both have.
fn merged(before: &[String], after: &[String]) -> Vec<Line> {
    // How many lines the rests have in common, from each line on.
    let mut common = vec![vec![0_u16; after.len() + 1]; before.len() + 1];
    let of = |common: &[Vec<u16>], i: usize, j: usize| {
        common.get(i).and_then(|row| row.get(j)).copied().unwrap_or(0)
    };
    for (i, was) in before.iter().enumerate().rev() {
        for (j, is) in after.iter().enumerate().rev() {
            let best = if was == is {
                of(&common, i + 1, j + 1) + 1
            } else {
                of(&common, i + 1, j).max(of(&common, i, j + 1))
            };
            if let Some(cell) = common.get_mut(i).and_then(|row| row.get_mut(j)) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j, mut all) = (0, 0, Vec::new());
    loop {
        let (was, is) = (before.get(i), after.get(j));
        let goes = of(&common, i + 1, j) >= of(&common, i, j + 1);
        match (was, is) {
            (Some(was), Some(is)) if was == is => {
                all.push((Mark::Same, was.clone()));
                (i, j) = (i + 1, j + 1);
            }
            (Some(was), other) if other.is_none() || goes => {
                all.push((Mark::Gone, was.clone()));
                i += 1;
            }
            (_, Some(is)) => {
                all.push((Mark::New, is.clone()));
                j += 1;
            }
            (_, None) => return all,
        }
    }
}

/// The same without lines that are far from any change.
fn shortened(all: &[Line]) -> Vec<Line> {
    let is_near = |at: usize| {
        let (from, to) = (at.saturating_sub(AROUND), at + AROUND);
        all.iter().skip(from).take(to - from + 1).any(|(mark, _)| *mark != Mark::Same)
    };
    let mut shown: Vec<Line> = Vec::new();
    for (at, line) in all.iter().enumerate() {
        if is_near(at) {
            shown.push(line.clone());
        } else if shown.last().is_none_or(|(mark, _)| *mark != Mark::Omitted) {
            shown.push((Mark::Omitted, String::new()));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> String {
        let split = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let all = lines(&split(before), &split(after));
        let line = |(mark, text): &Line| format!("{}{text}", mark.sign());
        all.iter().map(line).collect::<Vec<_>>().join(" ").trim().to_owned()
    }

    #[test]
    fn what_changed_is_shown_with_what_stands_around_it() {
        assert_eq!(told("a b c", "a x c"), "a −b +x  c");
        assert_eq!(told("", "a"), "+a");
        assert_eq!(told("a", ""), "−a");
        assert_eq!(told("1 2 3 4 a 5 6 7 8", "1 2 3 4 5 6 7 8"), "…  3  4 −a  5  6 …");
        assert_eq!(told("a b a b", "b a b a"), "−a  b  a  b +a");
    }

    #[test]
    fn i13_a_definition_without_end_is_compared_as_far_as_it_is_read() {
        let long: Vec<String> = (0..LINES_MAX + 1).map(|n| n.to_string()).collect();
        let all = lines(&long, &[]);
        assert_eq!((all.len(), all.last().unwrap().0), (LINES_MAX + 1, Mark::Unread));
    }
}
