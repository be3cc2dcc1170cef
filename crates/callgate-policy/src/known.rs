//! What a bundle was validated for: the kinds and operations of one vocabulary, ready for Cedar.
//!
//! A call about anything else was not foreseen by validation, so it has no answer here and is denied.

use std::collections::HashMap;
use std::sync::Arc;

use callgate_model::vocabulary::{Operation, Risk, Vocabulary};
use cedar_policy::{Entity, EntityTypeName, EntityUid};

use crate::names::{CORE, uid};
use crate::schema;

/// The kinds and operations of a vocabulary.
#[derive(Debug, Default)]
pub(crate) struct Known {
    kinds: HashMap<String, Kind>,
    actions: HashMap<String, Action>,
}

/// A kind of target.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) type_name: EntityTypeName,
    /// What it can be in, the innermost first.
    pub(crate) containers: Vec<EntityTypeName>,
    /// Those of them of which it can be in several, one in another.
    pub(crate) nested: Vec<EntityTypeName>,
}

/// An operation.
#[derive(Debug)]
struct Action {
    operation: Arc<Operation>,
    /// One for each risk a call of it can have.
    levels: Vec<Level>,
}

/// An operation at one risk.
#[derive(Debug)]
pub(crate) struct Level {
    risk: Risk,
    pub(crate) uid: EntityUid,
    pub(crate) groups: Vec<EntityUid>,
    pub(crate) entity: Entity,
}

impl Known {
    /// Prepares `vocabulary`, or says everything that is wrong with it.
    pub(crate) fn new(vocabulary: &Vocabulary) -> Result<Self, Vec<String>> {
        let mut known = Self::default();
        let mut wrong = Vec::new();
        for kind in vocabulary.target_kinds.keys() {
            match Kind::new(kind, vocabulary) {
                Ok(prepared) => {
                    known.kinds.insert(kind.clone(), prepared);
                }
                Err(message) => wrong.push(message),
            }
        }
        for (name, operation) in &vocabulary.operations {
            wrong.extend(misfits(name, operation, vocabulary));
            known.actions.insert(name.clone(), Action::new(operation));
        }
        if wrong.is_empty() { Ok(known) } else { Err(wrong) }
    }

    /// The kind of that name.
    pub(crate) fn kind(&self, name: &str) -> Option<&Kind> {
        self.kinds.get(name)
    }

    /// `operation` at `risk`, or at its own if that is higher. Nothing, unless it is just the operation that policies
    /// were validated against.
    pub(crate) fn level(&self, operation: &Operation, risk: Risk) -> Option<&Level> {
        let action = self.actions.get(&operation.name)?;
        if !std::ptr::eq(action.operation.as_ref(), operation) && *action.operation != *operation {
            return None;
        }
        action.levels.iter().find(|level| level.risk >= risk)
    }
}

impl Kind {
    fn new(name: &str, vocabulary: &Vocabulary) -> Result<Self, String> {
        let parse = |name: &str| {
            name.parse::<EntityTypeName>()
                .map_err(|_error| format!("`{}` is not a kind of target", name.escape_debug()))
        };
        let (mut containers, mut nested) = (Vec::new(), Vec::new());
        let mut inner = name;
        while let Some(container) = vocabulary.target_kinds.get(inner).and_then(Option::as_deref) {
            if !vocabulary.target_kinds.contains_key(container) {
                return Err(format!("{inner} is in {container}, which is no kind of target"));
            }
            if containers.len() >= vocabulary.target_kinds.len() {
                return Err(format!("{name} is in itself"));
            }
            containers.push(parse(container)?);
            if vocabulary.nested.contains(container) {
                nested.push(parse(container)?);
            }
            inner = container;
        }
        Ok(Self { type_name: parse(name)?, containers, nested })
    }
}

impl Action {
    fn new(operation: &Arc<Operation>) -> Self {
        let own = uid(&CORE.action, &operation.name);
        let level = |risk: Risk| {
            let groups = operation.groups(risk);
            let groups: Vec<_> = groups.iter().map(|group| uid(&CORE.action, group)).collect();
            let entity = Entity::new_no_attrs(own.clone(), groups.iter().cloned().collect());
            Level { risk, uid: own.clone(), groups, entity }
        };
        let possible = Risk::ALL.iter().filter(|risk| **risk >= operation.risk);
        Self { operation: Arc::clone(operation), levels: possible.copied().map(level).collect() }
    }
}

fn misfits(name: &str, operation: &Operation, vocabulary: &Vocabulary) -> Vec<String> {
    let mut wrong = Vec::new();
    if operation.name != name {
        wrong.push(format!("operation `{}` is listed as `{name}`", operation.name));
    }
    if schema::standing_groups().any(|group| group == name) {
        wrong.push(format!("operation `{name}` has the name of a group"));
    }
    let unknown =
        operation.targets.iter().filter(|kind| !vocabulary.target_kinds.contains_key(*kind));
    wrong.extend(unknown.map(|kind| {
        format!("operation `{name}` has targets of the unknown kind `{}`", kind.escape_debug())
    }));
    wrong
}
