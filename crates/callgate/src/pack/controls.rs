//! What the gateway can show for the items of frameworks. The mapping and the rules are data (`controls/*.toml`): a rule names
//! figures and what they have to be. Nothing is covered because somebody says so.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::figures::{Figures, about};
use super::files::Files;
use crate::cli::Failure;

pub(super) const CSV: &str = "controls.csv";
const RULES: &str = include_str!("controls/rules.toml");
const FRAMEWORKS: [&str; 7] = [
    include_str!("controls/owasp-agentic.toml"),
    include_str!("controls/owasp-nhi.toml"),
    include_str!("controls/owasp-mcp.toml"),
    include_str!("controls/nist-csf.toml"),
    include_str!("controls/iso-42001.toml"),
    include_str!("controls/eu-ai-act.toml"),
    include_str!("controls/soc2.toml"),
];
const COLUMNS: &[&str] =
    &["framework", "item", "title", "status", "control", "figures", "rule", "unmet", "not_covered"];

/// What every rule needs: of a broken log nothing is known.
const WHOLE: &str = "log_broken = 0";

/// How much of an item is covered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    NotCovered,
    Partly,
    #[default]
    Covered,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    /// What it asks for, in words.
    about: String,
    /// Without these nothing is covered.
    needs: Vec<String>,
    /// With all of these everything is.
    #[serde(default)]
    asks: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFramework {
    name: String,
    key: String,
    about: String,
    item: Vec<RawItem>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawItem {
    id: String,
    title: String,
    /// What the gateway does about it.
    control: String,
    rule: String,
    /// The figures that are told.
    figures: Vec<String>,
    /// The best that a gateway can be for it, whatever the figures are.
    #[serde(default)]
    at_most: Status,
    /// What is not covered in any case.
    gap: String,
}

/// A condition: a figure, and what it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    figure: String,
    is: Compare,
    value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    More,
    AtMost,
}

/// The frameworks, judged.
#[derive(Debug)]
pub(super) struct Frameworks(pub(super) Vec<Framework>);

#[derive(Debug)]
pub(super) struct Framework {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) about: String,
    pub(super) items: Vec<Item>,
}

/// An item, judged.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) control: String,
    pub(super) status: Status,
    pub(super) figures: Vec<Shown>,
    pub(super) rule: String,
    pub(super) rule_about: String,
    /// What was asked for and is otherwise.
    pub(super) unmet: Vec<String>,
    /// Whether no gateway can be more than this for it.
    pub(super) is_capped: bool,
    pub(super) gap: String,
}

/// A figure as it is shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) value: String,
    pub(super) words: String,
    pub(super) file: &'static str,
}

impl Status {
    pub(super) const ALL: [Self; 3] = [Self::Covered, Self::Partly, Self::NotCovered];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NotCovered => "not covered",
            Self::Partly => "partly",
            Self::Covered => "covered",
        }
    }

    /// The class by which it is drawn.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::NotCovered => "deny",
            Self::Partly => "approval_required",
            Self::Covered => "allow",
        }
    }
}

impl Frameworks {
    /// Judges every item by these figures.
    pub(super) fn judge(figures: &Figures) -> Result<Self, Failure> {
        let wrong =
            |error: toml::de::Error| Failure::Other(format!("the table of controls: {error}"));
        let rules: BTreeMap<String, RawRule> = toml::from_str(RULES).map_err(wrong)?;
        let mut all = Vec::new();
        for text in FRAMEWORKS {
            let raw: RawFramework = toml::from_str(text).map_err(wrong)?;
            let items = raw.item.into_iter().map(|item| judged(item, &rules, figures));
            all.push(Framework {
                name: raw.name,
                key: raw.key,
                about: raw.about,
                items: items.collect::<Result<_, _>>()?,
            });
        }
        Ok(Self(all))
    }

    pub(super) fn items(&self) -> impl Iterator<Item = (&Framework, &Item)> {
        self.0
            .iter()
            .flat_map(|framework| framework.items.iter().map(move |item| (framework, item)))
    }

    /// How many items are of which status.
    pub(super) fn summary(&self) -> Vec<(&'static str, usize)> {
        let count = |status: Status| self.items().filter(|(_, item)| item.status == status).count();
        Status::ALL.iter().map(|status| (status.as_str(), count(*status))).collect()
    }

    pub(super) fn write(&self, files: &Files) -> Result<(), Failure> {
        let mut table = files.table(CSV, COLUMNS)?;
        for (framework, item) in self.items() {
            let figures: Vec<String> = item.figures.iter().map(Shown::told).collect();
            table.row(&[
                &framework.name,
                &item.id,
                &item.title,
                item.status.as_str(),
                &item.control,
                &figures.join("; "),
                &item.rule,
                &item.unmet.join("; "),
                &item.gap,
            ])?;
        }
        table.flush()
    }
}

impl Framework {
    pub(super) fn count(&self, status: Status) -> usize {
        self.items.iter().filter(|item| item.status == status).count()
    }
}

impl Shown {
    fn of(figures: &Figures, name: &str) -> Result<Self, Failure> {
        let found = figures.get(name).zip(about(name));
        let (value, (words, file)) = found.ok_or_else(|| unknown(name))?;
        Ok(match words.strip_prefix("whether ") {
            Some(words) => Self { value: yes_or_no(value), words: words.to_owned(), file },
            None => Self { value: value.to_string(), words, file },
        })
    }

    fn told(&self) -> String {
        format!("{}: {}", self.words, self.value)
    }
}

fn yes_or_no(value: u64) -> String {
    if value == 0 { "no" } else { "yes" }.to_owned()
}

fn unknown(name: &str) -> Failure {
    Failure::Other(format!("the table of controls: there is no figure `{name}`"))
}

fn judged(
    item: RawItem,
    rules: &BTreeMap<String, RawRule>,
    figures: &Figures,
) -> Result<Item, Failure> {
    let RawItem { id, title, control, rule: name, figures: names, at_most, gap } = item;
    let unruled = || Failure::Other(format!("the table of controls: there is no rule `{name}`"));
    let rule = rules.get(&name).ok_or_else(unruled)?;
    let needs = [&[WHOLE.to_owned()], &*rule.needs].concat();
    let (lacking, falling) = (unmet(&needs, figures)?, unmet(&rule.asks, figures)?);
    let status = match (lacking.is_empty(), falling.is_empty()) {
        (false, _) => Status::NotCovered,
        (true, false) => Status::Partly,
        (true, true) => Status::Covered,
    };
    let shown = names.iter().map(|name| Shown::of(figures, name));
    Ok(Item {
        id,
        title,
        control,
        status: status.min(at_most),
        is_capped: at_most < status,
        figures: shown.collect::<Result<_, _>>()?,
        rule_about: rule.about.clone(),
        unmet: [lacking, falling].concat(),
        rule: name,
        gap,
    })
}

/// Those of the conditions that do not hold, in words.
fn unmet(conditions: &[String], figures: &Figures) -> Result<Vec<String>, Failure> {
    let mut unmet = Vec::new();
    for text in conditions {
        let wrong = || Failure::Other(format!("the table of controls: `{text}` is no condition"));
        let condition = Condition::parse(text).ok_or_else(wrong)?;
        let value = figures.get(&condition.figure).ok_or_else(|| unknown(&condition.figure))?;
        if !condition.holds(value) {
            let shown = Shown::of(figures, &condition.figure)?;
            let is_flag = shown.value != value.to_string();
            let wanted = if is_flag { yes_or_no(condition.value) } else { condition.wanted() };
            unmet.push(format!("{} (asked for: {wanted})", shown.told()));
        }
    }
    Ok(unmet)
}

impl Condition {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (figure, is, value) = (words.next()?, words.next()?, words.next()?);
        let is = match is {
            "=" => Compare::Equal,
            ">" => Compare::More,
            "<=" => Compare::AtMost,
            _ => return None,
        };
        let whole = words.next().is_none();
        Some(Self { figure: figure.to_owned(), is, value: value.parse().ok()? }).filter(|_| whole)
    }

    const fn holds(&self, value: u64) -> bool {
        match self.is {
            Compare::Equal => value == self.value,
            Compare::More => value > self.value,
            Compare::AtMost => value <= self.value,
        }
    }

    fn wanted(&self) -> String {
        match self.is {
            Compare::Equal => self.value.to_string(),
            Compare::More => format!("more than {}", self.value),
            Compare::AtMost => format!("at most {}", self.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::figures::FIGURES;

    /// Every figure that there is, of these values; all others nothing.
    fn figures(values: &[(&str, u64)]) -> Figures {
        let reasons = callgate_model::reason::Reason::ALL.iter();
        let denied: Vec<String> =
            reasons.map(|reason| format!("denied.{}", reason.code())).collect();
        let effects = ["read", "write", "share", "delete", "admin"];
        let allowed: Vec<String> =
            effects.iter().map(|effect| format!("allowed.{effect}")).collect();
        let mut all: Vec<(&str, u64)> = FIGURES.iter().map(|(name, _, _)| (*name, 0)).collect();
        all.extend(denied.iter().chain(&allowed).map(|name| (name.as_str(), 0)));
        all.extend(values);
        Figures::sample(&all)
    }

    #[test]
    fn of_a_broken_log_nothing_is_covered() {
        let good: Vec<(&str, u64)> = FIGURES.iter().map(|(name, _, _)| (*name, 1)).collect();
        let judged = Frameworks::judge(&figures(&good)).unwrap();
        assert!(judged.items().all(|(_, item)| item.status == Status::NotCovered));
    }

    #[test]
    fn without_records_nothing_is_covered() {
        let judged = Frameworks::judge(&figures(&[])).unwrap();
        assert!(judged.items().count() > 70);
        for (_, item) in judged.items() {
            assert_eq!(item.status, Status::NotCovered, "{}: {:?}", item.id, item.unmet);
        }
    }

    /// Each rule is decided by each of its conditions: change one figure, and the status is another.
    #[test]
    fn every_condition_of_every_rule_matters() {
        let rules: BTreeMap<String, RawRule> = toml::from_str(RULES).unwrap();
        let all = Frameworks::judge(&figures(&[])).unwrap();
        for (name, rule) in &rules {
            assert!(all.items().any(|(_, item)| item.rule == *name), "nothing goes by `{name}`");
            let conditions: Vec<Condition> = rule
                .needs
                .iter()
                .chain(&rule.asks)
                .map(|text| Condition::parse(text).unwrap_or_else(|| panic!("{text}")))
                .collect();
            let fulfilled = |condition: &Condition| match condition.is {
                Compare::Equal | Compare::AtMost => condition.value,
                Compare::More => condition.value + 1,
            };
            let good: Vec<(&str, u64)> =
                conditions.iter().map(|one| (one.figure.as_str(), fulfilled(one))).collect();
            let status = |values: &[(&str, u64)]| {
                let item = RawItem {
                    id: String::new(),
                    title: String::new(),
                    control: String::new(),
                    rule: name.clone(),
                    figures: Vec::new(),
                    at_most: Status::Covered,
                    gap: String::new(),
                };
                judged(item, &rules, &figures(values)).unwrap().status
            };
            assert_eq!(status(&good), Status::Covered, "{name}");
            for (place, condition) in conditions.iter().enumerate() {
                let bad = match condition.is {
                    Compare::Equal | Compare::AtMost => condition.value + 1,
                    Compare::More => condition.value,
                };
                let mut values = good.clone();
                values.push((condition.figure.as_str(), bad));
                let is_needed = place < rule.needs.len();
                let expected = if is_needed { Status::NotCovered } else { Status::Partly };
                assert_eq!(status(&values), expected, "{name}: {condition:?}");
            }
        }
    }

    #[test]
    fn what_is_not_covered_is_said_of_each_item() {
        let judged = Frameworks::judge(&figures(&[])).unwrap();
        let mut ids = std::collections::BTreeSet::new();
        for (framework, item) in judged.items() {
            assert!(item.gap.ends_with('.') && item.gap.len() > 20, "{}: {}", item.id, item.gap);
            assert!(item.control.ends_with('.'), "{}: {}", item.id, item.control);
            assert!(!item.figures.is_empty(), "{}", item.id);
            assert!(ids.insert((&framework.key, &item.id)), "{} twice", item.id);
        }
    }

    #[test]
    fn no_gateway_is_more_than_its_item_lets_it_be() {
        let rules = BTreeMap::from([(
            "always".to_owned(),
            RawRule { about: String::new(), needs: Vec::new(), asks: Vec::new() },
        )]);
        for at_most in Status::ALL {
            let item = RawItem {
                id: String::new(),
                title: String::new(),
                control: String::new(),
                rule: "always".to_owned(),
                figures: Vec::new(),
                at_most,
                gap: String::new(),
            };
            assert_eq!(judged(item, &rules, &figures(&[])).unwrap().status, at_most);
        }
    }
}
