//! The sections of budgets: how much may happen within a while.

use std::collections::BTreeSet;

use callgate_model::budget::{Allowance, Budget, CALLS_MAX, Per, TARGETS_MAX, WITHIN_S_MAX, What};
use callgate_model::decision::Allotment;
use callgate_model::vocabulary::Effect;
use serde::Deserialize;

use super::section::Reader;
use super::server::is_plain;

/// The most budgets: each call is looked at with all of them.
pub(super) const BUDGETS_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBudget {
    name: String,
    per: OneOrMore,
    #[serde(default)]
    servers: BTreeSet<String>,
    #[serde(default)]
    operations: BTreeSet<String>,
    #[serde(default)]
    effects: BTreeSet<String>,
    calls: Option<String>,
    writes: Option<String>,
    deletes: Option<String>,
    targets: Option<String>,
    targets_of: Option<String>,
    #[serde(default)]
    exact: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Reader {
    pub(super) fn budgets(&mut self) -> Vec<Budget> {
        let raw: Vec<toml::Value> = self.optional("budgets").unwrap_or_default();
        if raw.len() > BUDGETS_MAX {
            self.problem("budgets", &format!("are more than {BUDGETS_MAX}"), None);
        }
        let mut budgets: Vec<Budget> = Vec::new();
        for (index, value) in raw.into_iter().enumerate() {
            let place = format!("budgets[{index}]");
            let Some(raw) = self.read::<RawBudget>(&place, value) else { continue };
            if !is_plain(&raw.name) {
                let text = "a budget's name is of a-z, 0-9 and `-`, at most 40 long";
                self.problem(&format!("{place}.name"), text, None);
            }
            if budgets.iter().any(|other| *other.name == *raw.name) {
                self.problem(&place, &format!("`{}` is named twice", raw.name), None);
            }
            let budget = self.budget(&place, raw);
            budgets.push(budget);
        }
        budgets
    }

    fn budget(&mut self, place: &str, raw: RawBudget) -> Budget {
        let per = match &raw.per {
            OneOrMore::One(name) => std::slice::from_ref(name),
            OneOrMore::More(names) => names,
        };
        let per = self.known(&format!("{place}.per"), per, |name| {
            Per::ALL.iter().find(|(known, _)| *known == name).map(|(_, per)| *per)
        });
        let effects = self.known(&format!("{place}.effects"), &raw.effects, Effect::parse);
        for unknown in &raw.servers {
            if !self.has("servers", unknown) {
                let text = format!("no server is called `{unknown}`");
                self.problem(&format!("{place}.servers"), &text, None);
            }
        }
        let said = [
            (What::Calls, &raw.calls, CALLS_MAX),
            (What::Writes, &raw.writes, CALLS_MAX),
            (What::Deletes, &raw.deletes, CALLS_MAX),
            (What::Targets, &raw.targets, TARGETS_MAX),
        ];
        let said =
            said.into_iter().filter_map(|(what, text, most)| Some((what, text.as_ref()?, most)));
        let allowances: Vec<Option<Allowance>> =
            said.map(|(what, text, most)| self.allowance(place, what, text, most)).collect();
        if allowances.is_empty() {
            let hint = "one of them at least: calls = \"100 in 1h\", writes, deletes, targets";
            self.problem(place, "says of nothing how much there may be", Some(hint.to_owned()));
        }
        if raw.targets_of.is_some() && raw.targets.is_none() {
            let hint = "targets = \"3 in 1h\"";
            self.problem(
                &format!("{place}.targets_of"),
                "no targets are counted",
                Some(hint.to_owned()),
            );
        }
        Budget {
            name: raw.name.into(),
            per,
            servers: raw.servers,
            operations: raw.operations,
            effects,
            targets_of: raw.targets_of,
            allowances: allowances.into_iter().flatten().collect(),
            exact: raw.exact,
        }
    }

    fn allowance(&mut self, place: &str, what: What, text: &str, most: u32) -> Option<Allowance> {
        let read = Allotment::parse(text, most, WITHIN_S_MAX);
        if read.is_none() {
            let hint = format!("so many in so long, at most {most} in at most 7d: \"10 in 2h\"");
            let problem = format!("cannot be `{text}`");
            self.problem(&format!("{place}.{}", what.as_str()), &problem, Some(hint));
        }
        let Allotment { uses, within_s } = read?;
        Some(Allowance { what, most: uses, within_s, told: text.to_owned() })
    }

    /// What these names stand for.
    fn known<'a, T: Ord>(
        &mut self,
        place: &str,
        names: impl IntoIterator<Item = &'a String>,
        find: impl Fn(&str) -> Option<T>,
    ) -> BTreeSet<T> {
        let mut found = BTreeSet::new();
        for name in names {
            match find(name) {
                Some(one) => drop(found.insert(one)),
                None => self.problem(place, &format!("there is no `{name}`"), None),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
