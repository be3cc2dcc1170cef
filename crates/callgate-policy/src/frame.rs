//! A call as Cedar sees it. A call that does not fit what the policies were validated for has no such form, and is
//! denied: typed construction is why a policy meets nothing that validation did not foresee.

use std::cell::OnceCell;
use std::collections::HashMap;

use callgate_model::call::ToolCall;
use callgate_model::target::{Located, Target, Unresolved};
use callgate_model::vocabulary::{FieldType, FieldValue};
use cedar_policy::{Context, Entity, EntityUid, RestrictedExpression};

use crate::bundle::Bundle;
use crate::decide::Question;
use crate::known::{Kind, Known, Level};
use crate::names::{CORE, Closure, uid};

/// The part of a question that is the same for every link and target.
pub(crate) struct Frame<'a> {
    pub(crate) level: &'a Level,
    pub(crate) action: Closure,
    /// Made when the first condition asks for it.
    context: OnceCell<Option<Context>>,
}

/// A target as Cedar sees it.
pub(crate) struct Thing {
    pub(crate) uid: EntityUid,
    pub(crate) closure: Closure,
    pub(crate) entity: Entity,
}

impl<'a> Frame<'a> {
    /// The frame of `question`, unless its operation, fields or time are not what `bundle` was validated for.
    pub(crate) fn new(bundle: &'a Bundle, question: &Question<'_>) -> Option<Self> {
        let level = bundle.known.level(&question.call.operation, question.call.risk)?;
        let action = bundle.names.closure(&level.uid, &level.groups);
        (question.now.is_writable() && has_its_fields(question.call)).then(|| Self {
            level,
            action,
            context: OnceCell::new(),
        })
    }

    /// What conditions see as `context`.
    pub(crate) fn context(&self, question: &Question<'_>) -> Option<&Context> {
        let made = || context(question);
        self.context.get_or_init(made).as_ref()
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
        let containers = containers(&bundle.known, kind, located)?;
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

/// The containers of a target: each of a kind its own kind can be in, and no two of one kind, unless that nests.
/// `could_allow` counts on both.
fn containers(known: &Known, own: &Kind, located: &Located) -> Option<Vec<EntityUid>> {
    let mut containers: Vec<EntityUid> = Vec::with_capacity(located.containers.len());
    for container in &located.containers {
        let kind = &known.kind(&container.kind)?.type_name;
        let twice = containers.iter().any(|other| other.type_name() == kind);
        if (twice && !own.nested.contains(kind)) || !own.containers.contains(kind) {
            return None;
        }
        containers.push(uid(kind, &container.id));
    }
    Some(containers)
}

/// Every field is always there: a forbid about a field that a call lacks must not err, nor a permit be spared.
fn has_its_fields(call: &ToolCall) -> bool {
    let has = |name, kind| call.fields.get(name).is_some_and(|value| is_of(kind, value));
    call.operation.fields.iter().all(|(name, kind)| has(name, *kind))
}

const fn is_of(kind: FieldType, value: &FieldValue) -> bool {
    match value {
        FieldValue::Text(_) => matches!(kind, FieldType::Text),
        FieldValue::Flag(_) => matches!(kind, FieldType::Flag),
        FieldValue::Count(_) => matches!(kind, FieldType::Count),
        FieldValue::Names(_) => matches!(kind, FieldType::Names),
    }
}

fn context(question: &Question<'_>) -> Option<Context> {
    let (call, via) = (question.call, question.caller.via().0);
    let fields = call.operation.fields.keys();
    let input = fields.map(|name| Some((name.clone(), expression(call.fields.get(name)?))));
    let input = input.collect::<Option<Vec<_>>>()?;
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let mut pairs = vec![
        ("via", RestrictedExpression::new_entity_uid(via.clone())),
        ("now", RestrictedExpression::new_datetime(question.now.to_string())),
        ("server", text(&call.server)),
        ("tool", text(&call.tool)),
        ("input", RestrictedExpression::new_record(input).ok()?),
    ];
    if let Some(grant) = question.grant {
        let about = [
            ("id", text(&grant.id.to_string())),
            ("by", text(&grant.by)),
            ("reason", text(&grant.reason)),
            ("ticket", text(grant.ticket.as_deref().unwrap_or_default())),
        ];
        pairs.push(("grant", record(about)?));
    }
    let workflow = question.caller.workflow.as_ref();
    if let Some(run) = workflow.filter(|run| run.assurance.is_assured()) {
        let about = [
            ("run", text(&run.run)),
            ("purpose", text(run.purpose.as_deref().unwrap_or_default())),
            ("ticket", text(run.ticket.as_deref().unwrap_or_default())),
        ];
        pairs.push(("workflow", record(about)?));
    }
    Context::from_pairs(pairs.into_iter().map(|(name, value)| (name.to_owned(), value))).ok()
}

fn record<const N: usize>(
    members: [(&str, RestrictedExpression); N],
) -> Option<RestrictedExpression> {
    let members = members.map(|(name, value)| (name.to_owned(), value));
    RestrictedExpression::new_record(members).ok()
}

fn expression(value: &FieldValue) -> RestrictedExpression {
    match value {
        FieldValue::Text(text) => RestrictedExpression::new_string(text.clone()),
        FieldValue::Flag(flag) => RestrictedExpression::new_bool(*flag),
        FieldValue::Count(count) => RestrictedExpression::new_long(*count),
        FieldValue::Names(names) => RestrictedExpression::new_set(
            names.iter().cloned().map(RestrictedExpression::new_string),
        ),
    }
}
