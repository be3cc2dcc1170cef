//! What policy could let somebody do, and where: asked of policy itself, for every operation and every place that is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callgate_model::ambient::Timestamp;
use callgate_model::caller::Caller;
use callgate_model::envelope::Portion;
use callgate_model::json::{Json, Object};
use callgate_model::products::gateway;
use callgate_model::target::Resource;
use callgate_model::vocabulary::Vocabulary;
use callgate_policy::{Bundle, PreparedCaller, could_allow, could_allow_in};

use super::{Cell, Used};

/// Whom to ask, and about what.
pub(crate) struct Asking {
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) servers: BTreeSet<String>,
    /// The places that policies name, or that were used.
    pub(crate) places: BTreeSet<Resource>,
    /// Whether any policy asks for an approval.
    has_gates: bool,
}

/// Operations by place, as policies write it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(super) places: BTreeMap<String, BTreeSet<String>>,
    /// Of these, what may be done with an approval only.
    pub(super) gated: BTreeMap<String, BTreeSet<String>>,
}

impl Asking {
    /// What these policies say to whomever is asked about, at these places.
    pub(crate) fn new(
        (bundle, vocabulary): (Arc<Bundle>, Arc<Vocabulary>),
        servers: BTreeSet<String>,
        places: BTreeSet<Resource>,
    ) -> Self {
        let has_gates = bundle.texts().any(|policy| policy.gate.is_some());
        Self { bundle, vocabulary, servers, places, has_gates }
    }

    /// What any of `callers` could be allowed, perhaps with an approval or a grant, of `servers`; of all, if there are none. If
    /// none of them can do something without an approval, that is said.
    pub(super) fn reach(
        &self,
        callers: &[Caller],
        servers: &BTreeSet<String>,
        now: Timestamp,
    ) -> Reach {
        let servers = if servers.is_empty() { &self.servers } else { servers };
        let callers: Vec<_> = callers.iter().cloned().map(PreparedCaller::new).collect();
        let servers: Vec<&str> =
            servers.iter().map(String::as_str).chain([gateway::NAME]).collect();
        let (bundle, mut reach) = (&*self.bundle, Reach::default());
        for operation in self.vocabulary.operations.values() {
            let risk = operation.risk;
            // What cannot be anywhere need not be asked for each place.
            let anywhere =
                callers.iter().flat_map(|caller| servers.iter().map(move |of| (caller, *of)));
            let anywhere: Vec<_> = anywhere
                .filter(|(caller, of)| could_allow(bundle, caller, of, operation, risk))
                .collect();
            for place in self.places.iter().filter(|_| !anywhere.is_empty()) {
                let could = |(caller, of): &&(&PreparedCaller, &str)| {
                    could_allow_in(bundle, caller, of, operation, risk, place)
                };
                let mut able = anywhere.iter().filter(could).peekable();
                if able.peek().is_none() {
                    continue;
                }
                let name = || operation.name.clone();
                reach.places.entry(written(place)).or_default().insert(name());
                let is_gated = |(caller, of): &(&PreparedCaller, &str)| {
                    self.cell(caller, (of, operation, risk), place, now) == Cell::Approval
                };
                if self.has_gates && able.all(is_gated) {
                    reach.gated.entry(written(place)).or_default().insert(name());
                }
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
        Self { places: all, gated: BTreeMap::new() }
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

    /// How many there are that may be done with an approval only.
    pub(crate) fn gated(&self) -> usize {
        self.gated.values().map(BTreeSet::len).sum()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.places.values().map(BTreeSet::len).sum()
    }

    pub(super) fn to_json(&self) -> Json {
        let places = self.places.iter().map(|(place, operations)| {
            let names = |all: &BTreeSet<String>| -> Vec<Json> {
                all.iter().map(|one| one.as_str().into()).collect()
            };
            let gated = self.gated.get(place).map(names).unwrap_or_default();
            Object::default()
                .with("place", place.as_str())
                .with("operations", names(operations))
                .with("with_approval", gated)
                .into()
        });
        Json::Array(places.collect())
    }
}

fn written(place: &Resource) -> String {
    format!("{}::\"{}\"", place.kind, place.id)
}
