//! Cedar's names for the things of the model, and small numbers for the names that a bundle knows.

use std::collections::HashMap;
use std::sync::LazyLock;

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

/// The entity types that do not come from catalogs.
pub(crate) struct CoreTypes {
    pub(crate) action: EntityTypeName,
    pub(crate) agent: EntityTypeName,
    pub(crate) agent_class: EntityTypeName,
    pub(crate) client: EntityTypeName,
    pub(crate) credential: EntityTypeName,
    pub(crate) delegation: EntityTypeName,
    pub(crate) group: EntityTypeName,
    pub(crate) service_account: EntityTypeName,
    pub(crate) unresolved: EntityTypeName,
    pub(crate) user: EntityTypeName,
    pub(crate) workflow: EntityTypeName,
}

/// Parsed once: parsing a type name costs more than the rest of a look-up.
pub(crate) static CORE: LazyLock<CoreTypes> = LazyLock::new(|| CoreTypes {
    action: literal("Action"),
    agent: literal("Agent"),
    agent_class: literal("AgentClass"),
    client: literal("Client"),
    credential: literal("Credential"),
    delegation: literal("Delegation"),
    group: literal("Group"),
    service_account: literal("ServiceAccount"),
    unresolved: literal("Unresolved"),
    user: literal("User"),
    workflow: literal("Workflow"),
});

#[expect(clippy::expect_used, reason = "only called with the identifiers above, never with input")]
fn literal(name: &'static str) -> EntityTypeName {
    name.parse().expect("an identifier is a type name")
}

/// `kind::"id"`, whatever characters the id has.
pub(crate) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// The number of a name within one bundle.
pub(crate) type Name = u32;

/// Numbers for the names that policies use. A name without a number is named by no policy, so nothing needs to be
/// looked up for it.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<EntityUid, Name>);

impl Names {
    /// The number of `uid`, a new one if it has none.
    pub(crate) fn intern(&mut self, uid: &EntityUid) -> Name {
        let next = Name::try_from(self.0.len()).unwrap_or(Name::MAX);
        *self.0.entry(uid.clone()).or_insert(next)
    }

    /// What policies can see of an entity with this `uid` and these `ancestors`.
    pub(crate) fn closure<'a>(
        &self,
        uid: &EntityUid,
        ancestors: impl IntoIterator<Item = &'a EntityUid>,
    ) -> Closure {
        let own = self.0.get(uid).copied();
        let ancestors = ancestors.into_iter().filter_map(|ancestor| self.0.get(ancestor).copied());
        Closure { own, all: own.into_iter().chain(ancestors).collect() }
    }
}

/// The named part of an entity: itself and what it is in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Closure {
    /// Its own number, if any policy names it.
    pub(crate) own: Option<Name>,
    /// The numbers of all it is `in`, itself included.
    pub(crate) all: Vec<Name>,
}
