//! Reads the metrics as `/metrics` gives them, so that there is one place where anything is counted, and whoever scrapes
//! them and whoever is sent them see the same. It reads what this program writes, not every such text; what it does not
//! know is left out.

use std::collections::BTreeMap;

/// The labels of one series.
pub(super) type Labels = Vec<(String, String)>;

/// All series of one name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Family {
    /// Without what the form of the text adds.
    pub(super) name: String,
    pub(super) help: String,
    pub(super) unit: String,
    /// `None` if it is none that is known.
    pub(super) kind: Option<Kind>,
    /// What was read of each of them.
    pub(super) series: BTreeMap<Labels, Series>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One series.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Series {
    /// Of a counter or a gauge.
    pub(super) value: f64,
    /// Of a histogram: its sum, how many there are, and how many are up to each bound.
    pub(super) sum: f64,
    pub(super) count: u64,
    pub(super) up_to: Vec<(f64, u64)>,
}

pub(super) fn read(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some(said) = line.strip_prefix("# ") {
            describe(&mut families, said);
        } else if let Some(family) = families.last_mut() {
            // What is not read is not sent.
            let _read: Option<()> = sample(family, line);
        }
    }
    families.retain(|family| family.kind.is_some() && !family.series.is_empty());
    families
}

fn describe(families: &mut Vec<Family>, said: &str) {
    let mut words = said.splitn(3, ' ');
    let (Some(what), Some(name)) = (words.next(), words.next()) else { return };
    let rest = words.next().unwrap_or_default();
    if families.last().is_none_or(|family| family.name != name) {
        families.push(Family { name: name.to_owned(), ..Family::default() });
    }
    let Some(family) = families.last_mut() else { return };
    match what {
        "HELP" => rest.trim_end_matches('.').clone_into(&mut family.help),
        "UNIT" => rest.clone_into(&mut family.unit),
        "TYPE" => {
            family.kind = match rest {
                "counter" => Some(Kind::Counter),
                "gauge" => Some(Kind::Gauge),
                "histogram" => Some(Kind::Histogram),
                _ => None,
            };
        }
        _ => {}
    }
}

fn sample(family: &mut Family, line: &str) -> Option<()> {
    let rest = line.strip_prefix(family.name.as_str())?;
    let (suffix, rest) = rest.split_at(rest.find(['{', ' '])?);
    let (mut labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Labels::new(), rest),
    };
    let value = value.trim();
    let bound = labels.iter().position(|(name, _)| name == "le").map(|at| labels.remove(at).1);
    let number: f64 = value.parse().ok()?;
    let series = family.series.entry(labels).or_default();
    match (family.kind?, suffix) {
        (Kind::Counter, "_total") | (Kind::Gauge, "") => series.value = number,
        (Kind::Histogram, "_sum") => series.sum = number,
        (Kind::Histogram, "_count") => series.count = value.parse().ok()?,
        (Kind::Histogram, "_bucket") => {
            let bound = if bound.as_deref() == Some("+Inf") { None } else { Some(bound?) };
            if let Some(bound) = bound {
                series.up_to.push((bound.parse().ok()?, value.parse().ok()?));
            }
        }
        (Kind::Counter | Kind::Gauge | Kind::Histogram, _) => return None,
    }
    Some(())
}

/// `name="value",…}`, and what follows.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut all = Labels::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((all, rest));
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        all.push((name.to_owned(), value));
        rest = after;
    }
}

/// A text up to its closing quotation mark, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut characters) = (String::new(), text.chars());
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(match characters.next()? {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}
