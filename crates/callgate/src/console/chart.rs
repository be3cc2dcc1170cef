//! Charts: bars made of parts, drawn here and told as a table as well. They need no script and no style of their own, only classes.

use std::fmt::Write as _;

/// The height of the drawing, and the width of a bar with the gap after it.
const HEIGHT: u64 = 100;
/// What is there at all is at least so high.
const HEIGHT_LEAST: u64 = 2;
const STEP: u64 = 10;
const WIDTH: u64 = 8;

/// A series: the class that draws it, and what it is.
pub(crate) type Series = (&'static str, &'static str);

/// A chart.
pub(crate) struct Chart {
    /// What it shows, in a sentence with its sums.
    pub(crate) label: String,
    pub(crate) series: Vec<Series>,
    pub(crate) bars: Vec<Bar>,
    /// The width of the drawing.
    pub(crate) width: u64,
    /// The highest bar.
    pub(crate) most: u64,
}

/// One bar.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) counts: Vec<u64>,
    /// In words.
    pub(crate) title: String,
    pub(crate) parts: Vec<Part>,
}

/// A part of a bar.
pub(crate) struct Part {
    pub(crate) class: &'static str,
    pub(crate) x: u64,
    pub(crate) y: u64,
    pub(crate) height: u64,
}

impl Chart {
    /// Of bars with a count for each series. Nothing, if there is nothing to count.
    pub(crate) fn of(what: &str, series: &[Series], bars: Vec<(String, Vec<u64>)>) -> Option<Self> {
        let sum = |counts: &Vec<u64>| counts.iter().sum::<u64>();
        let most = bars.iter().map(|(_, counts)| sum(counts)).max().filter(|most| *most > 0)?;
        let total = |at: usize| bars.iter().filter_map(|(_, counts)| counts.get(at)).sum::<u64>();
        let totals: Vec<u64> = (0..series.len()).map(total).collect();
        let width = STEP * u64::try_from(bars.len()).unwrap_or(1);
        let label = format!("{what}: {}", told(series, &totals));
        let at = |(position, (name, counts)): (usize, (String, Vec<u64>))| {
            let x = STEP * u64::try_from(position).unwrap_or_default();
            let title = format!("{name}: {}", told(series, &counts));
            Bar { parts: parts(x, series, &counts, most), name, counts, title }
        };
        let bars = bars.into_iter().enumerate().map(at).collect();
        Some(Self { label, series: series.to_vec(), bars, width, most })
    }

    /// How wide a bar is drawn.
    pub(crate) const fn bar_width() -> u64 {
        WIDTH
    }

    /// What stands under it on the left, and on the right.
    pub(crate) fn ends(&self) -> (&str, &str) {
        (
            self.bars.first().map_or("", |bar| &bar.name),
            self.bars.last().map_or("", |bar| &bar.name),
        )
    }
}

/// From the bottom up. What is there at all is seen.
fn parts(x: u64, series: &[Series], counts: &[u64], most: u64) -> Vec<Part> {
    let mut y = HEIGHT;
    // Those that are still to be drawn, of which each needs its room.
    let mut later = u64::try_from(counts.iter().filter(|count| **count > 0).count()).unwrap_or(1);
    let mut parts = Vec::new();
    for ((class, _), count) in series.iter().zip(counts).filter(|(_, count)| **count > 0) {
        let left = HEIGHT_LEAST * later;
        later = later.saturating_sub(1);
        let height = (count.saturating_mul(HEIGHT) / most).max(HEIGHT_LEAST);
        let height = height.min(y.saturating_sub(left.saturating_sub(HEIGHT_LEAST)));
        y -= height;
        parts.push(Part { class, x, y, height });
    }
    parts
}

fn told(series: &[Series], counts: &[u64]) -> String {
    let mut text = String::new();
    for ((_, name), count) in series.iter().zip(counts) {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        write!(text, "{comma}{count} {name}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: &[Series] = &[("allow", "allowed"), ("deny", "denied")];

    #[test]
    fn bars_are_as_high_as_what_they_count() {
        let bars = vec![
            ("a".to_owned(), vec![3, 1]),
            ("b".to_owned(), vec![0, 0]),
            ("c".to_owned(), vec![0, 2]),
        ];
        let chart = Chart::of("Calls", SERIES, bars).unwrap();
        assert_eq!(chart.label, "Calls: 3 allowed, 3 denied");
        assert_eq!((chart.most, chart.width, chart.ends()), (4, 30, ("a", "c")));
        let drawn: Vec<Vec<_>> = chart
            .bars
            .iter()
            .map(|bar| {
                bar.parts.iter().map(|part| (part.class, part.x, part.y, part.height)).collect()
            })
            .collect();
        assert_eq!(
            drawn,
            [vec![("allow", 0, 25, 75), ("deny", 0, 0, 25)], vec![], vec![("deny", 20, 50, 50)]]
        );
        assert_eq!(chart.bars[0].title, "a: 3 allowed, 1 denied");
        assert!(Chart::of("Calls", SERIES, vec![("a".to_owned(), vec![0, 0])]).is_none());
    }

    #[test]
    fn one_of_very_many_is_seen() {
        let chart = Chart::of("Calls", SERIES, vec![("a".to_owned(), vec![1_000_000, 1])]).unwrap();
        let heights: Vec<u64> = chart.bars[0].parts.iter().map(|part| part.height).collect();
        assert_eq!(heights, [98, 2], "and none is drawn above the top");
    }
}
