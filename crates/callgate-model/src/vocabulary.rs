//! What policies can talk about: operations, the kinds of target, the projected fields. Made from the catalogs;
//! the policy schema is made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::json::Json;

/// What a tool does to its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Nothing but returning data.
    Read,
    /// Creates or changes.
    Write,
    /// Changes who can see something, or who is told of it.
    Share,
    /// Removes.
    Delete,
    /// Changes who may do what, or how the product works.
    Admin,
}

/// How bad a wrong call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Nobody would notice, or an undo is one click.
    Low,
    /// Somebody's work is disturbed.
    Medium,
    /// Work is lost, or many are disturbed.
    High,
    /// Cannot be made good, or the blast radius is not one thing.
    Critical,
}

/// How an effect can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reversibility {
    /// By another call of the same kind; nothing to take back counts too.
    Reversible,
    /// With effort, or by an administrator (history, trash).
    Recoverable,
    /// Not at all.
    Irreversible,
}

macro_rules! names {
    ($type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in catalogs, policies and records.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The value of that name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

names!(Effect {
    Read = "read",
    Write = "write",
    Share = "share",
    Delete = "delete",
    Admin = "admin",
});
names!(Risk { Low = "low", Medium = "medium", High = "high", Critical = "critical" });
names!(Reversibility {
    Reversible = "reversible",
    Recoverable = "recoverable",
    Irreversible = "irreversible",
});
names!(FieldType { Text = "text", Flag = "flag", Count = "count", Names = "names" });

/// The type of a projected field in policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// `String`; empty if the call does not have it.
    Text,
    /// `Bool`; false if the call does not have it.
    Flag,
    /// `Long`; zero if the call does not have it.
    Count,
    /// `Set<String>`; empty if the call does not have it.
    Names,
}

/// The value of a projected field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// Of a [`FieldType::Text`].
    Text(String),
    /// Of a [`FieldType::Flag`].
    Flag(bool),
    /// Of a [`FieldType::Count`].
    Count(i64),
    /// Of a [`FieldType::Names`].
    Names(Vec<String>),
}

impl FieldValue {
    /// The value as it is recorded.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Flag(flag) => (*flag).into(),
            Self::Count(count) => (*count).into(),
            Self::Names(names) => names.clone().into(),
        }
    }
}

impl FieldType {
    /// A value of this type, as it is recorded.
    #[must_use]
    pub fn read(self, value: &Json) -> Option<FieldValue> {
        Some(match self {
            Self::Text => FieldValue::Text(value.as_str()?.to_owned()),
            Self::Flag => FieldValue::Flag(value.as_bool()?),
            Self::Count => FieldValue::Count(value.as_number()?.as_i64()?),
            Self::Names => {
                let name = |name: &Json| name.as_str().map(str::to_owned);
                FieldValue::Names(value.as_array()?.iter().map(name).collect::<Option<_>>()?)
            }
        })
    }

    /// The value of a field that the call does not have: the context is total.
    #[must_use]
    pub const fn absent(self) -> FieldValue {
        match self {
            Self::Text => FieldValue::Text(String::new()),
            Self::Flag => FieldValue::Flag(false),
            Self::Count => FieldValue::Count(0),
            Self::Names => FieldValue::Names(Vec::new()),
        }
    }
}

/// What a tool means, whatever a server calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// `jira.issue.edit`; or `server/tool` for a tool that no catalog gives a meaning.
    pub name: String,
    /// What it does, in a line.
    pub title: String,
    /// What it does to its targets.
    pub effect: Effect,
    /// How bad a wrong call is.
    pub risk: Risk,
    /// How it can be taken back.
    pub reversibility: Reversibility,
    /// The kinds of target it can have (`Jira::Issue`), sorted.
    pub targets: Vec<String>,
    /// The fields of `context.input`.
    pub fields: BTreeMap<String, FieldType>,
}

impl Operation {
    /// The action groups this operation is in when its effective risk is `risk`: its effect, `mutate` unless it is a
    /// read, its product and noun (`jira`, `jira.issue`), `risk.from.X` for every X up to the risk and `risk.up_to.X`
    /// for every X from it. Forbids use `from`, permits use `up_to`; so raising a risk can only deny more (I9).
    #[must_use]
    pub fn groups(&self, risk: Risk) -> Vec<String> {
        groups(&self.name, self.effect, risk)
    }
}

/// The action groups of an operation of that name and effect: [`Operation::groups`].
#[must_use]
pub fn groups(name: &str, effect: Effect, risk: Risk) -> Vec<String> {
    let mut groups = vec![effect.as_str().to_owned()];
    if effect != Effect::Read {
        groups.push("mutate".to_owned());
    }
    groups.extend(name.match_indices('.').map(|(at, _)| name.chars().take(at).collect()));
    groups.extend(
        Risk::ALL
            .iter()
            .filter(|level| **level <= risk)
            .map(|level| format!("risk.from.{}", level.as_str())),
    );
    groups.extend(
        Risk::ALL
            .iter()
            .filter(|level| **level >= risk)
            .map(|level| format!("risk.up_to.{}", level.as_str())),
    );
    groups
}

/// Everything policies can name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// By name.
    pub operations: BTreeMap<String, Arc<Operation>>,
    /// The kinds of target by name (`Jira::Issue`), each with the kind that contains it, if any.
    pub target_kinds: BTreeMap<String, Option<String>>,
    /// The kinds of which a target may be in several, one in another: folders.
    pub nested: BTreeSet<String>,
    /// The names of fields whose values are asked of the server, if any policy names them.
    pub looked_up: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i9_raising_risk_only_adds_forbids_and_removes_permits() {
        let operation = Operation {
            name: "jira.issue.edit".into(),
            title: String::new(),
            effect: Effect::Write,
            risk: Risk::Low,
            reversibility: Reversibility::Reversible,
            targets: vec![],
            fields: BTreeMap::new(),
        };
        for pair in Risk::ALL.windows(2) {
            let (lower, higher) = (operation.groups(pair[0]), operation.groups(pair[1]));
            assert!(
                lower.iter().filter(|g| !g.starts_with("risk.up_to.")).all(|g| higher.contains(g))
            );
            assert!(
                higher.iter().filter(|g| !g.starts_with("risk.from.")).all(|g| lower.contains(g))
            );
        }
        let groups = operation.groups(Risk::High);
        for group in
            ["write", "mutate", "jira", "jira.issue", "risk.from.high", "risk.up_to.critical"]
        {
            assert!(groups.iter().any(|g| g == group), "{group}");
        }
    }
}
