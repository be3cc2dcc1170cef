//! What policy could let somebody do, and where: asked of policy itself, for every operation and every place that is known.

use std::collections::{BTreeMap, BTreeSet};

use callgate_model::caller::Caller;
use callgate_model::envelope::Portion;
use callgate_model::json::{Json, Object};
use callgate_model::products::gateway;
use callgate_model::target::Resource;
use callgate_model::vocabulary::{Operation, Vocabulary};
use callgate_policy::{Bundle, PreparedCaller, could_allow_in};

use super::Used;

/// Whom to ask, and about what.
pub(crate) struct Asking<'a> {
    pub(crate) bundle: &'a Bundle,
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) servers: BTreeSet<String>,
    /// The places that policies name, or that were used.
    pub(crate) places: BTreeSet<Resource>,
}

/// Operations by place, as policies write it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(super) places: BTreeMap<String, BTreeSet<String>>,
}

impl Asking<'_> {
    /// What any of `callers` could be allowed, perhaps with an approval or a grant, of `servers`; of all, if there are none.
    pub(super) fn reach(&self, callers: &[Caller], servers: &BTreeSet<String>) -> Reach {
        let servers = if servers.is_empty() { &self.servers } else { servers };
        let callers: Vec<_> = callers.iter().cloned().map(PreparedCaller::new).collect();
        let mut reach = Reach::default();
        for place in &self.places {
            let could = |operation: &&Operation| {
                callers.iter().any(|caller| {
                    let of_server = |server: &String| {
                        let risk = operation.risk;
                        could_allow_in(self.bundle, caller, server, operation, risk, place)
                    };
                    servers.iter().any(of_server)
                        || could_allow_in(
                            self.bundle,
                            caller,
                            gateway::NAME,
                            operation,
                            operation.risk,
                            place,
                        )
                })
            };
            let operations = self.vocabulary.operations.values().map(|one| &**one).filter(could);
            let operations: BTreeSet<_> = operations.map(|one| one.name.clone()).collect();
            if !operations.is_empty() {
                reach.places.insert(written(place), operations);
            }
        }
        reach
    }
}

impl Reach {
    /// What a grant is for, in its own words.
    pub(super) fn of_portion(portion: &Portion) -> Self {
        let places = portion.within.iter().map(written);
        let mut all: BTreeMap<_, _> =
            places.map(|place| (place, portion.actions.clone())).collect();
        if all.is_empty() {
            all.insert("anywhere".to_owned(), portion.actions.clone());
        }
        Self { places: all }
    }

    /// Whether there is anything that was not used.
    pub(super) fn exceeds(&self, used: &Used) -> bool {
        self.unused(used) > 0
    }

    /// How many operations, at each place counted once, were not used.
    pub(crate) fn unused(&self, used: &Used) -> usize {
        let is_unused = |place: &str, operation: &str| {
            !used.calls.contains_key(&(operation.to_owned(), place.to_owned()))
        };
        let pairs =
            self.places.iter().flat_map(|(place, all)| all.iter().map(move |one| (place, one)));
        pairs.filter(|(place, operation)| is_unused(place, operation)).count()
    }

    /// At how many places.
    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.places.values().map(BTreeSet::len).sum()
    }

    pub(super) fn to_json(&self) -> Json {
        let places = self.places.iter().map(|(place, operations)| {
            let operations: Vec<Json> = operations.iter().map(|one| one.as_str().into()).collect();
            Object::default().with("place", place.as_str()).with("operations", operations).into()
        });
        Json::Array(places.collect())
    }
}

fn written(place: &Resource) -> String {
    format!("{}::\"{}\"", place.kind, place.id)
}
