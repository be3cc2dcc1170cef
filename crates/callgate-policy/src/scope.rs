//! The scope of a policy, `(principal …, action …, resource …)`, in a form that can be compared without Cedar.
//!
//! Cedar evaluates every policy it is shown. A policy whose scope does not match is false and cannot err, so it need
//! not be shown; what matches here must match in Cedar and the other way round (`slice_and_full_set_agree`).

use cedar_policy::{
    ActionConstraint, EntityTypeName, EntityUid, Policy, PrincipalConstraint, ResourceConstraint,
};

use crate::names::{CORE, Closure, Name, Names};

/// A policy's scope.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) principal: Party,
    pub(crate) action: Actions,
    pub(crate) resource: Party,
}

/// What a scope says about the principal or the resource.
#[derive(Debug, Default)]
pub(crate) struct Party {
    /// `is T`
    pub(crate) kind: Option<EntityTypeName>,
    /// `== e` or `in e`
    pub(crate) anchor: Option<Anchor>,
}

/// The entity a scope names.
#[derive(Debug)]
pub(crate) struct Anchor {
    pub(crate) uid: EntityUid,
    pub(crate) name: Name,
    /// `==`, not `in`
    pub(crate) exact: bool,
}

/// What a scope says about the action.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Actions {
    Any,
    Is(Name),
    In(Vec<Name>),
}

/// All of a scope that Cedar's validator looks at, if the names in it are plain ASCII (for others it has warnings).
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    principal: PartyShape,
    action: Actions,
    resource: PartyShape,
}

type PartyShape = (Option<EntityTypeName>, Option<(EntityTypeName, bool)>);

impl Scope {
    /// The scope of `policy`, its names numbered in `names`.
    pub(crate) fn of(policy: &Policy, names: &mut Names) -> Self {
        let mut anchor = |uid: EntityUid, exact| {
            let name = names.intern(&uid);
            Some(Anchor { uid, name, exact })
        };
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any => Party::default(),
            PrincipalConstraint::Is(kind) => Party { kind: Some(kind), anchor: None },
            PrincipalConstraint::Eq(uid) => Party { kind: None, anchor: anchor(uid, true) },
            PrincipalConstraint::In(uid) => Party { kind: None, anchor: anchor(uid, false) },
            PrincipalConstraint::IsIn(kind, uid) => {
                Party { kind: Some(kind), anchor: anchor(uid, false) }
            }
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any => Party::default(),
            ResourceConstraint::Is(kind) => Party { kind: Some(kind), anchor: None },
            ResourceConstraint::Eq(uid) => Party { kind: None, anchor: anchor(uid, true) },
            ResourceConstraint::In(uid) => Party { kind: None, anchor: anchor(uid, false) },
            ResourceConstraint::IsIn(kind, uid) => {
                Party { kind: Some(kind), anchor: anchor(uid, false) }
            }
        };
        let action = match policy.action_constraint() {
            ActionConstraint::Any => Actions::Any,
            ActionConstraint::Eq(uid) => Actions::Is(names.intern(&uid)),
            ActionConstraint::In(uids) => {
                Actions::In(uids.iter().map(|uid| names.intern(uid)).collect())
            }
        };
        Self { principal, action, resource }
    }

    /// Its shape.
    pub(crate) fn shape(&self) -> Option<Shape> {
        Some(Shape {
            principal: self.principal.shape()?,
            action: self.action.clone(),
            resource: self.resource.shape()?,
        })
    }

    /// Whether it covers everything: no part of it says anything.
    pub(crate) fn is_open(&self) -> bool {
        self.principal.is_any() && self.resource.is_any() && matches!(self.action, Actions::Any)
    }
}

impl Party {
    fn shape(&self) -> Option<PartyShape> {
        let anchor = match &self.anchor {
            Some(anchor) if !anchor.uid.id().unescaped().is_ascii() => return None,
            Some(anchor) => Some((anchor.uid.type_name().clone(), anchor.exact)),
            None => None,
        };
        Some((self.kind.clone(), anchor))
    }

    /// Whether it says nothing.
    pub(crate) fn is_any(&self) -> bool {
        self.kind.is_none() && self.anchor.is_none()
    }

    /// Whether it covers the entity of type `kind` that is seen as `closure`.
    pub(crate) fn covers(&self, kind: &EntityTypeName, closure: &Closure) -> bool {
        self.kind.as_ref().is_none_or(|is| is == kind)
            && self.anchor.as_ref().is_none_or(|anchor| {
                if anchor.exact {
                    closure.own == Some(anchor.name)
                } else {
                    closure.all.contains(&anchor.name)
                }
            })
    }

    /// Whether it names the type `Unresolved`. Only such a permit can permit what is not known.
    pub(crate) fn names_unresolved(&self) -> bool {
        let anchored = self.anchor.as_ref().map(|anchor| anchor.uid.type_name());
        [self.kind.as_ref(), anchored].into_iter().flatten().any(|kind| *kind == CORE.unresolved)
    }
}

impl Actions {
    /// Whether it covers the action that is seen as `closure`.
    pub(crate) fn covers(&self, closure: &Closure) -> bool {
        match self {
            Self::Any => true,
            Self::Is(name) => closure.own == Some(*name),
            Self::In(names) => names.iter().any(|name| closure.all.contains(name)),
        }
    }
}
