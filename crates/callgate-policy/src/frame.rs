//! A call as Cedar sees it. A call that does not fit what the policies were validated for has no such form, and is
//! denied: typed construction is why a policy meets nothing that validation did not foresee.

use std::collections::HashMap;

use callgate_model::ambient::Timestamp;
use callgate_model::call::ToolCall;
use callgate_model::target::{Located, Target, Unresolved};
use callgate_model::vocabulary::{FieldType, FieldValue};
use cedar_policy::{Context, Entity, EntityTypeName, EntityUid, RestrictedExpression};

use crate::bundle::Bundle;
use crate::decide::Question;
use crate::known::{Known, Level};
use crate::names::{CORE, Closure, uid};

/// The part of a question that is the same for every link and target.
pub(crate) struct Frame<'a> {
    pub(crate) level: &'a Level,
    pub(crate) action: Closure,
    pub(crate) context: Context,
}

/// A target as Cedar sees it.
pub(crate) struct Thing {
    pub(crate) uid: EntityUid,
    pub(crate) closure: Closure,
    pub(crate) entity: Entity,
}

impl<'a> Frame<'a> {
    /// The frame of `question`, unless its operation or fields are not those of `bundle`.
    pub(crate) fn new(bundle: &'a Bundle, question: &Question<'_>) -> Option<Self> {
        let level = bundle.known.level(&question.call.operation, question.call.risk)?;
        let action = bundle.names.closure(&level.uid, &level.groups);
        let context = context(question.caller.via().0, question.call, question.now)?;
        Some(Self { level, action, context })
    }
}

impl Thing {
    /// `target`, unless the operation cannot have it or its containers are not those of its kind.
    pub(crate) fn new(bundle: &Bundle, call: &ToolCall, target: &Target) -> Option<Self> {
        match target {
            Target::Located(located) if call.operation.targets.contains(&located.resource.kind) => {
                Self::located(bundle, located)
            }
            Target::Located(_) => None,
            Target::Unresolved(unresolved) => Self::unresolved(bundle, unresolved),
        }
    }

    fn located(bundle: &Bundle, located: &Located) -> Option<Self> {
        let kind = bundle.known.kind(&located.resource.kind)?;
        let containers = containers(&bundle.known, &kind.containers, located)?;
        let uid = uid(&kind.type_name, &located.resource.id);
        let closure = bundle.names.closure(&uid, &containers);
        let entity = Entity::new_no_attrs(uid.clone(), containers.into_iter().collect());
        Some(Self { uid, closure, entity })
    }

    fn unresolved(bundle: &Bundle, unresolved: &Unresolved) -> Option<Self> {
        let uid = uid(&CORE.unresolved, &unresolved.kind);
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let attributes = HashMap::from([
            ("kind".to_owned(), text(&unresolved.kind)),
            ("site".to_owned(), text(&unresolved.site)),
            ("obstacle".to_owned(), text(unresolved.obstacle.as_str())),
        ]);
        let entity = Entity::new(uid.clone(), attributes, std::iter::empty().collect()).ok()?;
        let closure = bundle.names.closure(&uid, []);
        Some(Self { uid, closure, entity })
    }
}

/// The containers of a target: each of a kind its own kind can be in, and no two of one kind. `could_allow` counts on
/// both.
fn containers(
    known: &Known,
    possible: &[EntityTypeName],
    located: &Located,
) -> Option<Vec<EntityUid>> {
    let mut containers: Vec<EntityUid> = Vec::with_capacity(located.containers.len());
    for container in &located.containers {
        let kind = &known.kind(&container.kind)?.type_name;
        let twice = containers.iter().any(|other| other.type_name() == kind);
        if twice || !possible.contains(kind) {
            return None;
        }
        containers.push(uid(kind, &container.id));
    }
    Some(containers)
}

/// Every field is always there: a forbid about a field that a call lacks must not err, nor a permit be spared.
fn context(via: &EntityUid, call: &ToolCall, now: Timestamp) -> Option<Context> {
    let fields = call.operation.fields.iter().map(|(name, kind)| {
        let value = call.fields.get(name)?;
        Some((name.clone(), expression(*kind, value)?))
    });
    let input = fields.collect::<Option<Vec<_>>>()?;
    Context::from_pairs([
        ("via".to_owned(), RestrictedExpression::new_entity_uid(via.clone())),
        ("now".to_owned(), RestrictedExpression::new_datetime(now.to_string())),
        ("server".to_owned(), RestrictedExpression::new_string(call.server.as_ref().to_owned())),
        ("tool".to_owned(), RestrictedExpression::new_string(call.tool.clone())),
        ("input".to_owned(), RestrictedExpression::new_record(input).ok()?),
    ])
    .ok()
}

fn expression(kind: FieldType, value: &FieldValue) -> Option<RestrictedExpression> {
    match (kind, value) {
        (FieldType::Text, FieldValue::Text(text)) => {
            Some(RestrictedExpression::new_string(text.clone()))
        }
        (FieldType::Flag, FieldValue::Flag(flag)) => Some(RestrictedExpression::new_bool(*flag)),
        (FieldType::Count, FieldValue::Count(count)) => {
            Some(RestrictedExpression::new_long(*count))
        }
        (FieldType::Names, FieldValue::Names(names)) => Some(RestrictedExpression::new_set(
            names.iter().cloned().map(RestrictedExpression::new_string),
        )),
        (FieldType::Text | FieldType::Flag | FieldType::Count | FieldType::Names, _) => None,
    }
}
