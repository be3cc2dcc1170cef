//! What would have been decided otherwise, summed up: by caller, tool and what made the difference.

use std::collections::BTreeMap;

use callgate_gateway::replay::Unknown;
use callgate_model::ambient::Id;
use callgate_model::evidence::{Recorded, Unreadable};
use callgate_model::json::{Json, Object};

use crate::print::safe;
use crate::recorded::Unread;

/// Groups that are told apart; the rest is counted together.
const GROUPS_MAX: usize = 1_000;
/// Calls of a group that are named.
const SAMPLES_MAX: usize = 5;
/// In place of the callers and tools of groups that are not told apart.
const OTHERS: &str = "(others)";

/// What came of looking at recorded decisions.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// Decisions that were looked at.
    pub(crate) decisions: u64,
    /// Of these, what would be decided as it was.
    pub(crate) same: u64,
    /// What policies had no say in.
    pub(crate) no_say: u64,
    groups: BTreeMap<Group, Found>,
    unknown: BTreeMap<&'static str, Found>,
}

/// Calls that are alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    /// How the answer changes.
    pub(crate) change: String,
    /// Who called.
    pub(crate) caller: String,
    /// What: the server and the tool.
    pub(crate) tool: String,
    /// The answer that there was.
    pub(crate) was: String,
    /// The answer that there would be.
    pub(crate) is: String,
    /// The codes of the reasons for that.
    pub(crate) reasons: Vec<String>,
    /// The policies that would determine it.
    pub(crate) policies: Vec<String>,
}

/// How many there are, and some of them.
#[derive(Clone, Debug, Default)]
struct Found {
    count: u64,
    calls: Vec<Id>,
}

impl Found {
    fn add(&mut self, call: Option<Id>) {
        self.count += 1;
        if self.calls.len() < SAMPLES_MAX {
            self.calls.extend(call);
        }
    }

    fn calls(&self) -> Vec<String> {
        self.calls.iter().map(Id::to_string).collect()
    }

    fn samples(&self) -> String {
        let more = if self.count > self.calls.len() as u64 { ", …" } else { "" };
        format!("{}{more}", self.calls().join(", "))
    }
}

impl Group {
    /// Of a recorded call, by whom and of what.
    pub(crate) fn of(recorded: &Recorded) -> Self {
        let caller = recorded.caller.as_ref().map(callgate_model::caller::Caller::summary);
        Self {
            caller: caller.unwrap_or_default(),
            tool: format!("{}/{}", recorded.server, recorded.tool),
            ..Self::default()
        }
    }

    /// Why, in a few words.
    fn by(&self) -> String {
        let reasons = self.reasons.join("+");
        match self.policies.as_slice() {
            [] => reasons,
            policies => format!("{reasons} by {}", policies.join(", ")),
        }
    }
}

impl Difference {
    /// Counts a call that would be decided otherwise.
    pub(crate) fn changes(&mut self, group: Group, call: Id) {
        let is_room = self.groups.len() < GROUPS_MAX || self.groups.contains_key(&group);
        let group = if is_room {
            group
        } else {
            let (caller, tool) = (OTHERS.to_owned(), OTHERS.to_owned());
            Group { change: group.change, caller, tool, ..Group::default() }
        };
        self.groups.entry(group).or_default().add(Some(call));
    }

    /// Counts a call of which it is not known what would be decided.
    pub(crate) fn unknown(&mut self, why: Unknown, call: Option<Id>) {
        self.unknown.entry(why.as_str()).or_default().add(call);
    }

    /// Counts a record that cannot be read.
    pub(crate) fn unread(&mut self, unread: Unread) {
        self.decisions += 1;
        let why = match unread.why {
            Unreadable::Erased => Unknown::Erased,
            Unreadable::NoDecision | Unreadable::Strange => Unknown::Strange,
        };
        self.unknown(why, unread.call);
    }

    /// How many changed so.
    pub(crate) fn count(&self, change: &str) -> u64 {
        let those = self.groups.iter().filter(|(group, _)| group.change == change);
        those.map(|(_, found)| found.count).sum()
    }

    /// How many changed.
    pub(crate) fn changed(&self) -> u64 {
        self.groups.values().map(|found| found.count).sum()
    }

    /// Of how many it is not known.
    pub(crate) fn unknowns(&self) -> u64 {
        self.unknown.values().map(|found| found.count).sum()
    }

    /// The changes, and what is not known, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut last = None;
        for (group, found) in &self.groups {
            if last != Some(&group.change) {
                lines.push(format!("{:<21} {:>7}", group.change, self.count(&group.change)));
                last = Some(&group.change);
            }
            let Group { caller, tool, was, is, .. } = group;
            lines.push(safe(&format!(
                "  {:>7}  {caller}  {tool}  {was} -> {is}  {}",
                found.count,
                group.by()
            )));
            lines.push(format!("           {}", found.samples()));
        }
        if !self.unknown.is_empty() {
            lines.push(format!("{:<21} {:>7}", "not known", self.unknowns()));
        }
        for (why, found) in &self.unknown {
            lines.push(format!("  {:>7}  {why}", found.count));
            lines.push(format!("           {}", found.samples()));
        }
        lines
    }

    /// All of it, for programs.
    pub(crate) fn to_json(&self) -> Object {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let changes = self.groups.iter().map(|(group, found)| {
            let one = Object::default()
                .with("change", group.change.as_str())
                .with("caller", group.caller.as_str())
                .with("tool", group.tool.as_str())
                .with("was", group.was.as_str())
                .with("is", group.is.as_str())
                .with("reasons", group.reasons.clone())
                .with("policies", group.policies.clone())
                .with("count", count(found.count))
                .with("calls", found.calls());
            Json::from(one)
        });
        let unknown = self.unknown.iter().map(|(why, found)| {
            let one = Object::default().with("reason", *why).with("count", count(found.count));
            Json::from(one.with("calls", found.calls()))
        });
        Object::default()
            .with("decisions", count(self.decisions))
            .with("same", count(self.same))
            .with("no_say", count(self.no_say))
            .with("changes", changes.collect::<Vec<_>>())
            .with("unknown", unknown.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use callgate_model::ambient::Timestamp;

    use super::*;

    fn id(n: u16) -> Id {
        Id::new(Timestamp::default(), n.to_be_bytes().repeat(8).try_into().unwrap())
    }

    #[test]
    fn what_there_is_too_much_of_is_counted_together_and_never_lost() {
        let mut all = Difference::default();
        for n in 0..1_200_u16 {
            let caller = format!("caller {n}");
            let group = Group { change: "newly_denied".to_owned(), caller, ..Group::default() };
            all.changes(group, id(n));
        }
        assert_eq!(
            (all.changed(), all.count("newly_denied"), all.groups.len()),
            (1_200, 1_200, 1_001)
        );
        let others = all.groups.iter().find(|(group, _)| group.caller == OTHERS).unwrap().1;
        assert_eq!((others.count, others.calls.len()), (200, SAMPLES_MAX));
    }

    #[test]
    fn text_of_others_moves_nothing_on_a_terminal() {
        let mut all = Difference::default();
        let caller = "alice\u{1b}[2J".to_owned();
        all.changes(Group { caller, ..Group::default() }, id(1));
        assert!(all.lines().iter().all(|line| !line.contains('\u{1b}')));
    }
}
